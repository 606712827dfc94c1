"""Tables and folders of texts as people have them are read right, or refused in one sentence."""

# ruff: noqa: RUF001 - letters of other scripts are meant

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightfit.datamodules import TextDataModule
from lightfit.errors import LightFitError

TEXTS = [f"{'fine' if row % 2 else 'awful'} film, number {row}" for row in range(40)]
LABELS = ["pos" if row % 2 else "neg" for row in range(40)]
TABLE = pd.DataFrame({"text": TEXTS, "label": LABELS})


def load(source: str | Path, **arguments: Any) -> TextDataModule:
    """Read a source as the preset text does, with all columns found."""
    data = TextDataModule(str(source), max_len=None, tokenizer="lightfit.datamodules.text.tokenize_any", **arguments)
    data.setup()
    return data


def count_splits(data: TextDataModule) -> dict[str, int]:
    return {split: len(batches) for split, batches in data.loaded.batches.items()}


def records() -> list[dict[str, Any]]:
    return TABLE.to_dict("records")  # type: ignore[return-value]


def zip_of(name: str, content: str) -> None:
    with zipfile.ZipFile("data.zip", "w") as file:
        file.writestr(name, content)


def quoteless() -> str:
    return "".join(f'{label}\t"{text}\n' for text, label in zip(TEXTS, LABELS, strict=True))


