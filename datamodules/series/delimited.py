"""Delimited text as columns.

pyarrow reads it: on 5 million rows of id, date and number it takes 2 CPU seconds and 0.4 GB, where pandas takes 4 s and
0.3 GB, and DuckDB 2.5 s and 0.5 GB (all as text). What it does not take, such as rows of several lengths, is read row
by row by the csv module.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from lightfit.errors import DataError, clip, clip_list

from ..tables.content import Content, report_damage
from ..tables.delimited import MAX_LINE_CHARS
from ..tables.dialect import Dialect, find_quote
from ..tables.encoding import Encoding, decode_lines
from ..tables.options import TableOptions
from ..tables.table import check_width
from .cell_types import type_texts
from .margins import (
    DATE,
    HEAD_LINES,
    NUMBER,
    TAIL_ROWS,
    TEXT,
    Head,
    count_footers,
    describe_footers,
    find_delimiter,
    find_head,
    find_kind,
    is_comment,
    is_rule,
    name_columns,
    split_lines,
)
from .numbers import are_grouped, holds_numbers

BLOCK_BYTES = 2**24  # that pyarrow parses at once
MAX_SURPLUS = 1000  # rows of other lengths beyond which a file is no table
REPEATS = 0.5  # fraction of distinct cells in the first rows below which a column is read as a dictionary
MAX_SAMPLE = 1000  # cells of a column that are looked at
_DECIMAL_COMMA = re.compile(r"-?[\d.]*,\d{1,2}(\s?\D{1,3})?")


class _Layout(NamedTuple):
    """How a delimited file is written.

    Args:
        dialect: delimiter and quotes.
        head: its header.
        skip: number of lines before the first row of data.
        names: names of the columns.
        found: what was found out, in one line each.
    """

    dialect: Dialect
    head: Head
    skip: int
    names: list[str]
    found: list[str]


def read_delimited(
    content: Content, encoding: Encoding, lines: list[str], options: TableOptions
) -> tuple[list[str], list[Any], list[str]]:
    """Read delimited text; return the names of the columns, the columns, and what was found out, in one line each.

    Args:
        content: the file.
        encoding: its encoding.
        lines: its first lines.
        options: what is given is not looked for.

    Raises:
        DataError: the file is empty, or a row has more fields than the header, or a quote is never closed.
    """
    if not "".join(lines[:1000]).strip():
        raise DataError(f"'{content.name}' cannot be read as a table: it is empty")
    most = max(max(map(line.count, options.delimiter or ",;\t|")) for line in lines[:20])
    check_width(content.name, most + 1, options.max_columns)
    layout = _find_layout(content, encoding, lines, options)
    columns, found = _parse_fast(content, encoding, layout, lines) or _parse_rows(content, encoding, layout, options)
    if not columns or not len(columns[0]):
        raise DataError(f"'{content.name}' holds no rows; expected a time column and columns of numbers")
    typed, grouped = [], []
    points_group = layout.dialect.delimiter != ","  # with commas between fields, points stand before decimals
    for index in range(len(columns)):
        typed.append(type_texts(columns[index], points_group=points_group))
        is_float = isinstance(typed[-1], np.ndarray) and typed[-1].dtype == np.float64
        if points_group and is_float and are_grouped(columns[index]) == "all":
            grouped.append(index)
        columns[index] = None  # its memory is needed for the next one
    if grouped:
        found += _ungroup(typed, grouped, layout.names)
    return layout.names, typed, [*layout.found, *found]


def _ungroup(typed: list[Any], grouped: Sequence[int], names: Sequence[str]) -> list[str]:
    """Correct columns such as 1.000 and 78.500, where others have decimal commas; return what was done, or may be."""
    shown = clip_list([names[index] for index in grouped])
    texts = [cells for cells in typed if isinstance(cells, np.ndarray) and cells.dtype == object]
    if not any(_has_decimal_commas(cells) for cells in texts):
        return [
            f"all numbers of {shown} have three decimals, as 1.234: if these are thousands, write them without points"
        ]
    for index in grouped:
        typed[index] = (typed[index] * 1000).round()
    return [f"points separate thousands in {shown}, as other columns have decimal commas"]


def _has_decimal_commas(cells: NDArray[np.object_]) -> bool:
    sample = [str(cell) for cell in cells[:MAX_SAMPLE] if cell is not None]
    return any(map(_DECIMAL_COMMA.fullmatch, sample)) and holds_numbers(pd.Series(cells[:MAX_SAMPLE], dtype=object))


def _find_layout(content: Content, encoding: Encoding, lines: list[str], options: TableOptions) -> _Layout:
    skip, given = 0, options.delimiter
    if lines[0].lstrip("\ufeff").lower().startswith("sep=") and len(lines[0].strip("\ufeff\r\n")) == 5:
        skip, given = 1, given or lines[0].strip("\ufeff\r\n")[4]
    begun = skip
    while begun < len(lines) - 1 and (not lines[begun].strip() or is_comment(lines[begun])):
        begun += 1
    near = lines[begun : begun + HEAD_LINES]
    usual = "\t" if content.suffix == ".tsv" else ""
    delimiter = given or find_delimiter(near, usual) or ("\t" if content.suffix == ".tsv" else ",")
    dialect, _ = find_quote(near[len(near) // 3 :], Dialect(delimiter), options)
    if dialect.quote is None and options.quote is None and sum(line.count('"') > 1 for line in near) > len(near) / 2:
        dialect = dialect._replace(quote='"')  # one of the quotes is not closed: it is named, and not part of the text
    if options.quote is None and '"' not in "".join(near) and sum(line[:1] == "'" for line in near) > len(near) / 2:
        dialect = dialect._replace(quote="'")
    rows, numbers = [], []
    for number, row in _number_rows(near, dialect):
        if row and not is_rule(near[number]):
            rows.append([cell.strip() for cell in row])
            numbers.append(number)
    if not rows:
        raise DataError(f"'{content.name}' holds no rows; expected a time column and columns of numbers")
    head, comment = find_head(rows, options.header), None
    if not head.names and options.header is None and begun > skip:
        comment = _read_commented_names(lines[begun - 1], delimiter, head)
    found: list[str] = [_describe(content, encoding, dialect)]
    if begun > skip and (count := sum(map(is_comment, lines[skip:begun])) - (comment is not None)):
        found.append(f"{count} comment {'line' if count == 1 else 'lines'} above the table passed over")
    if comment is not None:
        head = head._replace(names=comment)
    names = name_columns(head, rows, found)
    first = numbers[head.first] if head.first < len(numbers) else len(near)
    return _Layout(dialect, head, begun + first, names, [*found, *head.found])


def _number_rows(lines: list[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the index of the line at which each begins."""
    csv.field_size_limit(MAX_LINE_CHARS)
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or '"',
        quoting=csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
        escapechar=dialect.escape,
        doublequote=dialect.escape is None,
        skipinitialspace=True,
    )
    begun = 0
    with suppress(csv.Error):
        for row in reader:
            yield begun, row
            begun = reader.line_num


