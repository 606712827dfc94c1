"""What the raw labels of a table mean: classes, sets of labels, or numbers; each class in one spelling."""

import ast
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightfit.errors import DataError, clip

Kind = Literal["classes", "multi_label", "numbers"]
Meaning = (
    str | tuple[str, ...] | tuple[float, ...] | None
)  # of a raw label: its class, its labels, its numbers; missing

MISSING = {"", "nan", "none", "null", "<na>", "nat"}  # what programs write for a cell without a value, in lower case
CASED = {"none"}  # a class may be called so: only None, as Python writes it, is a missing value
BOOLEANS = {"true": True, "false": False}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
CODE = re.compile(r"[-+]?0\d")  # a number with a leading zero, such as 01, is a name
SEPARATORS = "|;,"  # of several labels in one cell; without `labels: multi_label` only the first is recognised

FRACTIONS_AS_CLASSES = 11  # as in 0, 0.5, ..., 5: most distinct numbers with decimals that may be meant as classes
WHOLE_AS_CLASSES = 50  # most distinct whole numbers that may be classes with few samples each
SAMPLES_PER_CLASS = 5  # least mean number of samples of a class where there are more whole numbers
NAMES_SHOWN = 4


class Labels(NamedTuple):
    """The meaning of the distinct raw labels.

    Args:
        kind: `classes`, `multi_label` (a set of labels for each sample), or `numbers` (for a regression).
        meanings: meaning of each distinct raw label; None where it is missing.
        columns: names of the numbers of a sample, or of the label columns; empty for a single column.
        notes: what was merged or recognised, to tell the user.
    """

    kind: Kind
    meanings: list[Meaning]
    columns: tuple[str, ...]
    notes: list[str]


def interpret_labels(
    raw: Sequence[Any], counts: NDArray[np.int64], *, kind: str = "auto", known: Sequence[str] | None = None
) -> Labels:
    """Interpret the distinct raw labels of a table.

    Args:
        raw: the distinct cells: strings, numbers, booleans, None, lists, or a dict of cells by label column.
        counts: number of samples of each, (N,).
        kind: `classes`, `multi_label`, `numbers`, or `auto` to recognise it.
        known: names of the classes of a checkpoint, whose spelling is kept.

    Raises:
        DataError: the labels are not of that kind, or look like numbers to predict, or like free text.
    """
    cells = [_clean(cell) for cell in raw]
    there = [cell for cell in cells if cell is not None]
    if not there:
        return Labels("classes", [None] * len(cells), (), [])
    found = _recognise(there) if kind == "auto" else kind
    if found == "multi_label":
        return _as_sets(cells, automatic=kind == "auto")
    if found == "numbers":
        return _as_numbers(cells)
    if kind == "auto" and known is None:
        _refuse_numbers(cells, counts)
    return _as_classes(cells, known or ())


def _clean(cell: Any) -> Any:
    """Return a cell without blanks around it, lists written as text as lists, and None where the value is missing."""
    if isinstance(cell, str):
        text = cell.strip()
        if text[:1] == "[" and text[-1:] == "]":
            return _parse_list(text)
        lowered = text.lower()
        return None if lowered in MISSING and not (lowered in CASED and text != "None") else text
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, (list, tuple)):
        return [str(item).strip() if isinstance(item, str) else item for item in cell]
    if isinstance(cell, dict):
        cleaned = {name: _clean(value) for name, value in cell.items()}
        return None if any(value is None for value in cleaned.values()) else cleaned
    return cell


