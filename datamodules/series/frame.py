"""Tables of any format as data frames of series: ids keep their text, and numbers are numbers only where all are.

Delimited text is read by pyarrow: on 5 million rows of id, date and number it takes 2 CPU seconds and 0.4 GB, where
pandas takes 4 s and 0.3 GB and DuckDB 2.5 s and 0.5 GB (all as text). What it does not take, such as rows of several
lengths, is read row by row by the csv module.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from lightfit.errors import DataError, clip, clip_list

from ..tables.cells import is_empty
from ..tables.columnar import ARROW, FEATHER, PARQUET, is_columnar
from ..tables.content import ZIP, Content, on_disk, open_bytes, open_path, report_damage
from ..tables.delimited import MAX_LINE_CHARS, sample_lines
from ..tables.dialect import Dialect, find_quote
from ..tables.encoding import Encoding, decode_lines, find_encoding
from ..tables.json_rows import find_json, open_json
from ..tables.options import AS_FOUND, TableOptions
from ..tables.reader import COLUMNAR, JSON, WORKBOOKS, check_readable
from ..tables.sheets import OLE, open_sheet
from ..tables.table import Row, Table, check_width
from .margins import (
    DATE,
    HEAD_LINES,
    NUMBER,
    TAIL_ROWS,
    TEXT,
    Head,
    count_footers,
    find_delimiter,
    find_head,
    find_kind,
    is_comment,
    is_rule,
    split_lines,
)
from .numbers import PLAIN, are_grouped, holds_numbers, to_floats

BLOCK_BYTES = 2**24  # that pyarrow parses at once
PROBLEMS_SHOWN = 3
MAX_SURPLUS = 1000  # rows of other lengths beyond which a file is no table
REPEATS = 0.5  # fraction of distinct cells in the first rows below which a column is read as a dictionary
MAX_SAMPLE = 1000  # cells of a column that are looked at
_DECIMAL_COMMA = re.compile(r"-?[\d.]*,\d{1,2}(\s?\D{1,3})?")
MAX_DIGITS = 15  # of whole numbers that a float64 holds


class Frame(NamedTuple):
    """A table.

    Args:
        table: columns of numbers, of booleans, of datetime64, or of texts as they are written (None if empty).
        found: what was found out about the file, and what was left out of it, in one line each.
    """

    table: pd.DataFrame
    found: tuple[str, ...]


def read_frame(file: Path | Content, options: TableOptions = AS_FOUND) -> Frame:
    """Read a table of any format.

    Args:
        file: its path, or the content of an uploaded file.
        options: what is given is not looked for.

    Raises:
        FileNotFoundError: the file does not exist.
        UsageError: the file is of another format.
        DataError: the file is not a table, is damaged, or has no rows.
        LookupError: a workbook does not have the sheet.
    """
    if isinstance(file, Path):
        check_file(file)
    content = open_path(file) if isinstance(file, Path) else file
    start = content.read_start(16)
    check_readable(content, start)
    if is_columnar(start, content.suffix):
        return _read_columnar(content)
    if start.startswith((ZIP, OLE)):
        return _read_sheet(content, options)
    if content.suffix in (*COLUMNAR, *WORKBOOKS) and start:
        raise DataError(
            f"'{content.name}' is not the {content.suffix} file that its name says: write or download it again"
        )
    encoding = find_encoding(content, options.encoding)
    if encoding.damaged or encoding.has_nul:
        what = "holds NUL bytes" if encoding.has_nul else f"is not {encoding.label} at some places"
        raise DataError(f"'{content.name}' {what}: export it as UTF-8, or set `encoding` to the one it was saved with")
    lines = sample_lines(content, encoding)
    if content.suffix not in (".csv", ".tsv") and (kind := find_json(lines) or _of_json(content)):
        return _read_json(open_json(content, encoding, lines, kind), options)
    return _read_delimited(content, encoding, lines, options)


def _of_json(content: Content) -> str | None:
    return "lines" if content.suffix in JSON else None


def frame_of_text(text: str, place: str, options: TableOptions = AS_FOUND) -> Frame:
    """Read a table from a text, as on standard input; errors as in `read_frame`."""
    return read_frame(open_bytes(place, text.encode("utf-8", "replace")), replace(options, encoding="utf-8"))


def frame_of_rows(rows: Sequence[Mapping[str, Any]], place: str = "the rows") -> Frame:
    """Return rows of JSON as a table; a key that a row lacks is an empty cell.

    Raises:
        DataError: there are no rows, or they are not objects.
    """
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"{place}: expected a list of objects, one for each row of a table")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _build(place, names, [type_cells([row.get(name) for row in rows]) for name in names], [])


def check_file(path: Path) -> None:
    """Check that a file exists.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")


