"""Texts of many kinds, on which the example program is compared with the codec."""

import unicodedata
from collections.abc import Sequence

# ruff: noqa: RUF001 - letters of other scripts are meant
WIDE = ord("\uff01") - ord("!")  # from a character to its full-width form


def make_odd_texts(words: Sequence[str]) -> dict[str, str]:
    """Make texts, by what is odd about them.

    Those of known words have them in another form, so that a step that is left out makes them unknown.

    Args:
        words: words that the codec knows.
    """
    known = " ".join(words)
    return {
        "empty": "",
        "blanks": " \t\n ",
        "known words": known,
        "a word twice": f"{known} {known}",
        "upper case": known.upper(),
        "very long": f"{known} so, it goes on. " * 300,
        "escaped letters": " ".join(f"&#{ord(word[0])};{word[1:]}" for word in words),
        "full width": "".join(chr(ord(char) + WIDE) if "!" <= char <= "~" else char for char in known),
        "soft hyphens": " ".join(f"{word[:1]}\u00ad{word[1:]}" for word in words),
        "decomposed": unicodedata.normalize("NFD", known),
        "tags between words": "<br />".join(words),
        "lines": "\n".join(words),
        "digits": "In 2024, 1,000.50 of 3.5 (10/10): 007 +1 1e5",
        "Chinese": "这部电影太好看了，iPhone拍的！不好？",
        "emoji": "so good 👍🏽👍 ❤️ 👩🏽‍🚀 🇩🇪 1️⃣ :-) <3",
        "NUL": "before\0after \0 and \x1b[0m",
        "mixed width": "ＡＢＣ　１２３ ｶﾞ full ｗｉｄｔｈ",
        "right to left": "مرحبًا بالعالم، كيف؟ שלום",
        "combining": "e\u0301te\u0301 İstanbul Straße น้ำ हिन्दी zero\u200bwidth so\u00adft",
        "HTML": "a<br />b &amp; &lt;p&gt; <b class='x'>c</b> it&#39;s",
        "quotes": "“don’t” «rock'n'roll» \"x\" `y`",
        "one half of a pair": "\ud83d alone",
    }
