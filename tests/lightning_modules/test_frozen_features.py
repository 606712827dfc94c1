"""The head on frozen features: what it is, what it costs, and how a run with it looks."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_images
from labelled_data import make_pictures
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from lightfit.callbacks import BestAndLast, ExactResume
from lightfit.callbacks.checkpoints.best_and_last import find_best_and_last
from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import ImageDataModule, ImageTransforms
from lightfit.lightning import pl
from lightfit.lightning_modules import FineTuning, ImageClassifier, MultiLabelClassifier, Regressor, save_weights
from lightfit.lightning_modules import frozen_features as module
from lightfit.lightning_modules.finetuning import choose_head
from lightfit.lightning_modules.frozen_features import FrozenFeatures
from lightfit.lightning_modules.nets import TorchvisionNet
from lightfit.lightning_modules.supervised import SupervisedModel
from lightfit.scripts.cli.presets import TASKS
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


def train(
    model: SupervisedModel, *, epochs: int = 4, data: Any = None, resume: Any = None, **options: Any
) -> pl.Trainer:
    data = data or ImageDataModule("images", transforms=ImageTransforms(size=16), batch_size=8, num_workers=0)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=any(isinstance(item, BestAndLast) for item in options.get("callbacks", [])),
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(model, datamodule=data, ckpt_path=resume)
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


def test_the_head_is_chosen_by_weights_and_net() -> None:
    """Auto is linear where there are weights and the net ends in a linear layer, as the preset has it for any net."""
    linear, convolution = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), nn.Sequential(nn.Conv2d(3, 2, 1))
    for net, weights, head in (
        (linear, "DEFAULT", "linear"),
        (linear, None, None),
        (convolution, "DEFAULT", None),
    ):
        assert choose_head(FineTuning(head="auto", weights=weights), net).head == head
    assert choose_head(FineTuning(head="linear_then_full"), linear).head == "linear_then_full"
    with pytest.raises(ValueError, match="expected finetune.head auto, linear, linear_then_full or null, received no"):
        FineTuning(head="no")  # type: ignore[arg-type]


class StopError(Exception):
    """Ends a run as a crash does."""


class StopAt(pl.Callback):
    """Saves after a step, or at the end of an epoch, as a run does that is told to stop, and stops."""

    def __init__(self, *, step: int = -1, epoch: int = -1) -> None:
        self.step, self.epoch = step, epoch

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        if trainer.global_step == self.step:
            saver = find_best_and_last(trainer)
            assert saver is not None
            saver.save_last_now(trainer)
            raise StopError

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: object) -> None:
        if trainer.current_epoch == self.epoch + 1 > 0:  # last.ckpt is that of the epoch before
            raise StopError


def make_unequal(*, per_class: tuple[int, int] = (26, 12), mix: str = "none", **options: Any) -> ImageDataModule:
    for name, count in zip(("bright", "dark"), per_class, strict=True):
        make_images(Path("unequal"), per_class=count, names=(name,))
    transforms = ImageTransforms(size=16, mix=mix)  # type: ignore[arg-type]
    return ImageDataModule("unequal", transforms=transforms, batch_size=8, num_workers=0, **options)


def resume(model: Callable[[], ImageClassifier], place: dict[str, int], **options: Any) -> None:
    """Check that a run which is stopped and resumed ends as one that is not."""

    def run(folder: str, *others: pl.Callback, ckpt_path: str | None = None) -> ImageClassifier:
        pl.seed_everything(3, verbose=False)
        trained = model()
        data = make_unequal(mix="mixup", balanced_sampling=True)
        saver = BestAndLast(dirpath=folder, save_last=True, save_on_train_epoch_end=True)
        train(trained, epochs=3, data=data, resume=ckpt_path, callbacks=[ExactResume(), saver, *others], **options)
        return trained

    whole = run("whole")
    with pytest.raises(StopError):
        run("stopped", StopAt(**place))
    again = run("resumed", ckpt_path="stopped/last.ckpt")
    pd.testing.assert_frame_equal(whole.history, again.history, check_exact=True)
    weights, same = whole.net.state_dict(), again.net.state_dict()
    assert [key for key in weights if not torch.equal(weights[key], same[key])] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("place", [{"step": 2}, {"step": 4}, {"epoch": 0}, {"step": 6}, {"epoch": 1}])
def test_a_run_that_is_stopped_resumes_as_if_it_was_not(place: dict[str, int]) -> None:
    resume(lambda: ImageClassifier(Small(), lr=0.01, finetune=FineTuning(head="linear_then_full")), place)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("options", [{}, {"limit_train_batches": 3}, {"check_val_every_n_epoch": 2}])
def test_a_run_of_the_head_alone_resumes(options: dict[str, Any]) -> None:
    resume(lambda: ImageClassifier(Small(), finetune=FineTuning(head="linear")), {"step": 2}, **options)


def test_the_head_is_fitted_in_an_epoch_without_validation(weights: str) -> None:
    model = ImageClassifier(Small(), finetune=FineTuning(weights=weights, head="linear"))
    train(model, check_val_every_n_epoch=2)
    assert model.history["loss"][0] < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear", "linear_then_full"])
@pytest.mark.parametrize(("column", "kind"), [("labels", MultiLabelClassifier), ("price,stars", Regressor)])
def test_sets_of_labels_and_numbers(column: str, kind: Any, head: Any) -> None:
    table = str(make_pictures(Path("pictures")))
    data = ImageDataModule(
        table,
        label_column=column,
        on_error="skip",
        transforms=ImageTransforms(size=16),
        batch_size=16,
        num_workers=0,
    )
    data.setup()
    count = len(data.codec.target.names)
    torch.manual_seed(0)
    model = kind(Small(count), num_outputs=count, lr=1e-3, finetune=FineTuning(head=head))
    train(model, epochs=2, data=data)
    assert len(model.history) == (1 if head == "linear" else 2)
    first = model.history.iloc[0]
    if kind is Regressor:
        assert first["loss"] < 0.3
        assert first["val_r2"] > 0.7
    else:
        assert first["loss"] < 0.2
        assert first["val_f1_micro"] > 0.9


def test_what_the_loss_depends_on_shapes_the_head(weights: str) -> None:
    """Weights of classes, balanced sampling and label smoothing move the solution as they would move training."""

    def predict_dark(*, smoothing: float = 0.0, **options: Any) -> torch.Tensor:
        data = make_unequal(per_class=(30, 6), **options)
        data.setup()
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(768, 2))
        tuning = FineTuning(head="linear")
        model = ImageClassifier(net, label_smoothing=smoothing, loss_weights=data.loss_weights, finetune=tuning)
        train(model, data=data)
        x, _ = data.train_data[torch.arange(len(data.train_data))]
        return model.predict_step(x)[:, 1]

    plain = predict_dark()
    assert predict_dark(class_weights="balanced").mean() > plain.mean()
    assert predict_dark(balanced_sampling=True).mean() > plain.mean()
    smooth = predict_dark(smoothing=0.3)
    assert smooth.max() < 0.9 < plain.max()


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ("linear", "once, without `transforms.mix`, `transforms.cutout`: leave it out, or take linear_then_full"),
        ("linear_then_full", "once, without `transforms.mix`, `transforms.cutout` in its first epoch"),
    ],
)
def test_augmentation_that_does_not_apply_is_said(
    head: Any, sentence: str, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transforms = ImageTransforms(size=16, mix="mixup", cutout=2)
    data = ImageDataModule("images", transforms=transforms, batch_size=8, num_workers=0)
    train(ImageClassifier(Small(), finetune=FineTuning(head=head)), epochs=1, data=data)
    assert f"`finetune.head` {head} computes the features of each image {sentence}" in caplog.text


def test_half_precision(weights: str) -> None:
    model = ImageClassifier(Small(), finetune=FineTuning(weights=weights, head="linear_then_full"))
    train(model, epochs=2, precision="bf16-true")
    assert (model.history["val_accuracy"] > 0.9).all()
    assert model.net.head[1].weight.dtype == torch.bfloat16


NETS = """
from torch import nn

