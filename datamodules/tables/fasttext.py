"""Rows of fastText's format: `__label__x __label__y text` on each line."""

from collections.abc import Iterator, Sequence

from lightfit.errors import DataError

from .content import Content
from .delimited import MAX_LINE_CHARS, find_bad_chars
from .encoding import Encoding, decode_lines
from .table import SAMPLE_ROWS, Row, Table

PREFIX = "__label__"
COLUMNS = ["label", "text"]


def is_fasttext(lines: Sequence[str]) -> bool:
    """Return whether lines are in fastText's format."""
    filled = [line for line in lines if line.strip()]
    return bool(filled) and sum(line.lstrip().startswith(PREFIX) for line in filled) >= 0.9 * len(filled)


def open_fasttext(content: Content, encoding: Encoding, lines: Sequence[str]) -> Table:
    """Open a file of fastText's format as a table of the columns `label` and `text`.

    A label is a str, or a list of them in all rows where some of the first ones have several.

    Args:
        content: the file.
        encoding: its encoding.
        lines: its first lines.
    """
    first = [_split(line) for line in lines[:SAMPLE_ROWS] if line.strip()]
    several = any(len(labels) > 1 for labels, _ in first)

    def read(positions: Sequence[int]) -> Iterator[Row | DataError]:
        for number, line in enumerate(decode_lines(content, encoding, MAX_LINE_CHARS), 1):
            if not line.strip():
                continue
            place = f"{content.name}, line {number}"
            labels, text = _split(line)
            if not labels:
                yield DataError(f"{place}: expected a line that begins with {PREFIX}, as the others do")
            elif problem := find_bad_chars([text], place, encoding):
                yield problem
            else:
                cells = [labels if several or len(labels) > 1 else labels[0], text]
                yield Row(place, [cells[position] for position in positions])

    found = f"fastText ({PREFIX}x text), {encoding.label}" + (", several labels in a row" if several else "")
    sample = [[labels if several else "".join(labels), text] for labels, text in first]
    return Table(content.name, COLUMNS, True, found, sample, read)


def _split(line: str) -> tuple[list[str], str]:
    labels, rest = [], line.strip()
    while rest.startswith(PREFIX):
        word, _, rest = rest.partition(" ") if "\t" not in rest.split(" ", 1)[0] else rest.partition("\t")
        labels.append(word.removeprefix(PREFIX).rstrip(","))
        rest = rest.lstrip()
    return labels, rest
