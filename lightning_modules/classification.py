"""Loss, accuracy and probabilities of classifiers, with a logit per class or one logit for two classes."""

import torch
import torch.nn.functional as F
from torch import Tensor


def classification_loss(
    logits: Tensor, y: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy, mean over the batch (scalar); binary cross-entropy where there is one logit.

    Args:
        logits: (B, num_classes), or (B, 1) for two classes.
        y: labels (B,) int64, or (B, 1) float32 in {0, 1} with one logit; or parts of each class (B, num_classes).
        label_smoothing: part of the target that is spread over all classes, in [0, 1).
        class_weights: what a sample of each class counts, (num_classes,); the mean is over samples, not over weights,
            so that means of batches add up.
    """
    if is_soft(y):
        return _soft_loss(logits, y, label_smoothing, class_weights)
    labels = y.reshape(-1).long()
    if logits.shape[1] == 1:
        target = labels.to(logits.dtype)
        if label_smoothing:
            target = target * (1 - label_smoothing) + label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
    else:
        losses = F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
    return losses.mean() if class_weights is None else (losses * class_weights[labels]).mean()


def is_soft(y: Tensor) -> bool:
    """Whether labels are parts of each class, (B, num_classes), as mixed samples have them."""
    return y.ndim == 2 and y.shape[1] > 1


def _soft_loss(logits: Tensor, y: Tensor, label_smoothing: float, class_weights: Tensor | None) -> Tensor:
    if logits.shape[1] == 1:
        target = y[:, 1] * (1 - label_smoothing) + label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
    else:
        losses = F.cross_entropy(logits, y, label_smoothing=label_smoothing, reduction="none")
    return losses.mean() if class_weights is None else (losses * (y @ class_weights)).mean()


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """The fraction of samples whose most probable class is the label, or the largest part of one (scalar)."""
    y = y.argmax(1) if is_soft(y) else y
    preds = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (preds == y.reshape(-1)).float().mean()


def probabilities(logits: Tensor) -> Tensor:
    """(B, num_classes) float32; two columns from one logit."""
    logits = logits.float()
    if logits.shape[1] == 1:
        positive = logits.sigmoid()
        return torch.cat([1 - positive, positive], 1)
    return logits.softmax(1)
