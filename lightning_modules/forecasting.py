"""Losses and scores of forecasts; missing values of the truth, which are nan, count for nothing."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TINY_SQUARE, TINY = 1e-7, 1.17e-6  # the least that a percentage is taken of: the cookbook's, squared and not
LOSSES = {
    "mse": lambda forecast, y: (forecast - y).square(),
    "mae": lambda forecast, y: (forecast - y).abs(),
    "huber": lambda forecast, y: F.huber_loss(forecast, y, reduction="none"),
    "mspe": lambda forecast, y: (forecast - y).square() / y.square().clamp(min=TINY_SQUARE),
}


def window_mean(values: Tensor, y: Tensor) -> Tensor:
    """The mean over windows of each window's mean over what is known of it, scalar.

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
    """The loss of forecasts, mean over the windows (scalar).

    Args:
        forecast: (B, P, C).
        y: the truth, (B, P, C).
        loss: `mse`, `mae`, `huber` (quadratic within 1, then linear), or `mspe`, the cookbook's squared percentage.
    """
    return window_mean(LOSSES[loss](forecast, y.nan_to_num()), y)


def quantile_loss(forecast: Tensor, y: Tensor, quantiles: Sequence[float]) -> Tensor:
    """The pinball loss, mean over windows and quantiles (scalar).

    Source: Koenker and Bassett 1978, "Regression Quantiles", equation 2.1.

    Args:
        forecast: (B, P, C, Q).
        y: the truth, (B, P, C).
        quantiles: their levels, Q of them, each in (0, 1).
    """
    levels = torch.tensor(quantiles, device=y.device)
    error = y.nan_to_num()[..., None] - forecast
    return window_mean(torch.maximum(levels * error, (levels - 1) * error).mean(-1), y)


def absolute_percentage_error(forecast: Tensor, y: Tensor) -> Tensor:
    """|forecast - y| as a part of |y|, (B, P, C); of a tiny number where y is 0, as in torchmetrics, which the cookbook
    takes it from."""
    return (forecast - y).abs() / y.abs().clamp(min=TINY)


def coverage_and_width(forecast: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of the interval between the lowest and the highest quantile: the part of the values within, and its mean width.

    Args:
        forecast: quantiles in rising order, (B, P, C, Q).
        y: the truth, (B, P, C).
    """
    low, high = forecast[..., 0], forecast[..., -1]
    return window_mean(((low <= y) & (y <= high)).float(), y), window_mean(high - low, y)


def stretched(forecast: Tensor, stretch: Tensor) -> Tensor:
    """Quantiles with each pair's distances from the middle one multiplied, (B, P, C, Q).

    Args:
        forecast: quantiles in rising order, (B, P, C, Q).
        stretch: factors of the pairs, the outermost first, (Q // 2,).
    """
    middle = forecast[..., len(stretch), None]
    factors = torch.cat([stretch, stretch.new_ones(1), stretch.flip(0)])
    return middle + (forecast - middle) * factors


def stretch_needed(forecast: Tensor, y: Tensor) -> Tensor:
    """For each value that is known the factors by which the pairs would just reach it, (N, Q // 2).

    Args:
        forecast: quantiles in rising order, (B, P, C, Q).
        y: the truth, (B, P, C).
    """
    forecast, y = forecast[~y.isnan()], y[~y.isnan()][:, None]
    num_pairs = forecast.shape[-1] // 2
    middle = forecast[:, num_pairs, None]
    below = (middle - forecast[:, :num_pairs]).clamp(min=TINY)
    above = (forecast[:, num_pairs + 1 :].flip(-1) - middle).clamp(min=TINY)
    return torch.maximum((middle - y) / below, (y - middle) / above)


def calibrate_stretch(needed: Tensor, quantiles: Sequence[float]) -> Tensor:
    """The factors with which each pair covers the part of the values that it should, (Q // 2,).

    Source: Romano, Patterson and Candes 2019, "Conformalized Quantile Regression" (NeurIPS), theorem 1, here with
    distances relative to the interval's own, as in Kivaranovic, Johnson and Leeb 2020, "Adaptive, Distribution-Free
    Prediction Intervals for Deep Networks" (AISTATS), section 3.

    Args:
        needed: what `stretch_needed` gave for the values of the validation, (N, Q // 2).
        quantiles: levels, Q of them.
    """
    count = len(needed)
    levels = [quantiles[-1 - pair] - quantiles[pair] for pair in range(needed.shape[1])]
    ranks = [min(math.ceil(level * (count + 1)), count) for level in levels]
    return torch.stack([needed[:, pair].kthvalue(rank).values for pair, rank in enumerate(ranks)])
