"""Labelled texts from files: CSV, TSV, JSON lines, and folders with a file for each text."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import DataError

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": None, ".json": None}
MAX_FIELD_CHARS = 2**24  # the csv module's own limit, 2**17, is shorter than some reviews
SPLITS = ("train", "val", "test")
UNLABELLED = "unsup"  # the folder of aclImdb that holds texts without a label


class Texts(NamedTuple):
    """Texts in the order of their file, each with its label (empty where none was asked for) and where it stands."""

    texts: list[str]
    labels: list[str]
    places: list[str]


def read_parts(path: Path, text_column: str | int, label_column: str | int) -> dict[str, Texts]:
    """The parts `train`, and `val` and `test` where they exist.

    Args:
        path: a table (.csv, .tsv, .jsonl), a folder of tables named for their part (`train.csv`, `test.csv`), or a
            folder of folders `<part>/<label>/*.txt`, as in aclImdb.
        text_column: name or position (from 0) of the texts' column; a table read by position has no header.
        label_column: name or position of the labels' column.

    Raises:
        FileNotFoundError: there is nothing at the path, or nothing in one of these layouts.
        LookupError: a table has no such column.
        DataError: a row does not parse; file and line are named.
    """
    if path.is_file():
        return {"train": read_table(path, text_column, label_column)}
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at '{path}' (looked from '{Path.cwd()}')")
    tables = {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES}
    if "train" in tables:
        return {part: read_table(tables[part], text_column, label_column) for part in SPLITS if part in tables}
    if (path / "train").is_dir():
        return {part: _read_folder(path / part) for part in SPLITS if (path / part).is_dir()}
    raise FileNotFoundError(
        f"the folder '{path}' has neither train.csv (or .tsv, .jsonl) nor train/<label>/*.txt; it holds: "
        + (", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing")
    )


def read_table(
    path: Path, text_column: str | int, label_column: str | int | None = None, *, where: dict[str, str] | None = None
) -> Texts:
    """The texts of one CSV, TSV or JSON-lines file.

    Args:
        path: the file; its ending tells the format.
        text_column: name or position (from 0); a table read by position has no header.
        label_column: name or position; None where labels are not needed.
        where: keep only the rows in which these columns have these values.

    Raises:
        FileNotFoundError: there is no such file.
        LookupError: the table has no such column.
        DataError: the file is empty or not UTF-8, or a row does not parse; file and line are named.
    """
    rows = _json_rows(path) if SUFFIXES[path.suffix.lower()] is None else _delimited_rows(path, text_column)
    found = Texts([], [], [])
    for line, row in rows:
        place = f"{path}, line {line}"
        if any(str(_cell(row, column, place)) != value for column, value in (where or {}).items()):
            continue
        text = _cell(row, text_column, place)
        if not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{place}: the text is {'empty' if not text else repr(text)}; expected words: correct or delete the row"
            )
        label = "" if label_column is None else str(_cell(row, label_column, place)).strip()
        if label_column is not None and not label:
            raise DataError(f"{place}: the label is empty; correct or delete the row")
        found.texts.append(text)
        found.labels.append(label)
        found.places.append(place)
    if not found.texts:
        raise DataError(f"'{path}' holds no rows; expected at least one text")
    return found


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, a text each.

    Raises:
        DataError: the file is empty or not UTF-8, or a line is empty; file and line are named.
    """
    return check_lines(_read_text(path).splitlines(), str(path))


def check_lines(lines: list[str], name: str) -> list[str]:
    """The lines themselves.

    Raises:
        DataError: there are none, or one is empty; `name` and the line are named.
    """
    if not lines:
        raise DataError(f"'{name}' is empty; expected a text on each line")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{name}, line {number}: the text is empty; delete the line or write a text on it")
    return lines


def _read_folder(path: Path) -> Texts:
    found = Texts([], [], [])
    for folder in sorted(item for item in path.iterdir() if item.is_dir() and item.name != UNLABELLED):
        for file in sorted(folder.glob("*.txt")):
            text = _read_text(file)
            if not text.strip():
                raise DataError(f"{file}: the text is empty; delete the file or write a text into it")
            found.texts.append(text)
            found.labels.append(folder.name)
            found.places.append(str(file))
    if not found.texts:
        raise DataError(f"'{path}' holds no <label>/*.txt; expected a folder for each label with a file for each text")
    return found


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{data[error.start]:02x}); expected UTF-8: convert the file, "
            f"for example with: iconv -f LATIN1 -t UTF-8 {path.name}"
        ) from error


def _delimited_rows(path: Path, column: str | int) -> Iterator[tuple[int, Any]]:
    """(line, row) of each record: a dict by name where the column is a name, else a list."""
    csv.field_size_limit(MAX_FIELD_CHARS)
    text = _read_text(path)
    if not text.strip():
        raise DataError(f"'{path}' is empty; expected a table with a text and a label in each row")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=SUFFIXES[path.suffix.lower()] or ",", strict=True)
    line, header = 1, None
    try:
        for row in reader:
            if header is None and isinstance(column, str):
                header = row
            elif row:
                if header is not None and len(row) != len(header):
                    raise DataError(
                        f"{path}, line {line}: expected {len(header)} fields as in the header, received "
                        f"{len(row)}; a field with a delimiter or a quote in it must be quoted"
                    )
                yield line, row if header is None else dict(zip(header, row, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}; quotes within a quoted field must be doubled") from error


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(_read_text(path).splitlines(), 1):
        if text.strip():
            try:
                row = json.loads(text)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {line}: not JSON ({error}); expected an object on each line") from error
            if not isinstance(row, (dict, list)):
                raise DataError(f"{path}, line {line}: expected an object or a list, received {type(row).__name__}")
            yield line, row


def _cell(row: Any, column: str | int, place: str) -> Any:
    try:
        return row[column]
    except (KeyError, IndexError, TypeError):
        held = ", ".join(map(repr, row)) if isinstance(row, dict) else f"{len(row)} columns, without names"
        raise LookupError(
            f"{place}: no column {column!r}; the row has: {held}. Name the columns by --data.text_column and "
            "--data.label_column, or in prediction by --column (a name, or a position from 0 without a header)"
        ) from None
