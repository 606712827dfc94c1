"""Metrics of one batch, as functions: those of `pytorch_lightning.metrics.functional` in Lightning 1.1.

Whether labels, label sets or probabilities are given is found by shape and values, as it was there. Counts of classes
are computed here; curves, errors and image metrics are torchmetrics'.
"""

from typing import Any, NamedTuple

import torch
import torchmetrics.functional as tm
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.functional.regression import (
    explained_variance,
    mean_absolute_error,
    mean_squared_error,
    mean_squared_log_error,
)
from torchmetrics.functional.text import bleu_score
from torchmetrics.utilities.compute import auc as compute_area

from .counts import count_classes, divide_by_class, one_hot, to_labels

__all__ = [
    "accuracy",
    "auc",
    "auroc",
    "average_precision",
    "bleu_score",
    "confusion_matrix",
    "explained_variance",
    "f1",
    "f1_score",
    "fbeta",
    "fbeta_score",
    "iou",
    "mean_absolute_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "multiclass_auroc",
    "precision",
    "precision_recall",
    "precision_recall_curve",
    "psnr",
    "recall",
    "roc",
    "ssim",
    "stat_scores",
    "to_categorical",
    "to_onehot",
]


def accuracy(
    preds: Tensor,
    target: Tensor,
    num_classes: int | None = None,
    class_reduction: str = "micro",
    *,
    threshold: float = 0.5,
) -> Tensor:
    """Compute the fraction of labels that are right, (); or of each class's, as `class_reduction` says."""
    if class_reduction == "micro":
        labels, target = to_labels(preds, target, threshold)
        return (labels == target).float().mean()
    counts = count_classes(*to_labels(preds, target, threshold), num_classes)
    return divide_by_class(counts.diag(), counts.sum(1), counts.sum(1), class_reduction)


class PrecisionRecall(NamedTuple):
    """Precision and recall, over all classes or of each."""

    precision: Tensor
    recall: Tensor


def precision_recall(
    preds: Tensor, target: Tensor, num_classes: int | None = None, class_reduction: str = "micro"
) -> PrecisionRecall:
    """Compute precision and recall of all classes, the negative one included; `micro` makes both the accuracy."""
    counts = count_classes(preds, target, num_classes)
    right, support = counts.diag(), counts.sum(1)
    return PrecisionRecall(
        divide_by_class(right, counts.sum(0), support, class_reduction),
        divide_by_class(right, support, support, class_reduction),
    )


def precision(preds: Tensor, target: Tensor, num_classes: int | None = None, class_reduction: str = "micro") -> Tensor:
    """Compute the precision, as `precision_recall` does."""
    return precision_recall(preds, target, num_classes, class_reduction).precision


def recall(preds: Tensor, target: Tensor, num_classes: int | None = None, class_reduction: str = "micro") -> Tensor:
    """Compute the recall, as `precision_recall` does."""
    return precision_recall(preds, target, num_classes, class_reduction).recall


def fbeta(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    beta: float = 1.0,
    threshold: float = 0.5,
    average: str = "micro",
    multilabel: bool = False,
) -> Tensor:
    """Compute the F-beta score; with `num_classes` 1 that of the positive class."""
    predicted, true = one_hot(preds, target, num_classes, threshold, multilabel)
    right, support = (predicted * true).sum(1), true.sum(1)
    weight = beta**2
    return divide_by_class((1 + weight) * right, weight * support + predicted.sum(1), support, average)


def f1(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    threshold: float = 0.5,
    average: str = "micro",
    multilabel: bool = False,
) -> Tensor:
    """Compute the F1 score, as `fbeta` does."""
    return fbeta(preds, target, num_classes, 1.0, threshold, average, multilabel)


def fbeta_score(
    preds: Tensor, target: Tensor, beta: float, num_classes: int | None = None, class_reduction: str = "micro"
) -> Tensor:
    """Compute the F-beta score of all classes, the negative one included."""
    return fbeta(preds, target, num_classes or len(count_classes(preds, target)), beta, 0.5, class_reduction)


def f1_score(preds: Tensor, target: Tensor, num_classes: int | None = None, class_reduction: str = "micro") -> Tensor:
    """Compute the F1 score of all classes, the negative one included."""
    return fbeta_score(preds, target, 1.0, num_classes, class_reduction)


def confusion_matrix(
    preds: Tensor, target: Tensor, num_classes: int, normalize: str | None = None, threshold: float = 0.5
) -> Tensor:
    """Count pairs of target (rows) and predicted class (columns), (K, K) float32.

    Args:
        preds: as in `to_labels`.
        target: as in `to_labels`.
        num_classes: K.
        normalize: `true`, rows add up to 1; `pred`, columns do; `all`, everything does.
        threshold: the least probability of a positive.
    """
    return normalize_counts(count_classes(*to_labels(preds, target, threshold), num_classes), normalize)


