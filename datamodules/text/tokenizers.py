"""Tokenizers: functions from a text to its words, each also as steps of plain data."""

import html
import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

# Unescaped on purpose: inside the class, the backslash of string.punctuation escapes the bracket behind it and is
# not stripped itself. re.escape would change the ids of a third of the reviews.
PUNCTUATION = re.compile(f"[{string.punctuation}]")
WORDS = re.compile(r"""\w+(?:'\w+)?|[!?.,;:()"]""")


def tokenize(text: str) -> list[str]:
    """Tokenise as in the cookbook: remove punctuation, lower the case, split at each space; empty tokens stay.

    Source: lyhue1991/eat_pytorch_in_20_days, chapter 1-3; a trailing newline is removed, as in torchtext's Field.
    """
    return PUNCTUATION.sub("", text.rstrip("\n")).lower().split(" ")


def tokenize_words(text: str) -> list[str]:
    """Tokenise into lower-case words, with their apostrophes, and punctuation marks; HTML line breaks become spaces."""
    return WORDS.findall(text.lower().replace("<br />", " "))


def tokenize_any(text: str) -> list[str]:
    """Tokenise texts of any language, with emoji.

    Words are lower-case, with their apostrophes and combining marks; numbers keep their decimals. Scripts without
    blanks between words become characters (Chinese, Japanese) or syllables (Thai, Lao, Khmer, Burmese), which make
    words again in a net that sees neighbours. An emoji is one token, also a flag or a family, whatever its skin tone;
    so are emoticons and punctuation marks, and the `#` and `@` before a word. HTML tags and invisible characters are
    dropped, HTML entities decoded, full-width letters and curly quotes replaced by the plain ones.
    """
    # The same tokens as by all steps, in half the time for English.
    if text.isascii() and "&" not in text:
        text = text.lower()
        return LATIN_WORDS.findall(TAGS.sub(" ", text) if "<" in text else text)
    text = run_steps(CLEANING, text)
    return run_steps(SPLITTING, text) if BEYOND_LATIN.search(text) else LATIN_WORDS.findall(text)


def _join(*ranges: str) -> str:
    """Return the inside of a character class from ranges such as 4e00-9fff, in hexadecimal."""
    return "".join("-".join(rf"\U{end:0>8}" for end in item.split("-")) for text in ranges for item in text.split())


# Scripts that are written without blanks between words: their base characters, and the marks that follow these.
HAN = _join("3005-3007 3021-3029 3038-303b 3040-30ff 31f0-31ff 3400-4dbf 4e00-9fff f900-faff 1b000-1b16f 20000-3ffff")
THAI, THAI_MARKS = _join("0e01-0e46"), _join("0e30-0e3a 0e45 0e47-0e4e")
LAO, LAO_MARKS = _join("0e81-0eae 0eb0-0ebd 0ec0-0ec6 0edc-0edf"), _join("0eb0-0ebc 0ec8-0ece")
KHMER, KHMER_MARKS = _join("1780-17b3 17d7 17dc"), _join("17b4-17d1 17dd")
BURMESE, BURMESE_MARKS = (
    _join("1000-102a 103f 104e 1050-1055 a9e0-a9fe aa60-aa7a"),
    _join("102b-1038 103a-103e 1056-1059"),
)
NO_BLANKS = HAN + THAI + LAO + KHMER + BURMESE
SYLLABLES = (
    # A vowel written before its consonant, the consonant, and what stands above, below or behind it.
    rf"[{_join('0e40-0e44')}]?[{_join('0e01-0e2e')}][{THAI_MARKS}]*",
    rf"[{_join('0ec0-0ec4')}]?[{_join('0e81-0eae 0edc-0edf')}][{LAO_MARKS}]*",
    # A consonant below another one follows a joining sign.
    rf"[{_join('1780-17b3')}](?:{_join('17d2')}[{_join('1780-17b3')}]|[{KHMER_MARKS}])*",
    # A final consonant is marked as one, or stacked on the next.
    rf"[{BURMESE}](?:{_join('1039')}[{BURMESE}]|[{BURMESE}](?={_join('1037')}?{_join('103a')})|[{BURMESE_MARKS}])*",
)

