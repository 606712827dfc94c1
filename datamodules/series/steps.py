"""Series with a row for each step of their calendar, and where the rows of the table are among them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .calendar import Calendar
from .covariates import Covariates
from .gaps import check_steps, complete, find_rows
from .panel import Panel
from .reading import Rows


class Steps(NamedTuple):
    """Series with all their steps, as the table has them.

    Args:
        rows: the rows of the table, in order of series and time.
        calendar: the steps.
        panel: the series; the values of steps that the table lacks are NaN.
        present: row of the panel of each row of the table, (N,).
    """

    rows: Rows
    calendar: Calendar
    panel: Panel
    present: NDArray[np.int64]

    @property
    def since_start(self) -> NDArray[np.int64]:
        """Return the number of steps since the first one of its series, of each row of the table, (N,)."""
        return self.present - self.panel.starts[self.rows.panel.codes]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Return the step of each row of the table on the calendar, (N,)."""
        first = self.calendar.number(self.panel.times[self.panel.starts[:-1]])[0]
        return first[self.rows.panel.codes] + self.since_start


def complete_rows(rows: Rows, calendar: Calendar, *, fills: bool, trained: bool, place: str) -> Steps:
    """Insert a row for each missing step.

    Args:
        rows: the rows of the table.
        calendar: the steps.
        fills: whether missing steps are to be filled.
        trained: whether the calendar is that of a training.
        place: name of the table, for messages.

    Raises:
        DataError: a time stamp is no step, or steps are missing and not to be filled.
    """
    check_steps(rows.panel, calendar, place, fill=fills, trained=trained)
    whole = complete(rows.panel, calendar)
    return Steps(rows, calendar, whole, find_rows(rows.panel, whole, calendar))


def add_covariates(steps: Steps, table: pd.DataFrame, covariates: Covariates, place: str) -> Steps:
    """Return the series with the columns of covariates after the targets.

    Args:
        steps: series with targets alone.
        table: the table.
        covariates: how its columns become numbers.
        place: name of the table, for messages.

    Raises:
        DataError: a cell cannot be read.
    """
    if not covariates.names:
        return steps
    rows, panel = steps.rows, steps.panel
    encoded = covariates.encode(table.iloc[rows.source], place=place).values
    values = np.full((len(panel.times), encoded.shape[1]), np.nan)
    values[steps.present] = encoded
    num_known, num_static = len(covariates.known_names), len(covariates.static_names)
    ahead = slice(encoded.shape[1] - num_static - num_known, encoded.shape[1] - num_static)
    values[:, ahead] = covariates.add_derived(values[:, ahead], panel.times, rows.stamps.zone)
    if num_static:
        first = encoded[np.minimum(rows.panel.starts[:-1], len(encoded) - 1), -num_static:]
        values[:, -num_static:] = first[panel.codes]
    return steps._replace(panel=replace(panel, values=np.concatenate([panel.values, values], 1)))
