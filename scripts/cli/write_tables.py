"""Tables as files of any format that is read: written part by part in memory that does not grow, whole or not at all.

The parts wait in a temporary file until all are there. Only then is it known which columns there are, and of which
types: a column of warnings begins where the first one is, and the whole numbers of a column may end as a text.
"""

import csv
import json
import math
import pickle
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from lightfit.errors import DataError, UsageError
from lightfit.extras import importing_extra

from .outputs import check_output, output_file

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LINES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
COLUMNAR = (".parquet", ".arrow", ".feather")
WORKBOOK = ".xlsx"
COMPRESSIONS = (".gz", ".zst", ".zip", ".bz2", ".xz")
FORMATS = (
    ".csv, .tsv, .json or .jsonl, each also with .gz, .zst, .zip, .bz2 or .xz; .parquet, .arrow, .feather or .xlsx"
)
NOT_WRITTEN = {  # formats that are read
    ".xls": ".xlsx, which the same programs open",
    ".xlsm": ".xlsx, which the same programs open",
    ".xlsb": ".xlsx, which the same programs open",
    ".ods": ".xlsx or .csv, which LibreOffice opens",
}
SPREADSHEETS = (".csv", ".tsv", WORKBOOK)  # what a spreadsheet opens
MAX_ROWS, MAX_COLUMNS, MAX_CHARS = 1_048_576, 16_384, 32_767  # of a sheet, and of its cells
EXACT = 10**15  # whole numbers that a spreadsheet shows as they are
MEMORY = 2**26  # bytes of parts that wait in memory; more wait on disk
GROUP_ROWS = 50_000  # of a row group of a Parquet file
# OWASP's list, with the wide characters that spreadsheets take for the same.
FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|\.\d+)([eE][+-]?\d+)?%?")


class Format(NamedTuple):
    """What a file is written as.

    Args:
        kind: its ending, without that of a compression.
        compression: that ending; empty: none.
    """

    kind: str
    compression: str = ""


def find_format(path: Path) -> Format:
    """Return the format that the name of a file says.

    Raises:
        UsageError: it says none that is written.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    kind = suffixes[-1] if suffixes else ""
    if kind in NOT_WRITTEN:
        raise UsageError(f"{kind} is read, but not written: end --output in {NOT_WRITTEN[kind]}, received '{path}'")
    if kind in LINES or (not compression and kind in (*COLUMNAR, WORKBOOK)):
        return Format(kind, compression)
    within = f"; {kind} is compressed within, so leave {compression} out" if kind in (*COLUMNAR, WORKBOOK) else ""
    raise UsageError(f"expected --output to end in {FORMATS}, received '{path}'{within}")


def check_table(path: Path, *, overwrite: bool, escape_formulas: bool = False) -> None:
    """Check that a table can be written at a path, before anything else is done.

    Args:
        path: path of the file.
        overwrite: whether it may replace an existing file.
        escape_formulas: whether formulas are to be escaped.

    Raises:
        UsageError: as `check_output`; the format is not written, or no spreadsheet opens it.
        MissingPackageError: a package that writes the format is not installed.
    """
    form = find_format(path)
    if escape_formulas and form.kind not in SPREADSHEETS:
        raise UsageError(
            f"--escape_formulas is for tables that a spreadsheet opens ({', '.join(SPREADSHEETS)}), received '{path}': "
            "leave it out"
        )
    check_output(path, overwrite=overwrite)
    with importing_extra(f"'{path.name}'", extra="tables"):
        if form.kind == WORKBOOK:
            import xlsxwriter  # noqa: F401
        if form.kind in COLUMNAR:
            import pyarrow  # noqa: F401
        if form.compression == ".zst":
            import zstandard  # noqa: F401


class TableWriter:
    """Collect the parts of a table.

    Args:
        form: what they will be written as.
        path: the file.
    """

    def __init__(self, form: Format, path: Path) -> None:
        self.form = form
        self.path = path
        self.columns: list[str] = []
        self.num_rows = 0
        self.types: dict[str, pa.DataType | None] = {}  # None: of several kinds, so written as texts
        self.dates: dict[str, bool] = {}  # columns of time stamps: whether all are at midnight
        self.large: set[str] = set()  # columns with whole numbers that no float64 holds
        self._num_parts = 0
        # In the folder of the output: a temporary folder may be small, or be memory.
        folder = str(path.absolute().parent)
        self._file = tempfile.SpooledTemporaryFile(MEMORY, prefix=f".{path.name}.", dir=folder)  # noqa: SIM115

    def append(self, table: "pd.DataFrame") -> None:
        """Append rows; a column that is new is inserted where it stands among the others.

        Raises:
            DataError: the format does not hold as many rows or columns.
        """
        known = set(self.columns)
        for place, name in enumerate(table.columns):
            if name not in known:
                self.columns.insert(self.columns.index(table.columns[place - 1]) + 1 if place else 0, name)
        self.num_rows += len(table)
        self._check_size()
        table = table.copy(deep=False)
        for name in table.columns:
            table[name] = _clean(table[name])
            self._note_type(name, table[name])
        pickle.dump(table, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._num_parts += 1

    def parts(self) -> Iterator["pd.DataFrame"]:
        """Yield the parts, each with all columns."""
        self._file.seek(0)
        for _ in range(self._num_parts):
            yield pickle.load(self._file).reindex(columns=self.columns)  # written above

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def _check_size(self) -> None:
        if self.form.kind != WORKBOOK:
            return
        if self.num_rows >= MAX_ROWS:  # one is the header
            raise DataError(
                f"a sheet of .xlsx holds {MAX_ROWS - 1:,} rows below its header, and '{self.path}' would have more: "
                "nothing was written; end --output in .csv or .parquet, or divide the inputs"
            )
        if len(self.columns) > MAX_COLUMNS:
            raise DataError(
                f"a sheet of .xlsx holds {MAX_COLUMNS:,} columns, and '{self.path}' would have {len(self.columns):,}: "
                "nothing was written; end --output in .csv or .parquet"
            )

    def _note_type(self, name: str, column: "pd.Series") -> None:
        import pandas as pd

        if pd.api.types.is_datetime64_dtype(column.dtype):
            times = column.dropna()
            self.dates[name] = self.dates.get(name, True) and bool((times.dt.normalize() == times).all())
        if self.form.kind in COLUMNAR:
            found, large = _find_type(column)
            self.large.update([name] if large else [])
            self.types[name] = _join_types(self.types.get(name, found), found, large=name in self.large)


@contextmanager
def table_file(path: Path, *, escape_formulas: bool = False) -> Iterator[TableWriter]:
    """Yield a writer for the parts of a table, which are written at the end; the file gets its name when it is whole.

    Cells keep their types: a text such as 007 stays one, and whole numbers, dates and missing cells stay what they are,
    as far as the format knows them. In CSV, lists are JSON. Cells of .xlsx are never formulas.

    Args:
        path: the file, whose ending is its format.
        escape_formulas: put an apostrophe before cells of CSV that a spreadsheet would run as formulas.

    Raises:
        UsageError: the format is not written.
        DataError: the format does not hold as many rows.
        OSError: the file could not be written; the message names a full disk.
    """
    form = find_format(path)
    with output_file(path) as temporary:
        writer = TableWriter(form, path)
        try:
            yield writer
            _write(writer, temporary, escape_formulas=escape_formulas)
        finally:
            writer.close()


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a whole table, as `table_file`."""
    with table_file(path) as writer:
        writer.append(table)


