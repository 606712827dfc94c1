"""Inputs of texts: arguments, tables, files of lines, folders, standard input, requests."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from lightfit.datamodules.tables.cells import check_text
from lightfit.datamodules.tables.columns import Chosen, choose_text, find_columns, join_cells
from lightfit.datamodules.tables.content import COMPRESSIONS, Content, is_hidden, open_bytes, open_path
from lightfit.datamodules.tables.delimited import MAX_LINE_CHARS
from lightfit.datamodules.tables.encoding import decode_lines, find_encoding
from lightfit.datamodules.tables.options import AS_FOUND, TableOptions
from lightfit.datamodules.tables.reader import FORMATS, SUFFIXES, check_readable, is_table, open_table
from lightfit.datamodules.tables.table import Table
from lightfit.datamodules.text.sources import read_text
from lightfit.errors import BadInput, DataError, NotFoundError, UsageError, clip

from .arguments import STDIN, check_once, explain_missing, find_kind, looks_like_file, open_stdin, tell_left_out
from .protocol import Inputs, Item

ALL = "all"  # columns to keep


class Read(NamedTuple):
    """A text that was read.

    Args:
        sample: the text, or what is wrong with it.
        text: what it was read from; None: nothing could be read.
        cells: the cells of its row that are kept, in order.
        file: its own file in a folder.
    """

    sample: str | BadInput
    text: Any
    cells: list[Any] = []  # noqa: RUF012 - never changed
    file: str | None = None


class Source(NamedTuple):
    """The texts of an argument, opened but not read.

    Args:
        texts: the texts, read as they are iterated over.
        file: its name; None: the argument is a text itself.
        columns: names of the columns that are kept.
        has_rows: whether its texts are rows or lines.
        is_kept: whether the columns of the texts are kept.
    """

    texts: Iterator[Read]
    file: str | None = None
    columns: list[str] = []  # noqa: RUF012 - never changed
    has_rows: bool = False
    is_kept: bool = False


class TextInputs(Inputs):
    """Read texts: a sample is a str.

    Args:
        text_column: default column of the texts in a table, as in training; None: found by the usual names.
        options: how to read the tables.
    """

    def __init__(self, text_column: str | int | None, options: TableOptions = AS_FOUND) -> None:
        self.text_column = text_column
        self.options = options

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of `{"texts": [...]}`."""
        texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"type": "object", "required": ["texts"], "properties": {"texts": texts}}

    def items(self, arguments: list[str], column: str | int | None = None, keep: str | None = None) -> Iterator[Item]:
        """Yield the texts of arguments, in order.

        An argument is a text, a file of lines, a table, a folder of files with one text each, or `-` for lines of
        standard input. A file that exists is a file; what looks like a missing one is refused, so that a mistyped name
        is not taken for a text.

        Args:
            arguments: the arguments.
            column: column of the texts that each table must have, as in `columns.choose_text`; None: that of the
                training, or found.
            keep: as in `Inputs.items`.

        Raises:
            FileNotFoundError: a file does not exist.
            UsageError: a file is of a format that is not read; columns are to be kept, but no argument is a table.
            LookupError: a table does not have a column.
            DataError: a file is empty or damaged, or a folder holds no texts.
        """
        check_once(arguments)
        how = _How(self.text_column if column is None else column, self.options, strict=column is not None, keep=keep)
        # All are opened before the first prediction, so that a typo in the last argument is found at once.
        sources = [_open(item, how) for item in arguments]
        if keep is not None and not any(source.columns for source in sources):
            raise UsageError(
                f"--keep {keep} is for columns of tables, and none of the inputs is one: leave it out, or name a table "
                f"({FORMATS})"
            )
        return _chain(sources)

    def from_json(self, body: dict[str, Any]) -> list[str | BadInput]:
        """Return the texts of `{"texts": [...]}`."""
        return check_texts(body.get("texts"))

    def from_upload(self, name: str, content: bytes) -> list[str | BadInput]:
        """Return the texts of an uploaded table, from the column of the training, or of a file of lines."""
        return parse_texts(content, name, self.text_column, self.options)


class _How(NamedTuple):
    """How tables are read.

    Args:
        column: column of the texts, as in `columns.choose_text`.
        options: how to read the tables.
        strict: whether each table must have the column; else it is found in tables without names.
        keep: columns to keep.
    """

    column: str | int | None
    options: TableOptions = AS_FOUND
    strict: bool = False
    keep: str | None = None


def _chain(sources: list[Source]) -> Iterator[Item]:
    """Yield the texts of sources, all with the same columns."""
    columns = list(dict.fromkeys(chain.from_iterable(source.columns for source in sources)))
    with_file = any(source.file is not None for source in sources)
    with_rows = len(sources) > 1 and any(source.has_rows for source in sources)
    with_input = not all(source.is_kept for source in sources)
    for source in sources:
        for number, read in enumerate(source.texts, 1):
            origin: dict[str, Any] = {"input": read.text} if with_input else {}
            if with_file:
                origin["file"] = read.file or source.file
            if with_rows:
                origin["file_row"] = number if source.has_rows else None
            kept = dict.fromkeys(columns) | dict(zip(source.columns, read.cells, strict=False))
            yield Item(read.sample, origin, kept)


def _open(item: str, how: _How) -> Source:
    kind = find_kind(item)
    if kind == "stdin":
        return Source(_lines(open_stdin(how.options.encoding), "standard input"), STDIN, has_rows=True)
    if kind == "folder":
        return Source(_files(Path(item), how.options), item)
    if kind == "file":
        return _read(open_path(Path(item)), how)._replace(file=item)
    if looks_like_file(item):
        raise FileNotFoundError(
            f"{explain_missing(item)}. If it is meant as a text, end it with a blank, or write it to standard input "
            f"and give {STDIN} instead"
        )
    return Source(iter([_check(item, f"the input '{clip(item)}'")]))


