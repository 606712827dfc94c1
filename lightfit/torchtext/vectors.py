"""Pretrained word vectors: read from a text file, or downloaded by their names."""

import gzip
import hashlib
import logging
import shutil
import tarfile
import zipfile
from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from lightfit.download import download
from lightfit.errors import DataError
from lightfit.files import whole_file

logger = logging.getLogger(__name__)


class Vectors:
    """Word vectors of a text file with a word and its numbers in each line, as of GloVe, fastText or word2vec.

    They are kept in a second file in the folder `cache`, which is read much faster the next time.

    Args:
        name: the file, or its name within `cache`.
        cache: folder; by default `.vector_cache`.
        url: where the file, or an archive (.zip, .tar.gz) that has it, is downloaded from if it is missing.
        unk_init: function of zeros, (dim,), for words without a vector; by default they stay zeros.
        max_vectors: number of vectors to read, from the start of the file.

    Attributes:
        itos: words by index.
        stoi: index by word.
        vectors: (words, dim) float32.
        dim: number of dimensions.

    Raises:
        FileNotFoundError: there is no such file, and no `url`.
        ConnectionError: it cannot be downloaded.
        DataError: a line has another number of dimensions, or something that is no number.
    """

    def __init__(
        self,
        name: Any,
        cache: Any = None,
        url: str | None = None,
        unk_init: Callable[[Tensor], Tensor] | None = None,
        max_vectors: int | None = None,
    ) -> None:
        self.unk_init = unk_init or torch.Tensor.zero_
        folder = Path(".vector_cache" if cache is None else cache)
        path = Path(name) if Path(name).is_file() else _provide(str(name), folder, url)
        self.itos, self.vectors = _load(path, folder, max_vectors or None)
        self.stoi = {word: index for index, word in enumerate(self.itos)}
        self.dim = self.vectors.shape[1]

    def __getitem__(self, token: str) -> Tensor:
        """Return the vector of a word, (dim,)."""
        index = self.stoi.get(token)
        return self.unk_init(torch.zeros(self.dim)) if index is None else self.vectors[index]

    def __len__(self) -> int:
        return len(self.vectors)

    def get_vecs_by_tokens(self, tokens: str | list[str], lower_case_backup: bool = False) -> Tensor:
        """Return the vector of a word, (dim,), or those of a list, (words, dim).

        Args:
            tokens: a word or a list of them.
            lower_case_backup: whether a word that is not there is looked up in lower case.
        """
        if isinstance(tokens, str):
            return self.get_vecs_by_tokens([tokens], lower_case_backup)[0]
        words = [token.lower() if lower_case_backup and token not in self.stoi else token for token in tokens]
        return torch.stack([self[word] for word in words])


class GloVe(Vectors):
    """Vectors of Stanford's GloVe (Pennington, Socher, Manning 2014).

    Args:
        name: 6B, 42B, 840B or twitter.27B, the number of words that they were learned from.
        dim: number of dimensions: 50, 100, 200 or 300 for 6B, 25, 50, 100 or 200 for twitter.27B, else 300.
        **kwargs: as of `Vectors`.
    """

    url: Mapping[str, str] = {
        "6B": "https://nlp.stanford.edu/data/glove.6B.zip",
        "42B": "https://nlp.stanford.edu/data/glove.42B.300d.zip",
        "840B": "https://nlp.stanford.edu/data/glove.840B.300d.zip",
        "twitter.27B": "https://nlp.stanford.edu/data/glove.twitter.27B.zip",
    }

    def __init__(self, name: str = "840B", dim: int | str = 300, **kwargs: Any) -> None:
        if name not in self.url:
            raise ValueError(f"expected `name` of GloVe as one of {', '.join(self.url)}, received '{name}'")
        super().__init__(f"glove.{name}.{dim}d.txt", **{"url": self.url[name], **kwargs})


class FastText(Vectors):
    """Vectors of fastText, learned from Wikipedia (Bojanowski et al. 2017), in 300 dimensions.

    Args:
        language: code of the language, such as en, zh or simple.
        **kwargs: as of `Vectors`.
    """

    url_base = "https://dl.fbaipublicfiles.com/fasttext/vectors-wiki/wiki.{}.vec"

    def __init__(self, language: str = "en", **kwargs: Any) -> None:
        super().__init__(f"wiki.{language}.vec", **{"url": self.url_base.format(language), **kwargs})


