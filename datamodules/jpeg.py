"""JPEG to pixels at the speed of libjpeg-turbo."""

import io

import simplejpeg
import torch
from PIL import ExifTags, Image
from torch import Tensor

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
