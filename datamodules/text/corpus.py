"""Tokenised texts as arrays: read once, cached, gathered by the batch."""

import string
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, count
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.cache import Arrays, Grow, to_arrays, to_json
from lightfit.trust import import_name

from ..splits import SPLITS
from .code_digest import code_digest
from .sources import Text
from .vocabulary import PAD, PUNCTUATION, tokenize

Tokenizer = Callable[[str], list[str]]
Numbered = tuple[NDArray[np.int32], NDArray[np.int64]]
SPACE, END = ord(" "), 0xFF  # 0xFF: a byte that UTF-8 never has
REMOVED = "".join(filter(PUNCTUATION.match, string.punctuation)).encode()
LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())


class WordNumbers:
    """Numbers the words of texts, each by when it was seen first.

    The cookbook's tokenizer is computed on the bytes of many texts at once, four times as fast as text by text.

    Args:
        tokenizer: a text to its words.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.by_bytes = tokenizer is tokenize
        self._numbers: defaultdict[str, int] = defaultdict(count().__next__)

    @property
    def words(self) -> list[str]:
        """The distinct words so far, by number."""
        return [word[:-1] for word in self._numbers] if self.by_bytes else list(self._numbers)

    def number(self, texts: Sequence[str]) -> Numbered:
        """The word numbers of texts one behind the other, int32, and the number of words of each, (N,) int64."""
        if self.by_bytes:
            return self._number_bytes(texts)
        words = [self.tokenizer(text) for text in texts]
        numbers = np.fromiter(map(self._numbers.__getitem__, chain.from_iterable(words)), np.int32)
        return numbers, np.array([len(own) for own in words], np.int64)

    def _number_bytes(self, texts: Sequence[str]) -> Numbered:
        joined = bytes([END]).join([*map(_ready, texts), b""])
        codes = np.frombuffer(joined.translate(LOWER, REMOVED), np.uint8)
        ends = np.flatnonzero((codes == SPACE) | (codes == END))
        last = np.flatnonzero(codes[ends] == END)  # the last word of each text
        # The space behind a word counts to it, since a column of strings has no gaps.
        offsets = np.concatenate([[0], ends + 1]).astype(np.int32)
        values = np.where(codes == END, np.uint8(SPACE), codes)
        column = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(values)).dictionary_encode()
        distinct = column.dictionary.to_pylist()
        numbers = np.fromiter(map(self._numbers.__getitem__, distinct), np.int32, len(distinct))
        return numbers[column.indices.to_numpy()], np.diff(last, prepend=-1)


def _ready(text: str) -> bytes:
    """A text in UTF-8, so that what is left to do is the same for each byte."""
    text = text.rstrip("\n")
    return (text if text.isascii() else PUNCTUATION.sub("", text).lower()).encode()


CHUNK_CHARS = 2**21  # characters that are tokenised together
TEXTS_AT_ONCE = 1024
PADDED_WORDS = 2**26  # the most that are kept padded: a quarter of a GiB


def import_tokenizer(path: str) -> Tokenizer:
    """Return a tokenizer by its dotted path.

    Raises:
        ValueError: there is no such function.
    """
    try:
        return import_name(path)
    except ImportError as error:
        raise ValueError(
            f"no tokenizer at '{path}' ({error}); expected the dotted path of a function from str to list[str], in a "
            "module on PYTHONPATH"
        ) from error


def load_tokenizer(path: str) -> tuple[Tokenizer, str]:
    """Return a tokenizer by its dotted path, and a digest of its code with all that this imports.

    Raises:
        ValueError: there is no such function.
    """
    function = import_tokenizer(path)
    return function, code_digest(function, sys.modules[path.rpartition(".")[0]])


def tokenise(parts: Mapping[str, Iterable[Text]], tokenizer: Tokenizer, grow: Grow) -> Arrays:
    """All texts as numbers, in the order of the parts; a few of them are in memory at a time.

    Args:
        parts: the texts of each part.
        tokenizer: a text to its words.
        grow: as in `cached`; gets `tokens`, the word numbers one behind the other, (num_tokens,) int32.

    Returns:
        offsets: where each text begins in `tokens`, and the end, (N + 1,) int64.
        words_ends, words_bytes: the distinct words in order of appearance, as in `cache.from_arrays`.
        alphabet: their numbers in the order of the alphabet, (num_words,) int32.
        labels: the distinct labels, JSON in UTF-8, uint8; `label` is each text's, (N,) int64.
        part: 0 train, 1 val, 2 test, (N,) int64.
        group: the same number for identical texts, (N,) int64.
        places: where each text stands, likewise JSON.
    """
    tokens, numbers = grow("tokens", np.int32), WordNumbers(tokenizer)
    labels: defaultdict[str, int] = defaultdict(count().__next__)
    columns: dict[str, list[Any]] = {name: [] for name in ("length", "label", "part", "hash", "place")}
    for part, texts in parts.items():
        for chunk in _chunks(texts):
            numbered, lengths = numbers.number([item.text for item in chunk])
            tokens.append(numbered)
            columns["length"].append(lengths)
            columns["label"] += [labels[item.label] for item in chunk]
            columns["part"] += [SPLITS.index(part)] * len(chunk)
            columns["hash"] += [hash(item.text) for item in chunk]  # 64 bits: texts need not be kept to compare them
            columns["place"] += [item.place for item in chunk]
    words = pa.array(numbers.words, pa.string())
    return {
        "offsets": np.concatenate([[0], *columns["length"]]).cumsum(),
        **{f"words_{name}": array for name, array in to_arrays(words).items()},
        "alphabet": pc.sort_indices(words).to_numpy().astype(np.int32),  # UTF-8 sorts as Python does
        "label": np.array(columns["label"], np.int64),
        "labels": to_json(list(labels)),
        "part": np.array(columns["part"], np.int64),
        "group": pd.factorize(np.array(columns["hash"], np.int64))[0].astype(np.int64),
        "places": to_json(columns["place"]),
    }


def _chunks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """The texts, some megabytes at a time."""
    chunk: list[Text] = []
    size = 0
    for item in texts:
        chunk.append(item)
        size += len(item.text)
        if size > CHUNK_CHARS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def count_words(corpus: Arrays, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each word occurs in some of the texts, (num_words,).

    Args:
        corpus: what `tokenise` returned.
        rows: indices of the texts.
    """
    lengths = np.diff(corpus["offsets"])
    chosen = np.zeros(len(lengths), bool)
    chosen[rows] = True
    counts = np.zeros(len(corpus["alphabet"]), np.int64)
    # Some texts at a time, as all of them need not fit in memory.
    for first in range(0, len(lengths), TEXTS_AT_ONCE):
        own = slice(first, first + TEXTS_AT_ONCE)
        ends = corpus["offsets"][first], corpus["offsets"][min(first + TEXTS_AT_ONCE, len(lengths))]
        taken = corpus["tokens"][slice(*ends)][np.repeat(chosen[own], lengths[own])]
        counts += np.bincount(taken, minlength=len(counts))
    return counts


