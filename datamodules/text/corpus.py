"""Tokenised texts as arrays, read once and cached, and batches of word ids."""

import json
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
from .code_digest import digest_code
from .encoder_tokens import EncoderTokens
from .sources import Text
from .tokenizers import PUNCTUATION, tokenize
from .vocabulary import PAD

Tokenizer = Callable[[str], list[str]]
Encoded = tuple[NDArray[np.int32], NDArray[np.int64]]
SPACE, END = ord(" "), 0xFF  # 0xFF never occurs in UTF-8
REMOVED = "".join(filter(PUNCTUATION.match, string.punctuation)).encode()
LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())


class WordIds:
    """Ids of words in order of first appearance, assigned while texts are tokenised.

    The cookbook's tokenizer runs on the bytes of many texts at once, four times as fast as text by text.

    Args:
        tokenizer: function from a text to its words.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.by_bytes = tokenizer is tokenize
        self._ids: defaultdict[str, int] = defaultdict(count().__next__)

    @property
    def words(self) -> list[str]:
        """Return the distinct words so far, by id."""
        return [word[:-1] for word in self._ids] if self.by_bytes else list(self._ids)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Return the concatenated word ids of texts, int32, and the number of words in each text, (N,) int64."""
        if self.by_bytes:
            return self._encode_bytes(texts)
        words = [self.tokenizer(text) for text in texts]
        ids = np.fromiter(map(self._ids.__getitem__, chain.from_iterable(words)), np.int32)
        return ids, np.array([len(own) for own in words], np.int64)

    def _encode_bytes(self, texts: Sequence[str]) -> Encoded:
        joined = bytes([END]).join([*map(_prepare, texts), b""])
        codes = np.frombuffer(joined.translate(LOWER, REMOVED), np.uint8)
        ends = np.flatnonzero((codes == SPACE) | (codes == END))
        last = np.flatnonzero(codes[ends] == END)  # last word of each text
        # A word includes the space after it, as a string column has no gaps.
        offsets = np.concatenate([[0], ends + 1]).astype(np.int32)
        values = np.where(codes == END, np.uint8(SPACE), codes)
        column = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(values)).dictionary_encode()
        distinct = column.dictionary.to_pylist()
        ids = np.fromiter(map(self._ids.__getitem__, distinct), np.int32, len(distinct))
        return ids[column.indices.to_numpy()], np.diff(last, prepend=-1)


def _prepare(text: str) -> bytes:
    """Encode a text as UTF-8 such that the remaining steps work byte by byte."""
    text = text.rstrip("\n")
    return (text if text.isascii() else PUNCTUATION.sub("", text).lower()).encode()


CHUNK_CHARS = 2**21  # number of characters to tokenise together
TEXTS_AT_ONCE = 1024
PADDED_WORDS = 2**26  # largest number of words to keep padded: a quarter of a GiB


def import_tokenizer(path: str) -> Tokenizer:
    """Import a tokenizer by its dotted path.

    Raises:
        ValueError: the function does not exist.
    """
    try:
        return import_name(path)
    except ImportError as error:
        raise ValueError(
            f"no tokenizer at '{path}' ({error}); expected `tokenizer` as the dotted path of a function from str to "
            "list[str], in a module on PYTHONPATH"
        ) from error


def load_tokenizer(path: str) -> tuple[Tokenizer, str]:
    """Import a tokenizer by its dotted path, and return it with a digest of its code and imports.

    Raises:
        ValueError: the function does not exist.
    """
    function = import_tokenizer(path)
    return function, digest_code(function, sys.modules[path.rpartition(".")[0]])


def tokenise(splits: Mapping[str, Iterable[Text]], tokenizer: Tokenizer | EncoderTokens, grow: Grow) -> Arrays:
    """Tokenise all texts, in the order of the splits, with only a few of them in memory at a time.

    Args:
        splits: the texts of each split, with their labels as they were read.
        tokenizer: function from a text to its words, or the tokenizer of an encoder, whose ids stay as they are.
        grow: as in `cached`; receives `tokens`, the concatenated word ids, (num_tokens,) int32.

    Returns:
        offsets: start of each text in `tokens`, and the end, (N + 1,) int64.
        words_ends, words_bytes: the distinct words in order of appearance, as in `cache.from_arrays`.
        alphabet: ids of the words in alphabetical order, (num_words,) int32.
        labels: the distinct raw labels, a list in JSON, uint8; `label` is the index of each text's, (N,) int64.
        part: split of each text, 0 train, 1 val, 2 test, (N,) int64.
        group: group id of each text, equal for identical texts, (N,) int64.
        places: place of each text, a list in JSON, uint8.
    """
    tokens, ids = grow("tokens", np.int32), WordIds(tokenizer) if callable(tokenizer) else tokenizer
    labels = DistinctLabels()
    columns: dict[str, list[Any]] = {name: [] for name in ("length", "label", "part", "hash", "place")}
    for split, texts in splits.items():
        for chunk in _split_chunks(texts):
            encoded, lengths = ids.encode([item.text for item in chunk])
            tokens.append(encoded)
            columns["length"].append(lengths)
            columns["label"] += [labels.index(item.label) for item in chunk]
            columns["part"] += [SPLITS.index(split)] * len(chunk)
            # 64 bits, to compare texts without them; blanks around a text make no other text.
            columns["hash"] += [hash(item.text.strip()) for item in chunk]
            columns["place"] += [item.place for item in chunk]
    words = pa.array(ids.words, pa.string())
    return {
        "offsets": np.concatenate([[0], *columns["length"]]).cumsum(),
        **{f"words_{name}": array for name, array in to_arrays(words).items()},
        "alphabet": pc.sort_indices(words).to_numpy().astype(np.int32),  # UTF-8 sorts as Python does
        "label": np.array(columns["label"], np.int64),
        "labels": to_json(labels.cells),
        "part": np.array(columns["part"], np.int64),
        "group": pd.factorize(np.array(columns["hash"], np.int64))[0].astype(np.int64),
        "places": to_json(columns["place"]),
    }


