"""Image stores: images are checked once, and kept decoded if they fit in memory."""

import hashlib
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from lightfit.cache import Arrays, Grow, GrowingArray, map_array, to_json
from lightfit.errors import DataError
from lightfit.platforms import count_processors

from .layouts.listing import Files
from .pixels.pixel_format import RGB, PixelFormat
from .reducing import SMALL, Photo, Size, load_photo

NUM_PROBED = 8  # number of images from which to decide whether all are large
LARGE = 128 * 128  # pixels
BRIGHTNESS_SIDE = 128  # shorter side, in pixels, from which the brightness of an image is measured


class Loaded(NamedTuple):
    """An image, perhaps reduced, (C, H, W) uint8, and its height and width in the file, in pixels."""

    pixels: Tensor
    full_size: Size


class Images(Protocol):
    """Images by index, (C, H, W) uint8 each, reduced as in `load_photo`."""

    def __getitem__(self, index: int) -> Tensor: ...

    def load(self, index: int) -> Loaded:
        """Return an image with its size in the file."""
        ...


class DecodedImages:
    """Decoded images, concatenated in memory, or in a file that is mapped into memory.

    Args:
        pixels: pixels of all images, (num_bytes,) uint8.
        sizes: height and width of each image, (N, 2) int64.
        full_sizes: those in the files, before the images were reduced; None: the same.
        channels: number of channels.
        path: .npy file that `pixels` is mapped from. If so, another process maps it again, where it would copy memory.
    """

    def __init__(
        self,
        pixels: Tensor,
        sizes: NDArray[np.int64],
        *,
        full_sizes: NDArray[np.int64] | None = None,
        channels: int = 3,
        path: Path | None = None,
    ) -> None:
        self.pixels = pixels
        self.sizes = sizes
        self.full_sizes = sizes if full_sizes is None else full_sizes
        self.channels = channels
        self.path = path
        self.starts = np.concatenate([[0], np.cumsum(channels * sizes.prod(1))])

    @classmethod
    def map(
        cls, path: Path, sizes: NDArray[np.int64], *, full_sizes: NDArray[np.int64], channels: int
    ) -> "DecodedImages":
        """Map a .npy file of pixels into memory."""
        return cls(_map_pixels(path), sizes, full_sizes=full_sizes, channels=channels, path=path)

    def __getitem__(self, index: int) -> Tensor:
        """Return a view of an image, (C, H, W) uint8."""
        own = self.pixels[self.starts[index] : self.starts[index + 1]]
        return own.view(self.channels, *self.sizes[index].tolist())

    def load(self, index: int) -> Loaded:
        """Return a view of an image, with its size in the file."""
        height, width = self.full_sizes[index].tolist()
        return Loaded(self[index], (height, width))

    def stack(self) -> Tensor | None:
        """Return a view of all images as one tensor (N, C, H, W) uint8; None if sizes differ, or are reduced.

        Reduced images are photographs, whose crops are resized faster one by one than by products of large matrices.
        """
        if len(self.sizes) and (self.sizes == self.sizes[0]).all() and (self.sizes == self.full_sizes).all():
            return self.pixels.view(-1, self.channels, *self.sizes[0].tolist())
        return None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | ({} if self.path is None else {"pixels": None})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        if self.path is not None:
            self.pixels = _map_pixels(self.path)


def _map_pixels(path: Path) -> Tensor:
    with warnings.catch_warnings():  # that an array which exceeds the memory is read-only: nothing writes into it
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(map_array(path))


class EncodedImages:
    """Images that are decoded on access, in the calling process.

    Args:
        files: the files.
        names: name of each image.
        form: how the values of files become pixels.
        side: as in `load_photo`.
    """

    def __init__(self, files: Files, names: Sequence[str], *, form: PixelFormat = RGB, side: int = 0) -> None:
        self.files = files
        self.names = names
        self.form = form
        self.side = side

    def __getitem__(self, index: int) -> Tensor:
        """Return an image, (C, H, W) uint8.

        Raises:
            DataError: the file has been damaged since it was checked.
        """
        return self.load(index).pixels

    def load(self, index: int) -> Loaded:
        """Return an image with its size in the file.

        Raises:
            DataError: as above.
        """
        try:
            photo = load_photo(self.files.read(self.names[index]), form=self.form, side=self.side)
        except DataError as error:
            raise DataError(f"{self.names[index]}: {error}") from error
        return Loaded(photo.pixels, photo.full_size)


class Checked(NamedTuple):
    """A checked file: the image, or else its problem; digest of the file, and mean of the pixels in [0, 1]."""

    photo: Photo | None
    digest: int = 0
    problem: str = ""
    brightness: float = math.nan

    @property
    def size(self) -> Size:
        """Return height and width in the file, (0, 0) if the image cannot be read."""
        return (0, 0) if self.photo is None else self.photo.full_size

    @property
    def kept_size(self) -> Size:
        """Return height and width of the pixels, (0, 0) if the image cannot be read."""
        return (0, 0) if self.photo is None else (self.photo.pixels.shape[-2], self.photo.pixels.shape[-1])


class Kept:
    """The pixels of images, which are kept as long as they fit.

    Args:
        pixels: where they are appended.
        max_bytes: largest number of bytes to keep, unless all images are small (`SMALL`).
    """

    def __init__(self, pixels: GrowingArray, max_bytes: int) -> None:
        self.pixels = pixels
        self.max_bytes = max_bytes
        self.keeping = True
        self.num_bytes = self.longest = 0

    def append(self, image: Tensor) -> None:
        """Append an image; drop all where they do not fit."""
        self.num_bytes, self.longest = self.num_bytes + image.nbytes, max(self.longest, *image.shape[-2:])
        if self.num_bytes > self.max_bytes and self.longest > SMALL:
            self.drop()
        if self.keeping:
            self.pixels.append(image.numpy())

    def drop(self) -> None:
        """Remove all images, and keep none."""
        if self.keeping:
            self.keeping = False
            self.pixels.clear()


