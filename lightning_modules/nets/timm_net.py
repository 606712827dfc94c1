"""The classifiers of timm, by name."""

import difflib
from types import ModuleType
from typing import Any

from torch import nn

from lightfit.extras import importing_extra

from .library_net import LibraryNet


class TimmNet(LibraryNet):
    """A classifier of timm with a head for other classes, untrained; needs the extra `pretrained`.

    Weights are loaded when training begins, not here: `finetune.weights` DEFAULT takes those that timm publishes.
    Source: the papers that timm names for each, https://huggingface.co/timm.

    Args:
        name: name of the net, such as convnext_nano, or with weights of several, convnext_nano.in12k_ft_in1k.
        num_classes: number of classes.
        image_size: height and width of the images, for the nets that depend on it (vit_*, swin_*, ...).
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
        if not is_of_timm(name):
            known = list_timm(name)
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
            raise ValueError(f"timm has no net '{name}'; the nearest names: {', '.join(near)}")
        own: dict[str, Any] = {"num_classes": num_classes, "image_size": image_size, "image_channels": image_channels}
        super().__init__("timm", name, build_timm(name, **own), **own)

    @classmethod
    def find_preprocessing(cls, name: str, weights: str | None) -> dict[str, Any] | None:
        """Find how images were prepared for the weights of a name, as `LibraryNet.find_preprocessing`."""
        if weights is None or not is_of_timm(name):
            return None
        config = import_timm().get_pretrained_cfg(name)
        if config is None:
            return None
        height, width = config.input_size[1:]
        found = {"mean": tuple(config.mean), "std": tuple(config.std), "border": 1 / config.crop_pct}
        found["interpolation"] = config.interpolation if config.interpolation in ("bilinear", "bicubic") else "bicubic"
        return found | ({"size": height} if height == width else {})


def import_timm() -> ModuleType:
    """Import timm.

    Raises:
        MissingPackageError: it is not installed.
    """
    with importing_extra("a net of timm"):
        import timm  # here, as it takes seconds and is an extra
    return timm


def is_of_timm(name: str) -> bool:
    """Return whether timm has a net of this name, and weights of the name behind a dot, if there is one."""
    timm = import_timm()
    base, dot, _ = name.partition(".")
    # A name of a registry alone: others, such as hf-hub:..., would be looked for in the network.
    return base in timm.list_models() and (not dot or name in timm.list_models(f"{base}.*", pretrained=True))


def list_timm(name: str) -> list[str]:
    """List the names of timm's nets that may be meant by a name: with weights if there is a dot in it."""
    timm = import_timm()
    base, dot, _ = name.partition(".")
    if dot and base in timm.list_models():
        return timm.list_models(f"{base}.*", pretrained=True) or [base]
    return timm.list_models(pretrained=True) if dot else timm.list_models()


def build_timm(
    name: str,
    num_classes: int,
    image_size: tuple[int, int],
    image_channels: int,
    *,
    pretrained: bool = False,
    file: str | None = None,
) -> nn.Module:
    """Build a classifier of timm.

    Args:
        name: name of the net.
        num_classes: number of classes.
        image_size: height and width of the images.
        image_channels: number of channels of the images.
        pretrained: whether to load the weights that timm publishes.
        file: a file of these weights, where they need not be downloaded.
    """
    timm = import_timm()
    config = timm.get_pretrained_cfg(name)
    sizes: dict[str, Any] = {}
    if config is not None and config.fixed_input_size and tuple(config.input_size[1:]) != tuple(image_size):
        sizes = {"img_size": tuple(image_size)}
    return timm.create_model(
        name,
        pretrained=pretrained,
        pretrained_cfg_overlay={"file": file} if file else None,
        num_classes=num_classes,
        in_chans=image_channels,
        **sizes,
    )
