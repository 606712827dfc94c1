"""Predictions as a table."""

from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from datamodules import DataModule
from lightning_modules import LightModel
from scripts.devices import accelerator_and_devices


def predict_table(
    model: LightModel, data: DataModule, samples: list[Any], *, batch_size: int, gpus: str
) -> pd.DataFrame:
    """What the model says of raw samples, in rows, in order.

    Args:
        model: a model whose `predict_step` returns a tensor.
        data: what the checkpoint holds of the data: how samples are encoded and predictions decoded.
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
    predictions = torch.cat([batch for batch in batches or [] if isinstance(batch, torch.Tensor)])
    return data.decode(samples, predictions.cpu(), model.quantiles)