# Marks that combine with the letter before: most are no word characters (\w) for Python. Of Indic scripts it is whole
# blocks but for the full stops. Last, the joiner within Indic words and the box around a digit, as of emoji.
MARKS = _join(
    "0300-036f 0483-0489 0591-05bd 05bf 05c1-05c2 05c4-05c5 05c7 0610-061a 064b-065f 0670 06d6-06dc 06df-06e4",
    "06e7-06e8 06ea-06ed 0711 0730-074a 07a6-07b0 07eb-07f3 0816-082d 0859-085b 0898-089f 08ca-08e1 08e3-0963",
    "0966-0df3 0f18-0f19 0f35 0f37 0f39 0f3e-0f3f 0f71-0f84 0f86-0f87 0f8d-0fbc 135d-135f 1712-1715 1732-1734",
    "180b-180d 18a9 1920-193b 1a17-1a1b 1a55-1a7f 1ab0-1ace 1b00-1b04 1b34-1b44 1b80-1b82 1ba1-1bad 1be6-1bf3",
    "1c24-1c37 1cd0-1cf9 1dc0-1dff 20d0-20f0 302a-302f 3099-309a a66f-a672 a674-a67d a69e-a69f a6f0-a6f1 a802 a806",
    "a80b a823-a827 a880-a881 a8b4-a8c5 a8e0-a8f1 a926-a92d a947-a953 a980-a983 a9b3-a9c0 abe3-abea abec-abed fb1e",
    "fe20-fe2f 200d",
)
WORD = rf"[^\W{NO_BLANKS}]+(?:[{MARKS}]+[^\W{NO_BLANKS}]*)*"
NUMBER_END = r"(?<=[0-9])(?:\.[0-9]+|,[0-9]{3}(?![0-9]))"  # 2.5 and 1,000
EMOTICON = r"[:;=]'?-?[()\[\]dp/\\|*](?![\w/])|<3(?!\w)"
MARK_SIGNS = r"""!?.,;:()"#@%$&*+"""
SIGNS = _join(
    "00a1 00a3-00a5 00bf 055c 055e 0589 05be 060c 061b 061f 066a 06d4 0964-0965 0df4 0e3f 0e5a-0e5b 0f0d-0f12",
    "104a-104b 1362-1368 17d4-17da 20a0-20bf 3001-3003 3008-3011 3014-301b",
)
PICTURE = _join(
    "00a9 00ae 2190-21ff 2300-23ff 25a0-27bf 2900-297f 2b00-2bff 3030 303d 1f000-1f1e5 1f200-1f3fa 1f400-1faff"
)
FLAG = rf"[{_join('1f1e6-1f1ff')}]{{2}}"
EMOJI = rf"[{PICTURE}][{_join('e0020-e007f')}]*(?:\u200d[{PICTURE}])*"  # tags spell the flags of regions

TAGS = re.compile(r"</?(?:br|p|a|b|i|u|s|em|strong|span|div|font|ul|ol|li|img|h[1-6]|td|tr|table|blockquote)\b[^<>]*>")
BEYOND_LATIN = re.compile(r"[\u0300-\U0010ffff]")
LATIN_WORDS = re.compile(  # what `ANY_WORDS` is for letters before these
    rf"\w+(?:'\w+|{NUMBER_END})*|{EMOTICON}|[{MARK_SIGNS}\u00a1\u00a3-\u00a5\u00a9\u00ae\u00bf]"
)
ANY_WORDS = (
    rf"{WORD}(?:'{WORD}|{NUMBER_END})*|[{HAN}]|{'|'.join(SYLLABLES)}|[{THAI}{LAO}{KHMER}]|{FLAG}|{EMOJI}|{EMOTICON}|"
    rf"[{MARK_SIGNS}{SIGNS}]"
)
# Soft hyphens, lengthened Arabic letters, joiners that only shape letters, direction marks, BOM; how an emoji is drawn,
# and its skin tone.
INVISIBLE = _join(
    "00ad 034f 061c 0640 180e 200c 200e-200f 202a-202e 2060-2064 2066-2069 fe00-fe0f feff 1f3fb-1f3ff e0100-e01ef"
)

CLEANING: list[list[str]] = [
    ["unescape"],
    *(["replace", quote, "'"] for quote in "\u2018\u2019\u02bc\u00b4"),  # typographic ones, and an accent
    *(["replace", quote, '"'] for quote in "\u201c\u201d\u201e\u00ab\u00bb"),  # English, German and French ones
    ["normalize", "NFKC"],
    ["lower"],
    ["replace", "i\u0307", "i"],  # what a Turkish İ becomes in lower case
    ["blank", TAGS.pattern],
    ["remove", f"[{INVISIBLE}]"],
]
SPLITTING = [["find", ANY_WORDS]]

# The tokenizers as data, to run a net without LightFit. Each step is the name of a function in `FUNCTIONS`, and its
# arguments but the first.
PLACE = "lightfit.datamodules.text"
STEPS: dict[str, list[list[str]]] = {
    f"{PLACE}.tokenize": [
        ["rstrip", "\n"],
        ["remove", PUNCTUATION.pattern],
        ["lower"],
        ["split", " "],
    ],
    f"{PLACE}.tokenize_words": [["lower"], ["replace", "<br />", " "], ["find", WORDS.pattern]],
    f"{PLACE}.tokenize_any": [*CLEANING, *SPLITTING],
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lower": str.lower,
    "rstrip": str.rstrip,
    "replace": str.replace,
    "split": str.split,
    "unescape": html.unescape,
    "normalize": lambda text, form: unicodedata.normalize(form, text),
    "remove": lambda text, pattern: re.sub(pattern, "", text),
    "blank": lambda text, pattern: re.sub(pattern, " ", text),
    "find": lambda text, pattern: re.findall(pattern, text),
}


def run_steps(steps: Sequence[Sequence[str]], text: str) -> Any:
    """Tokenise a text by steps as in `STEPS`; return what the last step does, a list of words."""
    item: Any = text
    for name, *arguments in steps:
        item = FUNCTIONS[name](item, *arguments)
    return item
