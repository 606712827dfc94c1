"""Custom models, nets and data, by dotted path from the working directory."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_predict import Fit
from torch import nn

from lightfit.checkpoint import read_checkpoint
from lightfit.lightning_modules import LightModel
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.predict import main as predict

MODULE = """
import torch
from torch import nn
from datamodules import TextDataModule
from lightning_modules import LightModel

class Builds(LightModel):
    def __init__(self, *, width: int = 4):
        super().__init__(nn.Sequential(nn.Embedding(1000, width), nn.Flatten(), nn.Linear(10 * width, 2)))

    def shared_step(self, batch):
        x, y = batch
        return {"loss": nn.functional.cross_entropy(self(x), y)}

    def predict_step(self, batch, batch_idx=0):
        return self(batch).softmax(1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())

class MayTake(Builds):
    def __init__(self, net: nn.Module | None = None, *, lr: float = 0.1):
        super().__init__()

class Data(TextDataModule):
    def __init__(self, source: str = "reviews.csv", *, batch_size: int = 7):
        super().__init__(source, max_len=10, batch_size=batch_size, seed=5)
"""
PRESET = "model: {{class_path: mine.{model}}}\ndata: {{class_path: mine.Data}}\ntrainer: {{max_epochs: 2}}\n"


@pytest.fixture
def custom(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write custom classes to `mine.py` in the working directory."""
    Path("mine.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "mine", raising=False)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["Builds", "MayTake"])
@pytest.mark.usefixtures("custom")
def test_a_model_that_builds_its_net(
    model: str, fit: Fit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("mine.yaml").write_text(PRESET.format(model=model))
    assert fit("--task", "mine.yaml", "--quiet")[::2] == (0, "")
    last = "runs/mine/version_0/checkpoints/last.ckpt"
    assert fit("--task", "mine.yaml", "--quiet", "--trainer.max_epochs", 3, "--ckpt_path", last)[::2] == (0, "")
    assert predict([last, "a good film", "--trust", "mine"]) == 0
    capsys.readouterr()
    assert predict([last, "a good film"]) == 1
    assert "names classes of 'mine', and to build them would run that code: nothing was run" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("custom")
def test_the_working_directory_is_searched(tmp_path: Path) -> None:
    Path("mine.yaml").write_text(PRESET.format(model="Builds"))
    command = [sys.executable, str(TASKS.parent / "scripts" / "fit.py"), "--task", "mine.yaml", "--gpus", "0"]
    run = subprocess.run([*command, "--quiet"], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr


FUNCTIONS = """
from torch import nn

def make(num_classes, width=4):
    layers = [nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)]
    return nn.Sequential(*layers)

def fixed():
    return make(2)
"""
IMAGES = ("--task", "images", "--data.root", "images", "--data.transforms.size", 16, "--data.num_workers", 0)
ONCE = (*IMAGES, "--trainer.max_epochs", 1, "--trainer.callbacks", "null", "--quiet")


@pytest.mark.slow
def test_a_function_that_builds_a_net(
    fit: Fit, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(FUNCTIONS)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("mine.yaml").write_text(
        "model: {class_path: lightfit.ImageClassifier, init_args: {net: {class_path: mine.make,"
        " init_args: {width: 6}}}}\n"
        "data: {class_path: lightfit.ImageDataModule, init_args: {root: images, transforms: {size: 16}}}\n"
    )
    assert fit(*ONCE, "--model.net", "mine.make", "--model.net.width", 5)[::2] == (0, "")
    assert fit("--task", "mine.yaml", *ONCE[6:])[::2] == (0, "")
    assert fit(*ONCE, "--model.net", "mine.fixed")[::2] == (0, "")
    assert predict(["runs/images/version_1/checkpoints/last.ckpt", "images/dark/03.png", "--trust", "mine"]) == 0
    for run, width in (("images", 5), ("mine", 6)):
        last = f"runs/{run}/version_0/checkpoints/last.ckpt"
        held = read_checkpoint(last)["hyper_parameters"]["net"]
        assert held == {"class_path": "mine.make", "init_args": {"width": width, "num_classes": 2}}
        assert predict([last, "images/dark/03.png", "--trust", "mine"]) == 0
        assert predict([last, "images/dark/03.png"]) == 1
        assert "add --trust mine" in capsys.readouterr().err
    assert fit(*ONCE, "--model.net", "mine.make", "--model.net.widht", 5)[0] == 2
    code, _, err = fit(*ONCE, "--model.net", "timm.create_model", "--model.net.model_name", "resnet10t")
    assert (code, "expected --model.net TimmNet --model.net.name NAME" in err) == (2, True)


@pytest.mark.slow
def test_functions_of_torchvision_load_without_weights(fit: Fit, images: Path) -> None:
    for index, name in enumerate(("squeezenet1_1", "vit_b_32")):
        size = ("--data.transforms.size", 32)
        assert fit(*ONCE, *size, "--model.net", f"torchvision.models.{name}")[::2] == (0, "")
        last = f"runs/images/version_{index}/checkpoints/last.ckpt"
        checkpoint = read_checkpoint(last)
        checkpoint["hyper_parameters"]["net"]["init_args"]["weights"] = "DEFAULT"  # would be downloaded
        assert LightModel.from_checkpoint(checkpoint).net is not None


def test_no_warning_about_classes_that_cannot_be_imported(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    unimportable = type("Unimportable", (nn.Module,), {"__module__": "a_package.not_installed"})
    with pytest.raises(SystemExit, match="0"):
        fit("--task", "temperature", "--model.net", "DLinear", "--print_config")
    out, err = capsys.readouterr()
    assert "DLinear" in out
    assert err == ""
    assert unimportable in nn.Module.__subclasses__(), "it was there while the short name was looked up"
