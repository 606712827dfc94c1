"""Pretrained word vectors: an embedding that begins with those of a file."""

import gzip
import json
import logging
import time
import unicodedata
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lightfit.errors import DataError, UsageError

log = logging.getLogger(__name__)

PAD = 1
MOST_BYTES = 2**20  # of a line: a vector of 300 numbers takes 3 kB
ROWS_AT_ONCE = 50_000  # of a tensor
SHOWN_CHARS = 40  # of a wrong value, in messages
BOM = b"\xef\xbb\xbf"


class WordEmbedding(nn.Embedding):
    """An embedding of words, with the vectors of a file once the training begins (`load_vectors`).

    Args:
        vocab_size: number of words, the specials included.
        size: number of values of a word; None: that of the file's vectors, or `default` without a file.
        default: see `size`.
        vectors: file of word vectors, as in `read_vectors`. Only its first line is read here, and only if `size` is
            None: a checkpoint holds the size, so the file may be gone when it is loaded.
        freeze: whether the vectors stay as they are in the file.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file holds no vectors.
        ValueError: `freeze` without vectors, which would leave the words at random values.
    """

    def __init__(
        self, vocab_size: int, size: int | None, *, default: int, vectors: str | None = None, freeze: bool = False
    ) -> None:
        if freeze and vectors is None:
            raise ValueError("`freeze_vectors` needs `vectors`: without a file, random vectors would be frozen")
        if size is not None and size < 1:
            raise ValueError(f"expected `embedding_size` of at least 1, received {size}")
        if size is None:
            size = default if vectors is None else read_size(vectors)
        super().__init__(vocab_size, size, padding_idx=PAD)
        self.vectors = vectors
        self.is_loaded = False
        self.weight.requires_grad_(not freeze)

    def load_vectors(self, words: Sequence[str]) -> None:
        """Take the vectors of the file; words without one become 0. The log says how many words have one.

        Args:
            words: the words by id, (vocab_size,).

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the file is damaged, has vectors of another size, or one for none of the words.
        """
        assert self.vectors is not None
        if len(words) != self.num_embeddings:
            raise UsageError(
                f"`vectors` are of words, and the net has {self.num_embeddings:,} ids for {len(words):,} words, as of "
                "n-grams: set `ngrams` to 1, which keeps the words in order"
            )
        started = time.monotonic()
        size = read_size(self.vectors)
        if size != self.embedding_dim:
            raise UsageError(
                f"'{self.vectors}' has vectors of {size} numbers, and the net words of {self.embedding_dim}: leave out "
                "`embedding_size`, which then follows the file"
            )
        found = read_vectors(self.vectors, words)
        with torch.no_grad():
            self.weight.copy_(found.values)
            self.weight[PAD] = 0
        self.is_loaded = True
        words_found = found.matches[PAD + 1 :]  # without the specials
        near = int((words_found == NEAR).sum())
        log.info(
            "vectors of %d numbers for %s of %s words%s from '%s', in %.1f s; the other words %s 0",
            *(size, f"{int((words_found > 0).sum()):,}", f"{len(words_found):,}"),
            f" ({near:,} by another case)" if near else "",
            *(self.vectors, time.monotonic() - started, "begin at" if self.weight.requires_grad else "stay"),
        )


def load_word_vectors(net: nn.Module, data: Any) -> None:
    """Load the vectors of every `WordEmbedding` of a net that has a file of them.

    Args:
        net: the net.
        data: the DataModule, with the words in `codec.vocabulary.itos`; of other data, the vectors must be loaded
            before the training.

    Raises:
        UsageError: the words are not known.
    """
    for module in net.modules():
        if isinstance(module, WordEmbedding) and module.vectors is not None:
            vocabulary = getattr(getattr(data, "codec", None), "vocabulary", None)
            if vocabulary is not None:
                module.load_vectors(vocabulary.itos)
            elif not module.is_loaded:
                raise UsageError(
                    f"`vectors` needs the words that the ids stand for, and {type(data).__name__} has none: expected a "
                    "DataModule with `codec.vocabulary`, or a call of load_vectors(words) of the net's WordEmbedding"
                )


