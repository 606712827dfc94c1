"""Photographs are kept and encoded at a reduced size: as many pixels as the transforms need, and no more."""

import math
from typing import Literal, NamedTuple

import simplejpeg
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from .decoding import EXIF, JPEG, decode_fully
from .pixels.pixel_format import RGB, PixelFormat

Size = tuple[int, int]
Interpolation = Literal["bilinear", "bicubic"]
SMALL = 64  # longest side, in pixels, of images that are never reduced and always kept decoded
# The shorter side to keep, as a multiple of that of a resized image, and the least to decode, as a multiple of that to
# keep: what is resized from these is less than 1 of 255 off on average. Random crops of more than a sixth of the area
# have as many pixels as the net gets; smaller ones are enlarged.
KEPT_PER_RESIZED = 2.5
DECODED_PER_KEPT = 1.2


class Photo(NamedTuple):
    """An image, perhaps reduced, and what its file holds.

    Args:
        pixels: (C, H, W) uint8.
        full_size: height and width of the image in the file, upright, in pixels.
        kind: as in `Decoded`.
        values: as in `Decoded`.
        value_type: as in `Decoded`.
    """

    pixels: Tensor
    full_size: Size
    kind: str
    values: tuple[float, float] | None
    value_type: str | None


def needed_side(size: Size, *, border: float = 1.0) -> int:
    """Return the shorter side, in pixels, at which images are kept.

    Args:
        size: height and width of the net's input, in pixels.
        border: factor by which an image is resized beyond the size before its centre is cropped.
    """
    return math.ceil(KEPT_PER_RESIZED * border * max(size))


def load_photo(data: bytes, *, form: PixelFormat = RGB, side: int = 0) -> Photo:
    """Decode an image; reduce it if its shorter side is above `side` and its longer one above `SMALL`.

    Args:
        data: content of the image file.
        form: how its values become pixels.
        side: shorter side to reduce to, in pixels; 0: keep the full size.

    Raises:
        DataError: as `decode`.
    """
    decoded = decode_fully(data, form=form, at_least=_choose_scale(data, side))
    full_size = _find_full_size(data, decoded.pixels)
    pixels = reduce(decoded.pixels, full_size, side)
    return Photo(pixels, full_size, decoded.kind, decoded.values, decoded.value_type)


def _choose_scale(data: bytes, side: int) -> int:
    """Return the shorter side, in pixels, that JPEG's own scaling must leave for a shorter side to keep.

    A scaled image that is turned by its EXIF orientation may have the pixels that lie partly outside of it at any edge,
    so that only scales without such pixels are used.
    """
    at_least = math.ceil(DECODED_PER_KEPT * side)
    if not side or not data.startswith(JPEG) or EXIF not in data:
        return at_least
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return at_least
    for eighths in range(1, 5):
        if (scaled := min(height, width) * eighths // 8) >= at_least and not height * eighths % 8 + width * eighths % 8:
            return scaled
    return 0


def reduce(x: Tensor, full_size: Size, side: int) -> Tensor:
    """Resize an image so that its shorter side is `side` pixels long; return a smaller one unchanged.

    Bicubic with antialiasing: what is resized again from it by a bilinear filter is closer to what the full image gives
    than after a bilinear reduction.

    Args:
        x: the image (C, H, W) uint8, perhaps reduced by JPEG's own scaling.
        full_size: height and width before that.
        side: shorter side of the result; 0: return the image unchanged.
    """
    if not side or min(full_size) <= side or max(full_size) <= SMALL:
        return x
    scale = side / min(full_size)
    height, width = (max(side, round(length * scale)) for length in full_size)
    return resize_image(x, (height, width), full_size=full_size, interpolation="bicubic")


def resize_image(
    x: Tensor, size: Size, *, full_size: Size | None = None, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Resize images (..., H, W) with antialiasing.

    Args:
        x: the images.
        size: height and width of the result, in pixels.
        full_size: height and width before JPEG's own scaling, which rounds up to whole pixels, so that the last row and
            the last column may lie partly outside of the image.
        interpolation: filter.
    """
    extent = _measure_extent((x.shape[-2], x.shape[-1]), full_size)
    if extent != x.shape[-2:]:
        scales = [length / full for length, full in zip(size, extent, strict=True)]
        batch = F.interpolate(x.reshape(-1, *x.shape[-3:]), scale_factor=scales, mode=interpolation, antialias=True)
        return batch[..., : size[0], : size[1]].reshape(*x.shape[:-2], *size)
    if size == x.shape[-2:]:
        return x
    return vision.resize(x, list(size), interpolation=InterpolationMode(interpolation), antialias=True)


def _measure_extent(size: Size, full_size: Size | None) -> tuple[float, float]:
    """Return height and width of the image within a reduced one, in pixels of the reduced one."""
    if full_size is None or size == full_size:
        return size
    eighths = 8 * size[0] // full_size[0]
    if eighths in range(1, 8) and _scale_by_eighths(full_size, eighths) == size:
        return full_size[0] * eighths / 8, full_size[1] * eighths / 8
    return size


def _scale_by_eighths(size: Size, eighths: int) -> Size:
    """Return the size to which libjpeg-turbo reduces an image."""
    return math.ceil(size[0] * eighths / 8), math.ceil(size[1] * eighths / 8)


def _find_full_size(data: bytes, pixels: Tensor) -> Size:
    """Return the upright size of an image before JPEG's own scaling."""
    size = pixels.shape[-2], pixels.shape[-1]
    if not data.startswith(JPEG):
        return size
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError:  # decoded by Pillow, at full size
        return size
    for full_size in ((height, width), (width, height)):  # stored upright, or turned by the EXIF orientation
        if any(_scale_by_eighths(full_size, eighths) == size for eighths in range(1, 9)):
            return full_size
    return size
