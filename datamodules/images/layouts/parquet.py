"""Images within Parquet and Arrow files, as Hugging Face's data sets hold them: a column of bytes, read by row."""

import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lightfit.errors import DataError, NotFoundError, UsageError, clip, clip_list

from ...split_names import find_split
from ...splits import SPLITS
from ...tables.cells import is_empty
from ...tables.columnar import ARROW, PARQUET, STREAM, name_class, read_class_names
from ...tables.columns import find_column
from ...tables.layout import SHARD
from ...tables.table import Table
from .folders import NO_FORMAT, Sorted
from .listing import Ignored, Listing
from .options import ImageOptions
from .tables import find_labels

SUFFIXES = (".parquet", ".arrow")
USUAL = ("image", "img", "images", "picture", "photo", "bytes", "jpg", "png", "jpeg", "webp")
MOST_KEPT_BYTES = 2**28  # of row groups, for each process
MARK = "#"  # between the name of a file and the row


class Shard(NamedTuple):
    """A file and its column of images.

    Args:
        name: name of the file within the folder.
        column: the column.
        nested: whether its cells are a struct of `bytes` and `path`.
        ends: number of rows up to the end of each row group; of an Arrow file, of all rows.
        is_parquet: whether it is Parquet, not Arrow.
    """

    name: str
    column: str
    nested: bool
    ends: list[int]
    is_parquet: bool


