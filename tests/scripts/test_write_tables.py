"""Tables written in every format, and read back."""

import bz2
import gzip
import io
import json
import lzma
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard

from lightfit.datamodules.tables.reader import open_table
from lightfit.errors import DataError, UsageError
from lightfit.scripts.cli import write_tables
from lightfit.scripts.cli.write_tables import check_table, find_format, table_file, write_table

BIG = 2**53 + 1  # no float64
COLUMNS: dict[str, list[Any]] = {
    "id": ["007", "08", None],
    "count": [1, None, BIG],
    "day": [date(2024, 2, 29), None, date(1999, 12, 31)],
    "time": [datetime(2024, 2, 29, 13, 5), None, datetime(1999, 12, 31)],
    "text": ['a, "b"\nc', "=1+1", "电影 😀"],
    "flag": [True, None, False],
    "share": [0.25, None, 1e-9],
}
ROWS = [dict(zip(COLUMNS, cells, strict=True)) for cells in zip(*COLUMNS.values(), strict=True)]


def parts() -> list[pd.DataFrame]:
    """Return the rows one by one, with cells as predict keeps them."""
    return [pd.DataFrame({name: pd.Series([cell], dtype=object) for name, cell in row.items()}) for row in ROWS]


def write(name: str, tables: list[pd.DataFrame], **options: Any) -> Path:
    with table_file(Path(name), **options) as writer:
        for table in tables:
            writer.append(table)
    assert [path.name for path in Path().iterdir()] == [name]
    return Path(name)


READERS: dict[str, Callable[[Path], pa.Table]] = {
    "a.parquet": pq.read_table,
    "a.arrow": pyarrow.feather.read_table,
    "a.feather": pyarrow.feather.read_table,
}


@pytest.mark.parametrize("name", READERS)
def test_columnar_files_keep_values_and_types(name: str) -> None:
    table = READERS[name](write(name, parts()))
    assert table.to_pylist() == ROWS
    kinds = ["string", "int64", "date32[day]", "timestamp[us]", "string", "bool", "double"]
    assert [str(kind) for kind in table.schema.types] == kinds
    assert pd.read_parquet(name).shape == (3, 7) if name == "a.parquet" else True


def test_json_keeps_values() -> None:
    expected = [
        {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in row.items()} for row in ROWS
    ]
    assert [json.loads(line) for line in write("a.jsonl", parts()).read_text().splitlines()] == expected
    Path("a.jsonl").unlink()
    assert json.loads(write("a.json", parts()).read_text()) == expected
    Path("a.json").unlink()
    assert json.loads(write("a.json", []).read_text()) == []


OPENERS: dict[str, Callable[[Path], Any]] = {
    "a.csv": lambda path: path.open("rb"),
    "a.tsv": lambda path: path.open("rb"),
    "a.csv.gz": gzip.open,
    "a.tsv.bz2": bz2.open,
    "a.csv.xz": lzma.open,
    "a.csv.zst": lambda path: zstandard.ZstdDecompressor().stream_reader(path.read_bytes()),
    "a.csv.zip": lambda path: io.BytesIO(zipfile.ZipFile(path).read("a.csv")),
}


@pytest.mark.parametrize("name", OPENERS)
def test_delimited_files_keep_values(name: str) -> None:
    with OPENERS[name](write(name, parts())) as file:
        table = pd.read_csv(file, sep="\t" if "tsv" in name else ",", dtype=str, keep_default_na=False)
    assert list(table) == list(COLUMNS)
    assert table["id"].tolist() == ["007", "08", ""]
    assert table["count"].tolist() == ["1", "", str(BIG)]
    assert table["day"].tolist() == ["2024-02-29", "", "1999-12-31"]
    assert table["time"].tolist() == ["2024-02-29 13:05:00", "", "1999-12-31 00:00:00"]
    assert table["text"].tolist() == COLUMNS["text"]
    assert table["share"].tolist() == ["0.25", "", "1e-09"]
    if not name.endswith(("bz2", "xz")):  # which training does not read
        assert open_table(Path(name)).columns == list(COLUMNS)


