"""Channels of images: grey, colours, transparency."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lightfit.errors import DataError

from .pixel_format import PixelFormat

GREY, COLOUR, TRANSPARENT, PRINT = "grey", "RGB", "RGBA", "CMYK"

Pixels = NDArray[np.uint8]
CHUNK = 2**18  # number of pixels to compute with at once


def convert_channels(pixels: Pixels, colours: str, form: PixelFormat) -> Pixels:
    """Convert pixels (H, W, C) uint8 to the channels of a format.

    Args:
        pixels: the pixels; grey may be repeated already.
        colours: grey, RGB, RGBA or CMYK; another name is that of channels that no conversion is known for.
        form: the format. For 3 channels CMYK must have been converted already, as that needs Pillow.

    Raises:
        DataError: the number of channels is another one, and no conversion is known.
    """
    wanted, held = form.channels, pixels.shape[2]
    if colours == TRANSPARENT and wanted in (1, 3):
        pixels = pixels[..., :3] if form.background is None else lay_over(pixels, form.background)
        colours = COLOUR
    if colours == COLOUR and wanted == 1:
        return to_grey(pixels)
    if colours == GREY and wanted in (3, 4):
        pixels, colours = np.repeat(pixels, 3, axis=2) if held == 1 else pixels, COLOUR
    if colours == COLOUR and wanted == 4:
        return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2)
    if pixels.shape[2] != wanted:
        raise DataError(
            f"the image has {held} channel{'s' if held > 1 else ''} ({colours}), expected {wanted}: convert it, or set "
            "`channels` to the number of all images"
        )
    return pixels


def lay_over(pixels: Pixels, background: Sequence[int]) -> Pixels:
    """Lay RGBA pixels (H, W, 4) over a colour, (H, W, 3): colour * alpha + background * (1 - alpha), rounded."""
    laid = np.ascontiguousarray(pixels[..., :3])
    if not pixels.size or pixels[..., 3].min() == 255:
        return laid
    for own, out in _by_rows(pixels, laid):
        alpha = own[..., 3:].astype(np.uint16)
        below = (255 - alpha) * np.array(background, np.uint16)
        # At most 255 * 255 + 127, which uint16 holds; no quotient lies at one half, as 255 is odd.
        out[...] = (own[..., :3] * alpha + below + 127) // 255
    return laid


def to_grey(pixels: Pixels) -> Pixels:
    """Return the luma (H, W, 1) of RGB pixels (H, W, 3), to the digit as Pillow computes it."""
    grey = np.empty((*pixels.shape[:2], 1), np.uint8)
    for own, out in _by_rows(pixels, grey):
        red, green, blue = (own[..., channel].astype(np.uint32) for channel in range(3))
        out[..., 0] = (19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16
    return grey


def _by_rows(pixels: Pixels, out: Pixels) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield views of some rows of both, so that copies of wider types stay small."""
    step = max(CHUNK // max(pixels.shape[1], 1), 1)
    return ((pixels[row : row + step], out[row : row + step]) for row in range(0, len(pixels), step))
