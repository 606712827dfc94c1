"""The net's actual input: the first batch of each split, as pictures."""

from typing import Any

import torch
from torch import Tensor

from lightfit.lightning import OneLightning, pl

from .guard import split_batch, watch
from .plots import image_grid, publish
from .protocols import DescribesTargets, class_names, find_codec, pictures


@watch
class BatchPreview(OneLightning, pl.Callback):
    """The first images of train, val and test with their classes, normalisation undone, augmentation as it is.

    In the loggers and as `preview_train/epoch_*.png` and so on, once in a run.

    Args:
        num_images: the most images to show.
    """

    def __init__(self, num_images: int = 32) -> None:
        if num_images < 1:
            raise ValueError(f"expected num_images of at least 1, received {num_images}")
        self.num_images = num_images
        self._shown: set[str] = set()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show the first training batch."""
        self._show(trainer, batch, "train")

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Show the first validation batch; in the sanity check look whether it can be shown."""
        if trainer.sanity_checking:
            _check_images(batch, "val")
        else:
            self._show(trainer, batch, "val")

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Show the first test batch."""
        self._show(trainer, batch, "test")

    def _show(self, trainer: pl.Trainer, batch: Any, split: str) -> None:
        if split in self._shown:
            return
        self._shown.add(split)
        x, y = _check_images(batch, split)
        images = pictures(trainer, x[: self.num_images])
        titles = [""] * len(images) if y is None else _titles(trainer, y[: self.num_images])
        figure = image_grid(images, titles)
        publish(trainer, figure, f"preview_{split}", step=trainer.current_epoch)


def _check_images(batch: Any, split: str) -> tuple[Tensor, Tensor | None]:
    x, y = split_batch(batch)
    if x.ndim != 4:
        raise ValueError(f"it shows images, (B, C, H, W), and received {tuple(x.shape)} in {split}")
    return x, y


def _titles(trainer: pl.Trainer, y: Tensor) -> list[str]:
    """Name the classes of labels (B,), or the two largest of soft labels (B, num_classes); sets and numbers as text.

    Nothing is written above images whose targets are images, or other than a row for each.
    """
    codec = find_codec(trainer)
    if isinstance(codec, DescribesTargets) and (titles := codec.describe_targets(y)):
        return titles
    if y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1):
        numbers = y.reshape(-1).tolist()
        if any(not float(number).is_integer() or number < 0 for number in numbers):  # no labels
            return [f"{number:.4g}" for number in numbers]
        labels = [int(number) for number in numbers]
        names = class_names(trainer, max(labels) + 1)
        return [names[label] for label in labels]
    if y.ndim != 2 or not y.is_floating_point() or not torch.allclose(y.sum(1), torch.ones_like(y[:, 0]), atol=1e-3):
        return [""] * len(y)
    names = class_names(trainer, y.shape[1])
    weights, classes = y.topk(2, 1)
    pairs = zip(weights.tolist(), classes.tolist(), strict=True)
    return [f"{names[one]} {weight:.0%}" + (f"\n{names[two]}" if rest else "") for (weight, rest), (one, two) in pairs]
