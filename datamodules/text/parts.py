"""Parts of a text by name, as a tokenizer saw them, and where the text has them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from .vocabulary import UNK

Span = tuple[int, int]
BLANK = "(blank)"  # name of an empty word, which some tokenizers make of two blanks
ENTITY = re.compile(r"&#?\w+;")
INVISIBLE = re.compile(rf"<[^<>]*>|{ENTITY.pattern}")  # what tokenizers drop, or replace by a sign: tags, entities


class Part(NamedTuple):
    """A word or an n-gram of a text.

    Args:
        name: as it is shown; empty: it is no part of the text, such as padding.
        spans: start and end of each place in the text, in characters; none where it is not found, as a tokenizer may
            have changed it.
        is_known: whether it is in the vocabulary.
    """

    name: str
    spans: tuple[Span, ...] = ()
    is_known: bool = True


def locate_words(text: str, words: Sequence[str], ids: Sequence[int]) -> list[Part]:
    """Return the words of a text as parts, one for each id; padding has no name.

    Args:
        text: the text.
        words: its words.
        ids: id of each word, then padding.
    """
    spans = find_spans(text, words)
    parts = [
        Part(word or BLANK, () if span is None else (span,), index != UNK)
        for word, span, index in zip(words, spans, ids, strict=False)
    ]
    return [*parts, *[Part("")] * (len(ids) - len(parts))]


def locate_ngrams(text: str, words: Sequence[str], names: Sequence[str], longest: int) -> list[Part]:
    """Return n-grams of a text as parts, each with every place where it occurs.

    Args:
        text: the text.
        words: its words.
        names: the n-grams, as of `NgramIndex.name`: words with a blank between them, or characters in brackets.
        longest: number of words in the longest of them.
    """
    spans = find_spans(text, words)
    places: dict[str, list[Span]] = {}
    for order in range(1, longest + 1):
        for first in range(len(words) - order + 1):
            own = [span for span in spans[first : first + order] if span is not None]
            if len(own) == order:
                places.setdefault(" ".join(words[first : first + order]), []).append((own[0][0], own[-1][1]))
    return [_locate(text, name, words, spans, places) for name in names]


def _locate(
    text: str, name: str, words: Sequence[str], spans: Sequence[Span | None], places: dict[str, list[Span]]
) -> Part:
    if name in places:
        return Part(_as_written(text, name, places[name][0]), tuple(places[name]))
    if not (name.startswith("[") and name.endswith("]") and len(name) > 3):
        return Part(name)
    piece, found = name[1:-1], []
    for word, span in zip(words, spans, strict=True):
        if span is None or span[1] - span[0] != len(word):
            continue
        at = f" {word} ".find(piece)
        if at >= 0:  # a blank is the start or the end of the word
            found.append((max(span[0] + at - 1, span[0]), min(span[0] + at - 1 + len(piece), span[1])))
    return Part(name, tuple(found))


def _as_written(text: str, name: str, span: Span) -> str:
    """Return an n-gram without the blanks between its words where the text has none, as Chinese."""
    written = text[slice(*span)].lower()
    return written if written == name.replace(" ", "") else name


def find_spans(text: str, words: Sequence[str]) -> list[Span | None]:
    """Return start and end of each word in a text, in characters; None where the tokenizer changed the word.

    Args:
        text: the text.
        words: its words, in order, in any case.
    """
    lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    spans: list[Span | None] = []
    end = missed = 0
    for word in words:
        start = lowered.find(word.lower(), end) if word else -1
        between = INVISIBLE.sub("", lowered[end:start]) if start >= 0 else ""
        # A word further on is another one, unless a word before it was not found either.
        if start < 0 or (not missed and any(map(str.isalnum, between))):
            spans.append(None)
            missed += bool(word)
            continue
        entity = ENTITY.match(lowered, start)
        end, missed = entity.end() if entity else start + len(word), 0
        spans.append((start, end))
    return spans
