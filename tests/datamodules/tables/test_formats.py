"""Formats of tables: JSON, Parquet, Arrow, workbooks, fastText, and all of them compressed."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from workbooks import write_ods, write_xlsx

from lightfit.datamodules.tables import json_rows
from lightfit.datamodules.tables.content import open_bytes
from lightfit.datamodules.tables.options import TableOptions
from lightfit.datamodules.tables.reader import open_table
from lightfit.errors import DataError, UsageError

COLUMNS = ["text", "label", "number"]
ROWS = [["a good film", "pos", 1], ['he said "no"', "neg", 2], ["two\nlines", "neg", 3]]


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")


def dicts() -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=COLUMNS)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, dicts()))),
    "a.ndjson": lambda path: path.write_text("\n\n".join(map(json.dumps, dicts()))),
    "array.json": lambda path: write_json(path, dicts()),
    "pretty.json": lambda path: write_json(path, dicts(), indent=1),
    "columns.json": lambda path: write_json(path, {name: frame()[name].tolist() for name in COLUMNS}),
    "pandas.json": lambda path: frame().to_json(path),
    "below.json": lambda path: write_json(path, {"version": 1, "data": dicts()}, indent=2),
    "a.parquet": lambda path: frame().to_parquet(path),
    "a.arrow": lambda path: frame().to_feather(path),
    "a.feather": lambda path: frame().to_feather(path),
    "a.xlsx": lambda path: write_xlsx(path, {"a": [COLUMNS, *ROWS], "empty": []}),
    "a.ods": lambda path: write_ods(path, {"a": [COLUMNS, *[[row[0].replace("\n", " "), *row[1:]] for row in ROWS]]}),
}
COMPRESS: dict[str, Callable[[str, bytes], bytes]] = {
    "": lambda name, content: content,
    ".gz": lambda name, content: gzip.compress(content),
    ".zst": lambda name, content: zstandard.ZstdCompressor().compress(content),
}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("name", WRITERS)
def test_formats(name: str, compression: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    content = COMPRESS[compression](name, (tmp_path / name).read_bytes())
    expected = [[row[0].replace("\n", " ") if name == "a.ods" else row[0], *row[1:]] for row in ROWS]
    for given in (f"{name}{compression}", "without-an-ending"):  # the content tells
        table = open_table(open_bytes(given, content))
        assert table.columns == COLUMNS
        assert [row.cells for row in table.rows([0, 1, 2])] == expected
        assert [row.cells for row in table.rows([2, 0])] == [[row[2], row[0]] for row in expected]
        assert not compression or {".gz": "gzip", ".zst": "zstd"}[compression] in table.found


def test_a_zip_of_one_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inside/a.csv", "text,label\na,x\n")
        archive.writestr("__MACOSX/._a.csv", b"\0")
    table = open_table(tmp_path / "a.zip")
    assert next(table.rows([0])) == (f"{tmp_path}/a.zip/inside/a.csv, line 2", ["a"])


def test_names_of_classes_in_parquet() -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "text": {"_type": "Value"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1]}).replace_schema_metadata(metadata)
    pq.write_table(table, "a.parquet")
    assert [row.cells[0] for row in open_table(Path("a.parquet")).rows([1])] == ["pos", "neg", None]


def test_an_array_is_read_in_pieces() -> None:
    rows = [{"text": "x" * (index % 5000), "label": index} for index in range(500)]
    for indent in (None, 1):
        table = open_table(open_bytes("a.json", json.dumps(rows, indent=indent).encode()))
        assert [row.cells for row in table.rows([0, 1])] == [[row["text"], row["label"]] for row in rows]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"text": "a", "label": 1}\n{"text"\n7\n', ["line 2: not JSON", "line 3: expected an object or a list"]),
        ('{"text": "a", "label": 1}\n["b", 2]\n', ["line 2: expected an object as the first row, received"]),
        ('["a", 1]\n["b"]\n', ["line 2: expected a list of 2 as the first row"]),
        ('[{"text": "a", "label": 1}, 5, {"text": "b", "label": 2}]', ["row 2: expected an object or a list"]),
        ('[{"text": "a", "label": 1},\n {"text": "b" "label": 2}]', ["row 2: not JSON .*nothing after it"]),
        ('[{"text": "a", "label": 1},\n {"text": "b"}', ["row 3: not JSON .the array has no end"]),
    ],
)
def test_bad_rows_of_json(content: str, problem: list[str]) -> None:
    table = open_table(open_bytes("a.json", content.encode()))
    found = [str(row) for row in table.rows([1]) if isinstance(row, DataError)]
    assert len(found) == len(problem)
    for expected, message in zip(problem, found, strict=True):
        with pytest.raises(DataError, match=expected):
            raise DataError(message)


def test_a_key_that_is_missing_and_what_is_no_number_stay_as_they_are() -> None:
    content = b'{"text": "a", "label": NaN}\n{"text": "b"}\n{"text": "c", "label": ["x", "y"]}\n'
    nan, missing, several = (row.cells[0] for row in open_table(open_bytes("a.jsonl", content)).rows([1]))
    assert nan != nan
    assert missing is None
    assert several == ["x", "y"]


def test_a_long_row_of_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_LINE_CHARS", 1000)
    content = b'{"text": "a"}\n{"text": "' + b"b" * 5000 + b'"}\n{"text": "c"}\n'
    first, problem, last = open_table(open_bytes("a.jsonl", content)).rows([0])
    assert (first.cells, last) == (["a"], ("a.jsonl, line 3", ["c"]))
    assert str(problem) == "a.jsonl, line 2: a line of more than 1,000 characters; delete it"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"text": ["a", "b"],\n "label": [1]}', "columns of several lengths .text 2, label 1"),
        ('{\n"text": ', "is not JSON"),
        ("", "'a.json' is empty"),
    ],
)
def test_json_that_is_no_table(content: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        open_table(open_bytes("a.json", content.encode()))


def test_fasttext() -> None:
    good = b"__label__neg a poor, bad film\n\n__label__pos a good film\n"
    table = open_table(open_bytes("train.txt", good + b"nothing\n" + good * 5))
    rows = list(table.rows([0, 1]))
    assert rows[:2] == [
        ("train.txt, line 1", ["neg", "a poor, bad film"]),
        ("train.txt, line 3", ["pos", "a good film"]),
    ]
    assert str(rows[2]) == "train.txt, line 4: expected a line that begins with __label__, as the others do"
    several = b"__label__neg __label__long a poor film\n__label__pos a good film\n"
    assert [row.cells[0] for row in open_table(open_bytes("a", several)).rows([0])] == [["neg", "long"], ["pos"]]


def test_sheets(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", {"first": [COLUMNS, *ROWS], "second": [["b", "y", 2.5], ["c", "y", None]]})
    with pytest.raises(DataError, match=r"has 2 sheets with rows \(first, second\); which one\? Set `sheet`"):
        open_table(path)
    for sheet in ("second", 1, "1"):
        table = open_table(path, TableOptions(sheet=sheet))
        assert not table.named
        assert list(table.rows([0, 2])) == [
            (f"{path}, sheet second, row 1", ["b", 2.5]),
            (f"{path}, sheet second, row 2", ["c", None]),
        ]
    with pytest.raises(DataError, match="has no sheet 'third'; it has: first, second"):
        open_table(path, TableOptions(sheet="third"))
    with pytest.raises(DataError, match="holds no rows"):
        open_table(write_xlsx(tmp_path / "b.xlsx", {"a": []}))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.xlsx", b"\xd0\xcf\x11\xe0" + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "'a.xlsx' is encrypted"),
        ("a.xls", b"\xd0\xcf\x11\xe0" + bytes(600), "'a.xls' is not a workbook that can be read"),
        ("a.xlsx", b"text,label\na,x\n", "is not the .xlsx file that its name says"),
        ("a.parquet", b"PAR1" + bytes(99), "'a.parquet' cannot be read .*damaged or cut off"),
        ("a.arrow", b"ARROW1" + bytes(99), "'a.arrow' cannot be read .*damaged or cut off"),
        ("a.zip", b"PK\x03\x04" + bytes(99), "'a.zip' is damaged or cut off"),
    ],
)
def test_damaged_files(name: str, content: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        open_table(open_bytes(name, content))


@pytest.mark.parametrize(("start", "kind"), [(b"%PDF-1.4", "a PDF"), (b"\x89PNG\r\n", "an image"), (b"BZh9", "bzip2")])
def test_other_formats_are_named(start: bytes, kind: str) -> None:
    with pytest.raises(UsageError, match=f"'a.csv' is .*{kind}.*, which is not read; expected .*\\.parquet"):
        open_table(open_bytes("a.csv", start + bytes(99)))
