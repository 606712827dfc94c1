"""Rows of the sheets of workbooks: .xlsx, .xls and .ods."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from lightfit.errors import DataError, clip, clip_list
from lightfit.extras import importing_extra

from .content import Content
from .options import TableOptions
from .table import SAMPLE_ROWS, Row, Table, name_columns

OLE = b"\xd0\xcf\x11\xe0"  # of .xls, and of encrypted .xlsx, which hold a stream of this name
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def open_sheet(
    content: Content, options: TableOptions, *, by_position: bool = False, asked: Sequence[str] = ()
) -> Table:
    """Open the sheet of a workbook as a table, with whole numbers as int and empty cells as None.

    Args:
        content: the file.
        options: which sheet, and whether it has a header.
        by_position: as in `name_columns`.
        asked: as in `name_columns`.

    Raises:
        DataError: the workbook is damaged or encrypted, or has several sheets of which none is chosen.
        LookupError: it has no such sheet.
    """
    name = content.name
    with importing_extra(name):
        import python_calamine  # imported here, as few files need it
    with content.open() as file:
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(file)
        except (python_calamine.CalamineError, OSError, ValueError) as error:
            file.seek(0)
            if isinstance(error, python_calamine.PasswordError) or ENCRYPTED in file.read():
                raise DataError(f"'{name}' is encrypted: save the workbook without a password") from error
            raise DataError(
                f"'{name}' is not a workbook that can be read ({clip(str(error))}); save it as .csv"
            ) from error
    sheet = _choose_sheet(book, options.sheet, name)
    try:
        rows = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, ValueError) as error:
        raise DataError(
            f"'{name}', sheet '{clip(sheet)}' cannot be read ({clip(str(error))}); save it as .csv"
        ) from error
    place = name if len(book.sheet_names) == 1 else f"{name}, sheet {clip(sheet, 30)}"
    filled = [(number, [_clean(cell) for cell in row]) for number, row in enumerate(rows, 1) if any(_filled(row))]
    del rows
    width = max((_width(row) for _, row in filled), default=0)
    filled = [(number, row[:width]) for number, row in filled]
    first = [row for _, row in islice(filled, SAMPLE_ROWS)]
    if not first:
        raise DataError(f"'{place}' holds no rows; expected a table with a text and a label in each row")
    columns, header = name_columns(name, first, header=options.header, by_position=by_position, asked=asked)

    def read(positions: Sequence[int]) -> Iterator[Row | DataError]:
        for number, row in islice(filled, int(header), None):
            yield Row(f"{place}, row {number}", [row[position] for position in positions])

    kind = f"workbook ({content.compression})" if content.compression else "workbook"
    found = f"{kind}, sheet '{clip(sheet, 30)}', {'header' if header else 'no header'}"
    return Table(name, columns, header, found, first[header:], read, loose=True)


def _choose_sheet(book: Any, asked: str | int | None, name: str) -> str:
    names = book.sheet_names
    if isinstance(asked, str) and asked not in names and asked.isdecimal():
        asked = int(asked)
    if isinstance(asked, int):
        if 0 <= asked < len(names):
            return names[asked]
    elif asked is not None:
        if asked in names:
            return asked
    else:
        filled = [item for item in names if book.get_sheet_by_name(item).total_height > 0]
        if len(filled) == 1:
            return filled[0]
        if not filled:
            raise DataError(f"'{name}' holds no rows; expected a table with a text and a label in each row")
        raise DataError(
            f"'{name}' has {len(filled)} sheets with rows ({clip_list(filled)}); which one? Set `sheet` to its name, "
            "or to its position from 0"
        )
    raise DataError(f"'{name}' has no sheet {clip(asked)!r}; it has: {clip_list(names)}. Set `sheet` to one of them")


def _clean(cell: Any) -> Any:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    return None if cell == "" else cell


def _filled(row: Sequence[Any]) -> Iterator[bool]:
    return (cell is not None and cell != "" for cell in row)


def _width(row: Sequence[Any]) -> int:
    """Return the number of cells up to the last that is not empty."""
    return next((index + 1 for index in reversed(range(len(row))) if row[index] is not None), 0)