class CharNGram(Vectors):
    """Vectors of character n-grams (Hashimoto et al. 2017), in 100 dimensions: a word is the mean of its n-grams.

    Args:
        **kwargs: as of `Vectors`.
    """

    name = "charNgram.txt"
    url = "http://www.logos.t.u-tokyo.ac.jp/~hassy/publications/arxiv2016jmt/jmt_pre-trained_embeddings.tar.gz"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(self.name, **{"url": self.url, **kwargs})

    def __getitem__(self, token: str) -> Tensor:
        """Return the vector of a word, (1, dim), as torchtext does."""
        chars = ["#BEGIN#", *token, "#END#"]
        grams = (
            f"{length}gram-{''.join(chars[start : start + length])}"
            for length in (2, 3, 4)
            for start in range(len(chars) - length + 1)
        )
        found = [self.stoi[gram] for gram in grams if gram in self.stoi] if token != "<unk>" else []
        if not found:
            return self.unk_init(torch.zeros(1, self.dim))
        return self.vectors[found].sum(0, keepdim=True) / len(found)


pretrained_aliases: dict[str, Callable[..., Vectors]] = {
    "charngram.100d": CharNGram,
    "fasttext.en.300d": partial(FastText, language="en"),
    "fasttext.simple.300d": partial(FastText, language="simple"),
    "glove.42B.300d": partial(GloVe, name="42B", dim=300),
    "glove.840B.300d": partial(GloVe, name="840B", dim=300),
    **{f"glove.twitter.27B.{dim}d": partial(GloVe, name="twitter.27B", dim=dim) for dim in (25, 50, 100, 200)},
    **{f"glove.6B.{dim}d": partial(GloVe, name="6B", dim=dim) for dim in (50, 100, 200, 300)},
}


def _provide(name: str, folder: Path, url: str | None) -> Path:
    """Return the file `name` in a folder, downloaded and taken out of its archive if it is missing."""
    path = folder / name
    if path.is_file():
        return path
    if url is None:
        raise FileNotFoundError(f"there are no vectors at '{path}', nor at '{name}': put the file there, or pass `url`")
    archive = download(url, folder / url.rpartition("/")[2])
    if archive != path:
        _take_member(archive, name, path)
    return path


def _take_member(archive: Path, name: str, path: Path) -> None:
    """Copy the file of this name out of an archive, in whatever folder it is there."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.namelist():
                if Path(member).name == name:
                    return _copy(zipped.open(member), path)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            for info in tar:
                if Path(info.name).name == name and (file := tar.extractfile(info)) is not None:
                    return _copy(file, path)
    raise DataError(f"'{archive}' is no archive with the file '{name}': delete it, or pass another `url`")


def _copy(source: IO[bytes], path: Path) -> None:
    with source, whole_file(path) as unfinished, unfinished.open("wb") as file:
        shutil.copyfileobj(source, file)


def _load(path: Path, folder: Path, max_vectors: int | None) -> tuple[list[str], Tensor]:
    """Return words and vectors of a text file, or of what was kept of the same file before."""
    stat = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {max_vectors}".encode()).hexdigest()[:16]
    kept = folder / f"{path.name}.{key}.pt"
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        return state["words"].split("\n"), state["vectors"]
    words, vectors = _read(path, max_vectors)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(kept) as unfinished:
        torch.save({"words": "\n".join(words), "vectors": vectors}, unfinished)  # one text is loaded at once
    return words, vectors


def _read(path: Path, max_vectors: int | None) -> tuple[list[str], Tensor]:
    words: list[str] = []
    numbers = array("f")
    dim = 0
    for number, line in enumerate(_read_lines(path), 1):
        if len(words) == max_vectors:
            break
        # Bytes, and by one space: words may hold blanks of Unicode.
        start, *entries = line.rstrip().split(b" ")
        if len(entries) < 2:
            logger.warning("'%s', line %d is skipped: %d numbers, probably a header", path, number, len(entries))
            continue
        dim = dim or len(entries)
        try:
            if len(entries) != dim:
                raise DataError(f"expected {dim} numbers after the word, received {len(entries)}")
            word = start.decode()
            numbers.extend(map(float, entries))
        except UnicodeDecodeError:
            logger.warning("'%s', line %d is skipped: the word %r is not in UTF-8", path, number, start)
            continue
        except ValueError as error:
            raise DataError(f"'{path}', line {number}: {error}; delete the line, or download the file again") from error
        words.append(word)
    if not words:
        raise DataError(f"'{path}' has no vectors: expected a word and at least two numbers in each line")
    return words, torch.from_numpy(np.frombuffer(numbers, np.float32).reshape(-1, dim).copy())


def _read_lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from file
