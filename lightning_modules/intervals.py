"""Conformal intervals: quantiles scaled so that they cover as much of the validation as they should."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .losses import window_mean
from .metrics import TINY


def compute_coverage_and_width(forecast: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the fraction of values between the lowest and the highest quantile, and the mean distance of these two.

    Args:
        forecast: quantiles in rising order, (B, P, C, Q).
        y: the truth, (B, P, C).

    Returns:
        Coverage in [0, 1], (), and width in the units of `y`, ().
    """
    low, high = forecast[..., 0], forecast[..., -1]
    return window_mean(((low <= y) & (y <= high)).float(), y), window_mean(high - low, y)


def scale_quantiles(forecast: Tensor, conformal_scale: Tensor) -> Tensor:
    """Multiply the distances of each pair of quantiles from the middle one, (B, P, C, Q).

    Args:
        forecast: quantiles in rising order, (B, P, C, Q).
        conformal_scale: factors of the pairs, the outermost first, (Q // 2,).
    """
    middle = forecast[..., len(conformal_scale), None]
    factors = torch.cat([conformal_scale, conformal_scale.new_ones(1), conformal_scale.flip(0)])
    return middle + (forecast - middle) * factors


def compute_conformity_scores(forecast: Tensor, y: Tensor) -> Tensor:
    """Compute for each known value the factors with which the pairs of quantiles would just reach it, (N, Q // 2).

    Args:
        forecast: quantiles in rising order, (B, P, C, Q).
        y: the truth, (B, P, C); NaN where a value is not known.
    """
    forecast, y = forecast[~y.isnan()], y[~y.isnan()][:, None]
    num_pairs = forecast.shape[-1] // 2
    middle = forecast[:, num_pairs, None]
    below = (middle - forecast[:, :num_pairs]).clamp(min=TINY)
    above = (forecast[:, num_pairs + 1 :].flip(-1) - middle).clamp(min=TINY)
    return torch.maximum((middle - y) / below, (y - middle) / above)


def compute_conformal_scale(scores: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Compute the factors with which each pair covers the fraction of the values that it should, (Q // 2,).

    Source: Romano, Patterson and Candes 2019, "Conformalized Quantile Regression" (NeurIPS), theorem 1, here with
    distances relative to the interval's own, as in Kivaranovic, Johnson and Leeb 2020, "Adaptive, Distribution-Free
    Prediction Intervals for Deep Networks" (AISTATS), section 3.

    Args:
        scores: conformity scores of the values of the validation, (N, Q // 2).
        quantiles: levels, Q of them.
    """
    count = len(scores)
    levels = [quantiles[-1 - pair] - quantiles[pair] for pair in range(scores.shape[1])]
    ranks = [min(math.ceil(level * (count + 1)), count) for level in levels]
    return torch.stack([scores[:, pair].kthvalue(rank).values for pair, rank in enumerate(ranks)])


def compute_interval_radius(errors: Tensor, level: float) -> Tensor:
    """Compute the radius within which a fraction of the absolute errors lies, for each target, (K,).

    -1 where there are too few errors for that level.
    Source: Lei et al. 2018, "Distribution-Free Predictive Inference for Regression", algorithm 2 (split conformal).

    Args:
        errors: absolute errors of the validation split, (N, K).
        level: fraction of the values that intervals shall cover, in (0, 1).
    """
    rank = math.ceil(level * (len(errors) + 1))
    if rank > len(errors):
        return errors.new_full(errors.shape[1:], -1)
    return errors.kthvalue(rank, 0).values
