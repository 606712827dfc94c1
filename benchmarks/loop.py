"""What does a step cost beside the net?

The Trainer with everything on, a loop by hand, and the Trainer as templates have it. The same batches of 20 movie
reviews in the same process, one thread: the cookbook's text CNN, and a net so small that what is left is the loop.
And what each shortcut saves of a step: everything on, with it and without it, the CPU time of the median step.
"""

import contextlib
import itertools
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest.mock import patch

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy

from benchmarks.figures import Figure, figure
from benchmarks.timing import Spread, Times, alternate, difference, ratio, spread
from lightfit.callbacks import BestAndLast, EpochLines, FeatureMaps, FinalMetric, HistoryFiles
from lightfit.datamodules import TextDataModule
from lightfit.datamodules.text.corpus import TextBatches
from lightfit.lightning_modules import TextClassifier, epoch_log
from lightfit.lightning_modules.lightning_internals import QuickHooks
from lightfit.lightning_modules.nets import TextCNN
from lightfit.scripts.training.run import spare_profiler

BATCH, STEPS, ROUNDS, SHORT_ROUNDS = 20, 300, 9, 21
TEXT_CNN = "the text CNN"


class TinyNet(nn.Module):
    """A net of next to no arithmetic, with a convolution for the feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 1)
        self.conv = nn.Conv1d(1, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) int64 to (B, 1)."""
        return self.conv(self.embedding(x[:, :8]).transpose(1, 2)).sum(2)


class CookbookCNN(nn.Module):
    """The cookbook's text CNN (eat_pytorch_in_20_days, chapter 1-3) of torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 3, padding_idx=1)
        first = nn.Conv1d(3, 16, 5), nn.MaxPool1d(2), nn.ReLU()
        self.conv = nn.Sequential(*first, nn.Conv1d(16, 128, 2), nn.MaxPool1d(2), nn.ReLU())
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(6144, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 200) int64 to (B, 1)."""
        return self.dense(self.conv(self.embedding(x).transpose(1, 2)))


class Clock(pl.Callback):
    """Seconds of training in an epoch, from its start to its last step."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_batch_end(self, *args: Any) -> None:
        """Read the time so far."""
        self.seconds = time.perf_counter() - self.started


class StepClock(pl.Callback):
    """CPU seconds of this thread from the end of a step to the end of the next, for every step of an epoch."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        """Read the time."""
        self.ends.append(time.thread_time())

    def median(self) -> float:
        """Compute the median step, which other processes of the machine disturb less than the mean."""
        return statistics.median(end - start for start, end in itertools.pairwise(self.ends))


class Usual(pl.LightningModule):
    """As templates have it: the loss and a torchmetrics accuracy logged in every step."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.accuracy = Accuracy(task="binary")

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss and log the accuracy."""
        logits = self.net(batch[0])[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, batch[1].float())
        self.accuracy(logits, batch[1])
        self.log("loss", loss, prog_bar=True)
        self.log("accuracy", self.accuracy, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the cookbook's optimizer."""
        return torch.optim.Adagrad(self.parameters(), lr=0.02)


def data(num_samples: int) -> TextDataModule:
    """Return the cookbook's data, as many reviews as an epoch here takes."""
    made = TextDataModule(batch_size=BATCH)
    made.setup()
    for part, number in ((made.train_data, num_samples), (made.val_data, BATCH)):
        assert isinstance(part, TextBatches)
        part.starts, part.lengths, part.labels = part.starts[:number], part.lengths[:number], part.labels[:number]
    return made


