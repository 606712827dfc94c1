"""Test-time augmentation: the mean over an image and its mirror image."""

import torch
from torch import Tensor, nn


class MirroredViews(nn.Module):
    """A net whose output is the mean over an image and its mirror image, in evaluation.

    Source: Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks",
    section 4.1, horizontal reflections; here of outputs before the softmax.

    Args:
        net: the net, of images (B, C, H, W).
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean output for images (B, C, H, W) and their mirror images; in training that of the images."""
        if self.training:
            return self.net(x)
        return self.net(torch.cat([x, x.flip(3)])).unflatten(0, (2, -1)).mean(0)
