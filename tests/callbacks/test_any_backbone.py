"""Nets of torchvision and timm, untrained, with all pictures of the task finetune."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

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
    line = (*line, "--model.finetune.head", "null")  # of squeezenet it is no linear layer
    code, out, err = fit(*line, "--model.net.name", name, "--model.finetune.weights", "null", "--trainer.max_epochs", 1)
    assert (code, err) == (0, "")
    assert "draws nothing" not in out
    made = {path.parent.name for path in Path("runs").rglob("*.png")}
    assert made >= PICTURES
    assert "grad_cam" in made or "val_accuracy 1.0000" in out, "drawn of what is wrong"
