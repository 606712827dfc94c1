"""Texts: as arguments, in tables, files of lines and folders, on standard input, in requests."""

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightfit.datamodules.tables.rows import SUFFIXES, Row, check_text, get_cell, open_text, parse_rows, read_rows
from lightfit.datamodules.text.sources import read_text
from lightfit.errors import BadInput, DataError

from .protocol import Inputs

TEXT_FILES = (*SUFFIXES, ".txt")


class TextInputs(Inputs):
    """Read texts: a sample is a str.

    Args:
        text_column: the texts' column of a table where no other is named, as in training.
    """

    def __init__(self, text_column: str | int) -> None:
        self.text_column = text_column

    @property
    def schema(self) -> dict[str, Any]:
        """Return the schema of `{"texts": [...]}`."""
        texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"type": "object", "required": ["texts"], "properties": {"texts": texts}}

    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[str | BadInput]:
        """Yield the texts that the arguments stand for, as `stream_texts`."""
        return stream_texts(arguments, self.text_column if column is None else column)

    def from_json(self, body: dict[str, Any]) -> list[str | BadInput]:
        """Return the texts of `{"texts": [...]}`."""
        return check_texts(body.get("texts"))

    def from_upload(self, name: str, content: bytes) -> list[str | BadInput]:
        """Return the texts of a table, by the column of the training, or of a file of lines."""
        return parse_texts(content, name, self.text_column)


def stream_texts(arguments: Sequence[str], column: str | int) -> Iterator[str | BadInput]:
    """Yield the texts that arguments stand for, in order.

    An argument is a text itself, a file of lines, a table, a folder of .txt files with a text each, or `-`, lines of
    standard input. An argument without blanks that ends like a file is one: a mistyped name is no text.

    Args:
        arguments: the arguments.
        column: the texts' column in a table, as in `rows.read_rows`.

    Raises:
        FileNotFoundError: an argument looks like a file and there is none.
        LookupError: a table has no such column.
        DataError: a file is empty, or a folder holds no .txt files.
    """
    for item in arguments:  # before the first is predicted: a typo in the last costs nothing then
        if _suffix(item) in SUFFIXES:
            place, row = next(read_rows(Path(item), column), ("", None))
            if not place:
                raise DataError(f"'{item}' holds no rows; expected at least one text")
            if not isinstance(row, DataError):
                get_cell(row, column, place)
        elif _suffix(item) in TEXT_FILES:
            open_text(Path(item)).close()
    return _stream(arguments, column)


def _suffix(item: str) -> str:
    return "" if " " in item else Path(item).suffix.lower()


def _stream(arguments: Iterable[str], column: str | int) -> Iterator[str | BadInput]:
    for item in arguments:
        if item == "-":
            yield from _lines(sys.stdin, "standard input")
        elif _suffix(item) in SUFFIXES:
            yield from _cells(read_rows(Path(item), column), column)
        elif _suffix(item) in TEXT_FILES:
            with open_text(Path(item)) as file:
                yield from _lines(file, item)
        elif os.path.isdir(item):  # Path's own fails on a text that is too long for a name
            yield from _files(Path(item))
        else:
            yield _check(item, f"the input '{item}'")


def parse_texts(content: bytes, name: str, column: str | int) -> list[str | BadInput]:
    """Return the texts of an uploaded table or file of lines.

    Args:
        content: what is in the file.
        name: its name; the ending tells the format.
        column: the texts' column in a table.

    Raises:
        DataError: it ends otherwise, is empty, or has no such column.
    """
    if _suffix(name) not in TEXT_FILES:
        raise DataError(f"'{name}' does not end in one of {', '.join(TEXT_FILES)}: expected a table or lines of texts")
    file = io.StringIO(content.decode("utf-8-sig", "surrogateescape"), newline="")
    if _suffix(name) not in SUFFIXES:
        return list(_lines(file, name))
    texts = list(_cells(parse_rows(file, name, column), column))
    if not texts:
        raise DataError(f"'{name}' holds no rows; expected at least one text")
    return texts


def check_texts(texts: Any) -> list[str | BadInput]:
    """Return the texts of a request, a bad one as `BadInput`.

    Raises:
        DataError: it is not a list of texts, or empty.
    """
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataError('expected {"texts": ["a text", "another"]}, a list of at least one text')
    return [_check(text, f"text {position}") for position, text in enumerate(texts, 1)]


def _cells(rows: Iterable[Row], column: str | int) -> Iterator[str | BadInput]:
    for place, row in rows:
        try:
            yield check_text(get_cell(row, column, place), place)
        except (DataError, LookupError) as error:
            yield BadInput(str(error))


def _lines(lines: Iterable[str], name: str) -> Iterator[str | BadInput]:
    line_number = 0
    for line_number, line in enumerate(lines, 1):
        yield _check(line.rstrip("\r\n"), f"{name}, line {line_number}")
    if not line_number:
        raise DataError(f"'{name}' is empty; expected a text on each line")


def _files(folder: Path) -> Iterator[str | BadInput]:
    files = sorted(path for path in folder.rglob("*.txt") if path.is_file())
    if not files:
        raise DataError(f"'{folder}' holds no .txt files; expected one for each text")
    for file in files:
        try:
            yield read_text(file)
        except DataError as error:
            yield BadInput(str(error))


def _check(text: str, place: str) -> str | BadInput:
    try:
        return check_text(text, place)
    except DataError as error:
        return BadInput(str(error))
