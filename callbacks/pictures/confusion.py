"""Which classes are confused with which, and how well a classifier is calibrated."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from lightfit.extras import importing_extra
from lightfit.lightning import OneLightning, pl

from ..logs.run_folder import make_run_folder, write_csv
from .guard import check_validates, gather, stop, tell_stopped, watch, why_stopped
from .most_wrong import FILE, Wrong, describe_wrong, find_wrong, join_wrong, name_place, tabulate_wrong
from .names import measure_width, shorten, wrap
from .plots import (
    COLUMN_INCHES,
    Plot,
    check_every,
    image_grid,
    is_epoch_due,
    publish,
)
from .protocols import class_names, find_places, pictures

NUMBERS_UP_TO = 20  # classes: with more the cells are too small for numbers
LABELS_UP_TO = 40  # classes: with more the labels are too many, and the most confused pairs are named instead
MOST_PAIRS = 20
NAME_COLUMNS = 28  # of a label
COARSE_CELLS = 200  # in each direction: more are no longer seen
OPTIMAL_UP_TO = 100  # classes: the best order of the leaves takes seconds for 1,000


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
    preds, target = outputs["preds"], outputs["target"]
    if not isinstance(preds, Tensor) or not isinstance(target, Tensor):
        raise ValueError(
            f"expected 'preds' and 'target' as tensors, received {type(preds).__name__} and {type(target).__name__}"
        )
    if not preds.is_floating_point():
        raise ValueError(
            f"expected 'preds' as probabilities, (B, num_classes) or (B,), received {preds.dtype}: return what the net "
            "computes before `argmax`"
        )
    preds, target = preds.detach().float(), target.detach()
    if preds.ndim not in (1, 2) or target.numel() != len(preds):
        raise ValueError(
            "expected 'preds', (B, num_classes) or (B,), and 'target', labels (B,), received "
            f"{tuple(preds.shape)} and {tuple(target.shape)}"
        )
    if preds.ndim == 2 and preds.shape[1] == 1:
        preds = preds[:, 0]
    # As torchmetrics: what is not within [0, 1] are logits. Without looking at the values, for which a GPU would wait.
    are_logits = ((preds < 0) | (preds > 1)).any()
    preds = torch.where(are_logits, preds.softmax(1) if preds.ndim == 2 else preds.sigmoid(), preds)
    return (preds if preds.ndim == 2 else torch.stack([1 - preds, preds], 1)), target.reshape(-1).long()


def find_confused_pairs(counts: NDArray[np.int64], names: Sequence[str], num_pairs: int = MOST_PAIRS) -> pd.DataFrame:
    """Find the pairs of classes that are confused most often.

    Args:
        counts: true classes as rows, predicted ones as columns, (num_classes, num_classes).
        names: names of the classes.
        num_pairs: the most pairs.

    Returns:
        Columns `true`, `predicted`, `samples`, and `fraction`, of the samples of the true class; most samples first.
    """
    errors = counts * ~np.eye(len(counts), dtype=bool)
    largest = np.argsort(-errors, axis=None, kind="stable")[:num_pairs]
    rows, columns = np.unravel_index(largest[errors.reshape(-1)[largest] > 0], errors.shape)
    return pd.DataFrame(
        {
            "true": [names[row] for row in rows],
            "predicted": [names[column] for column in columns],
            "samples": errors[rows, columns],
            "fraction": errors[rows, columns] / counts.sum(1)[rows],
        }
    )


def order_classes(errors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order classes so that those that are confused stand together: the leaves of an average-linkage tree.

    Args:
        errors: fraction of each true class that is predicted as each other one, (num_classes, num_classes).
    """
    near = errors + errors.T
    if len(near) < 3 or not near.any():
        return np.arange(len(near))
    with importing_extra("the order of classes"):
        from scipy.cluster.hierarchy import leaves_list, linkage  # here, as few commands draw
        from scipy.spatial.distance import squareform

    distance = 1 - near / near.max()
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=len(near) <= OPTIMAL_UP_TO)
    order = leaves_list(tree).astype(np.int64)
    return order[::-1] if order[0] > order[-1] else order


