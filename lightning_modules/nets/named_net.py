"""A classifier of torchvision or timm, by name."""

import difflib
from importlib.util import find_spec
from typing import Any

from lightfit.errors import MissingPackageError
from lightfit.extras import how_to_install

from .library_net import LibraryNet
from .timm_net import TimmNet, build_timm, is_of_timm, list_timm
from .torchvision_net import TorchvisionNet, build_torchvision, list_torchvision


class NamedNet(LibraryNet):
    """A classifier of torchvision, or else of timm (extra `pretrained`), with a head for other classes, untrained.

    A name that both have, such as resnet18, is torchvision's; TimmNet builds timm's.

    Args:
        name: name of the net, such as resnet18, mobilenet_v3_small, tf_efficientnet_lite0 or convnext_nano.
        num_classes: number of classes.
        image_size: height and width of the images, for the nets that depend on it.
        image_channels: number of channels of the images.
    """

    def __init__(
        self,
        name: str = "tf_efficientnet_lite0",
        *,
        num_classes: int,
        image_size: tuple[int, int] = (224, 224),
        image_channels: int = 3,
    ) -> None:
        own: dict[str, Any] = {"num_classes": num_classes, "image_size": image_size, "image_channels": image_channels}
        if choose_library(name) is TimmNet:
            super().__init__("timm", name, build_timm(name, **own), **own)
        else:
            super().__init__("torchvision", name, build_torchvision(name, **own), **own)

    @classmethod
    def find_preprocessing(cls, name: str, weights: str | None) -> dict[str, Any] | None:
        """Find how images were prepared for the weights of a name, as `LibraryNet.find_preprocessing`."""
        return choose_library(name).find_preprocessing(name, weights)


def choose_library(name: str) -> type[LibraryNet]:
    """Choose the class for a name: torchvision's, or else timm's.

    Raises:
        ValueError: neither has the name; the nearest ones are given.
        MissingPackageError: torchvision does not have it, and timm is not installed.
    """
    known = list_torchvision()
    if name in known:
        return TorchvisionNet
    if find_spec("timm") is None:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        raise MissingPackageError(
            f"torchvision has no classifier '{name}'{f' (the nearest is {near[0]})' if near else ''}, and timm, "
            f"which may have it, is not installed: {how_to_install('pretrained')}"
        )
    if is_of_timm(name):
        return TimmNet
    near = difflib.get_close_matches(name, {*known, *list_timm(name)}, n=3, cutoff=0.4) or known[:3]
    raise ValueError(f"neither torchvision nor timm has a net '{name}'; the nearest names: {', '.join(near)}")