def normalize_counts(counts: Tensor, normalize: str | None) -> Tensor:
    """Divide the counts (K, K) of a confusion matrix as in `confusion_matrix`; 0 where there are none.

    Raises:
        ValueError: `normalize` is unknown.
    """
    sums = {"true": counts.sum(1, keepdim=True), "pred": counts.sum(0, keepdim=True), "all": counts.sum()}
    if normalize is None:
        return counts.float()
    if normalize not in sums:
        raise ValueError(f"expected `normalize` as true, pred, all or None, received '{normalize}'")
    return torch.nan_to_num(counts / sums[normalize], nan=0.0)


def stat_scores(preds: Tensor, target: Tensor, class_index: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Count true and false positives, true and false negatives and samples of a class, each () int64."""
    labels, target = to_labels(preds, target)
    predicted, true = labels == class_index, target == class_index
    counted = (predicted & true, predicted & ~true, ~predicted & ~true, ~predicted & true, true)
    tp, fp, tn, fn, support = (item.sum() for item in counted)
    return tp, fp, tn, fn, support


def iou(preds: Tensor, target: Tensor, num_classes: int | None = None, reduction: str = "elementwise_mean") -> Tensor:
    """Compute the intersection over union of each class, and the mean of them; 0 for a class that nothing is of.

    Args:
        preds: as in `to_labels`.
        target: as in `to_labels`.
        num_classes: number of classes.
        reduction: elementwise_mean, sum or none.
    """
    counts = count_classes(preds, target, num_classes)
    right = counts.diag()
    each = torch.nan_to_num(right / (counts.sum(0) + counts.sum(1) - right), nan=0.0)
    if reduction not in ("elementwise_mean", "sum", "none"):
        raise ValueError(f"expected `reduction` as elementwise_mean, sum or none, received '{reduction}'")
    return {"elementwise_mean": each.mean(), "sum": each.sum(), "none": each}[reduction]


def auc(x: Tensor, y: Tensor) -> Tensor:
    """Compute the area under a curve by the trapezoidal rule; `x` is sorted, up or down."""
    return compute_area(x.float(), y.float())


def _compute(function: Any, preds: Tensor, target: Tensor) -> Any:
    """Call a function of torchmetrics with the task that the shapes say."""
    is_multiclass = preds.ndim == target.ndim + 1 and preds.shape[1] > 1
    if preds.ndim == target.ndim + 1 and not is_multiclass:
        preds = preds[:, 0]
    task = {"task": "multiclass", "num_classes": preds.shape[1]} if is_multiclass else {"task": "binary"}
    # Integers as float64: torchmetrics squashes scores beyond [0, 1], in which close ones become equal.
    return function(preds if preds.is_floating_point() else preds.double(), target.long(), **task)


def auroc(preds: Tensor, target: Tensor) -> Tensor:
    """Compute the area under the ROC curve, of several classes the mean of each against the rest."""
    return _compute(tm.auroc, preds, target)


def multiclass_auroc(preds: Tensor, target: Tensor, num_classes: int | None = None) -> Tensor:
    """Compute the mean area under the ROC curves of probabilities (N, C)."""
    area = tm.auroc(preds, target.long(), task="multiclass", num_classes=num_classes or preds.shape[1])
    assert area is not None
    return area


def average_precision(preds: Tensor, target: Tensor) -> Tensor:
    """Compute the average precision, of several classes the mean of each against the rest."""
    return _compute(tm.average_precision, preds, target)


def roc(preds: Tensor, target: Tensor) -> Any:
    """Return false positive rates, true positive rates and thresholds; of several classes, lists of each."""
    return _compute(tm.roc, preds, target)


def precision_recall_curve(preds: Tensor, target: Tensor) -> Any:
    """Return precisions, recalls and thresholds; of several classes, lists of each."""
    return _compute(tm.precision_recall_curve, preds, target)


def psnr(preds: Tensor, target: Tensor, data_range: float | None = None, base: float = 10.0) -> Tensor:
    """Compute the peak signal-to-noise ratio, in dB; the range is that of the target unless it is given."""
    span = float(target.max() - target.min()) if data_range is None else data_range
    return peak_signal_noise_ratio(preds, target, data_range=span, base=base)


def ssim(preds: Tensor, target: Tensor, data_range: float | None = None) -> Tensor:
    """Compute the mean structural similarity of images (B, C, H, W)."""
    similarity = structural_similarity_index_measure(preds, target, data_range=data_range)
    assert isinstance(similarity, Tensor)
    return similarity


def to_onehot(labels: Tensor, num_classes: int | None = None) -> Tensor:
    """Return labels (N, ...) as (N, C, ...), of their dtype."""
    num_classes = int(labels.max()) + 1 if num_classes is None else num_classes
    return torch.nn.functional.one_hot(labels.long(), num_classes).movedim(-1, 1).to(labels.dtype)


def to_categorical(scores: Tensor, argmax_dim: int = 1) -> Tensor:
    """Return the class of the largest score along a dimension, int64."""
    return scores.argmax(argmax_dim)
