"""Rows of series in order: sorted, each stamp once, without missing steps or values; on all series at once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError, clip

from .calendar import MOST_MISSING, ROWS, Calendar
from .panel import Panel
from .zones import to_wall

Int = NDArray[np.int64]
Times = NDArray[np.datetime64]

HINT = "Set `fill` to interpolate (or forward, or mask, which ignores it in loss and scores)"
FEW = 0.2  # share of missing steps up to which a message advises to fill them


def order_rows(codes: Int, times: Times) -> tuple[Int, bool]:
    """Return the order of rows by series and time, and whether they are in it already.

    Rows with the same stamp keep their order.

    Args:
        codes: index of the series of each row, (N,).
        times: stamps, (N,).
    """
    if ((codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (times[1:] >= times[:-1]))).all():
        return np.arange(len(codes)), True
    return np.lexsort([times, codes]), False


def find_doubled(codes: Int, times: Times) -> Int:
    """Return the rows, sorted by `order_rows`, that have the series and the stamp of the row before."""
    return np.flatnonzero((codes[1:] == codes[:-1]) & (times[1:] == times[:-1])) + 1


def check_doubled(panel: Panel, zone: str | None, place: str, rows: Int | None = None) -> None:
    """Check that each series has each stamp once.

    Args:
        panel: the series, sorted.
        zone: zone of the stamps.
        place: name of the table, for messages.
        rows: row of the table of each of the panel's rows; None: the same.

    Raises:
        DataError: a stamp occurs twice.
    """
    doubled = find_doubled(panel.codes, panel.times)
    if not len(doubled):
        return
    row = int(doubled[0])
    stamp = pd.Timestamp(to_wall(panel.times[row : row + 1], zone)[0])
    numbers = (row, row + 1) if rows is None else (int(rows[row - 1]) + 1, int(rows[row]) + 1)
    name = str(panel.names[int(panel.codes[row])])
    hint = "" if name else ", or, for several series, set `columns.series_id` to the column that identifies them"
    if zone is None and _may_be_clock(panel.times[doubled]):
        hint += ", or, as the clock went back then in Europe or America, set `timezone`, and `ambiguous` to infer"
    raise DataError(
        f"{_name_series(place, panel, int(panel.codes[row]))}: the time stamp {stamp} occurs twice (rows {numbers[0]} "
        f"and {numbers[1]}; {len(doubled)} such rows); expected each once. Set `on_duplicate` to mean, to sum, or to "
        f"last{hint}"
    )


def _may_be_clock(times: Times) -> bool:
    """Return whether all stamps are in the hours of a Sunday in which clocks go back: in October or November."""
    index = pd.DatetimeIndex(times)
    return bool((index.month.isin((10, 11)) & (index.day_of_week == 6) & (index.hour <= 3)).all())


def _may_be_spring(times: Times) -> bool:
    """Return whether all stamps are in the hours of a Sunday in March that clocks skip as they go forward."""
    index = pd.DatetimeIndex(times)
    is_hour = (index.hour >= 1) & (index.hour <= 3)
    return bool(((index.month == 3) & (index.day >= 8) & (index.day_of_week == 6) & is_hour).all())


def merge_doubled(panel: Panel, how: str) -> Panel:
    """Return the series with one row for each stamp.

    Args:
        panel: the series, sorted.
        how: mean or sum of the known values of rows with the same stamp, or last (of them, also if it is missing).
    """
    doubled = find_doubled(panel.codes, panel.times)
    if not len(doubled):
        return panel
    keep = np.ones(len(panel.times), bool)
    keep[doubled] = False
    first = np.flatnonzero(keep)
    if how == "last":
        values = panel.values[np.append(first[1:], len(keep)) - 1]
    else:
        known = ~np.isnan(panel.values)
        values = np.add.reduceat(np.where(known, panel.values, 0.0), first, axis=0)
        counts = np.add.reduceat(known.astype(np.int64), first, axis=0)
        with np.errstate(invalid="ignore"):
            values = np.where(counts > 0, values / counts if how == "mean" else values, np.nan)
    starts = np.concatenate([[0], np.cumsum(keep)])[panel.starts]
    return replace(panel, starts=starts.astype(np.int64), times=panel.times[first], values=values)


def missing_steps(steps: Int, starts: Int) -> tuple[Int, Int]:
    """Return, for each series, the number of missing steps between its first and last, and the first one (or -1).

    Args:
        steps: step of each row, increasing in each series, (N,).
        starts: first row of each series, and the number of rows, (S + 1,).
    """
    lengths = np.diff(starts)
    counts, first = np.zeros(len(lengths), np.int64), np.full(len(lengths), -1, np.int64)
    filled = lengths > 0
    counts[filled] = steps[starts[1:][filled] - 1] - steps[starts[:-1][filled]] + 1 - lengths[filled]
    if not counts.any():
        return counts, first
    codes = np.repeat(np.arange(len(lengths)), lengths)
    rows = np.flatnonzero((np.diff(steps) > 1) & (np.diff(codes) == 0))
    first[codes[rows][::-1]] = steps[rows][::-1] + 1  # the first of a series is written last
    return counts, first


def check_steps(panel: Panel, calendar: Calendar, place: str, *, fill: bool = False, trained: bool = False) -> None:
    """Check that the stamps of all series are steps of a calendar, and that none is missing.

    Args:
        panel: the series, sorted, each stamp once.
        calendar: the calendar, such as that of the training table.
        place: name of the table, for messages.
        fill: missing steps are to be filled: they are allowed where they are not most.
        trained: whether the calendar is that of a training, which cannot be changed.

    Raises:
        DataError: a stamp is not a step, two stamps are the same step, or steps are missing.
    """
    if calendar.kind == ROWS:
        return
    steps, fits = calendar.number(panel.times)
    odd = ~fits
    if fits.all():
        odd[1:] = (np.diff(panel.codes) == 0) & (np.diff(steps) < 1)
    if odd.any():
        row = int(odd.argmax())
        raise DataError(
            f"{_name_series(place, panel, int(panel.codes[row]))}: expected steps of {calendar.describe()}, received "
            f"{_show(panel.times[row : row + 1], calendar)}, which is {'none' if not fits.all() else 'one twice'} "
            f"({int(odd.sum())} of {len(odd)} stamps): correct the time stamps, or resample the table"
        )
    counts, first = missing_steps(steps, panel.starts)
    missing, every = int(counts.sum()), int(counts.sum()) + len(steps)
    if not missing or (fill and missing <= MOST_MISSING * len(steps)):
        return
    series = int((counts > 0).argmax())
    here = _name_series(place, panel, series)
    own = f"{counts[series]} of {counts[series] + panel.lengths[series]} steps of {calendar.name} are missing"
    others = f" ({missing} of {every} in {int((counts > 0).sum())} series)" if len(panel) > 1 else ""
    stamp = _show(calendar.stamps(first[series : series + 1]), calendar)
    rows = (
        f"set `freq` to {ROWS} to use each row as a step, as for trading hours, or aggregate the rows to longer steps"
    )
    if missing <= FEW * every:
        advice = HINT
        if not trained and calendar.zone is None and _may_be_spring(calendar.stamps(first[counts > 0])):
            advice += ", or, as the clock goes forward then in Europe or America, `timezone`"
    elif trained:
        advice = f"Expected steps of {calendar.describe()}, as in training: resample the table"
    elif missing <= every / 2:
        advice = (
            f"Filling so many would make up data: {rows}; or set `fill` to mask, which ignores them in loss and scores"
        )
    else:
        advice = f"Filling most of the steps would make up the data: {rows}"
    raise DataError(f"{here}: {own}, the first {stamp}{others}. {advice}")


def _show(times: Times, calendar: Calendar) -> str:
    return str(pd.Timestamp(to_wall(times, calendar.zone)[0]))


def _name_series(place: str, panel: Panel, series: int) -> str:
    name = str(panel.names[series])
    return f"{place}, series {clip(name)}" if name else place


def complete(panel: Panel, calendar: Calendar) -> Panel:
    """Return the series with all steps between their first and last; the values of missing ones are NaN.

    Stamps that are rounded become those of their steps.

    Args:
        panel: the series, sorted, with each step at most once, as `check_steps` has it.
        calendar: their calendar.
    """
    if calendar.kind == ROWS:
        return panel
    steps, _ = calendar.number(panel.times)
    counts, _ = missing_steps(steps, panel.starts)
    if not counts.any():
        return replace(panel, times=calendar.stamps(steps)) if calendar.shift else panel
    starts = np.concatenate([[0], np.cumsum(panel.lengths + counts)])
    firsts = steps[np.minimum(panel.starts[:-1], len(steps) - 1)]
    offsets = starts[:-1] - firsts
    values = np.full((starts[-1], panel.values.shape[1]), np.nan)
    values[steps + np.repeat(offsets, panel.lengths)] = panel.values
    every = np.arange(starts[-1]) - np.repeat(offsets, np.diff(starts))
    return replace(panel, starts=starts, times=calendar.stamps(every), values=values)


def find_rows(panel: Panel, whole: Panel, calendar: Calendar) -> Int:
    """Return the row in a complete panel of each row before, (N,).

    Args:
        panel: the series, sorted, with each step at most once.
        whole: return value of `complete`.
        calendar: their calendar.
    """
    if len(whole.times) == len(panel.times):
        return np.arange(len(panel.times))
    steps, _ = calendar.number(panel.times)
    firsts = steps[np.minimum(panel.starts[:-1], len(steps) - 1)]
    return steps + np.repeat(whole.starts[:-1] - firsts, panel.lengths)


def check_values(panel: Panel, columns: Sequence[str], place: str) -> None:
    """Check that no value is missing.

    Args:
        panel: the series, without missing steps.
        columns: names of the columns of values, for messages.
        place: name of the table, for messages.

    Raises:
        DataError: a value is missing; the message says how many, in which column, and where the first one is.
    """
    missing = np.isnan(panel.values)
    if not missing.any():
        return
    row, column = (int(index) for index in np.argwhere(missing)[0])
    count = int(missing[:, column].sum())
    raise DataError(
        f"{_name_series(place, panel, int(panel.codes[row]))}: {count:,} values of the column '{columns[column]}', the "
        f"first at {pd.Timestamp(panel.times[row])}, are missing. {HINT}"
    )


def fill_values(panel: Panel, how: str, *, columns: Sequence[str], place: str) -> Panel:
    """Fill the missing values of each series from its own known ones.

    Args:
        panel: the series, without missing steps.
        how: `forward`: repeat the last value; `interpolate`: linear in time, the last value after the last known one.
        columns: names of the columns of values, for messages.
        place: name of the table, for messages.

    Raises:
        DataError: values are missing before the first known one of a series.
    """
    missing = np.isnan(panel.values)
    if not missing.any():
        return panel
    firsts = panel.starts[:-1][panel.lengths > 0]
    leading = missing[firsts]
    if leading.any():
        where, index = (int(places[0]) for places in np.nonzero(leading))
        series = int(np.flatnonzero(panel.lengths > 0)[where])
        inside = missing[panel.starts[series] : panel.starts[series + 1], index]
        count = len(inside) if inside.all() else int(inside.argmin())
        others = int(leading.any(axis=1).sum()) - 1
        raise DataError(
            f"{_name_series(place, panel, series)}: {count} values of the column '{columns[index]}', the first at "
            f"{pd.Timestamp(panel.times[firsts[where]])}, are missing before the first known one: delete these rows"
            + (f" (and those of {others} other series)" if others else "")
        )
    values = panel.values.copy()
    for column in np.flatnonzero(missing.any(0)):
        holes, known = np.flatnonzero(missing[:, column]), np.flatnonzero(~missing[:, column])
        after = np.searchsorted(known, holes)  # each series begins with a known value: that before is its own
        left = known[after - 1]
        filled = panel.values[left, column]
        if how == "interpolate":
            right = known[np.minimum(after, len(known) - 1)]
            inner = (right > holes) & (panel.starts[np.searchsorted(panel.starts, holes, side="right")] > right)
            left, right, hole = left[inner], right[inner], holes[inner]
            # in floats, as numpy.interp, which pandas uses
            x, begin, end = (
                panel.times[rows].astype("datetime64[ns]").astype(np.int64) * 1.0 for rows in (hole, left, right)
            )
            slope = (panel.values[right, column] - panel.values[left, column]) / (end - begin)
            filled[inner] = slope * (x - begin) + panel.values[left, column]
        values[holes, column] = filled
    return replace(panel, values=values)