def _parse_list(text: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        inner = text[1:-1]
        return [part.strip() for part in inner.split(",")] if inner.strip() else []
    return list(value) if isinstance(value, (list, tuple)) else text


def _recognise(cells: Sequence[Any]) -> str:
    if any(isinstance(cell, dict) for cell in cells):
        return "multi_label" if all(_is_flags(cell) for cell in cells) else "numbers"
    if any(isinstance(cell, list) for cell in cells):
        one_each = all(isinstance(cell, list) and len(cell) == 1 for cell in cells)
        return "classes" if one_each else "multi_label"
    joined = [cell.split("|") for cell in cells if isinstance(cell, str) and "|" in cell]
    if joined and all(part.strip() for parts in joined for part in parts):
        single = {cell for cell in cells if isinstance(cell, str) and "|" not in cell}
        parts = [part.strip() for cell in joined for part in cell]
        # A part that occurs in two labels tells a set from a name with a bar in it.
        if len(set(parts)) < len(parts) or single & set(parts):
            return "multi_label"
    return "classes"


def _is_flags(cell: Any) -> bool:
    return isinstance(cell, dict) and all(_to_number(value) in (0.0, 1.0) for value in cell.values())


def _to_number(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return float(cell)
    if isinstance(cell, (int, float)):
        return float(cell) if math.isfinite(cell) else None
    if isinstance(cell, str):
        if cell.lower() in BOOLEANS:
            return float(BOOLEANS[cell.lower()])
        if NUMBER.fullmatch(cell) and not CODE.match(cell):
            value = float(cell)
            return value if math.isfinite(value) else None
    return None


def _refuse_numbers(cells: Sequence[Any], counts: NDArray[np.int64]) -> None:
    """Refuse labels that look like numbers to predict, or like free text.

    Raises:
        DataError: they do.
    """
    num_samples = int(sum(count for cell, count in zip(cells, counts.tolist(), strict=True) if cell is not None))
    there = [cell for cell in cells if cell is not None]
    numbers = [_to_number(cell) for cell in there]
    distinct = len(set(map(str, there)))
    if all(number is not None for number in numbers):
        values = {number for number in numbers if number is not None}
        whole = all(value.is_integer() for value in values)
        many = (
            len(values) > WHOLE_AS_CLASSES and num_samples < SAMPLES_PER_CLASS * len(values)
            if whole
            else len(values) > FRACTIONS_AS_CLASSES
        )
        if many or (len(values) > FRACTIONS_AS_CLASSES and 2 * len(values) > num_samples):
            raise DataError(
                f"the labels look like a number to predict, such as a rating: {len(values):,} distinct numbers from "
                f"{min(values):g} to {max(values):g} in {num_samples:,} rows; expected names of classes. Set `labels` "
                "to numbers to train a regression, or to classes to learn each number as a class of its own"
            )
    elif distinct > FRACTIONS_AS_CLASSES and 2 * distinct > num_samples:
        raise DataError(
            f"the labels look like free text or ids: {distinct:,} distinct ones in {num_samples:,} rows, such as "
            f"'{clip(there[0])}'; expected a few classes. Set `label_column` to the column of the classes"
        )


def _as_classes(cells: list[Any], known: Sequence[str]) -> Labels:
    cells = [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in cells]
    for cell in cells:
        if isinstance(cell, (list, dict)):
            raise DataError(
                f"a label is {'a list' if isinstance(cell, list) else 'several columns'}, '{clip(cell)}': expected one "
                "class for each sample. Set `labels` to multi_label to learn sets of labels"
            )
    there = [cell for cell in cells if cell is not None]
    if known:
        only_booleans = bool({"true", "false"} & set(known))
    else:
        only_booleans = all(isinstance(cell, bool) or str(cell).lower() in BOOLEANS for cell in there)
    names: list[Meaning] = []
    spellings: dict[str, list[str]] = {}
    for cell in cells:
        if cell is None:
            names.append(None)
            continue
        name = str(cell) if str(cell) in known else _spell(cell, only_booleans=only_booleans)
        names.append(name)
        spellings.setdefault(name, []).append(str(cell))
    merged = {name: sorted(set(own)) for name, own in spellings.items() if len(set(own)) > 1}
    notes = [f"the labels {', '.join(own)} are one class, '{name}'" for name, own in list(merged.items())[:NAMES_SHOWN]]
    if len(merged) > NAMES_SHOWN:
        notes.append(f"and {len(merged) - NAMES_SHOWN} more labels that are numbers in several spellings were merged")
    return Labels("classes", names, (), notes)


def _spell(cell: Any, *, only_booleans: bool) -> str:
    """Return the one spelling of a class: 1 for 1, 1.0 and True; `true` where all labels are booleans."""
    if only_booleans:
        return str(cell).lower()
    number = _to_number(cell)
    if number is None:
        return str(cell)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _as_sets(cells: list[Any], *, automatic: bool) -> Labels:
    meanings: list[Meaning] = []
    columns: tuple[str, ...] = ()
    separator = next(
        (mark for mark in SEPARATORS if any(isinstance(cell, str) and mark in cell for cell in cells)), SEPARATORS[0]
    )
    for cell in cells:
        if cell is None:
            meanings.append(None)
        elif isinstance(cell, dict):
            if not _is_flags(cell):
                wrong = next(value for value in cell.values() if _to_number(value) not in (0.0, 1.0))
                raise DataError(f"expected 0 or 1 in each of several label columns, received '{clip(wrong)}'")
            columns = tuple(cell)
            meanings.append(tuple(name for name, value in cell.items() if _to_number(value) == 1.0))
        else:
            items = cell if isinstance(cell, list) else str(cell).split(separator)
            parts = [_spell(item.strip() if isinstance(item, str) else item, only_booleans=False) for item in items]
            meanings.append(tuple(dict.fromkeys(part for part in parts if part)))
    how = f"0/1 columns {clip(', '.join(columns))}" if columns else "lists or joined by a separator"
    otherwise = "; set `labels` to classes if each combination is one class" if automatic and not columns else ""
    note = f"sets of labels ({how}): multi-label{otherwise}"
    return Labels("multi_label", meanings, columns, [note])


def _as_numbers(cells: list[Any]) -> Labels:
    meanings: list[Meaning] = []
    columns: tuple[str, ...] = ()
    for cell in cells:
        if cell is None:
            meanings.append(None)
            continue
        if isinstance(cell, dict):
            columns = tuple(cell)
        values = [_to_number(value) for value in (cell.values() if isinstance(cell, dict) else [cell])]
        if any(value is None for value in values):
            raise DataError(
                f"expected a number to predict in each label, received '{clip(cell)}'; correct it, or set "
                "`labels` to classes"
            )
        meanings.append(tuple(value for value in values if value is not None))
    return Labels("numbers", meanings, columns, [])
