"""The head on frozen features: what it is, what it costs, and how a run with it looks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import ImageDataModule, ImageTransforms
from lightfit.lightning import pl
from lightfit.lightning_modules import FineTuning, ImageClassifier, save_weights
from lightfit.lightning_modules import frozen_features as module
from lightfit.lightning_modules.frozen_features import FrozenFeatures
from lightfit.lightning_modules.nets import TorchvisionNet
from lightfit.scripts.predict import main as predict

Fit = Callable[..., tuple[int, str, str]]


class Small(nn.Module):
    """A net that counts the images that pass through its backbone."""

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(32, num_classes))
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return self.head(self.backbone(x))


def train(model: ImageClassifier, *, epochs: int = 4) -> pl.Trainer:
    data = ImageDataModule("images", transforms=ImageTransforms(size=16), batch_size=8, num_workers=0)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=data)
    return trainer


@pytest.fixture
def weights(images: Path) -> str:
    torch.manual_seed(1)
    return str(save_weights(Small(), "small.safetensors"))


@pytest.mark.parametrize("count", [30, 300])
def test_the_solution_is_that_of_scikit_learn(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PENALTIES", (10.0,))
    monkeypatch.setattr(module, "STEPS", 500)
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (count, 100)).astype(np.float32)
    y = (x[:, 0] + rng.normal(0, 3, count) > 2).astype(int)
    net = nn.Sequential(nn.Linear(100, 2))
    features = FrozenFeatures(net, "0")
    features.solve(
        torch.from_numpy(x), torch.from_numpy(y), lambda rows, labels: F.cross_entropy(features(rows), labels)
    )
    scaler = StandardScaler().fit(x)
    # Two rows of weights w and -w have the penalty of one row 2 w, halved.
    peer = LogisticRegression(C=1 / 5, tol=1e-8, max_iter=5000).fit(scaler.transform(x), y)
    ours = net(torch.from_numpy(x)).softmax(1)[:, 1].detach().numpy()
    np.testing.assert_allclose(ours, peer.predict_proba(scaler.transform(x))[:, 1], atol=2e-3)


def test_a_run_is_one_pass_over_the_images(weights: str) -> None:
    model = ImageClassifier(Small(), finetune=FineTuning(weights=weights, head="linear"))
    trainer = train(model)
    assert trainer.current_epoch == 1
    assert model.net.seen == 40, "32 of train and 8 of val, once each, though val was there for the sanity check too"
    trainer.validate(model, datamodule=trainer.datamodule, verbose=False)
    assert model.net.seen == 40
    (row,) = model.history.to_dict("records")
    assert row["accuracy"] > 0.9
    assert row["val_accuracy"] > 0.9
    after = model.net.state_dict()
    torch.manual_seed(1)
    before = Small().state_dict()
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert changed == ["head.1.weight", "head.1.bias"]
    x, y = trainer.datamodule.train_data[torch.arange(32)]
    loss = F.cross_entropy(model.net.eval()(x), y)
    assert loss.item() == pytest.approx(row["loss"], abs=1e-4), "that of the solution, on images without augmentation"


def test_then_the_whole_net_is_trained(weights: str) -> None:
    model = ImageClassifier(Small(), lr=0.01, finetune=FineTuning(weights=weights, head="linear_then_full"))
    trainer = train(model, epochs=3)
    assert len(model.history) == 3
    torch.manual_seed(1)
    assert not torch.equal(model.net.state_dict()["backbone.0.weight"], Small().state_dict()["backbone.0.weight"])
    assert trainer.train_dataloader.sampler.with_epoch, "images are augmented again"
    assert model._features is None


@pytest.mark.parametrize(
    ("net", "problem"),
    [
        (
            TorchvisionNet("squeezenet1_1", num_classes=2),
            "classifier.1', is Conv2d: expected a net that ends",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(768, 2), nn.Tanh()), "Sequential does not end in its head, '1'"),
    ],
)
def test_nets_without_a_linear_head(net: nn.Module, problem: str, images: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        train(ImageClassifier(net, finetune=FineTuning(head="linear")))


def test_the_command(fit: Fit, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line: tuple[Any, ...] = ("--task", "images", "--data.root", "images", "--data.num_workers", 0)
    line += ("--model.net", "TorchvisionNet", "--data.transforms.size", 32, "--data.batch_size", 8)
    torch.manual_seed(0)
    file = save_weights(TorchvisionNet(num_classes=2).model, "resnet.safetensors")
    line += ("--model.finetune.weights", file, "--model.finetune.head", "linear", "--model.calibrate", "false")
    code, out, err = fit(*line)
    assert (code, err) == (0, "")
    assert "one epoch: with --model.finetune.head linear" in out or "one epoch" in out
    assert "the head fits the features of 32 samples, 512 each" in out
    history = pd.read_csv("runs/images/version_0/history.csv")
    assert list(history["epoch"]) == [0]
    last = "runs/images/version_0/checkpoints/last.ckpt"
    assert read_checkpoint(last)["hyper_parameters"]["finetune"]["head"] == "linear"
    assert predict([last, "images/dark/03.png"]) == 0
    assert "dark" in capsys.readouterr().out
