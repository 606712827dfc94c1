"""Predictions as a table."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from datamodules import DataModule
from lightning_modules import LightModel
from scripts.devices import accelerator_and_devices


def classify(model: LightModel, data: DataModule, samples: list[Any], *, batch_size: int, gpus: str) -> pd.DataFrame:
    """A row for each sample, in order: `row` (from 1), `label`, `probability`, and the `file` or the `input` itself.

    Args:
        model: a classifier whose `predict_step` gives probabilities (B, num_classes).
        data: what the checkpoint holds of the data: encoding and class names.
        samples: raw samples.
        batch_size: number of samples in a batch.
        gpus: as in `accelerator_and_devices`.
    """
    accelerator, devices = accelerator_and_devices(gpus, torch.cuda.device_count())
    trainer = Trainer(
        accelerator=accelerator,
        devices=1 if devices == "auto" else devices,  # several would each see a part
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    chunks = [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]
    loader: DataLoader = DataLoader(chunks, batch_size=None, collate_fn=data.encode)  # type: ignore[arg-type]
    batches = trainer.predict(model, loader)
    probability, number = torch.cat([batch for batch in batches or [] if isinstance(batch, torch.Tensor)]).max(1)
    return pd.DataFrame(
        {
            "row": range(1, len(samples) + 1),
            "label": [data.class_names[index] for index in number.tolist()],
            "probability": [round(value, 6) for value in probability.tolist()],
        }
        | _inputs(samples)
    )


def _inputs(samples: list[Any]) -> dict[str, list[str]]:
    if all(isinstance(sample, Path) for sample in samples):
        return {"file": [str(sample) for sample in samples]}
    return {"input": [str(sample) if len(str(sample)) <= 60 else f"{str(sample)[:57]}..." for sample in samples]}


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes the table without the inputs, which may be long, under the final name only when it is whole."""
    part = path.with_name(f"{path.name}.part")
    table.drop(columns="input", errors="ignore").to_csv(part, index=False)
    os.replace(part, path)
