"""Naive forecasts: the last value, and the last season."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .state import SeriesState
from .windows import SeriesBatches


def forecast_last_value(x: Tensor, *, num_targets: int, horizon: int) -> Tensor:
    """Forecast by repeating the last value of each target, (B, P, C).

    Args:
        x: windows, (B, L, F), the targets first.
        num_targets: number of targets, C.
        horizon: number of steps, P.
    """
    return x[:, -1:, :num_targets].expand(-1, horizon, -1)


def forecast_last_season(x: Tensor, *, num_targets: int, horizon: int, season: int) -> Tensor:
    """Forecast by repeating the last season, the seasonal naive forecast, (B, P, C).

    Args:
        x: windows, (B, L, F) with L at least `season`, the targets first.
        num_targets: number of targets, C.
        horizon: number of steps, P.
        season: number of steps in a season.
    """
    step = torch.arange(horizon, device=x.device) % season - season
    return x[:, step, :num_targets]


def compare_with_naive(data: SeriesBatches, state: SeriesState, scores: Mapping[str, float], split: str) -> list[str]:
    """Return a line with the errors of the net and of the naive forecasts, and a warning if the net is not better.

    Args:
        data: the windows of the split.
        state: lookback, horizon, season and number of targets.
        scores: logged scores; without `<split>_mae` and `<split>_mse`, no line is returned.
        split: val or test.
    """
    if not {f"{split}_mae", f"{split}_mse"} <= set(scores):
        return []
    sizes = {"num_targets": len(state.roles.targets), "horizon": state.horizon}
    naive = {"the last value": _measure_errors(data, lambda x: forecast_last_value(x, **sizes))}
    if 1 < state.season <= state.lookback:
        name = f"the season before ({state.season} steps)"
        naive[name] = _measure_errors(data, lambda x: forecast_last_season(x, **sizes, season=state.season))
    net = scores[f"{split}_mae"], scores[f"{split}_mse"]
    errors = [f"{name} {mae:.4f}, {mse:.4f}" for name, (mae, mse) in {"the net": net, **naive}.items()]
    lines = [f"{split}, mae and mse of the scaled targets: {'; '.join(errors)}"]
    for index, metric in enumerate(("mae", "mse")):
        name, best = min(((name, values[index]) for name, values in naive.items()), key=lambda item: item[1])
        if best <= net[index]:
            lines.append(f"{split}_{metric}: the net does not beat the naive forecast by {name}")
    return lines


def _measure_errors(data: SeriesBatches, forecast: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Return the mean absolute and the mean squared error over the windows, each over its known values."""
    totals = torch.zeros(2, dtype=torch.float64)
    for index in torch.arange(len(data)).split(1024):
        x, y = data[index]
        errors = (forecast(x) - y).double()
        totals += torch.stack([errors.abs().nanmean((1, 2)).sum(), errors.square().nanmean((1, 2)).sum()])
    mae, mse = (totals / len(data)).tolist()
    return mae, mse
