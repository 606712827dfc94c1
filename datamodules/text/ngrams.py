"""The n-grams of the training texts by id, and texts as the distinct n-grams that they hold."""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import Self

from lightfit.errors import CheckpointError

from .vocabulary import PAD

Ids = NDArray[np.int64]
CHUNK_TOKENS = 2**20  # number of words to encode together
MOST_COUNTS = 2**23  # number of n-grams to collect before equal ones are added up
MOST_NGRAMS = 5  # words in an n-gram: keys of more would not fit into 64 bits for the largest indices
MOST_CHARS = 8
MOST_WEIGHTS = 4_000_000  # of a net with a weight for each id and output
FEWEST_NGRAMS = 10_000  # that are kept, however many outputs there are
NAMES = {2: "word pairs", 3: "word triples"}


class Words(NamedTuple):
    """The distinct words of some texts: their ids, and the ids of the character n-grams in each.

    Attributes:
        ids: id of each word in the vocabulary, (W,).
        piece_ends: end of each word's ids in `pieces`, (W + 1,).
        pieces: ranks of the known character n-grams of all words, concatenated; each once a word.
    """

    ids: Ids
    piece_ends: Ids
    pieces: Ids


@dataclass(frozen=True, eq=False)
class NgramIndex:
    """Ids of n-grams: first those of the words, then word pairs, triples and so on, then character n-grams.

    Of the n-grams of several words, those of known words alone are counted. Each is found by a key, the rank of the
    n-gram without its last word (for pairs: the id of the first word) times the number of words, plus the last word.

    Args:
        num_words: number of words, the special tokens included; their ids are those of the vocabulary.
        keys: sorted keys of the n-grams of 2 words, of 3, and so on; an id is the rank among them, plus what is before.
        char_ngrams: number of characters of the longest character n-grams; None: there are none.
        pieces: the character n-grams, sorted; a blank is the start or the end of a word.
        seen: number of distinct n-grams in the training texts, of 2 words, of 3, ..., and of characters.
        min_texts: number of training texts that an n-gram had to occur in.
    """

    num_words: int
    keys: tuple[Ids, ...]
    char_ngrams: int | None = None
    pieces: tuple[str, ...] = ()
    seen: tuple[int, ...] = ()
    min_texts: int = 1

    def __len__(self) -> int:
        return self.num_words + sum(map(len, self.keys)) + len(self.pieces)

    @cached_property
    def _ranks(self) -> list[pd.Index]:
        return [pd.Index(keys) for keys in self.keys]

    @cached_property
    def _piece_ranks(self) -> dict[str, int]:
        return {piece: rank for rank, piece in enumerate(self.pieces)}

    @property
    def ngrams(self) -> int:
        """Return the number of words in the longest n-grams."""
        return len(self.keys) + 1

    @classmethod
    def fit(
        cls,
        tokens: NDArray[np.integer[Any]],
        offsets: Ids,
        rows: Ids,
        ids: NDArray[np.integer[Any]],
        words: pa.StringArray,
        *,
        num_words: int,
        ngrams: int,
        char_ngrams: int | None,
        max_ngrams: int,
        max_len: int | None = None,
    ) -> Self:
        """Index the n-grams of the training texts.

        Where there are more than `max_ngrams`, those are kept that occur in at least 2 texts, or 3, and so on.

        Args:
            tokens: words of all texts, concatenated, as indices of `words`.
            offsets: start of each text in `tokens`, and the end, (N + 1,).
            rows: indices of the training texts.
            ids: id of each word in the vocabulary, (W,).
            words: the distinct words.
            num_words: number of words in the vocabulary.
            ngrams: number of words in the longest n-grams.
            char_ngrams: number of characters in the longest character n-grams; None: none.
            max_ngrams: number of n-grams to keep, beside the words.
            max_len: number of words after which texts are cut.
        """
        texts = _Texts(tokens, offsets, rows, max_len)
        keys: list[Ids] = []
        counts: list[Ids] = []
        seen: list[int] = []
        threshold = 1
        for _ in range(2, ngrams + 1):
            held = cls(num_words, tuple(keys))
            counter = _Counter()
            for chunk, row in texts:
                *_, (rows_of_key, longest) = held._iterate_keys(np.asarray(ids, np.int64)[chunk], row)
                counter.add(rows_of_key, longest)
            found, number = counter.total()
            seen.append(len(found))
            # An n-gram occurs in no more texts than its first words do, so that what is left out here stays out.
            threshold = max(threshold, _find_threshold([number], max_ngrams))
            kept = number >= threshold
            keys.append(found[kept])
            counts.append(number[kept])
        pieces: list[str] = []
        if char_ngrams is not None:
            table = split_words(words, char_ngrams)
            counter = _Counter()
            for chunk, row in texts:
                counter.add(*_expand(*_distinct(row, chunk, len(words)), table.ends, table.values))
            found, number = counter.total()
            seen.append(len(found))
            counts.append(number)
            pieces = [table.pieces[index] for index in found.tolist()]
        threshold = max(threshold, _find_threshold(counts, max_ngrams))
        known = [number >= threshold for number in counts]
        if char_ngrams is not None:
            is_kept = known.pop()
            pieces = sorted(piece for piece, kept in zip(pieces, is_kept.tolist(), strict=True) if kept)
        return cls(num_words, _rank_again(keys, known, num_words), char_ngrams, tuple(pieces), tuple(seen), threshold)

    def table(self, ids: NDArray[np.integer[Any]], words: Sequence[str] | pa.StringArray) -> Words:
        """Return distinct words with their ids and their character n-grams.

        Args:
            ids: id of each word in the vocabulary, (W,).
            words: the words.
        """
        word_ids: Ids = np.asarray(ids, np.int64)
        if self.char_ngrams is None:
            return Words(word_ids, np.zeros(len(ids) + 1, np.int64), np.zeros(0, np.int64))
        ranks = self._piece_ranks
        strings = words.to_pylist() if isinstance(words, pa.Array) else words
        known = [[ranks[p] for p in _list_pieces(w, self.char_ngrams) if p in ranks] for w in strings]
        ends = np.cumsum([0, *map(len, known)])
        return Words(word_ids, ends, np.fromiter((rank for own in known for rank in own), np.int64, int(ends[-1])))

    def encode(self, tokens: NDArray[np.integer[Any]], lengths: Ids, words: Words) -> tuple[Ids, NDArray[np.int32]]:
        """Return the number of distinct n-grams in each text, (N,), and their ids, concatenated and sorted by text.

        Unknown words, and n-grams with such a word in them, are left out.

        Args:
            tokens: words of the texts, concatenated, as indices of `words`.
            lengths: number of words in each text, (N,).
            words: the distinct words.
        """
        row = np.repeat(np.arange(len(lengths)), lengths)
        ids = words.ids[tokens]
        known = ids > PAD
        found = [(row[known], ids[known])]
        start = self.num_words
        for ranks, (rows_of_key, wanted) in zip(self._ranks, self._iterate_keys(ids, row), strict=False):
            rank, is_kept = _look_up(ranks, wanted)
            found.append((rows_of_key[is_kept], start + rank[is_kept]))
            start += len(ranks)
        if self.pieces:
            rows_of_piece, pieces = _expand(
                *_distinct(row, np.asarray(tokens, np.int64), len(words.ids)), words.piece_ends, words.pieces
            )
            found.append((rows_of_piece, start + pieces))
        rows, every = (np.concatenate(parts) for parts in zip(*found, strict=True))
        rows, every = _distinct(rows, every, len(self))
        return np.bincount(rows, minlength=len(lengths)), every.astype(np.int32)

    def encode_corpus(
        self, tokens: NDArray[np.integer[Any]], offsets: Ids, words: Words, *, max_len: int | None
    ) -> tuple[Ids, NDArray[np.int32]]:
        """Encode all texts of a corpus, some at a time; return offsets (N + 1,) and ids, as `encode`."""
        lengths, ids = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
        for first, last in _cut(offsets):
            taken, own = _take(tokens, offsets, np.arange(first, last), max_len)
            counts, encoded = self.encode(taken, own, words)
            lengths.append(counts)
            ids.append(encoded)
        return np.concatenate(lengths).cumsum(), np.concatenate(ids)

    def _iterate_keys(self, ids: Ids, row: Ids) -> Iterator[tuple[Ids, Ids]]:
        """Yield rows and keys of the n-grams of 2 words, of 3, and so on, one more than this index has.

        Args:
            ids: ids of the words of the texts.
            row: row of each word, not decreasing.
        """
        prefix, known = ids, ids > PAD
        for ranks in (*self._ranks, None):
            if len(prefix) < 2:
                yield np.zeros(0, np.int64), np.zeros(0, np.int64)
                prefix, known = prefix[:0], known[:0]
                continue
            last = ids[len(ids) - len(prefix) + 1 :]
            whole = known[:-1] & (last > PAD) & (row[: len(last)] == row[len(row) - len(last) :])
            wanted = prefix[:-1] * self.num_words + last
            yield row[: len(last)][whole], wanted[whole]
            if ranks is None:
                return
            rank, is_kept = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
            rank[whole], is_kept[whole] = _look_up(ranks, wanted[whole])
            prefix, known = rank, is_kept

    def name(self, index: int, itos: Sequence[str]) -> str:
        """Return the n-gram of an id, words with a blank between them; characters are in brackets.

        Args:
            index: the id.
            itos: the words by id.
        """
        if index < self.num_words:
            return itos[index]
        rank = index - self.num_words
        for order, keys in enumerate(self.keys):
            if rank < len(keys):
                words = []
                for before in range(order, -1, -1):
                    rank, last = divmod(int(self.keys[before][rank]), self.num_words)
                    words.append(itos[last])
                return " ".join([itos[rank], *words[::-1]])
            rank -= len(keys)
        return f"[{self.pieces[rank]}]"

    def describe(self) -> str:
        """Return how many n-grams are kept, such as `412,000 of 1,020,000 word pairs, those in at least 2 texts`."""
        kept = [*map(len, self.keys), *([len(self.pieces)] if self.char_ngrams else [])]
        names = [NAMES.get(order, f"{order}-word n-grams") for order in range(2, self.ngrams + 1)]
        names += [f"character n-grams of 2 to {self.char_ngrams}"] if self.char_ngrams else []
        parts = [f"{count:,} of {seen:,} {name}" for count, seen, name in zip(kept, self.seen, names, strict=True)]
        limit = f", those in at least {self.min_texts} texts" if self.min_texts > 1 else ""
        return ", ".join(parts) + limit

    def metadata(self) -> dict[str, Any]:
        """Return the index as plain lists, by which other programs find the ids of n-grams."""
        return {
            "keys": [keys.tolist() for keys in self.keys],
            "char_ngrams": self.char_ngrams,
            "pieces": list(self.pieces),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the index as plain data, its arrays compressed."""
        return {
            "num_words": self.num_words,
            "keys": [_pack(keys) for keys in self.keys],
            "char_ngrams": self.char_ngrams,
            "pieces": json.dumps(self.pieces),
            "seen": list(self.seen),
            "min_texts": self.min_texts,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build an index from the return value of `to_dict`.

        Raises:
            CheckpointError: the arrays cannot be read.
        """
        return cls(
            state["num_words"],
            tuple(map(_unpack, state["keys"])),
            state["char_ngrams"],
            tuple(json.loads(state["pieces"])),
            tuple(state["seen"]),
            state["min_texts"],
        )


def check_ngrams(ngrams: int, char_ngrams: int | None, max_ngrams: int) -> None:
    """Check the arguments of an index.

    Raises:
        ValueError: one is out of range.
    """
    if not 1 <= ngrams <= MOST_NGRAMS:
        raise ValueError(f"expected `ngrams` of 1 (words alone) to {MOST_NGRAMS}, received {ngrams}")
    if char_ngrams is not None and not 2 <= char_ngrams <= MOST_CHARS:
        raise ValueError(
            f"expected `char_ngrams` as the number of characters of the longest ones, 2 to {MOST_CHARS}, or null for "
            f"none, received {char_ngrams}"
        )
    if max_ngrams < 1:
        raise ValueError(f"expected `max_ngrams` of at least 1, received {max_ngrams}")


def limit_ngrams(max_ngrams: int, *, num_words: int, num_outputs: int) -> int:
    """Return the number of n-grams to keep where each has a weight for each output: fewer for more outputs.

    Args:
        max_ngrams: number of n-grams to keep at most.
        num_words: number of words, which are all kept.
        num_outputs: number of outputs of the net.
    """
    return min(max_ngrams, max(MOST_WEIGHTS // num_outputs - num_words, FEWEST_NGRAMS))


class _Pieces(NamedTuple):
    """Character n-grams of distinct words: `values` are indices of `pieces`, those of a word end at its `ends`."""

    pieces: list[str]
    ends: Ids
    values: Ids


def split_words(words: pa.StringArray, longest: int) -> _Pieces:
    """Return the character n-grams of each of many words."""
    numbers: dict[str, int] = {}
    ends, values = [0], []
    for word in words.to_pylist():
        values += [numbers.setdefault(piece, len(numbers)) for piece in _list_pieces(word, longest)]
        ends.append(len(values))
    return _Pieces(list(numbers), np.array(ends, np.int64), np.array(values, np.int64))


def _list_pieces(word: str, longest: int) -> list[str]:
    """Return the distinct pieces of 2 to `longest` characters of a word with blanks around it."""
    spaced = f" {word} "
    return list(
        dict.fromkeys(
            spaced[start : start + size] for size in range(2, longest + 1) for start in range(len(spaced) - size + 1)
        )
    )


class _Texts:
    """Words of some texts in chunks: tokens, and the row of each in its chunk."""

    def __init__(self, tokens: NDArray[np.integer[Any]], offsets: Ids, rows: Ids, max_len: int | None) -> None:
        self.tokens, self.offsets, self.rows, self.max_len = tokens, offsets, rows, max_len

    def __iter__(self) -> Iterator[tuple[Ids, Ids]]:
        lengths = self.offsets[self.rows + 1] - self.offsets[self.rows]
        for first, last in _cut(np.concatenate([[0], lengths.cumsum()])):
            taken, own = _take(self.tokens, self.offsets, self.rows[first:last], self.max_len)
            yield taken, np.repeat(np.arange(len(own)), own)


def _cut(offsets: Ids) -> Iterator[tuple[int, int]]:
    """Yield ranges of texts with some million words together, at least one text each."""
    first = 0
    while first < len(offsets) - 1:
        last = max(int(np.searchsorted(offsets, offsets[first] + CHUNK_TOKENS, side="right")) - 1, first + 1)
        yield first, last
        first = last


def _take(tokens: NDArray[np.integer[Any]], offsets: Ids, rows: Ids, max_len: int | None) -> tuple[NDArray[Any], Ids]:
    """Return the words of some texts, concatenated, and the number of words in each."""
    starts, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
    if max_len is not None:
        lengths = np.minimum(lengths, max_len)
    shift = np.repeat(starts - (lengths.cumsum() - lengths), lengths)
    return np.asarray(tokens[shift + np.arange(len(shift))]), lengths


def _distinct(row: Ids, value: Ids, size: int) -> tuple[Ids, Ids]:
    """Return the distinct pairs of row and value, sorted; values are in [0, size)."""
    both = np.sort(row * size + value)
    if len(both):
        both = both[np.concatenate([[True], both[1:] != both[:-1]])]
    return both // size, both % size


def _expand(row: Ids, word: Ids, ends: Ids, values: Ids) -> tuple[Ids, Ids]:
    """Return a row and a value for each value of each word."""
    starts, lengths = ends[word], ends[word + 1] - ends[word]
    shift = np.repeat(starts - (lengths.cumsum() - lengths), lengths)
    return np.repeat(row, lengths), values[shift + np.arange(len(shift))]


def _look_up(ranks: pd.Index, wanted: Ids) -> tuple[Ids, NDArray[np.bool_]]:
    """Return the rank of each wanted key, and whether it is known. Hashing takes a quarter of a binary search."""
    rank = ranks.get_indexer(pd.Index(wanted)).astype(np.int64)
    return rank, rank >= 0


class _Counter:
    """Number of texts that hold each key; texts come in chunks, which share none."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)
        self._waiting: list[Ids] = []

    def add(self, row: Ids, key: Ids) -> None:
        """Count each key once a row."""
        order = np.lexsort((row, key)) if len(key) and int(key.max()) > 2**62 // max(int(row.max()) + 1, 1) else None
        if order is None:
            key, _ = _distinct(key, row, int(row.max()) + 1 if len(row) else 1)
        else:
            key, row = key[order], row[order]
            key = key[np.concatenate([[True], (key[1:] != key[:-1]) | (row[1:] != row[:-1])])]
        self._waiting.append(key)
        if sum(map(len, self._waiting)) > MOST_COUNTS:
            self._add_up()

    def total(self) -> tuple[Ids, Ids]:
        """Return the keys, sorted, and the number of texts with each."""
        self._add_up()
        return self._keys, self._counts

    def _add_up(self) -> None:
        every = np.sort(np.concatenate([np.zeros(0, np.int64), *self._waiting]))
        first = np.flatnonzero(np.diff(every, prepend=-1))  # keys are not negative
        keys, counts = every[first], np.diff(first, append=len(every))
        if len(self._keys):
            keys, place = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([self._counts, counts])).astype(np.int64)
        self._keys, self._counts, self._waiting = keys, counts, []


def _find_threshold(counts: Sequence[Ids], limit: int) -> int:
    """Return the smallest number of texts so that at most `limit` n-grams are in that many."""
    every = np.concatenate([np.zeros(0, np.int64), *counts])
    if len(every) <= limit:
        return 1
    return int(np.partition(every, len(every) - limit - 1)[len(every) - limit - 1]) + 1


def _rank_again(keys: Sequence[Ids], kept: Sequence[NDArray[np.bool_]], num_words: int) -> tuple[Ids, ...]:
    """Return the keys that are kept, by the ranks of the prefixes that are kept, as those of kept keys all are."""
    ranked: list[Ids] = []
    ranks: Ids | None = None  # of the prefixes that are kept, by their former rank
    for own, chosen in zip(keys, kept, strict=True):
        prefix, last = np.divmod(own[chosen], num_words)
        ranked.append((prefix if ranks is None else ranks[prefix]) * num_words + last)
        ranks = chosen.cumsum() - 1
    return tuple(ranked)


def _pack(keys: Ids) -> str:
    """Encode sorted keys as text: their differences, byte by byte, compressed."""
    differences = np.diff(keys, prepend=0).astype("<i8").view(np.uint8).reshape(-1, 8)
    return base64.b64encode(zlib.compress(np.ascontiguousarray(differences.T).tobytes(), 6)).decode()


def _unpack(text: str) -> Ids:
    try:
        stored = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
        return np.ascontiguousarray(stored.reshape(8, -1).T).view("<i8").reshape(-1).astype(np.int64).cumsum()
    except (ValueError, zlib.error) as error:
        raise CheckpointError(f"the checkpoint's n-grams cannot be read ({error}): damaged or forged") from error
