"""The codec of texts: tokenizer, vocabulary and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
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
from .ngrams import NgramIndex, limit_ngrams
from .parts import Part, locate_ngrams, locate_words
from .tokenizers import STEPS
from .unknown import note_unknown, warn_of_unknown
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
    """Encode texts as ids (B, T) int64, <unk> 0 and <pad> 1: of their words in order, or of their distinct n-grams.

    Args:
        vocabulary: the vocabulary.
        target: what the net predicts: classes, sets of labels, or numbers.
        tokenizer: dotted path of a function from str to list[str].
        max_len: number of words to which texts are truncated; None: no limit.
        bucket: whether to pad to the longest text of a batch, not to `max_len`.
        input_column: column of the texts in the training data, by which those of other tables are found.
        ngrams: the n-grams by id, for texts as the distinct n-grams in them; None: as words in order.

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
    ngrams: NgramIndex | None = None

    def __post_init__(self) -> None:
        check_max_len(self.max_len)
        object.__setattr__(self, "_tokenize", import_tokenizer(self.tokenizer))

    @property
    def tokenize(self) -> Tokenizer:
        """Return the tokenizer as a function."""
        return self._tokenize  # type: ignore[attr-defined]

    @property
    def vocab_size(self) -> int:
        """Return the number of ids: of words, special tokens included, and of n-grams if texts are those."""
        return len(self.vocabulary) if self.ngrams is None else len(self.ngrams)

    @property
    def width(self) -> int | None:
        """Return the number of words to which texts are padded; None: to the longest text of the batch."""
        return None if self.bucket or self.ngrams is not None else self.max_len

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
        ngrams: int = 1,
        char_ngrams: int | None = None,
        max_ngrams: int = 0,
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
            ngrams: number of words in the longest n-grams; 1, without character n-grams: texts are words in order.
            char_ngrams: number of characters in the longest character n-grams; None: none.
            max_ngrams: number of n-grams to keep, beside the words.

        Raises:
            DataError: the vocabulary has no words.
        """
        words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
        counts = count_words(corpus, rows)
        vocabulary = Vocabulary.from_counts(words, counts, corpus["alphabet"], max_words=max_words)
        codec = cls(
            vocabulary=vocabulary,
            target=target,
            tokenizer=tokenizer,
            max_len=max_len,
            bucket=bucket,
            input_column=input_column,
        )
        if ngrams == 1 and char_ngrams is None:
            return codec
        num_words, num_outputs = len(vocabulary), codec.num_outputs or codec.num_classes
        index = NgramIndex.fit(
            corpus["tokens"],
            corpus["offsets"],
            rows,
            vocabulary.encode_words(words),
            words,
            num_words=num_words,
            ngrams=ngrams,
            char_ngrams=char_ngrams,
            max_ngrams=limit_ngrams(max_ngrams, num_words=num_words, num_outputs=max(num_outputs, 1)),
            max_len=max_len,
        )
        return replace(codec, ngrams=index)

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
        ids, tokens, offsets, max_len = self.vocabulary.encode_words(words), corpus["tokens"], corpus["offsets"], None
        if self.ngrams is None:
            max_len, ids_by_word = self.max_len, torch.from_numpy(ids)
        else:
            table, ids_by_word = self.ngrams.table(ids, words), None
            offsets, tokens = self.ngrams.encode_corpus(tokens, offsets, table, max_len=self.max_len)
        every, starts = torch.from_numpy(tokens), torch.from_numpy(offsets[:-1])
        whole, targets = np.diff(offsets), self.target.scale(torch.from_numpy(labels))
        lengths = torch.from_numpy(whole if max_len is None else np.minimum(whole, max_len))
        return {
            split: TextBatches(ids_by_word, every, starts[own], lengths[own], targets[own], width=self.width)
            for split, own in ((split, torch.from_numpy(rows[split])) for split in SPLITS if len(rows[split]))
        }

    def encode(self, samples: Sequence[str]) -> Tensor:
        """Encode texts as ids (B, T) int64, as in training."""
        if self.ngrams is not None:
            return self._encode_ngrams(self.ngrams, samples)
        ids = [self.vocabulary.encode(self.tokenize(text))[: self.max_len] for text in samples]
        return pad_texts(ids, self.width)

    def _encode_ngrams(self, ngrams: NgramIndex, samples: Sequence[str]) -> Tensor:
        words = [self.tokenize(text)[: self.max_len] for text in samples]
        distinct = list(dict.fromkeys(chain.from_iterable(words)))
        places = {word: place for place, word in enumerate(distinct)}
        tokens = np.fromiter((places[word] for own in words for word in own), np.int64)
        table = ngrams.table(np.array(self.vocabulary.encode(distinct), np.int64), distinct)
        lengths, ids = ngrams.encode(tokens, np.array([len(own) for own in words], np.int64), table)
        return pad_texts([own.tolist() for own in np.split(ids, lengths.cumsum()[:-1])], self.width)

    def warn(self, samples: Sequence[str], x: Tensor) -> list[str]:
        """Return a note for each text without a known word, and an empty string for the others."""
        return note_unknown(x)

    def neutral(self, x: Tensor) -> Tensor:
        """Return padding in place of each id."""
        return torch.full_like(x, PAD)

    def locate(self, sample: str, x: Tensor) -> list[Part]:
        """Return what each position of an encoded text (T,) is: a word, or an n-gram, and where the text has it."""
        words = self.tokenize(sample)[: self.max_len]
        if self.ngrams is None:
            return locate_words(sample, words, x.tolist())
        itos, ngrams = self.vocabulary.itos, self.ngrams
        names = ["" if index == PAD else ngrams.name(index, itos) for index in x.tolist()]
        return locate_ngrams(sample, words, names, ngrams.ngrams)

    def warn_of_unknown(self, corpus: Arrays, rows: Mapping[str, NDArray[np.int64]]) -> list[str]:
        """Return a warning if a large fraction of val, or else of test, is unknown.

        Args:
            corpus: all texts.
            rows: indices of the texts of each split that is not empty.
        """
        return warn_of_unknown(corpus, rows, self.vocabulary, self.tokenizer)

    def describe_vocabulary(self) -> str:
        """Describe the vocabulary in a few words."""
        ngrams = "" if self.ngrams is None else f"; {self.ngrams.describe()}"
        return f"{len(self.vocabulary):,} of {self.vocabulary.num_seen + 2:,} words{ngrams}"

    def dummy_batch(self) -> Tensor:
        """Return word ids (2, T) int64 of two texts made of the most frequent words."""
        return self.encode([" ".join(self.vocabulary.itos[2:12]), self.vocabulary.itos[2]])

    def ticks(self, x: Tensor) -> list[str]:
        """Return the words of an encoded text (T,), with empty strings for padding."""
        itos = self.vocabulary.itos
        if self.ngrams is None:
            return ["" if index == PAD else itos[index] for index in x.tolist()]
        return ["" if index == PAD else self.ngrams.name(index, itos) for index in x.tolist()]

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
            "ngrams": None if self.ngrams is None else self.ngrams.metadata(),
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
            **({} if self.ngrams is None else {"ngrams": self.ngrams.to_dict()}),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`."""
        ngrams = NgramIndex.from_dict(state["ngrams"]) if state.get("ngrams") else None
        vocabulary = Vocabulary.from_state_dict(state["vocabulary"])
        return cls(**{**restore_target(state), "vocabulary": vocabulary, "ngrams": ngrams})
