"""The theta method: exponential smoothing with half of the window's trend, without the season.

Sources: Assimakopoulos and Nikolopoulos 2000, "The theta model: a decomposition approach to forecasting"
(International Journal of Forecasting 16), the best of the M3 competition; Hyndman and Billah 2003, "Unmasking the Theta
method" (the same journal, 19), equation 5, for the form that is computed here.
"""

import torch
from torch import Tensor

from .history import TINY, History, find_seasonal_pattern, measure_season_strength, repeat_pattern
from .smoothing import choose_steps, smooth

ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.999)
SEASONAL = 0.2  # strength, from which a season is taken out


def forecast_theta(history: History, horizon: int, season: int) -> Tensor:
    """Forecast by the theta method, (B, C, P); parameters by each window's own errors."""
    history = history.take_last(choose_steps(season))
    values, known = history
    ahead_pattern = None
    if 1 < season <= history.length // 2:
        pattern = find_seasonal_pattern(history, season)
        is_seasonal = measure_season_strength(history, pattern) > SEASONAL
        past, ahead_pattern = repeat_pattern(pattern * is_seasonal[..., None], history.length, horizon)
        values = values - past
    plain = History(values, known)
    grid = values.new_zeros(len(ALPHAS), 5)
    alphas = values.new_tensor(ALPHAS)
    grid[:, 0] = alphas
    smoothed = smooth(plain, grid, None, horizon)
    count = plain.num_known[..., None]
    likelihood = -count / 2 * smoothed.errors.clamp(min=TINY**2).log()
    weights = (likelihood - likelihood.amax(-1, keepdim=True)).softmax(-1)
    ahead = torch.arange(horizon, device=values.device, dtype=values.dtype)
    reached = (1 - (1 - alphas) ** count) / alphas  # steps by which smoothing is behind a trend, (B, C, G)
    steps = (weights * reached).sum(-1)[..., None] + ahead
    forecast = (weights[..., None] * smoothed.forecasts).sum(2) + 0.5 * _fit_slope(plain)[..., None] * steps
    return forecast if ahead_pattern is None else forecast + ahead_pattern


def _fit_slope(history: History) -> Tensor:
    """Return the slope of a line through all known values, (B, C)."""
    values, known = history
    place = torch.arange(history.length, device=values.device, dtype=values.dtype).expand_as(values)
    distance = (place - (place * known).sum(-1, keepdim=True) / history.num_known[..., None]) * known
    return (distance * values).sum(-1) / distance.square().sum(-1).clamp(min=TINY)
