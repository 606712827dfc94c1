"""Data in messages, cut to a length that can be read: a cell may hold a megabyte."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

MAX_CHARS = 60  # of one cell or name
MAX_LIST_CHARS = 150  # of a list of names


def clip(value: Any, length: int = MAX_CHARS) -> str:
    """Return a value on one line, cut to a number of characters."""
    start = value[: 4 * length] if isinstance(value, str) else repr(value)[: 4 * length]
    line = "".join(char if char.isprintable() else " " for char in start).strip()
    return line if len(line) <= length and len(start) < 4 * length else f"{line[:length]}..."


def clip_list(names: Iterable[Any], length: int = MAX_LIST_CHARS) -> str:
    """Return names with commas between them, as many as fit into a number of characters."""
    shown = ""
    for name in islice(names, length):
        item = clip(name, length // 4)
        if len(shown) + len(item) + 2 > length:
            return f"{shown}, ..."
        shown = f"{shown}, {item}" if shown else item
    return shown
