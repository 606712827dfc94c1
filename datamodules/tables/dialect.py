"""The dialect of a delimited file: delimiter, quotes and escapes, found from its first lines.

DuckDB's sniffer takes the commas in the texts of a .tsv for delimiters, and a ragged CSV for one column; the ending of
the file and its first row say more.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .options import NO_QUOTE, TableOptions

MAX_FIELD_CHARS = 2**24  # the csv module's own limit, 2**17, is shorter than some texts
DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|"}  # in the order of preference; of all other endings:
ANY_DELIMITERS = "\t,;|"
CUT_LINES = 50  # of a last row in quotes that the end of a sample may have cut
NAMES = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}


class Dialect(NamedTuple):
    """How the fields of a row are written.

    Args:
        delimiter: character between fields.
        quote: character around fields; None: quotes are part of the text.
        escape: character before a quote within quotes; None: the quote is doubled.
        skip: number of lines before the table, such as Excel's `sep=;`.
        width: number of fields of most rows.
        undecided: whether no quote has been seen so far, so that the first one is to decide.
    """

    delimiter: str
    quote: str | None = '"'
    escape: str | None = None
    skip: int = 0
    width: int = 1
    undecided: bool = False

    def reader(self, lines: Iterable[str]) -> Any:
        """Return a strict reader of the csv module."""
        csv.field_size_limit(MAX_FIELD_CHARS)
        if self.quote is None:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, quotechar=None)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=self.escape is None,
            escapechar=self.escape,
            strict=True,
        )

    @property
    def label(self) -> str:
        """Return the delimiter, and the quotes if they are unusual, in words."""
        name = NAMES.get(self.delimiter, repr(self.delimiter))
        quotes = "" if self.quote == '"' or self.undecided else f", quote {self.quote or NO_QUOTE}"
        return f"delimiter {name}{quotes}" + (", escape \\" if self.escape else "")


def find_dialect(lines: list[str], suffix: str, options: TableOptions) -> tuple[Dialect, float]:
    """Return the dialect of the first lines of a table, and the fraction of them that do not parse.

    Args:
        lines: whole lines from the start of the file.
        suffix: ending of the file, which decides between dialects that fit alike.
        options: what is given is not looked for.
    """
    skip, given = 0, options.delimiter
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip("\r\n")) == 5:
        skip, given = 1, given or lines[0][4]
    found = [
        find_quote(lines[skip:], Dialect(delimiter, skip=skip), options)
        for delimiter in given or DELIMITERS.get(suffix, ANY_DELIMITERS)
    ]
    wide = [item for item in found if item[0].width > 1]
    return min(wide, key=lambda item: round(item[1], 2), default=found[0])


def find_quote(lines: list[str], dialect: Dialect, options: TableOptions, width: int = 0) -> tuple[Dialect, float]:
    """Return the dialect with the quotes with which most rows parse, and the fraction of rows that do not.

    Args:
        lines: whole lines, from the start of a row.
        dialect: the delimiter.
        options: a quote that is given is not looked for.
        width: number of fields of a row, if known.
    """
    best: tuple[Dialect, float] | None = None
    for quote, escape in _list_quotes(lines, options):
        candidate = dialect._replace(quote=quote, escape=escape)
        found, bad = _measure(lines, candidate, width)
        if best is None or bad < best[1]:
            best = candidate._replace(width=found), bad
        if bad == 0:
            break
    assert best is not None
    undecided = options.quote is None and best[0].quote == '"' and not any('"' in line for line in lines)
    return best[0]._replace(undecided=undecided), best[1]


def _list_quotes(lines: list[str], options: TableOptions) -> Iterator[tuple[str | None, str | None]]:
    if options.quote is not None:
        yield (None, None) if options.quote == NO_QUOTE else (options.quote, None)
        return
    yield '"', None
    if any('\\"' in line for line in lines):
        yield '"', "\\"
    if any('"' in line for line in lines):
        yield None, None
    if any("'" in line for line in lines):
        yield "'", None


def _measure(lines: list[str], dialect: Dialect, width: int = 0) -> tuple[int, float]:
    """Return the number of fields of the first row, and the fraction of the lines that do not parse to as many."""
    reader = dialect.reader(lines)
    widths: Counter[int] = Counter()
    first, bad = width, 0
    while True:
        begun = reader.line_num
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            num_lines = max(reader.line_num - begun, 1)
            cut = begun + num_lines == len(lines) and num_lines < CUT_LINES and begun > CUT_LINES
            bad += 0 if cut else num_lines
            continue
        if row:
            first = first or len(row)
            widths[len(row)] += 1
            bad += (len(row) != first) * (reader.line_num - begun)
    if widths[first] < sum(widths.values()) / 2:
        return 1, 1.0  # the first row is not one of this table
    return max(first, 1), bad / max(reader.line_num, 1)