def _has_ending(item: str) -> bool:
    suffixes = [] if " " in item else Path(item).suffixes
    return any(suffix.lower() in SUFFIXES for suffix in suffixes[-2:]) and (
        suffixes[-1].lower() in (*SUFFIXES, *COMPRESSIONS)
    )


def _read(content: Content, how: _How) -> Source:
    """Return the texts of a table or of a file of lines, whichever the content is."""
    check_readable(content, content.read_start(16))
    if is_table(content, how.options):
        named = [] if how.keep in (None, ALL) else str(how.keep).split(",")
        asked = [*([how.column] if isinstance(how.column, str) else []), *named]
        table = open_table(content, how.options, by_position=isinstance(how.column, int), asked=asked)
        try:
            chosen = _choose(table, how.column, strict=how.strict)
        except NotFoundError:
            if how.strict or content.suffix not in (".txt", ""):
                raise
        else:
            kept = _choose_kept(table, how.keep)
            is_kept = set(chosen.positions) <= set(kept.values())
            texts = _cells(table, chosen, list(kept.values()))
            return Source(texts, content.name, list(kept), has_rows=True, is_kept=is_kept)
    lines = decode_lines(content, find_encoding(content, how.options.encoding), MAX_LINE_CHARS)
    return Source(_lines(lines, content.name), content.name, has_rows=True)


def _choose(table: Table, column: str | int | None, *, strict: bool) -> Chosen:
    try:
        return choose_text(table, column, alone=True)
    except NotFoundError:
        if strict or (table.named and not table.found.startswith("fastText")):
            raise
        return choose_text(table, None, alone=True)


def _choose_kept(table: Table, keep: str | None) -> Mapping[str, int]:
    """Return the positions of the columns to keep by their names, which get a number where one occurs twice."""
    if keep is None:
        return {}
    positions = list(range(len(table.columns))) if keep == ALL else find_columns(table, keep, "keep")
    kept: dict[str, int] = {}
    for position in positions:
        name = own = table.columns[position] or f"column {position}"
        number = 1
        while name in kept and kept[name] != position:
            name, number = f"{own}.{number}", number + 1
        kept[name] = position
    return kept


def parse_texts(
    content: bytes, name: str, column: str | int | None, options: TableOptions = AS_FOUND
) -> list[str | BadInput]:
    """Return the texts of an uploaded table or file of lines.

    Args:
        content: content of the file.
        name: name of the file, whose ending must be one that is read.
        column: column of the texts in a table.
        options: how to read the tables.

    Raises:
        DataError: the file has another ending, is empty, or does not have the column.
    """
    if Path(name).suffix and not _has_ending(name):
        raise DataError(f"expected a table or a file of lines ({FORMATS}), received '{clip(name)}'")
    try:
        texts = [read.sample for read in _read(open_bytes(name, content), _How(column, options)).texts]
    except (NotFoundError, UsageError) as error:
        raise DataError(str(error)) from error
    if not texts:
        raise DataError(f"'{clip(name)}' holds no rows; expected at least one text")
    return texts


def check_texts(texts: Any) -> list[str | BadInput]:
    """Return the texts of a request, with `BadInput` in place of a bad one.

    Raises:
        DataError: the value is not a list of texts, or is empty.
    """
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataError('expected {"texts": ["a text", "another"]}, a list of at least one text')
    return [_check(text, f"text {position}").sample for position, text in enumerate(texts, 1)]


def _cells(table: Table, chosen: Chosen, kept: list[int]) -> Iterator[Read]:
    empty = True
    num_texts = len(chosen.positions)
    for row in table.rows([*chosen.positions, *kept]):
        empty = False
        if isinstance(row, DataError):
            yield Read(BadInput(str(row)), None)
            continue
        cells = row.cells[num_texts:]
        try:
            text = join_cells(row.cells[:num_texts], pair=chosen.pair)
        except ValueError as error:
            yield Read(BadInput(f"{row.place}: {error}; correct or delete the row"), None, cells)
            continue
        yield _check(text, row.place, cells, loose=table.loose)
    if empty:
        raise DataError(f"'{table.name}' holds no rows; expected at least one text")


def _lines(lines: Iterable[str], name: str) -> Iterator[Read]:
    num_lines = 0
    for num_lines, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        yield _check(text.removeprefix("\ufeff") if num_lines == 1 else text, f"{name}, line {num_lines}")
    if not num_lines:
        raise DataError(f"'{name}' is empty; expected a text on each line")


def _files(folder: Path, options: TableOptions) -> Iterator[Read]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() == ".txt" and path.is_file())
    files = sorted(path for path in found if not is_hidden(path.relative_to(folder).as_posix()))
    if not files:
        raise DataError(f"'{folder}' holds no .txt files; expected one for each text")
    tell_left_out(folder, files)
    return (_read_file(file, options) for file in files)


def _read_file(file: Path, options: TableOptions) -> Read:
    try:
        text = read_text(file, options.encoding)
    except (DataError, OSError) as error:
        return Read(BadInput(str(error)), None, file=str(file))
    return Read(text, text, file=str(file))


def _check(text: Any, place: str, cells: list[Any] = [], *, loose: bool = False) -> Read:  # noqa: B006 - never changed
    try:
        if isinstance(text, str) and "\0" in text:
            raise DataError(f"{place}: the text holds a NUL byte; is it UTF-16? Save it as UTF-8, or set `encoding`")
        checked = check_text(text, place, loose=loose)
    except DataError as error:
        return Read(BadInput(str(error)), text, cells)
    return Read(checked, checked, cells)
