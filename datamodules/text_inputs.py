"""Texts to predict: from the command line, files, folders and standard input."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from datamodules.errors import BadInput, DataError
from datamodules.rows import SUFFIXES, cell, check_text, open_text, table_rows
from datamodules.tables import read_text

TEXT_FILES = (*SUFFIXES, ".txt")


def stream_texts(inputs: Sequence[str], column: str | int) -> Iterator[str | BadInput]:
    """The texts that arguments stand for, in order, one after the other.

    An argument is a text itself, a file of lines, a table, a folder of .txt files with a text each, or `-`, lines of
    standard input. An argument without blanks that ends like a file is one: a mistyped name is no text.

    Args:
        inputs: the arguments.
        column: the texts' column in a table, as in `rows.table_rows`.

    Raises:
        FileNotFoundError: an argument looks like a file and there is none.
        LookupError: a table has no such column.
        DataError: a file is empty, or a folder holds no .txt files.
    """
    for item in inputs:  # before the first is predicted: a slip in the last costs nothing then
        if _suffix(item) in SUFFIXES:
            place, row = next(table_rows(Path(item), column), ("", None))
            if not place:
                raise DataError(f"'{item}' holds no rows; expected at least one text")
            if not isinstance(row, DataError):
                cell(row, column, place)
        elif _suffix(item) in TEXT_FILES:
            open_text(Path(item)).close()
    return _stream(inputs, column)


def _suffix(item: str) -> str:
    return "" if " " in item else Path(item).suffix.lower()


def _stream(inputs: Iterable[str], column: str | int) -> Iterator[str | BadInput]:
    for item in inputs:
        if item == "-":
            yield from _lines(sys.stdin, "standard input")
        elif _suffix(item) in SUFFIXES:
            yield from _cells(Path(item), column)
        elif _suffix(item) in TEXT_FILES:
            with open_text(Path(item)) as file:
                yield from _lines(file, item)
        elif item and Path(item).is_dir():
            yield from _files(Path(item))
        else:
            yield _checked(item, f"the input '{item}'")


def _cells(path: Path, column: str | int) -> Iterator[str | BadInput]:
    for place, row in table_rows(path, column):
        try:
            yield check_text(cell(row, column, place), place)
        except (DataError, LookupError) as error:
            yield BadInput(str(error))


def _lines(lines: Iterable[str], name: str) -> Iterator[str | BadInput]:
    number = 0
    for number, line in enumerate(lines, 1):
        yield _checked(line.rstrip("\r\n"), f"{name}, line {number}")
    if not number:
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


def _checked(text: str, place: str) -> str | BadInput:
    try:
        return check_text(text, place)
    except DataError as error:
        return BadInput(str(error))
