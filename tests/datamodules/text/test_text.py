"""TextDataModule: splits, classes, words, batches, cache, inputs."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import make_reviews, write_csv

from lightfit.cache import Arrays, Grow, cached, from_arrays, to_arrays
from lightfit.datamodules import DataError, TextDataModule
from lightfit.datamodules.splits import stratified_split
from lightfit.datamodules.text import corpus
from lightfit.datamodules.text.corpus import WordIds
from lightfit.datamodules.text.vocabulary import tokenize
from lightfit.scripts.inference.inputs.texts import TextInputs


def test_batches_are_padded_word_ids(reviews: Path) -> None:
    data = TextDataModule(str(reviews), max_len=6, batch_size=20)
    data.setup()
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == (20, 6)
    assert x.dtype == y.dtype == torch.int64
    assert set(y.tolist()) == {0, 1}
    assert (x[:, -1] == 1).all(), "five words and one of padding"
    assert (len(data.train_data), len(data.val_data), data.codec.num_classes) == (64, 16, 2)
    assert data.codec.class_names == ["neg", "pos"]
    assert data.describe() == (
        f"{reviews}: 64 train, 16 val texts; classes in train: neg 32, pos 32; "
        f"{data.codec.vocab_size} of {data.codec.vocab_size} words"
    )


def test_encode_gives_what_the_batches_hold(reviews: Path) -> None:
    data = TextDataModule(str(reviews), max_len=4, batch_size=80)
    data.setup()
    x, _ = next(iter(data.val_dataloader()))
    texts = [text for text, _ in make_reviews()]
    encoded = {tuple(row) for row in data.codec.encode(texts).tolist()}
    assert {tuple(row) for row in x.tolist()} <= encoded
    assert data.codec.encode(["a zzz"]).tolist() == [[data.codec.vocabulary["a"], 0, 1, 1]]


def test_vocabulary_comes_from_the_training_split_alone(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [("common", "x"), ("common", "y")])
    write_csv(tmp_path / "val.csv", [("secret", "x")])
    write_csv(tmp_path / "test.csv", [("hidden", "y")])
    data = TextDataModule(str(tmp_path))
    data.setup()
    assert data.codec.vocabulary.itos == ["<unk>", "<pad>", "common"]
    assert [len(split) for split in (data.train_data, data.val_data, data.test_data or [])] == [2, 1, 1]


def test_texts_without_limit_are_padded_by_the_batch(tmp_path: Path) -> None:
    rows = [(" ".join(["w"] * length), "xy"[length % 2]) for length in range(1, 41)]
    data = TextDataModule(str(write_csv(tmp_path / "a.csv", rows)), max_len=None, batch_size=5)
    data.setup()
    widths = [x.shape[1] for x, _ in data.train_dataloader()]
    lengths = [(x != 1).sum(1).max().item() for x, _ in data.train_dataloader()]
    assert widths == lengths
    bucketed = TextDataModule(str(tmp_path / "a.csv"), max_len=30, bucket=True, batch_size=5)
    bucketed.setup()
    padding = [(x == 1).sum().item() for x, _ in bucketed.train_dataloader()]
    assert sum(padding) < 0.2 * sum((x == 1).sum().item() for x, _ in data.train_dataloader())
    assert max(x.shape[1] for x, _ in bucketed.train_dataloader()) == 30


def test_identical_texts_stay_on_one_side(tmp_path: Path) -> None:
    rows = [(f"word{index % 20}", "xy"[index % 2]) for index in range(60)]
    data = TextDataModule(str(write_csv(tmp_path / "a.csv", rows)), max_len=None, batch_size=60)
    data.setup()
    train, val = (next(iter(loader))[0] for loader in (data.train_dataloader(), data.val_dataloader()))
    assert (len(train), len(val)) == (48, 12)
    assert (train > 1).all()
    assert (val == 0).all(), "the vocabulary was built without the texts of val"


@pytest.mark.parametrize("seed", [0, 1])
def test_split_by_hand(seed: int) -> None:
    labels, groups = np.repeat([0, 1], [80, 20]), np.r_[np.arange(50), np.arange(50)]
    train, val = stratified_split(labels, groups, val_fraction=0.2, seed=seed)
    assert sorted([*train, *val]) == list(range(100))
    assert not set(groups[train]) & set(groups[val])
    assert len(val) == 20


def test_split_refuses_what_leaves_a_side_empty() -> None:
    with pytest.raises(DataError, match=r"`val_fraction` 0.01 of 4 samples leaves val empty"):
        stratified_split(np.array([0, 0, 1, 1]), np.arange(4), val_fraction=0.01, seed=0)
    with pytest.raises(ValueError, match="between 0 and 1, both excluded, received 1.0"):
        stratified_split(np.array([0, 1]), np.arange(2), val_fraction=1.0, seed=0)


def test_integer_labels_are_sorted_by_value(tmp_path: Path) -> None:
    rows = [(f"t{index}", str(index % 12)) for index in range(60)]
    data = TextDataModule(str(write_csv(tmp_path / "a.csv", rows)))
    data.setup()
    assert data.codec.class_names == [str(n) for n in range(12)]


def test_cache_is_used_until_something_changes(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counting(*args: Any) -> dict:
        reads.append("read")
        return corpus.tokenise(*args)

    monkeypatch.setattr("lightfit.datamodules.text.datamodule.tokenise", counting)

    def vocabulary(**kwargs: object) -> list[str]:
        data = TextDataModule(str(reviews), **kwargs)  # type: ignore[arg-type]
        data.setup()
        return data.codec.vocabulary.itos

    first = vocabulary()
    assert vocabulary() == first
    assert vocabulary(max_words=5) == first[:5]
    assert len(reads) == 1
    vocabulary(tokenizer="lightfit.datamodules.text.tokenize_words")
    assert len(reads) == 2
    write_csv(reviews, [*make_reviews(), ("a new word", "pos")])
    assert "new" in vocabulary(val_fraction=0.1)
    assert len(reads) == 3


def test_damaged_cache_is_rebuilt(tmp_path: Path) -> None:
    def make(grow: Grow) -> Arrays:
        growing = grow("b", np.int32)
        for start in (0, 5):
            growing.append(np.arange(start, start + 5))
        return {"a": np.arange(3)}

    for turn in range(4):  # built, used, rebuilt after damage, and after a file is deleted
        arrays = cached(tmp_path, "x", [1], make)
        assert arrays["a"].tolist() == [0, 1, 2]
        assert arrays["b"].tolist() == list(range(10))
        assert arrays["b"].dtype == np.int32
        (path,) = tmp_path.glob("x-*")
        assert sorted(item.name for item in path.iterdir()) == ["a.npy", "b.npy", "names.json"]
        arrays["b"][0] = 7  # in memory alone
        if turn == 1:
            (path / "b.npy").write_bytes((path / "b.npy").read_bytes()[:-1])
        elif turn == 2:
            (path / "a.npy").unlink()
    words = ["a", "", "naïve", "\n"]
    assert from_arrays(*to_arrays(pa.array(words)).values()).to_pylist() == words


def test_a_failure_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    def fail(grow: Grow) -> Arrays:
        grow("b", np.int32).append(np.arange(5))
        raise DataError("line 3: no text")

    with pytest.raises(DataError, match="line 3"):
        cached(tmp_path, "x", [1], fail)
    assert not list(tmp_path.glob("[!.]*"))


def test_words_get_the_same_ids_by_bytes_and_one_by_one() -> None:
    texts = [
        "The film,  the FILM! \\ [x]",
        "ÀÉ naïve\u2019s 'İ' Kelvin\tTab",
        "",
        "two\nlines\n\n",
        " ",
        "\x00 a\u2028b ☃",
    ]
    own, quick = WordIds(lambda text: tokenize(text)), WordIds(tokenize)
    for chunk in (texts[:2], texts[2:], texts):
        for one_by_one, by_bytes in zip(own.encode(chunk), quick.encode(chunk), strict=True):
            assert one_by_one.tolist() == by_bytes.tolist()
    assert own.words == quick.words
    assert own.words[:4] == ["the", "film", "", "\\"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("a", "x"), ("b", "x")], "at least two classes in the training split, received one: 'x' in all 2 samples"),
        ([], "holds no rows"),
    ],
)
def test_data_that_cannot_be_learned(rows: list[tuple[str, str]], problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        TextDataModule(str(write_csv(tmp_path / "a.csv", rows))).setup()


def test_label_never_seen_in_training(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [("a", "x"), ("b", "y")])
    write_csv(tmp_path / "val.csv", [("a", "x"), ("b", "z")])
    with pytest.raises(DataError, match="val.csv, line 3: the label 'z' was never seen in training; .* has: x, y"):
        TextDataModule(str(tmp_path)).setup()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max_words": 2}, "`max_words` above 2.*received 2: the vocabulary would have no words"),
        ({"max_len": 0}, "`max_len` of at least 1.*received 0"),
        ({"batch_size": 0}, "`batch_size` of at least 1, received 0"),
    ],
)
def test_arguments_that_are_refused(arguments: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TextDataModule(**arguments)


def test_state_is_enough_to_encode(reviews: Path) -> None:
    data = TextDataModule(str(reviews))
    data.setup()
    state = data.state_dict()
    reviews.unlink()
    again = TextDataModule(str(reviews))
    again.load_state_dict(state)
    assert torch.equal(again.codec.encode(["a good film"]), data.codec.encode(["a good film"]))
    assert again.codec.class_names == ["neg", "pos"]


def test_inputs_in_order(reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = TextInputs("text").read
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    write_csv(tmp_path / "b.csv", [("three", "4")], header=("text", "other"))
    monkeypatch.setattr("sys.stdin", io.StringIO("five\n"))
    assert read(["zero", "a.txt", "b.csv", "-"]) == ["zero", "one", "two", "three", "five"]
    assert read(["b.csv"], "other") == ["4"]
    with pytest.raises(FileNotFoundError, match="no file at 'c.csv'"):
        read(["c.csv"])
    with pytest.raises(DataError, match="the input '': the text is empty"):
        read([" "])
    with pytest.raises(FileNotFoundError, match=r"If it is meant as a text, end it with a blank"):
        read(["I read it in a.txt"])
    assert read(["I read it in a.txt "]) == ["I read it in a.txt "]


def test_no_test_split(reviews: Path) -> None:
    data = TextDataModule(str(reviews))
    data.setup()
    with pytest.raises(ValueError, match="TextDataModule: this data has no test split"):
        data.test_dataloader()
