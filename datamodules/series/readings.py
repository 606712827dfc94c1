"""Ways to read cells as dates: the order of the fields, digits without separators, and formats as users write them."""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightfit.errors import UsageError, clip

from . import written as kinds
from .written import MISSING, Written

Int = NDArray[np.int64]

MIN_YEAR, MAX_YEAR = 1678, 2261  # whole years that nanoseconds can count
EXCEL = "excel"
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}  # since 1970, in nanoseconds
_UNIT_DIGITS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}
EXCEL_DAYS = (20_000, 60_000)  # 1954 to 2064
_PIVOT = 69  # years of two digits: 69 to 99 are of the 20th century, as in POSIX
SECOND = 10**9
DAY = 86_400 * SECOND


class Reading(NamedTuple):
    """A way to read cells: order of the fields, format, rank (smaller ones are preferred), and the numbers."""

    key: str
    format: str
    rank: int
    read: Callable[[], tuple[Int, Int, Int, Int]]  # year, month, day, and nanoseconds from that day on


def list_readings(cells: Written, kind: int) -> list[Reading]:
    """List the ways to read cells of a kind."""
    field, width = cells.fields, cells.widths
    one = np.ones(len(cells.kind), np.int64)
    zero = np.zeros(len(cells.kind), np.int64)
    a, b, c, n = field["a"], field["b"], field["c"], field["n"]
    if kind == kinds.THREE:
        rows = cells.kind == kind
        dotted = bool(cells.dotted[rows].all())
        mark = "." if dotted else "-" if (width["a"][rows] == 4).any() else "/"
        short = "y" if (width["a"][rows] <= 2).all() and (width["c"][rows] <= 2).all() else "Y"

        def three(key: str, rank: int) -> Reading:
            parts = dict(zip(key, (a, b, c), strict=True))
            widths = dict(zip(key, (width["a"], np.full(len(a), 2), width["c"]), strict=True))
            good = (widths["d"] <= 2) & (widths["m"] <= 2) & (widths["y"] >= 2)
            fields = (_expand(parts["y"], widths["y"]), np.where(good, parts["m"], 0), parts["d"], zero)
            return Reading(key, mark.join(f"%{short if part == 'y' else part}" for part in key), rank, lambda: fields)

        # with dots, a month does not come first; else no order is preferred
        ranks = {"dmy": 1, "mdy": 2 if dotted else 1, "ymd": 1, "ydm": 3}
        return [three(key, rank) for key, rank in ranks.items()]
    if kind == kinds.NAMED:
        day_first = not cells.named_first[cells.kind == kind].all()
        return [
            Reading(
                "dmy",
                "%d %b %Y" if day_first else "%b %d, %Y",
                1,
                lambda: (_expand(c, width["c"]), field["m"], a, zero),
            ),
            Reading("ymd", "%Y %b %d", 2, lambda: (_expand(a, width["a"]), field["m"], c, zero)),
        ]
    years = _expand(field["y"], width["y"])
    if kind == kinds.MONTH:
        return [Reading("ym", "%Y-%m", 1, lambda: (years, field["m"], one, zero))]
    if kind == kinds.DAY:
        return [Reading("ymd", "%Y-%m-%d", 1, lambda: (years, field["m"], field["d"], zero))]
    if kind == kinds.QUARTER:
        good = (field["q"] >= 1) & (field["q"] <= 4)
        return [Reading("yq", "%YQ%q", 1, lambda: (years, np.where(good, 3 * field["q"] - 2, 0), one, zero))]
    if kind == kinds.HALF:
        good = (field["s"] >= 1) & (field["s"] <= 2)
        return [Reading("ys", "%YH%h", 1, lambda: (years, np.where(good, 6 * field["s"] - 5, 0), one, zero))]
    if kind == kinds.WEEK:
        weekday = np.where(field["d"] == MISSING, 1, field["d"])
        return [Reading("yw", "%G-W%V", 1, lambda: from_week(years, field["w"], weekday))]
    if kind == kinds.ORDINAL:
        return [Reading("yj", "%Y-%j", 1, lambda: from_ordinal(years, field["o"]))]
    if kind == kinds.DIGITS:
        return _list_digits(n, width["n"], cells.kind == kind)
    return []


