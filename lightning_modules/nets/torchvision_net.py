"""The classifiers of torchvision, by name."""

import difflib
from types import ModuleType
from typing import Any

import torch
from torch import nn

from lightfit.extras import importing_extra

from .library_net import FILES, LibraryNet

# These have a second head for training that shared_step would have to know of.
TWO_HEADED = ("googlenet", "inception_v3")


class TorchvisionNet(LibraryNet):
    """A classifier of torchvision.models with a head for other classes, untrained.

    Weights are loaded when training begins, not here: `finetune.weights` DEFAULT takes those of ImageNet.
    Source: the papers that torchvision names for each, https://pytorch.org/vision/stable/models.html.

    Args:
        name: name of the net, such as resnet18, mobilenet_v3_small, convnext_tiny or vit_b_16.
        num_classes: number of classes.
        image_size: height and width of the images, for the nets that depend on it (vit_*, maxvit_t).
        image_channels: number of channels of the images.
    """

    def __init__(
        self,
        name: str = "resnet18",
        *,
        num_classes: int,
        image_size: tuple[int, int] = (224, 224),
        image_channels: int = 3,
    ) -> None:
        known = list_torchvision()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
            raise ValueError(f"torchvision.models has no classifier '{name}'; the nearest names: {', '.join(near)}")
        own: dict[str, Any] = {"num_classes": num_classes, "image_size": image_size, "image_channels": image_channels}
        super().__init__("torchvision", name, build_torchvision(name, **own), **own)

    @classmethod
    def find_preprocessing(cls, name: str, weights: str | None) -> dict[str, Any] | None:
        """Find how images were prepared for weights that torchvision publishes, as `LibraryNet.find_preprocessing`."""
        if weights is None or weights.endswith(FILES) or name not in list_torchvision():
            return None
        known = import_models().get_model_weights(name)
        if weights not in known.__members__:
            return None
        chosen = known[weights].transforms()
        (size,), (resized,) = chosen.crop_size, chosen.resize_size
        return {
            "mean": tuple(chosen.mean),
            "std": tuple(chosen.std),
            "size": size,
            "border": resized / size,
            "interpolation": chosen.interpolation.value,
        }


def list_torchvision() -> list[str]:
    """List the names of torchvision's classifiers."""
    models = import_models()
    return models.list_models(module=models)


def import_models() -> ModuleType:
    """Import torchvision.models.

    Raises:
        MissingPackageError: torchvision is not installed.
    """
    with importing_extra("a net of torchvision"):
        import torchvision.models  # here: most nets do without
    return torchvision.models


def build_torchvision(name: str, num_classes: int, image_size: tuple[int, int], image_channels: int = 3) -> nn.Module:
    """Build a classifier of torchvision, untrained.

    Args:
        name: name of the net.
        num_classes: number of classes.
        image_size: height and width of the images.
        image_channels: number of channels of the images.

    Raises:
        ValueError: it takes square images only.
    """
    sizes: dict[str, Any] = {}
    if name.startswith("vit_"):
        if image_size[0] != image_size[1]:
            raise ValueError(f"{name} takes square images only, received {image_size}: set `transforms.size`")
        sizes = {"image_size": image_size[0]}
    elif name.startswith("maxvit"):
        sizes = {"input_size": tuple(image_size)}
    net = import_models().get_model(name, weights=None, num_classes=num_classes, **sizes, **find_quirks(name))
    if image_channels != 3:
        _replace_first(net, image_channels)
    return net


def _replace_first(net: nn.Module, channels: int) -> None:
    """Replace the first convolution, of colours, by one of other channels, whose outputs are of the same size."""
    name, first = next((name, item) for name, item in net.named_modules() if isinstance(item, nn.Conv2d))
    own: Any = {key: getattr(first, key) for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    made = nn.Conv2d(channels, first.out_channels, bias=first.bias is not None, **own)
    with torch.no_grad():
        made.weight.normal_().mul_(first.weight.std() * (first.in_channels / channels) ** 0.5)
        if made.bias is not None and first.bias is not None:
            made.bias.copy_(first.bias)
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, made)


def find_quirks(name: str) -> dict[str, bool]:
    """Find the arguments with which torchvision builds a net without its second head."""
    return {"aux_logits": False, "init_weights": True} if name in TWO_HEADED else {}
