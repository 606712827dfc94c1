"""Intervals around a forecast: the distribution of its errors over rolling origins.

Sources: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice" (FPP3), section 5.5, for intervals by
residuals; Lei et al. 2018, "Distribution-Free Predictive Inference for Regression" (JASA 113), section 5.2, for errors
relative to a local scale. Quantiles by one rising row of factors cannot cross.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .history import TINY, History, measure_scale

MOST_GROWTH = 1.0  # exponent of the step with which errors grow; 0.5 is a random walk's
PRIOR = 4.0  # errors of this many blocks count as normal ones


class Spread(nn.Module):
    """Quantiles around a forecast: rising factors times the window's own scale, a power of the step, and the target's.

    Args:
        num_targets: number of targets, C.
        num_quantiles: number of quantiles, Q, odd.
        season: number of steps in a season.
    """

    factors: Tensor  # of the quantiles, rising, the middle one 0, (Q,)
    growth: Tensor  # exponent of the step, ()
    sizes: Tensor  # of the targets' errors, (C,)
    floor: Tensor  # least scale of a window, (C,)

    def __init__(self, num_targets: int, num_quantiles: int, season: int) -> None:
        super().__init__()
        self.season = season
        self.register_buffer("factors", torch.linspace(-1, 1, num_quantiles) if num_quantiles > 1 else torch.zeros(1))
        self.register_buffer("growth", torch.tensor(0.5))
        self.register_buffer("sizes", torch.ones(num_targets))
        self.register_buffer("floor", torch.full((num_targets,), TINY))

    def forward(self, history: History, forecast: Tensor) -> Tensor:
        """Return quantiles around forecasts (B, C, P), (B, C, P, Q)."""
        return forecast[..., None] + self._measure(history, forecast.shape[-1])[..., None] * self.factors

    def measure_window(self, history: History) -> Tensor:
        """Measure the scale of windows, (B, C): the smaller mean distance of two steps, or of two seasons."""
        step = measure_scale(history, 1)
        if not 1 < self.season < history.length:
            return torch.maximum(step, self.floor)
        season = measure_scale(history, self.season)
        smaller = torch.where(season > 0, torch.minimum(step, season), step)
        return torch.maximum(smaller, self.floor)

    def _measure(self, history: History, horizon: int) -> Tensor:
        """Return the scale of each step's error, (B, C, P)."""
        steps = torch.arange(1, horizon + 1, device=self.growth.device, dtype=history.values.dtype)
        return (self.measure_window(history) * self.sizes)[..., None] * steps**self.growth

    def fit(
        self, history: History, forecast: Tensor, y: Tensor, quantiles: Sequence[float], *, num_blocks: int
    ) -> None:
        """Fit the distribution to the errors of rolling origins.

        Args:
            history: the windows, (N, C, L).
            forecast: forecasts that were not fitted on what follows, (N, C, P).
            y: what follows, (N, C, P); NaN where it is not known.
            quantiles: levels, Q of them.
            num_blocks: number of forecasts that do not overlap.
        """
        scales = measure_scale(history, 1)
        self.floor.copy_((0.1 * scales.mean(0)).clamp(min=TINY))
        errors = y - forecast
        relative = errors / self.measure_window(history)[..., None]
        size = relative.abs().nanmean((0, 2))
        overall = size.nanmean()
        weight = num_blocks / (num_blocks + PRIOR)
        self.sizes.copy_((weight * size + (1 - weight) * overall).nan_to_num(nan=1.0).clamp(min=TINY))
        by_step = (relative.abs() / self.sizes[:, None]).nanmean((0, 1))
        self.growth.copy_(_fit_growth(by_step, num_blocks))
        self.factors.copy_(self._find_factors(errors / self._measure(history, y.shape[-1]), quantiles, num_blocks))

    def _find_factors(self, ratios: Tensor, quantiles: Sequence[float], num_blocks: int) -> Tensor:
        """Find the factors of the quantiles: the errors' own, from few blocks alike on both sides and near normal."""
        ratios = ratios[~ratios.isnan()]
        levels = torch.tensor(quantiles, dtype=ratios.dtype)
        normal = torch.special.ndtri(levels)
        if len(ratios) < 2:
            return normal
        # A normal distribution's mean absolute value is 0.798 of its deviation.
        normal = normal * ratios.abs().mean() / 0.798
        ordered = torch.cat([ratios, -ratios]).sort().values  # the same below and above, from few errors
        symmetric = torch.quantile(ordered, levels)
        own = torch.quantile(ratios[:: max(1, len(ratios) // 1_000_000)], levels)
        own = own.where((levels - 0.5).sign() * own > 0, symmetric)
        many = num_blocks / (num_blocks + 10 * PRIOR)
        few = PRIOR / (num_blocks + PRIOR)
        factors = few * normal + (1 - few) * (many * own + (1 - many) * symmetric)
        factors = factors * (1 + 0.75 / max(num_blocks, 1))  # errors of new windows are larger than those chosen by
        factors[len(factors) // 2] = 0
        return factors.sort().values


def _fit_growth(by_step: Tensor, num_blocks: int) -> Tensor:
    """Fit the exponent with which mean absolute errors grow by the step, towards 0.5 with few blocks, ()."""
    steps = torch.arange(1, len(by_step) + 1, dtype=by_step.dtype).log()
    x, y = steps - steps.mean(), by_step.nan_to_num(nan=1.0).clamp(min=TINY).log()
    prior = PRIOR / max(num_blocks, 1)
    slope = ((x * y).sum() + 0.5 * prior) / (x.square().sum() + prior)
    return slope.clamp(0, MOST_GROWTH)
