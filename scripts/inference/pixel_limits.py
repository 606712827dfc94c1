"""Limits of the pixels that a server decodes, since a few bytes may be an image that fills the memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from lightfit.errors import LightFitError


class PixelLimits(NamedTuple):
    """Limits of pixels; decoding takes up to 12 bytes of memory for each.

    Args:
        max_pixels: largest number of pixels of one image, before and after it is resized. A JPEG may have four times as
            many, as it is decoded at a reduced size.
        max_request_pixels: largest number of pixels of all images of a request.
        max_decoding_pixels: largest number of pixels of the images that are decoded at the same time, over all
            requests; other images wait.
    """

    max_pixels: int = 89_478_485  # Pillow's own limit
    max_request_pixels: int = 400_000_000
    max_decoding_pixels: int = 100_000_000


DEFAULT_LIMITS = PixelLimits()


class RequestTooLarge(LightFitError):  # noqa: N818 - as it is called
    """A request holds more than the limit; the message names it."""


class PixelBudget:
    """What may be decoded at the same time, in pixels; for threads.

    Args:
        capacity: largest number of pixels. An image with more is decoded alone.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, num_pixels: int) -> Iterator[None]:
        """Wait until so many pixels are free, and hold them."""
        amount = min(num_pixels, self.capacity)
        with self._changed:
            self._changed.wait_for(lambda: self.used + amount <= self.capacity)
            self.used += amount
        try:
            yield
        finally:
            with self._changed:
                self.used -= amount
                self._changed.notify_all()
