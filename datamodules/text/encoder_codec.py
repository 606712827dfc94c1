"""The codec of texts for a pretrained encoder: the encoder's own tokenizer, and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from lightfit.cache import Arrays

from ..codec import LabelCodec
from ..splits import SPLITS
from ..targets import Target, restore_target, save_target
from .codec import check_max_len
from .corpus import TextBatches
from .encoder_tokens import EncoderTokens
from .parts import BLANK, Part
from .unknown import NO_KNOWN_WORD

SHOWN = ("this is a text of several words", "a text")
MOST_UNKNOWN = 0.1  # fraction of the tokens of a split


@dataclass(frozen=True, kw_only=True)
class EncoderCodec(LabelCodec):
    """Encode texts as ids (B, T) int64 of the tokenizer of a pretrained encoder, padded by batch.

    The ids are the tokenizer's own, as the encoder's weights know no others: `<unk>` and `<pad>` are those that the
    tokenizer has for them (`pad_id`), and not 0 and 1.

    Args:
        tokens: the tokenizer, which the state holds whole.
        target: what the net predicts: classes, sets of labels, or numbers.
        max_len: number of tokens to which texts are truncated, with those that the encoder expects around a text.
        input_column: column of the texts in the training data, by which those of other tables are found.

    Raises:
        ValueError: `max_len` makes no sense.
    """

    domain: ClassVar[str] = "text"
    descriptive: ClassVar[tuple[str, ...]] = ("input_column",)
    tokens: EncoderTokens
    target: Target = field()  # a field, where the parent class computes it
    max_len: int
    input_column: str | int | None = None

    def __post_init__(self) -> None:
        check_max_len(self.max_len)
        if self.max_len <= (around := sum(map(len, self.tokens.around))):
            raise ValueError(
                f"expected `max_len` above {around}, which the encoder puts around each text, received {self.max_len}"
            )

    @property
    def room(self) -> int:
        """Return the number of tokens of a text itself that are kept."""
        return self.max_len - sum(map(len, self.tokens.around))

    @property
    def vocab_size(self) -> int:
        """Return the number of ids of the tokenizer."""
        return len(self.tokens)

    @property
    def pad_id(self) -> int:
        """Return the id that fills up a batch, which the net masks."""
        return self.tokens.pad

    def split_batches(
        self, corpus: Arrays, rows: Mapping[str, NDArray[np.int64]], labels: NDArray[Any]
    ) -> dict[str, TextBatches]:
        """Encode the texts of each split that is not empty.

        Args:
            corpus: all texts, of this tokenizer.
            rows: indices of the texts of each split.
            labels: class index of each text, (N,) int64; or 0 and 1 for each label, or unscaled numbers, (N, K).
        """
        made, whole = self.tokens.wrap(corpus["tokens"], np.diff(corpus["offsets"]), self.max_len)
        every, lengths = torch.from_numpy(made), torch.from_numpy(whole)
        starts, targets = lengths.cumsum(0) - lengths, self.target.scale(torch.from_numpy(labels))
        return {
            split: TextBatches(None, every, starts[own], lengths[own], targets[own], width=None, pad=self.pad_id)
            for split, own in ((split, torch.from_numpy(rows[split])) for split in SPLITS if len(rows[split]))
        }

    def encode(self, samples: Sequence[str]) -> Tensor:
        """Encode texts as ids (B, T) int64, as in training."""
        made, lengths = self.tokens.wrap(*self.tokens.encode(samples), self.max_len)
        texts = torch.from_numpy(made).long().split(lengths.tolist())
        return torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True, padding_value=self.pad_id)

    def warn(self, samples: Sequence[str], x: Tensor) -> list[str]:
        """Return a note for each text without a known token, and an empty string for the others."""
        without = [self.pad_id, *self.tokens.around[0], *self.tokens.around[1]]
        without += [] if self.tokens.unknown is None else [self.tokens.unknown]
        is_known = ~torch.isin(x, torch.tensor(without))
        return ["" if known else NO_KNOWN_WORD for known in is_known.any(1).tolist()]

    def warn_of_unknown(self, corpus: Arrays, rows: Mapping[str, NDArray[np.int64]]) -> list[str]:
        """Return a warning if a large fraction of train is unknown to the tokenizer.

        Args:
            corpus: all texts.
            rows: indices of the texts of each split that is not empty.
        """
        split, own = next(iter(rows.items()))
        chosen = np.zeros(len(corpus["offsets"]) - 1, bool)
        chosen[own] = True
        tokens = corpus["tokens"][np.repeat(chosen, np.diff(corpus["offsets"]))]
        fraction = float((tokens == self.tokens.unknown).mean()) if len(tokens) else 0.0
        if self.tokens.unknown is None or fraction <= MOST_UNKNOWN:
            return []
        return [
            f"{fraction:.0%} of the tokens of {split} are unknown to the encoder's tokenizer, which was made for texts "
            "of other languages: take an encoder for these by `encoder`, or the task text, which learns its words"
        ]

    def describe_vocabulary(self) -> str:
        """Describe the tokenizer in a few words."""
        return f"{len(self.tokens):,} tokens of the encoder"

    def neutral(self, x: Tensor) -> Tensor:
        """Return padding in place of each token of a text; what the encoder expects around a text stays."""
        before, behind = self.tokens.around
        return x.where(torch.isin(x, torch.tensor([*before, *behind], device=x.device)), self.pad_id)

    def locate(self, sample: str, x: Tensor) -> list[Part]:
        """Return what each position of an encoded text (T,) is: a token, and where the text has it."""
        before, behind = self.tokens.around
        named = [
            Part(sample[start:end].strip() or BLANK, ((start, end),), index != self.tokens.unknown)
            for index, (start, end) in self.tokens.offsets(sample)[: self.room]
        ]
        parts = [*[Part("")] * len(before), *named, *[Part("")] * len(behind)]
        return [*parts, *[Part("")] * (len(x) - len(parts))][: len(x)]

    def dummy_batch(self) -> Tensor:
        """Return ids (2, T) int64 of two texts."""
        return self.encode(SHOWN)

    def ticks(self, x: Tensor) -> list[str]:
        """Return the tokens of an encoded text (T,), with empty strings for padding."""
        return ["" if index == self.pad_id else self.tokens.name(index) for index in x.tolist()]

    def metadata(self) -> dict[str, Any]:
        """Return target, tokenizer (tokenizer.json as a text, under `encoder_tokenizer`), padding and length."""
        return {
            "domain": self.domain,
            "class_names": self.class_names,
            "target": self.target.to_dict(),
            "encoder_tokenizer": self.tokens.content,
            "unk": self.tokens.unknown,
            "pad": self.pad_id,
            "max_len": self.max_len,
            "width": None,  # as of the longest text of a batch
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain data; the tokenizer as the content of its file."""
        return {
            "encoder_tokenizer": self.tokens.content,
            "pad": self.pad_id,
            **save_target(self.target),
            "max_len": self.max_len,
            "input_column": self.input_column,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`."""
        rest = restore_target(state)
        tokens = EncoderTokens(str(rest.pop("encoder_tokenizer")), pad=int(rest.pop("pad")))
        return cls(tokens=tokens, **rest)
