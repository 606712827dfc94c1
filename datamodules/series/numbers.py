"""Cells as numbers: decimal commas, thousands separators, currency and percent signs, marks of missing values."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

from lightfit.errors import DataError, clip, clip_list

_MARKS = (
    "- -- --- . .. ... : ? * / na n/a n.a. n.a #n/a #na <na> -nan nan null (null) none nil nat missing unknown "
    "unavailable k.a. nv #nv #value! #wert! #ref! #bezug! #div/0! #num! #zahl! #name? #null! \\n \u2013 \u2014 \u2212"
)
MISSING = frozenset(_MARKS.split())
PLAIN = r"^-?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-][0-9]+)?$"  # as programs write numbers; not 01, +1, 1e5
MAX_EXACT_CHARS = 17  # of a number that all parsers read alike
_SIGNS = "-\u2212\u2013\u2010\u2011\ufe63"
_CURRENCIES = (
    r"US\$|R\$|A\$|C\$|HK\$|NZ\$|S\$|NT\$|\p{Sc}|CHF|EUR|USD|GBP|JPY|CNY|RMB|INR|SEK|NOK|DKK|PLN|CZK|HUF|RUB|BRL|TRY"
    r"|KRW|AUD|CAD|Fr\.|Rs\.?|kr\.?|zł|Kč|Ft|元|円|\x{440}\x{443}\x{431}\.?"
)
_BODY = r"[0-9.,]*[0-9][0-9.,]*"
_GROUPED = {mark: rf"^[+-]?[0-9]{{1,3}}({re.escape(mark)}[0-9]{{3}})+$" for mark in ",."}
_LAKHS = {mark: rf"^[+-]?[0-9]{{1,2}}({re.escape(mark)}[0-9]{{2}})+{re.escape(mark)}[0-9]{{3}}$" for mark in ",."}
_ONE_GROUP = r"^-?[1-9][0-9]{0,2}\.[0-9]{3}$"
_SMALL = r"^-?[0-9]{1,3}$"
FEW = 3  # numbers with a point, from which on anything can be told
_CODE = re.compile(r"[-\u2212]?0\d+|\+\d+|\d+[eE]\d+")
_NUMBER_AND_UNIT = re.compile(r"[-+(\u2212]?\s?[$€£¥]?\s?\d[\d.,' ]*\s?[^\d\s]{0,8}")
_INFINITE = re.compile(r"[+-]?(inf(inity)?|\u221e|1\.#inf)", re.IGNORECASE)
SAMPLE = 200  # cells of a column that are tried first


class Numbers(NamedTuple):
    """A column of numbers.

    Args:
        values: the numbers, (N,), NaN where they are missing.
        missing: how often each mark of a missing value occurs; empty cells are not counted.
        found: how the numbers are written, in one line; empty if as usual.
    """

    values: NDArray[np.float64]
    missing: dict[str, int]
    found: str


def is_missing_mark(text: str) -> bool:
    """Return whether a text marks a missing value, such as `n/a` or `-`."""
    return text.strip().lower() in MISSING


def read_numbers(column: pd.Series, place: str, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where they are missing; arguments and errors as in `parse_numbers`."""
    return parse_numbers(column, place, name).values


def parse_numbers(column: pd.Series, place: str, name: str) -> Numbers:
    """Parse the cells of a column as numbers.

    The whole column decides which mark is the decimal one.

    Args:
        column: numbers, booleans, or texts such as `1.234,5 €`, `(12)` and `n/a`.
        place: name of the table, for messages.
        name: name of the column.

    Raises:
        DataError: a cell is no number, is infinite or has a unit, or `1,234` can be read in two ways.
    """
    if is_numeric_dtype(column) and not is_complex_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        _check_finite(values, place, name)
        return Numbers(values, {}, "")
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, distinct = column.cat.codes.to_numpy(), column.cat.categories.to_numpy(object)
    else:
        codes, distinct = pd.factorize(column.to_numpy(object))
    parsed = _parse_distinct(distinct)
    if (wrong := parsed.wrong) is not None:
        bad = np.zeros(len(distinct) + 1, bool)
        bad[list(wrong)] = True
        rows = np.flatnonzero(bad[codes])
        if len(rows):
            row = int(rows[0])
            cell, why = clip(str(distinct[codes[row]])), wrong[int(codes[row])]
            raise DataError(f"{place}, row {row + 1}: '{cell}' in the column '{name}'; {why}")
    values = np.append(parsed.values, np.nan)[codes]
    _check_finite(values, place, name)
    counts = np.bincount(codes[codes >= 0], minlength=len(distinct))
    missing: Counter[str] = Counter()
    for index in parsed.marks:
        missing[str(distinct[index]).strip()] += int(counts[index])
    return Numbers(values, dict(missing.most_common()), parsed.found)


