"""Rows of JSON: an object or a list on each line, an array of them, or an object of columns."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from lightfit.errors import DataError, clip

from .content import Content
from .delimited import MAX_LINE_CHARS, find_bad_chars
from .encoding import Encoding, decode_lines
from .table import SAMPLE_ROWS, Row, Table, check_width

MAX_OBJECT_CHARS = MAX_LINE_CHARS  # of a row in an array
MAX_COLUMNS_CHARS = 2**30  # of an object of columns, which is read whole
_BLANKS = re.compile(r"[\s,]*")
Item = tuple[str, Any]  # a place, and a row or a DataError


def find_json(lines: Sequence[str]) -> str | None:
    """Return how the rows are written: `lines`, `array` or `columns`; None if the text is not JSON.

    Args:
        lines: the first lines of the file.
    """
    filled = list(islice((line for line in lines if line.strip()), 3))
    if not filled or filled[0].lstrip("\ufeff \t")[0] not in "[{":
        return None
    parsed = [_try(line) for line in filled]
    if isinstance(parsed[0], (dict, list)):
        if isinstance(parsed[0], dict):
            return "columns" if len(filled) == 1 and _is_columns(parsed[0]) else "lines"
        rows = any(isinstance(item, (dict, list)) for item in parsed[0])
        return "array" if len(filled) == 1 and rows else "lines"
    start = "".join(lines).lstrip("\ufeff \t\r\n")
    if start[0] == "[" and start[1:].lstrip()[:1] in ("{", "[", ""):
        return "array"
    if start[0] == "{" and len(filled) > 1 and any(isinstance(item, dict) for item in parsed[1:]):
        return "lines"  # the first of which is damaged
    return "columns" if start[0] == "{" and re.match(r'\{\s*("|$)', start) and len(parsed) > 1 else None


def open_json(content: Content, encoding: Encoding, lines: Sequence[str], kind: str) -> Table:
    """Open JSON as a table; a key that a row lacks is None.

    Args:
        content: the file.
        encoding: its encoding.
        lines: its first lines.
        kind: as returned by `find_json`.

    Raises:
        DataError: the text is not JSON, or not rows.
    """
    columns_read = _read_columns(content, encoding) if kind == "columns" else []

    def items() -> Iterator[Item]:
        if kind == "lines":
            return _read_lines(content, encoding)
        return iter(columns_read) if kind == "columns" else _read_array(content, encoding)

    first = [row for _, row in islice(items(), SAMPLE_ROWS) if not isinstance(row, DataError)]
    named = any(isinstance(row, dict) for row in first)
    if named:
        columns = list(dict.fromkeys(key for row in first if isinstance(row, dict) for key in row))
    else:
        columns = [str(index) for index in range(max(map(len, first), default=0))]
    check_width(content.name, len(columns))

    def read(positions: Sequence[int]) -> Iterator[Row | DataError]:
        names = [columns[position] for position in positions]
        for place, row in items():
            if isinstance(row, DataError):
                yield row
                continue
            if isinstance(row, dict):
                cells = [row.get(name) for name in names] if named else None
            else:
                cells = None if named or len(row) <= max(positions) else [row[position] for position in positions]
            if cells is None:
                expected = "an object as the first row" if named else f"a list of {len(columns)} as the first row"
                yield DataError(f"{place}: expected {expected}, received '{clip(row)}'")
            elif problem := find_bad_chars([cell for cell in cells if isinstance(cell, str)], place, encoding):
                yield problem
            else:
                yield Row(place, cells)

    how = {"lines": "JSON lines", "array": "JSON, an array", "columns": "JSON, an object of columns"}[kind]
    sample = [[row.get(name) for name in columns] if named else row for row in first if isinstance(row, dict) == named]
    found = how + (f" ({content.compression})" if content.compression else "") + f", {encoding.label}"
    return Table(content.name, columns, named, found, sample, read)


def _try(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_lines(content: Content, encoding: Encoding) -> Iterator[Item]:
    number, long = 0, False
    for text in decode_lines(content, encoding, MAX_LINE_CHARS):
        whole = text[-1] in "\r\n" or len(text) < MAX_LINE_CHARS
        number += not long
        place = f"{content.name}, line {number}"
        if long or not whole:
            if not long:
                yield place, DataError(f"{place}: a line of more than {MAX_LINE_CHARS:,} characters; delete it")
            long = not whole
        elif text.strip():
            yield place, _parse(text, place)


def _parse(text: str, place: str) -> Any:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return DataError(f"{place}: not JSON ({clip(str(error))}); expected an object on each line")
    if not isinstance(row, (dict, list)):
        return DataError(f"{place}: expected an object or a list, received {type(row).__name__}")
    return row


def _read_array(content: Content, encoding: Encoding) -> Iterator[Item]:
    """Yield the rows of an array, of which only some are in memory."""
    decoder = json.JSONDecoder()
    pieces = decode_lines(content, encoding, 2**16)
    buffer = "".join(islice(pieces, 200)).lstrip("\ufeff \t\r\n").removeprefix("[")
    number, position = 0, 0
    while True:
        position = _BLANKS.match(buffer, position).end()  # type: ignore[union-attr]
        if buffer[position : position + 1] == "]":
            return
        place = f"{content.name}, row {number + 1}"
        try:
            row, end = decoder.raw_decode(buffer, position) if position < len(buffer) else (None, -1)
        except (ValueError, RecursionError) as error:
            row, end, why = None, -1, str(error)
        else:
            why = "the array has no end"
        if 0 <= end < len(buffer) or isinstance(row, (dict, list)):  # a number at the end may continue
            number, position = number + 1, end
            if isinstance(row, (dict, list)):
                yield place, row
            else:
                problem = f"{place}: expected an object or a list, received {type(row).__name__}"
                yield place, DataError(problem)
            continue
        buffer, position = buffer[position:], 0
        # As much again as there is, so that a long row is not parsed often.
        more = "".join(islice(pieces, max(200, 2 * len(buffer) // 2**16 + buffer.count("\n"))))
        if not more or len(buffer) > MAX_OBJECT_CHARS:
            why = f"a row of more than {MAX_OBJECT_CHARS:,} characters" if more else why
            yield place, DataError(f"{place}: not JSON ({clip(why)}); nothing after it can be read")
            return
        buffer += more


def _is_columns(value: dict[str, Any]) -> bool:
    """Return whether an object holds columns: lists or objects of the same length; or rows below its only key."""
    if len(value) == 1:
        return isinstance(only := next(iter(value.values())), list) and all(isinstance(row, dict) for row in only)
    kinds = {(type(item), len(item)) for item in value.values() if isinstance(item, (list, dict))}
    return len(kinds) == 1 and all(isinstance(item, (list, dict)) for item in value.values()) and min(kinds)[1] > 0


def _read_columns(content: Content, encoding: Encoding) -> list[Item]:
    text = "".join(decode_lines(content, encoding, MAX_LINE_CHARS)).lstrip("\ufeff")
    expected = "expected rows: an object on each line, an array of objects, or an object of columns of one length"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{content.name}' is not JSON ({clip(str(error))}); {expected}") from error
    if not isinstance(value, dict):
        raise DataError(f"'{content.name}' holds no rows; {expected}")
    lists = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
    if len(lists) == 1 and sum(isinstance(item, list) for item in value.values()) == 1:
        rows: list[Any] = lists[0]
    elif _is_columns(value):
        cells = [list(item.values()) if isinstance(item, dict) else item for item in value.values()]
        rows = [dict(zip(value, row, strict=True)) for row in zip(*cells, strict=True)]
    elif not any(isinstance(item, (list, dict)) for item in value.values()):
        rows = [value]  # one row, over several lines
    else:
        lengths = [f"{name} {len(item) if isinstance(item, (list, dict)) else 1}" for name, item in value.items()]
        raise DataError(f"'{content.name}' holds columns of several lengths ({clip(', '.join(lengths))}); {expected}")
    return [(f"{content.name}, row {index}", row) for index, row in enumerate(rows, 1)]
