"""How the values of image files become pixels (C, H, W) uint8."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from typing_extensions import Self

from lightfit.errors import CheckpointError

from .intensity import TYPES

MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB in RGB
MAX_CHANNELS = 1024  # of hyperspectral images there are a few hundred
MOST_PIXELS = 2**36  # a limit above this is none


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How the values of image files become pixels (C, H, W) uint8; a codec keeps it.

    Args:
        channels: number of channels C. 3: RGB; grey is repeated, transparent pixels are laid over the background, CMYK
            is converted. 1: grey; colours become their luma (ITU-R BT.601). 4: RGBA or CMYK as stored; RGB gets an
            opaque alpha. Other numbers: as stored.
        background: red, green and blue below transparent pixels, 0 to 255; None: alpha is dropped, as by checkpoints
            that hold no format.
        intensity: values that become 0 and 255, by the type of images of more than 8 bits a value, such as `uint16`; a
            type that is missing here is scaled by each image alone. See `intensity.py` for the rule.
        max_pixels: largest number of pixels of one image. A JPEG may have more, as it is decoded at a reduced size.

    Raises:
        ValueError: an argument is out of its range.
    """

    channels: int = 3
    background: tuple[int, int, int] | None = (255, 255, 255)
    intensity: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"expected `channels` from 1 to {MAX_CHANNELS}, received {self.channels}")
        colours = self.background or (0, 0, 0)
        if len(colours) != 3 or not all(0 <= colour <= 255 for colour in colours):
            raise ValueError(f"expected `background` as red, green and blue from 0 to 255, received {list(colours)}")
        if not 1 <= self.max_pixels <= MOST_PIXELS:
            raise ValueError(f"expected `max_pixels` from 1 to {MOST_PIXELS:,}, received {self.max_pixels:,}")
        for kind, (low, high) in self.intensity.items():
            if kind not in TYPES or not (math.isfinite(high - low) and low < high):
                raise ValueError(
                    f"expected `intensity` as finite numbers low < high for types among {', '.join(TYPES)}, received "
                    f"{low} and {high} for {kind!r}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        own = asdict(self)
        return own | {
            "background": None if self.background is None else list(self.background),
            "intensity": {kind: list(limits) for kind, limits in self.intensity.items()},
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a format from the return value of `to_dict`; what is absent has its default.

        Raises:
            CheckpointError: a value is out of its range.
        """
        own: dict[str, Any] = {name: int(state[name]) for name in ("channels", "max_pixels") if name in state}
        if "background" in state:
            own["background"] = None if state["background"] is None else tuple(map(int, state["background"]))
        if "intensity" in state:
            own["intensity"] = {
                str(kind): (float(low), float(high)) for kind, (low, high) in state["intensity"].items()
            }
        try:
            return cls(**own)
        except ValueError as error:
            raise CheckpointError(f"the checkpoint's format of pixels is damaged or forged: {error}") from error


RGB = PixelFormat()
# How checkpoints without a format were trained: 16 bits lost the lower 8, other values were cut off at 0 and 255.
BEFORE_FORMATS = PixelFormat(background=None, intensity={"uint16": (0, 65535), "int32": (0, 255), "float32": (0, 255)})
