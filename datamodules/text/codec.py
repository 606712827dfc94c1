"""The codec of texts: tokenizer, vocabulary and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from lightfit.cache import Arrays, from_arrays

from ..codec import LabelCodec
from ..splits import SPLITS
from ..targets import Target, restore_target, save_target
from .corpus import TextBatches, Tokenizer, count_words, import_tokenizer, pad_texts
from .tokenizers import STEPS
from .unknown import note_unknown
from .vocabulary import PAD, UNK, Vocabulary

MOST_WORDS = 1_000_000  # of a text; all are padded to max_len


def check_max_len(max_len: int | None) -> None:
    """Check that texts can be padded to a length.

    Raises:
        ValueError: it is below 1, or so large that a checkpoint with it would fill the memory.
    """
    if max_len is not None and not 1 <= max_len <= MOST_WORDS:
        raise ValueError(
            f"expected `max_len` of at least 1 and at most {MOST_WORDS:,}, to which every text is padded, or null "
            f"for no limit, received {max_len}"
        )


@dataclass(frozen=True, kw_only=True)
class TextCodec(LabelCodec):
    """Encode texts as word ids (B, T) int64, with <unk> 0 and <pad> 1.

    Args:
        vocabulary: the vocabulary.
        target: what the net predicts: classes, sets of labels, or numbers.
        tokenizer: dotted path of a function from str to list[str].
        max_len: number of words to which texts are truncated; None: no limit.
        bucket: whether to pad to the longest text of a batch, not to `max_len`.
        input_column: column of the texts in the training data, by which those of other tables are found.

    Raises:
        ValueError: there is no such tokenizer, or `max_len` makes no sense.
    """

    domain: ClassVar[str] = "text"
    descriptive: ClassVar[tuple[str, ...]] = ("input_column",)
    vocabulary: Vocabulary
    target: Target = field()  # a field, where the parent class computes it
    tokenizer: str
    max_len: int | None
    bucket: bool
    input_column: str | int | None = None

    def __post_init__(self) -> None:
        check_max_len(self.max_len)
        object.__setattr__(self, "_tokenize", import_tokenizer(self.tokenizer))

    @property
    def tokenize(self) -> Tokenizer:
        """Return the tokenizer as a function."""
        return self._tokenize  # type: ignore[attr-defined]

    @property
    def vocab_size(self) -> int:
        """Return the number of words, special tokens included."""
        return len(self.vocabulary)

    @property
    def width(self) -> int | None:
        """Return the number of words to which texts are padded; None: to the longest text of the batch."""
        return None if self.bucket else self.max_len

    @classmethod
    def fit(
        cls,
        corpus: Arrays,
        rows: NDArray[np.int64],
        target: Target,
        *,
        tokenizer: str,
        max_words: int | None,
        max_len: int | None,
        bucket: bool,
        input_column: str | int | None = None,
    ) -> Self:
        """Fit a codec on the training texts.

        Args:
            corpus: all texts, as returned by `corpus.tokenise`.
            rows: indices of the training texts.
            target: as in the class.
            tokenizer: as in the class.
            max_words: as in `Vocabulary`.
            max_len: as in the class.
            bucket: as in the class.
            input_column: as in the class.

        Raises:
            DataError: the vocabulary has no words.
        """
        words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
        counts = count_words(corpus, rows)
        vocabulary = Vocabulary.from_counts(words, counts, corpus["alphabet"], max_words=max_words)
        return cls(
            vocabulary=vocabulary,
            target=target,
            tokenizer=tokenizer,
            max_len=max_len,
            bucket=bucket,
            input_column=input_column,
        )

    def split_batches(
        self, corpus: Arrays, rows: Mapping[str, NDArray[np.int64]], labels: NDArray[Any]
    ) -> dict[str, TextBatches]:
        """Encode the texts of each split that is not empty.

        Args:
            corpus: all texts.
            rows: indices of the texts of each split.
            labels: class index of each text, (N,) int64; or 0 and 1 for each label, or unscaled numbers, (N, K).
        """
        words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
        ids_by_word = torch.from_numpy(self.vocabulary.encode_words(words))
        tokens, starts = torch.from_numpy(corpus["tokens"]), torch.from_numpy(corpus["offsets"][:-1])
        whole, targets = np.diff(corpus["offsets"]), self.target.scale(torch.from_numpy(labels))
        lengths = torch.from_numpy(whole if self.max_len is None else np.minimum(whole, self.max_len))
        return {
            split: TextBatches(ids_by_word, tokens, starts[own], lengths[own], targets[own], width=self.width)
            for split, own in ((split, torch.from_numpy(rows[split])) for split in SPLITS if len(rows[split]))
        }

    def encode(self, samples: Sequence[str]) -> Tensor:
        """Encode texts as word ids (B, T) int64, as in training."""
        ids = [self.vocabulary.encode(self.tokenize(text))[: self.max_len] for text in samples]
        return pad_texts(ids, self.width)

    def warn(self, samples: Sequence[str], x: Tensor) -> list[str]:
        """Return a note for each text without a known word, and an empty string for the others."""
        return note_unknown(x)

    def dummy_batch(self) -> Tensor:
        """Return word ids (2, T) int64 of two texts made of the most frequent words."""
        return self.encode([" ".join(self.vocabulary.itos[2:12]), self.vocabulary.itos[2]])

    def ticks(self, x: Tensor) -> list[str]:
        """Return the words of an encoded text (T,), with empty strings for padding."""
        return ["" if index == PAD else self.vocabulary.itos[index] for index in x.tolist()]

    def metadata(self) -> dict[str, Any]:
        """Return target, vocabulary, steps of the tokenizer (as in `tokenizers.STEPS`), and width."""
        return {
            "domain": self.domain,
            "class_names": self.class_names,
            "target": self.target.to_dict(),
            "tokenizer": STEPS.get(self.tokenizer, self.tokenizer),  # a custom one by its dotted path
            "vocabulary": self.vocabulary.itos,
            "unk": UNK,
            "pad": PAD,
            "max_len": self.max_len,
            "width": self.width,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain data; the vocabulary includes the word frequencies."""
        return {
            "vocabulary": self.vocabulary.state_dict(),
            **save_target(self.target),
            "tokenizer": self.tokenizer,
            "max_len": self.max_len,
            "bucket": self.bucket,
            "input_column": self.input_column,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`."""
        return cls(**{**restore_target(state), "vocabulary": Vocabulary.from_state_dict(state["vocabulary"])})
