"""Tables of series: roles of the columns, time stamps and values."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from lightfit.errors import DataError, NotFoundError, clip

from ..tables.columnar import PARQUET, is_columnar
from ..tables.content import Content, on_disk, open_path, report_damage
from ..tables.delimited import SAMPLE_CHARS, sample_lines
from ..tables.dialect import find_dialect
from ..tables.encoding import find_encoding
from ..tables.options import TableOptions
from ..tables.reader import check_readable, is_delimited, open_table
from ..tables.table import check_width


class Series(NamedTuple):
    """A series: name (empty if there is only one), time stamps (T,), and values (T, K), NaN if missing."""

    name: str
    times: pd.DatetimeIndex
    values: NDArray[np.float64]


def split_series(
    table: pd.DataFrame, *, time: str, series_id: str | None, values: Sequence[str], place: str
) -> list[Series]:
    """Split a table into its series, in order of their first row.

    Args:
        table: the table.
        time: column of the time stamps.
        series_id: column that identifies the series of a row; None: the table is one series.
        values: columns of numbers.
        place: name of the table, for messages.

    Raises:
        DataError: a time stamp does not parse or is not later than the one before it, a value is not a finite number,
            or the series of a row is missing.
    """
    numbers = np.stack([_read_numbers(table, name, place) for name in values], 1)
    times = _read_times(table, time, place)
    names = np.zeros(len(table), object) if series_id is None else table[series_id].to_numpy(object)
    code, unique = pd.factorize(names)
    if (code < 0).any():
        raise DataError(f"{place}, row {(code < 0).argmax() + 1}: the column '{series_id}' is empty; expected a name")
    series = []
    for index, name in enumerate(unique):
        rows = np.flatnonzero(code == index)
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
        + ("occurs twice; expected each once." if twice else f"follows {times[first - 1]}; expected increasing ones.")
        + " Sort the rows by time, or, for several series, set `columns.series_id` to the column that identifies them"
    )


def _read_times(table: pd.DataFrame, name: str, place: str) -> pd.DatetimeIndex:
    try:
        return pd.DatetimeIndex(to_dates(table[name]))
    except (ValueError, TypeError) as error:
        missing = table[name].isna().to_numpy()
        why = f"row {missing.argmax() + 1} is empty" if missing.any() else " ".join(str(error).split())
        raise DataError(
            f"{place}: expected time stamps such as 2024-01-31 13:00 in the column '{name}': {why}"
        ) from error


def to_dates(column: pd.Series) -> pd.Series:
    """Convert a column of dates, strings, or integers such as 2024 and 20240131 to time stamps.

    Raises:
        ValueError: a cell does not parse, or is empty.
    """
    if not pd.api.types.is_datetime64_any_dtype(column):
        if pd.api.types.is_float_dtype(column):
            raise ValueError(f"{column.iloc[0]} is a number")
        column = pd.to_datetime(column.astype(str).where(column.notna()))  # years and 20240131 are dates too
    if column.isna().any():
        raise ValueError("empty")
    return column


def _read_numbers(table: pd.DataFrame, name: str, place: str) -> NDArray[np.float64]:
    column = table[name]
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    text = np.isnan(numbers) & column.notna().to_numpy()
    if text.any():
        row = text.argmax()
        raise DataError(f"{place}, row {row + 1}: '{column.iloc[row]}' in the column '{name}'; expected numbers")
    if np.isinf(numbers).any():
        row = np.isinf(numbers).argmax()
        raise DataError(
            f"{place}, row {row + 1}: expected finite numbers in the column '{name}', received an infinite one; "
            "correct it, or leave the field empty"
        )
    return numbers


SEPARATORS = ",\t;|"


@dataclass(frozen=True, kw_only=True)
class SeriesColumns:
    """Roles of the columns of a table, except the targets.

    Args:
        time: column of the time stamps; null: the first column of dates.
        series_id: column that identifies the series of a row; null: the table is one series.
        past: covariates that are known only up to the forecast, such as a measured temperature.
        known: covariates that are also known for the steps to forecast, such as holidays.
    """

    time: str | None = None
    series_id: str | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


class Roles(NamedTuple):
    """The columns of a table, by role."""

    time: str
    series_id: str | None
    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Return all columns of numbers, in the order of the net's input."""
        return self.targets + self.past + self.known


def read_frame(file: Path | Content) -> pd.DataFrame:
    """Read a table of any format of `tables`, with the types that pandas finds.

    Args:
        file: its path, or the content of an uploaded file.

    Raises:
        FileNotFoundError: the file does not exist.
        UsageError: the file is of another format.
        DataError: the file is not a table, or has no rows.
    """
    if isinstance(file, Path):
        check_file(file)
    content = open_path(file) if isinstance(file, Path) else file
    start = content.read_start(16)
    check_readable(content, start)
    if is_columnar(start, content.suffix):
        return _read_columnar(content)
    if is_delimited(content, start):
        return _read_delimited(content)
    table = open_table(content, TableOptions(header=True))
    rows = []
    for row in table.rows(range(len(table.columns))):
        if isinstance(row, DataError):
            raise row
        rows.append(row.cells)
    if not table.named:
        raise DataError(f"'{content.name}' has no names of columns; expected a time column and columns of numbers")
    return _tidy(pd.DataFrame(rows, columns=table.columns), content.name)


