"""Encoded images to pixels: JPEG by libjpeg-turbo, all others by Pillow."""

import io
import re
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from lightfit.errors import DataError

MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB in RGB
EXIF = b"Exif\0\0"
# By EXIF's orientation: whether rows and columns change places, then the dimensions to reverse. Source: JEITA CP-3451,
# Exif 2.2, table of the tag Orientation.
UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (2,)),
    3: (False, (1, 2)),
    4: (False, (1,)),
    5: (True, ()),
    6: (True, (2,)),
    7: (True, (1, 2)),
    8: (True, (1,)),
}


def decode_jpeg(data: bytes, at_least: int = 0) -> Tensor | None:
    """An encoded JPEG to RGB, upright as its EXIF says, (3, H, W) uint8; None where another decoder has to look at it.

    That is so for what is damaged or larger than `MAX_PIXELS`, and for the colours of printing.

    Args:
        data: the image's file.
        at_least: as in `image_decoding.decode`.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > MAX_PIXELS or colours not in ("RGB", "YCbCr", "Gray"):
            return None
        # More than a half of the size takes longer to compute than it spares.
        smallest = {"min_factor": 2, "min_height": at_least, "min_width": at_least} if at_least else {}
        pixels = simplejpeg.decode_jpeg(data, **smallest)
    except ValueError:
        return None
    image = torch.from_numpy(pixels).permute(2, 0, 1)  # a view: to resize, the order of the decoder is the quickest
    return upright(image, _orientation(data)) if EXIF in data else image


def upright(image: Tensor, orientation: int) -> Tensor:
    """An image (3, H, W) turned as EXIF's orientation says."""
    turned, reversed_dims = UPRIGHT.get(orientation, (False, ()))
    return (image.transpose(1, 2) if turned else image).flip(reversed_dims) if turned or reversed_dims else image


def _orientation(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, SyntaxError, ValueError, TypeError):
        return 1


JPEG = b"\xff\xd8"


def image_size(data: bytes) -> tuple[int, int]:
    """Height and width of an encoded image, from its header, as stored (not turned by EXIF).

    Raises:
        DataError: it is empty, no image, or would take more than `MAX_PIXELS` pixels.
    """
    if not data:
        raise DataError("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_too_large(f"{int(re.findall(r'[0-9]+', str(error))[0]):,} pixels")) from error
    except Exception as error:  # bytes that are no image make Pillow fail in any way
        raise DataError(f"no image, or one that is cut off: its first bytes are {data[:8]!r}") from error
    if height * width > MAX_PIXELS:
        raise DataError(_too_large(f"{width:,} x {height:,} pixels"))
    return height, width


def decode(data: bytes, *, at_least: int = 0) -> Tensor:
    """An encoded image to RGB, upright as its EXIF says, (3, H, W) uint8.

    JPEG by libjpeg-turbo, other formats and what it cannot read by Pillow: torchvision's decoder ends the process on
    some damaged files. Grey becomes three equal channels, alpha is dropped.

    Args:
        data: the image's file.
        at_least: a JPEG is decoded at the fewest eighths of its size, a half at the most, whose shorter side is as
            long as this; 0: at its size. Scaled down further, such pixels differ from those of the whole image by less
            than 1 of 255 on average.

    Raises:
        DataError: as `image_size`, or the image is cut off or damaged.
    """
    if data.startswith(JPEG) and (pixels := decode_jpeg(data, at_least)) is not None:
        return pixels
    image_size(data)
    return _by_pillow(data)


def decode_file(path: Path) -> Tensor:
    """As `decode`; the file is named in the message.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: as `decode`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")
    try:
        return decode(path.read_bytes())
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _by_pillow(data: bytes) -> Tensor:
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # Pillow's own conversion cuts off what is above 255
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return pil_to_tensor(upright.convert("RGB"))
    except Exception as error:  # a damaged file makes Pillow fail in any way
        raise DataError(f"cut off or damaged: {error or type(error).__name__}") from error


def _too_large(size: str) -> str:
    return (
        f"{size}, more than the {MAX_PIXELS:,} that are decoded (a small file may hide an image that fills the "
        "memory): scale it down"
    )
