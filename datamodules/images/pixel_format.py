"""How the values of image files become pixels (C, H, W) uint8."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from typing_extensions import Self

MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB in RGB


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How the values of image files become pixels (C, H, W) uint8; a codec keeps it.

    Args:
        channels: number of channels C.
        background: red, green and blue below transparent pixels, 0 to 255.
        intensity: values that become 0 and 255, by the type of images of more than 8 bits a value, such as `uint16`; a
            type that is missing here is scaled by each image alone.
        max_pixels: largest number of pixels of one image.
    """

    channels: int = 3
    background: tuple[int, int, int] = (255, 255, 255)
    intensity: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    max_pixels: int = MAX_PIXELS

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        own = asdict(self)
        return own | {
            "background": list(self.background),
            "intensity": {kind: list(limits) for kind, limits in self.intensity.items()},
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a format from the return value of `to_dict`."""
        low_high = {kind: (float(low), float(high)) for kind, (low, high) in state["intensity"].items()}
        red, green, blue = map(int, state["background"])
        return cls(
            channels=int(state["channels"]),
            background=(red, green, blue),
            intensity=low_high,
            max_pixels=int(state["max_pixels"]),
        )


RGB = PixelFormat()