def _read_columnar(content: Content) -> pd.DataFrame:
    try:
        with on_disk(content) as path:
            is_parquet = content.read_start(4) == PARQUET
            return _tidy(pd.read_parquet(path) if is_parquet else pd.read_feather(path), content.name)
    except (ValueError, OSError) as error:
        raise DataError(f"'{content.name}' cannot be read as a table: {clip(str(error), 150)}") from error


def _read_delimited(content: Content) -> pd.DataFrame:
    encoding = find_encoding(content)
    if encoding.damaged:
        raise DataError(f"'{content.name}' is not UTF-8 at some places: convert it, or export it as UTF-8")
    lines = sample_lines(content, encoding)
    with report_damage(content.name), io.TextIOWrapper(content.open(), encoding=encoding.name, newline="") as text:
        return _parse(text, lines, content.suffix, content.name)


def check_file(path: Path) -> None:
    """Check that a file exists.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")


def parse_frame(text: str, place: str) -> pd.DataFrame:
    """Parse the content of a CSV or TSV file as a table.

    Raises:
        DataError: the text is not a table, or has no rows.
    """
    return _parse(io.StringIO(text), text[:SAMPLE_CHARS].splitlines(keepends=True), Path(place).suffix.lower(), place)


def _parse(text: TextIO, lines: list[str], suffix: str, place: str) -> pd.DataFrame:
    if lines:
        check_width(place, max(map(lines[0].count, SEPARATORS)) + 1)
    dialect, _ = find_dialect(lines, suffix, TableOptions())
    separator = dialect.delimiter if dialect.width > 1 else max(SEPARATORS, key="".join(lines[:1]).count)
    try:
        table = pd.read_csv(
            text,
            sep=separator,
            skipinitialspace=True,
            skiprows=dialect.skip,
            quotechar=dialect.quote or '"',
            quoting=csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
            escapechar=dialect.escape,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError) as error:
        raise DataError(f"'{place}' cannot be read as a table: {clip(' '.join(str(error).split()), 150)}") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas has used the first field as the index
        raise DataError(f"'{place}' cannot be read as a table: a row has more fields than its header")
    return _tidy(table, place)


def _tidy(table: pd.DataFrame, place: str) -> pd.DataFrame:
    if isinstance(table.index, pd.DatetimeIndex) or table.index.name is not None:
        table = table.reset_index()
    if table.empty:
        raise DataError(f"'{place}' holds no rows; expected a time column and columns of numbers")
    return table.rename(columns=str)


def choose_roles(table: pd.DataFrame, target: Sequence[str], columns: SeriesColumns, place: str) -> Roles:
    """Choose the role of each column.

    Args:
        table: the table.
        target: names of the columns to forecast; if empty, all numeric columns without another role.
        columns: roles of the other columns.
        place: name of the table, for messages.

    Raises:
        LookupError: a column does not exist, or no column holds time stamps.
        DataError: a column has two roles.
    """
    check_columns(
        table, [*target, *filter(None, (columns.time, columns.series_id)), *columns.past, *columns.known], place
    )
    time = columns.time or next((name for name in table.columns if _holds_dates(table[name])), None)
    if time is None:
        raise NotFoundError(f"{place}: no column holds time stamps; it has: {_list_names(table)}. Set `columns.time`")
    taken = {time, columns.series_id, *columns.past, *columns.known}
    targets = tuple(target) or tuple(n for n in table.columns if n not in taken and is_numeric_dtype(table[n]))
    if not targets:
        raise NotFoundError(f"{place}: no column of numbers to forecast; it has: {_list_names(table)}. Set `target`")
    named = [*targets, time, *filter(None, [columns.series_id]), *columns.past, *columns.known]
    if twice := [name for name in named if named.count(name) > 1]:
        raise DataError(
            f"the column '{twice[0]}' has two roles; expected each column to have one: correct `target` or `columns`"
        )
    return Roles(time, columns.series_id, targets, tuple(columns.past), tuple(columns.known))


def check_columns(table: pd.DataFrame, names: Sequence[str], place: str) -> None:
    """Check that a table has all of the columns.

    Raises:
        LookupError: a column does not exist; the message names similar ones.
    """
    for name in names:
        if name not in table.columns:
            near = get_close_matches(name, list(table.columns), n=2, cutoff=0.6)
            hint = f"; the nearest: {', '.join(near)}" if near else ""
            raise NotFoundError(f"{place} has no column '{name}'{hint}; it has: {_list_names(table)}")


def _holds_dates(column: pd.Series) -> bool:
    if is_numeric_dtype(column):
        return False
    try:
        to_dates(column.head(20))
    except (ValueError, TypeError):
        return False
    return True


def _list_names(table: pd.DataFrame) -> str:
    return ", ".join(table.columns[:12]) + (", ..." if len(table.columns) > 12 else "")
