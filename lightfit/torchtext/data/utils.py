"""Tokenizers by name, n-grams, and shuffling with a random state of its own."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from lightfit.errors import MissingPackageError

Tokenizer = Callable[[str], list[str]]

# What `basic_english` makes of each sign, in a text of lower case, without its double quotes.
BASIC_ENGLISH = {
    **{sign: f" {sign} " for sign in "'.,()!?"},
    **dict.fromkeys(("<br />", ";", ":"), " "),
}
BASIC_ENGLISH_SIGNS = re.compile("|".join(map(re.escape, BASIC_ENGLISH)))


def get_tokenizer(tokenizer: str | Tokenizer | None, language: str = "en") -> Tokenizer:
    """Return a function from a text to its tokens.

    Args:
        tokenizer: None to split at white space; `basic_english`; `spacy`, `moses`, `toktok`, `revtok` or `subword`,
            whose packages are needed; or a function, which is returned as it is.
        language: of `spacy`: a language code, whose rules need no model, or the name of an installed model.

    Raises:
        ValueError: there is no such tokenizer, or not for this language.
        ImportError: its package is not installed.
    """
    if tokenizer is None:
        return split_words
    if callable(tokenizer):
        return tokenizer
    if tokenizer == "basic_english":
        if language != "en":
            raise ValueError(f"the tokenizer basic_english is for `tokenizer_language` en only, received '{language}'")
        return tokenize_basic_english
    if tokenizer not in PACKAGES:
        raise ValueError(
            f"expected a tokenizer as None, a function, basic_english or one of {', '.join(PACKAGES)}, received "
            f"{tokenizer!r}"
        )
    package, build = PACKAGES[tokenizer]
    try:
        return build(language)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"the tokenizer {tokenizer} needs the package {package}: pip install {package}"
        ) from error


def split_words(text: str) -> list[str]:
    """Split a text at white space."""
    return text.split()


def tokenize_basic_english(text: str) -> list[str]:
    """Lower the case, separate punctuation marks from the words, drop quotes, colons and semicolons."""
    return BASIC_ENGLISH_SIGNS.sub(lambda match: BASIC_ENGLISH[match.group()], text.lower().replace('"', "")).split()


def _build_spacy(language: str) -> Tokenizer:
    import spacy

    is_model = spacy.util.is_package(language)
    return partial(_tokenize_by_spacy, (spacy.load(language) if is_model else spacy.blank(language)).tokenizer)


def _tokenize_by_spacy(tokenizer: Callable[[str], Any], text: str) -> list[str]:
    return [token.text for token in tokenizer(text)]


def _build_moses(language: str) -> Tokenizer:
    from sacremoses import MosesTokenizer

    return MosesTokenizer().tokenize


def _build_toktok(language: str) -> Tokenizer:
    from nltk.tokenize.toktok import ToktokTokenizer

    return ToktokTokenizer().tokenize


def _build_revtok(language: str) -> Tokenizer:
    import revtok

    return revtok.tokenize


def _build_subword(language: str) -> Tokenizer:
    import revtok

    return partial(revtok.tokenize, decap=True)


PACKAGES: dict[str, tuple[str, Callable[[str], Tokenizer]]] = {
    "spacy": ("spacy", _build_spacy),
    "moses": ("sacremoses", _build_moses),
    "toktok": ("nltk", _build_toktok),
    "revtok": ("revtok", _build_revtok),
    "subword": ("revtok", _build_subword),
}


def ngrams_iterator(token_list: Sequence[str], ngrams: int) -> Iterator[str]:
    """Yield the tokens, and then their n-grams from 2 up to `ngrams` words, with spaces between the words."""
    yield from token_list
    for length in range(2, ngrams + 1):
        for start in range(len(token_list) - length + 1):
            yield " ".join(token_list[start : start + length])


def interleave_keys(a: int, b: int) -> int:
    """Return one sorting key for two lengths below 65536, which puts pairs close together that are close in both.

    The bits of the two are interleaved (a Z-order curve), those of `a` first.
    """
    bits = zip(f"{a:016b}", f"{b:016b}", strict=False)
    return int("".join(bit for pair in bits for bit in pair), base=2)


class RandomShuffler:
    """Shuffling that continues from its own random state, and leaves Python's alone.

    Args:
        random_state: as of `random.getstate()`; None: the present one, so that `random.seed` before decides.
    """

    def __init__(self, random_state: tuple[Any, ...] | None = None) -> None:
        self._rng = random.Random()
        self.random_state = random.getstate() if random_state is None else random_state

    @property
    def random_state(self) -> tuple[Any, ...]:
        """Return the state before the next shuffle."""
        return self._rng.getstate()

    @random_state.setter
    def random_state(self, state: tuple[Any, ...]) -> None:
        version, internal, gauss_next = state
        self._rng.setstate((version, tuple(internal), gauss_next))  # a state that went through JSON has a list there

    def __call__(self, data: Sequence[Any]) -> list[Any]:
        """Return the items in another order."""
        return self._rng.sample(data, len(data))