WRITERS: dict[str, Callable[[], Any]] = {
    "table.csv": lambda: TABLE.to_csv("table.csv", index=False),
    "semicolons.csv": lambda: TABLE.to_csv("semicolons.csv", sep=";", index=False),
    "bars.csv": lambda: TABLE.to_csv("bars.csv", sep="|", index=False),
    "bom.csv": lambda: TABLE.to_csv("bom.csv", index=False, encoding="utf-8-sig"),
    "wide.csv": lambda: TABLE.to_csv("wide.csv", index=False, encoding="utf-16"),
    "table.tsv": lambda: TABLE.to_csv("table.tsv", sep="\t", index=False),
    "table.csv.gz": lambda: TABLE.to_csv("table.csv.gz", index=False),
    "table.csv.zst": lambda: TABLE.to_csv("table.csv.zst", index=False),
    "data.zip": lambda: zip_of("inner/table.csv", TABLE.to_csv(index=False)),
    "array.json": lambda: Path("array.json").write_text(json.dumps(records())),
    "columns.json": lambda: Path("columns.json").write_text(json.dumps(TABLE.to_dict("list"))),
    "lines.json": lambda: TABLE.to_json("lines.json", orient="records", lines=True),
    "table.jsonl": lambda: TABLE.to_json("table.jsonl", orient="records", lines=True),
    "table.ndjson": lambda: TABLE.to_json("table.ndjson", orient="records", lines=True),
    "table.parquet": lambda: TABLE.to_parquet("table.parquet"),
    "table.arrow": lambda: TABLE.to_feather("table.arrow"),
    "named.csv": lambda: TABLE.rename(columns={"text": " Review ", "label": "Sentiment"}).to_csv(
        "named.csv", index=False
    ),
    "ids.csv": lambda: TABLE.assign(id=range(40)).iloc[:, ::-1].to_csv("ids.csv", index=False),
    "plain": lambda: TABLE.to_csv("plain", index=False),
    "fasttext.txt": lambda: Path("fasttext.txt").write_text(
        "".join(f"__label__{label} {text}\n" for text, label in zip(TEXTS, LABELS, strict=True))
    ),
    "messages.txt": lambda: Path("messages.txt").write_text(
        "".join(f"{label}\t{text}\n" for text, label in zip(TEXTS, LABELS, strict=True))
    ),
    "quoteless.tsv": lambda: Path("quoteless.tsv").write_text(quoteless()),
    "headless.csv": lambda: TABLE.to_csv("headless.csv", index=False, header=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_formats(name: str) -> None:
    """Every format, encoding and delimiter gives the same texts and classes, without an argument."""
    WRITERS[name]()
    data = load(name)
    assert data.codec.class_names == ["neg", "pos"]
    assert count_splits(data) == {"train": 32, "val": 8}
    assert sorted(data.codec.vocabulary.freqs)[:3] != []
    assert {"fine", "awful", "film", ","} <= set(data.codec.vocabulary.itos)
    counts = [np.bincount(batches.labels).tolist() for batches in data.loaded.batches.values()]  # type: ignore[attr-defined]
    assert counts == [[16, 16], [4, 4]]


def test_excel_workbooks() -> None:
    """A sheet is a table; with two sheets, one is asked for."""
    pytest.importorskip("openpyxl")
    TABLE.to_excel("one.xlsx", index=False)
    assert count_splits(load("one.xlsx")) == {"train": 32, "val": 8}
    with pd.ExcelWriter("two.xlsx") as writer:
        TABLE.to_excel(writer, sheet_name="texts", index=False)
        TABLE.head(3).to_excel(writer, sheet_name="notes", index=False)
    with pytest.raises(LightFitError, match="texts.*notes.*`sheet`"):
        load("two.xlsx")
    assert count_splits(load("two.xlsx", sheet="texts")) == {"train": 32, "val": 8}


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "shift_jis", "cp1252"])
def test_encodings(encoding: str) -> None:
    """Texts in the usual encodings are decoded, and the encoding is said."""
    words = {
        "gb18030": ["我觉得这部电影的节奏很好，演员也不错。", "我觉得它的台词令人失望，节奏也很差。"],
        "big5": ["我覺得這部電影的節奏很好，演員也不錯。", "我覺得它的台詞令人失望，節奏也很差。"],
        "shift_jis": ["この映画はとても面白くて、俳優も素晴らしい。", "この映画は退屈で、話がひどかったです。"],
        "cp1252": ["Ce film est très beau, les acteurs sont à l’aise", "Décevant : « l'été » n'a ni rythme ni âme"],
    }[encoding]
    lines = [f"{words[row % 2]} {row},{LABELS[row]}\n" for row in range(40)]
    if encoding == "cp1252":
        lines = [f'"{words[row % 2]} {row}",{LABELS[row]}\n' for row in range(40)]
    Path("old.csv").write_bytes("".join(["text,label\n", *lines]).encode(encoding))
    data = load("old.csv")
    names = {"shift_jis": "cp932"}  # which holds it
    assert names.get(encoding, encoding) in data.loaded.findings.facts["train"].lower()
    known = set("".join(data.codec.vocabulary.itos))
    assert {character for character in words[0].lower() if character.isalpha()} <= known