def describe_missing(numbers: Numbers, name: str) -> str:
    """Return how many cells of a column are marked as missing, in one line; empty if none is."""
    if not numbers.missing:
        return ""
    marks = clip_list([f"'{mark}' {count:,}" for mark, count in numbers.missing.items()])
    return f"{sum(numbers.missing.values()):,} cells of the column '{name}' are missing values: {marks}"


def holds_numbers(column: pd.Series) -> bool:
    """Return whether a column holds numbers, in whatever way they are written, and no codes such as `007` or `+1`."""
    if is_bool_dtype(column) or is_complex_dtype(column):
        return False
    if is_numeric_dtype(column):
        return True
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return False
    known = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.dropna()
    for cells in (known[:SAMPLE], known):
        distinct = pd.unique(np.asarray(cells, object))
        if any(isinstance(cell, (bool, list, dict)) for cell in distinct[:SAMPLE]):
            return False
        parsed = _parse_distinct(distinct)
        undecided = parsed.wrong is not None and set(parsed.wrong.values()) == {_UNDECIDED}
        if parsed.wrong is not None and not undecided:
            return False
        whole = parsed.values[~np.isnan(parsed.values)] % 1 == 0
        if bool(whole.all()) and find_code(distinct):
            return False
        if np.isnan(parsed.values).all() and not undecided:
            return False
    return True


def find_code(cells: Iterable[object]) -> str:
    """Return the first cell that is a code and no number, such as `007`, `+1` or `1e5`; empty if there is none."""
    return next((text for text in map(str, cells) if _CODE.fullmatch(text.strip())), "")


def explain_numbers(column: pd.Series, place: str, name: str) -> str:
    """Return why a column most of whose cells are numbers is none, with the row; empty if most are not."""
    sample = [str(cell).strip() for cell in column.dropna().iloc[:SAMPLE]]
    if sum(_NUMBER_AND_UNIT.fullmatch(cell) is not None for cell in sample) <= len(sample) / 2:
        return ""
    try:
        parse_numbers(column, place, name)
    except DataError as error:
        return str(error)
    return ""


class _Parsed(NamedTuple):
    values: NDArray[np.float64]
    marks: list[int]
    wrong: dict[int, str] | None
    found: str


_EXPECTED = "expected numbers"
_UNDECIDED = (
    "this may be a whole number with a thousands separator, or one with decimals, and no cell of the column decides: "
    "write it without the separator, or with a decimal point"
)


