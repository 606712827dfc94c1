"""Tables of paths and labels: the columns are found, the images are looked for, and contradictions are refused."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lightfit.errors import DataError, NotFoundError, UsageError, clip, clip_list

from ...split_names import AFFIXES, find_split
from ...splits import SPLITS
from ...tables.cells import is_empty
from ...tables.columns import LABEL_NAMES, find_column, find_columns, find_split_column, normalise
from ...tables.content import Content, uncompress
from ...tables.reader import open_table
from ...tables.table import Row, Table, describe_columns
from .files import Browsable, FolderFiles, is_image
from .folders import match_label
from .listing import Ignored, Listing
from .options import ImageOptions
from .paths import ImagePaths, Missing, clean_path, describe_missing

# As they are compared: in lower case, without blanks, underscores and hyphens.
PATH_NAMES = (
    *("path", "paths", "filepath", "filepaths", "imagepath", "imgpath", "relativepath", "relpath"),
    *("file", "files", "filename", "filenames", "fname", "imagefile", "imagefilename", "imgfile"),
    *("image", "images", "img", "imagename", "imgname", "imageid", "imgid", "imageindex", "photo", "picture"),
    *("name", "id", "idcode"),
)
# Besides those of texts.
IMAGE_LABEL_NAMES = (
    *("classname", "labelname", "classlabel", "imagelabel", "categoryname", "classid", "labelid", "categoryid"),
    *("dx", "diagnosis", "breed", "species", "disease", "findinglabels", "cultivar", "variety", "tags"),
)
# Words around the name of a split, as in train_labels.csv; in the folder of a split, a table may be named so alone.
TABLE_WORDS = AFFIXES | {
    *("label", "labels", "annotation", "annotations", "metadata", "meta", "class", "classes", "info", "table", "df"),
    *("list", "solution", "target", "targets", "gt", "y", "coco", "instances"),
}
LISTS = (".txt", ".lst", ".list", "")  # endings of files whose columns may be parted by blanks
PROBED = 50  # rows by which the column of the paths is recognised
ENOUGH = 0.5  # fraction of them whose images must be there
FLAGS = {"0", "1", "0.0", "1.0", "true", "false"}
NO_ROW = "not in the table"
SHOWN = 3


class TableFile(NamedTuple):
    """A table of a source.

    Args:
        content: the file.
        folder: the folder that it is in, among the files of the source; the root is an empty string.
    """

    content: Content
    folder: str


class Columns(NamedTuple):
    """The columns of a table, by position.

    Args:
        path: the paths.
        labels: the labels; empty where they are in the paths.
        group: what must not be divided.
        split: the splits.
        sure: whether the labels' column has a usual name or was asked for.
    """

    path: int
    labels: list[int]
    group: int | None
    split: int | None
    sure: bool


def open_content(files: Browsable, name: str, place: str) -> Content:
    """Return the content of a file of a folder or an archive."""
    if isinstance(files, FolderFiles):
        path = files.root / name
        return Content(str(path), lambda: path.open("rb"), path)

    def open_member() -> BinaryIO:
        return io.BytesIO(files.read(name))

    return Content(f"{place}/{name}", open_member)


def open_image_table(content: Content, options: ImageOptions) -> Table:
    """Open a table of images: as texts' tables, and lists of a path and a label with blanks between them.

    Args:
        content: the file.
        options: the columns.

    Raises:
        as `open_table`.
    """
    columns = (options.path_column, options.label_column, options.group_column)
    asked = [column for column in columns if isinstance(column, str)]
    by_position = any(isinstance(column, int) for column in columns)
    plain = uncompress(content)
    table = open_table(plain, options.table, by_position=by_position, asked=asked)
    if options.table.header is None:
        header = None
        if table.named and any(map(is_image, table.columns)):
            header = False  # the first row names an image
        elif table.named and plain.suffix in LISTS and not {*map(_squeeze, table.columns)} & {*PATH_NAMES}:
            header = None if asked else False  # an id, as lists have no headers
        elif not table.named and table.sample and any(_squeeze(cell) in PATH_NAMES for cell in table.sample[0]):
            header = True
        if header is not None:
            again = replace(options.table, header=header)
            table = open_table(plain, again, by_position=by_position, asked=asked)
    return _split_at_blanks(table) if plain.suffix in LISTS else table


def _squeeze(name: Any) -> str:
    return normalise(str(name)).replace("_", "").replace("-", "") if isinstance(name, str) else ""


def _split_at_blanks(table: Table) -> Table:
    """Return a list of one column whose lines are a path and a label as a table of two columns."""
    if len(table.columns) != 1:
        return table
    lines = [str(row[0]) for row in table.sample if row and not str(row[0]).startswith("#")]
    words = [line.split() for line in lines]
    widths = {len(own) for own in words}
    if not words or min(widths) < 2:
        return table
    if len(widths) == 1 and (widths == {2} or all(_is_number(word) for own in words for word in own[1:])):
        cut: Callable[[str], list[str]] = str.split
        width = widths.pop()
    elif all(is_image(own[0]) for own in words):
        cut, width = partial(str.split, maxsplit=1), 2
    else:
        cut, width = partial(str.rsplit, maxsplit=1), 2
    header = [*map(_squeeze, cut(table.columns[0]))] if table.named else []
    names = any(word in PATH_NAMES for word in header)

    def read(positions: Sequence[int]) -> Iterator[Row | DataError]:
        if table.named and not names:
            yield Row(f"{table.name}, line 1", [cut(table.columns[0])[position] for position in positions])
        for row in table.rows([0]):
            if isinstance(row, DataError) or str(row.cells[0]).startswith("#"):
                if isinstance(row, DataError):
                    yield row
                continue
            cells = cut(str(row.cells[0]))
            if len(cells) != width:
                yield DataError(f"{row.place}: expected {width} words, as in the other lines, received {len(cells)}")
            else:
                yield Row(row.place, [cells[position] for position in positions])

    columns = cut(table.columns[0]) if names else [str(index) for index in range(width)]
    return replace(
        table,
        columns=columns,
        named=names,
        found=f"text, blanks between columns, {'header' if names else 'no header'}",
        sample=[cut(line) for line in lines],
        read=read,
    )


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d*)?", text) is not None


def choose_columns(table: Table, options: ImageOptions, paths: ImagePaths) -> Columns:
    """Choose the columns of a table.

    Args:
        table: the table.
        options: what is given is not looked for.
        paths: where the images are, by which the column of the paths is recognised.

    Raises:
        LookupError: there is no such column, or none is found.
        DataError: a column is chosen for two purposes.
    """
    path = _choose_path(table, options, paths)
    group = None if options.group_column is None else find_column(table, options.group_column, "group_column")
    split = find_split_column(table)
    if options.label_from is not None or options.class_level is not None:
        labels, sure = list[int](), True
    else:
        taken = [item for item in (path, group, split) if item is not None]
        labels, sure = find_labels(table, taken, options.label_column)
    for index, argument in ((path, "path_column"), (group, "group_column"), (split, "")):
        if index in labels:
            holds = f"`{argument}` and `label_column`" if argument else "the splits, and for `label_column`"
            raise DataError(f"'{table.name}': the column '{clip(table.columns[index])}' is chosen for {holds}")
    return Columns(path, labels, group, split, sure)


def _choose_path(table: Table, options: ImageOptions, paths: ImagePaths) -> int:
    if options.path_column is not None:
        return find_column(table, options.path_column, "path_column")
    names = [_squeeze(name) for name in table.columns] if table.named else []
    usual = sorted((PATH_NAMES.index(name), index) for index, name in enumerate(names) if name in PATH_NAMES)
    first = [index for _, index in usual]
    for index in [*first, *(index for index in range(len(table.columns)) if index not in first)]:
        if holds_paths(table, index, paths):
            return index
    written = [
        index
        for index in range(len(table.columns))
        if (cells := _probe(table, index)) and all(is_image(clean_path(cell)) for cell in cells)
    ]
    if likely := [index for index in first if index in written] or written or first:
        return likely[0]  # its images are not there, which is an error of its own
    raise NotFoundError(
        f"'{table.name}': which column holds the paths of the images? It has: {describe_columns(table)}; no column "
        f"names files below '{paths.place}'. Set `path_column` to the name of a column, or to its position from 0, and "
        "`image_dir` to the folder of the images"
    )


def _probe(table: Table, index: int) -> list[Any]:
    cells = [row[index] for row in table.sample if index < len(row) and not is_empty(row[index])]
    return cells[:: max(1, len(cells) // PROBED)][:PROBED]


def holds_paths(table: Table, index: int, paths: ImagePaths) -> bool:
    """Return whether a column names files that are there, by its first rows."""
    cells = _probe(table, index)
    there = 0
    guessed, dropped = paths.guessed.copy(), paths.dropped.copy()
    for cell in cells:
        try:
            there += paths.find(cell) is not None
        except DataError:  # not clearly one file
            there += 1
    paths.guessed, paths.dropped = guessed, dropped
    return bool(cells) and there >= ENOUGH * len(cells)


def find_labels(table: Table, taken: Sequence[int], asked: str | int | None = None) -> tuple[list[int], bool]:
    """Return the columns of the labels, and whether their names say so; none if there is no other column.

    Args:
        table: the table.
        taken: columns with another meaning.
        asked: `label_column`; None: found.

    Raises:
        LookupError: there is no such column, or none is found.
    """
    if asked is not None:
        return find_columns(table, asked, "label_column"), True
    names = [_squeeze(name) for name in table.columns] if table.named else []
    boxes = {"x", "y"} <= set(names)  # of objects: there y is no label
    for name in (*map(_squeeze, LABEL_NAMES), *IMAGE_LABEL_NAMES):
        if name in names and names.index(name) not in taken and not (boxes and name == "y"):
            return [names.index(name)], True
    others = [
        index
        for index in range(len(table.columns))
        if index not in taken and not (table.named and _is_row_number(table.columns[index]))
    ]
    if len(others) > 1 and all(_is_flags(table, index) for index in others):
        return others, True
    if len(others) <= 1:
        return others, False
    raise NotFoundError(
        f"'{table.name}': which column holds the labels? It has: {describe_columns(table)}. Set `label_column` to the "
        "name of a column, or to its position from 0"
    )


def _is_row_number(name: str) -> bool:
    return not name or name.lower().startswith("unnamed:")


def _is_flags(table: Table, index: int) -> bool:
    cells = [row[index] for row in table.sample if index < len(row)]
    return bool(cells) and all(str(cell).strip().lower() in FLAGS for cell in cells)


@dataclass
class _Rows:
    """The images of tables, as they are read."""

    names: list[str] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)  # place of each in its table
    found: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    num_named: int = 0


def list_tables(
    tables: dict[str, TableFile],
    paths: Callable[[TableFile], ImagePaths],
    place: str,
    options: ImageOptions,
    *,
    look_in: Sequence[FolderFiles | None] = (),
) -> Listing:
    """List the images of a table, or of one for each split.

    Args:
        tables: the table of each split; a single one may have a column of the splits.
        paths: returns where the images of a table are.
        place: name of the source, for messages.
        options: the columns.
        look_in: where to look for images that are not where the table says, to tell how to mend it.

    Raises:
        LookupError: a column is not there, or not found.
        DataError: images are not there, rows cannot be read, tables or rows disagree.
    """
    _check_arguments(options)
    out = _Rows()
    opened = {split: open_image_table(file.content, options) for split, file in tables.items()}
    places = {split: paths(file) for split, file in tables.items()}
    first = choose_columns(opened["train"], options, places["train"])
    for split in SPLITS:
        if split not in opened:
            continue
        table = opened[split]
        columns = first
        if split != "train":
            own = _choose_alike(table, split, opened["train"], first, options, places[split], out)
            if own is None:
                continue
            columns = own
        if len(tables) > 1:
            columns = columns._replace(split=None)
        _read_table(table, split, columns, places[split], options, out)
        out.found.append(_describe(table, split if len(tables) > 1 else "", columns, options))
    for own_paths in {id(item): item for item in places.values()}.values():
        out.found += own_paths.describe()
    train_paths = places["train"]
    _check_rows(out, opened, options, train_paths, look_in)
    if len(tables) == 1 and first.split is None:
        _split_by_folder(out)
    _remove_repeated(out, opened, options)
    if 0 not in out.splits:
        raise DataError(f"'{opened['train'].name}' has no images to train on")
    return Listing(
        files=train_paths.files,
        names=out.names,
        places=out.names,
        labels=out.labels,
        cells=options.label_from is None and options.class_level is None,
        splits=np.array(out.splits, np.int64),
        owners=out.owners if options.group_column is not None else None,
        skipped=out.skipped,
        found=out.found,
        warnings=out.warnings,
    )


def _check_arguments(options: ImageOptions) -> None:
    given = [name for name in ("label_column", "label_from", "class_level") if getattr(options, name) is not None]
    if len(given) > 1:
        raise UsageError(f"`{given[0]}` and `{given[1]}` both say where the labels are: set one of them")


def _choose_alike(
    table: Table,
    split: str,
    train: Table,
    first: Columns,
    options: ImageOptions,
    paths: ImagePaths,
    out: _Rows,
) -> Columns | None:
    """Return the columns of another split's table, with the labels where those of train are; None: it has none.

    Raises:
        DataError: it has other columns of labels.
    """
    path = first.path
    if options.path_column is not None or not table.named:
        path = find_column(table, path if options.path_column is None else options.path_column, "path_column")
    else:
        path = _choose_path(table, options, paths)
    group = None if options.group_column is None else find_column(table, options.group_column, "group_column")
    wanted = [train.columns[index] for index in first.labels]
    names = [normalise(name) for name in table.columns]
    if not table.named:
        there = [index if index < len(table.columns) and index != path else None for index in first.labels]
    else:
        there = [names.index(normalise(name)) if normalise(name) in names else None for name in wanted]
    labels = [index for index in there if index is not None]
    if len(labels) < len(wanted):
        if split == "test" and not labels and not _has_other_labels(table, path, options):
            out.warnings.append(f"{split}: left out, as '{table.name}' has no column of labels")
            return None
        lacking = [name for name, index in zip(wanted, there, strict=True) if index is None]
        raise DataError(
            f"the tables disagree: '{train.name}' has the labels in {clip_list(wanted)}, and '{table.name}' has no "
            f"column {clip_list(lacking)}; it has: {describe_columns(table)}. Give the columns the same names, or "
            "leave one of the tables out"
        )
    if wanted and not _any_label(table, labels):
        out.warnings.append(f"{split}: left out, as all labels of '{table.name}' are empty")
        return None
    return Columns(path, labels, group, None, first.sure)


def _has_other_labels(table: Table, path: int, options: ImageOptions) -> bool:
    try:
        labels, sure = find_labels(table, [path])
    except NotFoundError:
        return False
    return sure and bool(labels)


def _any_label(table: Table, labels: list[int]) -> bool:
    rows = (row for row in table.rows(labels) if isinstance(row, Row))
    return any(not all(is_empty(cell) for cell in row.cells) for row in rows)


def _read_table(
    table: Table, split: str, columns: Columns, paths: ImagePaths, options: ImageOptions, out: _Rows
) -> None:
    positions = [columns.path, *columns.labels]
    extra = [index for index in (columns.group, columns.split) if index is not None]
    names = [table.columns[index] for index in columns.labels]
    known = columns.split is not None or find_split(PurePosixPath(table.name).name.partition(".")[0], TABLE_WORDS)
    for row in table.rows([*positions, *extra]):
        if isinstance(row, DataError):
            out.bad.append(str(row))
            continue
        cells = row.cells
        own_split: str | None = split
        if columns.split is not None:
            own_split = find_split(str(cells[-1]))
            if own_split is None:
                out.bad.append(f"{row.place}: '{clip(cells[-1])}' is no split; expected train, val or test")
                continue
        if is_empty(cells[0]):
            out.bad.append(f"{row.place}: no path; expected one in column '{clip(table.columns[columns.path])}'")
            continue
        out.num_named += 1
        reason = ""
        try:
            name = paths.find(cells[0], own_split if known or split != "train" else None)
        except DataError as error:
            name, reason = None, str(error)
        if name is None:
            out.missing.append(Missing(row.place, clean_path(cells[0]), reason))
            continue
        own = cells[1 : len(positions)]
        if len(own) > 1:
            label: Any = dict(zip(names, own, strict=True))
        elif own:
            label = own[0].strip() if isinstance(own[0], str) else own[0]
        else:
            label = _label_by_path(name, paths, options)
            if label is None:
                out.bad.append(f"{row.place}: '{clip(name)}' has no label: {_describe_labelling(options)} finds none")
                continue
        owner = cells[len(positions)] if columns.group is not None else None
        out.names.append(name)
        out.labels.append(label)
        out.splits.append(SPLITS.index(own_split or "train"))
        out.owners.append(f"{name} (no group)" if is_empty(owner) else str(owner).strip())
        out.rows.append(row.place)


def _label_by_path(name: str, paths: ImagePaths, options: ImageOptions) -> str | None:
    if options.label_from is not None:
        return match_label(options.label_from, name)
    folders = name.split("/")[:-1]
    level = -1 if options.class_level is None else options.class_level
    if level > 0:  # below the split
        last = max((index for index, folder in enumerate(folders) if find_split(folder)), default=-1)
        folders = folders[last + 1 :]
    return folders[level - 1 if level > 0 else level] if len(folders) >= abs(level) else None


def _describe_labelling(options: ImageOptions) -> str:
    if options.label_from is not None:
        return f"`label_from` '{options.label_from}'"
    return "its folder" if options.class_level is None else f"`class_level` {options.class_level}"


def _describe(table: Table, split: str, columns: Columns, options: ImageOptions) -> str:
    kind = "column" if table.named else "position"
    labels = f"labels in {kind} {clip_list(table.columns[index] for index in columns.labels)}"
    if not columns.labels:
        labels = f"labels by {_describe_labelling(options)}"
    more = "".join(
        f", {what} in {kind} {clip(table.columns[index])}"
        for what, index in (("groups", columns.group), ("splits", columns.split))
        if index is not None
    )
    start = f"{split}: " if split else ""
    return (
        f"{start}{clip(Path(table.name).name)}: {table.found}; paths in {kind} {clip(table.columns[columns.path])}, "
        f"{labels}{more}"
    )


def _check_rows(
    out: _Rows,
    tables: dict[str, Table],
    options: ImageOptions,
    paths: ImagePaths,
    look_in: Sequence[FolderFiles | None],
) -> None:
    """Check that all rows could be read and all images are there, or skip those that are not.

    Raises:
        DataError: one is not, and is not to be skipped.
    """
    name = tables["train"].name if len(tables) == 1 else clip_list(Path(table.name).name for table in tables.values())
    if options.table.on_error != "skip" or not out.names:
        if out.missing:
            raise DataError(describe_missing(out.missing, out.num_named, name, paths, look_in))
        if out.bad:
            many = "" if len(out.bad) == 1 else f"{len(out.bad):,} rows of '{name}' cannot be read. The first: "
            raise DataError(f"{many}{out.bad[0]}, or set `on_error` to skip")
        if not out.names:
            raise DataError(f"'{name}' holds no rows; expected at least one image")
    out.skipped += out.bad
    out.skipped += [f"{item.place}: {item.reason or f'no image {clip(item.value)!r}'}" for item in out.missing]


def _split_by_folder(out: _Rows) -> None:
    """Divide the images of a table by the folders of splits that they are in, if all of them are in one."""
    folders = [name.split("/")[:-1] for name in out.names]
    depth = min(map(len, folders))
    for level in range(depth):
        own = {parts[level] for parts in folders}
        splits = {name: find_split(name) for name in own}
        if len(own) > 1:
            if None not in splits.values() and "train" in splits.values():
                out.splits[:] = [SPLITS.index(splits[parts[level]] or "train") for parts in folders]
                out.found.append(f"splits by the folders of the images: {clip_list(sorted(own))}")
            return


def _remove_repeated(out: _Rows, tables: dict[str, Table], options: ImageOptions) -> None:
    """Keep one of the rows that name the same image with the same label.

    Raises:
        DataError: rows give an image different labels.
    """
    first: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    drop: set[int] = set()
    wrong: list[tuple[int, int]] = []
    for row, name in enumerate(out.names):
        other = first.setdefault(name, row)
        if other != row and repr(out.labels[other]) != repr(out.labels[row]):
            wrong.append((other, row))
        elif (name, out.splits[row]) in seen:
            drop.add(row)
        seen.add((name, out.splits[row]))
    repeated = len(drop)
    if wrong:
        _refuse_several(out, wrong, tables, options)
        names = {out.names[row] for _, row in wrong}
        repeated = sum(out.names[row] not in names for row in drop)
        drop |= {row for row, name in enumerate(out.names) if name in names}
        out.skipped += [f"{name}: has several labels" for name in sorted(names)]
    if repeated:
        out.found.append(f"rows that repeat an image with the same label are read once ({repeated:,})")
    if drop:
        kept = [row for row in range(len(out.names)) if row not in drop]
        columns: tuple[list[Any], ...] = (out.names, out.labels, out.splits, out.owners, out.rows)
        for items in columns:
            items[:] = [items[row] for row in kept]


def _refuse_several(
    out: _Rows, wrong: Sequence[tuple[int, int]], tables: dict[str, Table], options: ImageOptions
) -> None:
    """Refuse images with several labels, unless they are to be skipped.

    Raises:
        DataError: they are not.
    """
    if options.table.on_error == "skip":
        return
    across = [pair for pair in wrong if out.splits[pair[0]] != out.splits[pair[1]]]
    what = "the tables disagree" if across and len(tables) > 1 else "the table disagrees with itself"
    shown = "; ".join(
        f"{clip(out.names[row])} is {clip(out.labels[other])} ({_shorten(out.rows[other])}) and "
        f"{clip(out.labels[row])} ({_shorten(out.rows[row])})"
        for other, row in wrong[:SHOWN]
    )
    images = len({out.names[row] for _, row in wrong})
    many = "1 image has" if images == 1 else f"{images:,} images have"
    raise DataError(
        f"{what}: {many} several labels: {shown}. Correct the labels; or, if several apply to an image, name it once "
        "with its labels joined by |; or set `on_error` to skip such images"
    )


def _shorten(place: str) -> str:
    return PurePosixPath(place).name


def name_others(listing: Listing, images: Sequence[str]) -> Listing:
    """Add the images of the source that no row names to those that are ignored."""
    named = set(listing.names)
    others = [Ignored(name, NO_ROW) for name in images if name not in named]
    return replace(listing, ignored=[*listing.ignored, *others])
