"""A small residual net that learns fast from small images."""

import itertools
import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 2  # side of the patches that are whitened
MAX_PATCHES = 2_000_000  # enough for the covariance of 12 values
EPSILON = 5e-4  # added to the variances, so that directions without any are not blown up
BIAS_SCALE = 8  # a bias learns 8 * 8 times as fast as if it were not scaled


class FastResNet(nn.Module):
    """A whitening convolution, then a block for each width: convolution, pooling, and a residual convolution.

    The first layer decorrelates patches of 2 x 2 pixels; its filters are computed from the training images before the
    first step (`adapt`) and stay. Convolutions begin as the identity as far as they can, norms learn a bias alone and
    learn it fast, activations are GELU, and the logits come from the largest value of every channel.
    Source: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498): sections 3.1 to 3.4 for
    these ideas, whose contributions are in table 3.

    Args:
        num_classes: number of classes.
        image_channels: number of channels C of the images.
        image_size: height and width of the images; each block halves them, the first ones only where there is room.
        widths: number of channels of each block.
        views: how many views of an image give the mean of their logits in evaluation (section 3.5): 1, the image; 2, it
            and its mirror image; 6, these also a pixel up and to the left, and a pixel down and to the right.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_channels: int = 3,
        image_size: tuple[int, int] = (32, 32),
        widths: Sequence[int] = (64, 128, 256),
        views: int = 1,
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise ValueError(f"expected widths of at least one block, each at least 1, received {list(widths)}")
        if min(image_size) < PATCH:
            raise ValueError(f"expected images of at least {PATCH} x {PATCH} pixels, received {tuple(image_size)}")
        if views not in (1, 2, 6):
            raise ValueError(f"expected 1, 2 or 6 views, received {views}")
        self.views = views
        self.whitening = Whitening(image_channels)
        channels = [self.whitening.out_channels, *widths]
        num_whole = max(len(widths) - int(math.log2(min(image_size) - 1)), 0)  # blocks without pooling
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(before, after, pool=index >= num_whole)
                for index, (before, after) in enumerate(itertools.pairwise(channels))
            )
        )
        self.head = nn.Linear(channels[-1], num_classes, bias=False)
        self.to(memory_format=torch.channels_last)  # convolutions on a CPU are half as fast again

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) float32, of the image size or larger, to logits (B, num_classes)."""
        if self.views == 1 or self.training:
            return self._logits(x)
        return self._logits(self._several(x)).unflatten(0, (self.views, -1)).mean(0)

    def _several(self, x: Tensor) -> Tensor:
        """Build the TTA views, (views * B, C, H, W), the unchanged images first."""
        x = torch.cat([x, x.flip(3)])
        if self.views == 2:
            return x
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return torch.cat([x, padded[:, :, 2:, 2:], padded[:, :, :-2, :-2]])

    def _logits(self, x: Tensor) -> Tensor:
        x = F.gelu(self.whitening(x.contiguous(memory_format=torch.channels_last)))
        x = self.blocks(x)  # (B, widths[-1], H', W')
        return self.head(x.amax((2, 3))) / 9  # the paper's scale, with which its rates go

    def adapt(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Compute the whitening filters from the training images."""
        self.whitening.adapt(x for x, _ in batches)


class Whitening(nn.Conv2d):
    """A convolution of 2 x 2 whose outputs are uncorrelated, each with its negative beside it.

    It does not learn, so that no gradient has to reach the layer with the largest maps.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__(in_channels, 2 * in_channels * PATCH**2, PATCH, bias=False)
        self._set_filters(torch.eye(in_channels * PATCH**2))
        self.weight.requires_grad_(False)

    def adapt(self, images: Iterable[Tensor]) -> None:
        """Set the filters to the eigenvectors of the patches' covariance, each scaled to variance 1."""
        covariance, num_patches = torch.zeros(1, dtype=torch.float64), 0
        for x in images:
            patches = F.unfold(x.float(), PATCH).transpose(1, 2).flatten(0, 1)  # (B * (H - 1) * (W - 1), 4 * C)
            covariance = covariance + (patches.T @ patches).cpu().double()  # there, as not every device has float64
            num_patches += len(patches)
            if num_patches > MAX_PATCHES:
                break
        variances, vectors = torch.linalg.eigh(covariance / num_patches)
        self._set_filters((vectors / (variances + EPSILON).sqrt()).T.flip(0))

    def _set_filters(self, rows: Tensor) -> None:
        filters = rows.reshape(-1, self.in_channels, PATCH, PATCH)
        with torch.no_grad():
            self.weight.copy_(torch.cat([filters, -filters]))


class ResidualBlock(nn.Module):
    """Convolution, perhaps pooling by 2, norm, GELU; then convolution, norm, GELU, added to what went in."""

    def __init__(self, in_channels: int, out_channels: int, *, pool: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.norm1 = BiasNorm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = BiasNorm(out_channels)
        for conv in (self.conv1, self.conv2):
            nn.init.dirac_(conv.weight[: conv.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H // 2, W // 2), or of the same size without pooling."""
        x = F.gelu(self.norm1(self.pool(self.conv1(x))))
        return x + F.gelu(self.norm2(self.conv2(x)))


class BiasNorm(nn.BatchNorm2d):
    """Batch norm with a bias and no scale; its running statistics follow fast, as training is short."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, momentum=0.4, affine=False)
        self.shift = nn.Parameter(torch.zeros(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, num_features, H, W); the shape stays."""
        if self.training and x.numel() == self.num_features:  # one value a channel, which has no variance
            x = F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        else:
            x = super().forward(x)
        return x + BIAS_SCALE * self.shift[:, None, None]
