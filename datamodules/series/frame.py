"""Tables of any format as data frames of series."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from lightfit.errors import DataError, clip, clip_list

from ..tables.cells import is_empty
from ..tables.columnar import ARROW, FEATHER, PARQUET, is_columnar
from ..tables.content import ZIP, Content, on_disk, open_bytes, open_path
from ..tables.delimited import sample_lines
from ..tables.encoding import find_encoding
from ..tables.json_rows import find_json, open_json
from ..tables.options import AS_FOUND, TableOptions
from ..tables.reader import JSON, check_readable, check_suffix
from ..tables.sheets import OLE, open_sheet
from ..tables.table import Row, Table, check_width
from .cell_types import is_text, type_cells, type_texts
from .delimited import read_delimited
from .margins import HEAD_LINES, TAIL_ROWS, count_footers, describe_footers, find_head, name_columns


class Frame(NamedTuple):
    """A table.

    Args:
        table: columns of numbers, of booleans, of datetime64, or of texts as they are written (None if empty): as
            objects, or, of `MANY_ROWS` and more, as categories.
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
        return _read_columnar(content, options)
    if start.startswith((ZIP, OLE)):
        return _read_sheet(content, options)
    check_suffix(content, start)
    encoding = find_encoding(content, options.encoding)
    if encoding.damaged or encoding.has_nul:
        what = "holds NUL bytes" if encoding.has_nul else f"is not {encoding.label} at some places"
        raise DataError(f"'{content.name}' {what}: export it as UTF-8, or set `encoding` to the one it was saved with")
    lines = sample_lines(content, encoding)
    if content.suffix not in (".csv", ".tsv") and (kind := find_json(lines) or _of_json(content)):
        return _read_json(open_json(content, encoding, lines, kind), options)
    return _build(content.name, *read_delimited(content, encoding, lines, options))


def _of_json(content: Content) -> str | None:
    return "lines" if content.suffix in JSON else None


def frame_of_text(text: str, place: str, options: TableOptions = AS_FOUND) -> Frame:
    """Read a table from a text, as on standard input; errors as in `read_frame`."""
    return read_frame(open_bytes(place, text.encode("utf-8", "replace")), replace(options, encoding="utf-8"))


def frame_of_rows(
    rows: Sequence[Mapping[str, Any]], place: str = "the rows", options: TableOptions = AS_FOUND
) -> Frame:
    """Return rows of JSON as a table; a key that a row lacks is an empty cell.

    Raises:
        DataError: there are no rows, they are not objects, or have more keys than a table may have columns.
    """
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"{place}: expected a list of objects, one for each row of a table")
    names = list(dict.fromkeys(name for row in rows for name in row))
    check_width(place, len(names), options.max_columns)
    return _build(place, names, [type_cells([row.get(name) for row in rows]) for name in names], [])


def check_file(path: Path) -> None:
    """Check that a file exists.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")


def _read_columnar(content: Content, options: TableOptions) -> Frame:
    try:
        with on_disk(content) as path:
            table = _open_columnar(content, path)
            check_width(content.name, table.num_columns, options.max_columns)
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
        elif is_text(column):
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
    check_width(table.name, len(table.columns), options.max_columns)
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
    names = name_columns(head, rows[:HEAD_LINES], found)
    names = [*names, *[""] * (len(filled) - len(names))]
    return _build(name, names, columns, [*found, *head.found, *describe_footers(count, text)])


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
    written, taken = set(kept.values()), set[str]()
    counts: dict[str, int] = {}  # where the search for a free number went on, as many columns may have one name
    for index, own in kept.items():
        new = own or f"Unnamed: {index}"  # as pandas names them
        number = counts.get(new, 0)
        first = new
        while new in taken or (number and new in written):
            number += 1
            new = f"{own}.{number}"
        distinct[index] = new
        counts[first] = number
        taken.add(new)
    if twice := [own for own, count in Counter(filter(None, kept.values())).items() if count > 1]:
        found.append(f"names that occur several times ({clip_list(twice)}) are numbered: {twice[0]}, {twice[0]}.1")
    table = pd.DataFrame({distinct[index]: _keep_objects(columns[index]) for index in kept}, copy=False)
    return Frame(*_drop_repeated_headers(_drop_empty_rows(table), found))


def _keep_objects(cells: Any) -> Any:
    """Return cells such that pandas 3, too, keeps objects as they are."""
    is_object = isinstance(cells, np.ndarray) and cells.dtype == object
    return pd.Series(cells, dtype=object, copy=False) if is_object else cells


def _drop_empty_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Drop rows without any cell."""
    first = table.iloc[:, 0].isna().to_numpy()
    if not first.any():
        return table
    rows = np.flatnonzero(first)
    empty = rows[table.iloc[rows].isna().all(axis=1).to_numpy()].tolist()
    return table.drop(index=empty).reset_index(drop=True) if len(empty) and len(empty) < len(table) else table


def _drop_repeated_headers(table: pd.DataFrame, found: list[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Drop rows that repeat the header, as in files that were written one after the other."""
    first = table.iloc[:, 0]
    if first.dtype != object:
        return table, tuple(found)
    alike = np.flatnonzero(first.to_numpy() == table.columns[0]).tolist()
    rows = [row for row in alike if [str(cell) for cell in table.iloc[row]] == list(table.columns)]
    if not rows:
        return table, tuple(found)
    count = "1 row that repeats" if len(rows) == 1 else f"{len(rows)} rows that repeat"
    kept = table.drop(index=rows).reset_index(drop=True)
    typed = {
        name: _keep_objects(type_texts(pa.chunked_array([pa.array(column.tolist(), pa.string())])))
        if column.dtype == object
        else column
        for name, column in kept.items()
    }
    return pd.DataFrame(typed), (*found, f"{count} the header left out")
