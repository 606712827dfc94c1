"""Rows of delimited text, by the csv module.

Of the readers that were measured (benchmarks/tables.py), it alone knows the line of each row, needs no memory that
grows with the file, and continues after a row that does not parse. The others take a third of its time, and half a
gigabyte or more on a table of two.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from lightfit.errors import DataError, clip

from .content import Content
from .dialect import MAX_FIELD_CHARS, Dialect, find_dialect, find_quote
from .encoding import Encoding, decode_lines, find_encoding
from .options import NO_QUOTE, TableOptions
from .table import SAMPLE_ROWS, Row, Table, check_width, name_columns

SAMPLE_CHARS = 2**18  # for the dialect
WINDOW_LINES = 200  # from the first quote on, where none was in the sample
MAX_LINE_CHARS = 2 * MAX_FIELD_CHARS


def sample_lines(content: Content, encoding: Encoding) -> list[str]:
    """Return the first lines of a file, whole ones unless the first is beyond any length."""
    lines: list[str] = []
    size = 0
    for line in decode_lines(content, encoding, MAX_LINE_CHARS):
        lines.append(line)
        size += len(line)
        if size > SAMPLE_CHARS:
            break
    return lines


def open_delimited(
    content: Content, options: TableOptions, *, by_position: bool = False, asked: Sequence[str] = ()
) -> Table:
    """Open delimited text as a table.

    Args:
        content: the file.
        options: what is given is not looked for.
        by_position: as in `name_columns`.
        asked: as in `name_columns`.

    Raises:
        DataError: the file is empty, is not a text, or has too many columns.
    """
    encoding = find_encoding(content, options.encoding)
    lines = sample_lines(content, encoding)
    if not "".join(lines[:1000]).strip():
        raise DataError(f"'{content.name}' is empty; expected a table with a text and a label in each row")
    check_width(content.name, max(map(lines[0].count, options.delimiter or ",;\t|")) + 1, options.max_columns)
    dialect, _ = find_dialect(lines, content.suffix, options)
    name = content.name
    rows = list(islice(_good(read_delimited(iter(lines), dialect, name, 0)), SAMPLE_ROWS))
    columns, header = name_columns(
        name,
        rows,
        header=options.header,
        by_position=by_position,
        asked=asked,
        usual_header=content.suffix in (".csv", ".tsv"),
    )

    def read(positions: Sequence[int]) -> Iterator[Row | DataError]:
        lines = decode_lines(content, encoding, MAX_LINE_CHARS)
        skip = header
        for item in read_delimited(lines, dialect, name, len(columns)):
            if isinstance(item, DataError):
                yield item
            elif skip:
                skip = False
            else:
                line, row = item
                cells = [row[position] for position in positions]
                place = f"{name}, line {line}"
                yield find_bad_chars(cells, place, encoding) or Row(place, cells)

    found = (
        f"{_name_format(dialect, content)}, {encoding.label}, {dialect.label}, {'header' if header else 'no header'}"
    )
    return Table(name, columns, header, found, rows[header:], read)


def read_delimited(
    lines: Iterator[str], dialect: Dialect, name: str, width: int
) -> Iterator[tuple[int, list[str]] | DataError]:
    """Yield the rows of lines with the line at which each begins, or what is wrong with them.

    Args:
        lines: lines with their ends.
        dialect: how they are written.
        name: name of the file, for messages.
        width: number of fields of a row; 0: that of the first.
    """
    feed = _Feed(lines)
    feed.skip(dialect.skip)
    if dialect.undecided:  # rows without quotes are the same with and without quoting
        for item in _read(feed, dialect._replace(quote=None), name, width, until='"'):
            width = width or (0 if isinstance(item, DataError) else len(item[1]))
            yield item
        window = feed.peek(WINDOW_LINES)
        dialect, _ = find_quote(window, dialect, TableOptions(), width) if window else (dialect, 0)
    yield from _read(feed, dialect, name, width)


class _Feed:
    """Lines of a file, some of which can be read again.

    Args:
        lines: lines with their ends.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.number = 0  # of lines that were read
        self.record: list[str] = []  # lines of the current row
        self._lines = lines
        self._again: deque[str] = deque()

    def read(self, until: str | None) -> Iterator[str]:
        """Yield lines, up to one with the character `until`.

        Raises:
            csv.Error: a line is too long; it is passed over.
        """
        record = self.record
        for line in self._take():
            if until is not None and until in line:
                self._again.appendleft(line)
                return
            self.number += 1
            if len(line) >= MAX_LINE_CHARS and line[-1] not in "\r\n":
                while (rest := next(self._lines, None)) is not None and rest[-1] not in "\r\n":
                    pass
                raise csv.Error(f"a line of more than {MAX_LINE_CHARS:,} characters")
            record.append(line)
            yield line

    def skip(self, count: int) -> None:
        """Pass over lines."""
        self.number += len(list(islice(self._lines, count)))

    def peek(self, count: int) -> list[str]:
        """Return the next lines, which remain to be read."""
        self._again.extend(islice(self._lines, count))
        return list(self._again)

    def back(self) -> None:
        """Have all lines of the current row but the first read again."""
        self.number -= len(self.record) - 1
        self._again.extendleft(reversed(self.record[1:]))

    def _take(self) -> Iterator[str]:
        while True:
            while self._again:
                yield self._again.popleft()
            if (line := next(self._lines, None)) is None:
                return
            yield line


