"""Any table: the format is found from the content of the file, its ending only decides between what looks alike."""

from collections.abc import Sequence
from pathlib import Path

from lightfit.errors import DataError, UsageError

from .columnar import is_columnar, open_columnar
from .content import ZIP, Content, open_path
from .delimited import open_delimited, sample_lines
from .dialect import find_dialect
from .encoding import find_encoding
from .fasttext import is_fasttext, open_fasttext
from .json_rows import find_json, open_json
from .options import AS_FOUND, TableOptions
from .sheets import OLE, open_sheet
from .table import Table

DELIMITED, JSON = (".csv", ".tsv", ".txt"), (".json", ".jsonl", ".ndjson")
COLUMNAR, WORKBOOKS = (".parquet", ".arrow", ".feather"), (".xlsx", ".xls", ".ods", ".xlsm", ".xlsb")
SUFFIXES = (*DELIMITED, *JSON, *COLUMNAR, *WORKBOOKS)
FORMATS = ".csv, .tsv, .txt, .json, .jsonl, .parquet, .arrow, .xlsx, .xls or .ods, each also in .gz, .zip or .zst"
OTHERS = {  # first bytes of files that are often mistaken for tables
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"II*\x00": "an image",
    b"MM\x00*": "an image",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"SQLite format 3": "a database",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x93NUMPY": "a numpy array",
    b"{\\rtf": "a document",
    b"\x7fELF": "a program",
}
LINES_FIT = 0.02  # fraction of the lines that may not fit into a table, beyond which a .txt holds lines of text


def open_table(
    path: Path | Content,
    options: TableOptions = AS_FOUND,
    *,
    by_position: bool = False,
    asked: Sequence[str] = (),
) -> Table:
    """Open a file as a table.

    Args:
        path: the file, or its content.
        options: what is given is not looked for.
        by_position: whether columns are asked for by position: then the first row is a header only if it has one of
            the usual names.
        asked: names of columns that are asked for: a first row with them is a header.

    Raises:
        FileNotFoundError: there is no such file.
        UsageError: it is of another format.
        DataError: it is empty, damaged, or its encoding is not sure.
        LookupError: a workbook does not have the sheet.
    """
    content = open_path(path) if isinstance(path, Path) else path
    start = content.read_start(16)
    check_readable(content, start)
    if is_columnar(start, content.suffix):
        return open_columnar(content)
    if start.startswith((ZIP, OLE)):
        return open_sheet(content, options, by_position=by_position, asked=asked)
    check_suffix(content, start)
    if content.suffix not in (".csv", ".tsv") and start:
        encoding = find_encoding(content, options.encoding)
        lines = sample_lines(content, encoding)
        if is_fasttext(lines):
            return open_fasttext(content, encoding, lines)
        if kind := find_json(lines) or ("lines" if content.suffix in JSON else None):
            return open_json(content, encoding, lines, kind)
    return open_delimited(content, options, by_position=by_position, asked=asked)


def check_readable(content: Content, start: bytes) -> None:
    """Check the first bytes of a file.

    Raises:
        UsageError: they are those of a format that is not read.
    """
    for magic, kind in OTHERS.items():
        if start.startswith(magic):
            raise UsageError(f"'{content.name}' is {kind}, which is not read; expected a table or texts: {FORMATS}")


def check_suffix(content: Content, start: bytes) -> None:
    """Check that a file which is neither a columnar one nor a workbook does not have the ending of one.

    Raises:
        DataError: it has.
    """
    if content.suffix in (*COLUMNAR, *WORKBOOKS) and start:
        raise DataError(
            f"'{content.name}' is not the {content.suffix} file that its name says: write or download it again"
        )


def is_table(content: Content, options: TableOptions = AS_FOUND) -> bool:
    """Return whether a file without the ending of a table holds one, and not lines of text.

    Raises:
        DataError: it is damaged, or its encoding is not sure.
    """
    start = content.read_start(16)
    if content.suffix in SUFFIXES and content.suffix != ".txt":
        return True
    if is_columnar(start, content.suffix) or start.startswith((ZIP, OLE)):
        return True
    lines = sample_lines(content, find_encoding(content, options.encoding))
    if is_fasttext(lines) or (find_json(lines) and start):
        return True
    dialect, bad = find_dialect([line for line in lines if line.strip()], content.suffix, options)
    return dialect.width > 1 and dialect.delimiter == "\t" and bad <= LINES_FIT
