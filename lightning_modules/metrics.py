"""Scores of classifiers, of label sets, numbers and forecasts, and how sure a mean over samples is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from .losses import is_soft


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """Compute the fraction of samples whose most probable class is the label, or the largest of soft labels, ()."""
    y = y.argmax(1) if is_soft(y) else y
    preds = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (preds == y.reshape(-1)).float().mean()


def probabilities(logits: Tensor) -> Tensor:
    """Compute probabilities (B, num_classes) float32; two columns from one logit."""
    logits = logits.float()
    if logits.shape[1] == 1:
        positive = logits.sigmoid()
        return torch.cat([1 - positive, positive], 1)
    return logits.softmax(1)


TINY = 1.17e-6  # the least that a percentage is taken of, as in torchmetrics


def absolute_percentage_error(forecast: Tensor, y: Tensor) -> Tensor:
    """Compute |forecast - y| / |y|, (B, P, C); with a tiny divisor where y is 0, as in torchmetrics, which the cookbook
    takes it from."""
    return (forecast - y).abs() / y.abs().clamp(min=TINY)


NUM_BINS = 15  # of calibration: the number in Guo et al. 2017, table 1
NUM_RESAMPLES, LEVEL = 2000, 0.95
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def classification_scores(probabilities: Floats, labels: Labels) -> dict[str, float]:
    """Compute scores over samples, each between 0 and 1 but for `log_loss`, nats, and `brier`, from 0 to 2.

    `balanced_accuracy` and `f1_macro` are means over the classes that occur, `auroc` one class against the rest, left
    out where a class does not occur; `ece` as in `calibration_table`; `top_5_accuracy` where there are more classes.

    Args:
        probabilities: (N, num_classes).
        labels: class of every sample, (N,).
    """
    from sklearn import metrics  # here, as it takes a second

    num_classes, preds = probabilities.shape[1], probabilities.argmax(1)
    one_hot = np.eye(num_classes)[labels]
    own = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, None)
    occurring = np.unique(labels)
    recall = metrics.recall_score(labels, preds, labels=occurring, average=None, zero_division=0)
    table = calibration_table(probabilities, labels)
    scores = {
        "balanced_accuracy": float(np.mean(recall)),
        "f1_macro": float(metrics.f1_score(labels, preds, labels=occurring, average="macro", zero_division=0)),
        "log_loss": float(-np.log(own).mean()),
        "brier": float(np.square(probabilities - one_hot).sum(1).mean()),
        "ece": expected_calibration_error(table),
    }
    if len(occurring) == num_classes:
        scores["auroc"] = float(
            metrics.roc_auc_score(one_hot, probabilities, average="macro")
            if num_classes > 2
            else metrics.roc_auc_score(labels, probabilities[:, 1])
        )
    if num_classes > 5:
        top = np.argsort(-probabilities, 1)[:, :5]
        scores["top_5_accuracy"] = float((top == labels[:, None]).any(1).mean())
    return scores


def class_table(probabilities: Floats, labels: Labels, names: Sequence[str]) -> pd.DataFrame:
    """Tabulate each class: `class`, `precision`, `recall`, `f1` (NaN where there is nothing to divide by), `support`.

    Args:
        probabilities: (N, num_classes).
        labels: class of every sample, (N,).
        names: names of the classes.
    """
    from sklearn.metrics import precision_recall_fscore_support

    classes = range(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=classes, zero_division=np.nan
    )
    return pd.DataFrame({"class": names, "precision": precision, "recall": recall, "f1": f1, "support": support})


def calibration_table(probabilities: Floats, labels: Labels, *, num_bins: int = NUM_BINS) -> pd.DataFrame:
    """Tabulate how often the most probable class was right, by its probability: a row for each bin that is used.

    Columns: `confidence` and `accuracy`, means over the bin, and `samples`.

    Args:
        probabilities: (N, num_classes).
        labels: class of every sample, (N,).
        num_bins: number of bins of equal width between 0 and 1.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    held = pd.DataFrame({"confidence": confidence, "accuracy": right.astype(float), "samples": 1})
    return held.groupby(place).agg({"confidence": "mean", "accuracy": "mean", "samples": "sum"}).reset_index(drop=True)


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Compute the mean difference of confidence and accuracy, weighted by samples.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.

    Args:
        table: a `calibration_table`.
    """
    gap = (table["confidence"] - table["accuracy"]).abs()
    return float((gap * table["samples"]).sum() / table["samples"].sum())


def bootstrap_interval(
    values: Floats, *, weights: Floats | None = None, block: int = 1, seed: int = 0
) -> tuple[float, float]:
    """Compute the 95 % interval of a mean over samples: percentiles over 2,000 resamples; NaN for under two blocks.

    Samples are drawn in blocks of neighbours, which keeps what overlapping windows of a series have in common. Source:
    Künsch 1989, "The Jackknife and the Bootstrap for General Stationary Observations", section 2.4; with blocks of one
    it is Efron's of 1979.

    Args:
        values: whose mean it is, (N,).
        weights: divides by their sum instead, for the ratio of two sums over samples such as F1, (N,).
        block: number of samples in a block.
        seed: seed of the draw.
    """
    if len(values) < 2 * block:
        return float("nan"), float("nan")
    sums = np.concatenate([[0.0], np.cumsum(values)])
    weight_sums = None if weights is None else np.concatenate([[0.0], np.cumsum(weights)])
    starts_possible, num_blocks = len(values) - block + 1, -(-len(values) // block)
    rng = np.random.default_rng(seed)
    means = np.empty(NUM_RESAMPLES)
    for resample in range(NUM_RESAMPLES):  # one at a time: all at once would take gigabytes for a large split
        starts = rng.integers(0, starts_possible, num_blocks)
        divisor = (
            num_blocks * block if weight_sums is None else (weight_sums[starts + block] - weight_sums[starts]).sum()
        )
        means[resample] = (sums[starts + block] - sums[starts]).sum() / (divisor or 1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def label_set_scores(probabilities: Floats, thresholds: Floats, y: Labels) -> dict[str, float]:
    """Compute scores of sets of labels, each between 0 and 1.

    `f1_macro` and `mAP` (the mean of the average precision, which needs no threshold) are means over the labels that
    occur; `subset_accuracy` is the fraction of samples with exactly the right set.

    Args:
        probabilities: (N, K).
        thresholds: that a probability must reach, (K,).
        y: labels of 0 and 1, (N, K).
    """
    from sklearn.metrics import average_precision_score  # here, as it takes a second

    chosen, present = probabilities >= thresholds, y > 0
    table = label_table(probabilities, thresholds, y, [""] * y.shape[1])
    occurring = np.flatnonzero(present.any(0))
    total = chosen.sum() + present.sum()
    scores = {"f1_micro": float(2 * (chosen & present).sum() / total) if total else 0.0}
    if len(occurring):
        scores["f1_macro"] = float(table["f1"].fillna(0).to_numpy()[occurring].mean())
        precisions = [average_precision_score(present[:, label], probabilities[:, label]) for label in occurring]
        scores["mAP"] = float(np.mean(precisions))
    return scores | {"subset_accuracy": float((chosen == present).all(1).mean())}


def label_table(probabilities: Floats, thresholds: Floats, y: Labels, names: Sequence[str]) -> pd.DataFrame:
    """Tabulate each label: `label`, `threshold`, `precision`, `recall`, `f1` (NaN where it is 0 / 0), `support`.

    Args:
        probabilities: (N, K).
        thresholds: that a probability must reach, (K,).
        y: labels of 0 and 1, (N, K).
        names: names of the labels.
    """
    chosen, present = probabilities >= thresholds, y > 0
    hits, num_chosen, support = (chosen & present).sum(0), chosen.sum(0), present.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.DataFrame(
            {
                "label": list(names),
                "threshold": thresholds,
                "precision": hits / num_chosen,
                "recall": hits / support,
                "f1": 2 * hits / (num_chosen + support),
                "support": support,
            }
        )


def number_table(predictions: Floats, y: Floats, names: Sequence[str]) -> pd.DataFrame:
    """Tabulate each number: `name`, `mae`, `rmse`, `r2`, `coverage` and `width` of the interval.

    `r2` is NaN where the truth does not vary, the last two where there is no interval.

    Args:
        predictions: the number and the ends of its interval, (N, K, 3), in the units of the data.
        y: the truth, (N, K), likewise.
        names: names of the numbers.
    """
    value, low, high = (predictions[..., place] for place in range(3))
    squares, variation = np.square(value - y).sum(0), np.square(y - y.mean(0)).sum(0)
    known = (low <= high).all(0)
    inside = ((low <= y) & (y <= high)).mean(0)
    return pd.DataFrame(
        {
            "name": list(names),
            "mae": np.abs(value - y).mean(0),
            "rmse": np.sqrt(squares / len(y)),
            "r2": 1 - squares / np.where(variation > 0, variation, np.nan),
            "coverage": np.where(known, inside, np.nan),
            "width": np.where(known, (high - low).mean(0), np.nan),
        }
    )


def number_scores(table: pd.DataFrame) -> dict[str, float]:
    """Average the columns of a `number_table` over the numbers; left out where they are not defined for all."""
    means = table[["mae", "rmse", "r2", "coverage", "width"]].mean(skipna=False)
    return {str(name): float(value) for name, value in means.items() if not np.isnan(value)}