def by_hand(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the seconds of an epoch in a loop without anything."""
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.02)
    started = time.perf_counter()
    for index in torch.randperm(len(x)).split(BATCH):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(net(x[index])[:, 0], y[index].float()).backward()
        optimizer.step()
    return time.perf_counter() - started


def lightfit(net: nn.Module, reviews: TextDataModule) -> float:
    """Return the seconds of an epoch with TensorBoard, bar, history, checkpoints, metrics and feature maps."""
    clock = Clock()
    trainer = _everything_on(clock)
    spare_profiler(trainer)
    trainer.fit(TextClassifier(net, optimizer="Adagrad", lr=0.02), datamodule=reviews)
    return clock.seconds


SHORTCUTS = {
    "the running hook's name set as on any object": "by nn.Module",
    f"means of {epoch_log.PENDING} batches summed at a time": "each batch's",
    "no profiler": "Lightning's that does nothing",
}


def shortened(left_out: str, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    """CPU seconds of the median step of the tiny net with everything on, but for one of the shortcuts."""
    hooks, means, profiler = (name != left_out for name in SHORTCUTS)
    clock = StepClock()
    trainer = _everything_on(clock)
    if profiler:
        spare_profiler(trainer)
    train, val = (DataLoader[Any](held, batch_size=None) for held in (batches, batches[:1]))  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        if not hooks:
            stack.enter_context(patch.object(QuickHooks, "__setattr__", nn.Module.__setattr__))
        if not means:
            stack.enter_context(patch.object(epoch_log, "PENDING", 1))
        trainer.fit(TextClassifier(TinyNet(), optimizer="Adagrad", lr=0.02), train, val)
    return clock.median()


def compare_shortcuts() -> Iterator[Figure]:
    """How much longer a step takes without each of the shortcuts."""
    x, y = torch.randint(0, 10_000, (STEPS, BATCH, 200)), torch.randint(0, 2, (STEPS, BATCH))
    batches = list(zip(x, y, strict=True))
    contenders = {name: lambda name=name: _silently(lambda: shortened(name, batches)) for name in ("", *SHORTCUTS)}
    times = alternate(contenders, rounds=SHORT_ROUNDS)
    for name, peer in SHORTCUTS.items():
        more = ratio(times, name, "")
        yield figure("loop", name, peer, more, "x the CPU time of a step", rounds=SHORT_ROUNDS, target=">= 1.03")


def usual(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the seconds of an epoch as templates have it."""
    clock = Clock()
    _trainer([clock]).fit(Usual(net), DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True))
    return clock.seconds


def _everything_on(clock: pl.Callback) -> pl.Trainer:
    checkpoint = BestAndLast(monitor="val_loss")
    watchers: list[pl.Callback] = [FeatureMaps(), HistoryFiles(), FinalMetric(), EpochLines(), checkpoint, clock]
    return _trainer(watchers, use_distributed_sampler=False)


def _trainer(callbacks: list[pl.Callback], **rest: Any) -> pl.Trainer:
    logger = TensorBoardLogger("runs", default_hp_metric=False)
    return pl.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=callbacks, logger=logger, enable_model_summary=False, **rest
    )


def measure() -> Iterator[Figure]:
    """Yield the loop's figures."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    reviews = data(BATCH * STEPS)
    x, y = reviews.train_data[torch.arange(BATCH * STEPS)]
    nets = {"a tiny net": TinyNet, TEXT_CNN: lambda: TextCNN(10_000, max_len=200)}
    for name, net in nets.items():
        contenders = {
            "hand": lambda: by_hand(net(), x, y),  # noqa: B023
            "lightfit": lambda: _silently(lambda: lightfit(net(), reviews)),  # noqa: B023
            "usual": lambda: _silently(lambda: usual(net(), x, y)),  # noqa: B023
        }
        if name == TEXT_CNN:
            contenders |= {"cookbook": lambda: by_hand(CookbookCNN(), x, y)}
        yield from compare(name, alternate(contenders, rounds=ROUNDS))
    yield from compare_shortcuts()


def compare(name: str, times: Times) -> Iterator[Figure]:
    """Yield the figures of one net."""
    by_hand, ours = "a loop by hand, the same net", f"everything on, {name}"
    more = Spread(*(1000 * seconds / STEPS for seconds in difference(times, "lightfit", "hand")))
    yield figure("loop", ours, by_hand, more, "ms more a step", rounds=ROUNDS, target="<= 0.7")
    rounds = zip(times["usual"], times["lightfit"], times["hand"], strict=True)
    less = spread([(usual - hand) / (lightfit - hand) for usual, lightfit, hand in rounds])
    peer, target = "Trainer, `self.log`, torchmetrics, default bar", ">= 4" if name != TEXT_CNN else ""
    yield figure("loop", ours, peer, less, "times less overhead", rounds=ROUNDS, target=target)
    if name == TEXT_CNN:
        ours, peer = f"an epoch of {name}, everything on", "a loop by hand, the cookbook's layers"
        note = "the same function, by LightFit as matrix products"
        epoch = ratio(times, "lightfit", "cookbook")
        yield figure("loop", ours, peer, epoch, "x the time", rounds=ROUNDS, target="<= 1.15", note=note)
        yield figure("loop", ours, by_hand, ratio(times, "lightfit", "hand"), "x the time", rounds=ROUNDS)


def _silently(measured: Callable[[], float]) -> float:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        return measured()
