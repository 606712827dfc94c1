"""Missing steps and missing values of series."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError, clip

from .calendar import Calendar
from .panel import Panel
from .windows import forward_fill_by_series

Fill = Literal["error", "forward", "interpolate", "mask"]
FEW = 0.2  # fraction of the steps: where more are missing, filling them makes the series up
MOST_STEPS_PER_ROW = 50  # beyond, the steps are no calendar of these rows
HINT = "Set `fill` to interpolate (or forward, or mask, which ignores it in loss and scores)"


@dataclass(frozen=True, eq=False)
class CompletePanel(Panel):
    """A panel in which each step of a series has a row.

    Args:
        names, starts, times, values: as in `Panel`.
        present: rows that the table had, (R,).
    """

    present: NDArray[np.int64]

    @property
    def num_missing(self) -> int:
        """Return the number of steps that the table lacks."""
        return len(self.times) - len(self.present)


def complete(panel: Panel, steps: NDArray[np.int64], calendar: Calendar, place: str = "the table") -> CompletePanel:
    """Insert a row of NaN for each missing step.

    Args:
        panel: the series.
        steps: step of each row on the calendar, rising within a series, (N,).
        calendar: the calendar.
        place: name of the table, for messages.

    Raises:
        DataError: nearly all steps are missing.
    """
    filled = panel.lengths > 0
    lengths = np.zeros(len(panel), np.int64)
    first, last = panel.starts[:-1][filled], panel.starts[1:][filled] - 1
    lengths[filled] = steps[last] - steps[first] + 1
    if lengths.sum() == len(steps):
        return CompletePanel(panel.names, panel.starts, panel.times, panel.values, np.arange(len(steps)))
    if lengths.sum() > MOST_STEPS_PER_ROW * max(len(steps), 1):
        raise DataError(
            f"{place}: {len(steps):,} rows at steps of {calendar.describe()} would be {lengths.sum():,} with the missing "
            "ones: correct the time stamps, or set `freq` to the frequency of the rows"
        )
    starts = np.concatenate([[0], lengths.cumsum()])
    begins = np.zeros(len(panel), np.int64)
    begins[filled] = steps[first]
    codes = panel.codes
    present = starts[codes] + steps - begins[codes]
    values = np.full((int(starts[-1]), panel.values.shape[1]), np.nan)
    values[present] = panel.values
    owner = np.repeat(np.arange(len(panel)), lengths)
    times = calendar.stamps(begins[owner] + np.arange(len(values)) - starts[owner])
    times[present] = panel.times  # of steps that a jitter was rounded to, as they are written
    return CompletePanel(panel.names, starts, times, values, present)


def fill_values(
    panel: CompletePanel, fill: str, columns: Sequence[str], calendar: Calendar, place: str
) -> CompletePanel:
    """Fill the missing values of all series.

    Args:
        panel: series with a row for each step.
        fill: `error`; `forward`: repeat the last value; `interpolate`: linear in time; `mask`: keep NaN.
        columns: names of the columns.
        calendar: the calendar, for messages.
        place: name of the table, for messages.

    Raises:
        DataError: a step or a value is missing and `fill` is `error`, or a missing value precedes all known ones.
    """
    if fill == "mask":
        return panel
    if fill == "error":
        if panel.num_missing:
            raise DataError(_describe_missing(panel, calendar, place))
        _check_known(panel, columns, "is missing", f". {HINT}", place)
        return panel
    values = forward_fill_by_series(panel.values, panel.starts)
    if fill == "interpolate":
        values = _interpolate(panel, values)
    panel = replace(panel, values=values)
    _check_known(panel, columns, "is missing before the first known one", ": delete these rows", place)
    return panel


def _interpolate(panel: Panel, filled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with gaps between known ones filled linearly in time, after the last one as in `filled`."""
    values = filled.copy()
    missing = np.isnan(panel.values)
    for index in np.unique(panel.codes[missing.any(1)]):
        rows = slice(panel.starts[index], panel.starts[index + 1])
        seconds = panel.times[rows].astype("datetime64[ns]").astype(np.int64)
        for column in np.flatnonzero(missing[rows].any(0)):
            gone = missing[rows, column]
            known = np.flatnonzero(~gone)
            if len(known):
                inner = gone & (np.arange(len(gone)) > known[0])
                values[rows, column][inner] = np.interp(
                    seconds[inner], seconds[known], panel.values[rows, column][known]
                )
    return values


def _describe_missing(panel: CompletePanel, calendar: Calendar, place: str) -> str:
    gone = np.ones(len(panel.times), bool)
    gone[panel.present] = False
    row = int(gone.argmax())
    series = panel.names[int(panel.codes[row])]
    of = f", series {clip(series)}" if series else ""
    missing, total = panel.num_missing, len(panel.times)
    found = f"{place}{of}: {missing:,} of {total:,} steps are missing, the first {pd.Timestamp(panel.times[row])}. "
    if missing <= FEW * total:
        return found + HINT
    return found + (
        f"That is too many to fill in: expected steps of {calendar.describe()}; set `freq` to the frequency of the rows, "
        "or to rows to use each row as a step, or resample the table"
    )


def _check_known(panel: Panel, columns: Sequence[str], problem: str, hint: str, place: str) -> None:
    missing = np.isnan(panel.values)
    if not missing.any():
        return
    row, column = np.argwhere(missing)[0]
    series = panel.names[int(panel.codes[row])]
    count = int(missing[:, column].sum())
    raise DataError(
        f"{place}{f', series {clip(series)}' if series else ''}: {count:,} values of the column '{columns[column]}', the "
        f"first at {pd.Timestamp(panel.times[row])}, {problem.replace('is', 'are', 1)}{hint}"
    )
