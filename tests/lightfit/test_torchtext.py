"""The classes of torchtext 0.6: the same tokens, ids, padding and batches as torchtext 0.6.0 itself, where compared."""

import csv
import gzip
import io
import json
import pickle
import random
import re
import string
import sys
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lightfit import LightModel, Vocabulary
from lightfit import torchtext as ours
from lightfit.errors import DataError, NotSetUpError
from lightfit.torchtext.data import Batch, BucketIterator, Dataset, Example, Field, Iterator, LabelField, TabularDataset
from lightfit.torchtext.vocab import Vocab

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import torchtext as theirs
    except ImportError:
        theirs = None

compared = pytest.mark.skipif(theirs is None, reason="compared with torchtext 0.6.0, which is not installed")

WORDS = [
    "good",
    "Bad",
    "film,",
    "it's",
    "re-made",
    "<br />",
    "<unk>",
    "影片",
    "很好看。",
    "naïve",
    "10/10",
    "\\",
    "(a)",
    "a",
]
MAX_WORDS = 30


def write_reviews(path: Path, *, num_rows: int = 90, seed: int = 0) -> Path:
    """Write labels and made texts to a TSV file: quotes, line breaks and tabs within, double spaces, empty texts."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter="\t")
        for index in range(num_rows):
            words = [rng.choice([*WORDS, f"word{rng.randrange(60)}"]) for _ in range(rng.randrange(1, 40))]
            texts = {0: "", 1: 'a "quoted" film', 2: "two\nlines", 3: "a\ttab", 4: "double  space ", 5: "很好 " * 150}
            rows.writerow([index % 2, texts.get(index, " ".join(words))])
    return path


@pytest.fixture
def reviews_folder(tmp_path: Path) -> Path:
    write_reviews(tmp_path / "train.tsv")
    write_reviews(tmp_path / "test.tsv", num_rows=30, seed=1)
    return tmp_path


def make_examples(tt: Any, *, num_examples: int = 300, seed: int = 0, field: Any = None) -> Any:
    """Make a data set of texts of 1 to 20 words and of labels, with its vocabulary."""
    rng = random.Random(seed)
    text = tt.data.Field() if field is None else field
    fields = [("text", text), ("label", tt.data.Field(sequential=False, use_vocab=False, is_target=True))]
    rows = [[" ".join(rng.choices(WORDS, k=rng.randint(1, 20))), index % 3] for index in range(num_examples)]
    dataset = tt.data.Dataset([tt.data.Example.fromlist(row, fields) for row in rows], fields)
    text.build_vocab(dataset)
    return dataset


def list_batches(iterator: Any) -> list[list[Any]]:
    return [[batch.text.tolist(), batch.label.tolist()] for batch in iterator]


# The cookbook's pipeline


def run_cookbook(tt: Any, folder: Path) -> tuple[Any, ...]:
    """Run the cookbook's text pipeline, in its style, on a small vocabulary."""
    tokenizer = lambda x: re.sub("[%s]" % string.punctuation, "", x).split(" ")  # noqa: E731, UP031

    def drop_rare_words(arr: list[list[int]], vocab: Any) -> list[list[int]]:
        return [[index if index < MAX_WORDS else 0 for index in example] for example in arr]

    text = tt.data.Field(
        sequential=True, tokenize=tokenizer, lower=True, fix_length=200, postprocessing=drop_rare_words
    )
    label = tt.data.Field(sequential=False, use_vocab=False)
    train, valid = tt.data.TabularDataset.splits(
        path=str(folder),
        train="train.tsv",
        test="test.tsv",
        format="tsv",
        fields=[("label", label), ("text", text)],
        skip_header=False,
    )
    text.build_vocab(train)
    random.seed(7)
    loaders = tt.data.Iterator.splits(
        (train, valid), sort_within_batch=True, sort_key=lambda x: len(x.text), batch_sizes=(20, 20)
    )
    return text, train, valid, *loaders


@compared
def test_cookbook_is_the_same_to_the_letter(reviews_folder: Path) -> None:
    text, train, valid, *loaders = run_cookbook(ours, reviews_folder)
    their_text, their_train, their_valid, *their_loaders = run_cookbook(theirs, reviews_folder)
    for dataset, their_dataset in ((train, their_train), (valid, their_valid)):
        assert [(x.text, x.label) for x in dataset] == [(x.text, x.label) for x in their_dataset]
    assert text.vocab.itos == their_text.vocab.itos
    assert dict(text.vocab.stoi) == dict(their_text.vocab.stoi)
    assert text.vocab.freqs == their_text.vocab.freqs
    assert (text.vocab.itos[:2], text.vocab.freqs["<unk>"], "很好" in text.vocab.stoi) == (["<unk>", "<pad>"], 0, True)
    for loader, their_loader in zip(loaders, their_loaders, strict=True):
        for _ in range(2):  # epochs
            assert len(loader) == len(their_loader)
            assert list_batches(loader) == list_batches(their_loader)
    batch = next(iter(loaders[0]))
    assert batch.text.shape == (200, 20)
    assert torch.transpose(batch.text, 0, 1).shape == (20, 200)
    assert batch.text.max() < MAX_WORDS
    assert batch.label.shape == (20,)


class CookbookLoader:
    """The cookbook's adapter of an iterator to batches (x, y)."""

    def __init__(self, data_iter: Any) -> None:
        self.data_iter = data_iter

    def __len__(self) -> int:
        return len(self.data_iter)

    def __iter__(self) -> Any:
        for batch in self.data_iter:
            yield torch.transpose(batch.text, 0, 1), torch.unsqueeze(batch.label.float(), dim=1)


class TextModel(LightModel):
    """A mean of word vectors, as one logit."""

    def shared_step(self, batch: Any) -> dict[str, torch.Tensor]:
        x, y = batch
        logits = self(x)
        accuracy = ((logits > 0) == (y > 0.5)).float().mean()
        return {"loss": nn.functional.binary_cross_entropy_with_logits(logits, y), "accuracy": accuracy}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def make_trainer(**kwargs: Any) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(**{**quiet, "enable_checkpointing": False, "accelerator": "cpu", **kwargs})


