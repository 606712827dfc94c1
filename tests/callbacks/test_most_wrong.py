"""The samples that were classified wrongly: their files, on one process and on several."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from conftest import make_images
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightfit.callbacks import ConfusionMatrix
from lightfit.callbacks.pictures.most_wrong import describe_wrong, find_wrong, join_wrong, tabulate_wrong
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.predict import main as predict

Fit = Callable[..., tuple[int, str, str]]


def test_wrong_samples_are_sorted_by_confidence() -> None:
    preds = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.6, 0.4]])
    wrong = find_wrong(preds, torch.tensor([1, 1, 0, 1]))
    assert wrong.row.tolist() == [0, 2, 3]
    table = tabulate_wrong(wrong, ["cat", "dog"], ["a.png", "b.png", "c.png", "d.png"])
    assert table.to_dict("list") == {
        "file": ["a.png", "c.png", "d.png"],
        "true": ["dog", "cat", "dog"],
        "predicted": ["cat", "dog", "cat"],
        "probability": [0.9, 0.8, 0.6],
        "probability_of_true": [0.1, 0.2, 0.4],
    }
    assert tabulate_wrong(wrong, ["cat", "dog"])["file"].tolist() == ["0", "2", "3"]
    both = join_wrong([wrong.take(slice(1, 3)), wrong.take(slice(0, 1))])
    assert both.row.tolist() == [0, 2, 3]
    assert describe_wrong("cat", "dog", 0.82) == "true: cat\npredicted: dog 82%"


class Threshold(pl.LightningModule):
    """Class 1 where the image is brighter than a half; it learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.bias.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        bright = batch[0].mean((1, 2, 3))
        return {"preds": torch.stack([1 - bright, bright], 1), "target": batch[1]}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Places(pl.LightningDataModule):
    """A DataModule of another project, which knows where its samples come from."""

    def __init__(self) -> None:
        super().__init__()
        brightness = torch.linspace(0.05, 0.95, 10)
        labels = (brightness > 0.5).long()
        labels[[1, 8]] = 1 - labels[[1, 8]]  # mislabelled
        self.samples = TensorDataset(brightness[:, None, None, None].expand(-1, 1, 4, 4), labels)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.samples, batch_size=4)

    val_dataloader = train_dataloader

    def find_places(self, split: str) -> list[str]:
        return [f"{split}/{index}.png" for index in range(10)]


class FailsOnOneRank(Threshold):
    """Returns nothing to count on the second of two ranks."""

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        outputs = super().validation_step(batch, batch_idx)
        return {"loss": outputs["preds"].sum()} if self.global_rank == 1 else outputs


def train(model: pl.LightningModule | None = None, **options: Any) -> None:
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=pl.loggers.CSVLogger("runs", name="a"),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ConfusionMatrix()],
        **options,
    )
    trainer.fit(model or Threshold(), datamodule=Places())


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_mislabelled_samples_are_found_by_their_files(devices: int) -> None:
    train(**({} if devices == 1 else {"devices": devices, "strategy": "ddp_fork"}))
    table = pd.read_csv("runs/a/version_0/most_wrong.csv")
    assert sorted(table["file"]) == ["val/1.png", "val/8.png"]
    assert table["probability"].tolist() == pytest.approx([0.85, 0.85])
    true = table.set_index("file")[["true", "predicted"]]
    assert true.loc["val/1.png"].tolist() == [1, 0]
    assert Path("runs/a/version_0/most_confused/epoch_001.png").is_file()


@pytest.mark.slow
def test_no_rank_waits_for_one_that_draws_nothing() -> None:
    handler = logging.FileHandler("said.log")
    logging.getLogger("lightfit").addHandler(handler)
    try:
        train(FailsOnOneRank(), devices=2, strategy="ddp_fork")
    finally:
        logging.getLogger("lightfit").removeHandler(handler)
        handler.close()
    said = Path("said.log").read_text()
    assert said.count("ConfusionMatrix is left out of this run: expected validation_step") == said.count("\n") == 1
    assert not list(Path("runs").rglob("*.png"))


@pytest.mark.slow
def test_a_mislabelled_image_is_found_by_fit_and_evaluate(
    fit: Fit, images: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(workplace / "split" / "train")
    make_images(workplace / "split" / "val", per_class=6, first=50)
    (workplace / "split/val/dark/50.png").rename(workplace / "split/val/bright/mislabelled.png")
    args = ("--data.root", "split", "--data.num_workers", 0, "--trainer.max_epochs", 6, "--quiet")
    assert fit("--task", "images", *args)[0] == 0
    run = Path("runs/images/version_0")
    table = pd.read_csv(run / "most_wrong.csv")
    assert "val/bright/mislabelled.png" in table["file"].iloc[0]
    assert table.iloc[0][["true", "predicted"]].tolist() == ["bright", "dark"]
    assert table["probability"].is_monotonic_decreasing
    best = str(next((run / "checkpoints").glob("best-*.ckpt")))
    assert evaluate(["--gpus", "0", best, "--split", "val"]) == 0
    assert "evaluation/most_wrong.csv" in capsys.readouterr().out
    pd.testing.assert_frame_equal(pd.read_csv(run / "evaluation/most_wrong.csv"), table)
    page = (run / "evaluation/report.html").read_text()
    assert "<h3>The worst samples</h3>" in page
    assert "val/bright/mislabelled.png" in page
    assert predict([best, "split/val/bright/mislabelled.png", "-o", "out.csv"]) == 0
    assert pd.read_csv("out.csv")["label"].tolist() == ["dark"]