def _read(
    feed: _Feed, dialect: Dialect, name: str, width: int, *, until: str | None = None
) -> Iterator[tuple[int, list[str]] | DataError]:
    reader = dialect.reader(feed.read(until))
    while True:
        feed.record.clear()
        line = feed.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _explain(str(error), f"{name}, line {line}")
            if "unexpected end" in str(error) or "field larger" in str(error):  # perhaps of a quote that begins nothing
                feed.back()
            reader = dialect.reader(feed.read(until))
            continue
        if not row:
            continue
        width = width or len(row)
        if len(row) == width:
            yield line, row
        else:
            yield DataError(
                f"{name}, line {line}: expected {width} fields as in the first row, received {len(row)}; quote a field "
                "that contains a delimiter or a quote"
            )


def _explain(error: str, place: str) -> DataError:
    if "unexpected end" in error:
        return DataError(f"{place}: a quote is never closed; double it, or set `quote` to {NO_QUOTE}")
    if "field larger" in error:
        return DataError(f"{place}: a field of more than {MAX_FIELD_CHARS:,} characters; is a quote never closed?")
    if "delimiter expected" in error or "expected after" in error:
        return DataError(
            f"{place}: {error}; quotes within a quoted field must be doubled; or set `quote` to {NO_QUOTE} where they "
            "are part of the text"
        )
    return DataError(f"{place}: {error}; delete the row")


def find_bad_chars(cells: Sequence[str], place: str, encoding: Encoding) -> DataError | None:
    """Return what is wrong where cells hold NUL bytes, or bytes that are not of the encoding."""
    if not encoding.damaged and not encoding.has_nul:
        return None
    for cell in cells:
        if "\0" in cell:
            return DataError(f"{place}: the cell '{clip(cell, 30)}' holds a NUL byte; correct or delete the row")
        if not cell.isascii() and (bad := next((char for char in cell if "\udc80" <= char <= "\udcff"), "")):
            return DataError(
                f"{place}: not {encoding.label} (byte 0x{ord(bad) - 0xDC00:02x}); correct the row, or set `encoding` "
                "to the one that the file was saved with, such as cp1252 or gb18030"
            )
    return None


def _name_format(dialect: Dialect, content: Content) -> str:
    kind = {".csv": "CSV", ".tsv": "TSV"}.get(content.suffix, "TSV" if dialect.delimiter == "\t" else "CSV")
    return f"{kind} ({content.compression})" if content.compression else kind


def _good(rows: Iterator[tuple[int, list[str]] | DataError]) -> Iterator[list[str]]:
    return (item[1] for item in rows if not isinstance(item, DataError))
