"""Size, augmentation and normalisation of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from lightfit.errors import DataError

from .mixing import Mix
from .pixels.pixel_format import MAX_PIXELS
from .reducing import SMALL, Interpolation, Size, needed_side, resize_image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
OTHER_MEAN = OTHER_STD = 0.5  # of other than 3 channels
AUTO_SIZE = 96  # size of photographs for "auto": a compromise for training from scratch without a GPU
CROP_SCALE = (0.08, 1.0)  # as in torchvision's RandomResizedCrop
WHITE = (255, 255, 255)
Resize = Literal["crop", "pad", "squish"]
Augment = Literal["randaugment", "trivialaugment", "color_jitter"]
Colours = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ImageTransforms:
    """Size, augmentation and normalisation of images; by default the cookbook's, which are those of ImageNet.

    Args:
        size: side of the square input of the net, in pixels; auto: unchanged for images of one small size, else 96 or
            the median of the shorter sides, whichever is less; null: unchanged, for images of one size.
        resize: how images are brought to the size in val, test and prediction: crop (resize the shorter side to 256 /
            224 of the size, then crop the centre), pad (the whole image, with borders of `background`), or squish (the
            whole image, its aspect ratio changed); a number: crop, with this length of the shorter side, in pixels;
            null: crop. In training, a random crop is taken of the image as it was padded or squished.
        interpolation: filter of resizing: bilinear, or bicubic, as many pretrained nets expect; both with antialiasing.
        background: red, green and blue, 0 to 255, below transparent pixels and of the borders of pad.
        crop_scale: smallest and largest fraction of the area of a random crop in training; auto: 0.08 to 1 where
            `resize` is crop, else null; null: no random crop, so that training sees what evaluation sees.
        crop_ratio: smallest and largest width per height of a random crop.
        shift: largest random shift in training, in pixels of the net's input.
        cutout: side of a random square that is erased in training, in pixels of the net's input.
        flip: probability of a horizontal flip in training.
        augment: further augmentation in training, after crop and flip: randaugment (2 operations of magnitude 9),
            trivialaugment, or color_jitter (brightness, contrast and saturation by 0.4, hue by 0.1), as torchvision's
            v2; for images of 1 or 3 channels.
        mean: mean of each channel, in [0, 1], to subtract; null: ImageNet's for 3 channels, else 0.5.
        std: standard deviation of each channel, to divide by; null: ImageNet's for 3 channels, else 0.5.
        mix: mixing of two training images, with soft labels: none, mixup (blend both), cutmix (paste a box of one into
            the other), or both (either of them, at random).
        mix_alpha: parameter of the Beta distribution of the fraction to keep: the larger, the closer to one half.
        train: custom transforms in place of crop, shift and flip, such as those of torchvision.transforms.v2: each
            maps (C, H, W) uint8, the last one to (C, size, size).
    """

    size: int | Literal["auto"] | None = 224
    resize: int | Resize | None = None
    interpolation: Interpolation = "bilinear"
    background: tuple[int, int, int] = WHITE
    crop_scale: tuple[float, float] | Literal["auto"] | None = "auto"
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    shift: int = 0
    cutout: int = 0
    flip: float = 0.5
    augment: Augment | None = None
    mean: Colours | None = None
    std: Colours | None = None
    mix: Mix = "none"
    mix_alpha: float = 1.0
    train: list[nn.Module] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.size, int) and self.size < 1:
            raise ValueError(f"expected `transforms.size` of at least 1, or null, received {self.size}")
        if isinstance(self.resize, int) and (not isinstance(self.size, int) or self.resize < self.size):
            raise ValueError(f"expected `transforms.resize` of at least the size, {self.size}, received {self.resize}")
        low, high = self.random_crop or (1.0, 1.0)
        if not 0 < low <= high <= 1:
            raise ValueError(f"expected `transforms.crop_scale` as 0 < low <= high <= 1, received {self.crop_scale}")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"expected `transforms.crop_ratio` as 0 < low <= high, received {self.crop_ratio}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"expected `transforms.flip` in [0, 1], received {self.flip}")
        for name in ("shift", "cutout"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected `transforms.{name}` of at least 0, received {getattr(self, name)}")
        if self.mix_alpha <= 0:
            raise ValueError(f"expected `transforms.mix_alpha` above 0, received {self.mix_alpha}")
        if self.std is not None and min(self.std, default=0) <= 0:
            raise ValueError(f"expected `transforms.std` above 0, received {self.std}")
        if not all(0 <= value <= 255 for value in self.background):
            raise ValueError(f"expected `transforms.background` in [0, 255], received {self.background}")

    def in_training(self, size: Size) -> v2.Transform:
        """Return the training transform of one image, (C, H, W) uint8 to (C, h, w) uint8; uses torch's global rng."""
        if self.train is not None:
            return v2.Compose(self.train)
        steps: list[nn.Module] = [v2.Lambda(lambda x: self.in_evaluation(x, size))]
        if self.random_crop:
            filter_ = InterpolationMode(self.interpolation)
            crop = v2.RandomResizedCrop(size, self.random_crop, self.crop_ratio, interpolation=filter_, antialias=True)
            steps = [crop] if self.mode == "crop" else [v2.Lambda(lambda x: self.frame(x, size)), crop]
        if self.shift:
            steps.append(v2.RandomCrop(size, padding=self.shift, padding_mode="reflect"))
        augment = [build_augmentation(self.augment)] if self.augment else []
        return v2.Compose([*steps, v2.RandomHorizontalFlip(self.flip), *augment])

    @property
    def mode(self) -> Resize:
        """Return how images are brought to the size."""
        return self.resize if isinstance(self.resize, str) else "crop"

    @property
    def random_crop(self) -> tuple[float, float] | None:
        """Return the smallest and the largest fraction of the area of a random crop; None: no random crop."""
        if self.crop_scale == "auto":
            return CROP_SCALE if self.mode == "crop" else None
        return self.crop_scale

    @property
    def border(self) -> float:
        """Return the factor by which images are resized beyond the size before the centre crop, in evaluation."""
        if not isinstance(self.size, int) or self.mode != "crop":
            return 1.0
        return (self.resize if isinstance(self.resize, int) else round(self.size * 256 / 224)) / self.size

    @property
    def kept_side(self) -> int:
        """Return the shorter side, in pixels, at which images are kept; 0: at full size.

        Custom transforms and an unset size are for the full image.
        """
        if self.train is not None or self.size is None:
            return 0
        size = AUTO_SIZE if self.size == "auto" else self.size
        return needed_side((size, size), border=self.border)

    @property
    def one_by_one(self) -> bool:
        """Return whether training images are augmented one by one, not as a batch."""
        return self.train is not None or self.augment is not None

    def choose_colours(self, channels: int) -> tuple[Colours, Colours]:
        """Return mean and standard deviation of each channel.

        Raises:
            DataError: a number of values differs from that of the channels, or the augmentation cannot change images of
                so many channels.
        """
        if self.augment is not None and channels not in (1, 3):
            raise DataError(
                f"`transforms.augment` {self.augment} changes colours, and expects images of 1 or 3 channels, received "
                f"{channels}: set it to null"
            )
        chosen = []
        for name, imagenet, other in (("mean", IMAGENET_MEAN, OTHER_MEAN), ("std", IMAGENET_STD, OTHER_STD)):
            values = getattr(self, name) or (imagenet if channels == 3 else (other,) * channels)
            if len(values) != channels:
                raise DataError(
                    f"expected `transforms.{name}` with a value for each of {channels} channels, received "
                    f"{len(values)}: {list(values)}"
                )
            chosen.append(tuple(values))
        return chosen[0], chosen[1]

    def frame(self, x: Tensor, size: Size) -> Tensor:
        """Pad or squish images (..., H, W) to the aspect ratio of the size, as in evaluation, but not to the size."""
        height, width = x.shape[-2:]
        ratio = size[1] / size[0]
        if self.mode == "crop":
            return x
        if self.mode == "squish":
            squished = min(height, round(width / ratio)) or 1, min(width, round(height * ratio)) or 1
            return resize_image(x, squished, interpolation="bicubic")  # as in `reduce`, since it is resized again
        return pad(x, (max(height, round(width / ratio)), max(width, round(height * ratio))), self.background)

    def in_evaluation(self, x: Tensor, size: Size, full_size: Size | None = None) -> Tensor:
        """Bring images (..., H, W) uint8 to the size, as `fit_to_size`."""
        return fit_to_size(
            x,
            size,
            border=self.border,
            resize=self.mode,
            interpolation=self.interpolation,
            background=self.background,
            full_size=full_size,
        )

    def normalise(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Normalise pixels (B, C, h, w) in [0, 255] to float32, in `out` if given."""
        return normalise(x, *self.choose_colours(x.shape[-3]), out)

    def denormalise(self, x: Tensor) -> Tensor:
        """Convert normalised pixels to colours in [0, 1], (B, C, h, w) float32."""
        return denormalise(x, *self.choose_colours(x.shape[-3]))


def build_augmentation(name: Augment) -> nn.Module:
    """Build an augmentation of torchvision, for images (C, H, W) uint8; it uses torch's global rng.

    Sources: RandAugment, Cubuk et al. 2020 (arXiv 1909.13719), section 4; TrivialAugment, Mueller and Hutter 2021
    (arXiv 2103.10158), the wide space of section 3.
    """
    if name == "randaugment":
        return v2.RandAugment()
    return v2.TrivialAugmentWide() if name == "trivialaugment" else v2.ColorJitter(0.4, 0.4, 0.4, 0.1)


def fit_to_size(
    x: Tensor,
    size: Size,
    *,
    border: float,
    resize: Resize = "crop",
    interpolation: Interpolation = "bilinear",
    background: Sequence[int] = WHITE,
    full_size: Size | None = None,
) -> Tensor:
    """Bring images (..., C, H, W) uint8 to a size, (..., C, h, w) uint8.

    Images of that size are returned unchanged if `border` is 1.

    Args:
        x: the images.
        size: height and width of the result, in pixels.
        border: for crop: resize images to cover this many times the size before their centre is cropped.
        resize: crop the centre; pad the whole image, centred; or squish the whole image.
        interpolation: filter of resizing.
        background: red, green and blue of the borders of pad; images of other than 3 channels have its grey value.
        full_size: height and width before the images were reduced, if they were.

    Raises:
        DataError: the image is so narrow that the resized one would have more than `MAX_PIXELS` pixels.
    """
    height, width = full_size or (x.shape[-2], x.shape[-1])
    if resize == "squish":
        return resize_image(x, size, full_size=full_size, interpolation=interpolation)
    if resize == "pad":
        scale = min(size[0] / height, size[1] / width)
        inside = min(max(round(height * scale), 1), size[0]), min(max(round(width * scale), 1), size[1])
        return pad(resize_image(x, inside, full_size=full_size, interpolation=interpolation), size, background)
    scale = max(size[0] / height, size[1] / width) * border
    # The shorter side is rounded to a pixel, the longer one truncated, as in torchvision's Resize.
    scaled = max(int(height * scale + 1e-6), size[0]), max(int(width * scale + 1e-6), size[1])
    # A limit of its own: `max_pixels` may be raised for large photographs, which this makes smaller.
    if scaled[0] * scaled[1] > MAX_PIXELS:
        raise DataError(
            f"an image of {width} x {height} pixels would be scaled to {scaled[1]:,} x {scaled[0]:,}, more "
            f"than the limit of {MAX_PIXELS:,} pixels: leave out the image, as it is too narrow, or set "
            "`transforms.resize` to pad"
        )
    return F.center_crop(resize_image(x, scaled, full_size=full_size, interpolation=interpolation), list(size))


def pad(x: Tensor, size: Size, background: Sequence[int]) -> Tensor:
    """Pad images (..., C, H, W) uint8 to a size, centred, with a colour; its grey value for other than 3 channels."""
    top, left = ((length - own) // 2 for length, own in zip(size, x.shape[-2:], strict=True))
    if size == x.shape[-2:]:
        return x
    red, green, blue = background
    grey = round(0.299 * red + 0.587 * green + 0.114 * blue)  # ITU-R BT.601, as Pillow's
    colour = torch.tensor(background if x.shape[-3] == 3 else (grey,) * x.shape[-3], dtype=x.dtype, device=x.device)
    padded = colour.view(-1, 1, 1).expand(*x.shape[:-2], *size).clone()
    padded[..., top : top + x.shape[-2], left : left + x.shape[-1]] = x
    return padded


def normalise(x: Tensor, mean: Colours, std: Colours, out: Tensor | None = None) -> Tensor:
    """Normalise pixels (B, C, h, w) in [0, 255] to float32 of mean 0 and standard deviation 1, in `out` if given."""
    offset, scale = (torch.tensor(values, device=x.device).view(-1, 1, 1) for values in (mean, std))
    return torch.sub(x.float(), 255 * offset, out=out).div_(255 * scale)


def denormalise(x: Tensor, mean: Colours, std: Colours) -> Tensor:
    """Convert normalised pixels to colours in [0, 1], (B, C, h, w) float32."""
    offset, scale = (torch.tensor(values, device=x.device).view(-1, 1, 1) for values in (mean, std))
    return (x.float() * scale + offset).clamp(0, 1)


def choose_size(size: int | Literal["auto"] | None, sizes: NDArray[np.int64], places: list[str]) -> Size:
    """Return height and width of the net's input, in pixels.

    Args:
        size: as in `ImageTransforms`.
        sizes: height and width of each image, (N, 2).
        places: names of the images, for the message.

    Raises:
        DataError: `size` is None, and two images differ in size.
    """
    if isinstance(size, int):
        return size, size
    others = np.flatnonzero((sizes != sizes[0]).any(1))
    if not len(others) and (size is None or sizes[0].max() <= SMALL):
        return int(sizes[0][0]), int(sizes[0][1])
    if size == "auto":
        side = min(AUTO_SIZE, int(np.median(sizes.min(1))))
        return side, side
    (height, width), (other_height, other_width) = sizes[0].tolist(), sizes[others[0]].tolist()
    raise DataError(
        f"expected images of one size, since no size is set: '{places[0]}' has {width} x {height} pixels, "
        f"'{places[others[0]]}' {other_width} x {other_height}; set `transforms.size`, for example to 224"
    )