def read_images(
    files: Files, names: Sequence[str], *, cache_bytes: int, grow: Grow, form: PixelFormat = RGB, side: int = 0
) -> Arrays:
    """Decode each image once to check it; keep the pixels if they fit.

    Args:
        files: the files.
        names: names of the images to read.
        cache_bytes: largest number of bytes of pixels to keep, unless all images are small (`SMALL`).
        grow: as in `cached`; receives `pixels`, uint8: the concatenated pixels of all readable images, or nothing if
            they do not fit, or an image has more than 8 bits: its pixels depend on those of the training split.
        form: how the values of files become pixels.
        side: shorter side to which images are reduced, as in `load_photo`.

    Returns:
        sizes: height and width in the file, (N, 2) int64; 0 for an image that cannot be read.
        kept_sizes: height and width of the pixels, likewise.
        digests: digests of the files' bytes, (N,) uint64; equal for identical files.
        problems: the problem of each image, empty if there is none; a list in JSON, uint8.
        kinds: format, bits and channels of each image; a list in JSON.
        brightness: mean of the pixels in [0, 1], (N,) float32; NaN for an image that cannot be read.
        values: smallest and largest value of images of more than 8 bits, (N, 2) float64; NaN for others.
        value_types: type of these values, None for others; a list in JSON.
        num_bytes: number of bytes of all pixels, (1,) int64.
    """
    kept = Kept(grow("pixels", np.uint8), cache_bytes)
    sizes, kept_sizes, values = [], [], []
    digests, problems, kinds, brightness, value_types = [], [], [], [], []
    for checked in _check_in_order(lambda name: _check(files, name, form, side), names):
        photo = checked.photo
        sizes.append(checked.size)
        kept_sizes.append(checked.kept_size)
        digests.append(checked.digest)
        problems.append(checked.problem)
        brightness.append(checked.brightness)
        kinds.append(photo.kind if photo else "")
        value_types.append(photo.value_type if photo else None)
        values.append((photo.values if photo else None) or (math.nan, math.nan))
        if photo is not None:
            if photo.value_type is not None:
                kept.drop()
            kept.append(photo.pixels)
    return {
        "sizes": np.array(sizes, np.int64).reshape(-1, 2),
        "kept_sizes": np.array(kept_sizes, np.int64).reshape(-1, 2),
        "digests": np.array(digests, np.uint64),
        "problems": to_json(problems),
        "kinds": to_json(kinds),
        "brightness": np.array(brightness, np.float32),
        "values": np.array(values, np.float64).reshape(-1, 2),
        "value_types": to_json(value_types),
        "num_bytes": np.array([kept.num_bytes]),
    }


def keep_images(
    files: Files, names: Sequence[str], *, cache_bytes: int, grow: Grow, form: PixelFormat, side: int
) -> Arrays:
    """Decode images that were checked before, and keep the pixels if they fit.

    Args:
        files: the files.
        names: names of the images to read.
        cache_bytes: as in `read_images`.
        grow: as in `cached`; receives `pixels` as in `read_images`.
        form: how the values of files become pixels.
        side: as in `read_images`.

    Returns:
        kept_sizes, num_bytes: as in `read_images`.

    Raises:
        DataError: a file has been damaged since it was checked.
    """
    kept, sizes = Kept(grow("pixels", np.uint8), cache_bytes), []
    for name, checked in zip(names, _check_in_order(lambda name: _check(files, name, form, side), names), strict=True):
        if checked.photo is None:
            raise DataError(f"{name}: {checked.problem}")
        sizes.append(checked.kept_size)
        kept.append(checked.photo.pixels)
    return {"kept_sizes": np.array(sizes, np.int64).reshape(-1, 2), "num_bytes": np.array([kept.num_bytes])}


def _check(files: Files, name: str, form: PixelFormat, side: int) -> Checked:
    try:
        data = files.read(name)
        photo = load_photo(data, form=form, side=side)
    except (DataError, OSError) as error:
        return Checked(None, problem=str(error))
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    return Checked(photo, digest, brightness=_measure_brightness(photo.pixels))


def _measure_brightness(pixels: Tensor) -> float:
    """Return the mean of pixels in [0, 1], of every so many rows and columns where there are more than needed."""
    step = max(min(pixels.shape[-2:]) // BRIGHTNESS_SIDE, 1)
    return float(pixels[:, ::step, ::step].numpy().mean()) / 255


def _check_in_order(check: Callable[[str], Checked], names: Sequence[str]) -> Iterator[Checked]:
    """Yield the checked images in order; decode large ones in threads, which do not pay off for small ones."""
    first = [check(name) for name in names[:NUM_PROBED]]
    yield from first
    # A progress bar appears after 2 s, and only if standard error is a terminal.
    rest = tqdm(names[NUM_PROBED:], "decoding images", delay=2, disable=None, leave=False)
    if sum(math.prod(checked.size) for checked in first) < len(first) * LARGE:
        yield from map(check, rest)
        return
    waiting: deque[Future[Checked]] = deque()
    with ThreadPoolExecutor(count_processors()) as pool:
        for name in rest:
            waiting.append(pool.submit(check, name))
            if len(waiting) > 2 * count_processors():
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()