# Parquet and Arrow ----------------------------------------------------------------------------------------------------


def _read_columnar(content: Content) -> Frame:
    try:
        with on_disk(content) as path:
            table = _open_columnar(content, path)
            frame = table.to_pandas(date_as_object=False, strings_to_categorical=False)
    except (ValueError, OSError, pa.ArrowException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{content.name}' cannot be read as a table: {clip(str(error), 150)}") from error
    if isinstance(frame.index, pd.DatetimeIndex) or any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    columns = []
    for index in range(frame.shape[1]):
        column = frame.iloc[:, index]
        if isinstance(column.dtype, pd.CategoricalDtype):
            columns.append(column.astype(object).to_numpy())
        elif column.dtype == object:
            columns.append(_clean_objects(column))
        else:
            columns.append(column.array)
    kind = "Parquet" if content.read_start(4) == PARQUET else "Arrow"
    found = f"{kind} ({content.compression})" if content.compression else kind
    return _build(content.name, [str(name) for name in frame.columns], columns, [found])


def _open_columnar(content: Content, path: Path) -> pa.Table:
    import pyarrow.parquet as pq
    from pyarrow import feather

    start = content.read_start(8)
    if start.startswith(PARQUET):
        return pq.read_table(path)
    if start.startswith((FEATHER, ARROW)):
        return feather.read_table(path)
    with pa.OSFile(str(path)) as source:
        return pa.ipc.open_stream(source).read_all()


def _clean_objects(column: pd.Series) -> Any:
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "string":
        return column.where(column.notna(), None).to_numpy(object)
    if kind == "decimal":
        return pd.to_numeric(column).to_numpy(np.float64)
    return type_cells(column.tolist(), texts_are_cells=False)


# Workbooks and JSON ---------------------------------------------------------------------------------------------------


def _collect(table: Table, options: TableOptions) -> tuple[list[list[Any]], list[str]]:
    rows, skipped = [], 0
    for row in table.rows(range(len(table.columns))):
        if isinstance(row, Row):
            rows.append(row.cells)
        elif options.on_error == "skip":
            skipped += 1
        else:
            raise row
    return rows, [f"{skipped:,} rows that cannot be read are left out"] if skipped else []


def _read_sheet(content: Content, options: TableOptions) -> Frame:
    table = open_sheet(content, replace(options, header=False))
    rows, found = _collect(table, options)
    found = [table.found.removesuffix(", no header"), *found]
    return _frame_of_cells(content.name, rows, found, options)


def _read_json(table: Table, options: TableOptions) -> Frame:
    rows, found = _collect(table, options)
    found = [table.found, *found]
    if not table.named:
        return _frame_of_cells(table.name, rows, found, options)
    if not rows:
        raise DataError(f"'{table.name}' holds no rows; expected a time column and columns of numbers")
    columns = [type_cells(list(cells)) for cells in zip(*rows, strict=True)]
    return _build(table.name, table.columns, columns, found)


def _frame_of_cells(name: str, rows: list[list[Any]], found: list[str], options: TableOptions) -> Frame:
    """Return rows of cells as a table, with its header found and its footers left out."""
    width = max(map(len, rows), default=0)
    rows = [row + [None] * (width - len(row)) for row in rows]
    filled = [index for index in range(width) if any(not is_empty(row[index]) for row in rows)]
    rows = [[row[index] for index in filled] for row in rows]
    head = find_head(rows[:HEAD_LINES], options.header)
    body = rows[head.first :]
    if not body:
        raise DataError(f"'{name}' holds no rows; expected a time column and columns of numbers")
    count, text = count_footers(body[-TAIL_ROWS:], head.kinds)
    body = body[: len(body) - count]
    columns = [type_cells([row[index] for row in body]) for index in range(len(filled))]
    names = _name_columns(head, rows[:HEAD_LINES], found)
    names = [*names, *[""] * (len(filled) - len(names))]
    return _build(name, names, columns, [*found, *head.found, *_say(count, text)])


def _say(count: int, text: str) -> list[str]:
    if not count or not text:
        return []
    return [f"{count} {'row' if count == 1 else 'rows'} at the end left out: {clip(text)}"]


def _name_columns(head: Head, rows: Sequence[Sequence[Any]], found: list[str]) -> list[str]:
    if not head.names:
        width = max(head.width, 1)
        found.append(f"no header: the columns are named 0 to {width - 1}")
        return [str(index) for index in range(width)]
    numbered = [str(row[0]) for row in rows[head.first :]] == [
        str(index + 1) for index in range(len(rows) - head.first)
    ]
    if len(head.names) == head.width - 1 and numbered and len(rows) > head.first + 1:  # as R numbers rows
        return ["", *head.names]
    return head.names


def type_cells(cells: list[Any], *, texts_are_cells: bool = True) -> Any:
    """Return cells of any kind as an array: numbers, booleans, datetime64, or texts with None where empty.

    Args:
        cells: the cells.
        texts_are_cells: whether texts of plain numbers are numbers, as numbers that a spreadsheet stores as texts.
    """
    empty = [is_empty(cell) and not isinstance(cell, (list, dict)) for cell in cells]
    kinds = {type(cell) for cell, is_blank in zip(cells, empty, strict=True) if not is_blank}
    known = [None if is_blank else cell for cell, is_blank in zip(cells, empty, strict=True)]
    if not kinds:
        return np.full(len(cells), np.nan)
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return np.array(known, bool) if not any(empty) else np.array(known, object)
    if all(issubclass(kind, (int, float, np.number)) for kind in kinds):
        return _type_numbers(known, all(issubclass(kind, (int, np.integer)) for kind in kinds), any(empty))
    if all(_is_date(kind) for kind in kinds):
        with suppress(ValueError, OverflowError):  # a year beyond 2262
            dates = pd.to_datetime(pd.Series(known, dtype=object))
            if pd.api.types.is_datetime64_any_dtype(dates):
                return dates.array
    texts = [None if cell is None else cell if isinstance(cell, str) else _write(cell) for cell in known]
    if not texts_are_cells:
        return np.array(texts, object)
    return type_texts(pa.chunked_array([pa.array(texts, pa.string())]))


def _is_date(kind: type) -> bool:
    from datetime import date

    return issubclass(kind, date)


def _type_numbers(known: list[Any], whole: bool, with_empty: bool) -> NDArray[Any]:
    if whole and not with_empty:
        with suppress(OverflowError):
            return np.array(known, np.int64)
    if whole and max(abs(int(cell)) for cell in known if cell is not None) >= 10**MAX_DIGITS:
        return np.array([None if cell is None else str(cell) for cell in known], object)
    return np.array([np.nan if cell is None else cell for cell in known], np.float64)


def _write(cell: Any) -> str:
    if hasattr(cell, "isoformat"):
        text = cell.isoformat(" ") if hasattr(cell, "hour") and hasattr(cell, "year") else cell.isoformat()
        return text.removesuffix(" 00:00:00")
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


# Delimited text -------------------------------------------------------------------------------------------------------


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


def _read_delimited(content: Content, encoding: Encoding, lines: list[str], options: TableOptions) -> Frame:
    if not "".join(lines[:1000]).strip():
        raise DataError(f"'{content.name}' cannot be read as a table: it is empty")
    check_width(content.name, max(max(map(line.count, options.delimiter or ",;\t|")) for line in lines[:20]) + 1)
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
    return _build(content.name, layout.names, typed, [*layout.found, *found])


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
    names = _name_columns(head, rows, found)
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
    return [table.column(index) for index in range(len(names))], _say(count, text)


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
    return columns, [*found, *_say(count, text)]


def _decode_rows(content: Content, encoding: Encoding, layout: _Layout) -> Iterator[str]:
    """Yield the lines of the data; where blanks separate fields, with one between them."""
    for number, line in enumerate(decode_lines(content, encoding, MAX_LINE_CHARS)):
        if number >= layout.skip:
            yield " ".join(line.split()) + "\n" if layout.dialect.delimiter == " " else line


def type_texts(cells: Any, *, points_group: bool = False) -> Any:
    """Return a column of texts as an array: numbers or booleans where all cells are, else texts with None where empty.

    Args:
        cells: a chunked array of pyarrow, of texts or dictionaries of them.
        points_group: whether points may separate thousands, so that 987 and 1.234 are left as texts for `read_numbers`.
    """
    if pa.types.is_dictionary(cells.type):
        unified = cells.unify_dictionaries()
        if not unified.num_chunks:
            return np.full(0, np.nan)
        codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in unified.chunks])
        distinct = _trim(unified.chunk(0).dictionary)
        used = np.bincount(codes[codes >= 0], minlength=len(distinct)) > 0
        values = _type_distinct(pc.if_else(pa.array(used), distinct, pa.scalar(None, pa.string())), points_group)
        if values is not None:
            if (codes < 0).any():
                return np.append(_allow_missing(values), np.nan if values.dtype != object else None)[codes]
            return values[codes]
        texts = np.append(distinct.to_numpy(zero_copy_only=False), None)
        return texts[codes]
    values = _type_distinct(cells, points_group)
    if values is None:
        cells = pa.chunked_array([_trim(chunk) for chunk in cells.chunks], pa.string())
        values = _type_distinct(cells, points_group)
    if values is not None:
        return values
    return type_as_objects(cells)


