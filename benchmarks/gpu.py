"""On a GPU: how long until CIFAR-10 is learned, and is the GPU ever idle? LightFit, and airbench94's recipe by hand.

Both train the same widths (64, 256, 256) for ten epochs on the same images on the same GPU, in bfloat16. What counts is
the time until the accuracy that both reach. Needs `cifar10.zip` in the folder that LIGHTFIT_DATA names; without a GPU
it prints that it was not run.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from benchmarks import airbench
from benchmarks.figures import Figure, figure
from benchmarks.timing import spread
from lightfit.datamodules import ImageDataModule, ImageTransforms
from lightfit.datamodules.images.batches import StackedBatches
from lightfit.lightning_modules import ImageClassifier
from lightfit.lightning_modules.nets import FastResNet
from lightfit.scripts.training.run import spare_profiler

EPOCHS, ROUNDS = 10, 3
Curve = list[tuple[float, float]]  # seconds of training, and the accuracy then


class EpochClock(pl.Callback):
    """Seconds of training, without validation, and the accuracy after each epoch."""

    def __init__(self) -> None:
        self.curve: Curve = []
        self.seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = now(pl_module.device)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the time; what follows is not training."""
        if not trainer.sanity_checking:
            self.seconds += now(pl_module.device) - self.started

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the accuracy."""
        if not trainer.sanity_checking:
            self.curve.append((self.seconds, float(trainer.callback_metrics["val_accuracy"])))


def now(device: torch.device) -> float:
    """Return the time when the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def lightfit(data: ImageDataModule, *, epochs: int, compiled: bool = False) -> Curve:
    """Measure LightFit's curve; a net that is compiled has its first batch behind it."""
    net = FastResNet(num_classes=10, widths=[64, 256, 256], views=2)
    if compiled:
        net.compile()
    options = {"lr": 2.0, "optimizer": "SGD", "momentum": 0.85, "weight_decay": 0.0013}
    model = ImageClassifier(net, schedule="one_cycle", label_smoothing=0.2, **options)  # type: ignore[arg-type]
    clock = EpochClock()
    trainer = pl.Trainer(
        max_epochs=epochs,
        precision="bf16-mixed",
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
    spare_profiler(trainer)
    trainer.fit(model, datamodule=data)
    return clock.curve


def by_hand(train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], *, epochs: int) -> Curve:
    """Measure airbench94's curve."""
    (x, y), curve, seconds = (airbench.prepare(train[0]), train[1]), [], 0.0
    held_out = airbench.prepare(val[0])
    started = now(x.device)

    def after_epoch(net: nn.Module) -> None:
        nonlocal started, seconds
        seconds += now(x.device) - started
        curve.append((seconds, airbench.accuracy(net, held_out, val[1])))
        started = now(x.device)

    airbench.train(x, y, epochs=epochs, after_epoch=after_epoch)
    return curve


def time_to(curve: Curve, accuracy: float) -> float:
    """Return the seconds until an accuracy was reached."""
    return next(seconds for seconds, reached in curve if reached >= accuracy)


def busy_fraction(data: ImageDataModule) -> float:
    """Return the fraction of an epoch in which the GPU computes, by torch's profiler."""
    lightfit(data, epochs=1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        (seconds, _), *_ = lightfit(data, epochs=1)
    busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    return busy / seconds


def pixels(part: StackedBatches, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the images of a split and their classes, on a device."""
    return part.images.cpu()[part.rows].to(device), part.labels.to(device)


def measure() -> Iterator[Figure | str]:
    """Yield the figures of a GPU."""
    archive = Path(os.environ.get("LIGHTFIT_DATA", "nowhere")) / "cifar10.zip"
    if not torch.cuda.is_available() or not archive.exists():
        lacks = "no GPU is visible" if archive.exists() else "no GPU, or no cifar10.zip in LIGHTFIT_DATA"
        yield f"gpu: not run, {lacks}."
        return
    transforms = ImageTransforms(size=None, crop_scale=None, shift=2)
    data = ImageDataModule(str(archive), transforms=transforms, batch_size=1024, val_fraction=0.04)
    data.setup()
    yield from figures(data, torch.device("cuda"), epochs=EPOCHS, rounds=ROUNDS)


def figures(data: ImageDataModule, device: torch.device, *, epochs: int, rounds: int) -> Iterator[Figure | str]:
    """Yield the figures of a device."""
    train, val = (pixels(part, device) for part in (data.train_data, data.val_data))  # type: ignore[arg-type]
    lightfit(data, epochs=1)  # the first use of a GPU is slow
    curves = [(lightfit(data, epochs=epochs), by_hand(train, val, epochs=epochs)) for _ in range(rounds)]
    reached = min(max(accuracy for _, accuracy in curve) for pair in curves for curve in pair)
    ratios = spread([time_to(ours, reached) / time_to(peer, reached) for ours, peer in curves])
    peer, note = "airbench94's recipe by hand", f"until an accuracy of {reached:.4f}"
    yield figure("gpu", "CIFAR-10 on a GPU", peer, ratios, "x the time", rounds=rounds, target="<= 1.5", note=note)
    if device.type == "cuda":
        started = now(device)
        lightfit(data, epochs=1, compiled=True)
        first = now(device) - started
        plain, compiled = (lightfit(data, epochs=3, compiled=choice)[-1][0] for choice in (False, True))
        yield f"gpu: torch.compile: {plain / compiled:.2f} times as fast, after {first:.0f} s of compilation."
        yield f"gpu: busy for {busy_fraction(data):.0%} of an epoch (target: at least 90 %)."
