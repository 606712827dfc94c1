"""Images are prepared as pretrained weights expect them, unless the user says otherwise or a run has done otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import ImageCodec, ImageDataModule
from lightfit.datamodules.codec import restore_codec
from lightfit.lightning_modules import save_weights
from lightfit.lightning_modules.nets import TimmNet
from lightfit.scripts.training import lightning_cli
from lightfit.scripts.training.preprocessing import Adopted

pytest.importorskip("timm")
Fit = Callable[..., tuple[int, str, str]]
NET = "test_efficientnet.r160_in1k"  # the smallest of timm with weights; bicubic, 160 pixels of 168
RUN = Path("runs/finetune/version_0")
LAST = RUN / "checkpoints/last.ckpt"


@pytest.fixture
def line(images: Path) -> tuple[Any, ...]:
    torch.manual_seed(0)
    file = save_weights(TimmNet(NET, num_classes=2).model, "weights.safetensors")
    line: tuple[Any, ...] = ("--task", "finetune", "--data.root", "images", "--data.num_workers", 0)
    line += ("--model.net.name", NET, "--model.finetune.weights", file, "--trainer.callbacks", "null")
    return (*line, "--model.schedule", "constant")


def read_codec() -> ImageCodec:
    codec = restore_codec(read_checkpoint(LAST)["ImageDataModule"]["codec"], ())
    assert isinstance(codec, ImageCodec)
    return codec


@pytest.mark.slow
def test_a_checkpoint_prepares_images_as_the_weights_were_trained(fit: Fit, line: tuple[Any, ...]) -> None:
    expected = TimmNet.find_preprocessing(NET, "weights.safetensors")
    assert expected is not None
    code, out, err = fit(*line, "--trainer.max_epochs", 1)
    assert (code, err) == (0, "")
    assert f"images are prepared as the weights of {NET} expect them: size 160, interpolation bicubic" in out
    codec = read_codec()
    assert (codec.interpolation, codec.image_size, codec.resize) == ("bicubic", (160, 160), "crop")
    assert (codec.mean, codec.std) == (expected["mean"], expected["std"])
    assert codec.border == round(160 * expected["border"]) / 160
    data = ImageDataModule.load_from_checkpoint(LAST)
    data.setup()
    paths = [Path("images", place) for place in data.find_places("val")]
    assert torch.equal(codec.encode(paths), data.val_data[torch.arange(len(paths))][0]), "predict sees what val saw"


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["pad", "squish"])
def test_what_the_user_sets_stays(resize: str, fit: Fit, line: tuple[Any, ...]) -> None:
    own = ("--data.transforms.resize", resize, "--data.transforms.size", 32)
    code, _, err = fit(*line, *own, "--trainer.max_epochs", 1)
    assert (code, err) == (0, "")
    codec = read_codec()
    assert (codec.resize, codec.border, codec.image_size, codec.interpolation) == (resize, 1.0, (32, 32), "bicubic")


def test_a_preset_that_pads_keeps_the_whole_image(fit: Fit, line: tuple[Any, ...]) -> None:
    Path("own.yaml").write_text("data:\n  init_args:\n    transforms:\n      resize: pad\n      size: 32\n")
    code, _, err = fit(*line, "--config", "own.yaml", "--trainer.max_epochs", 1)
    assert (code, err) == (0, "")
    assert (read_codec().resize, read_codec().interpolation) == ("pad", "bicubic")


@pytest.mark.slow
@pytest.mark.parametrize("had_the_field", [True, False])
def test_a_run_that_adopted_nothing_resumes_as_it_began(
    had_the_field: bool, fit: Fit, line: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    line += ("--data.transforms.size", 32, "--model.finetune.head", "null")  # more than one epoch
    with monkeypatch.context() as earlier:
        earlier.setattr(lightning_cli, "adopt_preprocessing", lambda config, given: Adopted("", {}))
        code, out, err = fit(*line, "--trainer.max_epochs", 1)
    assert (code, err) == (0, "")
    began = read_codec()
    assert began.interpolation == "bilinear"
    if not had_the_field:
        checkpoint = read_checkpoint(LAST)
        del checkpoint["datamodule_hyper_parameters"]["transforms"]["interpolation"]
        del checkpoint["ImageDataModule"]["codec"]["state"]["interpolation"]
        torch.save(checkpoint, LAST)
    code, out, err = fit(*line, "--trainer.max_epochs", 2, "--resume", RUN)
    assert (code, err) == (0, "")
    assert "images are prepared as" not in out
    assert read_checkpoint(LAST)["epoch"] == 1
    assert read_codec() == began


@pytest.mark.slow
def test_another_value_is_still_refused(fit: Fit, line: tuple[Any, ...]) -> None:
    line += ("--data.transforms.size", 32)
    assert fit(*line, "--trainer.max_epochs", 1)[0] == 0
    code, _, err = fit(*line, "--trainer.max_epochs", 2, "--resume", RUN, "--data.transforms.interpolation", "bilinear")
    assert code == 2
    assert "--data.transforms.interpolation bilinear, the checkpoint has bicubic" in err
