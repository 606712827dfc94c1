"""Which classes are confused with which, and how well a classifier is calibrated."""

from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from lightfit.lightning import OneLightning, pl

from .plots import Plot, check_every, image_grid, is_epoch_due, publish
from .protocols import class_names, pictures

if TYPE_CHECKING:
    from torchmetrics.classification import MulticlassConfusionMatrix

NUMBERS_UP_TO = 20  # with more classes the cells are too small for numbers


def has_classes(outputs: Any) -> bool:
    """Return whether a validation step is of a classifier: models of label sets and numbers return a `prediction`."""
    return not (isinstance(outputs, dict) and "prediction" in outputs)


def get_scores(outputs: Any) -> tuple[Tensor, Tensor]:
    """Get probabilities (B, num_classes) and labels (B,) from the outputs of a validation step.

    Raises:
        ValueError: it did not return `preds` and `target`.
    """
    if not isinstance(outputs, dict) or not {"preds", "target"} <= set(outputs):
        held = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
        raise ValueError(
            "expected validation_step to return a dict with 'preds', probabilities (B, num_classes) or (B,), and "
            f"'target', labels (B,), as a Classifier's does; received {held}"
        )
    preds = outputs["preds"].detach().float()
    return (preds if preds.ndim == 2 else torch.stack([1 - preds, preds], 1)), outputs["target"].reshape(-1).long()


def plot_confusion_matrix(counts: Tensor, names: list[str]) -> Plot:
    """Plot true classes as rows, predicted ones as columns; colours are fractions of the row, numbers are samples.

    Args:
        counts: (num_classes, num_classes) int64.
        names: names of the classes.
    """
    counts = counts.cpu()
    side = min(max(0.55 * len(counts) + 1.8, 3.5), 14)
    figure = Plot(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    fractions = counts / counts.sum(1, keepdim=True).clamp(min=1)
    picture = axes.imshow(fractions.numpy(), cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, label="fraction of the true class", shrink=0.8)
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"accuracy {counts.diag().sum() / counts.sum().clamp(min=1):.4f} of {int(counts.sum()):,}")
    if len(counts) <= NUMBERS_UP_TO:
        for row, column in (counts > 0).nonzero().tolist():
            shade = "white" if fractions[row, column] > 0.5 else "black"
            axes.text(column, row, str(int(counts[row, column])), ha="center", va="center", fontsize=8, color=shade)
    return figure


class ConfusionMatrix(OneLightning, pl.Callback):
    """The validation's confusion matrix, and the images that were wrong with the most confidence.

    In TensorBoard and as `confusion_matrix/epoch_*.png` and `most_confused/epoch_*.png`. For any LightningModule whose
    `validation_step` returns `preds` and `target`.

    Args:
        num_images: number of images to show; 0 for none.
        every_n_epochs: the epochs to show; the last one is always shown.
    """

    def __init__(self, num_images: int = 16, *, every_n_epochs: int = 1) -> None:
        if num_images < 0:
            raise ValueError(f"expected num_images of at least 0, received {num_images}")
        self.num_images = num_images
        self.every_n_epochs = check_every(every_n_epochs)
        self._matrix: MulticlassConfusionMatrix | None = None
        self._worst: list[tuple[float, Tensor, int, int]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the counts."""
        self._matrix, self._worst = None, []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch; there is nothing to confuse where the labels are sets or numbers."""
        if not is_epoch_due(trainer, self.every_n_epochs) or not has_classes(outputs):
            return
        preds, target = get_scores(outputs)
        if self._matrix is None:
            from torchmetrics.classification import MulticlassConfusionMatrix  # here, as it takes a second

            self._matrix = MulticlassConfusionMatrix(preds.shape[1], validate_args=False).to(preds.device)
        self._matrix.update(preds, target)
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        if self.num_images and isinstance(x, Tensor) and x.ndim == 4:
            self._keep_worst(x, preds, target)

    def _keep_worst(self, x: Tensor, preds: Tensor, target: Tensor) -> None:
        confidence, label = preds.max(1)
        wrong = (label != target).nonzero()[:, 0]
        for index in wrong[confidence[wrong].argsort(descending=True)[: self.num_images]].tolist():
            self._worst.append((float(confidence[index]), x[index].clone(), int(target[index]), int(label[index])))
        self._worst = sorted(self._worst, key=lambda item: -item[0])[: self.num_images]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plot the epoch's."""
        if self._matrix is None:
            return
        counts = self._matrix.compute()  # of all processes
        names = class_names(trainer, len(counts))
        publish(trainer, plot_confusion_matrix(counts, names), "confusion_matrix", step=trainer.current_epoch)
        if self._worst:
            images = pictures(trainer, torch.stack([image for _, image, _, _ in self._worst]))
            titles = [f"{names[true]}, not\n{names[label]} ({sure:.0%})" for sure, _, true, label in self._worst]
            publish(trainer, image_grid(images, titles), "most_confused", step=trainer.current_epoch)
        self._matrix, self._worst = None, []


def plot_reliability(table: pd.DataFrame) -> Plot:
    """Plot accuracy against confidence: on the diagonal a classifier is calibrated; grey bars are samples.

    Args:
        table: a row for each bin of confidence, with `confidence`, `accuracy` and `samples`.
    """
    figure = Plot(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.bar(table["confidence"], table["samples"] / table["samples"].sum(), width=0.04, color="lightgrey")
    axes.plot(table["confidence"], table["accuracy"], "o-", color="tab:blue")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy; grey: fraction of the samples")
    axes.grid(alpha=0.3)
    return figure
