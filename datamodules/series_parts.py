"""Which windows belong to which part, and what there is to say of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError
from datamodules.series_cells import Series
from datamodules.series_state import SeriesState, fit_scale
from datamodules.series_steps import complete, find_freq, season_of
from datamodules.series_tables import Roles
from datamodules.series_windows import seasonal_errors, window_starts
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


def learn_state(
    series: list[Series], ends: list[Ends], roles: Roles, freq: str, *, scale: str, asked: Mapping[str, int | None]
) -> SeriesState:
    """What the training parts tell: scaling, and the sizes that are not given.

    Args:
        series: all series.
        ends: where the parts of each end.
        roles: the columns.
        freq: frequency of the steps.
        scale: as in `fit_scale`.
        asked: `season`, `horizon` and `lookback`; None for what is to be found.
    """
    train = [item.values[: own[0]] for item, own in zip(series, ends, strict=True)]
    mean, std = fit_scale(train, roles.values, scale)
    season = asked["season"] or season_of(freq)
    horizon = asked["horizon"] or choose_horizon(season, ends)
    targets = slice(len(roles.targets))
    scaled = [(part[:, targets] - mean[targets]) / std[targets] for part in train]
    return SeriesState(
        roles=roles,
        freq=freq,
        season=season,
        lookback=asked["lookback"] or choose_lookback(season, horizon, max(map(len, train))),
        horizon=horizon,
        mean=mean.tolist(),
        std=std.tolist(),
        naive_error=seasonal_errors(scaled, season).tolist(),
        names=[item.name for item in series],
    )


def window_places(series: list[Series], starts: NDArray[np.int64], lookback: int) -> list[str]:
    """The series and the time stamp of the first step to forecast, of windows.

    Args:
        series: all series, below each other.
        starts: first row of each window.
        lookback: number of rows that the net sees.
    """
    places = [f"{item.name} {time}".strip() for item in series for time in item.times]
    return [places[start + lookback] for start in starts.tolist()]


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


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (
        f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    )
