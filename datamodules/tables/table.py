"""A table: its columns, and its rows one by one with their places."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lightfit.errors import DataError, clip_list

from .options import MAX_COLUMNS

SAMPLE_ROWS = 1000


class Row(NamedTuple):
    """A row: its place, and the cells of the columns that were asked for."""

    place: str
    cells: list[Any]


ReadRows = Callable[[Sequence[int]], Iterator[Row | DataError]]


@dataclass(frozen=True)
class Table:
    """A table that is read row by row.

    Args:
        name: name of the file.
        columns: names of the columns; their positions from 0 where there are none.
        named: whether the names are those of the file.
        found: what was found out about the file, in one line.
        sample: the first rows, whole.
        read: yields rows, with the cells of columns by position; a row that does not parse is a `DataError`.
        loose: whether a number may stand for a text, as in a spreadsheet.
    """

    name: str
    columns: list[str]
    named: bool
    found: str
    sample: list[list[Any]]
    read: ReadRows
    loose: bool = False

    def rows(self, columns: Sequence[int]) -> Iterator[Row | DataError]:
        """Yield the rows, in order, with the cells of some columns; a row that does not parse is a `DataError`.

        Args:
            columns: positions of the columns.

        Raises:
            DataError: the file is damaged.
        """
        return self.read(columns)


def check_width(name: str, num_columns: int, most: int = MAX_COLUMNS) -> None:
    """Check that a table is not wider than a table of texts can be.

    Raises:
        DataError: it is.
    """
    if num_columns > most:
        raise DataError(
            f"'{name}' has {num_columns:,} columns; expected at most {most:,}: is each row a sample, and is the "
            "`delimiter` right?"
        )


def name_columns(
    name: str,
    rows: list[list[Any]],
    *,
    header: bool | None,
    by_position: bool,
    asked: Sequence[str],
    usual_header: bool = True,
) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first row holds them.

    Args:
        name: name of the file.
        rows: the first rows.
        header: whether the first row holds names; None: found from the rows.
        by_position: whether columns are asked for by position, as where there are no names.
        asked: names of columns that are asked for.
        usual_header: whether files of this kind usually have a header.

    Raises:
        DataError: there are no rows, or too many columns.
    """
    from .columns import is_header

    width = max(map(len, rows[:1]), default=0)
    check_width(name, width)
    if header is None:
        header = bool(rows) and is_header(rows, by_position=by_position, asked=asked, usual_header=usual_header)
    if not header:
        return [str(index) for index in range(width)], False
    return ["" if cell is None else str(cell).lstrip("\ufeff").strip() for cell in rows[0]], True


def describe_columns(table: Table) -> str:
    """Return the names of the columns for a message, or their number."""
    if not table.named:
        return f"{len(table.columns)} columns without names, 0 to {len(table.columns) - 1}"
    return clip_list(table.columns)
