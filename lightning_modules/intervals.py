"""Conformal intervals: quantiles scaled so that they cover as much of the validation as they should."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .losses import window_mean
from .metrics import TINY


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