class Plain(nn.Sequential):  # the same for any world size: no dropout, and no statistics of a batch
    def __init__(self, *, num_classes: int = 2) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.append(nn.Linear(16, num_classes))
"""


@pytest.mark.slow
@pytest.mark.parametrize("tuning", [("head", "linear"), ("head", "linear_then_full"), ("freeze_epochs", "1")])
def test_two_processes_are_one_run(tuning: tuple[str, str]) -> None:
    make_images(Path("images"), per_class=23, names=("bright",))
    make_images(Path("images"), per_class=22, names=("dark",))  # 37 of train: one rank has none in the last batch
    Path("nets.py").write_text(NETS)
    line = ["--task", "images", "--data.root", "images", "--data.num_workers=0", "--trainer.max_epochs=3"]
    line += ["--data.transforms.size=16", "--data.val_fraction=0.19", "--trainer.callbacks=null", "--strategy=ddp"]
    line += ["--model.net=nets.Plain", f"--model.finetune.{tuning[0]}", tuning[1], "--trainer.accelerator=cpu"]
    for count in (1, 2):
        placed = [f"--trainer.devices={count}", f"--data.batch_size={12 // count}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TASKS.parent), str(Path.cwd())])}
        command = [sys.executable, str(TASKS.parent / "scripts" / "fit.py"), *line, *placed]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "37 train" in done.stdout
    one, two = (pd.read_csv(f"runs/images/version_{version}/history.csv") for version in range(2))
    pd.testing.assert_frame_equal(one, two, rtol=1e-4)


@pytest.mark.slow
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
