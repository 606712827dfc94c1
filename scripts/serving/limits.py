"""Limits of batches and requests."""

from typing import NamedTuple

from ..inference.pixel_limits import DEFAULT_LIMITS, PixelLimits


class Limits(NamedTuple):
    """Limits of batches and requests.

    Args:
        max_batch_size: as in `Batcher`.
        wait_s: as in `Batcher`.
        max_bytes: largest size of a request, in bytes.
        max_inputs: largest number of inputs in a request.
        pixels: limits of the pixels of images.
    """

    max_batch_size: int
    wait_s: float
    max_bytes: int
    max_inputs: int
    pixels: PixelLimits = DEFAULT_LIMITS