def test_cookbook_pipeline_trains_a_light_model(reviews_folder: Path) -> None:
    *_, train_iter, valid_iter = run_cookbook(ours, reviews_folder)
    torch.manual_seed(0)
    model = TextModel(nn.Sequential(nn.EmbeddingBag(MAX_WORDS, 4), nn.Linear(4, 1)))
    make_trainer(max_epochs=3).fit(model, CookbookLoader(train_iter), CookbookLoader(valid_iter))
    history = pd.DataFrame(model.history)
    assert len(history) == 3
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert history["val_accuracy"].between(0, 1).all()


class PlainModel(pl.LightningModule):
    """Anybody's LightningModule, on batches as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.EmbeddingBag(40, 3)
        self.seen: list[tuple[list[Any], list[Any]]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        assert isinstance(batch, Batch)
        x, y = batch
        self.seen.append((x.tolist(), y.tolist()))
        return nn.functional.cross_entropy(self.net(x.t()), y)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_iterators_feed_any_lightning_module() -> None:
    random.seed(3)
    loader = BucketIterator(make_examples(ours), 32, sort_key=lambda x: len(x.text))
    model = PlainModel()
    make_trainer(max_epochs=2).fit(model, loader)
    assert len(model.seen) == 2 * len(loader) == 20
    assert sorted(label for _, y in model.seen[:10] for label in y) == sorted(list(range(3)) * 100)


@pytest.mark.parametrize("step", [3, 10])  # within an epoch of 10 batches, and at its end
def test_lightning_resumes_iterators_exactly(step: int, tmp_path: Path) -> None:
    class Save(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            if trainer.global_step == step:
                trainer.save_checkpoint(tmp_path / "saved.ckpt")

    def train(seed: int, callbacks: list[pl.Callback], ckpt_path: Path | None = None) -> list[Any]:
        random.seed(seed)
        model, loader = PlainModel(), BucketIterator(make_examples(ours), 32, sort_key=lambda x: len(x.text))
        make_trainer(max_steps=14, max_epochs=-1, callbacks=callbacks).fit(model, loader, ckpt_path=ckpt_path)
        return model.seen

    whole = train(1, [Save()])
    assert train(2, [], tmp_path / "saved.ckpt") == whole[step:]


def test_light_model_takes_batches_as_they_are() -> None:
    class AnyModel(LightModel):
        def shared_step(self, batch: Any) -> Any:
            (ids, _), y = batch
            return {"loss": nn.functional.cross_entropy(self(ids.t()), y), "size": float(len(y))}

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    dataset = make_examples(ours, num_examples=50, field=Field(include_lengths=True))
    model = AnyModel(nn.EmbeddingBag(40, 3))
    make_trainer(max_epochs=1).fit(model, Iterator(dataset, 32), Iterator(dataset, 20, train=False, sort=False))
    # Means over samples, (32 * 32 + 18 * 18) / 50 and (20 * 20 * 2 + 10 * 10) / 50: ids have tokens first.
    assert pd.DataFrame(model.history)[["size", "val_size"]].iloc[0].tolist() == pytest.approx([26.96, 18.0])


# Iterators

ITERATORS: list[tuple[str, dict[str, Any]]] = [
    (kind, options)
    for kind in ("Iterator", "BucketIterator")
    for options in (
        {},
        {"train": False},
        {"shuffle": False},
        {"sort": True},
        {"sort": True, "sort_within_batch": False},
        {"sort_within_batch": True},
        {"train": False, "sort": False, "shuffle": True, "sort_within_batch": True},
        {"batch_size_fn": lambda new, count, sofar: sofar + len(new.text), "batch_size": 60, "sort_within_batch": True},
    )
]


@compared
@pytest.mark.parametrize(("kind", "options"), ITERATORS)
def test_batches_are_in_the_order_of_torchtext(kind: str, options: dict[str, Any]) -> None:
    loaders = []
    for tt in (ours, theirs):
        random.seed(11)
        options = {"batch_size": 8, "sort_key": lambda x: len(x.text), **options}
        loaders.append(getattr(tt.data, kind)(make_examples(tt, num_examples=850), **options))
    for _ in range(2):  # epochs
        batches, their_batches = map(list_batches, loaders)
        assert batches == their_batches
    assert sum(len(labels) for _, labels in batches) == 850


@pytest.mark.parametrize("kind", ["Iterator", "BucketIterator"])
@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("stop", [0, 1, 37, 38, 50])  # of 38 batches an epoch
def test_state_is_restored_exactly(kind: str, repeat: bool, stop: int) -> None:
    dataset = make_examples(ours)

    def batches_of(loader: Any) -> Any:
        while True:
            yield from loader

    def make(seed: int) -> Any:
        random.seed(seed)
        return getattr(ours.data, kind)(dataset, 8, sort_key=lambda x: len(x.text), repeat=repeat)

    whole = make(5)
    ahead = batches_of(whole)
    for _ in range(stop):
        next(ahead)
    state = json.loads(json.dumps(whole.state_dict()))
    expected = [next(ahead).text.tolist() for _ in range(80)]
    resumed = make(6)
    resumed.load_state_dict(state)
    rest = batches_of(resumed)
    assert [next(rest).text.tolist() for _ in range(80)] == expected
    if repeat:
        assert resumed.iterations == whole.iterations == stop + 80
        assert resumed.epoch == (stop + 80) // 38


@compared
def test_state_of_torchtext_is_understood() -> None:
    loaders = []
    for tt in (ours, theirs):
        random.seed(2)
        loaders.append(tt.data.BucketIterator(make_examples(tt), 16, sort_key=lambda x: len(x.text)))
    batches = iter(loaders[1])
    for _ in range(4):
        next(batches)
    state = loaders[1].state_dict()
    loaders[0].load_state_dict(state)
    assert [batch.text.tolist() for batch in loaders[0]] == [batch.text.tolist() for batch in batches]
    assert set(loaders[0].state_dict()) == set(state)


def test_shuffling_leaves_the_random_state_of_python_alone() -> None:
    loader = BucketIterator(make_examples(ours), 8, sort_key=lambda x: len(x.text))
    random.seed(0)
    before = random.getstate()
    list_batches(loader)
    assert random.getstate() == before


def test_splits_of_iterators() -> None:
    dataset = make_examples(ours, num_examples=10)
    dataset.sort_key = lambda x: len(x.text)
    train, valid = BucketIterator.splits((dataset, dataset), batch_size=4)
    assert (train.train, train.shuffle, train.sort, valid.train, valid.shuffle, valid.sort) == (
        *(True, True, False),
        *(False, False, True),
    )
    assert [len(batch) for batch in valid] == [4, 4, 2]
    with pytest.raises(ValueError, match="expected 2 `batch_sizes`, one a data set, received 1"):
        BucketIterator.splits((dataset, dataset), batch_sizes=(4,))


def test_what_iterators_refuse(caplog: pytest.LogCaptureFixture) -> None:
    dataset = make_examples(ours, num_examples=10)
    for loader in (Iterator(dataset, 4, train=False), BucketIterator(dataset, 4, sort_within_batch=True)):
        with pytest.raises(TypeError, match="`sort_key`, which is missing: pass `sort_key=lambda"):
            next(iter(loader))
    with pytest.raises(NotImplementedError, match="with `batch_size_fn`, the number of batches is not known"):
        len(Iterator(dataset, 4, batch_size_fn=lambda new, count, sofar: count))
    assert Iterator(dataset, 4, device=0).device is None
    assert "`device` 0 is taken as the CPU" in caplog.text


def test_example_larger_than_a_batch_is_a_batch() -> None:
    sizes = [3, 9, 1, 1, 12]
    batches = list(ours.data.batch(sizes, 5, lambda new, count, sofar: sofar + new))
    assert batches == [[3], [9], [1, 1], [12]]


@compared
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("num_words", [41, 40])
def test_language_model_batches(batch_first: bool, num_words: int) -> None:
    found = []
    for tt in (ours, theirs):
        field = tt.data.Field(batch_first=batch_first)
        words = [f"w{index}" for index in range(num_words)]
        dataset = tt.data.Dataset([tt.data.Example.fromlist([words], [("text", field)])], [("text", field)])
        field.build_vocab(dataset)
        loader = tt.data.BPTTIterator(dataset, batch_size=4, bptt_len=3)
        found.append((len(loader), [(batch.text.tolist(), batch.target.tolist()) for batch in loader]))
    assert found[0] == found[1]
    assert len(found[0][1]) == found[0][0]
    loader = ours.data.BPTTIterator(dataset=make_text(num_words), batch_size=4, bptt_len=3)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    again = ours.data.BPTTIterator(dataset=make_text(num_words), batch_size=4, bptt_len=3)
    again.load_state_dict(state)
    inputs, targets = next(iter(again))
    expected = next(batches)
    assert torch.equal(inputs, expected.text)
    assert torch.equal(targets, expected.target)


def make_text(num_words: int) -> Dataset:
    field = Field()
    example = Example.fromlist([[f"w{index}" for index in range(num_words)]], [("text", field)])
    dataset = Dataset([example], [("text", field)])
    field.build_vocab(dataset)
    return dataset


# Fields

TEXTS = ["The film is good .", "no", "", "a  Very 很 好 的 电影 long\ttext of words that does not end so soon\n"]
FIELDS: list[dict[str, Any]] = [
    {},
    {"lower": True, "batch_first": True},
    {"init_token": "<s>", "include_lengths": True},
    {"init_token": "<s>", "eos_token": "</s>", "fix_length": 5, "include_lengths": True},
    {"eos_token": "</s>", "fix_length": 5, "truncate_first": True, "pad_first": True, "include_lengths": True},
    {"pad_first": True, "include_lengths": True, "batch_first": True},
    {"stop_words": ["the", "is"], "lower": True},
    {"tokenize": "basic_english", "dtype": torch.int32},
    {"tokenize": list, "pad_token": "_", "fix_length": 30},
    {
        "preprocessing": lambda tokens: tokens[::-1],
        "postprocessing": lambda arr, vocab: [[i + 1 for i in x] for x in arr],
    },
]


@compared
@pytest.mark.parametrize("options", FIELDS)
def test_fields_make_the_same_tensors(options: dict[str, Any]) -> None:
    found = []
    for tt in (ours, theirs):
        field = tt.data.Field(**options)
        tokens = [field.preprocess(text) for text in TEXTS]
        field.build_vocab(tokens[:2] + tokens[3:], specials=["<extra>"], min_freq=1)
        made = field.process(tokens)
        found.append((tokens, field.pad(tokens), field.vocab.itos, made))
    assert found[0][:3] == found[1][:3]
    ids, their_ids = (made if isinstance(made, tuple) else (made,) for *_, made in found)
    for mine, other in zip(ids, their_ids, strict=True):
        assert torch.equal(mine, other)
        assert (mine.dtype, mine.is_contiguous()) == (other.dtype, other.is_contiguous())


@compared
def test_labels_and_numbers() -> None:
    for tt in (ours, theirs):
        label = tt.data.LabelField()
        label.build_vocab([["neg", "pos", "pos"]])
        assert label.vocab.itos == ["pos", "neg"]
        assert label.process(["neg", "pos"]).tolist() == [1, 0]
        number = tt.data.Field(sequential=False, use_vocab=False, dtype=torch.float)
        assert number.process(["1.5", 2, "-3e1"]).tolist() == [1.5, 2, -30]
        assert number.is_target is False
        assert label.is_target is True


@compared
def test_columns_that_share_a_field_share_the_vocabulary() -> None:
    vocabularies = []
    for tt in (ours, theirs):
        field = tt.data.Field()
        fields = [("q1", field), ("skipped", None), (("q2", "q3"), (field, tt.data.RawField()))]
        rows = [["b a", "x", "a c"], ["c", "x", "a a"]]
        dataset = tt.data.Dataset([tt.data.Example.fromlist(row, fields) for row in rows], fields)
        field.build_vocab(dataset, [["d"]])
        vocabularies.append((field.vocab.itos, dict(field.vocab.freqs)))
        assert list(dataset.fields) in (["q1", "skipped", "q2", "q3"], ["q1", "skipped", "q2", "q3"])
        assert list(dataset.q3) == ["a c", "a a"]
    assert vocabularies[0] == vocabularies[1]


NESTED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"init_token": "<w>", "eos_token": "</w>"}, {"init_token": "<s>", "eos_token": "</s>", "include_lengths": True}),
    ({"init_token": "<w>", "fix_length": 4}, {"fix_length": 3, "eos_token": "</s>", "include_lengths": True}),
    ({"pad_first": True, "eos_token": "</w>"}, {"pad_first": True, "init_token": "<s>", "include_lengths": True}),
    ({"truncate_first": True, "fix_length": 3}, {"truncate_first": True, "fix_length": 2}),
    ({"sequential": False}, {"init_token": "<s>"}),
]


@compared
@pytest.mark.parametrize(("inner", "outer"), NESTED)
def test_nested_fields_make_the_same_tensors(inner: dict[str, Any], outer: dict[str, Any]) -> None:
    found = []
    for tt in (ours, theirs):
        tokenize = {} if inner.get("sequential") is False else {"tokenize": list}
        chars = tt.data.NestedField(tt.data.Field(**tokenize, **inner), **outer)
        words = [chars.preprocess(text) for text in ("john loves mary", "mary 很好", "cries")]
        chars.build_vocab(words)
        found.append((words, chars.pad(words), chars.vocab.itos, dict(chars.vocab.freqs), chars.process(words)))
    assert found[0][:4] == found[1][:4]
    ids, their_ids = (made if isinstance(made, tuple) else (made,) for *_, made in found)
    for mine, other in zip(ids, their_ids, strict=True):
        assert torch.equal(mine, other)


def test_what_fields_refuse() -> None:
    field = Field(include_lengths=True)
    field.build_vocab([["a"]])
    with pytest.raises(
        ValueError, match=r"with `include_lengths`, expected a tuple \(texts, lengths\), received a list"
    ):
        field.numericalize([["a"]])
    with pytest.raises(NotSetUpError, match="the field has no vocabulary yet: call `build_vocab"):
        Field().process([["a"]])
    with pytest.raises(DataError, match=r"expected numbers \(int\).*'pos'.*skip_header=True.*LabelField"):
        Field(sequential=False, use_vocab=False).process(["1", "pos"])
    with pytest.raises(ValueError, match="expected `dtype` of whole numbers or floats, received torch.bool"):
        Field(sequential=False, use_vocab=False, dtype=torch.bool).process(["1"])
    with pytest.raises(ValueError, match="expected `stop_words` as a collection of tokens, received 3"):
        Field(stop_words=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="received a NestedField: two levels are the most"):
        ours.data.NestedField(ours.data.NestedField(Field()))
    with pytest.raises(ValueError, match="expected `nesting_field` without `include_lengths`"):
        ours.data.NestedField(Field(include_lengths=True))
    labels = LabelField()
    labels.build_vocab([["pos"]])
    with pytest.raises(KeyError, match="'neutral' is not in the vocabulary, which has no '<unk>'"):
        labels.process(["neutral"])


@compared
def test_characters_become_texts_again() -> None:
    texts = ["很好 good", "bad"]
    for tt in (ours, theirs):
        for batch_first in (False, True):
            field = tt.data.ReversibleField(tokenize=list, init_token="^", eos_token="$", batch_first=batch_first)
            tokens = [field.preprocess(text) for text in texts]
            field.build_vocab(tokens)
            assert field.reverse(field.process(tokens)) == texts


@compared
def test_subwords_become_texts_again() -> None:
    pytest.importorskip("revtok")
    texts = ["The films are good, and it's re-made.", "the film was not good"]
    found = []
    for tt in (ours, theirs):
        field = tt.data.SubwordField()
        fields = [("text", field)]
        dataset = tt.data.Dataset([tt.data.Example.fromlist([text], fields) for text in texts * 5], fields)
        field.build_vocab(dataset, max_size=30)
        field.segment(dataset)
        batch = next(iter(tt.data.Iterator(dataset, 2, shuffle=False)))
        found.append((field.vocab.itos, batch.text.tolist(), field.reverse(batch.text)))
    assert found[0] == found[1]
    assert found[0][2] == texts


# Tokenizers and other functions


@compared
@pytest.mark.parametrize(
    "text", ['It\'s "fine"; 10.5, (or: not)!? <br />A<br />b', "", "很好。 A.B", "naïve\u00a0é\t\n x"]
)
def test_functions_are_the_same(text: str) -> None:
    for name in (None, "basic_english", str.split):
        assert ours.data.get_tokenizer(name)(text) == theirs.data.get_tokenizer(name)(text)
    from torchtext.data.utils import ngrams_iterator

    words = text.split()
    for length in (1, 2, 3):
        assert list(ours.data.utils.ngrams_iterator(words, length)) == list(ngrams_iterator(words, length))
    a, b = len(text), 2 * len(text) + 1
    assert ours.data.interleave_keys(a, b) == theirs.data.interleave_keys(a, b)


def test_tokenizers_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, package in (("spacy", "spacy"), ("moses", "sacremoses"), ("toktok", "nltk"), ("subword", "revtok")):
        monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
        with pytest.raises(
            ImportError, match=f"the tokenizer {name} needs the package {package}: pip install {package}"
        ):
            Field(tokenize=name)
    with pytest.raises(
        ValueError, match="expected a tokenizer as None, a function, basic_english or one of spacy, moses"
    ):
        ours.data.get_tokenizer("words")
    with pytest.raises(ValueError, match="basic_english is for `tokenizer_language` en only, received 'de'"):
        Field(tokenize="basic_english", tokenizer_language="de")
    module = ModuleType("revtok")
    module.tokenize = lambda text, decap=False: [str(decap), *text]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "revtok", module)
    assert ours.data.get_tokenizer("subword")("ab") == ["True", "a", "b"]
    again = pickle.loads(pickle.dumps(Field(tokenize="subword")))  # by its name: a function of a module is not pickled
    assert again.preprocess("ab") == ["True", "a", "b"]


def test_pipelines() -> None:
    pipeline = ours.data.Pipeline(lambda token, times=2: token * times)
    pipeline.add_before(str.lower).add_after(ours.data.Pipeline(str.capitalize))
    assert pipeline("Ab") == "Abab"
    assert pipeline(["Ab", "c"]) == ["Abab", "Cc"]
    assert ours.data.Pipeline()(["Ab"]) == ["Ab"]
    assert ours.data.Pipeline(lambda token, times: token * times)("ab", 3) == "ababab"
    with pytest.raises(ValueError, match="expected `convert_token` as a function of a token, received 'lower'"):
        ours.data.Pipeline("lower")  # type: ignore[arg-type]


# Vocabularies and vectors

VOCABULARIES: list[dict[str, Any]] = [
    {},
    {"max_size": 3},
    {"max_size": 3, "specials_first": False},
    {"max_size": 0},
    {"min_freq": 2, "specials": ["<pad>", "<unk>", "<s>"]},
    {"specials": ["<pad>"], "min_freq": -1},
    {"specials": []},
    {"specials": ["<unk>"], "specials_first": False, "min_freq": 3},
]


@compared
@pytest.mark.parametrize("options", VOCABULARIES)
def test_vocabularies_are_the_same(options: dict[str, Any]) -> None:
    freqs = Counter(["b", "b", "a", "a", *"cé很很ZZZ", "<unk>", "<pad>", "\U0001f600", "\uffee", ""])
    vocab, other = Vocab(freqs, **options), theirs.vocab.Vocab(freqs, **options)
    assert vocab.itos == other.itos
    assert dict(vocab.stoi) == dict(other.stoi)
    assert (vocab.unk_index, len(vocab)) == (other.unk_index, len(other))
    assert vocab["a"] == other["a"]
    assert vocab["unknown"] == other["unknown"]
    if vocab.unk_index is not None:
        assert vocab.stoi["unknown"] == other.stoi["unknown"] == vocab.unk_index
    assert "unknown" not in vocab.stoi  # torchtext adds it
    more = Vocab(Counter("xya"))
    vocab.extend(more)
    other = theirs.vocab.Vocab(freqs, **options)
    other.extend(more)
    assert vocab.itos == other.itos
    assert dict(vocab.stoi) == dict(other.stoi)


def test_vocabulary_from_an_iterator_and_to_lightfit() -> None:
    vocab = ours.vocab.build_vocab_from_iterator([["b", "a"], ["b"]])
    assert vocab.itos == ["<unk>", "<pad>", "b", "a"]
    vocabulary = Vocabulary.from_torchtext(vocab)
    assert vocabulary.encode(["a", "b", "c"]) == [3, 2, 0]
    assert vocabulary.freqs == {"a": 1, "b": 2}
    assert Vocab(vocabulary.freqs) == vocab
    assert vocab != Vocab(Counter("a"))
    assert vocab != "a vocabulary"


VECTORS = "4 3\n<unk> 9 9 9\ngood 0.1 -2e-3 3\n影片\u00a0片 1 2 3\nbad 4 5 6\n"


@compared
def test_vectors_of_a_file_are_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "v.txt"
    file.write_bytes(VECTORS.encode() + b"\xff 1 2 3\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        their_vectors = theirs.vocab.Vectors(str(file), cache=str(tmp_path / "their_cache"))
    vectors = ours.vocab.Vectors(file, cache=tmp_path / "cache")
    assert "line 1 is skipped: 1 numbers, probably a header" in caplog.text
    assert "line 6 is skipped: the word b'\\xff' is not in UTF-8" in caplog.text
    assert (vectors.itos, vectors.stoi, vectors.dim) == (their_vectors.itos, their_vectors.stoi, their_vectors.dim)
    assert torch.equal(vectors.vectors, their_vectors.vectors[: len(vectors)])
    again = ours.vocab.Vectors(file, cache=tmp_path / "cache")
    assert again.itos == vectors.itos
    assert torch.equal(again.vectors, vectors.vectors)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    tables = []
    for tt, source in ((ours, vectors), (theirs, their_vectors)):
        vocab = tt.vocab.Vocab(Counter(["good", "good", "film", "bad"]))
        vocab.load_vectors([source, source])
        tables.append(vocab.vectors)
    assert torch.equal(*tables)
    assert tables[0].shape == (5, 6)
    assert torch.equal(vectors.get_vecs_by_tokens(["GOOD", "bad"], lower_case_backup=True), vectors.vectors[[1, 3]])
    assert vectors.get_vecs_by_tokens("nobody").tolist() == [0, 0, 0]


def test_vectors_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    file, other = tmp_path / "v.txt", tmp_path / "other" / "v.txt"
    file.write_text("a 1 2\nb 3 4\n")
    other.write_text("a 7 7\n")
    cache = tmp_path / "cache"
    assert ours.vocab.Vectors(file, cache).vectors.tolist() == [[1, 2], [3, 4]]
    assert ours.vocab.Vectors(other, cache).vectors.tolist() == [[7, 7]]
    assert ours.vocab.Vectors(file, cache, max_vectors=1).itos == ["a"]
    file.write_text("a 1 2\nb 3 5\nc 0 0\n")
    vectors = ours.vocab.Vectors(file, cache, unk_init=lambda row: row + 9)
    assert vectors.vectors.tolist() == [[1, 2], [3, 5], [0, 0]]
    assert vectors["unknown"].tolist() == [9, 9]
    with gzip.open(tmp_path / "v.txt.gz", "wb") as packed:
        packed.write(file.read_bytes())
    assert ours.vocab.Vectors(tmp_path / "v.txt.gz", cache).itos == ["a", "b", "c"]


def test_what_vectors_refuse(tmp_path: Path) -> None:
    file = tmp_path / "v.txt"
    for text, message in (
        ("a 1 2\nb 1 2 3\n", "v.txt', line 2: expected 2 numbers after the word, received 3; delete the line"),
        ("a 1 two\n", "v.txt', line 1: could not convert string to float"),
        ("", "has no vectors: expected a word and at least two numbers in each line"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            ours.vocab.Vectors(file, tmp_path / "cache")
    with pytest.raises(
        FileNotFoundError, match=r"no vectors at 'cache/none.txt', nor at 'none.txt': put the file there"
    ):
        ours.vocab.Vectors("none.txt", "cache")
    with pytest.raises(ValueError, match="expected `vectors` as Vectors or one of charngram.100d, .*received glove.7B"):
        Vocab(Counter("a"), vectors="glove.7B")
    with pytest.raises(ValueError, match="have no effect without `vectors`"):
        Vocab(Counter("a"), unk_init=torch.Tensor.normal_)
    with pytest.raises(
        ValueError, match="expected `name` of GloVe as one of 6B, 42B, 840B, twitter.27B, received '7B'"
    ):
        ours.vocab.GloVe("7B")


def test_vectors_by_name_are_downloaded(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, folder = server
    with zipfile.ZipFile(folder / "glove.6B.zip", "w") as zipped:
        zipped.writestr("glove.6B.50d.txt", "good " + " ".join(["0.5"] * 50) + "\n")
        zipped.writestr("glove.6B.100d.txt", "good " + " ".join(["0.25"] * 100) + "\n")
    (folder / "wiki.zh.vec").write_text("2 300\n很好 " + "1 " * 299 + "1\n", encoding="utf-8")
    with tarfile.open(folder / "jmt.tar.gz", "w:gz") as archive:
        text = b"2gram-#BEGIN#g 1 2\n3gram-goo 3 6\n4gram-none 9 9\n"
        info = tarfile.TarInfo("charNgram.txt")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    monkeypatch.setattr(ours.vocab.GloVe, "url", {"6B": f"{url}/glove.6B.zip"})
    monkeypatch.setattr(ours.vocab.FastText, "url_base", f"{url}/wiki.{{}}.vec")
    monkeypatch.setattr(ours.vocab.CharNGram, "url", f"{url}/jmt.tar.gz")
    vocab = Vocab(Counter(["good", "很好"]), vectors=["glove.6B.50d", "charngram.100d"], vectors_cache="cache")
    assert vocab.vectors is not None
    assert vocab.vectors[2].tolist() == [0.5] * 50 + [2.0, 4.0]
    assert vocab.vectors[3].tolist() == [0.0] * 52
    (folder / "glove.6B.zip").unlink()  # the archive is kept, and all its files can be taken out of it
    assert ours.vocab.GloVe("6B", 100, cache="cache")["good"].tolist() == [0.25] * 100
    assert ours.vocab.FastText("zh", cache="cache")["很好"].tolist() == [1.0] * 300
    with pytest.raises(
        ConnectionError, match=r"could not download .*/wiki.xx.vec .*put the file at .*cache/wiki.xx.vec'"
    ):
        ours.vocab.FastText("xx", cache="cache")
    with pytest.raises(DataError, match="is no archive with the file 'glove.6B.75d.txt'"):
        ours.vocab.GloVe("6B", 75, cache="cache")
    field = ours.data.NestedField(Field(tokenize=list))
    field.build_vocab([[list("good")]], vectors="glove.6B.50d", vectors_cache="cache", unk_init=torch.Tensor.zero_)
    assert field.vocab.vectors is not None
    assert field.vocab.vectors.shape == (len(field.vocab), 50)


@compared
def test_set_vectors() -> None:
    for tt in (ours, theirs):
        vocab = tt.vocab.Vocab(Counter(["a", "b"]))
        vocab.set_vectors({"b": 0}, torch.tensor([[1.0, 2.0]]), 2)
        assert vocab.vectors.tolist() == [[0, 0], [0, 0], [0, 0], [1, 2]]


# Data sets


@compared
def test_json_with_keys_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    rows = [
        {"title": "A b", "tags": [{"name": "x"}, {"name": "y"}], "by": {"id": 3}},
        {"title": "c", "tags": [], "by": {"id": 4}},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for tt in (ours, theirs):
        fields = {
            "title": [("words", tt.data.Field()), ("chars", tt.data.Field(tokenize=list))],
            "tags.name": ("tags", tt.data.Field()),
            "by.id": ("by", tt.data.Field(sequential=False, use_vocab=False)),
        }
        dataset = tt.data.TabularDataset(str(file), "json", fields)
        assert [(x.words, x.chars, x.tags, x.by) for x in dataset] == [
            (["A", "b"], ["A", " ", "b"], ["x", "y"], 3),
            (["c"], ["c"], [], 4),
        ]
    with pytest.raises(DataError, match=r"a.json', line 1: there is no key 'text', only title, tags, by"):
        TabularDataset(file, "json", {"text": ("text", Field())})
    with pytest.raises(DataError, match=r"line 1: expected an object with the key 'x', received A b"):
        TabularDataset(file, "json", {"title.x": ("text", Field())})
    file.write_text('{"title": "a"}\nno json\n')
    with pytest.raises(DataError, match=r"a.json', line 2: Expecting value"):
        TabularDataset(file, "json", {"title": ("text", Field())})


CSV_FILES = {
    "header": ('text,label\n"a, b",1\nc,0\n', {"skip_header": True}),
    "no_quotes": ('"a b\t1\nc" d\t0\n', {"csv_reader_params": {"quoting": csv.QUOTE_NONE}}),
    "newline_in_a_field": ('"a\nb ""c"""\t1\r\nd\t0\r\n', {}),
    "filtered": ("a\t1\nb b\t0\n", {"filter_pred": lambda example: example.label == "1"}),
}


