"""What is known of texts once the training part was read: vocabulary, tokenizer, length; and texts by them alone."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from datamodules.corpus import Tokenizer, pad_texts
from datamodules.errors import BadInput
from datamodules.labelled import LabelledDataModule
from datamodules.text_inputs import stream_texts
from datamodules.vocabulary import PAD, Vocabulary


class TextEncodingDataModule(LabelledDataModule):
    """Texts whose vocabulary and classes are known, as from a checkpoint."""

    tokenizer: Tokenizer
    text_column: int | str
    max_len: int | None
    bucket: bool
    _vocabulary: Vocabulary | None = None
    _class_names: tuple[str, ...] | list[str] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the training part; reads the data the first time."""
        if self._vocabulary is None:
            self.setup()
        assert self._vocabulary is not None
        return self._vocabulary

    @property
    def class_names(self) -> list[str]:
        """The labels of the training part, sorted; reads the data the first time."""
        if not self._class_names:
            self.setup()
        return list(self._class_names)

    @property
    def vocab_size(self) -> int:
        """Number of words, the specials included."""
        return len(self.vocabulary)

    @property
    def _width(self) -> int | None:
        return None if self.bucket else self.max_len

    def ticks(self, x: Tensor) -> list[str]:
        """The words of one encoded text (T,), in order; padding is empty."""
        return ["" if number == PAD else self.vocabulary.itos[number] for number in x.tolist()]

    def encode(self, samples: Sequence[str]) -> Tensor:
        """Texts to word numbers (B, T) int64, as in training."""
        numbers = [self.vocabulary.encode(self.tokenizer(text))[: self.max_len] for text in samples]
        return pad_texts(numbers, self._width)

    def stream_inputs(self, inputs: list[str], column: str | int | None = None) -> Iterator[str | BadInput]:
        """The texts that the arguments stand for; tables by the column of the training where none is given."""
        return stream_texts(inputs, self.text_column if column is None else column)

    def state_dict(self) -> dict[str, Any]:
        """Vocabulary and class names."""
        return {"vocabulary": self.vocabulary.state_dict(), "class_names": list(self.class_names)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes vocabulary and class names from a checkpoint."""
        self._vocabulary = Vocabulary.from_state_dict(state_dict["vocabulary"])
        self._class_names = list(state_dict["class_names"])
