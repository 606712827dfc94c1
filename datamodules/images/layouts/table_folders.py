"""Which tables of a folder or archive say what its images are: one for each split, or a single one."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lightfit.errors import DataError, LightFitError, NotFoundError, UsageError, clip_list

from ...split_names import find_split
from ...tables.content import COMPRESSIONS
from ...tables.reader import SUFFIXES
from .files import Browsable, FolderFiles
from .folders import NO_FORMAT, Sorted, sort_files
from .listing import Ignored, Listing
from .options import ImageOptions
from .paths import ImagePaths, open_image_dir
from .tables import (
    TABLE_WORDS,
    Columns,
    TableFile,
    choose_columns,
    holds_paths,
    list_tables,
    name_others,
    open_content,
    open_image_table,
)

NO_TABLES = ("readme", "license", "licence", "requirements", "dataset_infos", "dataset_dict", "state", "dataset_info")
MOST_TABLES = 40  # in one folder; more are notes on each image


class Found(NamedTuple):
    """Tables that belong together.

    Args:
        names: the name of the table of each split.
        sure: whether the labels' columns have usual names or were asked for.
        by_path: whether they have no labels, so that the folders of the paths are the labels.
    """

    names: dict[str, str]
    sure: bool
    by_path: bool = False


class Place:
    """A folder or archive that tables are looked for in.

    Args:
        files: its files.
        path: the folder or archive.
        inside: whether it is an archive.
    """

    def __init__(self, files: Browsable, path: Path, *, inside: bool) -> None:
        self.files = files
        self.path = path
        self.inside = inside
        self.own = sort_files(files)
        self.refused: list[str] = []  # tables whose columns were not found, and why


def find_tables(place: Place, options: ImageOptions) -> list[Found]:
    """Return the tables that name images: those of the splits together, or else each for itself.

    Tables that cannot be opened, or whose columns are not found, are left out.
    """
    names = list_candidates(place.own)
    by_split = _group_by_split(names)
    for _, tables in sorted(by_split.items(), key=lambda item: (item[0].count("/"), item[0])):
        if "train" not in tables:
            continue
        fits = [(name, columns) for name in tables["train"] if (columns := _try(place, name, options)) is not None]
        if len(fits) > 1:
            fits = [item for item in fits if item[1].sure] or fits
        if fits:
            name, columns = fits[0]
            if len(fits) > 1:
                raise DataError(
                    f"'{place.path}' holds {len(fits)} tables for train that name images "
                    f"({clip_list(name for name, _ in fits)}): set `root` to one of them"
                )
            chosen = {"train": name}
            for split in ("val", "test"):
                alike = [other for other in tables.get(split, []) if _is_like(other, name)]
                if alike:
                    chosen[split] = alike[0]
            return [Found(chosen, columns.sure, not columns.labels)]
    single = [(name, columns) for name in names if (columns := _try(place, name, options)) is not None]
    return [Found({"train": name}, columns.sure, not columns.labels) for name, columns in single]


def list_candidates(own: Sorted) -> list[str]:
    """Return the names of the files that may be tables of images, those in upper folders first."""
    stems = {name.rpartition(".")[0] for name in own.images}
    names = []
    for name in own.others:
        stem, suffix = split_name(name)
        beside = f"{name.rpartition('/')[0]}/{stem}".lstrip("/")
        if suffix not in SUFFIXES or stem.lower() in NO_TABLES or "submission" in stem.lower() or beside in stems:
            continue
        names.append(name)
    many = Counter(name.rpartition("/")[0] for name in names)
    names = [name for name in names if many[name.rpartition("/")[0]] <= MOST_TABLES]
    return sorted(names, key=lambda name: (name.count("/"), name))[:MOST_TABLES]


def split_name(name: str) -> tuple[str, str]:
    """Return a file's name without its endings, and its ending without that of a compression."""
    path = PurePosixPath(name)
    while path.suffix.lower() in COMPRESSIONS:
        path = path.with_suffix("")
    return path.stem, path.suffix.lower()


