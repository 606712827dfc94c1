"""Sources of images: published sets by name, folders and archives."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import datasets

from lightfit.errors import DataError, NotFoundError, UsageError, clip, clip_list
from lightfit.extras import importing_extra

from ..splits import SPLITS, stratified_split
from ..tables.content import ZIP, Content, is_workbook, list_members
from ..tables.reader import SUFFIXES
from .image_set import ImageSet, whole_set
from .layouts.coco import find_coco, is_coco, list_coco, list_coco_file
from .layouts.files import FolderFiles, is_archive, is_image_path, open_files
from .layouts.folders import Tree, find_layout, leaves_out_many, list_images, without_columns
from .layouts.listing import Listing, describe_ignored, is_worth_a_warning
from .layouts.options import AUTOMATIC, ImageOptions
from .layouts.parquet import find_shards, holds_images, ignore_others, list_parquet
from .layouts.table_folders import Found, Place, find_tables, list_candidates, list_found, list_table

DIGITS, CIFAR10, FASHION_MNIST = "digits", "cifar10", "fashion_mnist"
FILES = {
    CIFAR10: "cifar-10-python.tar.gz",
    FASHION_MNIST: "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz",
}
RAW = {CIFAR10: "cifar-10-python.tar.gz", FASHION_MNIST: "FashionMNIST/raw"}
SETS = {CIFAR10: datasets.CIFAR10, FASHION_MNIST: datasets.FashionMNIST}
PUBLISHED = (DIGITS, *SETS)


def locate(root: str, data_dir: Path) -> None:
    """Download a published set if it is not there yet; check that any other path exists.

    Raises:
        LookupError: `root` is empty.
        FileNotFoundError: the path does not exist.
        ConnectionError: the server cannot be reached; the message names the path for a manual download.
    """
    if root in SETS:
        _load_published(root, data_dir, train=True, download=True)
    elif not root:
        raise NotFoundError(
            "which images? set `root` to a folder or an archive of <split>/<class>/*.jpg or <class>/*.jpg, or to a "
            "table of paths and labels"
        )
    elif root not in PUBLISHED and not Path(root).exists():
        raise FileNotFoundError(
            f"no folder or zip at '{root}' (looked from '{Path.cwd()}'); set `root` to a folder or an archive of "
            f"<split>/<class>/*.jpg, to a table of paths and labels, or to one of the names {', '.join(PUBLISHED)}"
        )


def source_path(root: str, data_dir: Path) -> Path:
    """Return the file or folder from which the images of a source are read."""
    if root == DIGITS:
        return Path(str(files("sklearn.datasets") / "data" / "digits.csv.gz"))
    return data_dir / RAW[root] if root in RAW else Path(root)


def load_published(root: str, data_dir: Path) -> ImageSet:
    """Load a published set, after `locate`."""
    if root == DIGITS:
        return _load_digits()
    sets = [_load_published(root, data_dir, train=train, download=False) for train in (True, False)]
    images = torch.cat([_to_rgb(dataset.data) for dataset in sets])
    labels = [dataset.classes[label] for dataset in sets for label in torch.as_tensor(dataset.targets).tolist()]
    return whole_set(images, labels, np.repeat([0, 2], [len(dataset) for dataset in sets]))


def list_source(path: Path, options: ImageOptions = AUTOMATIC, *, data_dir: Path = Path("data")) -> Listing:
    """List the images of a folder, archive or table, without decoding them.

    Args:
        path: the folder, archive or table.
        options: where images and labels are in it.
        data_dir: folder of the cache, where compressed tars are uncompressed.

    Raises:
        DataError: there are no images in an expected layout, or a table cannot be read.
    """
    listing = _list_any(path, options, data_dir / "cache")
    if not (line := describe_ignored(listing.ignored)):
        return listing
    if is_worth_a_warning(listing.ignored):
        return replace(listing, warnings=[*listing.warnings, line])
    return replace(listing, found=[*listing.found, line])


def _list_any(path: Path, options: ImageOptions, cache_dir: Path) -> Listing:
    if path.is_dir():
        return _list_files(Place(FolderFiles(path), path, inside=False), options)
    if not path.is_file():
        raise FileNotFoundError(f"no folder, archive or table at '{path}' (looked from '{Path.cwd()}')")
    if is_archive(path) and not _is_packed_table(path):
        return _list_files(Place(open_files(path, cache_dir), path, inside=True), options)
    if is_image_path(path):
        raise UsageError(f"'{path}' is a single image: expected a folder, an archive or a table of images")
    if is_coco(path):
        return list_coco_file(path, options)
    if holds_images(path):
        return list_parquet({"train": [path]}, path.parent, options)
    return list_table(path, options)


def _is_packed_table(path: Path) -> bool:
    """Return whether a zip archive is a workbook, or holds a single table and no images."""
    content = Content(str(path), lambda: path.open("rb"), path)
    if content.read_start(4) != ZIP:
        return False
    if is_workbook(content):
        return True
    members = list_members(content)
    return len(members) == 1 and members[0].suffix in SUFFIXES


def _list_files(place: Place, options: ImageOptions) -> Listing:
    """List the images of a folder or archive: by tables in it where these say what they are, or else by its folders."""
    own = place.own
    if isinstance(place.files, FolderFiles) and (shards := find_shards(place.path, own)):
        return replace(list_parquet(shards, place.path, options), ignored=ignore_others(own, shards, place.path))
    by_folders = options.label_from is not None or options.class_level is not None
    by_table = any(
        getattr(options, name) is not None for name in ("path_column", "label_column", "group_column", "image_dir")
    )
    if not by_folders or by_table:
        if coco := find_coco(place):
            return list_coco(place, coco, options)
        found = find_tables(place, options)
        if not found and not own.images and list_candidates(own):
            return list_found(place, Found({"train": list_candidates(own)[0]}, sure=False), options)
        if by_table:
            if not found and place.refused:
                raise NotFoundError(place.refused[0])
            if not found:
                without_columns(options, str(place.path))  # raises
            return list_found(place, _choose_only(found, place), options)
        if found:
            return _choose_source(place, found, options)
    try:
        return list_images(place.files, str(place.path), options, own)
    except DataError as error:
        labels = [reason for reason in place.refused if "`label_column`" in reason]
        if not labels:
            raise
        raise DataError(f"{error}. A table that names images is not read: {labels[0]}") from error


def _choose_only(found: Sequence[Found], place: Place) -> Found:
    if len(found) > 1:
        names = [next(iter(item.names.values())) for item in found]
        raise DataError(
            f"'{place.path}' holds {len(found)} tables that name its images ({clip_list(names)}): set `root` to one of "
            "them"
        )
    return found[0]


def _choose_source(place: Place, found: Sequence[Found], options: ImageOptions) -> Listing:
    """Choose between the tables of a folder and its class folders, where both may say what the images are."""
    by_folder: Listing | None
    try:
        by_folder = list_images(place.files, str(place.path), options, place.own)
    except DataError:
        by_folder = None
    if by_folder is None or len(set(by_folder.labels)) < 2:
        return list_found(place, _choose_only(found, place), options)
    sure = [item for item in found if item.sure]
    layout = find_layout(Tree(place.own.images, place.own.folders), str(place.path))
    left_out = leaves_out_many(by_folder)
    if not layout.has_splits and found[0].by_path and len(found[0].names) > 1:
        return list_found(place, found[0], options)  # lists of the images of each split, in class folders
    if not sure or (layout.has_splits and not left_out):
        return by_folder
    names = clip_list(name for item in sure for name in item.names.values())
    try:
        by_table = list_found(place, _choose_only(sure, place), options)
    except DataError as error:
        said = f"the images are read by their folders; the table {names} is left out ({clip(str(error), 200)})"
        return replace(by_folder, warnings=[*by_folder.warnings, said])
    if not left_out and _agree(by_folder, by_table):
        return replace(by_folder, found=[*by_folder.found, f"the table {names} agrees with the folders"])
    said = (
        f"the labels are those of the table {names}, not the folders "
        f"{clip_list(sorted(set(map(str, by_folder.labels))))}; set `class_level` to 1 to take the folders"
    )
    return replace(by_table, warnings=[*by_table.warnings, said])


def _agree(one: Listing, other: Listing) -> bool:
    """Return whether two listings divide the images into the same classes, whatever their names."""
    labels = dict(zip(one.names, map(repr, one.labels), strict=True))
    pairs = {(labels.get(name), repr(label)) for name, label in zip(other.names, other.labels, strict=True)}
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs})


def _load_digits() -> ImageSet:
    """Load the 1,797 test digits of Alpaydin and Kaynak 1998 (UCI 80, CC BY 4.0), as bundled with scikit-learn.

    They come without a split: the test split is a stratified fifth, always the same.
    """
    with importing_extra("`root` digits", extra="data"):
        from sklearn.datasets import load_digits  # imported here, as it takes a second
    bunch = load_digits()
    pixels = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))
    _, test = stratified_split(bunch.target, np.arange(len(pixels)), val_fraction=0.2, seed=0)
    splits = np.zeros(len(pixels), np.int64)
    splits[test] = SPLITS.index("test")
    return whole_set(_to_rgb(pixels), [str(label) for label in bunch.target], splits)


def _to_rgb(pixels: Tensor | NDArray[np.uint8]) -> Tensor:
    """Convert grey (N, H, W) or colour (N, H, W, 3) images to (N, 3, H, W) uint8."""
    pixels = torch.as_tensor(pixels)
    return (pixels[:, None].expand(-1, 3, -1, -1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)).contiguous()


def _load_published(
    name: str, data_dir: Path, *, train: bool, download: bool
) -> datasets.CIFAR10 | datasets.FashionMNIST:
    build: Callable[..., datasets.CIFAR10 | datasets.FashionMNIST] = SETS[name]
    try:
        return build(data_dir, train=train, download=download)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"could not download {name} ({' '.join(str(error).split())}). Without a network, put "
            f"'{data_dir.absolute() / FILES[name]}' there by hand and try again, or set `root` to a folder or zip of "
            "images"
        ) from error