class DistinctLabels:
    """Distinct raw labels, in order of appearance: strings, and what JSON and Parquet hold besides.

    Attributes:
        cells: the labels by index.
    """

    def __init__(self) -> None:
        self.cells: list[Any] = []
        self._strings: dict[str, int] = {}
        self._others: dict[str, int] = {}  # by their JSON, so that 1, 1.0 and true differ

    def index(self, label: Any) -> int:
        """Return the index of a label, a new one if it was not seen."""
        known, key = (
            (self._strings, label)
            if isinstance(label, str)
            else (self._others, json.dumps(label, ensure_ascii=False, default=str))
        )
        if key not in known:
            known[key] = len(self.cells)
            self.cells.append(label if isinstance(label, str) else json.loads(key))
        return known[key]


def _split_chunks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Yield lists of texts, some megabytes each."""
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
    """Count the occurrences of each word in some of the texts, (num_words,) int64.

    Args:
        corpus: return value of `tokenise`.
        rows: indices of the texts.
    """
    lengths = np.diff(corpus["offsets"])
    chosen = np.zeros(len(lengths), bool)
    chosen[rows] = True
    counts = np.zeros(len(corpus["alphabet"]), np.int64)
    # In blocks, as the texts may exceed the memory.
    for first in range(0, len(lengths), TEXTS_AT_ONCE):
        own = slice(first, first + TEXTS_AT_ONCE)
        ends = corpus["offsets"][first], corpus["offsets"][min(first + TEXTS_AT_ONCE, len(lengths))]
        taken = corpus["tokens"][slice(*ends)][np.repeat(chosen[own], lengths[own])]
        counts += np.bincount(taken, minlength=len(counts))
    return counts


class TextBatches:
    """Encoded texts of one split, indexed by batch.

    Args:
        ids: vocabulary id of each distinct word of the corpus, (num_words,) int32; None: `tokens` are ids already.
        tokens: words of all texts, concatenated, as indices of `ids`, (num_tokens,) int32.
        starts: start of each text in `tokens`, (N,) int64.
        lengths: number of words of each text after truncation, (N,) int64.
        labels: class index of each text, (N,) int64.
        width: number of words to which texts are padded; None: to the longest text of the batch.
        pad: the id that they are padded with.
    """

    def __init__(
        self,
        ids: Tensor | None,
        tokens: Tensor,
        starts: Tensor,
        lengths: Tensor,
        labels: Tensor,
        *,
        width: int | None,
        pad: int = PAD,
    ) -> None:
        self.pad = pad
        self.ids = ids
        self.tokens = tokens
        self.starts = starts
        self.lengths = lengths
        self.labels = labels
        self.width = width

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return word ids (B, T) int64 and class indices (B,) int64 of the texts of the indices (B,) int64."""
        if self._padded is not None:
            return self._padded.index_select(0, index).long(), self.labels.index_select(0, index)
        lengths = self.lengths[index]
        return self._pad(index, self.width or max([1, *lengths.tolist()])).long(), self.labels[index]

    @cached_property
    def _padded(self) -> Tensor | None:
        """Return all texts padded, (N, T) int32, so that a batch takes one operation; None if too many."""
        if self.width is None or len(self) * self.width > PADDED_WORDS:
            return None
        return torch.cat([self._pad(index, self.width) for index in torch.arange(len(self)).split(TEXTS_AT_ONCE)])

    def _pad(self, index: Tensor, width: int) -> Tensor:
        positions = torch.arange(width)
        gathered = (self.starts[index][:, None] + positions).clamp_(max=len(self.tokens) - 1)
        tokens = self.tokens.index_select(0, gathered.view(-1))  # half the time of self.tokens[gathered]
        ids = (tokens if self.ids is None else self.ids.index_select(0, tokens)).view(gathered.shape)
        return ids.masked_fill_(positions >= self.lengths[index][:, None], self.pad)


def pad_texts(texts: list[list[int]], width: int | None) -> Tensor:
    """Pad word ids of texts to a batch (B, T) int64 of `width` words, or of the longest text if it is None."""
    width = width or max(map(len, texts), default=1) or 1
    return torch.tensor([[*text[:width], *[PAD] * (width - len(text))] for text in texts], dtype=torch.int64)
