"""Inputs of texts: arguments, tables, files of lines, folders, standard input, requests."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightfit.datamodules.tables.cells import check_text
from lightfit.datamodules.tables.columns import Chosen, choose_text, join_cells
from lightfit.datamodules.tables.content import COMPRESSIONS, Content, open_bytes, open_path
from lightfit.datamodules.tables.delimited import MAX_LINE_CHARS
from lightfit.datamodules.tables.encoding import decode_lines, find_encoding
from lightfit.datamodules.tables.options import AS_FOUND, TableOptions
from lightfit.datamodules.tables.reader import FORMATS, SUFFIXES, check_readable, is_table, open_table
from lightfit.datamodules.tables.table import Table
from lightfit.datamodules.text.sources import read_text
from lightfit.errors import BadInput, DataError, NotFoundError, UsageError, clip

from .protocol import Inputs

Texts = Iterator[str | BadInput]


class TextInputs(Inputs):
    """Read texts: a sample is a str.

    Args:
        text_column: default column of the texts in a table, as in training; None: found by the usual names.
        options: how to read the tables.
    """

    def __init__(self, text_column: str | int | None, options: TableOptions = AS_FOUND) -> None:
        self.text_column = text_column
        self.options = options

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of `{"texts": [...]}`."""
        texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"type": "object", "required": ["texts"], "properties": {"texts": texts}}

    def stream(self, arguments: list[str], column: str | int | None = None) -> Texts:
        """Yield the texts of arguments, as `stream_texts`."""
        if column is None:
            return stream_texts(arguments, self.text_column, self.options)
        return stream_texts(arguments, column, self.options, strict=True)

    def from_json(self, body: dict[str, Any]) -> list[str | BadInput]:
        """Return the texts of `{"texts": [...]}`."""
        return check_texts(body.get("texts"))

    def from_upload(self, name: str, content: bytes) -> list[str | BadInput]:
        """Return the texts of an uploaded table, from the column of the training, or of a file of lines."""
        return parse_texts(content, name, self.text_column, self.options)


def stream_texts(
    arguments: Sequence[str], column: str | int | None, options: TableOptions = AS_FOUND, *, strict: bool = False
) -> Texts:
    """Yield the texts of arguments, in order.

    An argument is a text, a file of lines, a table, a folder of files with one text each, or `-` for lines of standard
    input. A file that exists is a file, and an argument without spaces that has the ending of one is too, so that a
    mistyped name is not taken for a text.

    Args:
        arguments: the arguments.
        column: column of the texts in a table, as in `columns.choose_text`.
        options: how to read the tables.
        strict: whether each table must have the column; else it is found in tables without names.

    Raises:
        FileNotFoundError: a file does not exist.
        UsageError: a file is of a format that is not read.
        LookupError: a table does not have the column.
        DataError: a file is empty or damaged, or a folder holds no texts.
    """
    # All are opened before the first prediction, so that a typo in the last argument is found at once.
    return _chain([_open(item, column, options, strict=strict) for item in arguments])


def _chain(streams: Iterable[Texts]) -> Texts:
    for stream in streams:
        yield from stream


def _open(item: str, column: str | int | None, options: TableOptions, *, strict: bool) -> Texts:
    if item == "-":
        return _lines(sys.stdin, "standard input")
    if os.path.isdir(item):  # Path.is_dir fails on a text that is too long for a file name
        return _files(Path(item), options)
    if os.path.isfile(item) or _has_ending(item):
        return _read(open_path(Path(item)), column, options, strict=strict)
    return iter([_check(item, f"the input '{clip(item)}'")])


def _has_ending(item: str) -> bool:
    suffixes = [] if " " in item else Path(item).suffixes
    return any(suffix.lower() in SUFFIXES for suffix in suffixes[-2:]) and (
        suffixes[-1].lower() in (*SUFFIXES, *COMPRESSIONS)
    )


def _read(content: Content, column: str | int | None, options: TableOptions, *, strict: bool) -> Texts:
    """Return the texts of a table or of a file of lines, whichever the content is."""
    check_readable(content, content.read_start(16))
    if is_table(content, options):
        asked = [column] if isinstance(column, str) else []
        table = open_table(content, options, by_position=isinstance(column, int), asked=asked)
        try:
            return _cells(table, _choose(table, column, strict=strict))
        except NotFoundError:
            if strict or content.suffix not in (".txt", ""):
                raise
    lines = decode_lines(content, find_encoding(content, options.encoding), MAX_LINE_CHARS)
    return _lines(lines, content.name)


def _choose(table: Table, column: str | int | None, *, strict: bool) -> Chosen:
    try:
        return choose_text(table, column, alone=True)
    except NotFoundError:
        if strict or (table.named and not table.found.startswith("fastText")):
            raise
        return choose_text(table, None, alone=True)


def parse_texts(
    content: bytes, name: str, column: str | int | None, options: TableOptions = AS_FOUND
) -> list[str | BadInput]:
    """Return the texts of an uploaded table or file of lines.

    Args:
        content: content of the file.
        name: name of the file, whose ending must be one that is read.
        column: column of the texts in a table.
        options: how to read the tables.

    Raises:
        DataError: the file has another ending, is empty, or does not have the column.
    """
    if Path(name).suffix and not _has_ending(name):
        raise DataError(f"expected a table or a file of lines ({FORMATS}), received '{clip(name)}'")
    try:
        texts = list(_read(open_bytes(name, content), column, options, strict=False))
    except (NotFoundError, UsageError) as error:
        raise DataError(str(error)) from error
    if not texts:
        raise DataError(f"'{clip(name)}' holds no rows; expected at least one text")
    return texts


def check_texts(texts: Any) -> list[str | BadInput]:
    """Return the texts of a request, with `BadInput` in place of a bad one.

    Raises:
        DataError: the value is not a list of texts, or is empty.
    """
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataError('expected {"texts": ["a text", "another"]}, a list of at least one text')
    return [_check(text, f"text {position}") for position, text in enumerate(texts, 1)]


def _cells(table: Table, chosen: Chosen) -> Texts:
    empty = True
    for row in table.rows(chosen.positions):
        empty = False
        if isinstance(row, DataError):
            yield BadInput(str(row))
            continue
        try:
            yield check_text(join_cells(row.cells, pair=chosen.pair), row.place, loose=table.loose)
        except DataError as error:
            yield BadInput(str(error))
        except ValueError as error:
            yield BadInput(f"{row.place}: {error}; correct or delete the row")
    if empty:
        raise DataError(f"'{table.name}' holds no rows; expected at least one text")


def _lines(lines: Iterable[str], name: str) -> Texts:
    num_lines = 0
    for num_lines, line in enumerate(lines, 1):
        yield _check(line.rstrip("\r\n"), f"{name}, line {num_lines}")
    if not num_lines:
        raise DataError(f"'{name}' is empty; expected a text on each line")


def _files(folder: Path, options: TableOptions) -> Texts:
    files = sorted(path for path in folder.rglob("*.txt") if path.is_file())
    if not files:
        raise DataError(f"'{folder}' holds no .txt files; expected one for each text")
    for file in files:
        try:
            yield read_text(file, options.encoding)
        except DataError as error:
            yield BadInput(str(error))


def _check(text: str, place: str) -> str | BadInput:
    try:
        return check_text(text, place)
    except DataError as error:
        return BadInput(str(error))
