"""Losses of classifiers and of forecasts, each a mean over the samples."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def classification_loss(
    logits: Tensor, y: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Compute the cross-entropy, mean over the batch, (); binary cross-entropy where there is one logit.

    Args:
        logits: (B, num_classes), or (B, 1) for two classes.
        y: labels (B,) int64, or (B, 1) float32 in {0, 1} with one logit; or soft labels (B, num_classes).
        label_smoothing: fraction of the target that is spread over all classes, in [0, 1).
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


def one_vs_rest_loss(
    logits: Tensor, y: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Compute the binary cross-entropy of each class against all others, summed over classes, mean over the batch, ().

    Args:
        logits: (B, num_classes).
        y: labels (B,) int64; or soft labels (B, num_classes).
        label_smoothing: fraction of the target that is spread over all classes, in [0, 1).
        class_weights: what a sample of each class counts, (num_classes,).
    """
    target = y.to(logits.dtype) if is_soft(y) else F.one_hot(y.reshape(-1).long(), logits.shape[1]).to(logits.dtype)
    weights = None if class_weights is None else target @ class_weights
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / logits.shape[1]
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
    return losses.mean() if weights is None else (losses * weights).mean()


def is_soft(y: Tensor) -> bool:
    """Return whether labels are soft, (B, num_classes), as those of mixed samples."""
    return y.ndim == 2 and y.shape[1] > 1


def _soft_loss(logits: Tensor, y: Tensor, label_smoothing: float, class_weights: Tensor | None) -> Tensor:
    if logits.shape[1] == 1:
        target = y[:, 1] * (1 - label_smoothing) + label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
    else:
        losses = F.cross_entropy(logits, y, label_smoothing=label_smoothing, reduction="none")
    return losses.mean() if class_weights is None else (losses * (y @ class_weights)).mean()


TINY_SQUARE = 1e-7  # the least that a squared percentage is taken of, the cookbook's


LOSSES = {
    "mse": lambda forecast, y: (forecast - y).square(),
    "mae": lambda forecast, y: (forecast - y).abs(),
    "huber": lambda forecast, y: F.huber_loss(forecast, y, reduction="none"),
    "mspe": lambda forecast, y: (forecast - y).square() / y.square().clamp(min=TINY_SQUARE),
}


def window_mean(values: Tensor, y: Tensor) -> Tensor:
    """Compute the mean over windows of each window's mean over its known values, ().

    So every window counts alike, and means of batches add up, however much is missing.

    Args:
        values: one for each value of the truth, (B, P, C).
        y: the truth, (B, P, C), nan where it is missing; a window without any known value counts for nothing.
    """
    known = ~y.isnan()
    counts = known.sum((1, 2))
    means = values.where(known, 0).sum((1, 2)) / counts.clamp(min=1)
    return means.sum() / (counts > 0).sum().clamp(min=1)


def forecast_loss(forecast: Tensor, y: Tensor, loss: str) -> Tensor:
    """Compute the loss of forecasts, mean over the windows, ().

    Args:
        forecast: (B, P, C).
        y: the truth, (B, P, C).
        loss: `mse`, `mae`, `huber` (quadratic within 1, then linear), or `mspe`, the cookbook's squared percentage.
    """
    return window_mean(LOSSES[loss](forecast, y.nan_to_num()), y)


def quantile_loss(forecast: Tensor, y: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Compute the pinball loss, mean over windows and quantiles, ().

    Source: Koenker and Bassett 1978, "Regression Quantiles", equation 2.1.

    Args:
        forecast: (B, P, C, Q).
        y: the truth, (B, P, C).
        quantiles: their levels, Q of them, each in (0, 1).
    """
    levels = torch.tensor(quantiles, device=y.device)
    error = y.nan_to_num()[..., None] - forecast
    return window_mean(torch.maximum(levels * error, (levels - 1) * error).mean(-1), y)