class TextBatches:
    """Texts of word numbers, handed out by the batch.

    Args:
        numbers: number in the vocabulary of each distinct word, (num_words,) int32.
        tokens: positions in `numbers` of the words of all texts, one behind the other, (num_tokens,) int32.
        starts: where each text begins in `tokens`, (N,) int64.
        lengths: number of words of each text that count, (N,) int64.
        labels: class of each text, (N,) int64.
        width: number of words that every text is padded to; None pads to the longest of the batch.
    """

    def __init__(
        self,
        numbers: Tensor,
        tokens: Tensor,
        starts: Tensor,
        lengths: Tensor,
        labels: Tensor,
        *,
        width: int | None,
    ) -> None:
        self.numbers = numbers
        self.tokens = tokens
        self.starts = starts
        self.lengths = lengths
        self.labels = labels
        self.width = width

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (B,) int64 to word numbers (B, T) int64 and classes (B,) int64."""
        if self._padded is not None:
            return self._padded.index_select(0, index).long(), self.labels.index_select(0, index)
        lengths = self.lengths[index]
        return self._pad(index, self.width or max([1, *lengths.tolist()])).long(), self.labels[index]

    @cached_property
    def _padded(self) -> Tensor | None:
        """All texts padded, (N, T) int32, where they have one width and fit: a batch is then one operation."""
        if self.width is None or len(self) * self.width > PADDED_WORDS:
            return None
        return torch.cat([self._pad(index, self.width) for index in torch.arange(len(self)).split(TEXTS_AT_ONCE)])

    def _pad(self, index: Tensor, width: int) -> Tensor:
        positions = torch.arange(width)
        gathered = (self.starts[index][:, None] + positions).clamp_(max=len(self.tokens) - 1)
        tokens = self.tokens.index_select(0, gathered.view(-1))  # half the time of self.tokens[gathered]
        numbers = self.numbers.index_select(0, tokens).view(gathered.shape)
        return numbers.masked_fill_(positions >= self.lengths[index][:, None], PAD)


def pad_texts(texts: list[list[int]], width: int | None) -> Tensor:
    """Word numbers of each text as a batch (B, T) int64, padded to `width`, or to the longest if it is None."""
    width = width or max(map(len, texts), default=1) or 1
    return torch.tensor([[*text[:width], *[PAD] * (width - len(text))] for text in texts], dtype=torch.int64)