class Found(NamedTuple):
    """Vectors of words.

    Args:
        values: a vector for each word, (N, size) float32, 0 for words that the file does not have.
        matches: `EXACT`, `NEAR` (by another case, or another form of its letters) or `NONE` for each word, (N,) int8.
    """

    values: Tensor
    matches: NDArray[np.int8]


NONE, NEAR, EXACT = 0, 1, 2


def read_size(path: str | Path) -> int:
    """Return the number of values of a file's vectors, from its beginning.

    Raises:
        FileNotFoundError, DataError: as `read_vectors`.
    """
    if _is_safetensors(path):
        return _open_safetensors(path)[1].get_shape()[1]
    with closing(_read_lines(Path(path))) as lines:
        return next(lines).size


def read_vectors(path: str | Path, words: Sequence[str]) -> Found:
    """Read the vectors of some words; only these are kept in memory.

    The formats are a line `word 0.1 0.2 ...` for each word (GloVe), the same below a line with the number of words and
    of values (word2vec, fastText's .vec), either also compressed by gzip; and a .safetensors file with one tensor
    (num_words, size) and the metadata `words`, a JSON list. Of a word that occurs twice the first vector counts. A word
    that the file lacks takes the vector of one that equals it in lower case.

    Args:
        path: the file.
        words: the words.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: a line has another number of values, or one that is no number; the file is none of these formats; or
            it has none of the words.
    """
    rows: dict[str, list[int]] = {}
    near: dict[str, list[int]] = {}
    for index, word in enumerate(words):
        rows.setdefault(word, []).append(index)
        near.setdefault(_fold(word), []).append(index)
    matches = np.zeros(len(words), np.int8)
    values = np.zeros((len(words), read_size(path)), np.float32)
    for word, read in _read_safetensors(Path(path)) if _is_safetensors(path) else _read_text(Path(path)):
        exact = [index for index in rows.get(word, ()) if matches[index] < EXACT]
        others = [index for index in near.get(_fold(word), ()) if matches[index] == NONE]
        if exact or others:
            values[[*exact, *others]] = read()
            matches[others] = NEAR
            matches[exact] = EXACT
    if not (matches[PAD + 1 :] if len(words) > PAD + 1 else matches).any():
        shown = ", ".join(repr(word[:SHOWN_CHARS]) for word in words[PAD + 1 : PAD + 5])
        raise DataError(
            f"'{path}' has a vector for none of the {len(words):,} words, such as {shown}: expected vectors of the "
            "language of the texts; or check `tokenizer`"
        )
    return Found(torch.from_numpy(values), matches)


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKC", word).lower()


