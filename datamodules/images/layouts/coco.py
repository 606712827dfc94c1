"""COCO-style JSON read for classification: the label of an image is its category, or the list of its categories."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lightfit.errors import DataError, UsageError, clip

from ...splits import SPLITS
from .files import FolderFiles
from .folders import NO_FORMAT
from .listing import Ignored, Listing
from .options import ImageOptions
from .paths import ImagePaths, Missing, clean_path, describe_missing, open_image_dir
from .table_folders import Place, find_table_split, list_candidates
from .tables import NO_ROW

KEYS = (b'"images"', b'"annotations"', b'"categories"')
START_BYTES = 2**16
NO_CATEGORY = "no annotation"


class Image(NamedTuple):
    """An image of a COCO file.

    Args:
        file: its `file_name`.
        labels: the names of its distinct categories, in their order.
        place: its entry.
    """

    file: str
    labels: list[str]
    place: str


def is_coco(path: Path) -> bool:
    """Return whether a file is COCO-style JSON, by its first and last bytes."""
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        start = file.read(START_BYTES)
        file.seek(max(0, path.stat().st_size - START_BYTES))
        return _looks_like_coco(start, file.read())


def _looks_like_coco(start: bytes, end: bytes) -> bool:
    return start.lstrip()[:1] == b"{" and sum(key in start or key in end for key in KEYS) >= 2


def find_coco(place: Place) -> dict[str, str]:
    """Return the COCO file of each split of a folder or archive; empty if there is none.

    Raises:
        DataError: there are several files that are no splits.
    """
    found: dict[str, list[str]] = {}
    single = []
    for name in list_candidates(place.own):
        if not name.lower().endswith(".json"):
            continue
        if isinstance(place.files, FolderFiles):
            if not is_coco(place.path / name):
                continue
        else:
            data = place.files.read(name)
            if not _looks_like_coco(data[:START_BYTES], data[-START_BYTES:]):
                continue
        if own := find_table_split(name):
            found.setdefault(own[0], []).append(name)
        single.append(name)
    if "train" in found:
        return {split: _choose_one(place, split, found[split]) for split in SPLITS if split in found}
    return {"train": _choose_one(place, "train", single)} if single else {}


def _choose_one(place: Place, split: str, names: list[str]) -> str:
    """Return the only file; of COCO's own, the one of instances."""
    instances = [name for name in names if "instances" in name.rpartition("/")[2]]
    chosen = instances if len(names) > 1 and instances else names
    if len(chosen) > 1:
        raise DataError(
            f"'{place.path}' holds {len(chosen)} COCO files for {split}, such as {clip(chosen[0])} and "
            f"{clip(chosen[1])}: set `root` to one of them"
        )
    return chosen[0]


def list_coco_file(path: Path, options: ImageOptions) -> Listing:
    """List the images of a COCO file that is not within the folder of a data set; errors as `list_coco`."""
    folder = FolderFiles(path.parent)
    if options.image_dir is None:
        # The file often lies in a folder of its own, annotations/, beside that of the images.
        above = FolderFiles(path.parent.parent) if path.parent.name.lower() in ("annotations", "labels") else folder
        paths = ImagePaths(above, place=str(above.root))
    else:
        paths = ImagePaths(open_image_dir(options.image_dir, path.parent), drop=True, place=options.image_dir)
    return _list({"train": path.name}, folder, str(path), {"train": paths}, options, look_in=[folder])


def list_coco(place: Place, names: dict[str, str], options: ImageOptions) -> Listing:
    """List the images of COCO files.

    Args:
        place: the folder or archive.
        names: the file of each split.
        options: `image_dir`.

    Raises:
        DataError: a file is no such JSON, or its images are not there.
    """
    images = place.own.images
    if options.image_dir is None:
        paths = {
            split: ImagePaths(
                place.files,
                list(dict.fromkeys((name.rpartition("/")[0], ""))),
                inside=place.inside,
                place=str(place.path),
                images=images,
            )
            for split, name in names.items()
        }
    elif place.inside:
        base = options.image_dir.strip("/")
        shared = ImagePaths(place.files, [base], drop=True, inside=True, place=str(place.path), images=images)
        paths = dict.fromkeys(names, shared)
    else:
        shared = ImagePaths(open_image_dir(options.image_dir, place.path), drop=True, place=options.image_dir)
        paths = dict.fromkeys(names, shared)
    look_in = [place.files] if isinstance(place.files, FolderFiles) else []
    listing = _list(names, place.files, str(place.path), paths, options, look_in=look_in)
    used, named = set(names.values()), {*listing.names, *(item.name for item in listing.ignored)}
    ignored = [*place.own.ignored, *(Ignored(name, NO_FORMAT) for name in place.own.others if name not in used)]
    if listing.files is place.files:
        ignored += [Ignored(name, NO_ROW) for name in images if name not in named]
    return Listing(**{**listing.__dict__, "ignored": sorted([*listing.ignored, *ignored])})


