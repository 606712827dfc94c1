"""Size, augmentation and normalisation of images."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from lightfit.errors import DataError

from .mixing import Mix
from .pixel_format import MAX_PIXELS
from .store import SMALL

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
AUTO_SIZE = 96  # size of photographs for "auto": a compromise for training from scratch without a GPU
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ImageTransforms:
    """Size, augmentation and normalisation of images; by default the cookbook's, which are those of ImageNet.

    Args:
        size: side of the square input of the net, in pixels; auto: unchanged for images of one small size, else 96 or
            the median of the shorter sides, whichever is less; null: unchanged, for images of one size.
        resize: length of the shorter side before the centre is cropped, in val, test and prediction, in pixels; null:
            256 / 224 of the size.
        crop_scale: smallest and largest fraction of the area of a random crop in training; null: no random crop.
        crop_ratio: smallest and largest width per height of a random crop.
        shift: largest random shift in training, in pixels of the net's input.
        cutout: side of a random square that is erased in training, in pixels of the net's input.
        flip: probability of a horizontal flip in training.
        mean: mean of red, green and blue, in [0, 1], to subtract.
        std: standard deviation of red, green and blue, to divide by.
        mix: mixing of two training images, with soft labels: none, mixup (blend both), cutmix (paste a box of one into
            the other), or both (either of them, at random).
        mix_alpha: parameter of the Beta distribution of the fraction to keep: the larger, the closer to one half.
        train: custom transforms in place of crop, shift and flip, such as those of torchvision.transforms.v2: each
            maps (3, H, W) uint8, the last one to (3, size, size).
    """

    size: int | Literal["auto"] | None = 224
    resize: int | None = None
    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    shift: int = 0
    cutout: int = 0
    flip: float = 0.5
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    mix: Mix = "none"
    mix_alpha: float = 1.0
    train: list[nn.Module] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.size, int) and self.size < 1:
            raise ValueError(f"expected `transforms.size` of at least 1, or null, received {self.size}")
        if self.resize is not None and (not isinstance(self.size, int) or self.resize < self.size):
            raise ValueError(f"expected `transforms.resize` of at least the size, {self.size}, received {self.resize}")
        low, high = self.crop_scale or (1.0, 1.0)
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
        if min(self.std) <= 0:
            raise ValueError(f"expected `transforms.std` above 0, received {self.std}")

    def in_training(self, size: Size) -> v2.Transform:
        """Return the training transform of one image, (3, H, W) uint8 to (3, h, w) uint8; uses torch's global rng."""
        if self.train is not None:
            return v2.Compose(self.train)
        steps: list[nn.Module] = [v2.Lambda(lambda x: self.in_evaluation(x, size))]
        if self.crop_scale:
            steps = [v2.RandomResizedCrop(size, scale=self.crop_scale, ratio=self.crop_ratio, antialias=True)]
        if self.shift:
            steps.append(v2.RandomCrop(size, padding=self.shift, padding_mode="reflect"))
        return v2.Compose([*steps, v2.RandomHorizontalFlip(self.flip)])

    @property
    def border(self) -> float:
        """Return the factor by which images are resized beyond the size before the centre crop, in evaluation."""
        return (self.resize or round(self.size * 256 / 224)) / self.size if isinstance(self.size, int) else 1.0

    def needed_side(self, size: Size) -> int:
        """Return the shorter side, in pixels, that an image needs for training: twice that of the smallest crop.

        0, for the full image, with custom transforms.
        """
        if self.train is not None:
            return 0
        smallest = (self.crop_scale[0] * self.crop_ratio[0]) ** 0.5 if self.crop_scale else 1 / self.border
        return math.ceil(2 * max(size) / smallest)

    def in_evaluation(self, x: Tensor, size: Size) -> Tensor:
        """Resize images (..., H, W) uint8 and crop their centre, as `resize_and_crop`."""
        return resize_and_crop(x, size, border=self.border)

    def normalise(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Normalise pixels (B, 3, h, w) in [0, 255] to float32, in `out` if given."""
        return normalise(x, self.mean, self.std, out)

    def denormalise(self, x: Tensor) -> Tensor:
        """Convert normalised pixels to colours in [0, 1], (B, 3, h, w) float32."""
        return denormalise(x, self.mean, self.std)


def resize_and_crop(x: Tensor, size: Size, *, border: float) -> Tensor:
    """Resize images (..., H, W) uint8 to cover `border` times the size, and crop their centre, (..., h, w) uint8.

    Images of that size are returned unchanged if `border` is 1.

    Raises:
        DataError: the image is so narrow that the resized one would have more than `MAX_PIXELS` pixels.
    """
    height, width = x.shape[-2:]
    scale = max(size[0] / height, size[1] / width) * border
    # The shorter side is rounded to a pixel, the longer one truncated, as in torchvision's Resize.
    scaled = [max(int(height * scale + 1e-6), size[0]), max(int(width * scale + 1e-6), size[1])]
    if scaled[0] * scaled[1] > MAX_PIXELS:
        raise DataError(
            f"an image of {width} x {height} pixels would be scaled to {scaled[1]:,} x {scaled[0]:,}, more "
            f"than the limit of {MAX_PIXELS:,} pixels: leave out the image, as it is too narrow, or reduce "
            "`transforms.resize`"
        )
    if scaled != [height, width]:
        x = F.resize(x, scaled, antialias=True)
    return F.center_crop(x, list(size))


Colours = tuple[float, float, float]


def normalise(x: Tensor, mean: Colours, std: Colours, out: Tensor | None = None) -> Tensor:
    """Normalise pixels (B, 3, h, w) in [0, 255] to float32 of mean 0 and standard deviation 1, in `out` if given."""
    offset, scale = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (mean, std))
    return torch.sub(x.float(), 255 * offset, out=out).div_(255 * scale)


def denormalise(x: Tensor, mean: Colours, std: Colours) -> Tensor:
    """Convert normalised pixels to colours in [0, 1], (B, 3, h, w) float32."""
    offset, scale = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (mean, std))
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
