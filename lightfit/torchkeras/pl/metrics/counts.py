"""Predictions of any kind as labels, and how often each class is predicted and is right."""

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

REDUCTIONS = ("micro", "macro", "weighted", "none")


def to_labels(preds: Tensor, target: Tensor, threshold: float = 0.5) -> tuple[Tensor, Tensor]:
    """Return predictions and targets as labels of one shape, int64; what the predictions are is found by their shape.

    Args:
        preds: scores of classes (N, C, ...) for a target (N, ...); or of the shape of the target: labels, of integers
            or whole floats, or probabilities of the positive class. (N, 1) is taken with a target (N,), too.
        target: labels, integers or whole floats.
        threshold: the least probability of a positive.

    Raises:
        ValueError: the shapes do not match.
    """
    if preds.ndim == target.ndim + 1 and preds.shape[1] == 1:
        preds = preds[:, 0]
    if preds.ndim == target.ndim + 1:
        preds = preds.argmax(1)
    if preds.shape != target.shape:
        raise ValueError(
            f"expected `preds` of the shape of `target`, or with a dimension of classes after the first, received "
            f"{tuple(preds.shape)} and {tuple(target.shape)}"
        )
    if preds.is_floating_point():
        # By a tensor, not by `if`: no step waits for the device.
        are_labels = ((preds == preds.round()) & (preds >= 0)).all()
        preds = torch.where(are_labels, preds.long(), (preds >= threshold).long())
    return preds.long(), target.long()


def count_classes(preds: Tensor, target: Tensor, num_classes: int | None = None) -> Tensor:
    """Count pairs of target (rows) and predicted class (columns), (K, K) int64.

    Args:
        preds: as in `to_labels`.
        target: as in `to_labels`.
        num_classes: K; one more than the largest label if None.

    Raises:
        ValueError: a label is K or more.
    """
    labels, target = to_labels(preds, target)
    largest = int(torch.stack([labels.max(), target.max()]).max())
    num_classes = largest + 1 if num_classes is None else num_classes
    if largest >= num_classes:
        raise ValueError(f"expected labels below `num_classes` {num_classes}, received {largest}")
    at_least = max(num_classes, 2)  # as torchmetrics wants it
    counts = multiclass_confusion_matrix(labels.flatten(), target.flatten(), at_least, validate_args=False)
    return counts[:num_classes, :num_classes]


def one_hot(
    preds: Tensor, target: Tensor, num_classes: int, threshold: float, multilabel: bool
) -> tuple[Tensor, Tensor]:
    """Return predictions and targets by class, (K, M) int64 of 0 and 1; of one class: whether it is positive.

    Raises:
        ValueError: labels and `num_classes` contradict each other.
    """
    labels, target = to_labels(preds, target, threshold)
    if multilabel:
        if labels.ndim < 2 or labels.shape[1] != num_classes:
            raise ValueError(f"expected `target` (N, {num_classes}) of label sets, received {tuple(target.shape)}")
        return labels.movedim(1, 0).flatten(1), target.movedim(1, 0).flatten(1)
    largest = int(torch.stack([labels.max(), target.max()]).max())
    if largest >= max(num_classes, 2):
        raise ValueError(f"expected labels below `num_classes` {max(num_classes, 2)}, received {largest}")
    if num_classes == 1:
        return labels.reshape(1, -1), target.reshape(1, -1)
    eye = torch.eye(num_classes, dtype=torch.int64, device=labels.device)
    return eye[labels.flatten()].T, eye[target.flatten()].T


def divide_by_class(right: Tensor, of: Tensor, support: Tensor, reduction: str) -> Tensor:
    """Divide counts (K,) by counts (K,), over all classes or for each; 0 where there are none.

    Args:
        right: counts of what is right.
        of: counts of what it is a fraction of.
        support: samples of each class, the weights of `weighted`.
        reduction: micro, of all classes together; macro or weighted, the mean over classes; none, for each class.

    Raises:
        ValueError: the reduction is none of these.
    """
    if reduction == "micro":
        return torch.nan_to_num(right.sum() / of.sum(), nan=0.0)
    each = torch.nan_to_num(right / of, nan=0.0)
    if reduction == "macro":
        return each.mean()
    if reduction == "weighted":
        return (each * support / support.sum()).sum()
    if reduction in ("none", None):
        return each
    raise ValueError(f"expected a reduction over classes of {', '.join(REDUCTIONS)}, received '{reduction}'")