def _read_commented_names(line: str, delimiter: str, head: Head) -> list[str] | None:
    """Return the names of columns in a comment right above the data, such as `# date,load`."""
    text = line.lstrip("\ufeff \t").lstrip("#%/").strip()
    (names,) = split_lines([text], delimiter) or [[]]
    return [name.strip() for name in names] if len(names) == head.width > 1 else None


def _describe(content: Content, encoding: Encoding, dialect: Dialect) -> str:
    kind = "TSV" if dialect.delimiter == "\t" else "CSV"
    kind = f"{kind} ({content.compression})" if content.compression else kind
    return f"{kind}, {encoding.label}, {dialect.label}"


def _parse_fast(
    content: Content, encoding: Encoding, layout: _Layout, lines: list[str]
) -> tuple[list[Any], list[str]] | None:
    """Read the columns as texts by pyarrow; None where rows are of several lengths, or not as it expects."""
    invalid: list[str] = []

    def pass_over(row: Any) -> str:
        invalid.append(row.text or "")
        return "skip" if len(invalid) <= MAX_SURPLUS else "error"

    if layout.dialect.delimiter == " ":
        return None  # several blanks may stand between fields
    names = [str(index) for index in range(len(layout.names))]
    sample = [row for _, row in _number_rows(lines[layout.skip :], layout.dialect)]
    types = {name: _choose_type([row[index] for row in sample if index < len(row)]) for index, name in enumerate(names)}
    dialect = layout.dialect
    quoted = dialect.quote is not None
    try:
        with report_damage(content.name), content.open() as file:
            table = pacsv.read_csv(
                pa.OSFile(str(content.path)) if content.path is not None else pa.PythonFile(file, "r"),
                read_options=pacsv.ReadOptions(
                    block_size=BLOCK_BYTES, column_names=names, skip_rows=layout.skip, encoding=encoding.name
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=dialect.delimiter,
                    quote_char=dialect.quote if quoted else False,
                    double_quote=quoted and dialect.escape is None,
                    escape_char=dialect.escape or False,
                    newlines_in_values=quoted and any((dialect.quote or "") in line for line in lines),
                    invalid_row_handler=pass_over,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=types, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True
                ),
            )
    except (pa.ArrowException, ValueError, LookupError):
        return None
    if invalid and not _are_last(content, encoding, invalid, layout.dialect):
        return None
    tail = table.slice(max(table.num_rows - TAIL_ROWS, 0)).to_pydict()
    rows = [list(row) for row in zip(*tail.values(), strict=True)]
    if rows and any("\n" in cell for cell in rows[-1] if cell is not None):
        return None  # perhaps a quote that is never closed, which is then named
    count, text = count_footers(rows, layout.head.kinds) if rows else (0, "")
    count, text = count + len(invalid), text or (invalid[0] if invalid else "")
    table = table.slice(0, table.num_rows - count + len(invalid))
    return [table.column(index) for index in range(len(names))], describe_footers(count, text)


