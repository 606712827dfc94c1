"""What was found in labelled texts: lengths, scripts, classes, duplicates, unknown words."""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.cache import Arrays, from_arrays

from ..findings import Findings

MOST_WORDS = 20_000  # frequent words whose characters are counted: the others hardly change the fractions
SCRIPTS_SHOWN = 4
LEAST_FRACTION = 0.005  # of a script to be named
BINS = 24  # of the table of lengths


def describe_lengths(lengths: NDArray[np.int64], max_len: int | None, what: str = "words") -> str:
    """Describe the number of words in a text; names how many are truncated.

    Args:
        lengths: number of words of each text, (N,).
        max_len: number of words to which texts are truncated; None: no limit.
        what: what is counted, words or tokens.
    """
    low, middle, high, most = np.quantile(lengths, [0, 0.5, 0.95, 1]).astype(int).tolist()
    described = f"{low:,} to {most:,} {what}, median {middle:,}, 95 % up to {high:,}"
    longer = 0 if max_len is None else int((lengths > max_len).sum())
    count = f"{longer:,} of {len(lengths):,} ({longer / len(lengths):.0%})"
    return described + (f"; {count} are longer than `max_len` {max_len:,} and truncated" if longer else "")


def tabulate_lengths(lengths: NDArray[np.int64]) -> pd.DataFrame:
    """Count texts by number of words: columns `words` (least of the bin) and `texts`."""
    edges = np.unique(np.geomspace(1, max(int(lengths.max()), 1) + 1, BINS).astype(np.int64))
    counts = np.bincount(np.clip(np.digitize(lengths, edges) - 1, 0, None), minlength=len(edges))
    return pd.DataFrame({"words": edges, "texts": counts[: len(edges)]})


def describe_scripts(corpus: Arrays, counts: NDArray[np.int64]) -> str:
    """Describe the scripts of the letters of texts, such as `Latin 93 %, Han 7 %`.

    Args:
        corpus: all texts, as returned by `corpus.tokenise`.
        counts: number of occurrences of each word, (num_words,).
    """
    found = count_scripts(corpus, counts)
    total = max(sum(found.values()), 1)
    shown = [
        f"{name} {count / total:.0%}"
        for name, count in found.most_common(SCRIPTS_SHOWN)
        if count >= LEAST_FRACTION * total
    ]
    return ", ".join(shown) or "no letters"


def count_scripts(corpus: Arrays, counts: NDArray[np.int64]) -> Counter[str]:
    """Count the letters of texts by script, and emoji; arguments as of `describe_scripts`."""
    order = np.argsort(-counts, kind="stable")[:MOST_WORDS]
    words = from_arrays(corpus["words_ends"], corpus["words_bytes"]).take(order.astype(np.int64)).to_pylist()
    found: Counter[str] = Counter()
    for word, count in zip(words, counts[order].tolist(), strict=True):
        for character in word:
            if (script := find_script(character)) is not None:
                found[script] += count
    return found


@cache
def find_script(character: str) -> str | None:
    """Return the script of a letter by its Unicode name, `emoji` for a symbol, None for digits and punctuation."""
    category = unicodedata.category(character)
    if category == "So":
        return "emoji"
    if category not in ("Lu", "Ll", "Lt", "Lo"):
        return None
    first = unicodedata.name(character, "unknown").split()[0].capitalize()
    return {"Cjk": "Han", "Fullwidth": "Latin"}.get(first, first)


def find_in_texts(
    corpus: Arrays,
    rows: Mapping[str, NDArray[np.int64]],
    counts: NDArray[np.int64],
    *,
    max_len: int | None,
    what: str = "words",
) -> Findings:
    """Find lengths and scripts of the texts that are used.

    Args:
        corpus: all texts.
        rows: indices of the texts of each split.
        counts: number of occurrences of each word in train, (num_words,).
        max_len: number of words to which texts are truncated; None: no limit.
        what: what is counted, words or tokens.
    """
    used = np.concatenate(list(rows.values()))
    lengths = np.diff(corpus["offsets"])[used]
    return Findings(
        facts={"lengths": describe_lengths(lengths, max_len, what), "scripts": describe_scripts(corpus, counts)},
        tables={"lengths": tabulate_lengths(lengths)},
    )