def _list(
    names: dict[str, str],
    files: Any,
    place: str,
    paths: dict[str, ImagePaths],
    options: ImageOptions,
    *,
    look_in: Sequence[FolderFiles],
) -> Listing:
    for argument in ("path_column", "label_column", "group_column", "label_from", "class_level"):
        if getattr(options, argument) is not None:
            raise UsageError(f"`{argument}` is not for COCO files, whose labels are the categories: leave it out")
    found_names, labels, splits = list[str](), list[list[str]](), list[int]()
    found, missing, ignored, skipped = list[str](), list[Missing](), list[Ignored](), list[str]()
    total = 0
    for split, name in names.items():
        images = read_coco(files.read(name), f"{place}/{name}" if len(names) > 1 else place)
        total += len(images)
        for image in images:
            reason = ""
            try:
                own = paths[split].find(image.file, split)
            except DataError as error:
                own, reason = None, str(error)
            if own is None:
                missing.append(Missing(image.place, clean_path(image.file), reason))
                continue
            found_names.append(own)
            labels.append(image.labels)
            splits.append(SPLITS.index(split))
        found.append(f"{split}: {clip(name.rpartition('/')[2])}: COCO, {len(images):,} images with their categories")
    if missing and (options.table.on_error != "skip" or not found_names):
        raise DataError(describe_missing(missing, total, place, next(iter(paths.values())), look_in))
    skipped += [f"{item.place}: {item.reason or f'no image {clip(item.value)!r}'}" for item in missing]
    several = sum(len(own) > 1 for own in labels)
    none = [index for index, own in enumerate(labels) if not own]
    cells: list[Any] = list(labels)
    if several:
        found.append(f"{several:,} images have several categories: the labels are lists, for multi-label")
    else:
        kept = [index for index in range(len(labels)) if labels[index]]
        ignored += [Ignored(found_names[index], NO_CATEGORY) for index in none]
        found_names, splits = [found_names[index] for index in kept], [splits[index] for index in kept]
        cells = [labels[index][0] for index in kept]
    for own_paths in {id(item): item for item in paths.values()}.values():
        found += own_paths.describe()
    if 0 not in splits:
        raise DataError(f"'{place}' has no images to train on: no image of train has an annotation")
    twice = [name for name, count in Counter(zip(found_names, splits, strict=True)).items() if count > 1]
    if twice:
        raise DataError(f"'{place}' lists {len(twice):,} images twice, such as {clip(twice[0][0])}: correct it")
    return Listing(
        files=next(iter(paths.values())).files,
        names=found_names,
        places=found_names,
        labels=cells,
        cells=any(isinstance(cell, list) for cell in cells),  # sets of labels; else names
        splits=np.array(splits, np.int64),
        ignored=ignored,
        skipped=skipped,
        found=found,
    )


def read_coco(data: bytes, place: str) -> list[Image]:
    """Return the images of COCO-style JSON with the names of their categories.

    Args:
        data: content of the file.
        place: its name, for messages.

    Raises:
        DataError: it is no such JSON.
    """
    try:
        content = json.loads(data)
        images, notes = content["images"], content["annotations"]
        names = {item["id"]: str(item["name"]) for item in content["categories"]}
        order = {name: index for index, name in enumerate(names.values())}
        labels: dict[Any, set[str]] = {image["id"]: set() for image in images}
        for note in notes:
            labels[note["image_id"]].add(names[note["category_id"]])
        return [
            Image(
                str(image["file_name"]), sorted(labels[image["id"]], key=order.__getitem__), f"{place}, {image['id']}"
            )
            for image in images
        ]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else clip(str(error), 100)
        raise DataError(
            f"'{place}' is not the COCO-style JSON that it looks like ({what}): expected `images` with `id` and "
            "`file_name`, `annotations` with `image_id` and `category_id`, and `categories` with `id` and `name`"
        ) from error