def _parse_distinct(distinct: NDArray[np.object_]) -> _Parsed:
    """Parse distinct cells; `wrong` has the reason for each that is no number."""
    texts = pa.array([cell if isinstance(cell, str) else str(cell) for cell in distinct], pa.string())
    plain = _all(pc.match_substring_regex(texts, PLAIN)) and not _any(pc.equal(texts, ""))
    if plain and are_grouped(texts) != "some":
        values = _convert(texts)
        if values is not None:
            return _Parsed(values, [], None, "")
    texts = pc.utf8_trim_whitespace(_simplify(texts))
    lower = pc.utf8_lower(texts)
    is_mark = pc.or_(pc.is_in(lower, pa.array(sorted(MISSING), pa.string())), pc.equal(texts, ""))
    marks = np.flatnonzero(is_mark.to_numpy(zero_copy_only=False)).tolist()
    signs: set[str] = set()
    # Parentheses and a minus at the end are how accountants and SAP write negative numbers.
    texts = pc.replace_substring_regex(texts, r"^\((.*)\)$", r"-\1")
    texts = pc.replace_substring_regex(texts, r"^([^-].*)-$", r"-\1")
    money = pc.extract_regex(
        texts, rf"^(?P<a>[+-]?)\s*(?P<b>{_CURRENCIES})?\s*(?P<c>[+-]?)\s*(?P<d>.*?)\s*(?P<e>{_CURRENCIES}|%)?$"
    )
    with_sign = pc.is_valid(money)
    fields = {key: pc.struct_field(money, index) for index, key in enumerate("abcde")}
    before, after = (pc.unique(pc.if_else(with_sign, fields[key], "")).to_pylist() for key in "be")
    signs = {sign for sign in (*before, *after) if sign}
    texts = pc.if_else(with_sign, pc.binary_join_element_wise(fields["a"], fields["c"], fields["d"], ""), texts)
    # Blanks, apostrophes and underscores only ever separate thousands.
    spaced = pc.match_substring_regex(texts, r"^[+-]?[0-9]{1,3}([ '_][0-9]{3})+([.,][0-9]+)?$")
    texts = pc.if_else(spaced, pc.replace_substring_regex(texts, r"[ '_]", ""), texts)
    number = pc.match_substring_regex(texts, rf"^[+-]?{_BODY}([eE][+-]?[0-9]+)?$")
    wrong: dict[int, str] = {}
    bad = np.flatnonzero(~np.asarray(pc.or_(number, is_mark)))
    for index in bad.tolist():
        wrong[index] = _explain(str(distinct[index]))
    if len(signs) > 1 or ("%" in signs and _lacks_sign(fields, number, is_mark)):
        first = next((i for i, sign in enumerate(fields["e"].to_pylist()) if sign == "%"), 0)
        several = clip_list(sorted(signs)) if len(signs) > 1 else "% and none"
        wrong.setdefault(first, f"the cells of the column have several units ({several}): expected the same one")
    texts = pc.if_else(pc.and_(number, pc.invert(is_mark)), texts, pa.scalar(None, pa.string()))
    decimal, why = _find_decimal(texts)
    if why is not None:
        wrong.setdefault(*why)
        return _Parsed(np.full(len(distinct), np.nan), marks, wrong, "")
    other = "," if decimal == "." else "."
    has_other = pc.fill_null(pc.match_substring(texts, other), False)
    if _any(has_other):
        whole = pc.replace_substring_regex(texts, rf"{re.escape(decimal)}[0-9]*([eE].*)?$", "")
        right = pc.or_(pc.match_substring_regex(whole, _GROUPED[other]), pc.match_substring_regex(whole, _LAKHS[other]))
        for index in np.flatnonzero(np.asarray(pc.and_(has_other, pc.invert(pc.fill_null(right, True))))).tolist():
            wrong.setdefault(index, f"{_EXPECTED}, with '{decimal}' before the decimals as in the other cells")
        texts = pc.replace_substring(texts, other, "")
    if decimal == ",":
        texts = pc.replace_substring(texts, ",", ".")
    for index in np.flatnonzero(
        np.asarray(pc.fill_null(pc.greater(pc.count_substring(texts, "."), 1), False))
    ).tolist():
        wrong.setdefault(index, _EXPECTED)
    texts = pc.replace_substring_regex(texts, r"^\+", "")
    if wrong:
        texts = pc.if_else(pa.array(np.isin(np.arange(len(texts)), list(wrong))), pa.scalar(None, pa.string()), texts)
    values = _convert(texts)
    if values is None:
        wrong.setdefault(0, _EXPECTED)
        values = np.full(len(distinct), np.nan)
    found = []
    if decimal == "," and _any(pc.match_substring(pc.fill_null(texts, ""), ".")):
        found.append("decimal commas")
    if _any(has_other) or _any(spaced):
        found.append("thousands separators")
    if signs:
        found.append(f"the unit {next(iter(signs))}")
    return _Parsed(values, marks, wrong or None, ", ".join(found))


