"""Texts as word ids, by a vocabulary and classes that were learned from the training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from lightfit.cache import Arrays, from_arrays

from ..codec import LabelCodec
from ..splits import SPLITS
from .corpus import TextBatches, Tokenizer, count_words, import_tokenizer, pad_texts
from .vocabulary import PAD, STEPS, UNK, Vocabulary


@dataclass(frozen=True, kw_only=True)
class TextCodec(LabelCodec):
    """Encode texts as word ids (B, T) int64, with <unk> 0 and <pad> 1.

    Args:
        vocabulary: the words, by id.
        class_names: names of the classes.
        tokenizer: dotted path of a function from str to list[str].
        max_len: number of words to which a text is cut; None: not cut.
        bucket: pad to the longest text of a batch, not to `max_len`.

    Raises:
        ValueError: there is no such tokenizer.
    """

    domain: ClassVar[str] = "text"
    vocabulary: Vocabulary
    class_names: list[str]
    tokenizer: str
    max_len: int | None
    bucket: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tokenize", import_tokenizer(self.tokenizer))

    @property
    def tokenize(self) -> Tokenizer:
        """Return the tokenizer as a function."""
        return self._tokenize  # type: ignore[attr-defined]

    @property
    def vocab_size(self) -> int:
        """Return the number of words, the specials included."""
        return len(self.vocabulary)

    @property
    def width(self) -> int | None:
        """Return the number of words to which every text is padded; None: to the longest of the batch."""
        return None if self.bucket else self.max_len

    @classmethod
    def fit(
        cls,
        corpus: Arrays,
        rows: NDArray[np.int64],
        class_names: list[str],
        *,
        tokenizer: str,
        max_words: int | None,
        max_len: int | None,
        bucket: bool,
    ) -> Self:
        """Learn the vocabulary from the training texts.

        Args:
            corpus: all texts, as `corpus.tokenise` returns them.
            rows: indices of the training texts.
            class_names: names of the classes.
            tokenizer: as in the class.
            max_words: as in `Vocabulary`.
            max_len: as in the class.
            bucket: as in the class.

        Raises:
            DataError: no word is left.
        """
        words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
        counts = count_words(corpus, rows)
        vocabulary = Vocabulary.from_counts(words, counts, corpus["alphabet"], max_words=max_words)
        return cls(vocabulary=vocabulary, class_names=class_names, tokenizer=tokenizer, max_len=max_len, bucket=bucket)

    def split_batches(
        self, corpus: Arrays, rows: Mapping[str, NDArray[np.int64]], labels: NDArray[np.int64]
    ) -> dict[str, TextBatches]:
        """Encode the texts of each split that has any.

        Args:
            corpus: all texts.
            rows: indices of the texts of each split.
            labels: class of each text, (N,).
        """
        words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
        numbers = torch.from_numpy(self.vocabulary.number(words))
        tokens, starts = torch.from_numpy(corpus["tokens"]), torch.from_numpy(corpus["offsets"][:-1])
        whole, classes = np.diff(corpus["offsets"]), torch.from_numpy(labels)
        lengths = torch.from_numpy(whole if self.max_len is None else np.minimum(whole, self.max_len))
        return {
            split: TextBatches(numbers, tokens, starts[own], lengths[own], classes[own], width=self.width)
            for split, own in ((split, torch.from_numpy(rows[split])) for split in SPLITS if len(rows[split]))
        }

    def encode(self, samples: Sequence[str]) -> Tensor:
        """Encode texts as word ids (B, T) int64, as in training."""
        ids = [self.vocabulary.encode(self.tokenize(text))[: self.max_len] for text in samples]
        return pad_texts(ids, self.width)

    def dummy_batch(self) -> Tensor:
        """Return word ids (2, T) int64 of two texts of the most frequent words."""
        return self.encode([" ".join(self.vocabulary.itos[2:12]), self.vocabulary.itos[2]])

    def ticks(self, x: Tensor) -> list[str]:
        """Return the words of one encoded text (T,), in order; padding is empty."""
        return ["" if index == PAD else self.vocabulary.itos[index] for index in x.tolist()]

    def metadata(self) -> dict[str, Any]:
        """Return classes, words, how a text becomes words (as in `vocabulary.STEPS`), and the padded width."""
        return {
            "domain": self.domain,
            "class_names": self.class_names,
            "tokenizer": STEPS.get(self.tokenizer, self.tokenizer),  # a custom one is code, and named
            "vocabulary": self.vocabulary.itos,
            "unk": UNK,
            "pad": PAD,
            "max_len": self.max_len,
            "width": self.width,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain data, the vocabulary with its frequencies."""
        return {
            "vocabulary": self.vocabulary.state_dict(),
            "class_names": list(self.class_names),
            "tokenizer": self.tokenizer,
            "max_len": self.max_len,
            "bucket": self.bucket,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Return the codec that `to_dict` describes."""
        return cls(**{**state, "vocabulary": Vocabulary.from_state_dict(state["vocabulary"])})