def _list_digits(n: Int, width: NDArray[np.int8], rows: NDArray[np.bool_]) -> list[Reading]:
    """List the ways to read digits without separators, by their number in most cells."""
    zero = np.zeros(len(n), np.int64)
    widths, counts = np.unique(width[rows], return_counts=True)
    usual = int(widths[counts.argmax()])
    fits = width == usual

    def split(year: Int, month: Int, day: Int, nanos: Int = zero, two: bool = False) -> tuple[Int, Int, Int, Int]:
        full = _expand(year, np.full(len(n), 2)) if two else year
        return full, np.where(fits, month, 0), day, nanos

    def clock(digits: Int) -> Int:  # of HHMMSS
        hour, minute, second = digits // 10_000, digits // 100 % 100, digits % 100
        good = (hour <= 24) & (minute < 60) & (second < 60)
        return np.where(good, (hour * 3600 + minute * 60 + second) * SECOND, -1)

    def whole(digits: Int, nanos: Int = zero) -> tuple[Int, Int, Int, Int]:  # of YYYYMMDD
        return split(digits // 10_000, digits // 100 % 100, digits % 100, nanos)

    readings = {
        4: [Reading("y", "%Y", 1, lambda: split(n, zero + 1, zero + 1))],
        5: [Reading(EXCEL, EXCEL, 1, lambda: _from_ticks(np.where(fits, n - 25_569, MISSING), DAY))],
        6: [
            Reading("ym", "%Y%m", 1, lambda: split(n // 100, n % 100, zero + 1)),
            Reading("ymd", "%y%m%d", 2, lambda: split(n // 10_000, n // 100 % 100, n % 100, two=True)),
            Reading("dmy", "%d%m%y", 2, lambda: split(n % 100, n // 100 % 100, n // 10_000, two=True)),
            Reading("mdy", "%m%d%y", 2, lambda: split(n % 100, n // 10_000, n // 100 % 100, two=True)),
        ],
        7: [Reading("yj", "%Y%j", 1, lambda: from_ordinal(np.where(fits, n // 1000, 0), n % 1000))],
        8: [
            Reading("ymd", "%Y%m%d", 1, lambda: whole(n)),
            Reading("dmy", "%d%m%Y", 2, lambda: split(n % 10_000, n // 10_000 % 100, n // 10**6)),
            Reading("mdy", "%m%d%Y", 2, lambda: split(n % 10_000, n // 10**6, n // 10_000 % 100)),
        ],
        10: [Reading("ymdh", "%Y%m%d%H", 1, lambda: whole(n // 100, clock(n % 100 * 10_000)))],
        12: [Reading("ymdhm", "%Y%m%d%H%M", 1, lambda: whole(n // 10**4, clock(n % 10**4 * 100)))],
        14: [Reading("ymdhms", "%Y%m%d%H%M%S", 1, lambda: whole(n // 10**6, clock(n % 10**6)))],
        17: [
            Reading(
                "ymdhms", "%Y%m%d%H%M%S%f", 1, lambda: whole(n // 10**9, clock(n // 1000 % 10**6) + n % 1000 * 10**6)
            )
        ],
    }.get(usual, [])
    if unit := _UNIT_DIGITS.get(usual):
        same = np.isin(width, [digits for digits, other in _UNIT_DIGITS.items() if other == unit])
        readings.append(Reading(unit, unit, 3, lambda: _from_ticks(np.where(same, n, MISSING), UNITS[unit])))
    return readings


def _from_ticks(n: Int, size: int) -> tuple[Int, Int, Int, Int]:
    """Return 1 January 1970, and the nanoseconds since; -1 where they are out of range."""
    good = (n >= 0) & (n < 2**63 // size) & ((size != DAY) | (n < EXCEL_DAYS[1]))
    epoch = np.full(len(n), 1970, np.int64), np.ones(len(n), np.int64), np.ones(len(n), np.int64)
    return (*epoch, np.where(good, np.where(good, n, 0) * size, -1))


def from_week(year: Int, week: Int, weekday: Int) -> tuple[Int, Int, Int, Int]:
    """Return the day of an ISO week: week 1 has 4 January."""
    fourth = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) + 3
    monday = fourth - (fourth + 3) % 7  # 1970-01-01 was a Thursday
    days = monday + (week - 1) * 7 + weekday - 1
    next_fourth = (year - 1969).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) + 3
    last = (next_fourth - (next_fourth + 3) % 7 - monday) // 7
    good = (week >= 1) & (week <= last) & (weekday >= 1) & (weekday <= 7)
    return _from_days(year, days, good)


def from_ordinal(year: Int, day: Int) -> tuple[Int, Int, Int, Int]:
    start = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    length = (year - 1969).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) - start
    return _from_days(year, start + day - 1, (day >= 1) & (day <= length))


def _from_days(year: Int, days: Int, good: NDArray[np.bool_]) -> tuple[Int, Int, Int, Int]:
    date = days.astype("datetime64[D]")
    months = date.astype("datetime64[M]")
    number = months.astype(np.int64)
    # the year of an ISO week may differ from the date's; where it is wrong, the written one is for the message
    actual = np.where(good, number // 12 + 1970, year)
    day = (date - months.astype("datetime64[D]")).astype(np.int64) + 1
    return actual, np.where(good, number % 12 + 1, 0), day, np.zeros(len(year), np.int64)


def _expand(year: Int, width: NDArray[np.int8] | Int) -> Int:
    return np.where((width == 2) & (year >= 0), np.where(year < _PIVOT, 2000 + year, 1900 + year), year)


def apply_reading(reading: Reading, cells: Written, kind: int) -> tuple[Int, NDArray[np.bool_]]:
    """Return the nanoseconds since 1970 by a reading, and which cells it cannot read."""
    year, month, day, nanos = reading.read()
    ok = (cells.kind == kind) & (month >= 1) & (month <= 12) & (day >= 1) & (nanos >= 0) & (year >= 0)
    start = (np.where(ok, year, 1970) - 1970) * 12 + np.where(ok, month, 1) - 1
    days = start.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    length = (start + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - days
    persian = (year >= 1300) & (year <= 1500)  # with other lengths of months; refused by their name
    ok &= (day <= length) | (persian & (day <= 31))
    clock = read_clock(cells)
    ok &= clock >= 0
    in_range = ok & (year >= MIN_YEAR) & (year <= MAX_YEAR)
    ticks = (days + day - 1) * in_range * DAY + (nanos + clock) * in_range
    return ticks, ~ok


def read_clock(cells: Written) -> Int:
    """Return the nanoseconds of the time of day; 0 if there is none, -1 if it is not one.

    24:00 is the next day's 0:00.
    """
    field = cells.fields
    hour, minute, second, nanos = (np.maximum(field[name], 0) for name in ("hour", "minute", "second", "nanos"))
    noon = field["noon"]
    good = np.where(noon == MISSING, hour <= 24, (hour >= 1) & (hour <= 12)) & (minute < 60) & (second < 60)
    good &= (hour < 24) | ((minute == 0) & (second == 0) & (nanos == 0))
    hour = np.where(noon == MISSING, hour, hour % 12 + 12 * (noon == 2))
    return np.where(good, (hour * 3600 + minute * 60 + second) * SECOND + nanos, -1)


# -------------------------------------------------------------------------------------- formats as users write them


_TOKENS = re.compile(r"[yY]+|M+|m+|[dD]+|[hH]+|[sS]+|f+|a\b|tt\b|am/pm|AM/PM|.", re.DOTALL)


def to_strptime(text: str) -> str:
    """Convert a format such as dd/mm/yyyy HH:MM to one of strptime; return one of strptime as it is.

    Raises:
        UsageError: the text is no format.
    """
    if "%" in text or text in (EXCEL, *UNITS):
        return text
    result, after_hour = [], False
    for token in _TOKENS.findall(text.strip()):
        lower = token.lower()
        if lower[0] == "y":
            result.append("%Y" if len(token) > 2 else "%y")
        elif lower[0] == "m" and after_hour:
            result.append("%M")
        elif lower[0] == "m":
            result.append({3: "%b", 4: "%B"}.get(len(token), "%m"))
        elif lower[0] == "d":
            result.append("%d")
        elif lower[0] == "h":
            result.append("%H" if "a" not in text.lower() and "tt" not in text.lower() else "%I")
            after_hour = True
        elif lower[0] == "s" and after_hour:
            result.append("%S")
        elif lower in ("a", "tt", "am/pm"):
            result.append("%p")
        elif lower[0] == "f":
            result.append("%f")
        elif token.isalnum() and token != "T":
            raise UsageError(
                f"expected `date_format` as a format of strptime such as %d/%m/%Y %H:%M, or as dd/mm/yyyy, {EXCEL}, s, "
                f"ms, us or ns; received '{clip(text)}'"
            )
        else:
            result.append(token)
    return "".join(result)


_LETTERS = {"%Y": "y", "%y": "y", "%G": "y", "%m": "m", "%b": "m", "%B": "m", "%d": "d", "%j": "j", "%V": "w"}
_ORDERS = frozenset(("dmy", "mdy", "ymd", "ydm", "ym", "y", "yj", "yw", "yq", "ys"))


def find_order(wanted: str) -> str | None:
    """Return the key of the reading that a format names, None if there is none."""
    if wanted in (EXCEL, *UNITS):
        return wanted
    parts = re.findall(r"%-?([A-Za-z])", wanted)
    compact = "".join(parts)
    if compact in ("YmdH", "YmdHM", "YmdHMS", "YmdHMSf") and re.fullmatch(r"(?:%[A-Za-z])+", wanted):
        return {"YmdH": "ymdh", "YmdHM": "ymdhm"}.get(compact, "ymdhms")
    if compact in ("Yq", "Yh"):
        return "yq" if compact == "Yq" else "ys"
    if "H" in parts and "p" in parts:
        return None
    key = "".join(_LETTERS.get(f"%{part}", "") for part in parts)
    if {"b", "B"} & set(parts) and key == "mdy":
        key = "dmy"  # a name tells the month: what remains is the day before the year
    key = "ym" if key == "my" else key
    known = set(parts) <= set("YymbBdjGVHIMSfpzZaA")
    return key if key in _ORDERS and known else None
