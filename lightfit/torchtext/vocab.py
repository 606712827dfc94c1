"""Vocabularies: words by id, and optionally a vector for each."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lightfit.errors import MissingPackageError, clip

from .vectors import CharNGram, FastText, GloVe, Vectors, pretrained_aliases

__all__ = [
    "CharNGram",
    "FastText",
    "GloVe",
    "SubwordVocab",
    "Vectors",
    "Vocab",
    "build_vocab_from_iterator",
    "pretrained_aliases",
]


class WordIds(dict[Any, int]):
    """Ids by word, that of `<unk>` for words that are not there; looking one up does not add it.

    Args:
        words: words by id.
        unk_index: the id of unknown words; None: they are an error.
    """

    def __init__(self, words: Iterable[Any] = (), unk_index: int | None = None) -> None:
        super().__init__((word, index) for index, word in enumerate(words))
        self.unk_index = unk_index

    def __missing__(self, word: Any) -> int:
        if self.unk_index is None:
            raise KeyError(
                f"'{clip(word)}' is not in the vocabulary, which has no '{Vocab.UNK}' for unknown words: build it from "
                f"all data sets, or with `unk_token='{Vocab.UNK}'`"
            )
        return self.unk_index


class Vocab:
    """Words by id: special tokens, then by decreasing frequency, and alphabetically if equally frequent.

    Args:
        counter: number of occurrences of each word.
        max_size: number of words to keep, special tokens not included; None: all.
        min_freq: number of occurrences of a word, from which on it is kept.
        specials: special tokens; where `<unk>` is one, its id is that of unknown words.
        vectors: as in `load_vectors`.
        unk_init: as in `Vectors`.
        vectors_cache: `cache` of `Vectors`.
        specials_first: whether special tokens come before the words or after them.

    Attributes:
        freqs: `counter`.
        itos: words by id.
        stoi: ids by word.
        vectors: (words, dimensions) float32, or None.

    Raises:
        ValueError: `unk_init` or `vectors_cache` without `vectors`, or vectors that are none.
    """

    UNK = "<unk>"

    def __init__(
        self,
        counter: Mapping[Any, int],
        max_size: int | None = None,
        min_freq: int = 1,
        specials: Iterable[Any] = ("<unk>", "<pad>"),
        vectors: Any = None,
        unk_init: Callable[[Tensor], Tensor] | None = None,
        vectors_cache: Any = None,
        specials_first: bool = True,
    ) -> None:
        self.freqs = counter
        specials = list(specials)
        not_words = set(specials)
        min_freq = max(min_freq, 1)
        found = [(-freq, word) for word, freq in counter.items() if freq >= min_freq and word not in not_words]
        words = [word for _, word in sorted(found)][:max_size]
        has_unk = self.UNK in specials
        self._set_words([*specials, *words] if specials_first else [*words, *specials], has_unk)
        self.vectors: Tensor | None = None
        if vectors is not None:
            self.load_vectors(vectors, unk_init=unk_init, cache=vectors_cache)
        elif unk_init is not None or vectors_cache is not None:
            raise ValueError(
                "`unk_init` and `vectors_cache` have no effect without `vectors`: set it, or leave them out"
            )

    def _set_words(self, words: list[Any], has_unk: bool) -> None:
        self.itos = words
        self.unk_index = words.index(self.UNK) if has_unk else None
        self.stoi = WordIds(words, self.unk_index)

    def __getitem__(self, token: Any) -> int | None:
        """Return the id of a word, that of `<unk>` if it is unknown, or None without one."""
        return self.stoi.get(token, self.stoi.get(self.UNK))

    def __len__(self) -> int:
        return len(self.itos)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocab):
            return NotImplemented
        if self.vectors is None or other.vectors is None:
            same_vectors = self.vectors is other.vectors
        else:
            same_vectors = torch.equal(self.vectors, other.vectors)
        return same_vectors and (self.itos, self.stoi, self.freqs) == (other.itos, other.stoi, other.freqs)

    __hash__ = None  # type: ignore[assignment] # it changes, by `extend`

    def extend(self, v: Any, sort: bool = False) -> None:
        """Add the words of another vocabulary, or of `Vectors`, that are not there yet.

        Args:
            v: what has `itos`.
            sort: whether they are added in alphabetical order.
        """
        for word in sorted(v.itos) if sort else v.itos:
            if word not in self.stoi:
                self.stoi[word] = len(self.itos)
                self.itos.append(word)

    def load_vectors(self, vectors: Any, **kwargs: Any) -> None:
        """Set `vectors` from pretrained ones.

        Args:
            vectors: `Vectors`, a name among `pretrained_aliases` (`glove.6B.100d`, which is downloaded), or a list of
                these, whose dimensions are put side by side.
            **kwargs: of `Vectors`, for those named.

        Raises:
            ValueError: it is none of these.
        """
        sources = [_make_vectors(item, kwargs) for item in (vectors if isinstance(vectors, list) else [vectors])]
        rows = [torch.cat([source[token.strip()].reshape(-1) for source in sources]) for token in self.itos]
        self.vectors = torch.stack(rows)

    def set_vectors(
        self,
        stoi: Mapping[Any, int],
        vectors: Any,
        dim: int,
        unk_init: Callable[[Tensor], Tensor] = torch.Tensor.zero_,
    ) -> None:
        """Set `vectors` from rows of a table.

        Args:
            stoi: index of a word's vector in `vectors`.
            vectors: vectors by index.
            dim: their number of dimensions.
            unk_init: function of zeros, (dim,), for words without a vector.
        """
        rows = [vectors[stoi[word]] if word in stoi else unk_init(torch.zeros(dim)) for word in self.itos]
        self.vectors = torch.stack([torch.as_tensor(row, dtype=torch.float32) for row in rows]).reshape(-1, dim)


def _make_vectors(vectors: Any, kwargs: dict[str, Any]) -> Vectors:
    if isinstance(vectors, Vectors):
        return vectors
    if isinstance(vectors, str) and vectors in pretrained_aliases:
        return pretrained_aliases[vectors](**kwargs)
    raise ValueError(
        f"expected `vectors` as Vectors or one of {', '.join(pretrained_aliases)}, received {clip(vectors)}"
    )


class SubwordVocab(Vocab):
    """Pieces of words, found by revtok.

    Args:
        counter: number of occurrences of each word.
        max_size: number of pieces to keep, special tokens not included; None: all.
        specials: special tokens.
        vectors: as in `Vocab`.
        unk_init: as in `Vocab`.

    Attributes:
        segment: function from a list of words to their pieces.

    Raises:
        ImportError: the package revtok is not installed.
    """

    def __init__(
        self,
        counter: Mapping[str, int],
        max_size: int | None = None,
        specials: Sequence[str] = ("<pad>",),
        vectors: Any = None,
        unk_init: Callable[[Tensor], Tensor] = torch.Tensor.zero_,
    ) -> None:
        try:
            import revtok
        except ModuleNotFoundError as error:
            raise MissingPackageError("subwords need the package revtok: pip install revtok") from error
        self.freqs = counter
        self.segment = revtok.SubwordSegmenter(counter, max_size)
        # Single characters first, so that any word can be written; then by decreasing value.
        pieces = sorted(self.segment.vocab.items(), key=lambda item: (len(item[0]) != 1, -item[1], item[0]))
        self._set_words([*specials, *(piece for piece, _ in pieces[:max_size])], self.UNK in specials)
        self.vectors = None
        if vectors is not None:
            self.load_vectors(vectors, unk_init=unk_init)


def build_vocab_from_iterator(iterator: Iterable[Iterable[str]]) -> Vocab:
    """Return the vocabulary of lists of tokens."""
    freqs: Counter[str] = Counter()
    for tokens in iterator:
        freqs.update(tokens)
    return Vocab(freqs)
