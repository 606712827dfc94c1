"""The naive forecasts: the last value, and the season before."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .scaler import SeriesState
from .windows import SeriesBatches


def last_values(x: Tensor, *, num_targets: int, horizon: int) -> Tensor:
    """The naive forecast: the last value of each target again, (B, P, C).

    Args:
        x: windows, (B, L, F), the targets first.
        num_targets: number of targets, C.
        horizon: number of steps, P.
    """
    return x[:, -1:, :num_targets].expand(-1, horizon, -1)


def seasonal_values(x: Tensor, *, num_targets: int, horizon: int, season: int) -> Tensor:
    """The seasonal naive forecast: the values of the last season, over and over, (B, P, C).

    Args:
        x: windows, (B, L, F) with L at least `season`, the targets first.
        num_targets: number of targets, C.
        horizon: number of steps, P.
        season: number of steps in a season.
    """
    step = torch.arange(horizon, device=x.device) % season - season
    return x[:, step, :num_targets]


def naive_lines(data: SeriesBatches, state: SeriesState, scores: Mapping[str, float], part: str) -> list[str]:
    """A line with the errors of the net and of the naive forecasts, and one more where the net is not better.

    Args:
        data: the windows of the part.
        state: lookback, horizon, season and number of targets.
        scores: what was logged, with `<part>_mae` and `<part>_mse` among it.
        part: val or test.
    """
    if not {f"{part}_mae", f"{part}_mse"} <= set(scores):
        return []
    sizes = {"num_targets": len(state.roles.targets), "horizon": state.horizon}
    naive = {"the last value": _errors(data, lambda x: last_values(x, **sizes))}
    if 1 < state.season <= state.lookback:
        name = f"the season before ({state.season} steps)"
        naive[name] = _errors(data, lambda x: seasonal_values(x, **sizes, season=state.season))
    net = scores[f"{part}_mae"], scores[f"{part}_mse"]
    told = [f"{name} {mae:.4f}, {mse:.4f}" for name, (mae, mse) in {"the net": net, **naive}.items()]
    lines = [f"{part}, mae and mse of the scaled targets: {'; '.join(told)}"]
    for number, metric in enumerate(("mae", "mse")):
        name, best = min(((name, errors[number]) for name, errors in naive.items()), key=lambda item: item[1])
        if best <= net[number]:
            lines.append(f"{part}_{metric}: the net does not beat the naive forecast by {name}")
    return lines


def _errors(data: SeriesBatches, forecast: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Mean absolute and mean squared error over the windows, each by what is known of it."""
    totals = torch.zeros(2, dtype=torch.float64)
    for index in torch.arange(len(data)).split(1024):
        x, y = data[index]
        errors = (forecast(x) - y).double()
        totals += torch.stack([errors.abs().nanmean((1, 2)).sum(), errors.square().nanmean((1, 2)).sum()])
    mae, mse = (totals / len(data)).tolist()
    return mae, mse
