"""Nets of torchvision and timm, untrained, with all pictures of the task finetune."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from lightfit.callbacks.pictures.grad_cam import grad_cam
from lightfit.callbacks.pictures.layers import find_blocks
from lightfit.lightning_modules.nets import TimmNet, TorchvisionNet

TORCHVISION = (
    *("resnet18", "mobilenet_v3_small", "efficientnet_b0", "squeezenet1_1", "densenet121"),
    *("shufflenet_v2_x0_5", "regnet_y_400mf", "mnasnet0_5", "vit_b_32", "swin_t"),
)
TIMM = (
    *("tf_efficientnet_lite0", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto"),
    "mobilenetv3_small_050",
)
PICTURES = {"preview_train", "preview_val", "feature_maps", "confusion_matrix"}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("timm") is None, reason="the preset's net is one of timm")
@pytest.mark.parametrize("name", [*TORCHVISION, *TIMM])
def test_any_net_is_trained_with_all_pictures(
    name: str, fit: Callable[..., tuple[int, str, str]], images: Path
) -> None:
    line = ("--task", "finetune", "--data.root", "images", "--data.num_workers", 0, "--data.transforms.size", 64)
    code, out, err = fit(*line, "--model.net.name", name, "--model.finetune.weights", "null", "--trainer.max_epochs", 1)
    assert (code, err) == (0, "")
    assert "draws nothing" not in out
    made = {path.parent.name for path in Path("runs").rglob("*.png")}
    assert made >= PICTURES
    assert "grad_cam" in made or "val_accuracy 1.0000" in out, "drawn of what is wrong"


class Residual(nn.Sequential):
    """A block whose last norm begins as zero, as in many nets of timm."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        nn.init.zeros_(self[1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Residual()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x).relu()


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
        nn.Sequential(nn.Conv2d(8, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ],
)
def test_a_map_where_the_last_convolution_has_none(head: nn.Module) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Sequential(Block(), Block()), *head)
    if isinstance(head[0], nn.Conv2d):
        nn.init.constant_(head[0].bias, -9.0)  # a class whose own map is nowhere above 0
    maps = grad_cam(net, torch.randn(4, 3, 12, 12), torch.tensor([0, 1, 2, 0]))
    assert (maps.amax((1, 2)) > 0.99).sum() >= 2
    assert ((maps > 0) & (maps < 0.9)).any(), "a map of places"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("timm") is None, reason="nets of timm")
@pytest.mark.parametrize(
    ("cls", "name", "size"),
    [
        (TorchvisionNet, "squeezenet1_1", 64),
        *((TimmNet, name, 224) for name in ("seresnet18", "coat_tiny", "levit_128s")),
    ],
)
def test_a_map_of_any_net(cls: type[TorchvisionNet] | type[TimmNet], name: str, size: int) -> None:
    torch.manual_seed(0)
    net = cls(name, num_classes=4, image_size=(size, size))
    maps = grad_cam(net, torch.randn(4, 3, size, size), torch.arange(4))
    assert (maps.amax((1, 2)) > 0.99).sum() >= 2


@pytest.mark.slow
@pytest.mark.skipif(find_spec("timm") is None, reason="a net of timm")
def test_blocks_are_whole() -> None:
    with torch.device("meta"):
        blocks = find_blocks(TimmNet("levit_128s", num_classes=2))
    assert {type(item).__name__ for item in blocks.values()} == {"LevitBlock"}, "not the norms within them"
