"""Where the windows of a split lie: their series, their stamps, and forecasts in the units of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from .panel import Panel

Stamps = NDArray[np.datetime64]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SEASONAL, LAST = "seasonal naive", "last value"  # names of the naive forecasts


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowPlaces:
    """The windows of a split, by their rows in a panel, and what converts their forecasts to the units of the table.

    Args:
        panel: all series with their steps complete, before they are differenced; the targets are its first columns.
        first: row in the panel of the first step to forecast, of each window, (M,) int64.
        horizon: number of steps to forecast, P.
        num_targets: number of targets, C.
        means: what scaling subtracts from each series' targets, or from their differences if `diff` is above 0, (S, C).
        stds: what scaling divides them by, (S, C).
        naive_errors: divisor of MASE, in the units of the table: mean absolute error of the seasonal naive forecast in
            the training rows, (S, C).
        naive_squares: divisor of the squared errors of RMSSE: its mean squared error, (S, C); None: RMSSE is left out.
        season: number of steps in a season; 1 if there is none.
        diff: number of times that the targets are differenced.
        lower: lowest value of each target, which forecasts are raised to, (C,); None: there is no such value.
        zone: time zone of the user, such as Europe/Berlin or +02:00; None if the panel's stamps have none.
        ids: columns of ids with a row for each series, in order of the panel; None if there is only one series.
    """

    panel: Panel
    first: Rows
    horizon: int
    num_targets: int
    means: Floats
    stds: Floats
    naive_errors: Floats
    naive_squares: Floats | None = None
    season: int = 1
    diff: int = 0
    lower: Sequence[float] | None = None
    zone: str | None = None
    ids: pd.DataFrame | None = None

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.first)

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the series; one empty name if there is only one."""
        return self.panel.names

    @property
    def series(self) -> Rows:
        """Return the index of the series of each window, (M,)."""
        return np.searchsorted(self.panel.starts, self.first, side="right") - 1

    @property
    def mean(self) -> Floats:
        """Return what scaling subtracts, of each window, (M, C)."""
        return self.means[self.series]

    @property
    def std(self) -> Floats:
        """Return what scaling divides by, of each window, (M, C)."""
        return self.stds[self.series]

    @property
    def naive_error(self) -> Floats:
        """Return the divisor of MASE of each window, (M, C)."""
        return self.naive_errors[self.series]

    def take(self, rows: Rows) -> "WindowPlaces":
        """Return the places of some of the windows."""
        return replace(self, first=self.first[rows])

    def stamps(self, rows: Rows) -> Stamps:
        """Return the time stamps of the steps to forecast, (m, P), as wall times of the user's zone."""
        return self.to_wall_times(self.times(rows))

    def times(self, rows: Rows) -> Stamps:
        """Return the time stamps of the steps to forecast as the panel has them, (m, P): in UTC if there is a zone."""
        return self.panel.times[self.first[rows, None] + np.arange(self.horizon)]

    def origins(self, rows: Rows) -> Stamps:
        """Return the time stamp of the last step before the forecast as the panel has it, (m,); NaT without one."""
        before = self.panel.times[np.maximum(self.first[rows] - 1, 0)].copy()
        before[self.first[rows] == self._begins(rows)] = np.datetime64("NaT")
        return before

    def to_wall_times(self, times: Stamps) -> Stamps:
        """Convert time stamps of the panel to wall times of the user's zone, of any shape."""
        if self.zone is None:
            return times
        index = pd.DatetimeIndex(times.reshape(-1), tz="UTC").tz_convert(self.zone).tz_localize(None)
        return index.to_numpy().reshape(times.shape)

    def unscale(self, rows: Rows, values: Tensor) -> Tensor:
        """Convert scaled forecasts to the units of the table, float64: differences undone, and not below `lower`.

        Args:
            rows: indices of windows, (m,).
            values: forecasts (m, P, C), or quantiles (m, P, C, Q).
        """
        extra = (1,) * (values.ndim - 3)
        own = self.series[rows]
        mean, std = (torch.from_numpy(table[own]).reshape(len(own), 1, -1, *extra) for table in (self.means, self.stds))
        unscaled = values.detach().cpu().double() * std + mean
        for level in reversed(self._levels(rows)):
            unscaled = unscaled.cumsum(1) + torch.from_numpy(level).reshape(len(own), 1, -1, *extra)
        if self.lower is None:
            return unscaled
        return unscaled.maximum(torch.tensor(self.lower, dtype=torch.float64).reshape(-1, *extra))

    def truth(self, rows: Rows) -> Floats:
        """Return the true values of the steps to forecast as the table has them, (m, P, C); NaN if missing."""
        return self.panel.values[self.first[rows, None] + np.arange(self.horizon), : self.num_targets]

    def history(self, row: int, steps: int) -> tuple[Stamps, Floats]:
        """Return stamps (T,), as wall times, and values (T, C) of the last steps before a forecast, at most `steps`."""
        first = int(self.first[row])
        own = slice(max(first - steps, int(self._begins(np.array([row]))[0])), first)
        return self.to_wall_times(self.panel.times[own]), self.panel.values[own, : self.num_targets]

    def last_rows(self, series: int, steps: int) -> tuple[np.datetime64, np.datetime64]:
        """Return the stamps of the first and the last of so many steps at the end of the windows of a series.

        The stamps are as the panel has them; where the series begins later, the first one is that of its first row.
        """
        end = int(self.first[self.series == series].max()) + self.horizon
        first = max(end - steps, int(self.panel.starts[series]))
        return self.panel.times[first], self.panel.times[end - 1]

    def forecast_naive(self, rows: Rows) -> Mapping[str, Floats]:
        """Return the naive forecasts by name, each (m, P, C) in the units of the table.

        The seasonal naive one repeats the last season, which comes first if there is a season; the other one repeats
        the last value. A missing value is replaced by the one that was last known before it, if there is one.
        """
        length = self.season + 1  # one more, so that a season that begins with a missing value may find one
        place = self.first[rows, None] - length + np.arange(length)
        past = self.panel.values[np.maximum(place, 0), : self.num_targets]
        past[place < self._begins(rows)[:, None]] = np.nan
        past = _fill_forward(past)
        forecasts = {}
        if self.season > 1:
            steps = np.arange(self.horizon) % self.season - self.season
            seasonal = past[:, steps]
            forecasts[SEASONAL] = np.where(np.isnan(seasonal), past[:, -1:], seasonal)
        return forecasts | {LAST: np.repeat(past[:, -1:], self.horizon, 1)}

    def _begins(self, rows: Rows) -> Rows:
        return self.panel.starts[self.series[rows]]

    def _levels(self, rows: Rows) -> list[Floats]:
        """Return the last value of each target before each differencing, `diff` arrays (m, C)."""
        if not self.diff:
            return []
        past = self.panel.values[self.first[rows, None] - self.diff + np.arange(self.diff), : self.num_targets]
        return [np.diff(past, order, axis=1)[:, -1] for order in range(self.diff)]


def _fill_forward(values: Floats) -> Floats:
    """Fill missing values with the last known one before them, (m, T, C)."""
    known = np.where(np.isnan(values), 0, np.arange(values.shape[1])[:, None])
    return np.take_along_axis(values, np.maximum.accumulate(known, 1), 1)
