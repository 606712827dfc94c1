"""Inputs of images: files, folders, names on standard input, base64, uploads."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from torch import Tensor
from typing_extensions import Self

from lightfit.datamodules.images.codec import ImageCodec, Prepared
from lightfit.datamodules.images.decoding import decode, read_image_size
from lightfit.datamodules.images.pixels.formats import START, is_image_file
from lightfit.datamodules.images.pixels.pixel_format import RGB
from lightfit.errors import DataError

from ..pixel_limits import DEFAULT_LIMITS, PixelBudget, PixelLimits, RequestTooLarge
from .files import FileInputs


class ImageInputs(FileInputs):
    """Read images: a sample is a `Path`, or an uploaded image, at the size of the net's input if the codec is known.

    Args:
        codec: the codec, by which uploads are decoded and resized at once; None: they are decoded as RGB.
        limits: limits of the pixels of uploads.
    """

    key: ClassVar[str] = "images"
    name: ClassVar[str] = "image"
    content: ClassVar[str] = "an image file"
    empty: ClassVar[str] = "holds no images; expected .jpg, .png, .webp, .bmp or the like"

    def __init__(self, codec: ImageCodec | None = None, limits: PixelLimits = DEFAULT_LIMITS) -> None:
        form = RGB if codec is None else codec.form
        self.codec = codec
        self.limits = limits
        self.form = replace(form, max_pixels=min(form.max_pixels, limits.max_pixels))
        self.budget = PixelBudget(limits.max_decoding_pixels)
        self.num_pixels = 0  # of the request

    def for_request(self) -> Self:
        """Return a reader that counts the pixels of one request, and shares the budget of decoding."""
        own = copy.copy(self)
        own.num_pixels = 0
        return own

    def find(self, folder: Path) -> Iterator[Path]:
        """Yield the images below a folder, in any order: which they are is decided as in training."""
        for file in folder.rglob("*"):
            inner = file.relative_to(folder).parts
            hidden = any(part.startswith(".") or part == "__MACOSX" for part in inner)
            if not hidden and file.is_file() and is_image_file(file.name, lambda file=file: _read_start(file)):  # type: ignore[misc]
                yield file

    def decode(self, name: str, content: bytes) -> Tensor | Prepared:
        """Return the image of an uploaded file: prepared for the codec, else (3, H, W) uint8.

        Raises:
            DataError: the file is no image, or has more pixels than the limit.
            RequestTooLarge: the images of the request have more pixels than the limit.
        """
        height, width = read_image_size(content, self.form)
        num_pixels = height * width if self.codec is None else self._count(height, width)
        self.num_pixels += num_pixels
        if self.num_pixels > self.limits.max_request_pixels:
            raise RequestTooLarge(
                f"the images of the request have more than {self.limits.max_request_pixels:,} pixels: send fewer at "
                "once, or smaller ones"
            )
        with self.budget.hold(num_pixels):
            return decode(content, form=self.form) if self.codec is None else self.codec.prepare(content, self.form)

    def _count(self, height: int, width: int) -> int:
        """Return the number of pixels to decode or to resize to, whichever is more."""
        assert self.codec is not None
        # Its EXIF orientation may turn the image.
        resized = max(self.codec.count_resized(height, width), self.codec.count_resized(width, height))
        if resized > self.limits.max_pixels:
            raise DataError(
                f"an image of {width:,} x {height:,} pixels would be resized to {resized:,} pixels, more than the "
                f"limit of {self.limits.max_pixels:,}: it is too narrow, so cut it into pieces"
            )
        return max(height * width, resized)


def _read_start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(START)
    except OSError:
        return b""
