"""Tables of series: CSV, TSV and Parquet files, and what their columns are."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pandas.api.types import is_numeric_dtype

from datamodules.errors import DataError
from datamodules.series_cells import to_dates

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
SEPARATORS = ",\t;|"


@dataclass(frozen=True, kw_only=True)
class SeriesColumns:
    """What the columns of a table are, but for the target.

    Args:
        time: column of the time stamps; null: the first one that holds dates.
        series_id: column that tells which series a row belongs to; null: it is all one.
        past: columns that help to forecast and are known up to now, such as a temperature measured.
        known: columns that are known for the steps to forecast too, such as holidays.
    """

    time: str | None = None
    series_id: str | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


class Roles(NamedTuple):
    """The columns of a table by what they are for."""

    time: str
    series_id: str | None
    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """All columns of numbers, in the order of the net's input."""
        return self.targets + self.past + self.known


def read_frame(path: Path) -> pd.DataFrame:
    """The table of a file; a column for each of its columns.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is no table, or empty.
    """
    check_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"'{path}' does not end in one of {', '.join(SUFFIXES)}: a table of a time column and numbers")
    if path.suffix.lower() != ".parquet":
        try:
            return parse_frame(path.read_text(encoding="utf-8-sig"), str(path))
        except UnicodeDecodeError as error:
            raise DataError(f"'{path}' is not UTF-8 ({error.reason}): convert it, or export it as UTF-8") from error
    try:
        return _tidy(pd.read_parquet(path), str(path))
    except (ValueError, OSError) as error:
        raise DataError(f"'{path}' cannot be read as a table: {' '.join(str(error).split())}") from error


def check_file(path: Path) -> None:
    """Nothing, where there is a file.

    Raises:
        FileNotFoundError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")


def parse_frame(text: str, place: str) -> pd.DataFrame:
    """The table of a CSV or TSV file that is read.

    Raises:
        DataError: it is no table, or empty.
    """
    separator = max(SEPARATORS, key=text[: text.find("\n") + 1 or None].count)
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError) as error:
        raise DataError(f"'{place}' cannot be read as a table: {' '.join(str(error).split())}") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first field for a name of the row
        raise DataError(f"'{place}' cannot be read as a table: a row has more fields than its header")
    return _tidy(table, place)


def _tidy(table: pd.DataFrame, place: str) -> pd.DataFrame:
    if isinstance(table.index, pd.DatetimeIndex) or table.index.name is not None:
        table = table.reset_index()
    if table.empty:
        raise DataError(f"'{place}' holds no rows; expected a time column and columns of numbers")
    return table.rename(columns=str)


def choose_roles(table: pd.DataFrame, target: Sequence[str], columns: SeriesColumns, place: str) -> Roles:
    """What each column is for.

    Args:
        table: the table.
        target: names of the columns to forecast; all columns of numbers that are for nothing else where it is empty.
        columns: the others.
        place: name of the table, for messages.

    Raises:
        LookupError: a column is not there, or none holds time stamps.
        DataError: a column is named twice.
    """
    check_columns(
        table, [*target, *filter(None, (columns.time, columns.series_id)), *columns.past, *columns.known], place
    )
    time = columns.time or next((name for name in table.columns if _holds_dates(table[name])), None)
    if time is None:
        raise LookupError(
            f"{place}: no column holds time stamps; it has: {_names(table)}. Name it by --data.columns.time"
        )
    taken = {time, columns.series_id, *columns.past, *columns.known}
    targets = tuple(target) or tuple(n for n in table.columns if n not in taken and is_numeric_dtype(table[n]))
    if not targets:
        raise LookupError(
            f"{place}: no column of numbers to forecast; it has: {_names(table)}. Name one by --data.target"
        )
    named = [*targets, time, *filter(None, [columns.series_id]), *columns.past, *columns.known]
    if twice := [name for name in named if named.count(name) > 1]:
        raise DataError(f"the column '{twice[0]}' is named for two things; expected each column for one")
    return Roles(time, columns.series_id, targets, tuple(columns.past), tuple(columns.known))


def check_columns(table: pd.DataFrame, names: Sequence[str], place: str) -> None:
    """Nothing, where the table has all of the columns.

    Raises:
        LookupError: one is not there; the nearest are named.
    """
    for name in names:
        if name not in table.columns:
            near = get_close_matches(name, list(table.columns), n=2, cutoff=0.6)
            hint = f"; the nearest: {', '.join(near)}" if near else ""
            raise LookupError(f"{place} has no column '{name}'{hint}; it has: {_names(table)}")


def _holds_dates(column: pd.Series) -> bool:
    if is_numeric_dtype(column):
        return False
    try:
        to_dates(column.head(20))
    except (ValueError, TypeError):
        return False
    return True


def _names(table: pd.DataFrame) -> str:
    return ", ".join(table.columns[:12]) + (", ..." if len(table.columns) > 12 else "")
