"""The cookbook's convolutional net for small images, built in the cookbook's three ways."""

from torch import Tensor, nn

MIN_SIZE = 14  # leaves one pixel after convolutions and pooling


class ImageCNN(nn.Module):
    """Two convolutions with pooling, the largest value of every channel, and two linear layers.

    Convolution 3 -> 32 of 3 x 3 and 32 -> 64 of 5 x 5, each pooled by 2, Dropout2d 0.1, adaptive max pooling, linear
    64 -> 32 -> 1: 54,273 parameters for two classes. Here a Module of containers; `sequential_cnn` and `LayeredCNN` are
    the same net in the other two ways.
    Source: lyhue1991/eat_pytorch_in_20_days, chapter 1-2.

    Args:
        num_classes: number of classes; two classes share one logit.
        num_outputs: number of labels or numbers, where these are predicted; None: classes.
        image_channels: number of channels C of the images.
    """

    def __init__(self, *, num_classes: int = 2, num_outputs: int | None = None, image_channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(image_channels, 32, kernel_size=3),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, kernel_size=5),
            nn.MaxPool2d(2),
            nn.Dropout2d(0.1),
            nn.AdaptiveMaxPool2d(1),
        )
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Linear(32, num_outputs or (num_classes if num_classes > 2 else 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes), or (B, 1) for two classes.

        Raises:
            ValueError: the images are too small for two convolutions with pooling.
        """
        if min(x.shape[2:]) < MIN_SIZE:
            raise ValueError(
                f"this net takes images of at least {MIN_SIZE} x {MIN_SIZE}, received {tuple(x.shape)}: set "
                "`transforms.size`, or take lightfit.nets.FastResNet"
            )
        return self.dense(self.conv(x))


def sequential_cnn(*, num_classes: int = 2, num_outputs: int | None = None, image_channels: int = 3) -> nn.Sequential:
    """Build `ImageCNN` as one Sequential: shortest, for a net that is a plain chain."""
    return nn.Sequential(
        nn.Conv2d(image_channels, 32, kernel_size=3),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=5),
        nn.MaxPool2d(2),
        nn.Dropout2d(0.1),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, num_outputs or (num_classes if num_classes > 2 else 1)),
    )


class LayeredCNN(nn.Module):
    """`ImageCNN` as a Module with a named layer for each step: for a net whose forward is more than a chain.

    Args:
        num_classes: number of classes; two classes share one logit.
        num_outputs: number of labels or numbers, where these are predicted; None: classes.
        image_channels: number of channels C of the images.
    """

    def __init__(self, *, num_classes: int = 2, num_outputs: int | None = None, image_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(image_channels, 32, kernel_size=3)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout2d(0.1)
        self.adaptive_pool = nn.AdaptiveMaxPool2d(1)
        self.linear1 = nn.Linear(64, 32)
        self.relu = nn.ReLU()
        self.linear2 = nn.Linear(32, num_outputs or (num_classes if num_classes > 2 else 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) of at least 14 x 14 to logits (B, num_classes), or (B, 1) for two classes."""
        x = self.pool(self.conv1(x))  # (B, 32, H1, W1)
        x = self.pool(self.conv2(x))  # (B, 64, H2, W2)
        x = self.adaptive_pool(self.dropout(x)).flatten(1)  # (B, 64)
        return self.linear2(self.relu(self.linear1(x)))
