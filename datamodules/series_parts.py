"""Which windows belong to which part, and what there is to say of them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.errors import DataError
from datamodules.series_cells import Series
from datamodules.series_state import SeriesState
from datamodules.series_steps import complete, find_freq
from datamodules.series_windows import SeriesBatches, last_values, seasonal_values, window_starts
from datamodules.splits import SPLITS

MOST_STEPS = 336  # of a look-back that is not given
NAMES_SHOWN = 8
Ends = tuple[int, int, int]  # the rows at which train, val and test of a series end


def common_freq(series: list[Series], place: str) -> str:
    """The frequency of all series, as the longest one has it.

    Raises:
        DataError: it has none.
    """
    longest = max(series, key=lambda item: len(item.times))
    if len(longest.times) < 2:
        raise DataError(f"{place}: one row for a series, which is no series: are the columns the right ones?")
    freq = find_freq(longest.times)
    if freq is None:
        complete(longest.times, freq, place)
    return str(freq)


def part_sizes(ends: Ends) -> tuple[int, int, int]:
    """Number of rows of train, val and test of a series."""
    train, val, test = ends
    return train, val - train, test - val


def choose_horizon(season: int, ends: list[Ends]) -> int:
    """A season, or as much of one as val, test, and a third of train hold."""
    train, *others = (max(sizes) for sizes in zip(*map(part_sizes, ends), strict=True))
    return max(min(season, train // 3, *filter(None, others)), 1)


def choose_lookback(season: int, horizon: int, num_train: int) -> int:
    """Whole seasons, as many as go into 336 steps and into half of the training part; steps, where none does."""
    most = max(min(MOST_STEPS, (num_train - horizon) // 2), 1)
    return most // season * season or most


def cut_parts(
    series: list[Series], ends: list[Ends], state: SeriesState, *, stride: int
) -> dict[str, NDArray[np.int64]]:
    """First rows of the windows of train, val and test, of all series below each other.

    Windows of which no target is known are left out.

    Raises:
        DataError: a part that is to have rows has no window.
    """
    length, num_targets = state.lookback + state.horizon, len(state.roles.targets)
    parts: dict[str, list[NDArray[np.int64]]] = {part: [] for part in SPLITS}
    first = 0
    for item, own in zip(series, ends, strict=True):
        known = np.concatenate([[0], (~np.isnan(item.values[:, :num_targets])).any(1).cumsum()])
        for part, begin, end in zip(SPLITS, (0, *own), own, strict=False):
            starts = window_starts(
                (begin, end),
                lookback=state.lookback,
                horizon=state.horizon,
                stride=stride if part == "train" else 1,
            )
            seen = known[starts + length] > known[starts + state.lookback]
            parts[part].append(starts[seen] + first)
        first += len(item.times)
    found = {part: np.concatenate(starts) for part, starts in parts.items()}
    for number, part in enumerate(SPLITS):
        rows = max(part_sizes(own)[number] for own in ends)
        if rows and not len(found[part]):
            needed = length if part == "train" else state.horizon
            raise DataError(
                f"{part} has {rows:,} rows, and a window takes {needed:,}: "
                + (f"lookback {state.lookback} and horizon {state.horizon}" if part == "train" else "the horizon")
                + ". Bring more rows, give a smaller --data.lookback or --data.horizon, or move --data.split"
            )
    return found


def describe_series(
    series: list[Series], ends: list[Ends], state: SeriesState, sizes: Mapping[str, int], ignored: list[str]
) -> str:
    """What was found: rows, series, steps and span, columns, windows of each part, what is not used."""
    begin, end = min(item.times[0] for item in series), max(item.times[-1] for item in series)
    rows = {part: sum(part_sizes(own)[number] for own in ends) for number, part in enumerate(SPLITS)}
    roles = state.roles
    named = {"target": roles.targets, "past": roles.past, "known": roles.known}
    described = [
        f"{sum(len(item.times) for item in series):,} rows"
        + (f" of {len(series)} series" if len(series) > 1 else "")
        + f", {begin} to {end} by {state.freq}",
        *(f"{kind}: {_few(names)}" for kind, names in named.items() if names),
        f"lookback {state.lookback}, horizon {state.horizon}, season {state.season}",
        ", ".join(f"{sizes[part]:,} {part} windows on {rows[part]:,} rows" for part in SPLITS if rows[part]),
    ]
    if not rows["val"]:
        described.append("no val, so that training is watched on its own windows")
    if ignored:
        described.append(f"not used: {_few(ignored)}")
    return "; ".join(described)


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


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (
        f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    )
