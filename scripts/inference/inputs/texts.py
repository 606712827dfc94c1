"""Inputs of texts: arguments, tables, files of lines, folders, standard input, requests."""

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
        text_column: default column of the texts in a table, as in training.
    """

    def __init__(self, text_column: str | int) -> None:
        self.text_column = text_column

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of `{"texts": [...]}`."""
        texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"type": "object", "required": ["texts"], "properties": {"texts": texts}}

    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[str | BadInput]:
        """Yield the texts of arguments, as `stream_texts`."""
        return stream_texts(arguments, self.text_column if column is None else column)

    def from_json(self, body: dict[str, Any]) -> list[str | BadInput]:
        """Return the texts of `{"texts": [...]}`."""
        return check_texts(body.get("texts"))

    def from_upload(self, name: str, content: bytes) -> list[str | BadInput]:
        """Return the texts of an uploaded table, from the column of the training, or of a file of lines."""
        return parse_texts(content, name, self.text_column)


def stream_texts(arguments: Sequence[str], column: str | int) -> Iterator[str | BadInput]:
    """Yield the texts of arguments, in order.

    An argument is a text, a file of lines, a table, a folder of .txt files with one text each, or `-` for lines of
    standard input. An argument without spaces that has the suffix of a file is a file, so that a mistyped name is not
    taken for a text.

    Args:
        arguments: the arguments.
        column: column of the texts in a table, as in `rows.read_rows`.

    Raises:
        FileNotFoundError: a file does not exist.
        LookupError: a table does not have the column.
        DataError: a file is empty, or a folder holds no .txt files.
    """
    for item in arguments:  # before the first prediction, so that a typo in the last argument is found at once
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
        elif os.path.isdir(item):  # Path.is_dir fails on a text that is too long for a file name
            yield from _files(Path(item))
        else:
            yield _check(item, f"the input '{item}'")


def parse_texts(content: bytes, name: str, column: str | int) -> list[str | BadInput]:
    """Return the texts of an uploaded table or file of lines.

    Args:
        content: content of the file.
        name: name of the file; its suffix selects the format.
        column: column of the texts in a table.

    Raises:
        DataError: the file has another suffix, is empty, or does not have the column.
    """
    if _suffix(name) not in TEXT_FILES:
        raise DataError(f"expected a table or a file of lines ({', '.join(TEXT_FILES)}), received '{name}'")
    file = io.StringIO(content.decode("utf-8-sig", "surrogateescape"), newline="")
    if _suffix(name) not in SUFFIXES:
        return list(_lines(file, name))
    texts = list(_cells(parse_rows(file, name, column), column))
    if not texts:
        raise DataError(f"'{name}' holds no rows; expected at least one text")
    return texts


def check_texts(texts: Any) -> list[str | BadInput]:
    """Return the texts of a request, with `BadInput` in place of a bad one.

    Raises:
        DataError: the value is not a list of texts, or is empty.
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
    num_lines = 0
    for num_lines, line in enumerate(lines, 1):
        yield _check(line.rstrip("\r\n"), f"{name}, line {num_lines}")
    if not num_lines:
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
