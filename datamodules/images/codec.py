"""The codec of images: normalised pixels of one size, and classes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, get_args

import torch
from torch import Tensor
from typing_extensions import Self

from lightfit.errors import CheckpointError, DataError

from ..codec import LabelCodec
from ..targets import Target, restore_target, save_target
from .pixels.pixel_format import BEFORE_FORMATS, MAX_PIXELS, RGB, PixelFormat
from .reducing import Interpolation, load_photo
from .transforms import WHITE, Resize, Size, denormalise, fit_to_size, normalise

MOST_BORDER = 1000  # a larger factor in a checkpoint is damaged or forged


class Prepared(NamedTuple):
    """An image at the size of the net's input, (C, h, w) uint8."""

    pixels: Tensor


@dataclass(frozen=True, kw_only=True)
class ImageCodec(LabelCodec):
    """Encode images as normalised pixels (B, C, h, w) float32, as in evaluation.

    Args:
        target: what the net predicts: classes, sets of labels, or numbers.
        image_size: height and width of the net's input, in pixels.
        border: factor by which an image is resized beyond `image_size` before its centre is cropped.
        mean: mean of each channel, in [0, 1], to subtract.
        std: standard deviation of each channel, to divide by.
        form: how the values of files become pixels.
        resize: how an image gets the size: crop, pad or squish, as in `fit_to_size`.
        interpolation: filter of resizing: bilinear or bicubic.
        kept_side: shorter side, in pixels, to which a larger image is reduced first, as in `load_photo`; 0: none is.
    """

    domain: ClassVar[str] = "images"
    target: Target = field()  # a field, where the parent class computes it
    image_size: Size
    border: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    form: PixelFormat = RGB
    resize: Resize = "crop"
    interpolation: Interpolation = "bilinear"
    kept_side: int = 0

    @property
    def image_channels(self) -> int:
        """Return the number of channels of the net's input."""
        return self.form.channels

    def encode(self, samples: Sequence[str | Path | Tensor | Prepared]) -> Tensor:
        """Encode image files, decoded images (C, H, W) uint8, or prepared ones as pixels (B, C, h, w) float32.

        Raises:
            FileNotFoundError: a file does not exist.
            DataError: a file is not an image, or an image has other channels, or is too narrow for the size.
        """
        return normalise(torch.stack([self._load(sample) for sample in samples]), self.mean, self.std)

    def prepare(self, data: bytes, form: PixelFormat | None = None) -> Prepared:
        """Decode an encoded image and bring it to the size of the net's input, so that it takes little memory.

        Args:
            data: content of the image file.
            form: in place of the codec's, for another limit of pixels.

        Raises:
            DataError: as `encode`.
        """
        photo = load_photo(data, form=form or self.form, side=self.kept_side)
        return Prepared(self._fit(photo.pixels, photo.full_size))

    def count_resized(self, height: int, width: int) -> int:
        """Return the number of pixels of an image once it is resized, before its centre is cropped."""
        if self.resize != "crop":
            return math.prod(self.image_size)
        scale = max(self.image_size[0] / height, self.image_size[1] / width) * self.border
        return math.ceil(height * scale) * math.ceil(width * scale)

    def _load(self, sample: str | Path | Tensor | Prepared) -> Tensor:
        if isinstance(sample, Prepared):
            return sample.pixels
        if isinstance(sample, Tensor):
            if len(sample) != self.image_channels:
                raise DataError(
                    f"expected images of {self.image_channels} channels (C, H, W), received {tuple(sample.shape)}"
                )
            return self._fit(sample)
        if not isinstance(sample, (str, Path)):
            raise DataError(
                f"expected an image as a path, or as a tensor (C, H, W) uint8, received {type(sample).__name__}"
            )
        if not Path(sample).is_file():
            raise FileNotFoundError(f"no file at '{sample}' (looked from '{Path.cwd()}')")
        try:
            return self.prepare(Path(sample).read_bytes()).pixels
        except DataError as error:
            raise DataError(f"{sample}: {error}") from error

    def _fit(self, pixels: Tensor, full_size: Size | None = None) -> Tensor:
        return fit_to_size(
            pixels,
            self.image_size,
            border=self.border,
            resize=self.resize,
            interpolation=self.interpolation,
            background=self.form.background or WHITE,
            full_size=full_size,
        )

    def dummy_batch(self) -> Tensor:
        """Return two random images (2, C, h, w) float32."""
        return torch.randn(2, self.image_channels, *self.image_size, generator=torch.Generator().manual_seed(0))

    def denormalise(self, x: Tensor) -> Tensor:
        """Return encoded images (B, C, h, w) as values in [0, 1]."""
        return denormalise(x, self.mean, self.std)

    def metadata(self) -> dict[str, Any]:
        """Return target, size, and how files become the net's input.

        The steps, in order: values of a file become pixels by `form`; an image whose shorter side is above `kept_side`
        and whose longer side is above 64 is reduced to it (bicubic, unless it is 0); it is resized by `resize` and
        `interpolation`, for crop so that it just covers `border` times the size, whose centre is cropped; `mean` and
        `std` normalise values in [0, 1].
        """
        height, width = self.image_size
        return {
            "domain": self.domain,
            "class_names": self.class_names,
            "target": self.target.to_dict(),
            "height": height,
            "width": width,
            **self._settings(),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return {**save_target(self.target), "image_size": list(self.image_size), **self._settings()}

    def _settings(self) -> dict[str, Any]:
        return {
            "border": self.border,
            "mean": list(self.mean),
            "std": list(self.std),
            "form": self.form.to_dict(),
            "resize": self.resize,
            "interpolation": self.interpolation,
            "kept_side": self.kept_side,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`; what older checkpoints lack is as it was before.

        Raises:
            CheckpointError: the image size exceeds `MAX_PIXELS`, or another value is out of its range.
        """
        height, width = map(int, state["image_size"])
        form = PixelFormat.from_dict(state["form"]) if "form" in state else BEFORE_FORMATS
        if not (height > 0 and width > 0 and height * width * max(form.channels / 3, 1) <= MAX_PIXELS):
            raise CheckpointError(
                f"the checkpoint's images have {height:,} x {width:,} pixels of {form.channels} channels, more than "
                f"{MAX_PIXELS:,}: it is damaged or forged"
            )
        known: dict[str, Any] = {
            "image_size": (height, width),
            "border": float(state["border"]),
            "mean": tuple(map(float, state["mean"])),
            "std": tuple(map(float, state["std"])),
            "form": form,
            "resize": state.get("resize", "crop"),
            "interpolation": state.get("interpolation", "bilinear"),
            "kept_side": int(state.get("kept_side", 0)),
        }
        valid = {
            "border": 1 <= known["border"] <= MOST_BORDER,
            "mean": len(known["mean"]) == form.channels and all(map(math.isfinite, known["mean"])),
            "std": len(known["std"]) == form.channels and all(0 < value < math.inf for value in known["std"]),
            "resize": known["resize"] in get_args(Resize),
            "interpolation": known["interpolation"] in get_args(Interpolation),
            "kept_side": 0 <= known["kept_side"] <= MAX_PIXELS,
        }
        if wrong := [name for name, right in valid.items() if not right]:
            raise CheckpointError(
                f"the checkpoint's images have {wrong[0]} {known[wrong[0]]!r}: it is damaged or forged"
            )
        return cls(**{**restore_target(state), **known})
