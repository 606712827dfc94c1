"""The cells of a table of series: time stamps and numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datamodules.errors import DataError


class Series(NamedTuple):
    """One series: its name (empty where there is but one), time stamps (T,), and values (T, K), nan where missing."""

    name: str
    times: pd.DatetimeIndex
    values: NDArray[np.float64]


def split_series(
    table: pd.DataFrame, *, time: str, series_id: str | None, values: Sequence[str], place: str
) -> list[Series]:
    """The series of a table, in the order in which they begin.

    Args:
        table: the table.
        time: column of the time stamps.
        series_id: column that tells which series a row belongs to; None where it is all one.
        values: columns of numbers.
        place: name of the table, for messages.

    Raises:
        DataError: a time stamp is none, earlier than the one before it or the same; a value is no number or infinite;
            a row belongs to no series.
    """
    numbers = np.stack([_numbers(table, name, place) for name in values], 1)
    times = _times(table, time, place)
    names = np.zeros(len(table), object) if series_id is None else table[series_id].to_numpy(object)
    code, unique = pd.factorize(names)
    if (code < 0).any():
        raise DataError(f"{place}, row {(code < 0).argmax() + 1}: the column '{series_id}' is empty; expected a name")
    series = []
    for number, name in enumerate(unique):
        rows = np.flatnonzero(code == number)
        _check_order(times[rows], rows, f"{place}{'' if series_id is None else f', series {name}'}")
        series.append(Series("" if series_id is None else str(name), times[rows], numbers[rows]))
    return series


def _check_order(times: pd.DatetimeIndex, rows: NDArray[np.int64], place: str) -> None:
    steps = times[1:] - times[:-1]
    wrong = np.flatnonzero(steps <= pd.Timedelta(0))
    if not len(wrong):
        return
    first = wrong[0] + 1
    twice = steps[first - 1] == pd.Timedelta(0)
    raise DataError(
        f"{place}, row {rows[first] + 1}: the time stamp {times[first]} "
        + ("a second time; expected each once." if twice else f"comes after {times[first - 1]}; expected rising ones.")
        + " Sort the rows by time, or, where they are several series, name the column that tells them apart by "
        "--data.columns.series_id"
    )


def _times(table: pd.DataFrame, name: str, place: str) -> pd.DatetimeIndex:
    try:
        return pd.DatetimeIndex(to_dates(table[name]))
    except (ValueError, TypeError) as error:
        missing = table[name].isna().to_numpy()
        why = f"row {missing.argmax() + 1} is empty" if missing.any() else " ".join(str(error).split())
        raise DataError(
            f"{place}: the column '{name}' holds no time stamps: {why}; expected such as 2024-01-31 13:00"
        ) from error


def to_dates(column: pd.Series) -> pd.Series:
    """Time stamps of a column of dates, of text, or of whole numbers such as 2024 and 20240131.

    Raises:
        ValueError: a cell is none, or is empty.
    """
    if not pd.api.types.is_datetime64_any_dtype(column):
        if pd.api.types.is_float_dtype(column):
            raise ValueError(f"{column.iloc[0]} is a number")
        column = pd.to_datetime(column.astype(str).where(column.notna()))  # years and 20240131 are dates too
    if column.isna().any():
        raise ValueError("empty")
    return column


def _numbers(table: pd.DataFrame, name: str, place: str) -> NDArray[np.float64]:
    column = table[name]
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    text = np.isnan(numbers) & column.notna().to_numpy()
    if text.any():
        row = text.argmax()
        raise DataError(f"{place}, row {row + 1}: '{column.iloc[row]}' in the column '{name}'; expected numbers")
    if np.isinf(numbers).any():
        row = np.isinf(numbers).argmax()
        raise DataError(
            f"{place}, row {row + 1}: an infinite value in the column '{name}'; correct it, or leave the field empty"
        )
    return numbers
