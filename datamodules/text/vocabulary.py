"""A vocabulary with the word ids of torchtext."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightfit.errors import DataError, MissingPackageError
from lightfit.extras import how_to_install

from .tokenizers import tokenize, tokenize_words

__all__ = ["PAD", "SPECIALS", "UNK", "Vocabulary", "tokenize", "tokenize_words"]  # old checkpoints name them here

Integers = NDArray[np.integer[Any]]
UNK, PAD = 0, 1
SPECIALS = ("<unk>", "<pad>")


class Vocabulary:
    """Words by id: `<unk>` 0, `<pad>` 1, then by decreasing frequency, and alphabetically if equally frequent.

    Args:
        freqs: number of occurrences of each word in the training split.
        max_words: number of words to keep, the two special tokens included; by default all.

    Attributes:
        itos: words by id.
        stoi: ids by word, of the words kept.
        num_seen: number of distinct words in `freqs`.

    Raises:
        DataError: no word is left.
    """

    def __init__(self, freqs: Mapping[str, int], *, max_words: int | None = None) -> None:
        words = pa.array(freqs, pa.string())
        counts = np.fromiter(freqs.values(), np.int64, len(freqs))
        self._select(words, counts, pc.sort_indices(words).to_numpy(), max_words)

    @classmethod
    def from_counts(
        cls, words: pa.StringArray, counts: Integers, alphabet: Integers, *, max_words: int | None = None
    ) -> "Vocabulary":
        """Build a vocabulary from arrays of words and counts, which is faster for many words.

        Args:
            words: the words in any order.
            counts: number of occurrences of each word, (N,); words with 0 are left out.
            alphabet: indices of the words in alphabetical order, (N,).
            max_words: as in `Vocabulary`.

        Raises:
            DataError: no word is left.
        """
        made = cls.__new__(cls)
        made._select(words, counts, alphabet, max_words)
        return made

    def _select(self, words: pa.StringArray, counts: Integers, alphabet: Integers, max_words: int | None) -> None:
        there = alphabet[counts[alphabet] > 0]
        order = there[np.argsort(-counts[there], kind="stable")]
        self._counted = words, counts, there
        self.num_seen = len(there)
        kept = words.take(pa.array(order[:max_words])).to_pylist()  # possibly two too many, as the specials are added
        self.itos = [*SPECIALS, *(word for word in kept if word not in SPECIALS)][:max_words]
        self.stoi = {word: index for index, word in enumerate(self.itos)}
        if len(self.itos) <= len(SPECIALS):
            raise DataError(
                f"the vocabulary has no words: expected at least one besides {' and '.join(SPECIALS)}, received "
                f"{self.num_seen} distinct words with `max_words` {max_words}; increase it, or check `tokenizer`"
            )

    @cached_property
    def freqs(self) -> Counter[str]:
        """Return the frequency of each word, also of those not kept; computed on first access, as there are many."""
        words, counts, there = self._counted
        return Counter(dict(zip(words.take(pa.array(there)).to_pylist(), counts[there].tolist(), strict=True)))

    def __len__(self) -> int:
        return len(self.itos)

    def __getitem__(self, word: str) -> int:
        """Return the id of a word, 0 if it is unknown."""
        return self.stoi.get(word, UNK)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of tokens, 0 for unknown ones."""
        return [self.stoi.get(token, UNK) for token in tokens]

    def encode_words(self, words: pa.StringArray) -> NDArray[np.int32]:
        """Return the ids of many words, (N,) int32, 0 for unknown ones."""
        found = pc.index_in(words, value_set=pa.array(self.itos, pa.string()))
        return found.fill_null(UNK).to_numpy(zero_copy_only=False).copy()  # Arrow's own memory is read-only

    def state_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint: the words kept and their frequencies, each list as JSON.

        torch reads a list of 60,000 words one by one, in half a second, and a string at once.
        """
        return {"itos": json.dumps(self.itos), "freqs": json.dumps([self.freqs[word] for word in self.itos])}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> "Vocabulary":
        """Return the vocabulary that `state_dict` came from, with `freqs` of the words kept alone."""
        # Checkpoints of format 1 may have the lists themselves.
        itos, freqs = (json.loads(kept) if isinstance(kept, str) else kept for kept in (state["itos"], state["freqs"]))
        return cls._from_words(itos, dict(zip(itos, freqs, strict=True)))

    @classmethod
    def from_torchtext(cls, vocab: Any) -> "Vocabulary":
        """Convert a `torchtext.vocab.Vocab` of release 0.6, or of later ones with `get_itos()`.

        Raises:
            ValueError: the first two words are not `<unk>` and `<pad>`.
        """
        itos = getattr(vocab, "itos", None) or vocab.get_itos()
        if tuple(itos[:2]) != SPECIALS:
            raise ValueError(f"expected a vocabulary that begins with {SPECIALS}, received one with {tuple(itos[:2])}")
        return cls._from_words(itos, getattr(vocab, "freqs", {}))

    @classmethod
    def _from_words(cls, itos: Iterable[str], freqs: Mapping[str, int]) -> "Vocabulary":
        made = cls.__new__(cls)
        made.itos = list(itos)
        made.stoi = {word: index for index, word in enumerate(made.itos)}
        made.freqs = Counter({word: count for word, count in freqs.items() if count})
        made.num_seen = len(made.freqs)
        return made

    def to_torchtext(self) -> Any:
        """Convert to a `torchtext.vocab.Vocab` of release 0.6 with the same words, ids and frequencies.

        Raises:
            MissingPackageError: torchtext 0.6.0 is not installed.
        """
        try:
            from torchtext.vocab import Vocab
        except (ImportError, OSError) as error:  # later releases fail on loading their own operators
            raise MissingPackageError(f"this needs torchtext 0.6.0: {how_to_install('torchtext')}") from error
        vocab = Vocab(self.freqs, max_size=len(self) - len(SPECIALS), specials=list(SPECIALS))
        vocab.itos = list(self.itos)
        vocab.stoi.clear()
        vocab.stoi.update(self.stoi)
        return vocab
