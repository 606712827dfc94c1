"""The last window of a series, from which the steps after its end are forecast."""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datamodules.errors import BadInput, DataError
from datamodules.series_cells import Series, split_series
from datamodules.series_gaps import fill_gaps
from datamodules.series_state import SeriesState
from datamodules.series_steps import ROWS, complete, find_freq, go_on, steps_between
from datamodules.series_tables import Roles, check_columns

log = logging.getLogger(__name__)


class LastWindow(NamedTuple):
    """What the net gets of a series, and what it takes to say its forecast in the table's own terms."""

    name: str
    times: pd.DatetimeIndex  # of the steps to forecast, (P,)
    x: NDArray[np.float32]  # (L, F)
    levels: list[NDArray[np.float64]]  # last value of each target, and of its change, as often as it was differenced


def difference(series: Series, num_targets: int, diff: int) -> Series:
    """The series with each target replaced by its change from step to step, `diff` times; as many rows shorter.

    Args:
        series: a series whose first columns are the targets.
        num_targets: number of targets.
        diff: how often.
    """
    targets = np.diff(series.values[:, :num_targets], diff, axis=0)
    values = np.concatenate([targets, series.values[diff:, num_targets:]], 1)
    return series._replace(times=series.times[diff:], values=values)


def until_last_target(series: Series, num_targets: int) -> Series:
    """The series without the rows after its last known target, which hold only what is known ahead."""
    known = np.flatnonzero((~np.isnan(series.values[:, :num_targets])).any(1))
    end = int(known[-1]) + 1 if len(known) else 0
    return series._replace(times=series.times[:end], values=series.values[:end])


def sum_up(changes: NDArray[np.float64], levels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Changes from step to step back to values, (P, ...).

    Args:
        changes: forecasts of the differenced targets, (P, C), or quantiles of them, (P, C, Q).
        levels: as in `LastWindow`.
    """
    for level in reversed(levels):
        changes = changes.cumsum(0) + level.reshape(level.shape + (1,) * (changes.ndim - 2))
    return changes


def known_series(table: pd.DataFrame, roles: Roles, place: str) -> list[Series]:
    """The series of a table whose columns training told.

    Raises:
        LookupError: it lacks one of them.
        DataError: as in `split_series`.
    """
    check_columns(table, [roles.time, *filter(None, [roles.series_id]), *roles.values], place)
    return split_series(table, time=roles.time, series_id=roles.series_id, values=roles.values, place=place)


def last_windows(
    table: pd.DataFrame, state: SeriesState, *, fill: str, diff: int, place: str
) -> Iterator[LastWindow | BadInput]:
    """The end of each series of a table.

    Rows after the last known target hold what is known ahead; without such columns they are left out.

    Args:
        table: as `read_frame` returns it.
        state: what the training told.
        fill: what is done about missing values.
        diff: how often the targets are differenced.
        place: name of the table, for messages.

    Raises:
        LookupError: it lacks a column that the training had.
        DataError: as in `split_series`.
    """
    found = known_series(table, state.roles, place)
    unseen = [series.name for series in found if series.name not in state.names]
    if unseen:
        log.warning("%s: never seen in training: %s; forecast all the same", place, ", ".join(unseen[:8]))
    for series in found:
        try:
            yield _last_window(series, state, fill=fill, diff=diff, place=place)
        except DataError as error:
            yield BadInput(str(error))


def _last_window(series: Series, state: SeriesState, *, fill: str, diff: int, place: str) -> LastWindow:
    place = f"{place}, series {series.name}" if series.name else place
    num_targets, num_known = len(state.roles.targets), len(state.roles.known)
    _check_freq(series.times, state.freq, place)
    past = until_last_target(series, num_targets)._replace(name="")
    end = len(past.times)
    if end < state.lookback + diff:
        raise DataError(
            f"{place}: {end:,} rows, and a forecast needs {state.lookback + diff:,}, the look-back of the training"
            + (f" and {diff} to take differences from" if diff else "")
        )
    past = fill_gaps(past, state.roles.values, state.freq, fill, place)
    levels = [np.diff(past.values[:, :num_targets], order, axis=0)[-1] for order in range(diff)]
    values = difference(past, num_targets, diff).values
    num_rows = len(values)
    if num_known:
        ahead = series.values[end : end + state.horizon]
        if len(ahead) < state.horizon or np.isnan(ahead[:, -num_known:]).any():
            raise DataError(
                f"{place}: expected {state.horizon} rows after the last known target, with what is known ahead "
                f"({', '.join(state.roles.known)}), received {len(ahead)}"
            )
        values = np.concatenate([values, ahead])
    inputs = state.inputs(state.scaled(values), mask=fill == "mask")
    x = inputs[num_rows - state.lookback : num_rows]
    return LastWindow(series.name, go_on(past.times, state.freq, state.horizon), x, levels)


def _check_freq(times: pd.DatetimeIndex, freq: str, place: str) -> None:
    if freq == ROWS or len(times) < 3:
        return
    own = find_freq(times)
    if own is None:
        complete(times, own, place)
    expected, received = steps_between(times, freq), steps_between(times, str(own))
    if len(expected) != len(received) or not times.isin(expected).all():
        raise DataError(f"{place}: its steps are {own}, and the training's were {freq}: bring it to these steps")


def forecast_table(
    windows: Sequence[LastWindow], forecasts: NDArray[np.float64], state: SeriesState, quantiles: Sequence[float]
) -> pd.DataFrame:
    """A row for each series and step: the time stamp, each target, and its quantiles where there are several.

    Args:
        windows: B of them.
        forecasts: in the units of the differenced targets, (B, P, C), or (B, P, C, Q).
        state: names of the columns.
        quantiles: levels, Q of them; the middle one stands in the target's own column, the lowest in `<target>_q10`.
    """
    tables = []
    for window, forecast in zip(windows, forecasts, strict=True):
        values = sum_up(forecast, window.levels)
        columns: dict[str, object] = {} if state.roles.series_id is None else {state.roles.series_id: window.name}
        columns[state.roles.time] = window.times
        for number, target in enumerate(state.roles.targets):
            if values.ndim == 2:
                columns[target] = values[:, number]
                continue
            for place, level in enumerate(quantiles):
                name = target if place == len(quantiles) // 2 else f"{target}_q{100 * level:g}"
                columns[name] = values[:, number, place]
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