def _choose_type(cells: list[str]) -> Any:
    repeats = len(set(cells)) <= REPEATS * len(cells)
    return pa.dictionary(pa.int32(), pa.string()) if repeats else pa.string()


def _are_last(content: Content, encoding: Encoding, invalid: list[str], dialect: Dialect) -> bool:
    """Return whether rows that do not fit are the last lines of a file, each with one text, as footers are."""
    texts = {text.strip() for text in invalid}
    if len(invalid) > TAIL_ROWS or any(_has_fields(text, dialect) for text in texts):
        return False
    last: list[str] = []
    if content.path is not None and encoding.name in ("utf-8", "utf-8-sig", "ascii"):
        with content.path.open("rb") as file:
            file.seek(max(content.path.stat().st_size - 2**14, 0))
            last = file.read().decode("utf-8", "ignore").splitlines()
    else:
        for line in decode_lines(content, encoding, MAX_LINE_CHARS):
            last = [*last[-TAIL_ROWS * 2 :], line]
    filled = [line.strip() for line in last if line.strip(f" \r\n{dialect.delimiter}")]
    return Counter(filled[-len(invalid) :]) == Counter(text.strip() for text in invalid)


def _has_fields(text: str, dialect: Dialect) -> bool:
    (row,) = split_lines([text], dialect.delimiter, dialect.quote)[:1] or [[]]
    return sum(bool(cell.strip()) for cell in row) > 1 or not row or bool(row[0][:1].isdigit())


def _parse_rows(
    content: Content, encoding: Encoding, layout: _Layout, options: TableOptions
) -> tuple[list[Any], list[str]]:
    """Read the columns as texts by the csv module, row by row.

    Raises:
        DataError: a row has more fields than the header, or a quote is never closed.
    """
    width, place = len(layout.names), content.name
    rows: list[list[str | None]] = []
    lonely: list[int] = []
    is_footer: list[bool] = []
    problems: list[tuple[int, str]] = []  # with the number of rows before each
    with report_damage(content.name):
        lines = _decode_rows(content, encoding, layout)
        reader = layout.dialect.reader(lines)
        while True:
            begun = reader.line_num + layout.skip + 1
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                problems.append((len(rows), f"{place}, line {begun}: {error}"))
                is_footer.append(False)
                if "unexpected end" in str(error):
                    break
                continue
            filled = sum(bool(cell.strip()) for cell in row)
            text = layout.dialect.delimiter.join(row)
            if not filled or (len(row) != width and (is_comment(text) or is_rule(text))):
                continue
            if len(row) > width and any(cell.strip() for cell in row[width:]):
                problems.append(
                    (
                        len(rows),
                        f"{place}, line {begun}: {len(row)} fields, more fields than its header, which has {width}; "
                        "quote a field that contains a delimiter, or set `delimiter`",
                    )
                )
                is_footer.append(find_kind(row[0]) == TEXT and layout.head.kinds[0] in (NUMBER, DATE))
                continue
            if len(row) == 1 < width:
                lonely.append(len(rows))
            rows.append([*row[:width], *[None] * (width - len(row))])
    count, text = count_footers(rows[-TAIL_ROWS:], layout.head.kinds) if rows else (0, "")
    body = rows[: len(rows) - count]
    inside = [
        problem
        for (before, problem), footer in zip(problems, is_footer, strict=True)
        if before < len(body) or not footer
    ]
    if inside and options.on_error == "raise":
        raise DataError(f"'{place}' cannot be read as a table: {inside[0]}")
    found = [f"{len(inside):,} rows that cannot be read are left out: {inside[0]}"] if inside else []
    if lonely and lonely[0] < len(body):
        raise DataError(
            f"'{place}', row {lonely[0] + 1}: expected {width} fields as in the header, received 1: "
            f"'{clip(body[lonely[0]][0])}'; complete or delete the row"
        )
    columns = [pa.chunked_array([pa.array([row[index] for row in body], pa.string())]) for index in range(width)]
    return columns, [*found, *describe_footers(count, text)]


def _decode_rows(content: Content, encoding: Encoding, layout: _Layout) -> Iterator[str]:
    """Yield the lines of the data; where blanks separate fields, with one between them."""
    for number, line in enumerate(decode_lines(content, encoding, MAX_LINE_CHARS)):
        if number >= layout.skip:
            yield " ".join(line.split()) + "\n" if layout.dialect.delimiter == " " else line
