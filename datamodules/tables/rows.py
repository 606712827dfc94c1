"""Rows of CSV, TSV and JSON-lines files, read one by one: files may exceed the memory, and a bad row stops no other."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from lightfit.errors import DataError, NotFoundError

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": None, ".json": None}
MAX_FIELD_CHARS = 2**24  # the csv module's own limit, 2**17, is shorter than some reviews
Row = tuple[str, Any]  # its place, and its cells by name or by position; or a DataError if it does not parse


def read_rows(path: Path, column: str | int) -> Iterator[Row]:
    """Yield the rows of a CSV, TSV or JSON-lines file.

    Args:
        path: the file; its suffix selects the format.
        column: name or position of a column to read: a table read by position has no header.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: a CSV or TSV file is empty, or its header does not parse.
    """
    with open_text(path) as file:
        yield from parse_rows(file, str(path), column)


def parse_rows(file: Iterable[str], name: str, column: str | int) -> Iterator[Row]:
    """Yield the rows of an open file, as `read_rows`; the suffix of `name` selects the format."""
    delimiter = SUFFIXES[Path(name).suffix.lower()]
    if delimiter is None:
        yield from _parse_json(file, name)
    else:
        yield from _parse_delimited(file, delimiter, name, has_header=isinstance(column, str))


def open_text(path: Path) -> TextIO:
    """Open a text file; bytes that are not UTF-8 become surrogates, which `check_utf8` detects.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def check_utf8(text: str, place: str) -> str:
    """Return the text if it was valid UTF-8.

    Raises:
        DataError: its bytes were not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place}: not UTF-8 (byte 0x{ord(text[error.start]) - 0xDC00:02x}); expected UTF-8: convert the file, for "
            "example with: iconv -f LATIN1 -t UTF-8"
        ) from error
    return text


def check_text(text: Any, place: str) -> str:
    """Return the text if it is a valid sample.

    Raises:
        DataError: it is not a string, is empty, or was not UTF-8.
    """
    if not isinstance(text, str) or not text.strip():
        raise DataError(
            f"{place}: the text is {'empty' if not text else repr(text)}; expected words: correct or delete the row"
        )
    return check_utf8(text, place)


def get_cell(row: Any, column: str | int, place: str, *, argument: str = "text_column") -> Any:
    """Return the cell of a row.

    Args:
        row: the row, or the error of a row that does not parse.
        column: name of the column, or its position from 0.
        place: place of the row, for the message.
        argument: name of the argument that selects the column, for the message.

    Raises:
        DataError: the row does not parse.
        LookupError: the row has no such column.
    """
    if isinstance(row, DataError):
        raise row
    try:
        return row[column]
    except (KeyError, IndexError, TypeError):
        held = ", ".join(map(repr, row)) if isinstance(row, dict) else f"{len(row)} columns, without names"
        raise NotFoundError(
            f"{place}: no column {column!r}; the row has: {held}. Set `{argument}` to the name of a column, or to a "
            "position from 0 in a table without a header"
        ) from None


def _parse_delimited(file: Iterable[str], delimiter: str, name: str, *, has_header: bool) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        place = f"{name}, line {reader.line_num + 1}"
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            problem = DataError(f"{place}: {error}; quotes within a quoted field must be doubled")
            if has_header and header is None:
                raise problem from error
            yield place, problem
            continue
        if header is None and has_header:
            header = row
        elif row and header is not None and len(row) != len(header):
            yield (
                place,
                DataError(
                    f"{place}: expected {len(header)} fields as in the header, received {len(row)}; quote a field "
                    "that contains a delimiter or a quote"
                ),
            )
        elif row:
            yield place, row if header is None else dict(zip(header, row, strict=True))
    if reader.line_num == 0:
        raise DataError(f"'{name}' is empty; expected a table with a text and a label in each row")


def _parse_json(file: Iterable[str], name: str) -> Iterator[Row]:
    for line, text in enumerate(file, 1):
        if text.strip():
            place = f"{name}, line {line}"
            try:
                row = json.loads(text)
            except json.JSONDecodeError as error:
                yield place, DataError(f"{place}: not JSON ({error}); expected an object on each line")
                continue
            if not isinstance(row, (dict, list)):
                row = DataError(f"{place}: expected an object or a list, received {type(row).__name__}")
            yield place, row
