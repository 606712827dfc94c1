"""Checks of uploaded tables before they are read: what they hold when they are unpacked."""

import re
import zipfile
from collections.abc import Iterator
from typing import IO

from lightfit.datamodules.tables.columnar import PARQUET
from lightfit.datamodules.tables.content import Content, is_workbook, on_disk, open_bytes, report_damage
from lightfit.errors import clip

from ..inference.pixel_limits import RequestTooLarge
from .limits import Limits

CHUNK_BYTES = 2**20
LINES_PER_INPUT = 100  # in a table of texts, a cell in quotes may have several lines
ZIP = b"PK\x03\x04"
_CELL = re.compile(rb'<(?:\w+:)?c\s[^>]*?\br="([A-Z]{1,3})([0-9]{1,7})"')


def check_table(name: str, content: bytes, limits: Limits, *, of_texts: bool) -> None:
    """Check the size of an uploaded table.

    Args:
        name: name of the file.
        content: content of the file.
        limits: limits of a request.
        of_texts: whether each row is an input.

    Raises:
        RequestTooLarge: a limit is exceeded; the message names it.
        DataError: the file is damaged.
    """
    opened = open_bytes(name, content)
    start = opened.read_start(4)
    if start == ZIP and is_workbook(opened):
        _check_workbook(opened, limits)
    elif start == PARQUET:
        _check_parquet(opened, limits)
    else:
        _check_lines(opened, limits, of_texts=of_texts)


def _check_lines(content: Content, limits: Limits, *, of_texts: bool) -> None:
    num_bytes, num_lines, most = 0, 0, limits.max_inputs * LINES_PER_INPUT
    for chunk in _read(content):
        num_bytes += len(chunk)
        num_lines += chunk.count(b"\n")
        if num_bytes > limits.max_unpacked_bytes:
            raise _too_large(content.name, limits)
        if of_texts and num_lines > most:
            raise RequestTooLarge(
                f"'{clip(content.name)}' has more than {most:,} lines, and a request at most {limits.max_inputs:,} "
                "inputs: send several requests"
            )


def _read(content: Content) -> Iterator[bytes]:
    with report_damage(content.name), content.open() as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _check_parquet(content: Content, limits: Limits) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with on_disk(content) as path:
            known = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return  # what is wrong with it is said where it is read
    _check_cells(content.name, known.num_rows, known.num_columns, limits)


def _check_workbook(content: Content, limits: Limits) -> None:
    with report_damage(content.name), content.open() as file, zipfile.ZipFile(file) as archive:
        if sum(info.file_size for info in archive.infolist()) > limits.max_unpacked_bytes:
            raise _too_large(content.name, limits)
        for info in archive.infolist():
            if info.filename.startswith("xl/worksheets/"):
                _check_cells(content.name, *_measure(archive.open(info), limits, content.name), limits)


def _measure(file: IO[bytes], limits: Limits, name: str) -> tuple[int, int]:
    """Return the number of rows and columns up to the last cell of a sheet, however few cells it has."""
    num_rows = num_columns = num_bytes = 0
    rest = b""
    while chunk := file.read(CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > limits.max_unpacked_bytes:  # the archive may say less than it holds
            raise _too_large(name, limits)
        for letters, digits in _CELL.findall(rest + chunk):
            column = 0
            for letter in letters:
                column = 26 * column + letter - 64
            num_rows, num_columns = max(num_rows, int(digits)), max(num_columns, column)
        rest = chunk[-100:]  # a cell may lie on the border
    return num_rows, num_columns


def _check_cells(name: str, num_rows: int, num_columns: int, limits: Limits) -> None:
    if num_rows * num_columns > limits.max_cells:
        raise RequestTooLarge(
            f"'{clip(name)}' has {num_rows:,} rows and {num_columns:,} columns, more than the limit of "
            f"{limits.max_cells:,} cells (--max_cells): send fewer rows at once"
        )


def _too_large(name: str, limits: Limits) -> RequestTooLarge:
    return RequestTooLarge(
        f"'{clip(name)}' holds more than the limit of {limits.max_unpacked_bytes:,} bytes when it is unpacked "
        "(--max_unpacked_bytes): send fewer rows at once"
    )