def _lacks_sign(fields: dict[str, Any], number: Any, is_mark: Any) -> bool:
    with_percent = pc.fill_null(pc.equal(fields["e"], "%"), False)
    return bool(_any(pc.and_(pc.and_(number, pc.invert(is_mark)), pc.invert(with_percent))))


def _simplify(texts: Any) -> Any:
    """Return texts with digits, signs, blanks and apostrophes of other scripts as ASCII."""
    plain = pc.string_is_ascii(texts)
    if _all(plain):
        return texts
    return pa.array([text if text.isascii() else _to_ascii(text) for text in texts.to_pylist()], pa.string())


def _to_ascii(text: str) -> str:
    chars = []
    for char in text:
        if char in _SIGNS:
            chars.append("-")
        elif char in "\u2019\u02bc\u2018\u00b4\uff07":
            chars.append("'")
        elif char.isspace() or char in "\ufeff\u200b\u200e\u200f":
            chars.append(" " if char.isspace() else "")
        elif char == "\u066b":
            chars.append(".")
        elif char == "\u066c":
            chars.append(",")
        elif unicodedata.category(char) == "Nd":
            chars.append(str(unicodedata.digit(char)))
        elif unicodedata.east_asian_width(char) == "F":
            chars.append(unicodedata.normalize("NFKC", char))
        else:
            chars.append(char)
    return "".join(chars)


