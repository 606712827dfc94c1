"""Image stores: images are checked once, and kept decoded if they fit in memory."""

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

SMALL = 64  # longest side, in pixels, of images that are always kept decoded
NUM_PROBED = 8  # number of images from which to decide whether all are large
LARGE = 128 * 128  # pixels


class Images(Protocol):
    """Images by index, (3, H, W) uint8 each."""

    def __getitem__(self, index: int) -> Tensor: ...

    def reduced(self, index: int, side: int) -> Tensor:
        """Return an image, reduced if that is faster; its shorter side stays at least `side` pixels long."""
        ...


class DecodedImages:
    """Decoded images, concatenated in memory.

    Args:
        pixels: pixels of all images, (num_bytes,) uint8.
        sizes: height and width of each image, (N, 2) int64.
    """

    def __init__(self, pixels: Tensor, sizes: NDArray[np.int64]) -> None:
        self.pixels = pixels
        self.sizes = sizes
        self.starts = np.concatenate([[0], np.cumsum(3 * sizes.prod(1))])

    def __getitem__(self, index: int) -> Tensor:
        """Return a view of an image, (3, H, W) uint8."""
        return self.pixels[self.starts[index] : self.starts[index + 1]].view(3, *self.sizes[index].tolist())

    def reduced(self, index: int, side: int) -> Tensor:
        """Return the full image, as it is decoded already."""
        return self[index]

    def stack(self) -> Tensor | None:
        """Return a view of all images as one tensor (N, 3, H, W) uint8; None if their sizes differ."""
        if len(self.sizes) and (self.sizes == self.sizes[0]).all():
            return self.pixels.view(-1, 3, *self.sizes[0].tolist())
        return None


class EncodedImages:
    """Images that are decoded on access, in the calling process."""

    def __init__(self, files: Files, names: Sequence[str]) -> None:
        self.files = files
        self.names = names

    def __getitem__(self, index: int) -> Tensor:
        """Return an image, (3, H, W) uint8.

        Raises:
            DataError: the file has been damaged since it was checked.
        """
        return self.reduced(index, 0)

    def reduced(self, index: int, side: int) -> Tensor:
        """Return an image, (3, H, W) uint8; a JPEG may be reduced, as in `decode`."""
        try:
            return decode(self.files.read(self.names[index]), at_least=side)
        except DataError as error:
            raise DataError(f"{self.names[index]}: {error}") from error


class Checked(NamedTuple):
    """A checked file: size of the image (0, 0 if it cannot be read), digest, problem, and pixels."""

    size: tuple[int, int]
    digest: int
    problem: str
    pixels: Tensor | None


def read_images(files: Files, names: Sequence[str], *, cache_bytes: int, grow: Grow) -> Arrays:
    """Decode each image once to check it; keep the pixels if they fit.

    Args:
        files: the files.
        names: names of the images to read.
        cache_bytes: largest number of bytes of pixels to keep, unless all images are small (`SMALL`).
        grow: as in `cached`; receives `pixels`, uint8: the concatenated pixels of all readable images, or nothing if
            they do not fit.

    Returns:
        sizes: height and width, (N, 2) int64; 0 for an image that cannot be read.
        digests: digests of the files' bytes, (N,) uint64; equal for identical files.
        problems: the problem of each image, empty if there is none; a list in JSON, uint8.
    """
    pixels, keep, longest, num_bytes = grow("pixels", np.uint8), True, 0, 0
    sizes, digests, problems = [], [], []
    for size, digest, problem, image in _check_in_order(lambda name: _check(files, name), names):
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
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check(files: Files, name: str) -> Checked:
    try:
        data = files.read(name)
        pixels = decode(data)
    except (DataError, OSError) as error:
        return Checked((0, 0), 0, str(error), None)
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    return Checked((pixels.shape[1], pixels.shape[2]), digest, "", pixels)


def _check_in_order(check: Callable[[str], Checked], names: Sequence[str]) -> Iterator[Checked]:
    """Yield the checked images in order; decode large ones in threads, which do not pay off for small ones."""
    first = [check(name) for name in names[:NUM_PROBED]]
    yield from first
    # A progress bar appears after 2 s, and only if standard error is a terminal.
    rest = tqdm(names[NUM_PROBED:], "decoding images", delay=2, disable=None, leave=False)
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
