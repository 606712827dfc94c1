"""Dates and times as they are written in cells: their layout, and the numbers in it.

A layout is a text with each digit replaced by 0: a column has few of them, so that each is matched once, and the digits
of all cells of a layout are read together.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .zones import find_name

MISSING = -1  # of a number that a cell does not have
NO_OFFSET = -(10**6)  # minutes
MAX_CHARS = 64  # of a cell; longer ones hold no date
_CHUNK = 200_000  # cells whose characters are in memory at once

# Kinds of layouts, by what has to be decided on all cells of a column.
UNREAD, THREE, NAMED, NO_YEAR, DIGITS, MONTH, DAY, QUARTER, HALF, WEEK, ORDINAL, TIME = range(12)
FIELDS = ("a", "b", "c", "y", "m", "d", "q", "s", "w", "o", "n", "hour", "minute", "second", "nanos", "noon")

_MONTH_NAMES = (  # in English, German, French, Spanish, Italian, Portuguese and Dutch
    "january januar janvier enero gennaio janeiro januari jänner",
    "february februar février febrero febbraio fevereiro februari feber",
    "march märz mars marzo março maart maerz mrz mrt",
    "april avril abril aprile",
    "may mai mayo maggio maio mei",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august août agosto augustus",
    "september septembre septiembre settembre setembro",
    "october oktober octobre octubre ottobre outubro",
    "november novembre noviembre novembro",
    "december dezember décembre diciembre dicembre dezembro",
)
_WEEKDAY_NAMES = (
    "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun",
    "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so",
    "lundi mardi mercredi jeudi vendredi samedi dimanche lun mar mer jeu ven sam dim",
    "lunes martes miércoles jueves viernes sábado domingo mié jue vie sáb dom",
    "lunedì martedì mercoledì giovedì venerdì sabato domenica gio",
)
# Abbreviations of zones that mean one offset; CST, IST and BST mean several.
_ZONES = {
    **{"z": 0, "utc": 0, "gmt": 0, "wet": 0, "west": 60, "cet": 60, "mez": 60, "cest": 120, "mesz": 120, "eet": 120},
    **{"eest": 180, "msk": 180, "est": -300, "edt": -240, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480},
    **{"pdt": -420, "jst": 540, "kst": 540, "aest": 600, "aedt": 660, "nzst": 720, "nzdt": 780},
}


def _plain(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def _list_months() -> dict[str, int]:
    """List the months by their names, and by the beginnings of them that are those of one month only."""
    found: dict[str, set[int]] = {}
    for month, names in enumerate(_MONTH_NAMES, 1):
        for name in map(_plain, names.split()):
            for length in range(3, len(name) + 1):
                found.setdefault(name[:length], set()).add(month)
    return {name: months.pop() for name, months in found.items() if len(months) == 1}


_MONTHS = _list_months()
_WEEKDAYS = frozenset(_plain(name) for names in _WEEKDAY_NAMES for name in names.split())
_SEP = r"(?:\s*[-/.,_\u2010\u2013]\s*|\s+)"
_NAME = r"(?P<name>[^\W\d_]{3,})"
_FILL = r"(?:(?:st|nd|rd|th|er|eme|º|ª|°)(?![^\W\d_]))?(?:[\s\-/.,_']|de\b|del\b|of\b)*"
_Q = r"(?:q|t|qtr|quarter|quartal|trim|trimestre)"
_W = r"(?:w|kw|cw|wk|week|woche)"
_DATES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (THREE, rf"(?P<a>0000|00?){_SEP}(?P<b>00?){_SEP}(?P<c>0000|00?)\.?"),
        (DIGITS, r"(?P<n>0{1,19})"),
        (MONTH, rf"(?P<y>0000){_SEP}(?P<m>00?)"),
        (MONTH, rf"(?P<m>00?){_SEP}(?P<y>0000)"),
        (MONTH, r"(?P<y>0000)[-_ ]?m(?P<m>00?)"),
        (MONTH, r"(?P<y>0000)\s*[年년]\s*(?P<m>00?)\s*[月월]"),
        (ORDINAL, r"(?P<y>0000)[-/ ](?P<o>000)"),
        (DAY, r"(?P<y>0000)\s*[年년]\s*(?P<m>00?)\s*[月월]\s*(?P<d>00?)\s*[日号號일]?"),
        (NAMED, rf"(?P<a>0000|00?){_FILL}{_NAME}{_FILL}(?P<c>0000|00)"),
        (NAMED, rf"{_NAME}{_FILL}(?P<a>00?){_FILL}[\s\-/.,_']\s*(?P<c>0000|00)"),
        (MONTH, rf"{_NAME}{_FILL}(?P<y>0000|00)"),
        (MONTH, rf"(?P<y>0000){_FILL}{_NAME}\.?"),
        (NO_YEAR, rf"(?P<d>00?){_FILL}{_NAME}\.?"),
        (NO_YEAR, rf"{_NAME}{_FILL}(?P<d>0)"),
        (QUARTER, rf"(?P<y>0000)\s*[-_/.: ]?\s*{_Q}\.?\s*[-_]?(?P<q>0)"),
        (QUARTER, rf"{_Q}\.?\s*(?P<q>0)\s*[-_/.,' ]*\s*(?P<y>0000|00)"),
        (QUARTER, rf"(?P<q>0)\.?\s*{_Q}\.?\s*[-_/.,' ]*\s*(?P<y>0000|00)"),
        (QUARTER, r"(?P<y>0000)\s*年?\s*第?(?P<q>0)\s*季度?"),
        (HALF, r"(?P<y>0000)\s*[-_/. ]?\s*[hsb](?P<s>0)"),
        (HALF, r"(?:[hs](?P<s>0)|(?P<t>0)\s?h)\s*[-_/. ]?\s*(?P<y>0000|00)"),
        (WEEK, rf"(?P<y>0000)\s*[-_/ ]?\s*{_W}\s*[-_. ]?(?P<w>00?)(?:-?(?P<d>0))?"),
        (WEEK, rf"{_W}\s*[-_. ]?(?P<w>00?)\s*[-_/., ]\s*(?P<y>0000)"),
    )
)
_CLOCK = (
    r"(?P<hour>00?)(?:[:h.](?P<minute>00)(?:[:.](?P<second>00)(?:[.,:](?P<nanos>0{1,9}))?)?|\s?h)?"
    r"\s*(?:(?P<noon>[ap])\.?\s?m\.?|uhr|hrs?)?"
)
_COMPACT = r"(?P<hour>00)(?P<minute>00)(?:(?P<second>00)(?:[.,]?(?P<nanos>0{1,9}))?)?"
_ZONE = (
    r"\s*(?:(?:utc|gmt)?\s?(?P<sign>[-+\u2212])(?P<oh>00?)(?::?(?P<om>00))?|(?P<abbreviation>[a-z]{1,5})\b(?!/)(?<![ap]m))?"
    r"(?:\s*\[?(?P<zone>[a-z]+/[a-z_/+\-0]+)\]?)?"
)
_TIMES = tuple(re.compile(f"(?:{clock})(?:{_ZONE})") for clock in (_CLOCK, _COMPACT))
_TIME_FIRST = re.compile(r"(?P<time>00?:00(?::00)?(?:\s*[ap]\.?m\.?)?)[\s,]+(?P<date>\S.*)")
_SPLIT = re.compile(
    r"(?<=[\d月日年일])(?:\s*t\s*|\s*,\s*|\s+|:|-)(?=00?(?:[:.h]00|00|\s?[ap]\.?m|\s?uhr|\s*z?$|\s?h|[-+]))"
)
_WEEKDAY = re.compile(r"(?P<weekday>[^\W\d_]{2,12})\.?,?\s+(?P<rest>.+)")
_UNIX = re.compile(
    r"(?P<name>[a-z]{3})\s+(?P<a>00?)\s+(?P<time>00:00:00)(?:\s+(?P<abbreviation>[a-z]{3,4}))?\s+(?P<c>0000)"
)


@dataclass(frozen=True, eq=False)
class Written:
    """What cells hold.

    Args:
        kind: kind of each cell's layout, (U,) int8; UNREAD where it is none of a date.
        fields: numbers by name, (U,) int64, MISSING where there is none; `c` after a month's name.
        widths: numbers of digits, of the fields a, b, c, y and n.
        named_first: where the name of a month comes before the day.
        dotted: where the numbers are separated by dots.
        clocked: where there is a time of day.
        offset: minutes of the offset from UTC; NO_OFFSET if there is none.
        zones: names of zones, and the index of each cell's; MISSING if there is none.
    """

    kind: NDArray[np.int8]
    fields: dict[str, NDArray[np.int64]]
    widths: dict[str, NDArray[np.int8]]
    named_first: NDArray[np.bool_]
    dotted: NDArray[np.bool_]
    clocked: NDArray[np.bool_]
    offset: NDArray[np.int64]
    zones: list[str]
    zone: NDArray[np.int64]


class _Layout:
    """Kind and places of the numbers of a layout: (start, end) by name, constants, and the offset."""

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.spans: dict[str, tuple[int, int]] = {}
        self.constants: dict[str, int] = {}
        self.sign = 0
        self.offset: int | None = None
        self.zone: str | None = None
        self.named_first = self.dotted = False

    def add(self, match: re.Match[str], start: int) -> bool:
        """Add the groups of a match that begins at `start`; False where a name is unknown."""
        for name, text in match.groupdict().items():
            if text is None:
                continue
            first, last = match.span(name)
            if name == "name":
                month = _MONTHS.get(_plain(text))
                if month is None:
                    return False
                self.constants["m"] = month
                self.named_first = "a" in match.groupdict() and match.start("a") > first
            elif name == "noon":
                self.constants["noon"] = 2 if text == "p" else 1
            elif name == "sign":
                self.sign = 1 if text == "+" else -1
            elif name == "abbreviation":
                if text not in _ZONES:
                    return False
                self.offset = _ZONES[text]
            elif name == "zone":
                self.zone = find_name(text)
                if self.zone is None:
                    return False
            elif name not in ("time", "date", "weekday", "rest"):
                self.spans["s" if name == "t" else name] = (start + first, start + last)
        return True


def _match_date(shape: str, start: int) -> _Layout | None:
    for kind, pattern in _DATES:
        if match := pattern.fullmatch(shape):
            layout = _Layout(kind)
            if layout.add(match, start):
                layout.dotted = "." in shape
                return layout
    return None


def _match_time(layout: _Layout, shape: str, start: int) -> bool:
    return any((match := pattern.fullmatch(shape)) and layout.add(match, start) for pattern in _TIMES)


def _match(shape: str) -> _Layout | None:
    """Match a layout, in lower case."""
    if layout := _match_from(shape, 0):
        return layout
    prefix = _WEEKDAY.fullmatch(shape)
    if prefix is None or _plain(prefix["weekday"]) not in _WEEKDAYS:
        return None
    rest, start = prefix["rest"], prefix.start("rest")
    if match := _UNIX.fullmatch(rest):
        layout, clock = _Layout(NAMED), re.compile(_CLOCK).fullmatch(match["time"])
        good = layout.add(match, start) and clock and layout.add(clock, start + match.start("time"))
        return layout if good else None
    return _match_from(rest, start)


def _match_from(rest: str, start: int) -> _Layout | None:
    if layout := _match_date(rest, start):
        return layout
    for cut in _SPLIT.finditer(rest):
        date = _match_date(rest[: cut.start()], start)
        joins = (
            date and date.kind in (THREE, NAMED, DAY, DIGITS, ORDINAL) and (date.kind != DIGITS or _width(date) == 8)
        )
        if date and joins and _match_time(date, rest[cut.end() :], start + cut.end()):
            return date
    if match := _TIME_FIRST.fullmatch(rest):
        date = _match_date(match["date"], start + match.start("date"))
        if date and date.kind in (THREE, NAMED, DAY) and _match_time(date, match["time"], start):
            return date
    return None


def _width(layout: _Layout) -> int:
    first, last = layout.spans["n"]
    return last - first


def _match_clock(shape: str) -> _Layout | None:
    layout = _Layout(TIME)
    return layout if _match_time(layout, shape, 0) else None


def read_written(texts: Sequence[str] | NDArray[np.object_], *, clock: bool = False) -> Written:
    """Read the numbers of dates as they are written.

    Args:
        texts: distinct cells.
        clock: the cells hold times of day, without a date.
    """
    size = len(texts)
    kind = np.zeros(size, np.int8)
    fields = {name: np.full(size, MISSING, np.int64) for name in FIELDS}
    widths = {name: np.zeros(size, np.int8) for name in ("a", "b", "c", "y", "n")}
    flags = {name: np.zeros(size, bool) for name in ("named_first", "dotted", "clocked")}
    offset, zone = np.full(size, NO_OFFSET), np.full(size, MISSING)
    zones: list[str] = []
    known: dict[str, _Layout | None] = {}
    for begin in range(0, size, _CHUNK):
        cells = np.array([_tidy(text) for text in texts[begin : begin + _CHUNK]])
        digits, shapes = _find_shapes(cells)
        codes, layouts = pd.factorize(shapes)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(layouts)))
        for code, shape in enumerate(layouts):
            if shape not in known:
                known[shape] = (_match_clock if clock else _match)(shape) if shape else None
            layout = known[shape]
            if layout is None:
                continue
            rows = order[ends[code - 1] if code else 0 : ends[code]]
            target = rows + begin
            kind[target] = layout.kind
            for name, (first, last) in layout.spans.items():
                values = _to_numbers(digits[rows, first:last])
                if name in ("oh", "om"):
                    minutes = values * (60 if name == "oh" else 1) * layout.sign
                    offset[target] = np.where(offset[target] == NO_OFFSET, 0, offset[target]) + minutes
                    continue
                fields[name][target] = values * 10 ** (9 - (last - first)) if name == "nanos" else values
                if name in widths:
                    widths[name][target] = last - first
            for name, value in layout.constants.items():
                fields[name][target] = value
            if layout.offset is not None:
                offset[target] = layout.offset
            if layout.zone is not None:
                if layout.zone not in zones:
                    zones.append(layout.zone)
                zone[target] = zones.index(layout.zone)
            flags["named_first"][target] = layout.named_first
            flags["dotted"][target] = layout.dotted
            flags["clocked"][target] = "hour" in layout.spans
    return Written(kind, fields, widths, offset=offset, zones=zones, zone=zone, **flags)


def find_month(name: str) -> int | None:
    """Return the number of a month by its name or abbreviation, in several languages; None if it is none."""
    return _MONTHS.get(_plain(name.strip().strip(".").lower()))


def _tidy(text: str) -> str:
    text = text.strip() if len(text) <= MAX_CHARS else ""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _find_shapes(cells: NDArray[np.str_]) -> tuple[NDArray[np.uint32], NDArray[np.object_]]:
    width = max(cells.dtype.itemsize // 4, 1)
    chars = np.ascontiguousarray(cells).astype(f"U{width}").view(np.uint32).reshape(len(cells), width).copy()
    for zero in (0x660, 0x6F0, 0x966):  # Arabic, Persian and Devanagari digits
        foreign = (chars >= zero) & (chars < zero + 10)
        chars[foreign] -= zero - 48
    is_digit = (chars >= 48) & (chars <= 57)
    shapes = np.where(is_digit, np.uint32(48), chars)
    upper = (shapes >= 65) & (shapes <= 90)
    shapes[upper] += 32
    texts = np.ascontiguousarray(shapes).view(f"U{width}").ravel().astype(object)
    if (chars > 127).any():
        texts = np.array([text if len(text.lower()) != len(text) else text.lower() for text in texts], object)
    return np.where(is_digit, chars - np.uint32(48), np.uint32(0)), texts


def _to_numbers(digits: NDArray[np.uint32]) -> NDArray[np.int64]:
    numbers = np.zeros(len(digits), np.int64)
    for column in digits.T:
        numbers = numbers * 10 + column
    return numbers
