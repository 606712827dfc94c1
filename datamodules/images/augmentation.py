"""Random crops, shifts and flips of a whole batch, with separate parameters for each image."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .reducing import Interpolation

TRIES = 10  # as in torchvision's RandomResizedCrop
Bits = NDArray[np.uint64]


def draw_uniform(seed: int, epoch: int, index: Tensor, count: int) -> Tensor:
    """Return uniform random numbers that depend on (seed, epoch, sample) alone, (B, count) float64 in [0, 1).

    Each applies the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number
    Generators", figure 16) to a separate counter, so that the numbers of a sample do not depend on its batch.

    Args:
        seed: seed, any integer.
        epoch: index of the epoch.
        index: indices of the samples, (B,) int64.
        count: number of random numbers for each sample.
    """
    epoch_key = _mix(_mix(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch))
    keys = _mix(epoch_key + index.numpy().astype(np.uint64))[:, None]
    bits = _mix(keys + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return torch.from_numpy((bits >> np.uint64(11)).astype(np.float64) / 2**53)


def _mix(z: Bits) -> Bits:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draw_flips(seed: int, epoch: int, index: Tensor, probability: float) -> Tensor:
    """Return whether to flip each image, (B,) bool.

    Each image is flipped in exactly a fraction `probability` of the epochs, to the nearest epoch; for 0.5, in every
    other epoch. Source: Jordan 2024 (arXiv 2404.00498), section 3.6, alternating flip, here for any probability.
    """
    phase = draw_uniform(seed, 0, index, 1)[:, 0]
    return (phase + epoch * probability) % 1 < probability


def draw_boxes(
    draws: Tensor, height: int, width: int, *, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Return random crops with the distribution of torchvision's RandomResizedCrop.

    Args:
        draws: random numbers in [0, 1), (B, 2 * TRIES + 2).
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        scale: smallest and largest fraction of the area.
        ratio: smallest and largest width per height.

    Returns:
        Top, left, height and width of each crop, (B, 4) float64, in pixels.
    """
    area = height * width * (scale[0] + draws[:, :TRIES] * (scale[1] - scale[0]))
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    proportion = (log_low + draws[:, TRIES : 2 * TRIES] * (log_high - log_low)).exp()
    w, h = (area * proportion).sqrt().round(), (area / proportion).sqrt().round()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.float().argmax(1, keepdim=True)
    # If no try fits: the largest central box whose aspect ratio is within the limits.
    whole_h = min(height, round(width / ratio[0])) if width / height < ratio[0] else height
    whole_w = min(width, round(height * ratio[1])) if width / height > ratio[1] else width
    any_fits = fits.any(1)
    h = torch.where(any_fits, h.gather(1, first)[:, 0], float(whole_h))
    w = torch.where(any_fits, w.gather(1, first)[:, 0], float(whole_w))
    place = torch.where(any_fits[:, None], draws[:, 2 * TRIES :], 0.5)
    top = (place[:, 0] * (height - h + any_fits)).floor()
    left = (place[:, 1] * (width - w + any_fits)).floor()
    return torch.stack([top, left, h, w], 1)


def resample(
    x: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    *,
    flips: Tensor,
    shifts: Tensor,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Crop a box from each image, resize it, then flip and shift it; return (B, C, h, w) float32.

    With antialiasing, as torchvision's resized_crop. Resizing, flip and shift are linear in the rows and in the
    columns, so that each image takes two small matrix products. A shift pads by reflection.

    Args:
        x: images, (B, C, H, W), on any device.
        boxes: top, left, height and width, in pixels, (B, 4).
        size: height and width of the result, in pixels.
        flips: which images to flip left to right, (B,) bool.
        shifts: rows and columns to shift by, (B, 2) int64, within the size.
        interpolation: filter; bicubic, which overshoots at edges, is limited to [0, 255].
    """
    boxes, flips, shifts = boxes.to(x.device, torch.float32), flips.to(x.device), shifts.to(x.device)
    rows = _mirror(shifts[:, :1], size[0])
    columns = _mirror(shifts[:, 1:], size[1])
    columns = torch.where(flips[:, None], size[1] - 1 - columns, columns)
    vertical = _compute_weights(boxes[:, 0], boxes[:, 2], x.shape[2], rows, interpolation)
    horizontal = _compute_weights(boxes[:, 1], boxes[:, 3], x.shape[3], columns, interpolation)
    # One matrix for all channels of an image: side by side for the rows, then stacked for the columns.
    batch, channels, height, width = x.shape
    beside = torch.empty(batch, height, channels, width, device=x.device).copy_(x.transpose(1, 2))
    mixed = vertical @ beside.flatten(2)  # (B, h, C * W)
    mixed = mixed.view(batch, -1, width) @ horizontal.mT  # (B, h * C, w)
    if interpolation == "bicubic":
        mixed = mixed.clamp_(0, 255)
    return mixed.view(batch, size[0], channels, size[1]).transpose(1, 2)


def hide_squares(x: Tensor, draws: Tensor, *, side: int) -> Tensor:
    """Set a random square of each image to 0, the mean of normalised pixels; return (B, C, H, W).

    Source: DeVries and Taylor 2017, "Cutout" (arXiv 1708.04552), section 3.2; here the square lies within the image.

    Args:
        x: normalised images, (B, C, H, W).
        draws: random numbers in [0, 1), (B, 2).
        side: side of the square, in pixels; at most the image's.
    """
    inside = []
    for axis in (0, 1):
        length = x.shape[2 + axis]
        start = (draws[:, axis : axis + 1] * (max(length - side, 0) + 1)).long()
        position = torch.arange(length)
        inside.append(((position >= start) & (position < start + side)).to(x.device))
    return x.masked_fill(inside[0][:, None, :, None] & inside[1][:, None, None, :], 0)


def _mirror(shift: Tensor, size: int) -> Tensor:
    """Return the input position of each output position after a shift with reflection, (B, size) int64."""
    position = (torch.arange(size, device=shift.device) + shift).abs()
    return torch.where(position < size, position, 2 * (size - 1) - position)


def _compute_weights(
    start: Tensor, length: Tensor, full: int, positions: Tensor, interpolation: Interpolation
) -> Tensor:
    """Compute the weight of each of `full` input pixels in each output pixel, (B, size, full).

    The filter is scaled to an output pixel; `positions` (B, size) orders the output pixels.
    """
    step = (length / positions.shape[1])[:, None, None]
    end = (start + length)[:, None, None]
    centre = start[:, None, None] + (positions[:, :, None] + 0.5) * step
    pixel = torch.arange(full, device=start.device) + 0.5
    distance = (pixel - centre).abs_().div_(step.clamp(min=1))
    weight = distance.neg_().add_(1).clamp_(min=0) if interpolation == "bilinear" else _weigh_cubic(distance)
    weight *= (pixel > start[:, None, None]) & (pixel < end)
    return weight.div_(weight.sum(-1, keepdim=True))


def _weigh_cubic(distance: Tensor) -> Tensor:
    """Compute the cubic filter of Keys 1981, equation 4 with a = -1/2, as torchvision's resizing with antialiasing."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
