"""Decoded images: checked once, kept as uint8 where they fit."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from datamodules.cache import Arrays, to_json
from datamodules.errors import DataError
from datamodules.image_decoding import decode, image_size
from datamodules.image_files import Files

SMALL = 64  # images with no longer side are always kept decoded
Found = TypeVar("Found")


class Images(Protocol):
    """Images by number, each (3, H, W) uint8."""

    def __getitem__(self, number: int) -> Tensor: ...


class DecodedImages:
    """Images that are kept decoded, one behind the other.

    Args:
        pixels: all of them, (num_bytes,) uint8.
        sizes: height and width of each, (N, 2) int64.
    """

    def __init__(self, pixels: Tensor, sizes: NDArray[np.int64]) -> None:
        self.pixels = pixels
        self.sizes = sizes
        self.starts = np.concatenate([[0], np.cumsum(3 * sizes.prod(1))])

    def __getitem__(self, number: int) -> Tensor:
        """An image, (3, H, W) uint8; a view, not a copy."""
        return self.pixels[self.starts[number] : self.starts[number + 1]].view(3, *self.sizes[number].tolist())

    def stacked(self) -> Tensor | None:
        """All images as one tensor (N, 3, H, W) uint8, a view; None where their sizes differ."""
        if len(self.sizes) and (self.sizes == self.sizes[0]).all():
            return self.pixels.view(-1, 3, *self.sizes[0].tolist())
        return None


class EncodedImages:
    """Images that are decoded when they are asked for, by whoever asks."""

    def __init__(self, files: Files, names: Sequence[str]) -> None:
        self.files = files
        self.names = names

    def __getitem__(self, number: int) -> Tensor:
        """An image, (3, H, W) uint8.

        Raises:
            DataError: it is no longer what it was when it was checked.
        """
        try:
            return decode(self.files.read(self.names[number]))
        except DataError as error:
            raise DataError(f"{self.names[number]}: {error}") from error


class Checked(NamedTuple):
    """What a file turned out to be: its size (0 and 0 where it cannot be read), a digest, the problem, the pixels."""

    size: tuple[int, int]
    digest: int
    problem: str
    pixels: Tensor | None


def read_images(files: Files, names: Sequence[str], *, cache_bytes: int) -> Arrays:
    """Decodes every image once, to find those that cannot be; keeps the pixels of all where they fit.

    Args:
        files: where the images are.
        names: those to read.
        cache_bytes: the most that the pixels may take, unless all images are small (`SMALL`).

    Returns:
        sizes: height and width, (N, 2) int64; 0 for an image that cannot be read.
        digests: of the files' bytes, (N,) uint64: the same for identical files.
        problems: what is wrong with each image, empty where nothing is; JSON, uint8.
        pixels: those of all images that can be read, one behind the other; empty where they do not fit.
    """
    headers = _in_threads(lambda name: _size(files, name), names, "reading sizes")
    num_bytes = 3 * sum(height * width for height, width in headers)
    keep = num_bytes <= cache_bytes or max(map(max, headers), default=0) <= SMALL
    checked = _in_threads(lambda name: _check(files, name, keep), names, "decoding images")
    pixels = [item.pixels for item in checked if item.pixels is not None]
    return {
        "sizes": np.array([item.size for item in checked], np.int64).reshape(-1, 2),
        "digests": np.array([item.digest for item in checked], np.uint64),
        "problems": to_json([item.problem for item in checked]),
        "pixels": torch.cat(pixels).numpy() if pixels else np.zeros(0, np.uint8),
    }


def num_processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(files: Files, name: str) -> tuple[int, int]:
    try:
        return image_size(files.read(name))
    except (DataError, OSError):
        return 0, 0


def _check(files: Files, name: str, keep: bool) -> Checked:
    try:
        data = files.read(name)
        pixels = decode(data)
    except (DataError, OSError) as error:
        return Checked((0, 0), 0, str(error), None)
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    return Checked((pixels.shape[1], pixels.shape[2]), digest, "", pixels.flatten() if keep else None)


def _in_threads(function: Callable[[str], Found], names: Sequence[str], what: str) -> list[Found]:
    with ThreadPoolExecutor(num_processors()) as pool:
        # A bar only for a wait that is felt, and never where standard error is no terminal.
        return list(tqdm(pool.map(function, names), what, total=len(names), delay=2, disable=None, leave=False))
