"""The images of a source: checked, and decoded or ready to be."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightfit.cache import Arrays, cached_in, from_json
from lightfit.errors import DataError

from .layouts.listing import Files, Listing, fingerprint_listing
from .pixels.pixel_format import RGB, PixelFormat
from .store import DecodedImages, EncodedImages, Images, keep_images, read_images

FREE_FRACTION = 0.5  # largest fraction of the free disk that decoded images may take


@dataclass(frozen=True)
class PixelCache:
    """Where and how decoded images are kept.

    Args:
        folder: folder of the cache.
        key: what the images depend on besides their format.
        files: the files.
        names: name of each image in `files`.
        side: shorter side to which images are reduced, as in `load_photo`.
        max_bytes: largest number of bytes of pixels to keep.
    """

    folder: Path
    key: Any
    files: Files
    names: Sequence[str]
    side: int
    max_bytes: int


@dataclass(frozen=True)
class ImageSet:
    """Images with their sizes, places, labels and splits, one item for each.

    Args:
        images: the images by index.
        sizes: height and width, (N, 2).
        places: place within the source.
        labels: raw labels, as in `Listing`.
        splits: 0 train, 1 val, 2 test, (N,).
        groups: equal for identical images, (N,).
        owners: as in `Listing`.
        cells: as in `Listing`.
        skipped: images that cannot be read and rows that are left out, with the reason.
        found: what was found out about the source.
        warnings: what may be wrong with the source.
        kinds: format, bits and channels of each file; empty if unknown.
        brightness: mean of the pixels of each image in [0, 1], (N,); None if unknown.
        values: smallest and largest value of each image of more than 8 bits, (N, 2), NaN for others; None if unknown.
        value_types: type of these values, None for others; empty if unknown.
        cache: where the pixels are kept; None: in memory.
    """

    images: Images
    sizes: NDArray[np.int64]
    places: Sequence[str]
    labels: Sequence[Any]
    splits: NDArray[np.int64]
    groups: NDArray[np.uint64]
    owners: Sequence[str] | None = None
    cells: bool = False
    skipped: Sequence[str] = ()
    found: Sequence[str] = ()
    warnings: Sequence[str] = ()
    kinds: Sequence[str] = ()
    brightness: NDArray[np.float32] | None = None
    values: NDArray[np.float64] | None = None
    value_types: Sequence[str | None] = ()
    cache: PixelCache | None = None


def read_listed(
    listing: Listing,
    path: Path,
    data_dir: Path,
    *,
    cache_bytes: int,
    on_error: str,
    form: PixelFormat = RGB,
    side: int = 0,
) -> ImageSet:
    """Check the images of a listing, and keep them decoded if they fit. Uses the cache if it is up to date.

    Where an image has more than 8 bits, none is kept yet: its pixels depend on the training images; see `with_form`.

    Args:
        listing: the images.
        path: the folder, archive or table.
        data_dir: folder of the cache.
        cache_bytes: largest number of bytes of pixels to keep on disk, as in `read_images`; no more than
            `FREE_FRACTION` of what is free there.
        on_error: `raise`, or `skip` images that cannot be read.
        form: how the values of files become pixels.
        side: shorter side, in pixels, to which images are reduced; 0: keep the full size.

    Raises:
        DataError: a file is damaged or not an image.
    """
    names = listing.names
    format_version = 3
    names_digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    key = [format_version, str(path.absolute()), fingerprint_listing(listing, path), names_digest, cache_bytes, side]
    folder, max_bytes = data_dir / "cache", limit_bytes(cache_bytes, data_dir)
    location, found = cached_in(
        folder,
        "images",
        [*key, form.to_dict()],
        lambda grow: read_images(listing.files, names, cache_bytes=max_bytes, grow=grow, form=form, side=side),
    )
    problems = from_json(found["problems"])
    bad = [f"{place}: {problem}" for place, problem in zip(listing.places, problems, strict=True) if problem]
    if bad and on_error == "raise":
        raise DataError(
            f"{len(bad)} of {len(names)} images in '{path}' cannot be read. The first: {bad[0]}. Correct or delete "
            "them, or set `on_error` to skip"
        )
    good = [index for index, problem in enumerate(problems) if not problem]
    cache = PixelCache(folder, [*key, good], listing.files, _take(names, good), side, max_bytes)
    sizes, value_types = found["sizes"][good], _take(from_json(found["value_types"]), good)
    deep = any(value_types)
    images = _open_images(cache, form, location, found | {"kept_sizes": found["kept_sizes"][good]}, sizes)
    return ImageSet(
        images=images,
        sizes=sizes,
        places=_take(listing.places, good),
        labels=_take(listing.labels, good),
        splits=listing.splits[good],
        groups=found["digests"][good],
        owners=None if listing.owners is None else _take(listing.owners, good),
        cells=listing.cells,
        skipped=[*listing.skipped, *bad],
        found=listing.found,
        warnings=[*listing.warnings, *([] if deep else _warn_of_limit(images, found, cache))],
        kinds=_take(from_json(found["kinds"]), good),
        brightness=found["brightness"][good],
        values=found["values"][good],
        value_types=value_types,
        cache=cache,
    )


def with_form(image_set: ImageSet, form: PixelFormat) -> ImageSet:
    """Return an image set whose images of more than 8 bits are decoded by a format; decode them if they fit.

    Sets without such images are returned as they are.

    Args:
        image_set: return value of `read_listed`.
        form: the format of the codec, which differs in its `intensity` alone from that of `read_listed`.

    Raises:
        DataError: a file has been damaged since it was checked.
    """
    cache = image_set.cache
    if cache is None or not any(image_set.value_types):
        return image_set
    location, found = cached_in(
        cache.folder,
        "pixels",
        [*cache.key, form.to_dict()],
        lambda grow: keep_images(
            cache.files, cache.names, cache_bytes=cache.max_bytes, grow=grow, form=form, side=cache.side
        ),
    )
    images = _open_images(cache, form, location, found, image_set.sizes)
    return replace(image_set, images=images, warnings=[*image_set.warnings, *_warn_of_limit(images, found, cache)])


def limit_bytes(cache_bytes: int, folder: Path) -> int:
    """Return the number of bytes that a cache may take: `cache_bytes`, but no more than a fraction of the free disk."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    return min(cache_bytes, int(FREE_FRACTION * shutil.disk_usage(existing).free))