def holds_images(path: Path) -> bool:
    """Return whether a file is Parquet or Arrow with a column of images."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if not start.startswith((PARQUET, ARROW)) and not (start.startswith(STREAM) and path.suffix == ".arrow"):
            return False
        return bool(_find_image_columns(_read_schema(path)))
    except (OSError, pa.ArrowException):
        return False


def find_shards(root: Path, own: Sorted) -> dict[str, list[Path]]:
    """Return the files with images of each split, by their names or those of their folders; empty if there are none.

    Raises:
        DataError: several folders hold a data set, or none of the files is for train.
    """
    names = [name for name in own.others if name.lower().endswith(SUFFIXES)]
    if own.images or not names or not holds_images(root / names[0]):
        return {}
    found: defaultdict[str, defaultdict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        path = PurePosixPath(name)
        split, folder = find_split(SHARD.sub("", path.stem)), str(path.parent)
        if split is None and (split := find_split(path.parent.name)):
            folder = str(path.parent.parent)
        found[folder][split or ""].append(root / name)
    with_train = {folder: splits for folder, splits in found.items() if "train" in splits}
    if len(with_train) > 1:
        raise DataError(f"'{root}' holds data sets in {clip_list(sorted(with_train))}: set `root` to one of them")
    if with_train:
        [splits] = with_train.values()
        return {split: splits[split] for split in SPLITS if split in splits}
    if len(found) == 1 and set(splits := next(iter(found.values()))) == {""}:
        return {"train": splits[""]}
    raise DataError(
        f"'{root}' holds files with images, none of them for train ({clip_list(names)}): name them such as "
        "train-00000-of-00001.parquet, or set `root` to one of them"
    )


def _read_schema(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq  # imported where it is needed, as it takes a twentieth of a second

    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(PARQUET):
        return pq.read_schema(path)
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source) if start.startswith(ARROW) else pa.ipc.open_stream(source)
        return reader.schema


def _find_image_columns(schema: pa.Schema) -> dict[str, bool]:
    """Return the columns of images, and whether each is a struct of `bytes` and `path`, the usual names first."""
    found = {}
    for name, kind in zip(schema.names, schema.types, strict=True):
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            found[name] = True
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            found[name] = False
    order = {name: index for index, name in enumerate(USUAL)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0].lower(), len(order))))


class RowImages:
    """Images by file and row, `<file>#<row>`; a few row groups are kept in memory.

    Args:
        folder: the folder of the files.
        shards: the files.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard]) -> None:
        self.folder = folder
        self.shards = {shard.name: shard for shard in shards}
        self._clear()

    def _clear(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], pa.Array | pa.ChunkedArray] = OrderedDict()
        self._files: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Return the names of all rows."""
        return [f"{name}{MARK}{row}" for name, shard in self.shards.items() for row in range(shard.ends[-1])]

    def read(self, name: str) -> bytes:
        """Return the content of an image.

        Raises:
            DataError: the row holds no image, or the file is damaged.
        """
        if self._process != os.getpid():  # a forked worker shares neither files nor locks
            self._clear()
        file, _, row = name.rpartition(MARK)
        shard = self.shards[file]
        group = int(np.searchsorted(shard.ends, int(row), side="right"))
        with self._lock:
            try:
                column = self._load(shard, group)
                cell = column[int(row) - (shard.ends[group - 1] if group else 0)].as_py()
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"'{file}' cannot be read ({clip(' '.join(str(error).split()))})") from error
        data = cell["bytes"] if isinstance(cell, dict) else cell
        if data is None:
            raise DataError("the row holds no bytes of an image; save the data set with its images in the file")
        return data

    def _load(self, shard: Shard, group: int) -> Any:
        key = shard.name, group
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        path = self.folder / shard.name
        if shard.is_parquet:
            import pyarrow.parquet as pq

            if shard.name not in self._files:
                self._files[shard.name] = pq.ParquetFile(path)
            wanted = f"{shard.column}.bytes" if shard.nested else shard.column
            column = self._files[shard.name].read_row_group(group, columns=[wanted], use_threads=False).column(0)
        else:
            source = pa.memory_map(str(path))  # its pages are the system's to reclaim
            with path.open("rb") as file:
                is_file = file.read(8).startswith(ARROW)
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            column = reader.read_all().column(shard.column)
        self._kept[key] = column
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > MOST_KEPT_BYTES:
            self._kept.popitem(last=False)
        return column

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "shards": self.shards}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._clear()


def list_parquet(shards: dict[str, list[Path]], root: Path, options: ImageOptions) -> Listing:
    """List the images of Parquet or Arrow files.

    Args:
        shards: the files of each split.
        root: the folder that they are in.
        options: the columns.

    Raises:
        LookupError: a column is not there, or not found.
        DataError: a file is damaged, or has other columns than the first.
    """
    for name in ("image_dir", "label_from", "class_level"):
        if getattr(options, name) is not None:
            raise UsageError(f"`{name}` is for files of images, and the images of '{root}' are in tables: leave it out")
    files: list[Shard] = []
    names, places, labels, splits, owners = list[str](), list[str](), list[Any](), list[int](), list[str]()
    found, warnings = list[str](), list[str]()
    first: _Columns | None = None
    for split, paths in shards.items():
        own_labels: list[Any] = []
        start = len(names)
        for path in sorted(paths):
            try:
                shard, columns, cells, groups, origins = _read_shard(path, root, options, first)
            except (OSError, pa.ArrowException) as error:
                why = clip(" ".join(str(error).split()), 100)
                raise DataError(f"'{path}' cannot be read ({why}): it is damaged; download it again") from error
            first = first or columns
            files.append(shard)
            rows = range(shard.ends[-1])
            names += [f"{shard.name}{MARK}{row}" for row in rows]
            places += [
                f"{shard.name}, row {row + 1}{f' ({clip(origins[row])})' if origins[row] else ''}" for row in rows
            ]
            own_labels += cells
            owners += groups
        if split != "train" and all(map(is_empty, own_labels)):
            warnings.append(f"{split}: left out, as its {len(own_labels):,} images have no labels")
            del names[start:], places[start:], owners[start:]
            continue
        labels += own_labels
        splits += [SPLITS.index(split)] * len(own_labels)
        assert first is not None
        kind = "Parquet" if files[-1].is_parquet else "Arrow"
        many = f"{len(paths)} files" if len(paths) > 1 else clip(paths[0].name)
        found.append(
            f"{split}: {many}: {kind}; images in column {first.image}, labels in column {clip_list(first.labels)}"
        )
    if not names:
        raise DataError(f"'{root}' has no images to train on: its files hold no rows")
    return Listing(
        files=RowImages(root, files),
        names=names,
        places=places,
        labels=labels,
        cells=True,
        splits=np.array(splits, np.int64),
        owners=owners if options.group_column is not None else None,
        found=found,
        warnings=warnings,
    )


class _Columns(NamedTuple):
    """The columns of a file, by name."""

    image: str
    nested: bool
    labels: list[str]
    group: str | None


def _read_shard(
    path: Path, root: Path, options: ImageOptions, first: _Columns | None
) -> tuple[Shard, _Columns, list[Any], list[str], list[str]]:
    """Return a file with the label, the group and the original name of each of its rows."""
    import pyarrow.parquet as pq

    name = path.relative_to(root).as_posix()
    schema = _read_schema(path)
    columns = first or _choose(schema, str(path), options)
    wanted = [*columns.labels, *([columns.group] if columns.group else [])]
    if lacking := [item for item in (columns.image, *wanted) if item not in schema.names]:
        raise DataError(
            f"the files of '{root}' disagree: '{name}' has no column {clip_list(lacking)}, as the first one has; it "
            f"has: {clip_list(schema.names)}"
        )
    with path.open("rb") as file:
        is_parquet = file.read(8).startswith(PARQUET)
    nested = columns.nested and schema.field(columns.image).type.get_field_index("path") >= 0
    if is_parquet:
        with pq.ParquetFile(path) as parquet:
            sizes = [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]
            table = parquet.read(columns=[*wanted, *([f"{columns.image}.path"] if nested else [])], use_threads=False)
        origins = table.column(columns.image).to_pylist() if nested else []
    else:
        with path.open("rb") as file:
            is_file = file.read(8).startswith(ARROW)
        source = pa.memory_map(str(path))
        table = (pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)).read_all()
        sizes = [table.num_rows]
        cells = table.column(columns.image)
        origins = (
            [{"path": chunk} for part in cells.chunks for chunk in part.field("path").to_pylist()] if nested else []
        )
    class_names = read_class_names(schema)
    raw = {
        item: [
            name_class(cell, class_names[item]) if item in class_names else cell
            for cell in table.column(item).to_pylist()
        ]
        for item in wanted
    }
    num_rows = sum(sizes)
    if len(columns.labels) == 1:
        labels = raw[columns.labels[0]]
    else:
        labels = [
            dict(zip(columns.labels, row, strict=True))
            for row in zip(*(raw[item] for item in columns.labels), strict=True)
        ]
    groups = [str(cell) for cell in raw[columns.group]] if columns.group else [""] * num_rows
    paths = [PurePosixPath(str(item["path"])).name if item and item["path"] else "" for item in origins]
    shard = Shard(name, columns.image, columns.nested, np.cumsum(sizes).tolist() or [0], is_parquet)
    return shard, columns, labels, groups, paths or [""] * num_rows


def _choose(schema: pa.Schema, place: str, options: ImageOptions) -> _Columns:
    images = _find_image_columns(schema)
    image = next(iter(images))
    everything = Table(place, list(schema.names), True, "", [], lambda _: iter(()))
    if options.path_column is not None:
        image = schema.names[find_column(everything, options.path_column, "path_column")]
        if image not in images:
            raise NotFoundError(
                f"'{place}': the column '{clip(image)}' holds no images; set `path_column` to one of those that do: "
                f"{clip_list(images)}"
            )
    group = None
    if options.group_column is not None:
        group = schema.names[find_column(everything, options.group_column, "group_column")]
    taken = [schema.names.index(item) for item in {*images, *([group] if group else [])}]
    labels, _ = find_labels(everything, taken, options.label_column)
    if not labels:
        raise NotFoundError(
            f"'{place}': there is no column of labels beside the images; it has: {clip_list(schema.names)}"
        )
    return _Columns(image, images[image], [schema.names[index] for index in labels], group)


def ignore_others(own: Sorted, shards: dict[str, list[Path]], root: Path) -> list[Ignored]:
    """Return the files of a folder that are none of the data set's."""
    used = {path.relative_to(root).as_posix() for paths in shards.values() for path in paths}
    return [*own.ignored, *(Ignored(name, NO_FORMAT) for name in own.others if name not in used)]
