"""The last window of each series of a table: what a forecast begins from."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import BadInput, DataError

from .calendar import ROWS, Calendar
from .gaps import check_steps, check_values, complete, fill_values
from .numbers import read_numbers
from .panel import Panel
from .reading import OnDuplicate, RowOptions, list_series, order_table
from .roles import adopt_roles
from .stamps import Stamps, holds_stamps
from .state import SeriesState
from .windows import to_inputs
from .zones import format_stamps

log = logging.getLogger(__name__)


class NewRows(NamedTuple):
    """How the rows to forecast from are read.

    Args:
        fill: handling of missing values and steps; empty: as in training.
        on_duplicate: what becomes of rows with one time stamp.
        horizon: number of steps to forecast; None: as in training.
    """

    fill: str = ""
    on_duplicate: OnDuplicate = "error"
    horizon: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LastWindow:
    """The last window of a series, with what undoes the scaling and the differences of its forecast.

    Args:
        name: name of the series.
        ids: its ids.
        times: time stamps of the steps to forecast.
        past: time stamps of its last rows that the table has, or that were filled in between.
        scaled: scaled columns of its last rows and of those to forecast, as far as they are known, (T, K).
        end: number of rows before the forecast.
        x: the window, (L, F).
        mean, std: scale of its columns, (K,).
        levels: last value of each target before each differencing, `diff` arrays (C,).
        known_times: time stamps of the last rows before the forecast: of the window, or of two horizons if it is less.
        known: targets in these rows, in the units of the table, missing values filled, (T, C).
    """

    name: str
    ids: tuple[str, ...]
    times: NDArray[np.datetime64]
    past: NDArray[np.datetime64]
    scaled: NDArray[np.float64]
    end: int
    x: NDArray[np.float32]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    levels: list[NDArray[np.float64]]
    known_times: NDArray[np.datetime64]
    known: NDArray[np.float64]

    def advance(self, state: SeriesState, forecast: NDArray[np.float64]) -> "LastWindow":
        """Return the window a horizon later, with its forecast (P, C) in the place of what is not known yet."""
        end, horizon, width = self.end, state.horizon, self.scaled.shape[1]
        missing = max(end + 2 * horizon - len(self.scaled), 0)
        scaled = np.concatenate([self.scaled, np.full((missing, width), np.nan)])
        scaled[end : end + horizon, : state.num_targets] = forecast
        end += horizon
        return replace(self, scaled=scaled, end=end, x=cut_window(scaled, end, state))


def fill(panel: Panel, how: str, columns: Sequence[str], place: str) -> Panel:
    """Return series with their missing values filled, as `fill_values`; with `mask` they stay missing.

    Raises:
        DataError: `how` is `error`, and a value is missing.
    """
    if how == "error":
        check_values(panel, columns, place)
    return fill_values(panel, how, columns=columns, place=place) if how in ("forward", "interpolate") else panel


def cut_window(scaled: NDArray[np.float64], end: int, state: SeriesState) -> NDArray[np.float32]:
    """Return the window before a row, (L, F); what lies before the first row is 0 and masked.

    Args:
        scaled: scaled columns, (T, K).
        end: the row after the last one of the window.
        state: layout and look-back.
    """
    pad = max(state.lookback - end, 0)
    inputs = to_inputs(scaled, np.array([0, len(scaled)]), state.layout, pad=pad)
    return inputs[pad + end - state.lookback : pad + end]


def last_windows(
    table: pd.DataFrame, state: SeriesState, asked: NewRows, *, diff: int, place: str
) -> Iterator[LastWindow | BadInput]:
    """Yield the last window of each series in a table, or a `BadInput` if a series is too short or has gaps.

    Rows after the last known target hold the columns known ahead; without such columns they are ignored.

    Args:
        table: table as returned by `read_frame`.
        state: columns, steps, scaling and sizes of the training.
        asked: how the rows are read.
        diff: number of times that the targets are differenced.
        place: name of the table, for messages.

    Raises:
        LookupError: the table lacks a column of the training.
        DataError: a cell cannot be read.
    """
    roles = state.roles
    if asked.fill == "mask" and not state.masked:
        raise DataError(f"{place}: `fill` mask needs a training with it: choose forward or interpolate")
    table = adopt_roles(table, roles, place, holds_stamps=holds_stamps)
    targets = np.stack([read_numbers(table[name], place, name) for name in roles.targets], 1)
    options = RowOptions(stamps=state.stamps, on_duplicate=asked.on_duplicate)
    rows = order_table(table, targets, time=roles.time, series_id=roles.series_id, options=options, place=place)
    check_zone(rows.stamps, state, place)
    encoded = state.covariates.encode(table.iloc[rows.source], place=place)
    if encoded.unseen:
        log.warning("%s: %s", place, "; ".join(encoded.unseen))
    panel = replace(rows.panel, values=np.concatenate([rows.panel.values, encoded.values], 1))
    known_ahead = slice(state.layout.num_values - state.layout.num_known, state.layout.num_values)
    panel.values[:, known_ahead] = state.covariates.add_derived(panel.values[:, known_ahead], panel.times, state.zone)
    calendar = state.calendar_of(panel.times, panel.starts, place)
    known = {name: index for index, name in enumerate(state.names)}
    new = [name for name in panel.names if name not in known and (name or len(state.names) > 1)]
    if new:
        log.warning("%s: forecasting series that were not in the training data: %s", place, list_series(new))
    for index, name in enumerate(panel.names):
        where = f"{place}, series {name}" if name else place
        try:
            yield _cut(panel, index, rows.ids[index], state, calendar, asked, known.get(name), diff=diff, place=where)
        except DataError as error:
            yield BadInput(str(error), _name_row(panel, index, rows.ids[index], state, calendar))


def _name_row(
    panel: Panel, index: int, ids: tuple[str, ...], state: SeriesState, calendar: Calendar
) -> dict[str, object]:
    """Return the ids of a series and the time stamp of the first step to forecast, by column."""
    first = calendar.extend(panel[index].times.to_numpy()[-1:], 1)[0]
    stamp = pd.Timestamp(first[0]) if state.zone is None else format_stamps(first, state.zone)[0]
    return {**dict(zip(state.roles.series_id, ids, strict=True)), state.roles.time[0]: stamp}


def _cut(
    panel: Panel,
    index: int,
    ids: tuple[str, ...],
    state: SeriesState,
    calendar: Calendar,
    asked: NewRows,
    trained: int | None,
    *,
    diff: int,
    place: str,
) -> LastWindow:
    num_targets, layout = state.num_targets, state.layout
    name, stamps, values = panel[index]
    times = stamps.to_numpy()
    with_target = np.flatnonzero((~np.isnan(values[:, :num_targets])).any(1))
    if not len(with_target):
        raise DataError(f"{place}: no row has a value of {', '.join(state.roles.targets)}; expected at least one")
    end = int(with_target[-1]) + 1
    own = Panel([""], np.array([0, end]), times[:end], values[:end])
    check_steps(own, calendar, place, fill=asked.fill != "error", trained=True)
    whole = fill(complete(own, calendar), asked.fill, state.columns, place)
    past, num_known = whole.values, max(state.lookback, 2 * state.horizon)
    known_times, known = whole.times[-num_known:], past[-num_known:, :num_targets]
    needed = diff + (1 if state.masked else state.lookback)
    if len(past) < needed:
        raise DataError(
            f"{place}: expected at least {needed:,} rows, the lookback of the training"
            + (f" and {diff} for the differences" if diff else "")
            + f", received {len(past):,}: add earlier rows"
        )
    levels = [np.diff(past[:, :num_targets], order, axis=0)[-1] for order in range(diff)]
    past = np.concatenate([np.diff(past[:, :num_targets], diff, axis=0), past[diff:, num_targets:]], 1)
    horizon = asked.horizon or state.horizon
    blocks = -(-horizon // state.horizon)
    ahead = calendar.extend(times[end - 1 : end], blocks * state.horizon)[0]
    mean, std = state.scale.of_series(trained, past)
    rows = past[-(state.lookback + state.horizon) :]
    num_rows = len(rows)
    if layout.num_known:
        rows = np.concatenate([rows, _find_ahead(values[end:], times[end:], ahead, calendar, state, place)])
    with np.errstate(over="ignore"):
        scaled = (rows - mean) / std
        x = cut_window(scaled, num_rows, state)
    if not np.isfinite(x).all():
        raise DataError(
            f"{place}: a number is too large for the model, which computes in float32 (up to 3e38 after scaling): "
            f"the largest of the last {len(rows):,} rows is {np.nanmax(np.abs(rows)):.3g}; correct it"
        )
    return LastWindow(
        name=name,
        ids=ids,
        times=ahead[:horizon],
        past=whole.times[diff:][-num_rows:],
        scaled=scaled,
        end=num_rows,
        x=x,
        mean=mean,
        std=std,
        levels=levels,
        known_times=known_times,
        known=known,
    )


def check_zone(stamps: Stamps, state: SeriesState, place: str) -> None:
    """Check that time stamps have a zone where those of the training had one, and none where they had none.

    Raises:
        DataError: they do not.
    """
    if (stamps.zone is None) != (state.zone is None):
        names = [zone or "no time zone" for zone in (state.zone, stamps.zone)]
        raise DataError(
            f"{place}: expected time stamps with {names[0]}, as in training, received {names[1]}: write them as there"
        )


def _find_ahead(
    values: NDArray[np.float64],
    times: NDArray[np.datetime64],
    ahead: NDArray[np.datetime64],
    calendar: Calendar,
    state: SeriesState,
    place: str,
) -> NDArray[np.float64]:
    """Return the rows to forecast, (n, K), with the columns known ahead.

    Args:
        values: rows after the last known target.
        times: their time stamps.
        ahead: time stamps of the steps to forecast.
        calendar: the steps.
        state: names and number of the columns.
        place: name of the table or series, for messages.

    Raises:
        DataError: a value is missing; the message names the first time stamp.
    """
    layout, names = state.layout, state.covariates.known_names
    found = np.full((len(ahead), len(state.columns)), np.nan)
    if calendar.kind == ROWS:
        places, fits = np.arange(len(times)), np.arange(len(times)) < len(ahead)
    else:
        steps, fits = calendar.number(times)
        places = steps - calendar.number(ahead[:1])[0]
        fits &= (places >= 0) & (places < len(ahead))
    found[places[fits]] = values[fits]
    known = slice(layout.num_values - layout.num_known, layout.num_values)
    found[:, known] = state.covariates.add_derived(found[:, known], ahead, state.zone)
    found[:, : state.num_targets] = np.nan
    missing = np.isnan(found[:, known])
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise DataError(
            f"{place}: expected {len(ahead)} rows after the last known target, with values of the columns known "
            f"ahead ({', '.join(names)}), received {int((~missing.any(1)).sum())}: the first one missing is "
            f"{names[column]} at {pd.Timestamp(ahead[row])}"
        )
    return found