def type_as_objects(cells: Any) -> NDArray[np.object_]:
    """Return texts as objects, each distinct one once in memory."""
    encoded = cells.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], encoded.type)
    texts = np.append(encoded.dictionary.to_numpy(zero_copy_only=False), None)
    return texts[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def _allow_missing(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(object) if values.dtype == bool else values.astype(np.float64)


def _trim(texts: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_BOOLEAN_TEXTS = pa.array(list(_BOOLEANS))


def _type_distinct(texts: Any, points_group: bool) -> NDArray[Any] | None:
    """Return texts as int64, float64 or booleans; None if one of them is neither a plain number nor a boolean."""
    num_null = texts.null_count
    if num_null == len(texts):
        return np.full(len(texts), np.nan)
    if pc.all(pc.match_substring_regex(texts, PLAIN)).as_py() and not pc.any(pc.is_in(texts, _NO_NUMBERS)).as_py():
        if not pc.any(pc.match_substring_regex(texts, r"[.eE]")).as_py():
            with suppress(pa.ArrowInvalid):
                whole = pc.cast(texts, pa.int64())
                if not num_null:
                    return np.array(whole.to_numpy() if isinstance(whole, pa.Array) else whole.to_numpy())
                if (pc.max(pc.abs(whole)).as_py() or 0) < 10**MAX_DIGITS:
                    return to_floats(texts)
            return None  # whole numbers beyond any are ids
        if points_group and are_grouped(texts) == "some":
            return None  # 987 and 1.234: thousands, which `read_numbers` reads
        return to_floats(texts)
    if pc.all(pc.or_(pc.is_in(texts, _BOOLEAN_TEXTS), pc.is_null(texts))).as_py():
        cells = [None if text is None else _BOOLEANS[text] for text in texts.to_pylist()]
        return np.array(cells, object if num_null else bool)
    return None


_NO_NUMBERS = pa.array(["", "-", ".", "-."])


# All formats ----------------------------------------------------------------------------------------------------------


def _build(name: str, names: Sequence[str], columns: list[Any], found: list[str]) -> Frame:
    """Return columns as a table with distinct names; nameless columns that hold nothing are dropped."""
    found = list(found)
    if not columns or not len(columns[0]):
        raise DataError(f"'{name}' holds no rows; expected a time column and columns of numbers")
    kept = {
        index: " ".join(str(own).replace("\ufeff", "").split())
        for index, own in enumerate(names)
        if str(own).strip("\ufeff ") or not pd.isna(columns[index]).all()
    }
    distinct: dict[int, str] = {}
    for index, own in kept.items():
        new = own or f"Unnamed: {index}"  # as pandas names them
        number = 0
        while new in distinct.values() or (number and new in kept.values()):
            number += 1
            new = f"{own}.{number}"
        distinct[index] = new
    if twice := [own for own, count in Counter(filter(None, kept.values())).items() if count > 1]:
        found.append(f"names that occur several times ({clip_list(twice)}) are numbered: {twice[0]}, {twice[0]}.1")
    table = pd.DataFrame({distinct[index]: columns[index] for index in kept}, copy=False)
    return Frame(*_drop_repeated_headers(_drop_empty_rows(table), found))


def _drop_empty_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Drop rows without any cell."""
    first = table.iloc[:, 0].isna().to_numpy()
    if not first.any():
        return table
    rows = np.flatnonzero(first)
    empty = rows[table.iloc[rows].isna().all(axis=1).to_numpy()]
    return table.drop(index=empty).reset_index(drop=True) if len(empty) and len(empty) < len(table) else table


def _drop_repeated_headers(table: pd.DataFrame, found: list[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Drop rows that repeat the header, as in files that were written one after the other."""
    first = table.iloc[:, 0]
    if first.dtype != object:
        return table, tuple(found)
    rows = np.flatnonzero(first.to_numpy() == table.columns[0])
    rows = [row for row in rows.tolist() if [str(cell) for cell in table.iloc[row]] == list(table.columns)]
    if not rows:
        return table, tuple(found)
    count = "1 row that repeats" if len(rows) == 1 else f"{len(rows)} rows that repeat"
    kept = table.drop(index=rows).reset_index(drop=True)
    typed = {
        name: type_texts(pa.chunked_array([pa.array(column.tolist(), pa.string())]))
        if column.dtype == object
        else column
        for name, column in kept.items()
    }
    return pd.DataFrame(typed), (*found, f"{count} the header left out")
