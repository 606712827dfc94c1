"""The index of n-grams, and texts as the distinct n-grams in them."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightfit.datamodules import TextDataModule
from lightfit.datamodules.text.codec import TextCodec
from lightfit.datamodules.text.ngrams import limit_ngrams
from lightfit.errors import CheckpointError

RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(list("abcdefgh"), size)) for size in RNG.integers(0, 12, 60)]


def count_by_hand(texts: list[str], order: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        words = text.split()
        counts.update({" ".join(words[i : i + order]) for i in range(len(words) - order + 1)})
    return counts


def write(path: Path, texts: list[str]) -> None:
    pd.DataFrame({"text": texts, "label": [("x", "y")[i % 2] for i in range(len(texts))]}).to_csv(path, index=False)


def read(path: str = "t.csv", **arguments: object) -> TextDataModule:
    data = TextDataModule(
        path,
        **{"tokenizer": "lightfit.datamodules.text.tokenize_words", "max_len": None, "ngrams": 3, **arguments},  # type: ignore[arg-type]
    )
    data.setup()
    return data


def names(codec: TextCodec, x: torch.Tensor) -> set[str]:
    return {word for word in codec.ticks(x) if word}


@pytest.fixture
def table() -> list[str]:
    texts = [text or "a" for text in TEXTS]
    write(Path("t.csv"), texts)
    return texts


def test_index_is_exact(table: list[str]) -> None:
    data = read()
    codec = data.codec
    assert codec.ngrams is not None
    train = [table[int(place.rpartition(" ")[2].rpartition(":")[2]) - 2] for place in data.find_places("train")]
    expected = set.union(*(set(count_by_hand(train, order)) for order in (1, 2, 3)))
    assert {codec.ngrams.name(index, codec.vocabulary.itos) for index in range(2, len(codec.ngrams))} == expected
    assert codec.vocab_size == len(codec.ngrams) == len(expected) + 2
    for split in ("train", "val"):
        places = data.find_places(split)
        x, _ = data.loaded.batches[split][torch.arange(len(places))]
        for place, row in zip(places, x, strict=True):
            words = table[int(place.rpartition(" ")[2].rpartition(":")[2]) - 2]
            own = set.union(*(set(count_by_hand([words], order)) for order in (1, 2, 3)))
            assert names(codec, row) == own & expected
            assert len(row[row != 1].unique()) == (row != 1).sum()


def test_raw_texts_are_encoded_as_in_training(table: list[str]) -> None:
    data = read(char_ngrams=3)
    x, _ = data.train_data[torch.arange(5)]
    texts = [table[int(place.rpartition(" ")[2].rpartition(":")[2]) - 2] for place in data.find_places("train")[:5]]
    assert torch.equal(data.codec.encode(texts), x)
    assert data.codec.encode([""]).tolist() == [[1]]
    assert names(data.codec, data.codec.encode(["a zzz a"])[0]) >= {"a", "[ a]", "[a ]"}
    assert "a a" not in names(data.codec, data.codec.encode(["a zzz a"])[0])


def test_most_frequent_are_kept(table: list[str]) -> None:
    whole, small = read(), read(max_ngrams=40)
    assert whole.codec.ngrams is not None
    assert small.codec.ngrams is not None
    index, itos = small.codec.ngrams, small.codec.vocabulary.itos
    kept = {index.name(i, itos) for i in range(len(itos), len(index))}
    train = [table[int(place.rpartition(" ")[2].rpartition(":")[2]) - 2] for place in small.find_places("train")]
    counts = count_by_hand(train, 2) + count_by_hand(train, 3)
    assert 0 < len(kept) <= 40
    assert kept == {ngram for ngram, count in counts.items() if count >= index.min_texts}
    assert sum(count >= index.min_texts - 1 for count in counts.values()) > 40
    seen = sum(1 for ngram in counts if ngram.count(" ") == 1)
    assert f" of {seen:,} word pairs" in small.describe()
    assert f"those in at least {index.min_texts} texts" in small.describe()
    assert "at least" not in whole.describe()


def test_state_is_plain_and_compact(table: list[str]) -> None:
    codec = read(char_ngrams=4).codec
    state = json.loads(json.dumps(codec.to_dict()))
    loaded = TextCodec.from_dict(state)
    assert loaded.to_dict() == codec.to_dict()
    assert torch.equal(loaded.encode(table), codec.encode(table))
    with pytest.raises(CheckpointError, match="n-grams cannot be read"):
        TextCodec.from_dict(state | {"ngrams": {**state["ngrams"], "keys": ["AAAA", "AAAA"]}})


def test_chunks_do_not_matter(table: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(char_ngrams=3)
    for name, size in (("CHUNK_TOKENS", 10), ("MOST_COUNTS", 20)):
        monkeypatch.setattr(f"lightfit.datamodules.text.ngrams.{name}", size)
    cut = read(char_ngrams=3)
    assert cut.codec.to_dict() == whole.codec.to_dict()
    index = torch.arange(len(whole.val_data))
    assert torch.equal(cut.val_data[index][0], whole.val_data[index][0])


def test_words_in_order_without_ngrams(table: list[str]) -> None:
    data = read(ngrams=1)
    assert data.codec.ngrams is None
    assert "ngrams" not in data.codec.to_dict()
    x, _ = data.train_data[torch.arange(1)]
    text = table[int(data.find_places("train")[0].rpartition(" ")[2].rpartition(":")[2]) - 2]
    assert data.codec.ticks(x[0]) == text.split()


def test_texts_are_cut_before_their_ngrams(table: list[str]) -> None:
    data = read(max_len=2, ngrams=2)
    assert names(data.codec, data.codec.encode(["a b c d"])[0]) <= {"a", "b", "a b"}
    x, _ = data.train_data[torch.arange(len(data.train_data))]
    assert x.shape[1] <= 3


def test_limit_by_outputs() -> None:
    assert limit_ngrams(500_000, num_words=60_000, num_outputs=2) == 500_000
    assert limit_ngrams(500_000, num_words=2_000, num_outputs=150) == 4_000_000 // 150 - 2_000
    assert limit_ngrams(500_000, num_words=60_000, num_outputs=1_000) == 10_000
    assert limit_ngrams(5_000, num_words=60_000, num_outputs=1_000) == 5_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ngrams": 0}, "expected `ngrams` of 1"),
        ({"ngrams": 9}, "expected `ngrams` of 1"),
        ({"char_ngrams": 1}, "expected `char_ngrams`"),
        ({"max_ngrams": 0}, "expected `max_ngrams`"),
        ({"min_steps": 0}, "expected `min_steps`"),
    ],
)
def test_bad_arguments(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextDataModule("t.csv", **arguments)  # type: ignore[arg-type]


def test_small_tables_have_small_batches(table: list[str]) -> None:
    data = read(batch_size=20, min_steps=12)
    assert data.choose_batch_size("train") == len(data.train_data) // 12
    assert data.choose_batch_size("val") == 20
    assert len(data.train_dataloader()) >= 12
    assert read(batch_size=20, min_steps=1).choose_batch_size("train") == 20
    assert read(batch_size=20, min_steps=1000).choose_batch_size("train") == 1
