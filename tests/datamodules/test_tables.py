"""Readers of labelled texts: all formats, and malformed files."""

import json
from pathlib import Path

import pytest

from lightfit.datamodules.text.sources import Text, read_splits, read_table
from lightfit.errors import DataError

ROWS = [("a good film, indeed", "pos"), ('he said "no"', "neg"), ("two\nlines", "neg")]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "text", "label"),
    [
        ("a.csv", 'label,text\npos,"a good film, indeed"\nneg,"he said ""no"""\nneg,"two\nlines"\n', "text", "label"),
        ("a.csv", '\ufeffx,y\r\npos,"a good film, indeed"\r\nneg,"he said ""no"""\r\nneg,"two\nlines"\r\n', "y", "x"),
        ("a.tsv", 'pos\ta good film, indeed\nneg\t"he said ""no"""\nneg\t"two\nlines"\n', 1, 0),
        ("a.CSV", '"a good film, indeed",pos\n"he said ""no""",neg\n\n"two\nlines",neg', 0, 1),
        ("a.jsonl", "\n".join(json.dumps({"t": text, "l": label}) for text, label in ROWS), "t", "l"),
        ("a.jsonl", "\n".join(json.dumps([text, 0, label]) for text, label in ROWS), 0, 2),
    ],
)
def test_formats(name: str, content: str, text: str | int, label: str | int, tmp_path: Path) -> None:
    assert [item[:2] for item in read_table(write(tmp_path / name, content), text, label)] == ROWS


def test_places_are_the_lines_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"two\nlines",x\n\nfour,y\n')
    assert [item.place for item in read_table(path, "text", "label")] == [f"{path}, line 2", f"{path}, line 5"]


def test_where_keeps_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label,source\na,x,imdb\nb,x,other\n")
    assert list(read_table(path, "text", "label", where={"source": "imdb"})) == [Text("a", "x", f"{path}, line 2")]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "", r"'.*a.csv' is empty; expected a table"),
        ("a.csv", "text,label\n", "holds no rows"),
        ("a.csv", "text,label\na,x\nb\n", "line 3: expected 2 fields as in the header, received 1"),
        ("a.csv", "text,label\na,x\nb,c,d\n", "line 3: expected 2 fields as in the header, received 3"),
        ("a.csv", 'text,label\na,x\n"b" c,x\n', "line 3: .*quotes within a quoted field must be doubled"),
        ("a.csv", 'text,label\na,x\n"b,x\nc,x\n', "line 3: unexpected end of data"),
        ("a.csv", "text,label\na,x\n ,x\n", "line 3: the text is ' '; expected words"),
        ("a.csv", "text,label\na,x\n,x\n", "line 3: the text is empty"),
        ("a.csv", "text,label\na,x\nb,\n", "line 3: the label is empty"),
        ("a.csv", b"text,label\na,x\ncaf\xe9,x\n", r"line 3: not UTF-8 \(byte 0xe9\).*iconv"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text"\n', "line 2: not JSON"),
        ("a.jsonl", '{"text": "a", "label": 1}\n7\n', "line 2: expected an object or a list, received int"),
        ("a.jsonl", '{"text": null, "label": 1}\n', "line 1: the text is empty"),
        ("a.jsonl", '{"text": 3.5, "label": 1}\n', "line 1: the text is 3.5; expected words"),
        ("a.jsonl", "", "holds no rows"),
    ],
)
def test_rows_that_do_not_parse(name: str, content: str | bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        list(read_table(write(tmp_path / name, content), "text", "label"))


@pytest.mark.parametrize(
    ("column", "has"), [("txt", "'text', 'label'"), (2, "2 columns, without names"), (-3, "2 columns")]
)
def test_missing_column_names_the_others(column: str | int, has: str, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=f"no column {column!r}; the row has: {has}.*Set `text_column` to the name"):
        next(
            read_table(
                write(tmp_path / "a.csv", "text,label\na,x\n"), column, "label" if isinstance(column, str) else 1
            )
        )


def test_folder_of_tables(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / f"{split}.tsv", f"text\tlabel\n{split}\tx\n")
    splits = read_splits(tmp_path, "text", "label")
    assert {split: next(texts).text for split, texts in splits.items()} == {"train": "train", "test": "test"}


def test_folder_of_labels_leaves_out_the_unlabelled(tmp_path: Path) -> None:
    for name in ("train/pos/0_9.txt", "train/neg/1_2.txt", "train/unsup/0_0.txt", "test/pos/0_9.txt"):
        write(tmp_path / name, name)
    splits = read_splits(tmp_path, "text", "label")
    assert [item[:2] for item in splits["train"]] == [("train/neg/1_2.txt", "neg"), ("train/pos/0_9.txt", "pos")]
    assert [item.label for item in splits["test"]] == ["pos"]
    write(tmp_path / "train/pos/1_9.txt", "")
    with pytest.raises(DataError, match=r"pos/1_9.txt: the text is empty"):
        list(read_splits(tmp_path, "text", "label")["train"])


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    write(tmp_path / "readme.md", "hello")
    with pytest.raises(FileNotFoundError, match="neither train.csv .* it holds: readme.md"):
        read_splits(tmp_path, "text", "label")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no <label>"):
        next(read_splits(tmp_path, "text", "label")["train"])
    with pytest.raises(FileNotFoundError, match="no file or folder at '.*nowhere'"):
        read_splits(tmp_path / "nowhere", "text", "label")
