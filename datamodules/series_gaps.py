"""Missing steps and values of a series."""

import numpy as np
import pandas as pd

from datamodules.errors import DataError
from datamodules.series_cells import Series
from datamodules.series_steps import complete

HINT = "Fill it by --data.fill interpolate (or forward, or mask, which leaves it out of loss and scores)"


def fill_gaps(series: Series, names: tuple[str, ...], freq: str | None, fill: str, place: str) -> Series:
    """The series with all of its steps, and its missing values filled.

    Args:
        series: what the table holds.
        names: names of the columns.
        freq: frequency of the steps, or `rows`; None where none was found.
        fill: `error`; `forward`, the last value again; `interpolate`, a straight line over time; `mask` leaves nan.
        place: name of the table, for messages.

    Raises:
        DataError: a step or a value is missing and `fill` is `error`, or there is nothing to fill it from, or the steps
            are irregular.
    """
    place = f"{place}, series {series.name}" if series.name else place
    times = complete(series.times, freq, place)
    values = np.full((len(times), series.values.shape[1]), np.nan)
    values[times.get_indexer(series.times)] = series.values
    if len(times) > len(series.times) and fill == "error":
        missing = times.difference(series.times)
        raise DataError(f"{place}: {len(missing)} of {len(times)} steps are missing, the first {missing[0]}. {HINT}")
    if fill == "error":
        _refuse_missing(series._replace(times=times, values=values), names, f"are missing. {HINT}", place)
    elif fill == "forward":
        values = forward_fill(values)
    elif fill == "interpolate":
        values = pd.DataFrame(values, times).interpolate("time").to_numpy()
    filled = series._replace(times=times, values=values)
    if fill in ("forward", "interpolate"):
        _refuse_missing(filled, names, "come before the first one that is known: delete these rows", place)
    return filled


def forward_fill(values: np.ndarray) -> np.ndarray:
    """Each missing value as the last known one before it, (T, K); nan where there is none."""
    return pd.DataFrame(values).ffill().to_numpy()


def _refuse_missing(series: Series, names: tuple[str, ...], problem: str, place: str) -> None:
    missing = np.isnan(series.values)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise DataError(
            f"{place}: {missing[:, column].sum()} values of the column '{names[column]}', the first at "
            f"{series.times[row]}, {problem}"
        )
