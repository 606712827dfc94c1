"""Fonts for names of any script: the default font, then the first installed one that has the characters."""

import logging
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry, FontProperties

log = logging.getLogger(__name__)

# Fonts of systems and distributions that are without serifs and read well, the first of each script first.
PREFERRED = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK TC", "Noto Sans SC", "Noto Sans JP"),
    *("Source Han Sans SC", "Source Han Sans CN", "Source Han Sans JP", "Source Han Sans", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "Malgun Gothic"),
    *("PingFang SC", "PingFang HK", "Hiragino Sans GB", "Hiragino Sans", "Heiti SC", "Heiti TC", "STHeiti"),
    *("Apple SD Gothic Neo", "Noto Sans Devanagari", "Nirmala UI", "Mangal", "Kohinoor Devanagari", "Lohit Devanagari"),
    *("Noto Sans", "Arial Unicode MS", "FreeSans", "Unifont"),
)
NO_FONTS = ("Last Resort",)  # draws a box for every character there is
EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC")

_told: set[str] = set()  # scripts without a font, each said once in a process


def find_missing(text: str, families: Sequence[str]) -> set[str]:
    """Return the characters of a text that no font of these families has.

    Args:
        text: the text.
        families: names of fonts, or generic ones such as `sans-serif`.
    """
    chars = {char for char in text if char.isprintable() and not char.isspace()}
    for family in families:
        if not chars:
            break
        chars -= _read_characters(font_manager.findfont(FontProperties(family=[family])))
    return chars


def find_fonts(chars: Iterable[str]) -> list[str]:
    """Return the families of installed fonts that have characters which the default font lacks, as few as possible.

    Where no font has some of them, one line says which package to install; once for each script.
    """
    families, missing = _search(frozenset(chars))
    _tell(missing)
    return list(families)


@cache
def _search(chars: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    families: list[str] = []
    missing = _cover(set(chars), _list_candidates(chars), families)
    if missing and _add_new_fonts():
        missing = _cover(missing, _list_candidates(missing), families)
    return tuple(families), frozenset(missing)


def _cover(missing: set[str], candidates: Iterable[FontEntry], families: list[str]) -> set[str]:
    """Add the families that have some of the characters, and return the characters that are still missing."""
    for font in candidates:
        if not missing:
            break
        if had := missing & _read_characters(font.fname):
            families.append(font.name)
            missing = missing - had
    return missing


def _list_candidates(chars: Iterable[str]) -> list[FontEntry]:
    """Return the installed fonts, upright and regular: the preferred ones, then those named as the script, then all."""
    order = {family: rank for rank, family in enumerate(PREFERRED)}
    scripts = {_name_script(char).title() for char in chars}

    def rank(font: FontEntry) -> tuple[int, int, str]:
        named = any(script in font.name for script in scripts)
        return order.get(font.name, len(PREFERRED)), 0 if named else 1, font.name

    fonts: dict[str, FontEntry] = {}
    for font in font_manager.fontManager.ttflist:
        if font.style == "normal" and font.weight in (400, "normal", "regular") and not font.name.startswith(NO_FONTS):
            fonts.setdefault(font.name, font)
    return sorted(fonts.values(), key=rank)


@cache
def _add_new_fonts() -> bool:
    """Add the fonts that were installed after matplotlib made its list of them; return whether there are any."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    new = sorted(set(font_manager.findSystemFonts()) - known)
    for path in new:
        with suppress(OSError, RuntimeError, ValueError):  # a file that is no font, or one without outlines
            font_manager.fontManager.addfont(path)
    return bool(new)


@cache
def _read_characters(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _name_script(char: str) -> str:
    return unicodedata.name(char, "?").partition(" ")[0].partition("-")[0]


def _tell(missing: frozenset[str]) -> None:
    scripts = {_name_script(char) for char in missing} - _told
    if not scripts:
        return
    _told.update(scripts)
    chars = "".join(sorted(char for char in missing if _name_script(char) in scripts))
    package = "fonts-noto-cjk" if scripts & set(EAST_ASIAN) else "fonts-noto-core"
    log.warning(
        "no installed font has the characters '%s', which are drawn as boxes: install one, such as the Noto fonts "
        "(Debian and Ubuntu: apt install %s; elsewhere from your system's list of fonts)",
        chars[:8],
        package,
    )
