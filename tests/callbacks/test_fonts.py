"""Names of any length and script on pictures."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from lightfit.callbacks.pictures import fonts
from lightfit.callbacks.pictures.fonts import find_fonts, find_missing
from lightfit.callbacks.pictures.names import measure_width, shorten, wrap
from lightfit.callbacks.pictures.plots import Plot


def make_font(path: Path, family: str, chars: str) -> None:
    """Write a font that draws a full square for some characters."""
    names = [".notdef", *(f"g{index}" for index in range(len(chars)))]
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(point)
    pen.closePath()
    square, empty = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(char): name for char, name in zip(chars, names[1:], strict=True)})
    builder.setupGlyf({name: empty if name == ".notdef" else square for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def only_default(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave matplotlib its own fonts alone, and forget what was found and said."""
    own = [font for font in font_manager.fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    monkeypatch.setattr(fonts, "_told", set())
    for cached in (fonts._search, fonts._add_new_fonts):
        cached.cache_clear()
    yield
    for cached in (fonts._search, fonts._add_new_fonts):
        cached.cache_clear()


def draw(title: str) -> tuple[Plot, np.ndarray]:
    figure = Plot(figsize=(3, 1))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(title)
    return figure, figure.pixels()


def test_the_default_font_has_most_names() -> None:
    assert find_missing("Straße, naïve, Ω, Привет", mpl.rcParams["font.family"]) == set()
    assert find_missing("cat 猫", ["sans-serif"]) == {"猫"}


@pytest.mark.usefixtures("only_default")
def test_a_font_that_has_the_characters_follows_the_default_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_font(tmp_path / "han.ttf", "Square Han", "猫狗")
    make_font(tmp_path / "hindi.ttf", "Square Devanagari", "ह")
    for name in ("han", "hindi"):
        font_manager.fontManager.addfont(tmp_path / f"{name}.ttf")
    before = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, _ = draw("cat 猫 ह")
    assert figure.axes[0].title.get_fontfamily() == ["sans-serif", "Square Devanagari", "Square Han"]
    assert dict(mpl.rcParams) == before
    assert not caplog.records
    assert draw("cat")[0].axes[0].title.get_fontfamily() == ["sans-serif"]


@pytest.mark.usefixtures("only_default")
def test_a_font_that_was_installed_since_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib keeps a list of fonts on disk, and does not look again."""
    make_font(tmp_path / "han.ttf", "Square Han", "猫")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    files = [str(tmp_path / "broken.ttf"), str(tmp_path / "han.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    assert find_fonts("猫") == ["Square Han"]


@pytest.mark.usefixtures("only_default")
def test_where_no_font_has_them_one_line_names_a_package(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")  # also of one warning a glyph
        for title in ("猫狗", "金鱼", "猫 and 狗"):
            draw(title)
        (said,) = caplog.messages
        assert "no installed font has the characters '狗猫'" in said
        assert "apt install fonts-noto-cjk" in said
        draw("हाथी")
    assert len(caplog.messages) == 2
    assert "apt install fonts-noto-core" in caplog.messages[1]


@pytest.mark.parametrize(
    ("name", "family"), [("猫和狗", "Noto Sans CJK"), ("고양이", "Noto Sans CJK"), ("हाथी", "Noto Sans Devanagari")]
)
def test_installed_fonts(name: str, family: str) -> None:
    if not any(family in path for path in map(fonts_name, font_manager.findSystemFonts())):
        pytest.skip(f"{family} is not installed")
    found = find_fonts(name)
    assert len(found) == 1
    assert found[0].startswith(family) or found[0] in fonts.PREFERRED
    assert find_missing(name, found) == set()


def fonts_name(path: str) -> str:
    try:
        return font_manager.get_font(path).family_name
    except (OSError, RuntimeError):
        return ""


def test_a_dollar_in_a_name_is_no_formula() -> None:
    draw(r"$5 {to} \$10 $_")


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("cat", 3, "cat"),
        ("Tomato___Tomato_Yellow_Leaf_Curl_Virus", 21, "Tomato___T…Curl_Virus"),
        ("大熊猫和长颈鹿", 9, "大熊…颈鹿"),
        ("one\ttwo\nthree", 20, "one two three"),
        ("बिल्लीबिल्ली", 5, "बि…ली"),  # no mark without its letter
        ("abc", 1, "…"),
    ],
)
def test_names_are_cut_in_the_middle(text: str, width: int, expected: str) -> None:
    assert shorten(text, width) == expected
    assert measure_width(shorten(text, width)) <= width


def test_names_are_wrapped_after_signs_and_blanks() -> None:
    assert wrap("Tomato___Tomato_Yellow_Leaf_Curl_Virus", 22) == "Tomato___Tomato_\nYellow_Leaf_Curl_Virus"
    assert wrap("a small cat", 20) == "a small cat"
    assert wrap("x" * 15, 10) == "xxxxxxxxxx\nxxxxx"
    for width in (5, 9, 20):
        lines = wrap("Cherry_(including_sour)___Powdery_mildew 大熊猫", width).split("\n")
        assert len(lines) <= 2
        assert max(map(measure_width, lines)) <= width
    assert wrap("", 5) == ""