@compared
@pytest.mark.parametrize("name", CSV_FILES)
def test_csv_files_are_read_the_same(name: str, tmp_path: Path) -> None:
    text, options = CSV_FILES[name]
    file = tmp_path / "a.txt"
    file.write_bytes(text.encode())
    found = []
    for tt in (ours, theirs):
        fields = [("text", tt.data.Field()), ("label", tt.data.Field(sequential=False))]
        dataset = tt.data.TabularDataset(str(file), "CSV" if name == "header" else "tsv", fields, **options)
        found.append([(x.text, x.label) for x in dataset])
    assert found[0] == found[1]
    assert found[0]


def test_columns_by_name(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("\ufefflabel,text,more\n1,a b,x\n0,c,y\n", encoding="utf-8")
    fields = {"text": ("words", Field()), "label": [("y", LabelField()), ("raw", ours.data.RawField())], "more": None}
    dataset = TabularDataset(file, "csv", fields)
    assert [(x.words, x.y, x.raw) for x in dataset] == [(["a", "b"], "1", "1"), (["c"], "0", "0")]
    assert list(dataset.fields) == ["words", "y", "raw"]
    with pytest.raises(DataError, match=r"has no column review in its first row, only label, text, more"):
        TabularDataset(file, "csv", {"review": ("text", Field())})
    with pytest.raises(
        ValueError, match="a dict of `fields` needs the names in the first row: leave `skip_header` out"
    ):
        TabularDataset(file, "csv", fields, skip_header=True)


def test_what_tables_refuse(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    fields = [("text", Field()), ("label", LabelField())]
    with pytest.raises(ValueError, match="expected `format` csv, tsv or json, received 'xlsx'"):
        TabularDataset(file, "xlsx", fields)
    with pytest.raises(ValueError, match="expected `fields` as a dict from the keys"):
        TabularDataset(file, "json", fields)
    file.write_bytes("好\t1\n".encode("gb18030"))
    with pytest.raises(DataError, match="a.tsv' is not in UTF-8, after line 0"):
        TabularDataset(file, "tsv", fields)
    file.write_text('a\t1\n"b\t0\n' + "c\t1\n" * 200)
    with pytest.warns(UserWarning, match=r"line 2: one row of 201 lines; is a quote never closed\? .*csv.QUOTE_NONE"):
        TabularDataset(file, "tsv", fields)
    file.write_text("a\t1\n\nb\n")
    dataset = TabularDataset(file, "tsv", fields)  # as in torchtext; what uses the rows tells what they lack
    assert len(dataset) == 3
    with pytest.raises(AttributeError, match="an example has no `label`, only nothing at all; an empty line or a row"):
        fields[1][1].build_vocab(dataset)
    with pytest.raises(AttributeError, match="an example has no `label`, only text; an empty line or a row with fewer"):
        print(dataset[2].label)
    with pytest.raises(AttributeError, match="a TabularDataset has no `texts`; its fields are text, label"):
        print(dataset.texts)
    limit = csv.field_size_limit()
    file.write_text("a" * 200_000 + "\t1\n")
    assert len(TabularDataset(file, "tsv", fields)[0].text[0]) == 200_000
    assert csv.field_size_limit() == limit


@compared
@pytest.mark.parametrize("ratio", [0.7, [0.5, 0.5], [6, 3, 1], [0.66, 0.33, 0.01]])
@pytest.mark.parametrize("stratified", [False, True])
def test_random_splits_are_the_same(ratio: Any, stratified: bool) -> None:
    found = []
    for tt in (ours, theirs):
        dataset = make_examples(tt, num_examples=47)
        random.seed(4)
        parts = dataset.split(ratio, stratified=stratified, random_state=random.getstate())
        found.append([[(x.text, x.label) for x in part] for part in parts])
    assert found[0] == found[1]
    assert sum(map(len, found[0])) == 47


def test_what_splits_refuse() -> None:
    dataset = make_examples(ours, num_examples=10)
    dataset.sort_key = len
    assert [part.sort_key for part in dataset.split()] == [len, len]
    for ratio, message in (
        (1.1, "expected `split_ratio` between 0 and 1, received 1.1"),
        ([1.0], r"a list of 2 or 3 sizes of train, test and validation, received \[1.0\]"),
        ([2, -1], "a list of 2 or 3 sizes"),
        ("half", "a list of 2 or 3 sizes"),
        ([0, 0], "a size above 0, received zeros only"),
    ):
        with pytest.raises(ValueError, match=message):
            dataset.split(ratio)
    with pytest.raises(ValueError, match="no field 'stars' for `strata_field`, only text, label"):
        dataset.split(stratified=True, strata_field="stars")


def test_unknown_tokens_are_filtered() -> None:
    dataset = make_examples(ours, num_examples=5)
    dataset.fields["text"].build_vocab([["good", "a"]])
    dataset[0].text, dataset[1].text = ["good", "bad", "a"], ["bad"]
    dataset.fields["text"].process([["never", "seen"]])  # looking words up does not make them known
    dataset.filter_examples(["text"])
    assert dataset[0].text == ["good", "a"]
    assert dataset[1].text == []


def test_trees() -> None:
    fields = [("text", Field()), ("label", LabelField())]
    tree = "(3 (2 It) (4 (2 's) (3 (2 a) (3 film))))"
    whole = Example.fromtree(tree, fields)
    assert isinstance(whole, Example)
    assert (whole.text, whole.label) == (["It", "'s", "a", "film"], "3")
    trees: Any = Example.fromtree(tree, fields, subtrees=True)
    assert [(" ".join(x.text), x.label) for x in trees] == [
        ("It 's a film", "3"),
        ("It", "2"),
        ("'s a film", "4"),
        ("'s", "2"),
        ("a film", "3"),
        ("a", "2"),
        ("film", "3"),
    ]
    unlabelled = Example.fromtree("( (S a) )", fields)
    assert isinstance(unlabelled, Example)
    assert (unlabelled.text, unlabelled.label) == (["a"], "")
    for text in ("", "(3 a", "(3 a))", "(3 a) (2 b)", "a"):
        with pytest.raises(DataError, match="expected (a|one) tree in brackets"):
            Example.fromtree(text, fields)


def test_data_sets_are_downloaded(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    with zipfile.ZipFile(folder / "a.zip", "w") as zipped:
        zipped.writestr("made/train.csv", "good,1\nbad,0\n")
        zipped.writestr("made/test.csv", "bad,0\n")
    with gzip.open(folder / "notes.txt.gz", "wb") as packed:
        packed.write(b"notes")
    with tarfile.open(folder / "b.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("more/c.txt")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"c"))

    class Made(TabularDataset):
        name, dirname = "made_set", "made"
        urls = (f"{url}/a.zip", (f"{url}/notes.txt.gz", "notes.txt.gz"), f"{url}/b.tgz")

    def load() -> list[int]:
        fields = [("text", Field()), ("label", LabelField())]
        return [len(part) for part in Made.splits(train="train.csv", test="test.csv", format="csv", fields=fields)]

    assert load() == [2, 1]
    assert Path(".data/made_set/notes.txt").read_text() == "notes"
    assert Path(".data/made_set/more/c.txt").read_text() == "c"
    (folder / "a.zip").unlink()
    assert load() == [2, 1]
    path = ours.utils.download_from_url(f"{url}/b.tgz", root="elsewhere")
    assert path == "elsewhere/b.tgz"
    assert ours.utils.extract_archive(path) == ["elsewhere/more/c.txt"]
    Path("elsewhere/more/c.txt").write_text("mine")
    assert ours.utils.extract_archive(path) == ["elsewhere/more/c.txt"]
    assert Path("elsewhere/more/c.txt").read_text() == "mine"
    assert ours.utils.extract_archive(path, overwrite=True) == ["elsewhere/more/c.txt"]
    assert Path("elsewhere/more/c.txt").read_text() == "c"
    with pytest.raises(NotImplementedError, match="expected a file that ends in .zip, .tar.gz or .tgz"):
        ours.utils.extract_archive("a.rar")
    with pytest.raises(ValueError, match="files on Google Drive are not downloaded: open https://drive.google.com"):
        ours.utils.download_from_url("https://drive.google.com/uc?id=1")


def test_archive_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../out.txt"), io.BytesIO(b""))
    with pytest.raises(tarfile.TarError):
        ours.utils.extract_archive(tmp_path / "a.tgz", tmp_path / "inside")
    assert not (tmp_path / "out.txt").exists()


# Batches, pickling, names


def test_batches() -> None:
    dataset = make_examples(ours, num_examples=4)
    batch = next(iter(Iterator(dataset, 4, shuffle=False)))
    x, y = batch
    assert torch.equal(x, batch.text)
    assert torch.equal(y, batch.label)
    assert (len(batch), batch.input_fields, batch.target_fields) == (4, ["text"], ["label"])
    length = max(len(example.text) for example in dataset)
    assert repr(batch) == f"Batch(batch_size=4, text=int64 [{length}, 4] on cpu, label=int64 [4] on cpu)"
    assert repr(Batch()) == "Batch()"
    moved = batch.to("meta")
    assert (moved.text.device.type, moved.label.device.type, batch.text.device.type) == ("meta", "meta", "cpu")
    lengths = Field(include_lengths=True)
    fields = [("text", lengths), ("note", ours.data.RawField()), ("skipped", None)]
    noted = Dataset([Example.fromlist(["a b", "n", ""], fields)], fields)
    lengths.build_vocab(noted)
    batch = Batch(noted.examples, noted)
    (text, note), target = batch
    assert target is None
    assert note == ["n"]
    assert text[1].tolist() == [2]
    assert repr(batch).endswith("text=(int64 [2, 1] on cpu, int64 [1] on cpu), note=a list)")
    assert batch.to("meta").text[1].device.type == "meta"


def tokenize_anyhow(text: str) -> list[str]:
    return text.split("-")


@pytest.mark.parametrize(
    "copy", [lambda x: pickle.loads(pickle.dumps(x)), lambda x: save_and_load(x)], ids=["pickle", "torch"]
)
def test_all_can_be_pickled(copy: Callable[[Any], Any], tmp_path: Path) -> None:
    nested = ours.data.NestedField(Field(tokenize=list))
    fields = [("text", Field(tokenize=tokenize_anyhow, dtype=torch.int32)), ("label", LabelField()), ("chars", nested)]
    dataset = Dataset([Example.fromlist(["a-b", "pos", "ab c"], fields)], fields)
    for _, field in fields:
        field.build_vocab(dataset)
    dataset.fields["text"].vocab.set_vectors({"a": 0}, torch.ones(1, 2), 2)
    again = copy(dataset)
    assert vars(again[0]) == vars(dataset[0])
    assert again.fields == dataset.fields
    vocab = again.fields["text"].vocab
    assert vocab.stoi["unknown"] == 0
    assert torch.equal(vocab.vectors, dataset.fields["text"].vocab.vectors)
    assert again.fields["text"].process(list(again.text)).dtype is torch.int32
    batch = next(iter(Iterator(again, 1)))
    assert torch.equal(copy(batch).text, batch.text)
    assert Field() == Field()
    assert Field() != Field(lower=True)
    assert Field() != 3
    assert len({Field(), Field()}) == 1


def save_and_load(item: Any) -> Any:
    torch.save(item, "item.pt")
    return torch.load("item.pt", weights_only=False)


@compared
def test_names_of_torchtext() -> None:
    for module in ("data", "vocab"):
        names = {
            name for name in getattr(theirs, module).__dict__.get("__all__", ["Vocab", "GloVe"]) if name[0].isupper()
        }
        assert names <= set(dir(getattr(ours, module)))
    with pytest.raises(AttributeError, match="lightfit.torchtext has no `datasets`: download the files, and read them"):
        print(ours.datasets)
    with pytest.raises(AttributeError, match="module 'lightfit.torchtext' has no attribute 'nothing'"):
        print(ours.nothing)


def test_page_from_torchtext(workplace: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "how_to" / "from_torchtext.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(programs) == 3
    folder = workplace / "data"
    folder.mkdir()
    for name, num_rows in (("train", 40), ("valid", 12)):
        rows = (f"{index % 2}\ta {('bad', 'good')[index % 2]} film, number{index}\n" for index in range(num_rows))
        (folder / f"{name}.tsv").write_text("".join(rows))
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Lightning: no GPU is used, few workers
        for program in programs:
            exec(program, names)
    assert names["TEXT"].vocab.itos[:4] == ["<unk>", "<pad>", ",", "a"]
    assert names["ids"].shape == (20, 8)
    assert names["x"].shape == (8, 20)
    assert names["model"].trainer.global_step == 10
