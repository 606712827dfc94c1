"""The images of a source: checked, and decoded or ready to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.cache import cached, fingerprint, from_json
from lightfit.errors import DataError

from .listing import Ignored, Listing
from .store import DecodedImages, EncodedImages, Images, read_images


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
        ignored: files that are left out, with the reason.
        skipped: images that cannot be read and rows that are left out, with the reason.
        found: what was found out about the source.
        kinds: format of each image, such as `JPEG, 8 bits, RGB`; empty if unknown.
        brightness: mean of the pixels of each image, 0 to 1, (N,); None if unknown.
    """

    images: Images
    sizes: NDArray[np.int64]
    places: Sequence[str]
    labels: Sequence[Any]
    splits: NDArray[np.int64]
    groups: NDArray[np.uint64]
    owners: Sequence[str] | None = None
    cells: bool = False
    ignored: Sequence[Ignored] = ()
    skipped: Sequence[str] = ()
    found: Sequence[str] = ()
    kinds: Sequence[str] = ()
    brightness: NDArray[np.float32] | None = None


def read_listed(listing: Listing, path: Path, data_dir: Path, *, cache_bytes: int, on_error: str) -> ImageSet:
    """Check the images of a listing, and decode them if they fit in memory. Uses the cache if it is up to date.

    Args:
        listing: the images.
        path: the folder, archive or table.
        data_dir: folder of the cache.
        cache_bytes: as in `read_images`.
        on_error: `raise`, or `skip` images that cannot be read.

    Raises:
        DataError: a file is damaged or not an image.
    """
    names = listing.names
    format_version = 2
    key = [format_version, str(path.absolute()), fingerprint(path), cache_bytes]
    found = cached(
        data_dir / "cache",
        "images",
        key,
        lambda grow: read_images(listing.files, names, cache_bytes=cache_bytes, grow=grow),
    )
    problems = from_json(found["problems"])
    bad = [f"{place}: {problem}" for place, problem in zip(listing.places, problems, strict=True) if problem]
    if bad and on_error == "raise":
        raise DataError(
            f"{len(bad)} of {len(names)} images in '{path}' cannot be read. The first: {bad[0]}. Correct or delete "
            "them, or set `on_error` to skip"
        )
    good = [index for index, problem in enumerate(problems) if not problem]
    sizes, names = found["sizes"][good], _take(names, good)
    kept = len(found["pixels"]) > 0
    return ImageSet(
        images=DecodedImages(torch.from_numpy(found["pixels"]), sizes) if kept else EncodedImages(listing.files, names),
        sizes=sizes,
        places=_take(listing.places, good),
        labels=_take(listing.labels, good),
        splits=listing.splits[good],
        groups=found["digests"][good],
        owners=None if listing.owners is None else _take(listing.owners, good),
        cells=listing.cells,
        ignored=listing.ignored,
        skipped=[*listing.skipped, *bad],
        found=listing.found,
    )


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