@pytest.mark.parametrize(
    ("val", "test"), [("valid", "test"), ("validation", "testing"), ("dev", "Test"), ("VAL", "TEST"), ("eval", "test")]
)
def test_names_of_splits(val: str, test: str) -> None:
    """The usual names of splits are known in tables, folders and columns alike."""
    Path("tables").mkdir()
    TABLE.to_csv("tables/Train.csv", index=False)
    TABLE.head(10).to_csv(f"tables/{val}.csv", index=False)
    TABLE.tail(6).to_csv(f"tables/{test}.csv", index=False)
    assert count_splits(load("tables")) == {"train": 40, "val": 10, "test": 6}
    for split, rows in (("training", TABLE), (val, TABLE.head(10)), (test, TABLE.tail(6))):
        for position, (text, label) in enumerate(zip(rows["text"], rows["label"], strict=True)):
            path = Path("folders", split, label, f"{position}.txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert count_splits(load("folders")) == {"train": 40, "val": 10, "test": 6}
    parts = [TABLE.assign(split="train"), TABLE.head(10).assign(split=val), TABLE.tail(6).assign(split=test)]
    pd.concat(parts).to_csv("column.csv", index=False)
    assert count_splits(load("column.csv")) == {"train": 40, "val": 10, "test": 6}


def test_shards_of_a_hub() -> None:
    """Shards of Parquet files, as data sets on a hub have them, also below data/."""
    Path("hub/data").mkdir(parents=True)
    TABLE.head(20).to_parquet("hub/data/train-00000-of-00002.parquet")
    TABLE.tail(20).to_parquet("hub/data/train-00001-of-00002.parquet")
    TABLE.head(8).to_parquet("hub/data/test-00000-of-00001.parquet")
    Path("hub/README.md").write_text("# a data set")
    assert count_splits(load("hub")) == {"train": 32, "val": 8, "test": 8}


def test_classes_as_folders_without_splits() -> None:
    """A folder of a folder for each class, with files of any text ending or none."""
    for position, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
        path = Path("classes", label, f"{position}{('', '.txt', '.text')[position % 3]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert count_splits(load("classes")) == {"train": 32, "val": 8}


def test_a_test_table_without_labels_is_left_out() -> None:
    """As competitions have it: said, and no error of training."""
    Path("competition").mkdir()
    TABLE.to_csv("competition/train.csv", index=False)
    TABLE[["text"]].to_csv("competition/test.csv", index=False)
    data = load("competition")
    assert count_splits(data) == {"train": 32, "val": 8}
    assert any("test" in line and "left out" in line for line in data.loaded.findings.lines())


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_missing_labels(suffix: str) -> None:
    """They are errors with their number and place, or skipped and listed."""
    table = TABLE.assign(label=[None if row % 10 == 3 else label for row, label in enumerate(LABELS)])
    if suffix == "csv":
        table.to_csv("missing.csv", index=False)
    else:
        table.to_json("missing.jsonl", orient="records", lines=True)
    with pytest.raises(LightFitError, match=r"line \d: the label is empty.*4 of 40 have none.*`on_error`"):
        load(f"missing.{suffix}")
    data = load(f"missing.{suffix}", on_error="skip")
    assert data.codec.class_names == ["neg", "pos"]
    assert sum(count_splits(data).values()) == 36
    assert data.remarks({})[0] == "4 rows skipped:"


def test_sets_of_labels() -> None:
    """Lists, names joined by a bar, and several 0/1 columns are the same sets."""
    sets = [["long"] * (row % 3 == 0) + [label] for row, label in enumerate(LABELS)]
    rows = [{"text": text, "labels": own} for text, own in zip(TEXTS, sets, strict=True)]
    Path("lists.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pd.DataFrame({"text": TEXTS, "labels": ["|".join(own) for own in sets]}).to_csv("joined.csv", index=False)
    flags = {name: [int(name in own) for own in sets] for name in ("long", "neg", "pos")}
    pd.DataFrame({"text": TEXTS, **flags}).to_csv("flags.csv", index=False)
    pd.DataFrame(rows).to_parquet("lists.parquet")
    loaded = [
        load("lists.jsonl"),
        load("joined.csv"),
        load("flags.csv", label_column="long,neg,pos"),
        load("lists.parquet"),
    ]
    for data in loaded:
        assert data.codec.target.kind == "multi_label"
        assert data.codec.class_names == ["long", "neg", "pos"]
        y = [data.loaded.batches[split].labels.sum(0) for split in ("train", "val")]  # type: ignore[attr-defined]
        assert (y[0] + y[1]).tolist() == [14, 20, 20]


def test_ratings_are_numbers_to_predict() -> None:
    """Refused as classes, and scaled for a regression where that is asked for."""
    TABLE.assign(label=np.linspace(1.23, 4.87, 40).round(2)).to_csv("ratings.csv", index=False)
    with pytest.raises(LightFitError, match="look like a number to predict.*Set `labels` to numbers"):
        load("ratings.csv")
    data = load("ratings.csv", labels="numbers")
    _, y = next(iter(data.train_dataloader()))
    assert y.shape[1:] == (1,)
    assert abs(float(data.loaded.batches["train"].labels.mean())) < 1e-6  # type: ignore[attr-defined]
    with pytest.raises(LightFitError, match="`class_weights` needs one class for each sample"):
        load("ratings.csv", labels="numbers", class_weights="balanced")


def test_weights_and_balanced_sampling() -> None:
    """As for images: weights in the loss, or each class drawn equally often."""
    rare = ["rare" if row % 8 == 0 else "usual" for row in range(40)]
    TABLE.assign(label=rare).to_csv("rare.csv", index=False)
    assert load("rare.csv").loss_weights is None
    weights = load("rare.csv", class_weights="balanced").loss_weights
    assert weights == pytest.approx([4.0, 4 / 7])
    sampled = load("rare.csv", balanced_sampling=True, batch_size=400)
    drawn = sampled.loaded.sample_weights
    assert drawn is not None
    assert drawn.sum() == pytest.approx(2)


def test_several_text_columns() -> None:
    """Columns are joined; a pair has a separator that the net sees."""
    TABLE.assign(title="Headline", body=TEXTS).drop(columns="text").to_csv("joined.csv", index=False)
    assert {"headline", "film"} <= set(load("joined.csv", text_column="title,body").codec.vocabulary.itos)
    pairs = TABLE.rename(columns={"text": "premise"}).assign(hypothesis="it was good")
    pairs.to_csv("pairs.csv", index=False)
    assert "xxsep" in load("pairs.csv", text_column="premise,hypothesis").codec.vocabulary.itos
    with pytest.raises(LightFitError, match="hypothesi2"):
        load("pairs.csv", text_column="premise,hypothesi2")


def test_bad_rows_are_counted() -> None:
    """All of them, with the line of the first; with `on_error` skip the others are used."""
    lines = TABLE.to_csv(index=False).splitlines()
    lines[5] += ",surplus"
    lines[9] = '"",neg'
    Path("bad.csv").write_text("\n".join(lines))
    with pytest.raises(LightFitError, match="bad.csv, line 6.*2 "):
        load("bad.csv")
    data = load("bad.csv", on_error="skip")
    assert sum(count_splits(data).values()) == 38
    assert data.remarks({})[0] == "2 rows skipped:"


def gz_of(content: bytes) -> None:
    Path("broken.csv.gz").write_bytes(gzip.compress(content)[:-20])


@pytest.mark.parametrize(
    ("write", "source", "message"),
    [
        (lambda: Path("one.csv").write_text("text,label\nfine,pos\n"), "one.csv", "one"),
        (lambda: Path("head.csv").write_text("text,label\n"), "head.csv", "no rows"),
        (lambda: Path("empty.csv").write_text(""), "empty.csv", "empty"),
        (lambda: gz_of(TABLE.to_csv(index=False).encode()), "broken.csv.gz", "broken.csv.gz"),
        (lambda: Path("broken.parquet").write_bytes(b"PAR1 not really"), "broken.parquet", "broken.parquet"),
        (lambda: pd.DataFrame({"a": [1.5] * 9, "b": [2.5] * 9}).to_parquet("n.parquet"), "n.parquet", "`text_column`"),
        (lambda: Path("twice.csv").write_text("text,text,label\na,b,c\n"), "twice.csv", "twice"),
        (lambda: Path("image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "image.png", "image.png"),
        (lambda: Path("wide.csv").write_text(",".join(f"c{i}" for i in range(10**6)) + "\n"), "wide.csv", "columns"),
    ],
)
def test_refusals_are_one_short_sentence(write: Callable[[], Any], source: str, message: str) -> None:
    """What cannot be read is an error of ours, on one line, with no more than a bit of the data."""
    write()
    with pytest.raises((LightFitError, OSError), match=message) as caught:
        load(source)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_label_column_is_another_one() -> None:
    """The texts as labels are refused."""
    TABLE.to_csv("table.csv", index=False)
    with pytest.raises(LightFitError, match="label_column"):
        load("table.csv", label_column="text")
