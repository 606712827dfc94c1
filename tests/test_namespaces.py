"""The same classes under `pytorch_lightning` and under `lightning.pytorch`, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.presets import TASKS

pytest.importorskip("lightning.pytorch")

PROGRAM = """
import {namespace} as pl
import torch
from torch.utils.data import DataLoader, TensorDataset
from callbacks import EpochLines, FinalMetric, HistoryFiles
from datamodules import TextDataModule
from lightning_modules.quick_hooks import QuickHooks
from lightning_modules import LightModel, TextClassifier
from lightning_modules.nets import TextCNN

assert issubclass(LightModel, pl.LightningModule), LightModel.__mro__
assert issubclass(TextDataModule, pl.LightningDataModule)
assert issubclass(HistoryFiles, pl.Callback)

data = TextDataModule("reviews.csv", max_len=10)
data.setup()
model = TextClassifier(TextCNN(data.vocab_size, max_len=10), lr=0.01)
logger = pl.loggers.TensorBoardLogger("runs", name="a", default_hp_metric=False)
checkpoint = pl.callbacks.ModelCheckpoint(monitor="val_loss")
trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=logger, enable_model_summary=False,
                     callbacks=[checkpoint, HistoryFiles(), FinalMetric(), EpochLines()])
trainer.fit(model, datamodule=data)
assert len(model.history) == 2
net = TextCNN(data.vocab_size, max_len=10)
again = TextClassifier.load(checkpoint.best_model_path, net=net)
assert again.hparams["lr"] == 0.01
print("module", QuickHooks.__mro__[1].__module__)
"""


@pytest.mark.parametrize("namespace", ["pytorch_lightning", "lightning.pytorch"])
def test_classes_work_under(namespace: str, reviews: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(namespace=namespace)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TASKS.parent)},
    )
    assert run.returncode == 0, run.stderr
    assert f"module {namespace}." in run.stdout
    assert (Path("runs/a/version_0/history.csv")).is_file()
