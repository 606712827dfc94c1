"""The command fit.py on images: its output, skipped images, and pretrained weights."""

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
import yaml

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import ImageDataModule, ImageTransforms
from lightfit.datamodules.images.transforms import IMAGENET_MEAN, IMAGENET_STD
from lightfit.lightning_modules import FineTuning, ImageClassifier, LightModel, save_weights
from lightfit.lightning_modules.nets import FastResNet

Fit = Callable[..., tuple[int, str, str]]
SMALL = ("--data.num_workers", 0, "--trainer.max_epochs", 2, "--trainer.callbacks", "null")
IMAGES = ("--task", "images", "--data.root", "images", *SMALL)
DIGITS = ("--task", "digits", *SMALL)


def test_the_data_is_described_before_training(fit: Fit, images: Path) -> None:
    code, out, err = fit(*IMAGES)
    assert (code, err) == (0, "")
    found, training = (
        out.index("32 train, 8 val images; 2 classes in train: bright 16, dark 16"),
        out.index("epoch = 0"),
    )
    assert found < training
    assert re.search(r"predict.py runs/images/version_0/checkpoints/best\S+ images/\w+/\d+.png", out)


@pytest.mark.slow
def test_printing_does_not_change_results(fit: Fit, images: Path) -> None:
    for quiet in ([], ["--quiet"]):
        assert fit(*IMAGES, *quiet)[0] == 0
    histories = [pd.read_csv(f"runs/images/version_{version}/history.csv") for version in (0, 1)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


@pytest.mark.slow
def test_the_test_split_is_tested_with_the_best_checkpoint(fit: Fit) -> None:
    code, out, _ = fit(*DIGITS)
    assert code == 0
    assert re.search(r"its test split: test_loss \d\.\d{4}, test_accuracy 0\.\d{4}\n", out)
    assert "test_loss" not in pd.read_csv("runs/digits/version_0/history.csv")


@pytest.mark.slow
def test_skipped_images_are_listed_at_the_end(fit: Fit, images: Path) -> None:
    Path("images/dark/a.jpg").write_bytes(b"")
    code, out, err = fit(*IMAGES)
    assert (code, out) == (1, "")
    assert "1 of 41 images in 'images' cannot be read. The first: dark/a.jpg: the file is empty (0 bytes)" in err
    code, out, _ = fit(*IMAGES, "--data.on_error", "skip", "--quiet")
    assert code == 0
    assert "1 images skipped:\n  dark/a.jpg: the file is empty (0 bytes)\n" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (["--data.root", "nope"], 2, "no folder or zip at 'nope'"),
        (["--data.classes", "[drak,bright]"], 2, "--data.classes names the class 'drak', which does not exist.*dark"),
        (["--data.transforms.sise", "3"], 2, "unknown key 'data.transforms.sise'; the nearest: data.transforms.size"),
        (
            ["--data.transforms.sise", "null"],
            2,
            "unknown key 'data.transforms.sise'; the nearest: data.transforms.size",
        ),
        (["--data.transforms.size", "3.5"], 2, "data.transforms.size: expected int or 'auto' or null, received 3.5"),
        (["--data.transforms.size", "null"], 1, "expected images of one size, since no size is set"),
        (["--model.finetune.weights=null", "--data.transforms.resize=null", "--data.root=no"], 2, "zip at 'no'"),
        (["--data.transforms.flip", "3"], 2, r"transforms.flip in \[0, 1\], received 3"),
        (["--model.loss_weights", "[1,2]"], 2, "model.loss_weights comes from --data.class_weights: leave it out"),
        (["--model.net.widths", "[]"], 2, "widths of at least one block"),
        (["--model.finetune.weights", "nope.pth"], 2, "no weights at 'nope.pth'"),
        (["--model.finetune.weights", "DEFAULT"], 1, "torchvision has no weights for FastResNet"),
        (["--data.on_error", "ignore"], 2, "on_error"),
        (["--ckpt_path", "nope.ckpt"], 2, "no checkpoint at 'nope.ckpt'"),
    ],
)
def test_errors(args: list[str], code: int, problem: str, fit: Fit, images: Path) -> None:
    received, _, err = fit(*IMAGES, *args)
    assert (received, len(err.splitlines())) == (code, 1), err
    assert re.search(problem, err), err


@pytest.mark.slow
def test_train_from_scratch_if_the_checkpoint_is_missing(fit: Fit) -> None:
    code, out, _ = fit(*DIGITS, "--ckpt_path", "last.ckpt", "--init", "auto")
    assert code == 0
    assert "no checkpoint at 'last.ckpt': training from scratch, because of --init auto" in out
    last = "runs/digits/version_0/checkpoints/last.ckpt"
    code, out, _ = fit(*DIGITS, "--ckpt_path", last, "--init", "auto", "--trainer.max_epochs", 3)
    assert code == 0
    assert re.search(rf"resuming from epoch 2, step 36, of '{last}', read in \d\.\d s", out)
    assert pd.read_csv("runs/digits/version_0/history.csv")["epoch"].tolist() == [0, 1, 2]


