"""Decoded images as small files, for examples in a checkpoint."""

import io

import torch
from PIL import Image
from torch import Tensor

from lightfit.errors import DataError

from .reducing import SMALL

QUALITY = 90  # of JPEG


def compress(pixels: Tensor, side: int) -> tuple[str, bytes]:
    """Return an image as a file, and its format: png without loss up to `SMALL` pixels a side, else jpeg.

    Args:
        pixels: (C, H, W) uint8.
        side: longest side of the result, in pixels; a larger image is reduced.

    Raises:
        DataError: the image has neither one channel nor three.
    """
    if len(pixels) not in (1, 3):
        raise DataError(
            f"images of {len(pixels)} channels are no files that a browser shows: leave `keep_examples` out"
        )
    values = torch.as_tensor(pixels).permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(values if len(pixels) == 3 else values[..., 0])
    image.thumbnail((side, side))
    kind, written = "png" if max(image.size) <= SMALL else "jpeg", io.BytesIO()
    image.save(written, kind, **({} if kind == "png" else {"quality": QUALITY}))
    return kind, written.getvalue()