def _open_images(
    cache: PixelCache, form: PixelFormat, location: Path, found: Arrays, full_sizes: NDArray[np.int64]
) -> Images:
    if not len(found["pixels"]):
        return EncodedImages(cache.files, cache.names, form=form, side=cache.side)
    path = location / "pixels.npy"
    return DecodedImages.map(path, found["kept_sizes"], full_sizes=full_sizes, channels=form.channels)


def _warn_of_limit(images: Images, found: Arrays, cache: PixelCache) -> list[str]:
    """Say why images are decoded each time they are needed."""
    num_bytes = int(found["num_bytes"][0])
    if isinstance(images, DecodedImages) or not num_bytes:
        return []
    return [
        f"the decoded images take {num_bytes / 2**30:,.1f} GiB, more than the limit of {cache.max_bytes / 2**30:,.1f} "
        f"GiB (`cache_bytes`, and {FREE_FRACTION:.0%} of the free disk), so each is decoded whenever it is needed"
    ]


def _take(items: Sequence[Any], rows: list[int]) -> list[Any]:
    return [items[row] for row in rows]


def whole_set(images: Tensor, labels: list[str], splits: NDArray[np.int64]) -> ImageSet:
    """Build an `ImageSet` of distinct images from one tensor.

    Args:
        images: pixels, (N, 3, H, W) uint8.
        labels: class name of each image.
        splits: 0 train, 1 val, 2 test, (N,).
    """
    sizes = np.tile(np.array(images.shape[2:], np.int64), (len(images), 1))
    return ImageSet(
        images=DecodedImages(images.flatten(), sizes),
        sizes=sizes,
        places=[f"image {index}" for index in range(len(images))],
        labels=labels,
        splits=splits,
        groups=np.arange(len(images), dtype=np.uint64),
    )
