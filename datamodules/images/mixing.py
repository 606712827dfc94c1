"""Mixup and cutmix: training images mixed from two, with soft labels."""

import math
from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Mix = Literal["none", "mixup", "cutmix", "both"]
NUM_DRAWS = 4  # random numbers for each image
MOST_NEWTON_STEPS = 50  # 4 to 8 suffice
CONVERGED = 1e-9  # of a step, relative: the error after it is about its square
EPSILON = 2.0**-52


def mix_images(
    x: Tensor, labels: Tensor, draws: Tensor, mix: Mix, *, alpha: float, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Mix each image with the one before it in the batch; return images and soft labels (B, num_classes) float32.

    Sources: mixup, Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equation 1; cutmix, Yun et al. 2019,
    "CutMix", equations 1 to 3. Here the mixing fraction is drawn for each image, in their code once for the batch.

    Args:
        x: images (B, C, H, W).
        labels: class indices (B,) int64; or sets of labels, or numbers, (B, K) float32, which are mixed as they are.
        draws: random numbers in [0, 1), (B, NUM_DRAWS) float64.
        mix: mixup (blend both images), cutmix (paste a box of one into the other), or both: either of them, chosen at
            random for each image.
        alpha: both parameters of the Beta distribution of the fraction of the image to keep.
        num_classes: number of classes.
    """
    fraction = torch.from_numpy(find_beta_quantiles(draws[:, 0].numpy(), alpha)).float().to(x.device)
    other = x.roll(1, 0)
    cut = torch.full((len(x),), mix == "cutmix") if mix != "both" else draws[:, 1] < 0.5
    cut = cut.to(x.device)
    centres = (draws[:, 2:] * torch.tensor(x.shape[2:])).float().to(x.device)  # not every device has float64
    inside = _mark_boxes(fraction, centres, *x.shape[2:])
    # A box may extend beyond the edge, so the kept pixels are counted.
    kept = torch.where(cut, 1 - inside.float().mean((1, 2)), fraction)
    mixed = torch.where(inside[:, None], other, x)
    blend = fraction.view(-1, 1, 1, 1)
    x = torch.where(cut.view(-1, 1, 1, 1), mixed, blend * x + (1 - blend) * other)
    classes = (labels if labels.is_floating_point() else F.one_hot(labels, num_classes).float()).to(x.device)
    return x, kept[:, None] * classes + (1 - kept[:, None]) * classes.roll(1, 0)


def _mark_boxes(fraction: Tensor, centres: Tensor, height: int, width: int) -> Tensor:
    """Return which pixels lie in a box around a centre with `1 - fraction` of the area, (B, H, W) bool."""
    side = (1 - fraction).sqrt() / 2
    rows, columns = (torch.arange(size, device=fraction.device) for size in (height, width))

    def near(place: Tensor, centre: Tensor, size: int) -> Tensor:
        return (place - centre[:, None]).abs() < (side * size)[:, None]

    return near(rows, centres[:, 0], height)[:, :, None] & near(columns, centres[:, 1], width)[:, None, :]


def find_beta_quantiles(p: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Return the quantiles of the Beta distribution whose parameters are both `alpha`, of the shape of `p`.

    By Newton's method, on the half below the median: the other one is its mirror image. Equal to those of SciPy, whose
    113 MB are needed for nothing else here, to 12 digits: identical as float32.

    Args:
        p: probabilities in [0, 1].
        alpha: the parameters, above 0.
    """
    low = np.minimum(p, 1 - p) * alpha * math.exp(2 * math.lgamma(alpha) - math.lgamma(2 * alpha))
    expansion = expand_beta(alpha)
    # Solved for x ** alpha, of which the distribution is almost a linear function where x is small.
    power = np.minimum(low, 0.5**alpha)
    for _ in range(MOST_NEWTON_STEPS):
        x = power ** (1 / alpha)
        step = power * np.polyval(expansion, x) * (1 - x) - low / (1 - x) ** (alpha - 1)
        power = np.clip(power - step, 0, 0.5**alpha)
        if np.all(np.abs(step) <= CONVERGED * power):
            break
    x = power ** (1 / alpha)
    return np.where(p <= 0.5, x, 1 - x)


@cache
def expand_beta(alpha: float) -> NDArray[np.float64]:
    """Return coefficients of x of the incomplete beta function of equal parameters, the highest power first.

    The function is the polynomial by x ** alpha (1 - x) ** alpha / alpha, for x up to 1/2, where all its terms are
    positive. Source: NIST Digital Library of Mathematical Functions, equation 8.17.8.

    Args:
        alpha: the parameters, above 0.
    """
    coefficients = [1.0]
    while coefficients[-1] * 0.5 ** len(coefficients) > EPSILON / 4:
        n = len(coefficients) - 1
        coefficients.append(coefficients[-1] * (2 * alpha + n) / (alpha + 1 + n))
    return np.array(coefficients[::-1])
