"""Words and n-grams of a text by name and place."""

import pytest

from lightfit.datamodules.text.parts import BLANK, find_spans, locate_ngrams, locate_words
from lightfit.datamodules.text.tokenizers import tokenize, tokenize_any, tokenize_words


def find(text: str, tokenizer: object = tokenize_any) -> list[str | None]:
    words = tokenizer(text)  # type: ignore[operator]
    return [None if span is None else text[slice(*span)] for span in find_spans(text, words)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Not GOOD, not good.", ["Not", "GOOD", ",", "not", "good", "."]),
        ("", []),
        ("不好看", ["不", "好", "看"]),
        ("<b>A</b> film<br />Good", ["A", "film", "Good"]),
        ("Don\u2019t stop", [None, "stop"]),  # the quote is replaced
        ("İyi film", [None, "film"]),  # its lower case has two characters
        ("R&amp;B &#39;90", ["R", "&amp;", "B", "90"]),
        ("\uff21\uff11 good", [None, "good"]),  # full width
        ("so 👍🏽 good", ["so", "👍", "good"]),
    ],
)
def test_spans_of_any_language(text: str, expected: list[str | None]) -> None:
    assert find(text) == expected


def test_a_changed_word_is_not_found_further_on() -> None:
    """It would hide the words between."""
    assert find("isn't it? isnt it", tokenize) == [None, "it", "isnt", "it"]
    assert find_spans("a b c", ["c", "b", "c"]) == [None, (2, 3), (4, 5)]
    assert find("Two  blanks", tokenize) == ["Two", None, "blanks"]
    assert find("It's <br />fine", tokenize_words) == ["It's", "fine"]


def test_words_by_id() -> None:
    parts = locate_words("a xyz", ["a", "", "xyz"], [3, 4, 0, 1, 1])
    assert [(part.name, part.spans, part.is_known) for part in parts] == [
        ("a", ((0, 1),), True),
        (BLANK, (), True),
        ("xyz", ((2, 5),), False),
        ("", (), True),
        ("", (), True),
    ]


def test_ngrams_with_every_place() -> None:
    text = "Not good, not GOOD"
    names = ["not", "not good", "good , not", "[ood]", "[ n]", "[d ]", "gone", ""]
    found = locate_ngrams(text, tokenize_any(text), names, 3)
    texts = [[text[slice(*span)] for span in part.spans] for part in found]
    assert texts == [
        ["Not", "not"],
        ["Not good", "not GOOD"],
        ["good, not"],
        ["ood", "OOD"],
        ["N", "n"],
        ["d", "D"],
        [],
        [],
    ]
    assert [part.name for part in found] == names


def test_ngrams_of_chinese_are_shown_as_written() -> None:
    (part,) = locate_ngrams("不好看", ["不", "好", "看"], ["不 好"], 2)
    assert (part.name, part.spans) == ("不好", ((0, 2),))
