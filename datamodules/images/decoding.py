"""Decoding of images: JPEG by libjpeg-turbo, other formats by Pillow."""

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

from .pixel_format import MAX_PIXELS, RGB, PixelFormat

EXIF = b"Exif\0\0"
# By EXIF orientation: whether to transpose, then the dimensions to reverse. Source: JEITA CP-3451, Exif 2.2, table of
# the tag Orientation.
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
    """Decode a JPEG to RGB, upright by its EXIF orientation, (3, H, W) uint8.

    Returns None if another decoder must handle it: if it is damaged, larger than `MAX_PIXELS`, or in CMYK.

    Args:
        data: content of the image file.
        at_least: as in `decode`.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > MAX_PIXELS or colours not in ("RGB", "YCbCr", "Gray"):
            return None
        # A scale above one half takes more time than it saves.
        smallest = {"min_factor": 2, "min_height": at_least, "min_width": at_least} if at_least else {}
        pixels = simplejpeg.decode_jpeg(data, **smallest)
    except ValueError:
        return None
    image = torch.from_numpy(pixels).permute(2, 0, 1)  # a view, since resizing is fastest in the decoder's memory order
    return turn_upright(image, _read_orientation(data)) if EXIF in data else image


def turn_upright(image: Tensor, orientation: int) -> Tensor:
    """Turn an image (3, H, W) upright by its EXIF orientation."""
    turned, reversed_dims = UPRIGHT.get(orientation, (False, ()))
    return (image.transpose(1, 2) if turned else image).flip(reversed_dims) if turned or reversed_dims else image


def _read_orientation(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, SyntaxError, ValueError, TypeError):
        return 1


JPEG = b"\xff\xd8"


def read_image_size(data: bytes) -> tuple[int, int]:
    """Read height and width of an encoded image from its header, as stored (ignoring the EXIF orientation).

    Raises:
        DataError: the file is empty, not an image, or has more than `MAX_PIXELS` pixels.
    """
    if not data:
        raise DataError("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_describe_size(f"{int(re.findall(r'[0-9]+', str(error))[0]):,} pixels")) from error
    except Exception as error:  # Pillow may raise anything on bytes that are not an image
        raise DataError(
            f"not an image, or cut off: expected .jpg, .png or the like, received a file that begins with {data[:8]!r}"
        ) from error
    if height * width > MAX_PIXELS:
        raise DataError(_describe_size(f"{width:,} x {height:,} pixels"))
    return height, width


def decode(data: bytes, *, form: PixelFormat = RGB, at_least: int = 0) -> Tensor:
    """Decode an image, upright by its EXIF orientation, (C, H, W) uint8.

    JPEG by libjpeg-turbo; other formats, and JPEGs that it cannot read, by Pillow, as torchvision's decoder ends the
    process on some damaged files. Grey becomes three equal channels, alpha is dropped.

    Args:
        data: content of the image file.
        form: how its values become pixels.
        at_least: decode a JPEG at a reduced size whose shorter side is at least this, in pixels: at the fewest eighths
            of its size, at most one half; 0: at full size. Resized further, such pixels differ from those of the full
            image by less than 1 of 255 on average.

    Raises:
        DataError: as `read_image_size`, or the image is cut off or damaged.
    """
    if data.startswith(JPEG) and (pixels := decode_jpeg(data, at_least)) is not None:
        return pixels
    read_image_size(data)
    return _decode_by_pillow(data)


def decode_file(path: Path, form: PixelFormat = RGB) -> Tensor:
    """Decode an image file, as `decode`; errors name the file.

    Raises:
        FileNotFoundError: the file does not exist.
        DataError: as `decode`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")
    try:
        return decode(path.read_bytes(), form=form)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _decode_by_pillow(data: bytes) -> Tensor:
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # Pillow would clip values above 255
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return pil_to_tensor(upright.convert("RGB"))
    except Exception as error:  # Pillow may raise anything on a damaged file
        raise DataError(f"cut off or damaged: {error or type(error).__name__}") from error


def _describe_size(size: str) -> str:
    return (
        f"{size}, more than the limit of {MAX_PIXELS:,} (a small file may decode to an image that fills the memory): "
        "scale it down"
    )
