"""The codec of images: normalised pixels of one size, and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from lightfit.errors import CheckpointError

from ..codec import LabelCodec
from ..targets import Target, restore_target, save_target
from .decoding import decode_file
from .pixel_format import MAX_PIXELS, RGB, PixelFormat
from .transforms import Size, denormalise, normalise, resize_and_crop


@dataclass(frozen=True, kw_only=True)
class ImageCodec(LabelCodec):
    """Encode images as normalised pixels (B, 3, h, w) float32, as in evaluation.

    Args:
        target: what the net predicts: classes, sets of labels, or numbers.
        image_size: height and width of the net's input, in pixels.
        border: factor by which an image is resized beyond `image_size` before its centre is cropped.
        mean: mean of red, green and blue, in [0, 1], to subtract.
        std: standard deviation of red, green and blue, to divide by.
        form: how the values of files become pixels.
    """

    domain: ClassVar[str] = "images"
    target: Target = field()  # a field, where the parent class computes it
    image_size: Size
    border: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    form: PixelFormat = RGB

    @property
    def num_channels(self) -> int:
        """Return the number of channels of an encoded image."""
        return self.form.channels

    def encode(self, samples: Sequence[Path | Tensor]) -> Tensor:
        """Encode image files, or decoded images (3, H, W) uint8, as pixels (B, 3, h, w) float32.

        Raises:
            FileNotFoundError: a file does not exist.
            DataError: a file is not an image.
        """
        decoded = (decode_file(sample, self.form) if isinstance(sample, Path) else sample for sample in samples)
        images = [resize_and_crop(pixels, self.image_size, border=self.border) for pixels in decoded]
        return normalise(torch.stack(images), self.mean, self.std)

    def dummy_batch(self) -> Tensor:
        """Return two random images (2, 3, h, w) float32."""
        return torch.randn(2, 3, *self.image_size, generator=torch.Generator().manual_seed(0))

    def denormalise(self, x: Tensor) -> Tensor:
        """Return encoded images (B, 3, h, w) as colours in [0, 1]."""
        return denormalise(x, self.mean, self.std)

    def metadata(self) -> dict[str, Any]:
        """Return target, size, and the normalisation of colours in [0, 1].

        An image is resized so that it just covers `border` times the size, and its centre is cropped.
        """
        height, width = self.image_size
        return {
            "domain": self.domain,
            "class_names": self.class_names,
            "target": self.target.to_dict(),
            "height": height,
            "width": width,
            "border": self.border,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return {
            **save_target(self.target),
            "image_size": list(self.image_size),
            "border": self.border,
            "mean": list(self.mean),
            "std": list(self.std),
            "form": self.form.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`.

        Raises:
            CheckpointError: the image size exceeds `MAX_PIXELS`.
        """
        height, width = state["image_size"]
        if height * width > MAX_PIXELS:
            raise CheckpointError(
                f"the checkpoint's images have {height:,} x {width:,} pixels, more than {MAX_PIXELS:,}: it is damaged "
                "or forged"
            )
        own = {"image_size": (height, width), "mean": tuple(state["mean"]), "std": tuple(state["std"])}
        form = PixelFormat.from_dict(state["form"]) if "form" in state else RGB  # absent in older checkpoints
        return cls(**{**restore_target(state), **own, "form": form})
