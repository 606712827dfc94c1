"""Forecasts without parameters: the last value, the last season, drift, mean and median.

Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice" (FPP3), section 5.2.
"""

import torch
from torch import Tensor

from .history import History


def forecast_last(history: History, horizon: int) -> Tensor:
    """Repeat the last value, (B, C, P)."""
    return history.last.expand(-1, -1, horizon)


def forecast_season(history: History, horizon: int, season: int) -> Tensor:
    """Repeat the last season, (B, C, P); where a step of it is not known, the last value."""
    if season > history.length:
        return forecast_last(history, horizon)
    steps = torch.arange(horizon, device=history.values.device) % season - season
    known = history.known[..., steps]
    return history.values[..., steps] * known + history.last * (1 - known)


def forecast_drift(history: History, horizon: int) -> Tensor:
    """Continue the line through the first and the last known value, (B, C, P)."""
    values, known = history
    before = torch.cat([torch.zeros_like(known[..., :1]), known.cumsum(-1)[..., :-1].clamp(max=1)], -1)
    is_first = known * (1 - before)
    position = torch.arange(history.length, device=values.device, dtype=values.dtype)
    first, start = (values * is_first).sum(-1), (position * is_first).sum(-1)
    slope = (history.last[..., 0] - first) / (history.length - 1 - start).clamp(min=1)
    slope = slope * (history.num_known > 1)
    ahead = torch.arange(1, horizon + 1, device=values.device, dtype=values.dtype)
    return history.last + slope[..., None] * ahead


def forecast_mean(history: History, horizon: int) -> Tensor:
    """Repeat the mean of the known values, (B, C, P)."""
    return history.mean.expand(-1, -1, horizon)


def forecast_median(history: History, horizon: int) -> Tensor:
    """Repeat the median of the known values, (B, C, P): of counts that are mostly 0, it is 0."""
    values, known = history
    largest = values.abs().amax(-1, keepdim=True) + 1
    ordered = (values * known + largest * (1 - known)).sort(-1).values
    middle = ((history.num_known - 1) / 2).long()
    return ordered.gather(-1, middle[..., None]).expand(-1, -1, horizon)