@pytest.mark.slow
def test_start_from_pretrained_weights(fit: Fit, images: Path) -> None:
    fit(*DIGITS)
    trained = LightModel.load("runs/digits/version_0/checkpoints/last.ckpt")
    assert trained.net is not None
    save_weights(trained.net, "digits.safetensors")
    weights = ("--model.net.widths", "[64,128]", "--model.finetune.weights")
    for file in ("digits.safetensors", "runs/digits/version_0/checkpoints/last.ckpt"):
        code, out, _ = fit(*IMAGES, *weights, file, "--model.finetune.freeze_epochs", 1)
        assert code == 0
        assert f"weights from {file}, in" in out
        assert "skipped, of another shape: head.weight (10, 128), the net has (2, 128)\n" in out
    code, _, err = fit(*IMAGES, "--model.finetune.weights", "digits.safetensors")
    assert code == 1
    assert "these are weights for another net" in err or "unexpected key" in err or "lack the key" in err


@pytest.mark.slow
def test_checkpoints_load_around_a_custom_net(fit: Fit, images: Path) -> None:
    fit(*IMAGES, "--model.finetune.freeze_epochs", 1)
    last = "runs/images/version_0/checkpoints/last.ckpt"
    rebuilt = ImageClassifier.load(last)
    around = ImageClassifier.load(last, net=copy.deepcopy(rebuilt.net))
    assert around.finetune == rebuilt.finetune == FineTuning(freeze_epochs=1)


def test_checkpoints_of_python_hold_plain_data_alone(images: Path) -> None:
    data = ImageDataModule("images", transforms=ImageTransforms(size=8), num_workers=0)
    model = ImageClassifier(FastResNet(num_classes=2, widths=(4,)), finetune=FineTuning(freeze_epochs=1))
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint("a.ckpt")
    held = read_checkpoint("a.ckpt")
    codec = held["ImageDataModule"]["codec"]
    assert codec["class_path"] == "lightfit.ImageCodec"
    assert codec["state"] == {
        "class_names": ["bright", "dark"],
        "image_size": [8, 8],
        "border": 1.125,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "form": {"channels": 3, "background": [255, 255, 255], "intensity": {}, "max_pixels": 89_478_485},
        "resize": "crop",
        "interpolation": "bilinear",
        "kept_side": 23,
    }
    assert held["datamodule_hyper_parameters"]["root"] == "images"


@pytest.mark.slow
def test_weights_of_classes_reach_the_loss_and_the_checkpoint(fit: Fit, images: Path) -> None:
    assert fit(*IMAGES, "--data.class_weights", '{"dark": 3}')[0] == 0
    checkpoint = read_checkpoint("runs/images/version_0/checkpoints/last.ckpt")
    assert checkpoint["hyper_parameters"]["loss_weights"] == pytest.approx([0.5, 1.5])
    assert LightModel.from_checkpoint(checkpoint).loss_weights.tolist() == pytest.approx([0.5, 1.5])  # type: ignore[union-attr,operator]
    last = "runs/images/version_0/checkpoints/last.ckpt"
    code, out, _ = fit(*IMAGES, "--data.class_weights", '{"dark": 3}', "--ckpt_path", last, "--trainer.max_epochs", 3)
    assert code == 0
    assert "resuming from epoch 2" in out


@pytest.mark.slow
def test_a_resumed_run_on_images_equals_an_uninterrupted_one(fit: Fit, images: Path) -> None:
    whole = ("--data.transforms.cutout", 4, "--trainer.max_epochs", 4, "--model.schedule", "constant")
    assert fit(*IMAGES, *whole)[0] == 0
    assert fit(*IMAGES, *whole, "--trainer.max_epochs", 2)[0] == 0
    last = "runs/images/version_1/checkpoints/last.ckpt"
    assert fit(*IMAGES, *whole, "--ckpt_path", last)[0] == 0
    histories = [pd.read_csv(f"runs/images/version_{version}/history.csv") for version in (0, 1)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(("capabilities", "precision"), [({}, "32-true"), ({"avx512_bf16": True}, "bf16-mixed")])
def test_bfloat16_only_where_the_device_has_it(
    capabilities: dict[str, bool], precision: str, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    code, out, err = fit(*DIGITS, "--trainer.precision", "bf16-mixed")
    assert (code, err) == (0, "")
    assert ("does not support bfloat16 (precision bf16-mixed): using float32" in out) == (precision == "32-true")
    assert yaml.safe_load(Path("runs/digits/version_0/config.yaml").read_text())["trainer"]["precision"] == precision


@pytest.mark.slow
def test_averaged_weights_are_tested_as_they_are_kept(fit: Fit) -> None:
    averaging = "pytorch_lightning.callbacks.EMAWeightAveraging"
    args = ("--trainer.callbacks+", averaging, "--trainer.callbacks.decay", 0.9)
    code, out, err = fit(*DIGITS[:-2], "--trainer.callbacks", "[]", *args)
    assert (code, err) == (0, "")
    tested = re.search(r"its test split: test_loss (\S+),", out)
    best = next(Path("runs/digits/version_0/checkpoints").glob("best-*"))
    model, data = LightModel.load(best), ImageDataModule("digits", transforms=ImageTransforms(size=None))
    data.setup()
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (scores,) = trainer.test(model, data, verbose=False)
    assert tested
    assert float(tested[1]) == pytest.approx(scores["test_loss"], abs=1e-4)
