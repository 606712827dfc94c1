"""Nets of other libraries by name, and what their published weights expect of images."""

from typing import Any

from torch import Tensor, nn

FILES = (".ckpt", ".pt", ".pth", ".safetensors", ".bin")  # endings of files of weights


class LibraryNet(nn.Module):
    """A classifier of another library, untrained, with a head for other classes; a base class.

    Args:
        library: name of the library.
        name: name of the net there.
        model: the net.
        arguments: those that it was built with: number of classes, size and channels of the images.
    """

    def __init__(self, library: str, name: str, model: nn.Module, **arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments
        self.library = library
        self.name = name
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) float32 to logits (B, num_classes)."""
        return self.model(x)

    @classmethod
    def find_preprocessing(cls, name: str, weights: str | None) -> dict[str, Any] | None:
        """Find how images were prepared for pretrained weights of a net.

        Args:
            name: name of the net.
            weights: as in `FineTuning`.

        Returns:
            `mean` and `std` of the colours in [0, 1], `size` (side of the square input), `border` (factor by which an
            image is resized beyond it before its centre is cropped) and `interpolation` (bilinear or bicubic); None
            where nothing is known.
        """
        raise NotImplementedError(f"{cls.__name__} must define find_preprocessing(name, weights)")
