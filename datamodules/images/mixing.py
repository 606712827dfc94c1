"""Training images made of two, with labels in parts."""

from typing import Literal

import torch
import torch.nn.functional as F
from scipy.stats import beta
from torch import Tensor

Mix = Literal["none", "mixup", "cutmix", "both"]
NUM_DRAWS = 4  # that an image needs


def mix_images(
    x: Tensor, labels: Tensor, draws: Tensor, mix: Mix, *, alpha: float, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Each image with the one before it in the batch, and parts of each class (B, num_classes) float32 as labels.

    Sources: mixup, Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equation 1; cutmix, Yun et al. 2019,
    "CutMix", equations 1 to 3. Here each image has a part of its own, where their code has one for the batch.

    Args:
        x: images (B, C, H, W).
        labels: classes (B,) int64.
        draws: random numbers in [0, 1), (B, NUM_DRAWS) float64.
        mix: mixup (both images, one through the other), cutmix (a box of the one in the other), or both: one of them by
            chance for each image.
        alpha: both parameters of the Beta distribution of the part that is kept.
        num_classes: number of classes.
    """
    part = torch.from_numpy(beta.ppf(draws[:, 0].numpy(), alpha, alpha)).float().to(x.device)
    other = x.roll(1, 0)
    cut = torch.full((len(x),), mix == "cutmix") if mix != "both" else draws[:, 1] < 0.5
    cut = cut.to(x.device)
    inside = _boxes(part, draws[:, 2:].to(x.device), *x.shape[2:])
    kept = torch.where(cut, 1 - inside.float().mean((1, 2)), part)  # a box may reach over the edge: count what is there
    mixed = torch.where(inside[:, None], other, x)
    through = part.view(-1, 1, 1, 1)
    x = torch.where(cut.view(-1, 1, 1, 1), mixed, through * x + (1 - through) * other)
    classes = F.one_hot(labels, num_classes).float().to(x.device)
    return x, kept[:, None] * classes + (1 - kept[:, None]) * classes.roll(1, 0)


def _boxes(part: Tensor, centres: Tensor, height: int, width: int) -> Tensor:
    """Which pixels lie in a box that takes `1 - part` of the area around a centre, (B, H, W) bool."""
    side = (1 - part).sqrt() / 2
    rows, columns = (torch.arange(size, device=part.device) for size in (height, width))

    def near(place: Tensor, centre: Tensor, size: int) -> Tensor:
        return (place - (centre * size).float()[:, None]).abs() < (side * size)[:, None]

    return near(rows, centres[:, 0], height)[:, :, None] & near(columns, centres[:, 1], width)[:, None, :]