def test_workbooks_keep_values_and_hold_no_formulas() -> None:
    path = write("a.xlsx", parts())
    rows = [list(row) for row in openpyxl.load_workbook(path).active.iter_rows(values_only=True)]
    assert rows[0] == list(COLUMNS)
    expected = [list(row.values()) for row in ROWS]
    for row in expected:
        row[1] = str(row[1]) if row[1] == BIG else row[1]  # a spreadsheet would round it
        row[2] = datetime(row[2].year, row[2].month, row[2].day) if row[2] else None
    assert rows[1:] == expected
    with zipfile.ZipFile(path) as archive:
        sheet, styles = (archive.read(f"xl/{name}.xml").decode() for name in ("worksheets/sheet1", "styles"))
    assert "<f>" not in sheet
    style = re.search(r'<c r="E3" s="(\d+)"', sheet)
    assert style is not None
    assert 'quotePrefix="1"' in re.findall(r"<xf [^>]*>", styles[styles.index("<cellXfs") :])[int(style[1])]
    assert [row.cells for row in open_table(path).rows([0, 4])][1] == ["08", "=1+1"]


def test_formulas_are_escaped_on_request() -> None:
    cells = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\uff1d1",
        "-1.5",
        "+49 123",
        "-",
        "fine",
        -1.5,
    ]
    table = pd.DataFrame({"=a": pd.Series(cells, dtype=object)})
    path = write("a.csv", [table], escape_formulas=True)
    written = pd.read_csv(path, dtype=str)
    assert list(written) == ["'=a"]
    risky = [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert written["'=a"].tolist() == [f"'{cell}" if place in risky else str(cell) for place, cell in enumerate(cells)]
    path.unlink()
    assert pd.read_csv(write("a.csv", [table]), dtype=str)["=a"].tolist() == list(map(str, cells))


def test_a_column_of_several_kinds_becomes_text() -> None:
    """Nothing is rounded or cut: not whole numbers among decimals, nor times among days."""
    one = {"a": 1, "b": BIG, "c": date(2024, 1, 1), "d": "x", "e": [1], "f": 1, "g": None}
    two = {"a": 2.5, "b": 0.5, "c": datetime(2024, 1, 1, 3), "d": 7, "e": {"k": None}, "f": True, "g": "late"}
    tables = [pd.DataFrame({name: pd.Series([cell], dtype=object) for name, cell in row.items()}) for row in (one, two)]
    expected = [
        {"a": 1.0, "b": str(BIG), "c": "2024-01-01", "d": "x", "e": "[1]", "f": "1", "g": None},
        {"a": 2.5, "b": "0.5", "c": "2024-01-01 03:00:00", "d": "7", "e": '{"k": null}', "f": "True", "g": "late"},
    ]
    assert pq.read_table(write("a.parquet", tables)).to_pylist() == expected
    Path("a.parquet").unlink()
    assert pq.read_table(write("a.parquet", [pd.concat(tables)])).to_pylist() == expected


def test_a_later_column_is_inserted_at_its_place() -> None:
    tables = [pd.DataFrame({"a": ["x"], "c": [1]}), pd.DataFrame({"a": ["y"], "b": ["late"], "c": [2]})]
    assert write("a.csv", tables).read_text() == "a,b,c\nx,,1\ny,late,2\n"
    Path("a.csv").unlink()
    assert pq.read_table(write("a.parquet", tables)).to_pydict() == {"a": ["x", "y"], "b": [None, "late"], "c": [1, 2]}


def test_times_of_a_file_are_written_alike() -> None:
    """A part whose times are all at midnight has hours where others have."""
    times = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-02 06:30"], format="mixed")
    tables = [pd.DataFrame({"t": times[:2], "v": [1.0, 2.0]}), pd.DataFrame({"t": times[2:], "v": [3.0]})]
    lines = write("a.csv", tables).read_text().splitlines()
    assert lines == ["t,v", "2024-01-01 00:00:00,1.0", "2024-01-02 00:00:00,2.0", "2024-01-02 06:30:00,3.0"]
    Path("a.csv").unlink()
    assert write("a.csv", tables[:1]).read_text().splitlines()[1:] == ["2024-01-01,1.0", "2024-01-02,2.0"]


def test_float32_is_written_by_its_own_digits() -> None:
    table = pd.DataFrame({"e0": np.array([0.1, np.nan], np.float32)})
    assert write("a.jsonl", [table]).read_text() == '{"e0": 0.1}\n{"e0": null}\n'
    Path("a.jsonl").unlink()
    assert write("a.csv", [table]).read_text() == 'e0\n0.1\n""\n'


def test_what_is_no_unicode_is_written_readably() -> None:
    table = pd.DataFrame({"file": pd.Series(["caf\udce9.png"], dtype=object)})
    for name in ("a.csv", "a.jsonl", "a.parquet", "a.xlsx"):
        write(name, [table]).unlink()
    assert write("a.csv", [table]).read_text() == "file\ncaf\\udce9.png\n"


@pytest.mark.parametrize(
    "name", ["a.parquet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("a.csv", "a.jsonl.gz", "a.xlsx"))]
)
def test_memory_does_not_grow_with_the_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold 10,000 rows of 2,000 characters in a fraction of their 20 MB."""
    monkeypatch.setattr(write_tables, "MEMORY", 2**20)
    monkeypatch.setattr(write_tables, "GROUP_ROWS", 500)
    text = "word " * 400
    with table_file(Path(name)) as writer:
        tracemalloc.start()
        for start in range(0, 10_000, 250):
            rows = range(start, start + 250)
            writer.append(pd.DataFrame({"row": rows, "text": [f"{row} {text}" for row in rows]}))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert held < 8e6
    table = open_table(Path(name))
    assert sum(1 for _ in table.rows([0])) == 10_000


def test_a_sheet_has_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse more when the row is reached that is too many, and leave no file."""
    assert write_tables.MAX_ROWS == 2**20
    monkeypatch.setattr(write_tables, "MAX_ROWS", 5)
    two = pd.DataFrame({"a": [1, 2]})
    assert len(pd.read_excel(write("a.xlsx", [two, two]), engine="openpyxl")) == 4
    Path("a.xlsx").unlink()
    with pytest.raises(DataError, match=r"holds 4 rows .*nothing was written; end --output in \.csv"):
        write("a.xlsx", [two, two, two])
    assert not list(Path().iterdir())
    with pytest.raises(DataError, match=r"16,384 columns, and 'a\.xlsx' would have 16,385"):
        write_table(pd.DataFrame(np.zeros((1, 16_385))).rename(columns=str), Path("a.xlsx"))


def test_a_long_cell_of_a_sheet_is_cut_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.xlsx", [pd.DataFrame({"a": ["x" * 40_000, "y"]})])
    assert capsys.readouterr().err.startswith("1 cells of 'a.xlsx' were cut to 32,767 characters")
    assert len(openpyxl.load_workbook("a.xlsx").active["A2"].value) == 32_767


def test_what_fails_leaves_no_file() -> None:
    def fail() -> None:
        with table_file(Path("a.parquet")) as writer:
            writer.append(pd.DataFrame({"a": [1]}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a.txt", r"expected --output to end in \.csv, .*\.xlsx, received 'a\.txt'"),
        ("a", "received 'a'"),
        ("a.parquet.gz", r"\.parquet is compressed within, so leave \.gz out"),
        ("a.xls", r"\.xls is read, but not written: end --output in \.xlsx"),
        ("a.ods", r"\.ods is read, but not written: end --output in \.xlsx or \.csv"),
        ("no/a.csv", "no folder .*no' to write 'a.csv' into"),
        ("there.csv", "'there.csv' already exists: .*--overwrite"),
    ],
)
def test_what_cannot_be_written(name: str, problem: str) -> None:
    Path("there.csv").touch()
    with pytest.raises(UsageError, match=problem):
        check_table(Path(name), overwrite=False)


def test_formulas_are_for_spreadsheets() -> None:
    with pytest.raises(UsageError, match="--escape_formulas is for tables that a spreadsheet opens"):
        check_table(Path("a.parquet"), overwrite=False, escape_formulas=True)
    assert find_format(Path("A.B.CSV.GZ")) == (".csv", ".gz")