def plot_confusion_matrix(counts: Tensor, names: Sequence[str]) -> Plot:
    """Plot true classes as rows, predicted ones as columns, in the order of `order_classes`.

    Colours are errors alone, as fractions of the true class, from none to the most frequent one; numbers are samples.
    With more than 40 classes: the pairs that are confused most often, and the matrix without labels.

    Args:
        counts: (num_classes, num_classes) int64.
        names: names of the classes.
    """
    table = counts.cpu().numpy()
    errors = table / np.maximum(table.sum(1, keepdims=True), 1)
    np.fill_diagonal(errors, 0)
    order = order_classes(errors)
    errors, title = (
        errors[np.ix_(order, order)],
        f"accuracy {np.trace(table) / max(table.sum(), 1):.4f} of {table.sum():,}",
    )
    if len(table) <= LABELS_UP_TO:
        return _plot_labelled(table[np.ix_(order, order)], errors, [names[index] for index in order], title)
    figure = Plot(figsize=(11.5, 5.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    _plot_pairs(left, find_confused_pairs(table, names))
    left.set_title(f"{title}, {len(table):,} classes", fontsize=10)
    _show_errors(figure, right, _pool(errors))
    right.set_xticks([])
    right.set_yticks([])
    right.set_title("confused classes stand together", fontsize=10)
    right.set_xlabel("predicted")
    right.set_ylabel("true")
    return figure


def _plot_labelled(counts: NDArray[np.int64], errors: NDArray[np.float64], names: list[str], title: str) -> Plot:
    numbered = len(names) <= NUMBERS_UP_TO
    labels = [wrap(name, NAME_COLUMNS) if numbered else shorten(name, NAME_COLUMNS) for name in names]
    widest = max(measure_width(line) for label in labels for line in label.split("\n"))
    upright = widest <= 3
    side = max((0.5 if numbered else 0.27) * len(names), 2.0)
    beside = widest * COLUMN_INCHES + 0.5
    figure = Plot(figsize=(side + beside + 1.3, side + (0.7 if upright else beside) + 0.6), layout="constrained")
    axes = figure.subplots()
    _show_errors(figure, axes, errors)
    axes.set_xticks(range(len(labels)), labels, rotation=0 if upright else 90, fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    if numbered:
        for row, column in zip(*np.nonzero(counts), strict=True):
            shade = "white" if errors[row, column] > 0.6 * errors.max() and row != column else "black"
            number = str(counts[row, column])
            text = axes.text(column, row, number, ha="center", va="center", fontsize=8 if len(number) < 5 else 6)
            text.set_color(shade)
            text.set_in_layout(False)  # it lies within the axes: the layout need not measure it
    return figure


def _show_errors(figure: Plot, axes: Any, errors: NDArray[np.float64]) -> None:
    """Show errors on their own scale; the diagonal is grey where it has none, as it has where classes are pooled."""
    shown = np.where(np.diag(np.diag(errors) == 0), np.nan, errors)
    colours = colormaps["Reds"].with_extremes(bad="0.88")
    picture = axes.imshow(shown, cmap=colours, vmin=0, vmax=errors.max() or 1, interpolation="nearest")
    figure.colorbar(
        picture, ax=axes, label="errors, of the true class", shrink=0.8, aspect=30, format=PercentFormatter(1)
    )


def _plot_pairs(axes: Any, pairs: pd.DataFrame) -> None:
    columns = NAME_COLUMNS - 2
    axes.barh(range(len(pairs)), pairs["samples"], color="tab:red", alpha=0.6)
    named = zip(pairs["true"], pairs["predicted"], strict=True)
    axes.set_yticks(
        range(len(pairs)), [f"{shorten(one, columns)} → {shorten(two, columns)}" for one, two in named], fontsize=8
    )
    for place, (count, fraction) in enumerate(zip(pairs["samples"], pairs["fraction"], strict=True)):
        axes.text(count, place, f" {count:,} ({fraction:.0%})", va="center", fontsize=8)
    axes.set_ylim(max(len(pairs), 1) - 0.4, -0.6)
    axes.margins(x=0.25)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("samples (of the true class), true → predicted")
    axes.spines[["top", "right"]].set_visible(False)


def _pool(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pool a matrix to at most `COARSE_CELLS` in each direction by the largest error, so that none is lost."""
    size = -(-len(errors) // COARSE_CELLS)
    cells = -(-len(errors) // size)
    padded = np.zeros((cells * size, cells * size))
    padded[: len(errors), : len(errors)] = errors
    return padded.reshape(cells, size, cells, size).max((1, 3))


@watch
class ConfusionMatrix(OneLightning, pl.Callback):
    """The validation's confusion matrix, and the images that were wrong with the most confidence.

    In the loggers and as `confusion_matrix/epoch_*.png` and `most_confused/epoch_*.png`; the samples of the last
    validation that was drawn also as `most_wrong.csv`, with their files where the data has a method `find_places`. For
    any LightningModule whose `validation_step` returns `preds` and `target`.

    Args:
        num_images: number of images to show; 0 for none.
        every_n_epochs: the epochs to show; the last one is always shown.
    """

    joint_hooks = ("on_validation_epoch_end",)

    def __init__(self, num_images: int = 16, *, every_n_epochs: int = 1) -> None:
        if num_images < 0:
            raise ValueError(f"expected num_images of at least 0, received {num_images}")
        self.num_images = num_images
        self.every_n_epochs = check_every(every_n_epochs)
        self._clear()

    def _clear(self) -> None:
        self._counts: Tensor | None = None
        self._num_seen = 0  # samples of this rank
        self._wrong: list[Wrong] = []
        self._worst: list[Any] = []  # what `Wrong` has of each, and the image

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that there will be samples to count."""
        check_validates(trainer)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the counts."""
        self._clear()

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
        due = trainer.sanity_checking or is_epoch_due(trainer, self.every_n_epochs)
        if not due or not has_classes(outputs):
            return
        preds, target = get_scores(outputs)
        num_classes = preds.shape[1]
        if trainer.sanity_checking:
            return
        if len(target) and int(target.min()) < 0:
            raise ValueError(f"expected labels from 0, received {int(target.min())}")
        counts = (target * num_classes + preds.argmax(1)).bincount(minlength=num_classes**2)
        if len(counts) > num_classes**2:
            raise ValueError(
                f"expected labels below the number of classes, {num_classes}, received {int(target.max())}"
            )
        counts = counts.view(num_classes, num_classes)
        self._counts = counts if self._counts is None else self._counts + counts
        wrong = find_wrong(preds, target)  # by position in the batch
        rows = torch.full_like(wrong.row, -1)
        if dataloader_idx == 0:  # each rank has every n-th sample
            rows = trainer.global_rank + trainer.world_size * (self._num_seen + wrong.row)
            self._num_seen += len(target)
        self._wrong.append(wrong._replace(row=rows))
        x = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if self.num_images and isinstance(x, Tensor) and x.ndim == 4:
            first = wrong._replace(row=rows).take(slice(self.num_images))
            images = x[wrong.row[: self.num_images]]
            self._worst.extend(zip(*(column.tolist() for column in first), images, strict=True))
            self._worst = sorted(self._worst, key=lambda item: -item[3])[: self.num_images]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plot the epoch's."""
        if not is_epoch_due(trainer, self.every_n_epochs):
            return
        shares = gather(trainer, self._collect(trainer))
        found = [share for share in shares if share is not None]
        self._clear()
        if reasons := [share for share in found if isinstance(share, str)]:
            tell_stopped(self, trainer, reasons[0])
            return
        if not trainer.is_global_zero or not found:
            return
        counts = sum(counts for counts, _, _ in found)
        names = class_names(trainer, len(counts))
        publish(trainer, plot_confusion_matrix(counts, names), "confusion_matrix", step=trainer.current_epoch)
        places = find_places(trainer, "val")
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            table = tabulate_wrong(join_wrong([wrong for _, wrong, _ in found]), names, places)
            write_csv(table, make_run_folder(trainer) / FILE)
        worst = sorted((item for _, _, items in found for item in items), key=lambda item: -item[3])[: self.num_images]
        if worst:
            titles = [describe_wrong(names[true], names[label], sure) for _, true, label, sure, _, _ in worst]
            captions = [name_place(row, places) for row, *_ in worst] if places else None
            figure = image_grid(torch.stack([image for *_, image in worst]), titles, captions=captions)
            publish(trainer, figure, "most_confused", step=trainer.current_epoch)

    def _collect(self, trainer: pl.Trainer) -> Any:
        """Return what this rank has counted, on the CPU; None where that is nothing, the reason where it stopped."""
        if reason := why_stopped(self, trainer):
            return reason
        if self._counts is None:
            return None
        try:  # whatever happens on this rank, the others wait for it
            images: Any = pictures(trainer, torch.stack([image for *_, image in self._worst])) if self._worst else []
            worst = [(*item, image) for (*item, _), image in zip(self._worst, images, strict=True)]
            return self._counts.cpu(), join_wrong(self._wrong), worst
        except Exception as error:
            stop(self, trainer, error)
            return why_stopped(self, trainer)


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
