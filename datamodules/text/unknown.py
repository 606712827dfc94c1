"""Words that are not in the vocabulary: a note for a text that has no others, a warning where val has many."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightfit.cache import Arrays, from_arrays

from .findings import find_script
from .tokenizers import PLACE
from .vocabulary import PAD, UNK, Vocabulary

NO_KNOWN_WORD = "no word of this text is known: the prediction is that of an empty text"
MOST_TEXTS_UNKNOWN = 0.05  # fraction of the texts of a split without a known word
MOST_WORDS_UNKNOWN = 0.3  # fraction of the words of a split
WORDS_CHECKED = 2_000_000  # of a split, its first ones
NAMED_WORDS = 2_000  # frequent unknown words whose script is looked at
WITHOUT_BLANKS = ("Han", "Hiragana", "Katakana", "Katakana-hiragana", "Thai", "Lao", "Khmer", "Myanmar")


def note_unknown(x: Tensor) -> list[str]:
    """Return a note for each text of word ids (B, T) that has no known word, and an empty string for the others."""
    is_known = ((x != UNK) & (x != PAD)).any(1)
    return ["" if known else NO_KNOWN_WORD for known in is_known.tolist()]


def warn_of_unknown(
    corpus: Arrays, rows: Mapping[str, NDArray[np.int64]], vocabulary: Vocabulary, tokenizer: str
) -> list[str]:
    """Return a warning if a large fraction of val, or else of test, is unknown; it names the probable cause.

    Args:
        corpus: all texts, as returned by `corpus.tokenise`.
        rows: indices of the texts of each split that is not empty.
        vocabulary: words of the training texts.
        tokenizer: dotted path of the tokenizer.
    """
    split = next((name for name in ("val", "test") if name in rows), None)
    if split is None:
        return []
    words = from_arrays(corpus["words_ends"], corpus["words_bytes"])
    ids = vocabulary.encode_words(words)
    tokens, lengths = _take_tokens(corpus, rows[split])
    is_known = ids[tokens] != UNK
    num_known = np.bincount(np.repeat(np.arange(len(lengths)), lengths), weights=is_known, minlength=len(lengths))
    has_words = lengths > 0
    texts = int((has_words & (num_known == 0)).sum())
    fraction = 1 - float(is_known.mean()) if len(is_known) else 0.0
    if texts <= MOST_TEXTS_UNKNOWN * has_words.sum() and fraction <= MOST_WORDS_UNKNOWN:
        return []
    counts = np.bincount(tokens[~is_known], minlength=len(ids))
    order = np.argsort(-counts, kind="stable")[:NAMED_WORDS]
    common = dict(zip(words.take(order.astype(np.int64)).to_pylist(), counts[order].tolist(), strict=True))
    alone = f", and {texts:,} of {int(has_words.sum()):,} texts have no other words" if texts else ""
    return [
        f"{fraction:.0%} of the words of {split} are not in the vocabulary of train{alone}: "
        + _find_cause(common, vocabulary, tokenizer)
    ]


def _take_tokens(corpus: Arrays, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the concatenated tokens of the first texts of some rows, and the number of words of each text."""
    offsets = corpus["offsets"]
    lengths = np.diff(offsets)[rows]
    num_texts = max(int(np.searchsorted(lengths.cumsum(), WORDS_CHECKED, side="right")), 1)
    rows, lengths = rows[:num_texts], lengths[:num_texts]
    shift = np.repeat(offsets[rows] - (lengths.cumsum() - lengths), lengths)
    return corpus["tokens"][shift + np.arange(lengths.sum())], lengths


def _find_cause(common: Mapping[str, int], vocabulary: Vocabulary, tokenizer: str) -> str:
    """Return what probably makes these words unknown, and what to do.

    Args:
        common: number of occurrences of each unknown word.
        vocabulary: the vocabulary.
        tokenizer: dotted path of the tokenizer.
    """
    scripts: Counter[str] = Counter()
    for word, count in common.items():
        for script in map(find_script, word):
            if script is not None:
                scripts[script] += count
    without = [name for name, _ in scripts.most_common() if name in WITHOUT_BLANKS]
    best = f"{PLACE}.tokenize_any"
    if tokenizer != best and 2 * sum(scripts[name] for name in without) > sum(scripts.values()):
        return (
            f"they are in scripts without blanks between words ({', '.join(without[:3])}), which this `tokenizer` does "
            f"not split: set `tokenizer` to {best}"
        )
    if len(vocabulary) < vocabulary.num_seen:
        return (
            f"the vocabulary keeps {len(vocabulary):,} of {vocabulary.num_seen:,} words: increase `max_words`, or "
            "take another `tokenizer`"
        )
    return "train has too few texts for them, or `tokenizer` does not fit" + (
        "" if tokenizer == best else f"; {best} splits texts of any language"
    )