def _find_decimal(texts: Any) -> tuple[str, tuple[int, str] | None]:
    """Return the decimal mark of texts of digits and marks, or the index of one that contradicts, with the reason."""
    exponent = pc.fill_null(pc.match_substring_regex(texts, "[eE]"), False)
    commas, dots = pc.count_substring(texts, ","), pc.count_substring(texts, ".")
    if not _any(pc.greater(commas, 0)) and _all(pc.less_equal(dots, 1)):
        grouped = pc.fill_null(pc.match_substring_regex(texts, r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"), False)
        dotted = pc.fill_null(pc.greater(dots, 0), False)
        # 1.234 beside 987 counts thousands where no cell has other decimals; where all cells have three, it does not.
        if not _any(pc.and_(dotted, pc.invert(grouped))) and _any(dotted):
            return _decide_alone(texts, ".", dotted)
        return ".", None
    votes: dict[str, dict[str, int]] = {",": {}, ".": {}}
    commas_first = pc.match_substring_regex(texts, r",.*\.[0-9]*([eE].*)?$")
    dots_first = pc.match_substring_regex(texts, r"\..*,[0-9]*([eE].*)?$")
    for mark, other, other_last in ((",", ".", commas_first), (".", ",", dots_first)):
        count = {",": commas, ".": dots}[mark]
        escaped = re.escape(mark)
        alone = pc.equal({",": commas, ".": dots}[other], 0)
        group = pc.match_substring_regex(texts, rf"^[+-]?[1-9][0-9]{{0,2}}{escaped}[0-9]{{3}}$")
        once = pc.and_(pc.equal(count, 1), pc.and_(alone, pc.invert(group)))
        is_last = pc.and_(pc.greater(count, 0), {",": dots_first, ".": commas_first}[mark])
        decimal = pc.or_(once, pc.and_(is_last, pc.equal(count, 1)))
        decimal = pc.or_(decimal, pc.and_(pc.equal(count, 1), exponent))
        thousands = pc.or_(pc.greater(count, 1), pc.and_(pc.greater(count, 0), other_last))
        for vote, mask in (("decimal", decimal), ("thousands", thousands)):
            if (index := _first(mask)) is not None:
                votes[mark][vote] = index
    for mark in ",.":
        if len(votes[mark]) == 2:
            index = max(votes[mark].values())
            return ".", (index, f"'{mark}' separates thousands in some cells of the column and decimals in others")
    for mark, other in ((",", "."), (".", ",")):
        if "decimal" in votes[mark] and "decimal" in votes[other]:
            return ".", (
                max(votes[mark]["decimal"], votes[other]["decimal"]),
                "cells have both decimal commas and points",
            )
        if "decimal" in votes[mark] or "thousands" in votes[other]:
            return mark, None
    if "thousands" in votes[","]:
        return ".", None
    if _any(pc.greater(dots, 0)):  # 1,234 and 1.234
        return ".", (_first(pc.greater(commas, 0)) or 0, _UNDECIDED)
    return _decide_alone(texts, ",", pc.fill_null(pc.greater(commas, 0), False))


def _decide_alone(texts: Any, mark: str, marked: Any) -> tuple[str, tuple[int, str] | None]:
    """Decide what a mark is in cells such as `1,234`, by the cells that have none."""
    others = pc.and_(pc.is_valid(texts), pc.invert(marked))
    if _any(others):
        large = pc.fill_null(pc.match_substring_regex(texts, r"^[+-]?[0-9]{4,}$"), False)
        if not _any(pc.and_(others, large)):
            return ("." if mark == "," else ","), None
    if mark == ".":
        return ".", None
    return ".", (_first(marked) or 0, _UNDECIDED)


def _any(mask: Any) -> bool:
    return bool(pc.any(mask, min_count=0).as_py())


def _all(mask: Any) -> bool:
    return bool(pc.all(mask, min_count=0).as_py())


def _first(mask: Any) -> int | None:
    places = np.flatnonzero(np.asarray(pc.fill_null(mask, False)))
    return int(places[0]) if len(places) else None


def _convert(texts: Any) -> NDArray[np.float64] | None:
    """Return texts of plain numbers as numbers; None where they are beyond any."""
    return to_floats(texts)


def are_grouped(texts: Any) -> str:
    """Return whether the numbers may be whole ones with points between thousands: `some`, `all`, or none (empty).

    `some`: those from 1000 on have a point before three digits, and others have none.
    """
    if pa.types.is_dictionary(texts.type):
        texts = pc.unique(texts.cast(pa.string()))
    first = texts.slice(0, SAMPLE)
    for cells in (first, texts):
        marked = pc.match_substring_regex(cells, _ONE_GROUP)
        if not _all(pc.or_(marked, pc.match_substring_regex(cells, _SMALL))):
            return ""
    count = pc.sum(marked).as_py() or 0
    if count < FEW:
        return ""
    return "all" if count == len(texts) - texts.null_count else "some"


def to_floats(texts: Any) -> NDArray[np.float64] | None:
    """Return texts of plain numbers as numbers, NaN for null; None if one cannot be converted.

    Numbers with more digits than a float64 holds are read by pandas: its last digit differs from that of others, and
    results are to remain the same.

    Args:
        texts: an array of pyarrow, or a chunked one.
    """
    longest = pc.max(pc.utf8_length(texts)).as_py() or 0
    try:
        if longest > MAX_EXACT_CHARS:
            return pd.to_numeric(pd.Series(texts.to_pandas(), dtype=object)).to_numpy(np.float64, na_value=np.nan)
        values = pc.cast(texts, pa.float64())
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
        return np.asarray(values.to_numpy(zero_copy_only=False), np.float64).copy()
    except (pa.ArrowInvalid, ValueError):
        return None


def _check_finite(values: NDArray[np.float64], place: str, name: str) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"{place}, row {infinite.argmax() + 1}: expected finite numbers in the column '{name}', received an "
            "infinite one; correct it, or leave the field empty"
        )


def _explain(cell: str) -> str:
    text = _to_ascii(cell).strip()
    if _INFINITE.fullmatch(text):
        return f"{_EXPECTED} that are finite; correct it, or leave the field empty"
    unit = re.fullmatch(r"[+-]?[0-9][0-9.,' ]*\s*([^\W\d_][^\d]*|[°\"'].*)", text)
    if unit:
        return f"{_EXPECTED} without a unit: remove '{clip(unit[1], 20)}' from the cells of the column"
    return _EXPECTED
