"""Tokenised texts as arrays: read once, cached, gathered by the batch."""

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.cache import Arrays, to_json
from datamodules.splits import SPLITS
from datamodules.tables import Texts
from datamodules.vocabulary import PAD

Tokenizer = Callable[[str], list[str]]
PADDED_WORDS = 2**26  # the most that are kept padded: a quarter of a GiB
PADDED_AT_ONCE = 1024  # texts


def load_tokenizer(path: str) -> tuple[Tokenizer, str]:
    """A tokenizer by its dotted path, and a digest of its code, which changes when the code does.

    Raises:
        ValueError: there is no such function.
    """
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"no tokenizer at '{path}' ({error}); expected the dotted path of a function from str to list[str], in a "
            "module on PYTHONPATH"
        ) from error
    try:
        code = inspect.getsource(function)
    except (OSError, TypeError):
        code = ""
    return function, hashlib.sha256(code.encode()).hexdigest()[:16]


def tokenise(parts: dict[str, Texts], tokenizer: Tokenizer) -> Arrays:
    """All texts as numbers, in the order of the parts.

    Returns:
        tokens: word numbers in order of appearance, (num_tokens,) int32.
        offsets: where each text begins in `tokens`, and the end, (N + 1,) int64.
        words: the distinct words, JSON in UTF-8, uint8.
        labels: the distinct labels, likewise; `label` is each text's, (N,) int64.
        part: 0 train, 1 val, 2 test, (N,) int64.
        group: the same number for identical texts, (N,) int64.
        places: where each text stands, likewise JSON.
    """
    numbers: dict[str, int] = {}
    lengths: list[int] = []

    def words() -> Iterator[int]:
        for part in parts.values():
            for text in part.texts:
                tokens = tokenizer(text)
                lengths.append(len(tokens))
                for token in tokens:
                    yield numbers.setdefault(token, len(numbers))

    tokens = np.fromiter(words(), np.int32)
    label, labels = pd.factorize(np.array([name for part in parts.values() for name in part.labels], dtype=object))
    group, _ = pd.factorize(np.array([text for part in parts.values() for text in part.texts], dtype=object))
    return {
        "tokens": tokens,
        "offsets": np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        "words": to_json(list(numbers)),
        "label": label.astype(np.int64),
        "labels": to_json(list(labels)),
        "part": np.repeat([SPLITS.index(part) for part in parts], [len(part.texts) for part in parts.values()]),
        "group": group.astype(np.int64),
        "places": to_json([place for part in parts.values() for place in part.places]),
    }


def count_words(corpus: Arrays, words: list[str], rows: NDArray[np.int64]) -> dict[str, int]:
    """How often each word occurs in some of the texts; words that do not are left out.

    Args:
        corpus: what `tokenise` returned.
        words: its distinct words.
        rows: indices of the texts.
    """
    chosen = np.zeros(len(corpus["label"]), bool)
    chosen[rows] = True
    tokens = corpus["tokens"][np.repeat(chosen, np.diff(corpus["offsets"]))]
    counts = np.bincount(tokens, minlength=len(words)).tolist()
    return {word: count for word, count in zip(words, counts, strict=True) if count}


class TextBatches:
    """Texts of word numbers, handed out by the batch.

    Args:
        tokens: word numbers of all texts, one behind the other, (num_tokens,) int32.
        starts: where each text begins in `tokens`, (N,) int64.
        lengths: number of words of each text that count, (N,) int64.
        labels: class of each text, (N,) int64.
        width: number of words that every text is padded to; None pads to the longest of the batch.
    """

    def __init__(self, tokens: Tensor, starts: Tensor, lengths: Tensor, labels: Tensor, *, width: int | None) -> None:
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
        return self._pad(index, self.width or max(int(lengths.max()), 1)).long(), self.labels[index]

    @cached_property
    def _padded(self) -> Tensor | None:
        """All texts padded, (N, T) int32, where they have one width and fit: a batch is then one operation."""
        if self.width is None or len(self) * self.width > PADDED_WORDS:
            return None
        return torch.cat([self._pad(index, self.width) for index in torch.arange(len(self)).split(PADDED_AT_ONCE)])

    def _pad(self, index: Tensor, width: int) -> Tensor:
        positions = torch.arange(width)
        gathered = (self.starts[index][:, None] + positions).clamp_(max=len(self.tokens) - 1)
        return self.tokens[gathered].masked_fill_(positions >= self.lengths[index][:, None], PAD)


def pad_texts(texts: list[list[int]], width: int | None) -> Tensor:
    """Word numbers of each text as a batch (B, T) int64, padded to `width`, or to the longest if it is None."""
    flat = torch.tensor([number for text in texts for number in text] or [0], dtype=torch.int32)
    lengths = torch.tensor([len(text) for text in texts])
    labels = torch.zeros(len(texts), dtype=torch.int64)
    return TextBatches(flat, lengths.cumsum(0) - lengths, lengths, labels, width=width)[torch.arange(len(texts))][0]
