"""The classifiers of torchvision, by name."""

import difflib
from typing import Any

from torch import Tensor, nn

# These have a second head for training that shared_step would have to know of.
TWO_HEADED = ("googlenet", "inception_v3")


class TorchvisionNet(nn.Module):
    """A classifier of torchvision.models with a head for other classes, untrained.

    Weights are loaded when training begins, not here: `finetune.weights` DEFAULT takes those of ImageNet.
    Source: the papers that torchvision names for each, https://pytorch.org/vision/stable/models.html.

    Args:
        name: name of the net, such as resnet18, mobilenet_v3_small, convnext_tiny or vit_b_16.
        num_classes: number of classes.
        image_size: height and width of the images, for the nets that depend on it (vit_*, maxvit_t).
    """

    def __init__(self, name: str = "resnet18", *, num_classes: int, image_size: tuple[int, int] = (224, 224)) -> None:
        import torchvision.models  # here: most nets do without

        super().__init__()
        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
            raise ValueError(f"torchvision.models has no classifier '{name}'; the nearest names: {', '.join(near)}")
        self.name = name
        sizes: dict[str, Any] = {}
        if name.startswith("vit_"):
            if image_size[0] != image_size[1]:
                raise ValueError(f"{name} takes square images only, received {image_size}: set `transforms.size`")
            sizes = {"image_size": image_size[0]}
        elif name.startswith("maxvit"):
            sizes = {"input_size": tuple(image_size)}
        self.model: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=num_classes, **sizes, **find_quirks(name)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) float32 to logits (B, num_classes)."""
        return self.model(x)


def find_quirks(name: str) -> dict[str, bool]:
    """Find the arguments with which torchvision builds a net without its second head."""
    return {"aux_logits": False, "init_weights": True} if name in TWO_HEADED else {}