class _Line(NamedTuple):
    """A line of a text file of vectors: its place, its content, and what the file's first line says."""

    place: str
    content: bytes
    separator: bytes
    size: int

    def values(self) -> NDArray[np.float32]:
        """Return the numbers behind the word."""
        fields = self.content.rsplit(self.separator, self.size)[1:]
        try:
            numbers = np.array([float(field) for field in fields], np.float32)
        except ValueError:
            wrong = next(field for field in fields if not _is_number(field))
            raise DataError(
                f"{self.place}: expected {self.size} numbers after the word, received "
                f"'{wrong.decode(errors='replace')[:SHOWN_CHARS]}'"
            ) from None
        if not np.isfinite(numbers).all():
            raise DataError(f"{self.place}: a value is NaN or infinite; expected numbers")
        return numbers

    def check(self) -> None:
        """Check that the line has as many numbers as the first one; the word itself may contain blanks."""
        fields = self.content.split(self.separator)
        numbers = len(fields) - 1
        if numbers < self.size or _is_number(fields[-self.size - 1]):
            raise DataError(
                f"{self.place}: expected {self.size} numbers after the word, as in the lines before, received {numbers}"
            )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _read_text(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each word, and a function that returns its vector, from a text file."""
    for line in _read_lines(path):
        word, _, _ = line.content.partition(line.separator)
        if line.content.count(line.separator) == line.size:
            yield word.decode("utf-8", "replace"), line.values
        else:
            line.check()


def _read_lines(path: Path) -> Generator[_Line, None, None]:
    """Yield the lines with vectors; a first line of two integers, the numbers of words and values, is none of them."""
    if not path.is_file():
        raise FileNotFoundError(f"no word vectors at '{path}' (looked from '{Path.cwd()}')")
    num_words, size, count = None, 0, 0
    separator = b" "
    try:
        with _open(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(MOST_BYTES), b""), 1):
                place = f"'{path}', line {number}"
                if b"\0" in raw or len(raw) == MOST_BYTES:
                    raise DataError(
                        f"{place} is no text of a word and its numbers: expected vectors of GloVe, word2vec or "
                        "fastText as text, not in a binary format"
                    )
                content = (raw.removeprefix(BOM) if number == 1 else raw).rstrip()
                if not content:
                    continue
                if number == 1:
                    separator = b"\t" if b"\t" in content else b" "
                    fields = content.split(separator)
                    if len(fields) == 2 and all(field.isdigit() for field in fields):
                        num_words, size = map(int, fields)
                        continue
                if not count and b"\t" in content:
                    separator = b"\t"
                if not size:
                    size = content.count(separator)
                if not 1 <= size <= MOST_BYTES:
                    raise DataError(f"{place}: expected a word and its numbers, separated by blanks")
                count += 1
                yield _Line(place, content, separator, size)
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise DataError(f"'{path}' cannot be read: it is damaged or cut off ({error})") from error
    if not count:
        raise DataError(f"'{path}' holds no word vectors: expected a line with a word and its numbers for each word")
    if num_words is not None and count < num_words:
        log.warning("'%s' has %s of the %s words that its first line names", path, f"{count:,}", f"{num_words:,}")


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        raise DataError(f"'{path}' is a zip archive: unpack it, and name the file of vectors within")
    return gzip.open(path) if start[:2] == b"\x1f\x8b" else path.open("rb")


def _is_safetensors(path: str | Path) -> bool:
    return Path(path).suffix == ".safetensors"


def _open_safetensors(path: str | Path) -> tuple[list[str], Any]:
    """Return the words and the tensor, of which slices are read."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no word vectors at '{path}' (looked from '{Path.cwd()}')")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            tensor = file.get_slice(names[0]) if len(names) == 1 else None
            words = json.loads((file.metadata() or {}).get("words", "null"))
    except (SafetensorError, ValueError) as error:
        raise DataError(f"'{path}' is no safetensors file with word vectors, or is damaged: {error}") from error
    shape = [] if tensor is None else tensor.get_shape()
    if len(shape) != 2 or not isinstance(words, list) or len(words) != shape[0]:
        held = f"{len(words):,} words" if isinstance(words, list) else "no words"
        raise DataError(
            f"'{path}': expected one tensor (num_words, size), and the metadata `words`, a JSON list of as many words; "
            f"received {f'a tensor {tuple(shape)}' if shape else f'{len(names)} tensors'} and {held}"
        )
    return words, tensor


def _read_safetensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each word, and a function that returns its vector, from a safetensors file."""
    words, tensor = _open_safetensors(path)
    for start in range(0, len(words), ROWS_AT_ONCE):
        block: Tensor | None = None
        for offset, word in enumerate(words[start : start + ROWS_AT_ONCE]):

            def read(offset: int = offset, start: int = start) -> NDArray[np.float32]:
                nonlocal block
                if block is None:
                    block = tensor[start : start + ROWS_AT_ONCE].float()
                if not block[offset].isfinite().all():
                    raise DataError(f"'{path}', row {start + offset}: a value is NaN or infinite; expected numbers")
                return block[offset].numpy()

            yield str(word), read
