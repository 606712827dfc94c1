"""Words and their numbers, as torchtext numbers them."""

import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightfit.errors import DataError, MissingPackageError

Integers = NDArray[np.integer[Any]]
UNK, PAD = 0, 1
SPECIALS = ("<unk>", "<pad>")
# Unescaped on purpose: inside the class, the backslash of string.punctuation escapes the bracket behind it and is
# not stripped itself. re.escape would change the ids of a third of the reviews.
PUNCTUATION = re.compile(f"[{string.punctuation}]")
WORDS = re.compile(r"""\w+(?:'\w+)?|[!?.,;:()"]""")


def tokenize(text: str) -> list[str]:
    """The cookbook's tokens: punctuation removed, lower-case, split on one space; empty tokens stay.

    Source: lyhue1991/eat_pytorch_in_20_days, chapter 1-3; the trailing newline goes as in torchtext's Field.
    """
    return PUNCTUATION.sub("", text.rstrip("\n")).lower().split(" ")


def tokenize_words(text: str) -> list[str]:
    """Words with their apostrophes and punctuation marks, each a token, in lower case; HTML line breaks are blanks."""
    return WORDS.findall(text.lower().replace("<br />", " "))


# The tokenizers as data, for those who run a net without LightFit: each step a method of str, or `remove` and `find`,
# re.sub by nothing and re.findall.
PLACE = "lightfit.datamodules.text"
STEPS: dict[str, list[list[str]]] = {
    f"{PLACE}.tokenize": [
        ["rstrip", "\n"],
        ["remove", PUNCTUATION.pattern],
        ["lower"],
        ["split", " "],
    ],
    f"{PLACE}.tokenize_words": [["lower"], ["replace", "<br />", " "], ["find", WORDS.pattern]],
}


class Vocabulary:
    """Words by number: `<unk>` 0, `<pad>` 1, then by frequency down, equal ones by alphabet.

    Args:
        freqs: how often every word occurs in the training part.
        max_words: number of words kept, the two specials included; all of them by default.

    Attributes:
        itos: words by number.
        stoi: number by word; only the words that are kept.
        num_seen: number of distinct words that were given.

    Raises:
        DataError: no word is left.
    """

    def __init__(self, freqs: Mapping[str, int], *, max_words: int | None = None) -> None:
        words = pa.array(freqs, pa.string())
        counts = np.fromiter(freqs.values(), np.int64, len(freqs))
        self._number(words, counts, pc.sort_indices(words).to_numpy(), max_words)

    @classmethod
    def from_counts(
        cls, words: pa.StringArray, counts: Integers, alphabet: Integers, *, max_words: int | None = None
    ) -> "Vocabulary":
        """As from frequencies by word, where the words are many and were sorted before.

        Args:
            words: the words in any order.
            counts: how often each occurs, (N,); those that do not are left out.
            alphabet: positions of the words in the order of the alphabet, (N,).
            max_words: as in `Vocabulary`.

        Raises:
            DataError: no word is left.
        """
        made = cls.__new__(cls)
        made._number(words, counts, alphabet, max_words)
        return made

    def _number(self, words: pa.StringArray, counts: Integers, alphabet: Integers, max_words: int | None) -> None:
        there = alphabet[counts[alphabet] > 0]
        order = there[np.argsort(-counts[there], kind="stable")]
        self._counted = words, counts, there
        self.num_seen = len(there)
        kept = words.take(pa.array(order[:max_words])).to_pylist()  # two more than will be kept, for these two
        self.itos = [*SPECIALS, *(word for word in kept if word not in SPECIALS)][:max_words]
        self.stoi = {word: number for number, word in enumerate(self.itos)}
        if len(self.itos) <= len(SPECIALS):
            raise DataError(
                f"the vocabulary has no words: expected at least one besides {' and '.join(SPECIALS)}, received "
                f"{self.num_seen} distinct words with max_words {max_words}; raise max_words or look at the tokenizer"
            )

    @cached_property
    def freqs(self) -> Counter[str]:
        """Frequency by word; made when it is asked for, as a corpus has many more words than are kept."""
        words, counts, there = self._counted
        return Counter(dict(zip(words.take(pa.array(there)).to_pylist(), counts[there].tolist(), strict=True)))

    def __len__(self) -> int:
        return len(self.itos)

    def __getitem__(self, word: str) -> int:
        """The number of a word, 0 where it is not known."""
        return self.stoi.get(word, UNK)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The numbers of tokens, 0 for the ones not known."""
        return [self.stoi.get(token, UNK) for token in tokens]

    def number(self, words: pa.StringArray) -> NDArray[np.int32]:
        """The number of each of many words, 0 for the ones not known, (N,)."""
        found = pc.index_in(words, value_set=pa.array(self.itos, pa.string()))
        return found.fill_null(UNK).to_numpy(zero_copy_only=False).copy()  # Arrow's own cannot be written to

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
        return cls._numbered(itos, dict(zip(itos, freqs, strict=True)))

    @classmethod
    def from_torchtext(cls, vocab: Any) -> "Vocabulary":
        """From a `torchtext.vocab.Vocab`, of release 0.6 or of the later ones with `get_itos()`.

        Raises:
            ValueError: its first two words are not `<unk>` and `<pad>`.
        """
        itos = getattr(vocab, "itos", None) or vocab.get_itos()
        if tuple(itos[:2]) != SPECIALS:
            raise ValueError(f"expected a vocabulary that begins with {SPECIALS}, received one with {tuple(itos[:2])}")
        return cls._numbered(itos, getattr(vocab, "freqs", {}))

    @classmethod
    def _numbered(cls, itos: Iterable[str], freqs: Mapping[str, int]) -> "Vocabulary":
        made = cls.__new__(cls)
        made.itos = list(itos)
        made.stoi = {word: number for number, word in enumerate(made.itos)}
        made.freqs = Counter({word: count for word, count in freqs.items() if count})
        made.num_seen = len(made.freqs)
        return made

    def to_torchtext(self) -> Any:
        """A `torchtext.vocab.Vocab` of release 0.6 with the same words, numbers and frequencies.

        Raises:
            ImportError: torchtext 0.6.0 is not installed: `pip install 'lightfit[torchtext]'`.
        """
        try:
            from torchtext.vocab import Vocab
        except (ImportError, OSError) as error:  # later releases fail on loading their own operators
            raise MissingPackageError("torchtext 0.6.0 is needed: pip install torchtext==0.6.0") from error
        vocab = Vocab(self.freqs, max_size=len(self) - len(SPECIALS), specials=list(SPECIALS))
        vocab.itos = list(self.itos)
        vocab.stoi.clear()
        vocab.stoi.update(self.stoi)
        return vocab
