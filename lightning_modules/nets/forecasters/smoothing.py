"""Exponential smoothing with a damped trend and an additive season, over a grid of parameters.

Sources: Gardner 1985, "Exponential smoothing: The state of the art" (Journal of Forecasting 4); Hyndman and
Athanasopoulos, "Forecasting: Principles and Practice" (FPP3), sections 8.5 (the recursions) and 8.6 (AICc); Kolassa
2011, "Combining exponential smoothing forecasts using Akaike weights" (International Journal of Forecasting 27). On
logarithms the same recursions have a multiplicative trend and season.
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .history import TINY, History, find_seasonal_pattern

ALPHAS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.999)  # of the level
TRENDS = ((0.0, 0.0), (0.0, 1.0), (0.1, 1.0), (0.4, 1.0), (0.1, 0.95), (0.3, 0.9))  # share of alpha, damping
GAMMAS = (0.0, 0.1, 0.4)  # of the season, as shares of 1 - alpha
MOST_PLAIN, MOST_SEASONAL = 16, 24  # models that are kept
MOST_STEPS, MOST_SEASONS = 128, 5  # at the end of a window
START = 10  # known steps, by which the first level and trend are estimated


class Smoothed(NamedTuple):
    """What a grid of models makes of windows: forecasts (B, C, G, P), and mean squared errors (B, C, G)."""

    forecasts: Tensor
    errors: Tensor


def choose_steps(season: int) -> int:
    """Choose the number of steps at a window's end that recursions run along: those before have little weight."""
    return max(MOST_STEPS, MOST_SEASONS * season)


def make_grid(is_seasonal: bool) -> Tensor:
    """Return the models: alpha, beta, damping, gamma and the number of parameters beside the season's, (G, 5)."""
    rows = []
    for alpha, (share, damping), gamma in itertools.product(ALPHAS, TRENDS, GAMMAS if is_seasonal else (0.0,)):
        count = 2 + (damping > 0) * (1 + (share > 0) + (0 < damping < 1))
        rows.append([alpha, alpha * share, damping, (1 - alpha) * gamma, count + (gamma > 0)])
    return torch.tensor(rows)


def smooth(history: History, grid: Tensor, pattern: Tensor | None, horizon: int) -> Smoothed:
    """Run the models of a grid along the windows, and forecast.

    Args:
        history: the windows.
        grid: as returned by `make_grid`.
        pattern: seasonal pattern (B, C, season) to begin from, or None.
        horizon: number of steps to forecast, P.
    """
    values, known = history
    alpha, beta, damping, gamma = (grid[:, index].to(values) for index in range(4))
    states = None
    plain = values
    if pattern is not None:
        season = pattern.shape[-1]
        plain = values - pattern[..., torch.arange(-history.length, 0, device=values.device) % season]
        states = [pattern[..., place, None].expand(*values.shape[:2], len(grid)) for place in range(season)]
    level, trend = _begin(History(plain, known))
    has_trend = (damping > 0).to(values.dtype)
    begins = (damping == 0).to(values.dtype) * _begin_level(History(plain, known))[..., None]
    level = level[..., None] * has_trend + begins
    trend = trend[..., None] * has_trend
    total = torch.zeros_like(level)
    started = known.cumsum(-1).clamp(max=1)
    steps = zip(*(item[..., None].unbind(2) for item in (values, known, started)), strict=True)
    for step, (value, present, begun) in enumerate(steps):
        expected = level + damping * trend
        place = (step - history.length) % (len(states) if states else 1)
        error = value - expected
        if states is not None:
            error = error - states[place]
        error = error * present
        level = level + begun * (expected - level + alpha * error)
        trend = trend + begun * ((damping - 1) * trend * has_trend + beta * error)
        if states is not None:
            states[place] = states[place] + gamma * error
        total = total + error.square()
    ahead = torch.arange(1, horizon + 1, device=values.device, dtype=values.dtype)
    sums = (damping[:, None] ** ahead).cumsum(-1)  # (G, P)
    forecasts = level[..., None] + trend[..., None] * sums
    if states is not None:
        forecasts = forecasts + torch.stack([states[step % len(states)] for step in range(horizon)], -1)
    return Smoothed(forecasts, total / history.num_known[..., None])


