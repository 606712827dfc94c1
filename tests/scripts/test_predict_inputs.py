"""What predict reads from its arguments, and what its rows say about them."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import make_series, write_csv
from PIL import Image
from test_predict import LABELS, TEXTS, Predict, predict  # noqa: F401 - a fixture

from lightfit.datamodules.tables.reader import SUFFIXES
from lightfit.errors import UsageError
from lightfit.scripts.inference.inputs.arguments import ENDINGS, explain_missing, find_kind, looks_like_file
from lightfit.scripts.inference.rows import rename_ours
from lightfit.scripts.predict import main

Trained = Callable[[str], str]


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("a lovely film", False),
        ("good", False),
        ("and/or", False),
        ("10/10", False),
        ("A+/A", False),
        ("it was ok...", False),
        ("what??? **** no", False),
        ("~ 5 stars", False),
        ("/s", False),
        ("https://t.co/abc", False),
        ("I had opened it.\nSee a.csv", False),
        ("a\0.csv", False),
        ("word " * 900 + "a.csv", False),
        ("nope.csv ", False),
        ("nope.csv", True),
        ("my reviews.CSV", True),
        ("x.csv.gz", True),
        ("letter.docx", True),
        ("*.csv", True),
        ("there/nope", True),
        ("there/*", True),
        ("./nope", True),
        ("/data/nope", True),
        ("~/nope", True),
        ("C:\\nope", True),
        ("file:///a/b", True),
        ("https://a.org/b.csv", True),
        ("dangling", True),
    ],
)
def test_what_looks_like_a_missing_file(text: str, is_name: bool) -> None:
    Path("there").mkdir()
    Path("dangling").symlink_to("nowhere")
    assert find_kind(text) == "nothing"
    assert looks_like_file(text) == is_name


def test_endings_of_tables_are_endings_of_files() -> None:
    assert set(SUFFIXES) <= set(ENDINGS)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ("", "an argument is empty: expected the name of a file"),
        ("nope.csv", "no file at 'nope.csv' (looked from"),
        ("file:///a%20b.csv", "is a URL: write the path, '/a b.csv'"),
        ("https://a.org/b.csv", "is a URL, and nothing is downloaded"),
        ("~/b.csv", f"the shell did not put your home folder for ~: write '{Path.home()}/b.csv'"),
        ("*.tsv", "the pattern '*.tsv' matches nothing here"),
        ("*.csv", "the pattern '*.csv' matches 1 names here, but the shell left it as it is: leave out the quotes"),
        ("dangling", "is a link to what is not there"),
    ],
)
def test_what_is_said_of_a_missing_file(item: str, problem: str) -> None:
    Path("a.csv").touch()
    Path("dangling").symlink_to("nowhere")
    assert problem in explain_missing(item)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_is_refused() -> None:
    os.mkfifo("pipe")
    with pytest.raises(UsageError, match="'pipe' is a pipe or a device, which cannot be read twice"):
        find_kind("pipe")


def test_a_text_of_any_length_is_a_text(predict: Predict) -> None:  # noqa: F811
    long = "a good and lovely film " * 100
    assert predict(long, "b" * 300, "a\0b", "a.csv " + "x" * 300, "-o", "out.csv")[0] == 1
    table = pd.read_csv("out.csv", keep_default_na=False)
    assert table["input"][0] == long
    assert table["label"].tolist()[0] == "pos"
    assert [bool(error) for error in table["error"]] == [False, False, True, False]
    assert "holds a NUL byte" in table["error"][2]
    code, out, _ = predict(long)
    assert code == 0
    assert max(map(len, out.splitlines())) < 120


def test_a_name_that_is_no_file_is_never_a_text(predict: Predict) -> None:  # noqa: F811
    code, out, err = predict("good", "reviws.parquet")
    assert (code, out) == (2, "")
    assert "no file at 'reviws.parquet'" in err
    assert "If it is meant as a text, end it with a blank, or write it to standard input" in err
    assert predict("reviws.parquet ")[0] == 0
    code, _, err = predict("-", "good", "-")
    assert code == 2
    assert "- stands for standard input, which can be read once: received it 2 times" in err


def test_files_of_other_kinds_are_never_texts(predict: Predict) -> None:  # noqa: F811
    for name in ("a.png", "b.jpg", "c.webp", "d.bmp", "e.tiff", "good"):
        Image.new("RGB", (9, 9)).save(name, {"good": "PNG"}.get(name))
    with zipfile.ZipFile("f.docx", "w") as archive:
        archive.writestr("word/document.xml", "<w:document/>")
        archive.writestr("[Content_Types].xml", "<Types/>")
    Path("g.parquet").write_bytes(b"no Parquet")
    Path("h.csv.gz").write_bytes(b"no gzip\0\xff")
    for name in ("a.png", "b.jpg", "c.webp", "d.bmp", "e.tiff", "good", "f.docx", "g.parquet", "h.csv.gz"):
        code, out, err = predict(name)
        assert code in (1, 2), name
        assert out == ""
        assert f"'{name}" in err
        assert "is a Word document, which is not read" in err or name != "f.docx"


def test_standard_input_that_is_no_utf_8(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    content = "\ufeffa good film\n".encode() + b"caf\xe9\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    assert predict("-", "-o", "out.jsonl")[0] == 1
    good, bad = map(json.loads, Path("out.jsonl").read_text().splitlines())
    assert (good["input"], good["label"], good["error"]) == ("a good film", "pos", None)
    assert "line 2: not UTF-8 (byte 0xe9)" in bad["error"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8"))
    assert predict("-", "--encoding", "cp1252", "-o", "latin.csv")[0] == 0
    assert pd.read_csv("latin.csv")["input"].tolist() == ["caf\xe9"]


def write_table() -> pd.DataFrame:
    table = pd.DataFrame({"id": ["007", "008", "x", "y", "z"], "text": TEXTS, "label": ["a", None, "b", "b", "b"]})
    table["count"] = [1, 2**60, 3, 4, 5]
    table.to_parquet("a.parquet")
    return table


def test_rows_keep_the_columns_of_their_table(predict: Predict) -> None:  # noqa: F811
    table = write_table()
    code, _, err = predict("a.parquet", "--keep", "all", "-o", "out.parquet", "--batch_size", 2)
    assert code == 0
    assert err == "the table has columns label of its own, so those of the predictions are prediction_label\n"
    written = pq.read_table("out.parquet").to_pylist()
    assert list(written[0]) == ["row", *table, "prediction_label", "probability", "file", "error"]
    assert [{name: row[name] for name in table} for row in written] == pq.read_table("a.parquet").to_pylist()
    assert [row["prediction_label"] for row in written] == LABELS
    assert {row["file"] for row in written} == {"a.parquet"}
    assert predict("a.parquet", "--keep", "count, id", "-o", "out.xlsx")[0] == 0
    sheet = list(openpyxl.load_workbook("out.xlsx").active.iter_rows(values_only=True))
    assert sheet[0] == ("row", "count", "id", "label", "probability", "input", "file", "error")
    assert sheet[2][1:3] == (str(2**60), "008")
    assert [row[5] for row in sheet[1:]] == TEXTS


def test_rows_of_several_sources(predict: Predict) -> None:  # noqa: F811
    write_table()
    Path("b.csv").write_text("text,other\n,1\nfine,2\n")
    Path("texts").mkdir()
    Path("texts/c.TXT").write_text("a bad film")
    Path("texts/.d.txt").write_text("hidden")
    Path("texts/e.csv").write_text("text\n")
    code, _, err = predict("a good film", "a.parquet", "b.csv", "texts", "--keep", "all", "-o", "out.csv")
    assert code == 1
    assert "'texts': 2 files are left out (1 hidden, 1 .csv)" in err or "(1 .csv, 1 hidden)" in err
    table = pd.read_csv("out.csv", dtype=str, keep_default_na=False)
    assert table["row"].tolist() == [str(row) for row in range(1, 10)]
    assert table["file"].tolist() == ["", *["a.parquet"] * 5, "b.csv", "b.csv", str(Path("texts/c.TXT"))]
    assert table["file_row"].tolist() == ["", *"12345", "1", "2", ""]
    assert table["input"].tolist() == ["a good film", *TEXTS, "", "fine", "a bad film"]
    assert table["other"].tolist() == [*[""] * 6, "1", "2", ""]
    assert table["count"].tolist() == ["", "1", str(2**60), "3", "4", "5", "", "", ""]
    assert [bool(error) for error in table["error"]] == [row == 6 for row in range(9)]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["good", "--keep", "all"], "--keep all is for columns of tables, and none of the inputs is one"),
        (["a.csv", "--keep", "nope"], "'a.csv' has no column 'nope'; it has: text, label. Set --keep"),
        (["good", "--format", "jsonl"], r"--format jsonl is for -o -"),
        (["good", "--escape_formulas"], "--escape_formulas is for CSV and .xlsx"),
        (["good", "-o", "x.parquet", "--escape_formulas"], "for tables that a spreadsheet opens"),
        (["good", "-o", "x.ods"], ".ods is read, but not written"),
    ],
)
def test_what_is_refused(args: list[str], problem: str, predict: Predict) -> None:  # noqa: F811
    write_csv(Path("a.csv"), [("good", "x")])
    code, out, err = predict(*args)
    assert (code, out) == (2, "")
    assert problem in err
    assert not Path("x.parquet").exists()


def test_columns_of_one_name_are_numbered(predict: Predict) -> None:  # noqa: F811
    Path("a.csv").write_text("text,x,x,\ngood,1,2,3\n")
    assert predict("a.csv", "--keep", "all", "-o", "out.csv")[0] == 0
    assert list(pd.read_csv("out.csv"))[:5] == ["row", "text", "x", "x.1", "column 3"]
    assert rename_ours(["row", "label"], ["label", "prediction_label"]) == {"label": "prediction_prediction_label"}


def test_standard_output(predict: Predict) -> None:  # noqa: F811
    code, out, err = predict("good", "xyzzy", "=1+1 bad", "-o", "-", "--escape_formulas", "--batch_size", 1)
    assert (code, err) == (0, "")
    table = pd.read_csv(io.StringIO(out))
    assert list(table) == ["row", "label", "probability", "input", "warning", "error"]
    assert table["input"].tolist() == ["good", "xyzzy", "'=1+1 bad"]
    assert table["warning"].notna().tolist() == [False, True, False]
    code, out, _ = predict("good", "bad", "-o", "-", "--format", "jsonl")
    assert [json.loads(line)["label"] for line in out.splitlines()] == ["pos", "neg"]


def test_images_and_what_is_none(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("images")
    Path("images/dark/.hidden.png").write_bytes(b"")
    Path("images/notes.txt").write_text("no image")
    name = os.fsdecode(b"images/caf\xe9.png")
    Path("images/dark/00.png").rename(name)
    assert main([checkpoint, "images", "images/notes.txt", "-o", "out.jsonl"]) == 1
    err = capsys.readouterr().err
    assert "'images': 2 files are left out (" in err
    assert "1 of 41 inputs could not be predicted" in err
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert "images/caf\\udce9.png" in [row["file"] for row in rows]
    assert (rows[-1]["file"], rows[-1]["label"]) == ("images/notes.txt", None)
    for args, problem in (
        ([""], "an argument is empty: expected the name of an image or folder"),
        (["images", "--keep", "all"], "images have no columns, received --keep all: leave it out"),
        (["-", "-"], "received it 2 times"),
        (["x" * 300], "no image or folder at 'xxx"),
        (["images/*.jpg"], "the pattern 'images/*.jpg' matches nothing here"),
    ):
        assert main([checkpoint, *args]) == 2
        assert problem in capsys.readouterr().err


def test_series_of_several_files(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("series")
    make_series(100, first=5).to_csv("b.csv", index=False)
    assert main([checkpoint, "series.csv", "b.csv", "-o", "out.parquet"]) == 0
    capsys.readouterr()
    table = pd.read_parquet("out.parquet")
    assert table["file"].unique().tolist() == ["series.csv", "b.csv"]
    assert table["date"].dtype.kind == "M"
    for args, problem in (
        (["series.csv", "--keep", "wind"], "forecasts are rows after the end of a table, which have no cells to keep"),
        ([""], "an argument is empty"),
        (["."], "'.' is a folder: expected tables of series"),
    ):
        assert main([checkpoint, *args]) == 2
        assert problem in capsys.readouterr().err
