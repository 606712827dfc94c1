"""Series as one matrix: sorted by series and time, so that a series is a slice of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Series(NamedTuple):
    """A series: name (empty if there is only one), time stamps (T,), and values (T, K), NaN if missing."""

    name: str
    times: pd.DatetimeIndex
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """All series of a table, one after the other, each in order of time.

    Args:
        names: name of each series, in order of its first row in the table; one empty name if there is only one series.
        starts: first row of each series, and the number of rows, (S + 1,) int64.
        times: time stamps, (N,) datetime64[ns]: in UTC where the series have a time zone, else as they are written.
        values: columns of numbers, (N, K) float64, NaN if missing.
    """

    names: Sequence[str]
    starts: NDArray[np.int64]
    times: NDArray[np.datetime64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.names)

    def __getitem__(self, index: int) -> Series:
        """Return a series, as views."""
        rows = slice(int(self.starts[index]), int(self.starts[index + 1]))
        return Series(self.names[index], pd.DatetimeIndex(self.times[rows]), self.values[rows])

    def __iter__(self) -> Iterator[Series]:
        """Yield the series."""
        return (self[index] for index in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return the number of rows of each series, (S,)."""
        return np.diff(self.starts)

    @property
    def codes(self) -> NDArray[np.int64]:
        """Return the index of the series of each row, (N,)."""
        return np.repeat(np.arange(len(self)), self.lengths)


def take_first(panel: Panel, counts: NDArray[np.int64]) -> Panel:
    """Return the first rows of each series.

    Args:
        panel: the series.
        counts: number of rows of each, (S,).
    """
    kept = np.arange(len(panel.times)) < (panel.starts[:-1] + counts)[panel.codes]
    starts = np.concatenate([[0], np.minimum(counts, panel.lengths).cumsum()])
    return Panel(panel.names, starts, panel.times[kept], panel.values[kept])