def _write(writer: TableWriter, path: Path, *, escape_formulas: bool) -> None:
    kind = writer.form.kind
    if kind in COLUMNAR:
        _write_columnar(writer, path)
    elif kind == WORKBOOK:
        _write_workbook(writer, path)
    else:
        member = writer.path.name.removesuffix(Path(writer.path.name).suffix)
        with _open_text(path, writer.form.compression, member) as file:
            if kind == ".json":
                _write_json(writer, file)
            elif kind in (".jsonl", ".ndjson"):
                for part in writer.parts():
                    file.writelines(json_lines(part))
            else:
                header = True
                for part in writer.parts():
                    write_csv(part, file, kind=kind, header=header, escape_formulas=escape_formulas, dates=writer.dates)
                    header = False


def write_csv(
    table: "pd.DataFrame",
    file: IO[str],
    *,
    kind: str = ".csv",
    header: bool,
    escape_formulas: bool = False,
    dates: dict[str, bool] | None = None,
) -> None:
    """Write rows of CSV to an open file.

    Args:
        table: the rows.
        file: the file, opened with `newline=""`.
        kind: .csv, or .tsv with tabs.
        header: whether to write the names of the columns first.
        escape_formulas: as in `table_file`.
        dates: of columns of time stamps whether all of the file are at midnight, as each part alone does not tell.
    """
    table = table.copy(deep=False)
    for name in table.columns:
        column = table[name]
        if name in (dates or {}) and not (dates or {})[name] and column.dtype.kind == "M":
            written = column.dt.strftime("%Y-%m-%d %H:%M:%S.%f").str.removesuffix(".000000")
            table[name] = written.where(column.notna(), None)
        elif _holds_any(column):
            table[name] = _map(column, lambda cell: _escape(_flat(cell)) if escape_formulas else _flat(cell))
    if escape_formulas:
        table.columns = [_escape(name) for name in table.columns]
    # The csv module of Python before 3.13 leaves a carriage return without quotes, where readers end the row.
    returns = any("\r" in cell for name in table for cell in table[name] if isinstance(cell, str))
    quoting: Any = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    table.to_csv(file, sep="\t" if kind == ".tsv" else ",", index=False, header=header, quoting=quoting)


