"""Decoded images: checked once, kept as uint8 where they fit."""

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from lightfit.cache import Arrays, Grow, to_json
from lightfit.errors import DataError

from .decoding import decode
from .files import Files

SMALL = 64  # images with no longer side are always kept decoded
LOOKED_AT = 8  # images that tell whether all are large
LARGE = 128 * 128  # pixels


class Images(Protocol):
    """Images by number, each (3, H, W) uint8."""

    def __getitem__(self, number: int) -> Tensor: ...

    def reduced(self, number: int, side: int) -> Tensor:
        """An image that may be smaller, where that is quicker; its shorter side is as long as `side` at least."""
        ...


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

    def reduced(self, number: int, side: int) -> Tensor:
        """The image itself, as it is there already."""
        return self[number]

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
        return self.reduced(number, 0)

    def reduced(self, number: int, side: int) -> Tensor:
        """An image, (3, H, W) uint8; a JPEG perhaps reduced, as in `decode`."""
        try:
            return decode(self.files.read(self.names[number]), at_least=side)
        except DataError as error:
            raise DataError(f"{self.names[number]}: {error}") from error


class Checked(NamedTuple):
    """What a file turned out to be: its size (0 and 0 where it cannot be read), a digest, the problem, the pixels."""

    size: tuple[int, int]
    digest: int
    problem: str
    pixels: Tensor | None


def read_images(files: Files, names: Sequence[str], *, cache_bytes: int, grow: Grow) -> Arrays:
    """Decodes every image once, to find those that cannot be; keeps the pixels of all where they fit.

    Args:
        files: where the images are.
        names: those to read.
        cache_bytes: the most that the pixels may take, unless all images are small (`SMALL`).
        grow: as in `cached`; gets `pixels`, those of all images that can be read, one behind the other, uint8; empty
            where they do not fit.

    Returns:
        sizes: height and width, (N, 2) int64; 0 for an image that cannot be read.
        digests: of the files' bytes, (N,) uint64: the same for identical files.
        problems: what is wrong with each image, empty where nothing is; JSON, uint8.
    """
    pixels, keep, longest, num_bytes = grow("pixels", np.uint8), True, 0, 0
    sizes, digests, problems = [], [], []
    for size, digest, problem, image in _in_order(lambda name: _check(files, name), names):
        sizes.append(size)
        digests.append(digest)
        problems.append(problem)
        longest, num_bytes = max(longest, *size), num_bytes + 3 * math.prod(size)
        if keep and num_bytes > cache_bytes and longest > SMALL:
            keep = False
            pixels.clear()
        if keep and image is not None:
            pixels.append(image.numpy())
    return {
        "sizes": np.array(sizes, np.int64).reshape(-1, 2),
        "digests": np.array(digests, np.uint64),
        "problems": to_json(problems),
    }


def num_processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check(files: Files, name: str) -> Checked:
    try:
        data = files.read(name)
        pixels = decode(data)
    except (DataError, OSError) as error:
        return Checked((0, 0), 0, str(error), None)
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    return Checked((pixels.shape[1], pixels.shape[2]), digest, "", pixels)


def _in_order(check: Callable[[str], Checked], names: Sequence[str]) -> Iterator[Checked]:
    """The images in order, large ones decoded by threads, a few ahead; with small ones threads wait for each other."""
    first = [check(name) for name in names[:LOOKED_AT]]
    yield from first
    # A bar only for a wait that is felt, and never where standard error is no terminal.
    rest = tqdm(names[LOOKED_AT:], "decoding images", delay=2, disable=None, leave=False)
    if sum(math.prod(image.size) for image in first) < len(first) * LARGE:
        yield from map(check, rest)
        return
    waiting: deque[Future[Checked]] = deque()
    with ThreadPoolExecutor(num_processors()) as pool:
        for name in rest:
            waiting.append(pool.submit(check, name))
            if len(waiting) > 2 * num_processors():
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()
