"""What is known of texts once the training part was read: vocabulary, tokenizer, length; and texts by them alone."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from datamodules.corpus import Tokenizer, pad_texts
from datamodules.errors import BadInput
from datamodules.labelled import LabelledDataModule
from datamodules.text_inputs import check_texts, parse_texts, stream_texts
from datamodules.vocabulary import PAD, STEPS, UNK, Vocabulary


class TextEncodingDataModule(LabelledDataModule):
    """Texts whose vocabulary and classes are known, as from a checkpoint."""

    tokenizer: Tokenizer
    text_column: int | str
    max_len: int | None
    _tokenizer_key: list[str]  # its dotted path, and a digest of its code
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

    @property
    def request_schema(self) -> dict[str, Any]:
        """`{"texts": [...]}`."""
        texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"type": "object", "required": ["texts"], "properties": {"texts": texts}}

    def from_request(self, body: dict[str, Any]) -> list[str | BadInput]:
        """The texts of `{"texts": [...]}`."""
        return check_texts(body.get("texts"))

    def from_upload(self, name: str, content: bytes) -> list[str | BadInput]:
        """The texts of a table, by the column of the training, or of a file of lines."""
        return parse_texts(content, name, self.text_column)

    def metadata(self) -> dict[str, Any]:
        """Classes, words, how a text becomes words (as in `vocabulary.STEPS`), and the width that is padded to."""
        path = self._tokenizer_key[0]
        return {
            "domain": "text",
            "class_names": self.class_names,
            "tokenizer": STEPS.get(path, path),  # one of the user's own is code, and named
            "vocabulary": self.vocabulary.itos,
            "unk": UNK,
            "pad": PAD,
            "max_len": self.max_len,
            "width": self._width,
        }

    def example_batch(self) -> Tensor:
        """Word numbers (2, T) int64."""
        return self.encode([" ".join(self.vocabulary.itos[2:12]), self.vocabulary.itos[2]])

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