def json_lines(table: "pd.DataFrame") -> Iterator[str]:
    """Yield each row as a line of JSON; missing cells are null."""
    columns = [[_plain(cell) for cell in _cells(table[name])] for name in table.columns]
    for row in zip(*columns, strict=True):
        yield json.dumps(dict(zip(table.columns, row, strict=True)), ensure_ascii=False, allow_nan=False) + "\n"


def _write_json(writer: TableWriter, file: IO[str]) -> None:
    start = "[\n"
    for part in writer.parts():
        for line in json_lines(part):
            file.write(start + line.rstrip("\n"))
            start = ",\n"
    file.write("[]\n" if start == "[\n" else "\n]\n")


def _write_columnar(writer: TableWriter, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    mixed = {name for name, kind in writer.types.items() if kind is None}
    schema = pa.schema([(name, pa.string() if name in mixed else writer.types[name]) for name in writer.columns])

    def tables() -> Iterator[pa.Table]:
        held: list[pa.Table] = []
        for part in writer.parts():
            arrays = [_to_arrow(part[name], schema.field(name).type, mixed=name in mixed) for name in part]
            held.append(pa.table(arrays, schema=schema))
            if sum(table.num_rows for table in held) >= GROUP_ROWS:
                yield pa.concat_tables(held).combine_chunks()
                held = []
        if held:
            yield pa.concat_tables(held).combine_chunks()

    if writer.form.kind == ".parquet":
        with pq.ParquetWriter(path, schema) as file:
            for table in tables():
                file.write_table(table)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as file:
            for table in tables():
                file.write_table(table)


def _write_workbook(writer: TableWriter, path: Path) -> None:
    with importing_extra(f"'{writer.path.name}'", extra="tables"):
        import xlsxwriter
    options = {
        "constant_memory": True,
        "tmpdir": str(path.absolute().parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(str(path), options)
    sheet = book.add_worksheet()
    formats = {
        # Stays a text where the cell is edited, or the sheet is saved as CSV and opened again.
        "text": book.add_format({"quote_prefix": True}),
        "day": book.add_format({"num_format": "yyyy-mm-dd"}),
        "time": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
    }
    for place, name in enumerate(writer.columns):
        _write_cell(sheet, 0, place, name, formats)
    row = num_cut = 0
    try:
        for part in writer.parts():
            columns = [_cells(part[name]) for name in part]
            for cells in zip(*columns, strict=True):
                row += 1
                num_cut += sum(_write_cell(sheet, row, place, cell, formats) for place, cell in enumerate(cells))
    finally:
        book.close()
    if num_cut:
        import sys

        print(
            f"{num_cut} cells of '{writer.path}' were cut to {MAX_CHARS:,} characters, as .xlsx holds no longer ones: "
            "end --output in .csv or .parquet to have them whole",
            file=sys.stderr,
        )


def _write_cell(sheet: Any, row: int, place: int, cell: Any, formats: dict[str, Any]) -> bool:
    """Write a cell of a sheet, and return whether it had to be cut."""
    if _is_missing(cell):
        return False
    if isinstance(cell, bool):
        sheet.write_boolean(row, place, cell)
    elif (isinstance(cell, int) and abs(cell) < EXACT) or (isinstance(cell, float) and math.isfinite(cell)):
        sheet.write_number(row, place, cell)
    elif isinstance(cell, date) and cell.year >= 1900 and getattr(cell, "tzinfo", None) is None:
        # A datetime is a date too.
        midnight = not isinstance(cell, datetime) or (cell.hour, cell.minute, cell.second, cell.microsecond) == (0,) * 4
        sheet.write_datetime(row, place, cell, formats["day" if midnight else "time"])
    else:
        text = str(_flat(cell))
        risky = FORMULA.match(text) and not NUMBER.fullmatch(text)
        sheet.write_string(row, place, text[:MAX_CHARS], formats["text"] if risky else None)
        return len(text) > MAX_CHARS
    return False


@contextmanager
def _open_text(path: Path, compression: str, member: str) -> Iterator[IO[str]]:
    """Open a file for text, compressed.

    Args:
        path: the file.
        compression: the ending of the compression; empty: none.
        member: name of the file within a zip archive.
    """
    how: dict[str, Any] = {"newline": ""}
    if compression == ".zip":
        import io
        import zipfile

        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(member, mode="w", force_zip64=True) as binary,
            io.TextIOWrapper(binary, encoding="utf-8", **how) as file,
        ):
            yield file
        return
    if compression == ".zst":
        with importing_extra(f"'{path.name}'"):
            import zstandard

        opened: Any = zstandard.open(path, "wt", encoding="utf-8", **how)
    elif compression:
        import importlib

        module = importlib.import_module({".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}[compression])
        opened = module.open(path, "wt", encoding="utf-8", **how)
    else:
        opened = path.open("w", encoding="utf-8", **how)
    with opened as file:
        yield file


def _find_type(column: "pd.Series") -> tuple[Any, bool]:
    """Return the type of a column in Arrow, None if its cells are of several kinds; and whether ints exceed float64."""
    import pyarrow as pa

    cells = [cell for cell in column.tolist() if not _is_missing(cell)] if column.dtype == object else []
    kinds = {type(cell) for cell in cells}
    # Arrow takes a date among times for a day, and a text among bytes for bytes.
    if len(kinds) > 1 and not kinds <= {int, float}:
        return None, False
    try:
        kind = pa.array(column if column.dtype != object else cells, from_pandas=True).type
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None, False
    if pa.types.is_large_string(kind):
        kind = pa.string()
    return kind, pa.types.is_integer(kind) and max(map(abs, column.dropna()), default=0) > 2**53


def _join_types(known: Any, found: Any, *, large: bool) -> Any:
    """Return the type that holds the cells of two types exactly; None: a text."""
    import pyarrow as pa

    if known is None or found is None or known == found:
        return known if known == found else None
    if pa.types.is_null(found) or pa.types.is_null(known):
        return known if pa.types.is_null(found) else found
    try:
        joined = pa.unify_schemas([pa.schema([("", known)]), pa.schema([("", found)])], promote_options="permissive")
    except pa.ArrowException:
        return None
    kind = joined.field(0).type
    same = [pa.types.is_integer(item) or pa.types.is_floating(item) for item in (known, found)]
    if not all(same) and {known.id, found.id} != {kind.id}:  # such as a day and a time
        return None
    return None if large and pa.types.is_floating(kind) else kind


def _to_arrow(column: "pd.Series", kind: Any, *, mixed: bool) -> Any:
    import pyarrow as pa

    cells = _cells(column)
    if mixed:
        return pa.array([None if _is_missing(cell) else str(_flat(cell)) for cell in cells], pa.string())
    if column.isna().all():
        return pa.nulls(len(column), kind)
    if column.dtype != object:
        return pa.array(column, kind, from_pandas=True)
    return pa.array([None if _is_missing(cell) else cell for cell in cells], kind)


def _clean(column: "pd.Series") -> "pd.Series":
    """Return a column whose texts can be written as UTF-8: what is none, such as bytes in a file name, is `\\udcff`."""
    if not _holds_any(column) or all(not isinstance(cell, str) or cell.isascii() for cell in column):
        return column
    return _map(
        column,
        lambda cell: cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else cell,
    )


def _map(column: "pd.Series", function: Any) -> "pd.Series":
    import pandas as pd

    return pd.Series([function(cell) for cell in column.tolist()], column.index, dtype=object)


def _holds_any(column: "pd.Series") -> bool:
    """Return whether cells may be texts, or anything else that is no number and no time."""
    return column.dtype.kind not in "biufcM"


def _cells(column: "pd.Series") -> list[Any]:
    """Return the cells as values of Python; of float32 by their shortest decimals."""
    import numpy as np

    if column.dtype in (np.float32, np.float16):
        return [float(str(cell)) for cell in column.to_numpy()]
    if column.dtype.kind == "M":
        return [None if _is_missing(cell) else cell.to_pydatetime(warn=False) for cell in column]
    return [cell.item() if isinstance(cell, np.generic) else cell for cell in column.tolist()]


def _is_missing(cell: Any) -> bool:
    return cell is None or (not isinstance(cell, (list, dict, str)) and _is_nan(cell))


def _is_nan(cell: Any) -> bool:
    try:
        return bool(cell != cell) or type(cell).__name__ == "NAType"
    except (TypeError, ValueError):  # pandas.NA, or an array
        return type(cell).__name__ == "NAType"


def _flat(cell: Any) -> Any:
    """Return a cell for a table of texts: lists and objects as JSON."""
    return json.dumps(_plain(cell), ensure_ascii=False) if isinstance(cell, (list, dict)) else cell


def _plain(cell: Any) -> Any:
    """Return a cell as JSON knows it."""
    if isinstance(cell, dict):
        return {str(name): _plain(item) for name, item in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_plain(item) for item in cell]
    if _is_missing(cell):
        return None
    if isinstance(cell, (str, bool, int)):
        return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else str(cell)
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _escape(cell: Any) -> Any:
    """Return a cell with an apostrophe in front if a spreadsheet would run it as a formula."""
    if isinstance(cell, str) and FORMULA.match(cell) and not NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