def find_table_split(name: str) -> tuple[str, str] | None:
    """Return the split of a table and the folder in which those of the other splits are; None if it has no split."""
    stem, _ = split_name(name)
    parent = PurePosixPath(name).parent
    if split := find_split(stem.lstrip("_"), TABLE_WORDS):
        return split, "" if str(parent) == "." else str(parent)
    # In the folder of a split the name tells nothing more: of `train/metadata.csv`, it is a split with all words gone.
    if (split := find_split(parent.name)) and find_split(f"train_{stem.replace('.', '_')}", TABLE_WORDS) == "train":
        above = str(parent.parent)
        return split, "" if above == "." else above
    return None


def _group_by_split(names: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        if own := find_table_split(name):
            found[own[1]][own[0]].append(name)
    return {folder: dict(tables) for folder, tables in found.items()}


def _is_like(name: str, other: str) -> bool:
    """Return whether two names are the same but for that of the split."""
    return split_name(name)[1] == split_name(other)[1]


def _try(place: Place, name: str, options: ImageOptions) -> Columns | None:
    """Return the columns of a table; None if it names no images of this source, or they are not found."""
    try:
        file = _open(place, name)
        table = open_image_table(file.content, options)
        paths = _paths(place, file, options)
        columns = choose_columns(table, options, paths)
    except NotFoundError as error:
        place.refused.append(str(error))
        return None
    except (LightFitError, OSError):
        return None
    return columns if holds_paths(table, columns.path, paths) else None


def _open(place: Place, name: str) -> TableFile:
    content = open_content(place.files, name, str(place.path))
    return TableFile(content, name.rpartition("/")[0])


def _paths(place: Place, file: TableFile, options: ImageOptions) -> ImagePaths:
    bases = list(dict.fromkeys((file.folder, "")))
    if options.image_dir is None:
        return ImagePaths(place.files, bases, inside=place.inside, place=str(place.path), images=place.own.images)
    inside = options.image_dir.strip("/").removeprefix("./")
    if any(name.startswith(f"{inside}/") for name in place.own.images):
        return ImagePaths(
            place.files,
            [inside],
            drop=True,
            inside=place.inside,
            place=f"{place.path}/{inside}",
            images=place.own.images,
        )
    if place.inside:
        raise UsageError(f"'{place.path}' has no folder '{options.image_dir}': set `image_dir` to one with images")
    files = open_image_dir(options.image_dir, place.path)
    return ImagePaths(files, drop=True, place=str(files.root))


def list_found(place: Place, found: Found, options: ImageOptions) -> Listing:
    """List the images that tables of a folder or archive name; errors as in `list_tables`."""
    tables = {split: _open(place, name) for split, name in found.names.items()}
    if options.image_dir is None:
        made = {file.content.name: _paths(place, file, options) for file in tables.values()}
        shared: ImagePaths | None = None
    else:
        made, shared = {}, _paths(place, next(iter(tables.values())), options)
    look_in = [place.files] if isinstance(place.files, FolderFiles) else []
    listing = list_tables(
        tables,
        lambda file: shared or made[file.content.name],
        str(place.path),
        options,
        look_in=look_in,
    )
    used = set(found.names.values())
    ignored = [*place.own.ignored, *(Ignored(name, NO_FORMAT) for name in place.own.others if name not in used)]
    listing = name_others(listing, place.own.images if listing.files is place.files else [])
    return Listing(**{**listing.__dict__, "ignored": sorted([*listing.ignored, *ignored])})


def list_table(path: Path, options: ImageOptions) -> Listing:
    """List the images of a table that is a file of its own.

    Args:
        path: the table.
        options: the columns, and the folder of the images.

    Raises:
        LookupError, DataError: as `list_tables`.
    """
    folder = FolderFiles(path.parent)
    files = folder if options.image_dir is None else open_image_dir(options.image_dir, path.parent)
    paths = ImagePaths(files, drop=options.image_dir is not None, place=str(files.root))
    file = TableFile(open_content(folder, path.name, ""), "")
    look_in = [folder] if files is not folder else []
    return list_tables({"train": file}, lambda _: paths, str(path), options, look_in=look_in)
