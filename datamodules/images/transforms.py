"""What happens to an image between its file and the net."""

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

from .decoding import MAX_PIXELS
from .mixing import Mix
from .store import SMALL

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
AUTO_SIZE = 96  # what "auto" takes for photographs: a compromise for training from scratch without a GPU
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ImageTransforms:
    """Sizes, augmentation and normalisation; by default the cookbook's, which are those of ImageNet.

    Args:
        size: side of the square that the net gets, in pixels; auto: images of one small size as they are, others 96 or
            the middle one of their shorter sides, where that is less; null: as they are, all of one size.
        resize: length of the shorter side before the centre is cut out, in val, test and prediction; null: 256 / 224 of
            the size.
        crop_scale: smallest and largest part of the area that a random crop takes in training; null: no such crop.
        crop_ratio: smallest and largest width per height of such a crop.
        shift: the most that an image is shifted in training, in pixels of what the net gets.
        cutout: side of a square that is hidden in training, in pixels of what the net gets.
        flip: probability that an image is flipped left to right in training.
        mean: what is subtracted from red, green and blue, which are in [0, 1].
        std: what they are then divided by.
        mix: what is made of two training images: none, mixup (one through the other), cutmix (a box of the one in the
            other), or both, by chance; labels then are parts of each class.
        mix_alpha: parameter of the Beta distribution of the part that is kept: the larger, the nearer to a half.
        train: transforms of torchvision.transforms.v2, or others, in place of crop, shift and flip: they get
            (3, H, W) uint8 and return (3, size, size).
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
            raise ValueError(f"expected transforms.size of at least 1, or null, received {self.size}")
        if self.resize is not None and (not isinstance(self.size, int) or self.resize < self.size):
            raise ValueError(f"expected transforms.resize of at least the size, {self.size}, received {self.resize}")
        low, high = self.crop_scale or (1.0, 1.0)
        if not 0 < low <= high <= 1:
            raise ValueError(f"expected transforms.crop_scale as 0 < low <= high <= 1, received {self.crop_scale}")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"expected transforms.crop_ratio as 0 < low <= high, received {self.crop_ratio}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"expected transforms.flip in [0, 1], received {self.flip}")
        if min(self.shift, self.cutout) < 0:
            raise ValueError(
                f"expected transforms.shift and cutout of at least 0, received {self.shift} and {self.cutout}"
            )
        if self.mix_alpha <= 0:
            raise ValueError(f"expected transforms.mix_alpha above 0, received {self.mix_alpha}")
        if min(self.std) <= 0:
            raise ValueError(f"expected transforms.std above 0, received {self.std}")

    def in_training(self, size: Size) -> v2.Transform:
        """One image (3, H, W) uint8 to (3, h, w) uint8, at random; draws from torch's global generator."""
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
        """How many times larger than the size an image is before its centre is cut out, in evaluation."""
        return (self.resize or round(self.size * 256 / 224)) / self.size if isinstance(self.size, int) else 1.0

    def needed_side(self, size: Size) -> int:
        """The least shorter side that an image must have for training: twice what the smallest crop is scaled to.

        0, the whole image, where transforms of one's own are in place.
        """
        if self.train is not None:
            return 0
        smallest = (self.crop_scale[0] * self.crop_ratio[0]) ** 0.5 if self.crop_scale else 1 / self.border
        return math.ceil(2 * max(size) / smallest)

    def in_evaluation(self, x: Tensor, size: Size) -> Tensor:
        """Return images (..., H, W) uint8 resized and their centre cropped, as `resize_and_crop`."""
        return resize_and_crop(x, size, border=self.border)

    def normalise(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return pixels (B, 3, h, w) in [0, 255] normalised, float32; in `out` if that is given."""
        return normalise(x, self.mean, self.std, out)

    def denormalise(self, x: Tensor) -> Tensor:
        """Return normalised pixels as colours in [0, 1], (B, 3, h, w) float32."""
        return denormalise(x, self.mean, self.std)


def resize_and_crop(x: Tensor, size: Size, *, border: float) -> Tensor:
    """Return images (..., H, W) uint8 resized to cover `border` times the size, and their centre, (..., h, w) uint8.

    Unchanged where they have the size already and `border` is 1.

    Raises:
        DataError: the image is so narrow that it would have too many pixels.
    """
    height, width = x.shape[-2:]
    scale = max(size[0] / height, size[1] / width) * border
    # The shorter side to the nearest pixel and the longer one cut, as torchvision's Resize does.
    scaled = [max(int(height * scale + 1e-6), size[0]), max(int(width * scale + 1e-6), size[1])]
    if scaled[0] * scaled[1] > MAX_PIXELS:
        raise DataError(
            f"an image of {width} x {height} pixels would be scaled to {scaled[1]:,} x {scaled[0]:,}, more "
            f"than the {MAX_PIXELS:,} pixels that are worked on: too narrow, or too large a resize"
        )
    if scaled != [height, width]:
        x = F.resize(x, scaled, antialias=True)
    return F.center_crop(x, list(size))


Colours = tuple[float, float, float]


def normalise(x: Tensor, mean: Colours, std: Colours, out: Tensor | None = None) -> Tensor:
    """Return pixels (B, 3, h, w) in [0, 255] as float32 of mean 0 and deviation 1, in `out` if that is given."""
    offset, scale = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (mean, std))
    return torch.sub(x.float(), 255 * offset, out=out).div_(255 * scale)


def denormalise(x: Tensor, mean: Colours, std: Colours) -> Tensor:
    """Return normalised pixels as colours in [0, 1], (B, 3, h, w) float32."""
    offset, scale = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (mean, std))
    return (x.float() * scale + offset).clamp(0, 1)


def choose_size(size: int | Literal["auto"] | None, sizes: NDArray[np.int64], places: list[str]) -> Size:
    """Height and width of what the net gets.

    Args:
        size: as in `ImageTransforms`.
        sizes: height and width of every image, (N, 2).
        places: their names, for the message.

    Raises:
        DataError: images are to stay as they are, and two differ in size.
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
        f"images of different sizes, and no size is set: '{places[0]}' has {width} x {height} pixels, "
        f"'{places[others[0]]}' {other_width} x {other_height}; choose one by `transforms.size`, such as 224"
    )
