"""The types of columns: a column is numeric only where every cell is a plain number, so that ids keep their text."""

from contextlib import suppress
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..tables.cells import is_empty
from .numbers import PLAIN, are_grouped, to_floats

MANY_ROWS = 1_000_000  # from which on texts are categories: to find the distinct ones among 58 million takes 10 s
MAX_DIGITS = 15  # of whole numbers that a float64 holds


def is_text(column: pd.Series) -> bool:
    """Return whether a column holds texts or other objects, in any of the types that pandas has for them."""
    return column.dtype == object or isinstance(column.dtype, (pd.CategoricalDtype, pd.StringDtype))


def type_cells(cells: list[Any], *, texts_are_cells: bool = True) -> Any:
    """Return cells of any kind as an array: numbers, booleans, datetime64, or texts with None where empty.

    Args:
        cells: the cells.
        texts_are_cells: whether texts of plain numbers are numbers, as numbers that a spreadsheet stores as texts.
    """
    empty = [is_empty(cell) and not isinstance(cell, (list, dict)) for cell in cells]
    kinds = {type(cell) for cell, is_blank in zip(cells, empty, strict=True) if not is_blank}
    known = [None if is_blank else cell for cell, is_blank in zip(cells, empty, strict=True)]
    if not kinds:
        return np.full(len(cells), np.nan)
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return np.array(known, bool) if not any(empty) else np.array(known, object)
    if all(issubclass(kind, (int, float, np.number)) for kind in kinds):
        return _type_numbers(known, all(issubclass(kind, (int, np.integer)) for kind in kinds), any(empty))
    if all(_is_date(kind) for kind in kinds):
        with suppress(ValueError, OverflowError):  # a year beyond 2262
            dates = pd.to_datetime(pd.Series(known, dtype=object))
            if pd.api.types.is_datetime64_any_dtype(dates):
                return dates.array
    texts = [None if cell is None else cell if isinstance(cell, str) else _write(cell) for cell in known]
    if not texts_are_cells:
        return np.array(texts, object)
    return type_texts(pa.chunked_array([pa.array(texts, pa.string())]))


def _is_date(kind: type) -> bool:
    return issubclass(kind, date)


def _type_numbers(known: list[Any], whole: bool, with_empty: bool) -> NDArray[Any]:
    if whole and not with_empty:
        with suppress(OverflowError):
            return np.array(known, np.int64)
    if whole and max(abs(int(cell)) for cell in known if cell is not None) >= 10**MAX_DIGITS:
        return np.array([None if cell is None else str(cell) for cell in known], object)
    try:
        return np.array([np.nan if cell is None else cell for cell in known], np.float64)
    except OverflowError:  # a whole number beyond any float64, as JSON may hold
        return np.array([None if cell is None else str(cell) for cell in known], object)


def _write(cell: Any) -> str:
    if hasattr(cell, "isoformat"):
        text = cell.isoformat(" ") if hasattr(cell, "hour") and hasattr(cell, "year") else cell.isoformat()
        return text.removesuffix(" 00:00:00")
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def type_texts(cells: Any, *, points_group: bool = False) -> Any:
    """Return a column of texts as an array: numbers or booleans where all cells are, else texts with None where empty.

    Args:
        cells: a chunked array of pyarrow, of texts or dictionaries of them.
        points_group: whether points may separate thousands, so that 987 and 1.234 are left as texts for `read_numbers`.
    """
    if pa.types.is_dictionary(cells.type):
        unified = cells.unify_dictionaries()
        if not unified.num_chunks:
            return np.full(0, np.nan)
        codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in unified.chunks])
        distinct = _trim(unified.chunk(0).dictionary)
        used = np.bincount(codes[codes >= 0], minlength=len(distinct)) > 0
        keep = used & np.asarray(pc.is_valid(distinct))
        codes = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1)[codes]
        known, with_missing = distinct.filter(pa.array(keep)), bool((codes < 0).any())
        values = _type_distinct(known, points_group)
        if values is None or (with_missing and values.dtype == np.int64 and np.abs(values).max() >= 10**MAX_DIGITS):
            return _spread(known.to_numpy(zero_copy_only=False), codes)
        return (_append_missing(values) if with_missing else values)[codes]
    values = _type_distinct(cells, points_group)
    if values is None:
        cells = pa.chunked_array([_trim(chunk) for chunk in cells.chunks], pa.string())
        values = _type_distinct(cells, points_group)
    if values is not None:
        return values
    return _encode(cells)


def _encode(cells: Any) -> Any:
    """Return texts, each distinct one once in memory."""
    encoded = cells.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], encoded.type)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _spread(encoded.dictionary.to_numpy(zero_copy_only=False), codes)


def _spread(texts: NDArray[np.object_], codes: NDArray[np.signedinteger]) -> Any:
    """Return the text of each row, None for the code -1; of very many rows as categories."""
    if len(codes) >= MANY_ROWS:
        if len(set(texts)) < len(texts):  # some differed by blanks
            own, texts = pd.factorize(texts)
            codes = np.append(own, -1)[codes]
        return pd.Categorical.from_codes(codes.astype(np.int32), pd.Index(texts, dtype=object), validate=False)
    return _append_missing(texts)[codes]


def _append_missing(values: NDArray[Any]) -> NDArray[Any]:
    """Return values with a missing one at the end, which is that of the index -1."""
    if values.dtype in (np.int64, np.float64):
        return np.concatenate([values.astype(np.float64), [np.nan]])
    return np.concatenate([values.astype(object), np.array([None], object)])


def _trim(texts: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_BOOLEAN_TEXTS = pa.array(list(_BOOLEANS))


def _type_distinct(texts: Any, points_group: bool) -> NDArray[Any] | None:
    """Return texts as int64, float64 or booleans; None if one of them is neither a plain number nor a boolean."""
    num_null = texts.null_count
    if num_null == len(texts):
        return np.full(len(texts), np.nan)
    if pc.all(pc.match_substring_regex(texts, PLAIN)).as_py() and not pc.any(pc.is_in(texts, _NO_NUMBERS)).as_py():
        if not pc.any(pc.match_substring_regex(texts, r"[.eE]")).as_py():
            with suppress(pa.ArrowInvalid):
                whole = pc.cast(texts, pa.int64())
                if not num_null:
                    return np.array(whole.to_numpy())
                if (pc.max(pc.abs(whole)).as_py() or 0) < 10**MAX_DIGITS:
                    return to_floats(texts)
            return None  # whole numbers beyond any are ids
        if points_group and are_grouped(texts) == "some":
            return None  # 987 and 1.234: thousands, which `read_numbers` reads
        return to_floats(texts)
    if pc.all(pc.or_(pc.is_in(texts, _BOOLEAN_TEXTS), pc.is_null(texts))).as_py():
        cells = [None if text is None else _BOOLEANS[text] for text in texts.to_pylist()]
        return np.array(cells, object if num_null else bool)
    return None


_NO_NUMBERS = pa.array(["", "-", ".", "-."])
