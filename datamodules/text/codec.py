"""What is known of texts once the training part was read: vocabulary, tokenizer, length; and texts by them alone."""

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lightfit.errors import BadInput, DataError

from ..base import LabelledDataModule
from ..tables.rows import SUFFIXES, Row, cell, check_text, open_text, parse_rows, table_rows
from .corpus import Tokenizer, pad_texts
from .sources import read_text
from .vocabulary import PAD, STEPS, UNK, Vocabulary

TEXT_FILES = (*SUFFIXES, ".txt")


def stream_texts(inputs: Sequence[str], column: str | int) -> Iterator[str | BadInput]:
    """The texts that arguments stand for, in order, one after the other.

    An argument is a text itself, a file of lines, a table, a folder of .txt files with a text each, or `-`, lines of
    standard input. An argument without blanks that ends like a file is one: a mistyped name is no text.

    Args:
        inputs: the arguments.
        column: the texts' column in a table, as in `rows.table_rows`.

    Raises:
        FileNotFoundError: an argument looks like a file and there is none.
        LookupError: a table has no such column.
        DataError: a file is empty, or a folder holds no .txt files.
    """
    for item in inputs:  # before the first is predicted: a slip in the last costs nothing then
        if _suffix(item) in SUFFIXES:
            place, row = next(table_rows(Path(item), column), ("", None))
            if not place:
                raise DataError(f"'{item}' holds no rows; expected at least one text")
            if not isinstance(row, DataError):
                cell(row, column, place)
        elif _suffix(item) in TEXT_FILES:
            open_text(Path(item)).close()
    return _stream(inputs, column)


def _suffix(item: str) -> str:
    return "" if " " in item else Path(item).suffix.lower()


def _stream(inputs: Iterable[str], column: str | int) -> Iterator[str | BadInput]:
    for item in inputs:
        if item == "-":
            yield from _lines(sys.stdin, "standard input")
        elif _suffix(item) in SUFFIXES:
            yield from _cells(table_rows(Path(item), column), column)
        elif _suffix(item) in TEXT_FILES:
            with open_text(Path(item)) as file:
                yield from _lines(file, item)
        elif os.path.isdir(item):  # Path's own fails on a text that is too long for a name
            yield from _files(Path(item))
        else:
            yield _checked(item, f"the input '{item}'")


def parse_texts(content: bytes, name: str, column: str | int) -> list[str | BadInput]:
    """The texts of an uploaded table or file of lines.

    Args:
        content: what is in the file.
        name: its name; the ending tells the format.
        column: the texts' column in a table.

    Raises:
        DataError: it ends otherwise, is empty, or has no such column.
    """
    if _suffix(name) not in TEXT_FILES:
        raise DataError(f"'{name}' does not end in one of {', '.join(TEXT_FILES)}: expected a table or lines of texts")
    file = io.StringIO(content.decode("utf-8-sig", "surrogateescape"), newline="")
    if _suffix(name) not in SUFFIXES:
        return list(_lines(file, name))
    texts = list(_cells(parse_rows(file, name, column), column))
    if not texts:
        raise DataError(f"'{name}' holds no rows; expected at least one text")
    return texts


def check_texts(texts: Any) -> list[str | BadInput]:
    """The texts of a request, a bad one as `BadInput`.

    Raises:
        DataError: it is no list of texts, or empty.
    """
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataError('expected {"texts": ["a text", "another"]}, a list of at least one text')
    return [_checked(text, f"text {number}") for number, text in enumerate(texts, 1)]


def _cells(rows: Iterable[Row], column: str | int) -> Iterator[str | BadInput]:
    for place, row in rows:
        try:
            yield check_text(cell(row, column, place), place)
        except (DataError, LookupError) as error:
            yield BadInput(str(error))


def _lines(lines: Iterable[str], name: str) -> Iterator[str | BadInput]:
    number = 0
    for number, line in enumerate(lines, 1):
        yield _checked(line.rstrip("\r\n"), f"{name}, line {number}")
    if not number:
        raise DataError(f"'{name}' is empty; expected a text on each line")


def _files(folder: Path) -> Iterator[str | BadInput]:
    files = sorted(path for path in folder.rglob("*.txt") if path.is_file())
    if not files:
        raise DataError(f"'{folder}' holds no .txt files; expected one for each text")
    for file in files:
        try:
            yield read_text(file)
        except DataError as error:
            yield BadInput(str(error))


def _checked(text: str, place: str) -> str | BadInput:
    try:
        return check_text(text, place)
    except DataError as error:
        return BadInput(str(error))


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
