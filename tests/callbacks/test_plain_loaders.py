"""A run with ordinary DataLoaders that resumes from an epoch's end ends as one that was never stopped, to the bit."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

from lightfit.callbacks import ExactResume

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]

X = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
Y = (X[:, 0] > 0).long()
DATA = TensorDataset(X, Y)
STEPS = 4  # of an epoch


class Net(pl.LightningModule):
    """Draws random numbers wherever a module may."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))

    def on_train_start(self) -> None:
        torch.randn(3)

    def on_train_epoch_start(self) -> None:
        torch.randn(1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        batches = batch.values() if isinstance(batch, dict) else [batch]
        return torch.stack([nn.functional.cross_entropy(self.net(x), y) for x, y in batches]).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Random augmentation by torch and by NumPy."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return X[index] + torch.randn(4) + float(np.random.rand()), Y[index]


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Has no length."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.randperm(len(X)).tolist():
            yield X[index], Y[index]


class StatefulLoader(DataLoader):
    """Resumes within an epoch, as torchdata's does: holds the order and the position."""

    order: Tensor | None = None
    position = 0
    resumes = False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        if not self.resumes:
            self.order, self.position = torch.randperm(len(X)), 0
        self.resumes = False
        return self._read()

    def _read(self) -> Iterator[Any]:
        assert self.order is not None
        for indices in self.order.split(5)[self.position :]:
            self.position += 1
            yield X[indices], Y[indices]

    def state_dict(self) -> dict[str, Any]:
        return {"order": self.order, "position": self.position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.order, self.position, self.resumes = state_dict["order"], state_dict["position"], True


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


LOADERS: dict[str, Callable[[], Any]] = {
    "in order": lambda: DataLoader(DATA, 5),
    "shuffled": lambda: DataLoader(Noisy(), 5, shuffle=True),
    "generator": lambda: DataLoader(DATA, 5, shuffle=True, generator=seeded()),
    "sampler": lambda: DataLoader(DATA, 5, sampler=WeightedRandomSampler(torch.ones(20).tolist(), 20)),
    "sampler with a generator": lambda: DataLoader(
        DATA, 5, sampler=WeightedRandomSampler(torch.ones(20).tolist(), 20, generator=seeded())
    ),
    "stream": lambda: DataLoader(Stream(), 5),
    "several": lambda: CombinedLoader(
        {"a": DataLoader(DATA, 5, shuffle=True), "b": DataLoader(Noisy(), 10, shuffle=True, generator=seeded())},
        "max_size_cycle",
    ),
    "stateful": lambda: StatefulLoader(DATA, 5),
    "workers": lambda: DataLoader(Noisy(), 5, shuffle=True, num_workers=1),
    "persistent workers": lambda: DataLoader(DATA, 5, shuffle=True, num_workers=1, persistent_workers=True),
}
CASES = [
    pytest.param(kind, saved, marks=[pytest.mark.slow] if "workers" in kind else [])
    for kind in LOADERS
    for saved in ("epoch", "validation", "max_steps")
]


def run(kind: str, folder: Path, *, ckpt: Path | None = None, saved: str = "epoch") -> Tensor:
    """Train for three epochs; return the weights and a random number that was drawn afterwards."""
    pl.seed_everything(0, verbose=False)
    model = Net()
    saver = pl.callbacks.ModelCheckpoint(
        folder,
        filename="{step}",
        save_top_k=-1,
        save_on_train_epoch_end=saved != "validation",
        every_n_train_steps=1 if saved == "step" else None,
    )
    trainer = pl.Trainer(
        max_epochs=-1 if saved == "max_steps" else 3,
        max_steps=3 * STEPS if saved == "max_steps" else -1,
        limit_val_batches=0 if saved == "max_steps" else None,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ExactResume(), saver],
    )
    trainer.fit(model, LOADERS[kind](), DataLoader(Noisy(), 10, shuffle=saved == "validation"), ckpt_path=ckpt)
    return torch.cat([*(parameter.flatten() for parameter in model.parameters()), torch.rand(1)]).detach()


@pytest.mark.filterwarnings("ignore:Your `val_dataloader`'s sampler has shuffling enabled")
@pytest.mark.parametrize(("kind", "saved"), CASES)
def test_resumes_exactly_from_an_epochs_end(
    kind: str, saved: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(kind, tmp_path, saved=saved)
    for epoch in (1, 2):
        ckpt = tmp_path / f"step={epoch * STEPS}.ckpt"
        assert torch.equal(run(kind, tmp_path, ckpt=ckpt, saved=saved), whole), f"from epoch {epoch}"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("step", [STEPS + 1, STEPS + 2])
def test_a_loader_with_a_state_resumes_within_an_epoch(
    step: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run("stateful", tmp_path, saved="step")
    assert torch.equal(run("stateful", tmp_path, saved="step", ckpt=tmp_path / f"step={step}.ckpt"), whole)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_another_loader_says_once_that_it_cannot_and_what_can(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run("shuffled", tmp_path, saved="step")
    run("shuffled", tmp_path, saved="step", ckpt=tmp_path / f"step={STEPS + 2}.ckpt")
    (message,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert message.startswith("ExactResume cannot resume exactly within epoch 1, after 2 of its batches: ")
    assert "torchdata's StatefulDataLoader" in message
