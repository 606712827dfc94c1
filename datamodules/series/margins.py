"""What stands around a table: comments and titles above its header, a row of units below it, and footers."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any, NamedTuple

import numpy as np

from lightfit.errors import clip

from ..tables.cells import is_empty
from ..tables.dialect import MAX_FIELD_CHARS
from .numbers import is_missing_mark

COMMENTS = ("#", "%", "//")
DELIMITERS = "\t;|, "  # a comma late, as it is also a decimal mark; blanks where nothing else fits
HEAD_LINES = 400  # of which header and delimiter are found
TAIL_ROWS = 20  # among which footers are looked for
FIT = 0.8  # fraction of the lines with the number of fields of most
NUMBER, DATE, TEXT, EMPTY = "number", "date", "text", ""
_NUMBER = re.compile(r"[\s(+\-\u2212$€£¥.,']*\d[\d.,'\u2019\s]*([eE][+-]?\d+)?\s*[-%€$£¥)]*")
_DATE = re.compile(
    r"\d{4}[-/]\d{1,2}([-/]\d{1,2})?([T ].*)?|\d{4}\.\d{1,2}\.\d{1,2}\.?([T ].*)?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?|\d{4}-?[QW]\d{1,2}"
    r"|\d{1,2}:\d{2}(:\d{2}.*)?|[A-Za-z]{3,9}[- ]\d{2,4}|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}"
)
_DIGITS_OF_DATE = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])?")
_RULE = re.compile(r"[-+=|_\s,;\t]*[-=_]{2,}[-+=|_\s,;\t]*")
_TOTALS = (
    "total|totals|grand total|sum|subtotal|sub-total|summe|gesamt|gesamtsumme|gesamtergebnis|ergebnis|zwischensumme|"
    "total general|totale|somma|suma|somme|soma|totaal|razem|итого|всего|合计|合計|总计|總計|小计|"
    "average|mean|mittelwert"
)
_TOTAL = re.compile(rf"({_TOTALS})\b.*", re.IGNORECASE)


class Head(NamedTuple):
    """Where the rows of a table begin.

    Args:
        names: names of the columns as they are written; empty if there are none.
        width: number of columns.
        first: index of the first row of data.
        kinds: what most cells of each column hold: number, date, text or nothing.
        found: what was passed over, in one line each.
    """

    names: list[str]
    width: int
    first: int
    kinds: list[str]
    found: list[str]


def find_kind(cell: Any) -> str:
    """Return what a cell holds: number, date, text or nothing, as are the marks of a missing value."""
    if isinstance(cell, (datetime, date, time)):
        return DATE
    if isinstance(cell, (bool, np.bool_)):
        return TEXT
    if is_empty(cell):
        return EMPTY
    if not isinstance(cell, str):
        return NUMBER
    text = cell.strip()
    if is_missing_mark(text):
        return EMPTY
    if _DATE.fullmatch(text):
        return DATE
    return NUMBER if _NUMBER.fullmatch(text) else TEXT


def is_comment(line: str) -> bool:
    """Return whether a line is a comment."""
    return line.lstrip("\ufeff \t").startswith(COMMENTS)


def is_rule(line: str) -> bool:
    """Return whether a line holds only dashes, as databases draw them below the names."""
    return _RULE.fullmatch(line.strip("\r\n")) is not None


def find_delimiter(lines: Sequence[str], preferred: str = "") -> str | None:
    """Return the delimiter with which most lines have the same number of fields, and the most; None: none has two.

    Args:
        lines: the first lines, of which the last ones are rows.
        preferred: delimiters that are taken first where several fit alike.
    """
    rows = [line for line in lines if line.strip() and not is_comment(line) and not is_rule(line)]
    rows = rows[len(rows) // 3 :]  # beyond the titles
    best: tuple[int, str] | None = None
    for delimiter in dict.fromkeys(preferred + DELIMITERS):
        widths = Counter(map(len, split_lines(rows, delimiter)))
        if not widths:
            return None
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        fits = width > 1 and count >= FIT * sum(widths.values())
        if fits and (best is None or (width > best[0] and delimiter != " ")):
            best = width, delimiter
    return best[1] if best else None


def split_lines(lines: Sequence[str], delimiter: str, quote: str | None = '"') -> list[list[str]]:
    """Return the fields of lines, without complaint about how they are written."""
    csv.field_size_limit(MAX_FIELD_CHARS)
    return list(
        csv.reader(
            lines,
            delimiter=delimiter,
            quotechar=quote or '"',
            quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
            skipinitialspace=True,
        )
    )


def find_head(rows: Sequence[Sequence[Any]], header: bool | None = None) -> Head:
    """Find the header among the first rows of a table.

    The header is the last row above the data whose cells differ in kind from those below; a row of units between them
    is passed over.

    Args:
        rows: the first rows, as they are written; those without any cell are passed over.
        header: whether there is a header; None: found.
    """
    widths = Counter(len(row) for row in rows[len(rows) // 3 :] if len(row) > 1) or Counter(map(len, rows))
    width = max(widths.items(), key=lambda item: (item[1], item[0]))[0] if widths else 0
    kinds_of = [[find_kind(cell) for cell in row] for row in rows]
    kinds = _find_kinds(kinds_of[len(rows) // 3 :] if len(rows) > 2 else kinds_of[-1:], width)
    first = next((index for index in range(len(rows)) if _is_data(kinds_of[index:], kinds)), None)
    if first is None:  # no numbers and no dates: the first whole row holds the names
        first = next((index + 1 for index, row in enumerate(rows) if len(row) == width), 0)
    if header is False:
        return Head([], width, first if first == 0 or _is_data(kinds_of[first:], kinds) else first - 1, kinds, [])
    if first == 0 and header is None and not _holds_names(rows[0], kinds_of[0]):
        return Head([], width, 0, kinds, [])
    if first == 0 or (first < len(rows) - 1 and _holds_years(rows[first], kinds_of[first])):
        first += 1  # years above the values of a wide table look like data
    above = [index for index in range(first) if any(kinds_of[index])]
    fits = [
        index for index in above if (len(rows[index]) in (width, width - 1) and _count(rows[index]) > 1) or width == 1
    ]
    found = []
    at = fits[-1] if fits else first - 1
    earlier = [index for index in fits if index < at]
    if earlier and _holds_units(rows[at], kinds_of[earlier[-1]], kinds):
        at = earlier[-1]
    found += _describe_passed([rows[index] for index in above if index > at], "below")
    found += _describe_passed([rows[index] for index in above if index < at], "above")
    return Head(_write_names(rows[at]), width, first, kinds, found)


def _describe_passed(rows: Sequence[Sequence[Any]], where: str) -> list[str]:
    if not rows:
        return []
    count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    return [f"{count} {where} the header passed over: {clip(', '.join(str(c) for c in rows[0] if not is_empty(c)))}"]


def _find_kinds(kinds_of: Sequence[Sequence[str]], width: int) -> list[str]:
    kinds = []
    for column in range(width):
        counts = Counter(row[column] for row in kinds_of if column < len(row) and len(row) == width)
        counts.pop(EMPTY, None)
        kinds.append(counts.most_common(1)[0][0] if counts else EMPTY)
    return kinds


def _is_data(kinds_of: Sequence[Sequence[str]], kinds: Sequence[str]) -> bool:
    """Return whether the first of some rows, and most of those below it, hold what the columns hold."""

    def matches(row: Sequence[str]) -> bool:
        strict = [(own, kind) for own, kind in zip(row, kinds, strict=False) if kind in (NUMBER, DATE)]
        return any(own == kind for own, kind in strict) and all(own in (kind, EMPTY) for own, kind in strict)

    near = kinds_of[:6]
    return matches(near[0]) and sum(map(matches, near)) > len(near) / 2


def _holds_names(row: Sequence[Any], kinds: Sequence[str]) -> bool:
    """Return whether a row that looks like data holds names, such as numbers of steps above a wide table."""
    texts = _take_numbers(row, kinds)
    steps = set(np.diff([int(text) for text in texts]).tolist())
    return _holds_years(row, kinds) or (len(texts) > 3 and len(steps) == 1 and steps <= {1, -1})


def _holds_years(row: Sequence[Any], kinds: Sequence[str]) -> bool:
    """Return whether the numbers of a row are years, or dates such as 202401 and 20240131, one after the other."""
    texts = _take_numbers(row, kinds)
    steps = np.diff([int(text) for text in texts])
    if len(texts) < 3 or not ((steps > 0).all() or (steps < 0).all()):
        return False
    if all(_DIGITS_OF_DATE.fullmatch(text) for text in texts):
        return True
    return all(1500 <= int(text) <= 2200 for text in texts) and set(np.abs(steps).tolist()) in (
        {1},
        {2},
        {4},
        {5},
        {10},
    )


def _take_numbers(row: Sequence[Any], kinds: Sequence[str]) -> list[str]:
    """Return the whole numbers of a row of texts and whole numbers; none if it holds anything else."""
    texts = [str(cell).strip() for cell, kind in zip(row, kinds, strict=True) if kind == NUMBER]
    return texts if DATE not in kinds and all(map(str.isdecimal, texts)) else []


def _holds_units(row: Sequence[Any], above: Sequence[str], kinds: Sequence[str]) -> bool:
    """Return whether a row holds units: short texts without digits, in columns of numbers that have names above."""
    texts = [
        (str(cell).strip(), kind, name)
        for cell, kind, name in zip(row, kinds, above, strict=False)
        if not is_empty(cell)
    ]
    return (
        bool(texts)
        and all(len(text) <= 12 and name == TEXT for text, _, name in texts)
        and any(kind == NUMBER for _, kind, _ in texts)
        and sum(name == TEXT for name in above) >= len(texts)
    )


def _write_names(row: Sequence[Any]) -> list[str]:
    names = [_write_name(cell) for cell in row]
    quoted = [name for name in names if name]
    if quoted and all(len(name) > 2 and name[0] == name[-1] == "'" for name in quoted):  # in names alone
        return [name[1:-1] for name in names]
    return names


def _write_name(cell: Any) -> str:
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    return "" if is_empty(cell) else " ".join(str(cell).replace("\ufeff", "").split())


def _count(row: Sequence[Any]) -> int:
    return sum(not is_empty(cell) for cell in row)


def count_footers(rows: Sequence[Sequence[Any]], kinds: Sequence[str]) -> tuple[int, str]:
    """Return how many of the last rows are footers, such as totals and sources, and the text of the first that is.

    Args:
        rows: the last rows of a table, with at least one before the footers.
        kinds: as in `Head`.
    """
    count, text = 0, ""
    firsts = Counter(str(row[0]).strip() for row in rows if len(row) and not is_empty(row[0]))
    typical = max(map(_count, rows), default=0)
    for row in reversed(rows):
        filled = [index for index, cell in enumerate(row) if not is_empty(cell)]
        if filled and not _is_footer(row, filled, kinds, typical, firsts):
            break
        count += 1
        text = str(row[filled[0]]).strip() if filled and not is_rule(str(row[filled[0]])) else text
    if count == len(rows):
        return 0, ""
    return count, text


def _is_footer(
    row: Sequence[Any], filled: Sequence[int], kinds: Sequence[str], typical: int, firsts: Counter[str]
) -> bool:
    index = filled[0]
    cell, kind = str(row[index]).strip(), kinds[index] if index < len(kinds) else EMPTY
    if find_kind(row[index]) != TEXT:
        return False
    if kind in (NUMBER, DATE):
        return is_comment(cell) or not re.match(r"\d", cell)
    if len(filled) == 1 and typical > 1:
        return True
    return _TOTAL.fullmatch(cell) is not None and (
        firsts[cell] <= 1 or any(kind == DATE and is_empty(own) for own, kind in zip(row, kinds, strict=False))
    )


def describe_footers(count: int, text: str) -> list[str]:
    if not count or not text:
        return []
    return [f"{count} {'row' if count == 1 else 'rows'} at the end left out: {clip(text)}"]


def name_columns(head: Head, rows: Sequence[Sequence[Any]], found: list[str]) -> list[str]:
    if not head.names:
        width = max(head.width, 1)
        found.append(f"no header: the columns are named 0 to {width - 1}")
        return [str(index) for index in range(width)]
    numbered = [str(row[0]) for row in rows[head.first :]] == [
        str(index + 1) for index in range(len(rows) - head.first)
    ]
    if len(head.names) == head.width - 1 and numbered and len(rows) > head.first + 1:  # as R numbers rows
        return ["", *head.names]
    return head.names