def weigh_by_aicc(errors: Tensor, count: Tensor, num_parameters: Tensor) -> Tensor:
    """Return Akaike weights of models, (B, C, G), by the corrected criterion; 0 where the window is too short.

    Args:
        errors: mean squared errors in the window, (B, C, G).
        count: number of known steps, (B, C).
        num_parameters: of each model, with the error's variance, (G,).
    """
    n, k = count[..., None], num_parameters
    rest = n - k - 1
    aicc = n * errors.clamp(min=TINY**2).log() + 2 * k * n / rest.clamp(min=0.5)
    aicc = aicc + 1e6 * (rest < 1)
    return (-(aicc - aicc.amin(-1, keepdim=True)) / 2).softmax(-1)


class Smoothing(nn.Module):
    """The mean of the models of a grid in their Akaike weights, by each window's own errors.

    The whole grid is run on some windows once (`choose`); the models that had the most weight there are kept.

    Args:
        lookback, horizon, season: sizes of the windows.
    """

    plain: Tensor  # models without a season, (G, 5), as `make_grid` returns them
    seasonal: Tensor

    def __init__(self, *, lookback: int, horizon: int, season: int) -> None:
        super().__init__()
        self.horizon, self.season = horizon, season
        self.is_seasonal = 1 < season <= lookback // 2
        self.register_buffer("plain", make_grid(False)[:MOST_PLAIN])
        self.register_buffer("seasonal", make_grid(True)[:MOST_SEASONAL] if self.is_seasonal else torch.zeros(0, 5))

    def choose(self, history: History) -> None:
        """Keep the models that have the most weight on some windows."""
        grids = make_grid(False).to(history.values), make_grid(True).to(history.values)
        weights = self._run(history, *grids)[0].mean((0, 1))
        number = len(grids[0])
        self.plain.copy_(grids[0][weights[:number].topk(len(self.plain)).indices.sort().values])
        if self.is_seasonal:
            self.seasonal.copy_(grids[1][weights[number:].topk(len(self.seasonal)).indices.sort().values])

    def forward(self, history: History) -> Tensor:
        """Forecast, (B, C, P)."""
        weights, forecasts = self._run(history, self.plain, self.seasonal)
        return (weights[..., None] * forecasts).sum(2)

    def _run(self, history: History, plain: Tensor, seasonal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of all models, (B, C, G), and their forecasts, (B, C, G, P)."""
        history = history.take_last(choose_steps(self.season))
        smoothed, counts = [smooth(history, plain, None, self.horizon)], [plain[:, 4] + 1]
        if self.is_seasonal:
            pattern = find_seasonal_pattern(history, self.season)
            smoothed.append(smooth(history, seasonal, pattern, self.horizon))
            counts.append(seasonal[:, 4] + self.season)
        errors = torch.cat([item.errors for item in smoothed], -1)
        weights = weigh_by_aicc(errors, history.num_known, torch.cat(counts))
        return weights, torch.cat([item.forecasts for item in smoothed], 2)


def _begin_level(history: History) -> Tensor:
    """Return the mean of the first known steps, (B, C)."""
    weights = history.known * (history.known.cumsum(-1) <= START)
    return (history.values * weights).sum(-1) / weights.sum(-1).clamp(min=1)


def _begin(history: History) -> tuple[Tensor, Tensor]:
    """Return level and trend before the first known step, by a line through the first ones, (B, C) each."""
    values, known = history
    place = known.cumsum(-1) * known
    weights = known * (place <= START)
    count = weights.sum(-1).clamp(min=1)
    centre, mean = (place * weights).sum(-1) / count, (values * weights).sum(-1) / count
    distance = (place - centre[..., None]) * weights
    slope = (distance * values).sum(-1) / distance.square().sum(-1).clamp(min=TINY)
    return mean - slope * centre, slope
