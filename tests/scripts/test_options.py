"""Options of training, each on a task where it has an effect."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from lightfit.datamodules.images.mixing import mix_images
from lightfit.lightning_modules.losses import classification_loss
from lightfit.lightning_modules.metrics import accuracy
from lightfit.lightning_modules.optimizers import add_schedule, make_warmup_scale
from lightfit.scripts.cli.devices import has_bfloat16
from lightfit.scripts.fit import main
from lightfit.scripts.inference.trained import load_trained

Fit = Callable[..., tuple[int, str, str]]
TEXT = (
    "--task",
    "text",
    "--data.source",
    "reviews.csv",
    "--data.max_ngrams",
    1000,
    "--data.min_steps",
    1,
    "--trainer.max_epochs",
    3,
    "--data.batch_size",
    8,
)
SERIES = (
    *("--task", "series", "--data.path", "series.csv", "--data.target", "load", "--trainer.callbacks", "null"),
    *("--model.net", "lightfit.nets.NLinear", "--data.lookback", 48, "--data.scale", "standard"),
    *("--data.batch_size", 32),
)
LAST = "runs/{}/version_{}/checkpoints/last.ckpt"


def history(task: str, version: int = 0) -> pd.DataFrame:
    return pd.read_csv(f"runs/{task}/version_{version}/history.csv")


@pytest.mark.slow
def test_early_stopping_ends_what_no_longer_helps(fit: Fit, series: Path) -> None:
    args = (*SERIES, "--trainer.max_epochs", 30, "--model.lr", 1.0, "--quiet")  # far too fast
    assert fit(*args, "--early_stopping", 2)[0] == 0
    losses = history("series")["val_loss"]
    assert len(losses) < 30
    assert losses.idxmin() == len(losses) - 3  # two epochs without improvement
    config = yaml.safe_load(Path("runs/series/version_0/config.yaml").read_text())
    (stopping,) = [item for item in config["trainer"]["callbacks"] if "EarlyStopping" in item["class_path"]]
    assert (stopping["init_args"]["monitor"], stopping["init_args"]["mode"]) == ("val_loss", "min")
    assert fit("--config", "runs/series/version_0/config.yaml", "--quiet")[0] == 0
    pd.testing.assert_frame_equal(pd.read_csv(next(Path("runs").glob("*/version_1/history.csv"))), history("series"))


def test_early_stopping_on_the_checkpoints_metric(fit: Fit, reviews: Path) -> None:
    args = ("--early_stopping", 1, "--checkpoint.monitor", "val_accuracy", "--checkpoint.mode", "max", "--quiet")
    assert fit(*TEXT, *args, "--trainer.max_epochs", 20, "--checkpoint.filename", "best")[0] == 0
    accuracies = history("text")["val_accuracy"]
    assert len(accuracies) == accuracies.idxmax() + 2 < 20


@pytest.mark.slow
def test_ema_is_validated_and_saved(fit: Fit, series: Path) -> None:
    for extra in ((), ("--ema", 0.9)):
        assert fit(*SERIES, "--trainer.max_epochs", 3, "--quiet", *extra)[0] == 0
    plain, averaged = history("series"), history("series", 1)
    assert plain["loss"].tolist() == averaged["loss"].tolist()  # training itself is the same
    assert (plain["val_loss"] != averaged["val_loss"]).all()
    saved = torch.load(LAST.format("series", 1), weights_only=True)
    trained = load_trained(LAST.format("series", 1))
    weights = dict(trained.model.named_parameters())
    name = next(iter(weights))
    assert torch.equal(weights[name], saved["state_dict"][name])
    assert not torch.equal(weights[name], saved["current_model_state"][name])


@pytest.mark.slow
def test_swa_is_the_mean_of_the_last_epochs(fit: Fit, series: Path) -> None:
    args = (
        *SERIES,
        "--trainer.max_epochs",
        4,
        "--quiet",
        "--checkpoint.save_top_k",
        -1,
        "--model.schedule",
        "constant",
    )
    for extra in ((), ("--swa", 0.5)):
        assert fit(*args, *extra)[0] == 0
    plain, averaged = history("series"), history("series", 1)
    assert plain["loss"].tolist() == averaged["loss"].tolist()
    # The mean starts at epoch 2, and differs from the weights from epoch 3 on.
    assert (plain["val_loss"] == averaged["val_loss"]).tolist() == [True, True, True, False]
    paths = sorted(Path("runs/series/version_0/checkpoints").glob("best*"))[2:]
    ends = [torch.load(path, weights_only=True)["state_dict"] for path in paths]
    mean = load_trained(LAST.format("series", 1)).model.state_dict()
    name = next(name for name in mean if "weight" in name)
    torch.testing.assert_close(mean[name], (ends[0][name] + ends[1][name]) / 2)


@pytest.mark.slow
def test_swa_resumes(fit: Fit, series: Path) -> None:
    args = (*SERIES, "--quiet", "--model.schedule", "constant", "--swa", 0.5, "--checkpoint.save_top_k", -1)
    args = (*args, "--trainer.max_epochs", 6)
    assert fit(*args)[0] == 0
    whole = history("series")
    checkpoints = sorted(Path("runs/series/version_0/checkpoints").glob("best-*.ckpt"))
    for checkpoint in (checkpoints[1], checkpoints[3]):  # before the mean, and within it
        code, _, err = fit(*args, "--ckpt_path", checkpoint)
        assert code == 0, err
        pd.testing.assert_frame_equal(history("series"), whole)


@pytest.mark.slow
def test_clipping_and_accumulation_and_precision(fit: Fit, series: Path) -> None:
    runs = {
        "plain": (),
        "clipped": ("--trainer.gradient_clip_val", 1e-4, "--model.optimizer", "SGD"),
        "unclipped": ("--model.optimizer", "SGD"),
        "accumulated": ("--trainer.accumulate_grad_batches", 2),
        "half": ("--trainer.precision", "bf16-mixed"),
    }
    outputs, losses = {}, {}
    for version, (name, extra) in enumerate(runs.items()):
        code, outputs[name], err = fit(*SERIES, "--trainer.max_epochs", 2, "--quiet", *extra)
        assert code == 0, err
        losses[name] = history("series", version)["loss"].tolist()
    steps = {name: int(re.findall(r"(\d+) steps", out)[0]) for name, out in outputs.items()}
    assert steps["accumulated"] == 2 * -(-steps["plain"] // 2 // 2)  # two epochs, each with an odd batch at its end
    change = {name: abs(losses[name][1] - losses[name][0]) for name in losses}
    assert change["clipped"] < 0.1 * change["unclipped"]
    assert losses["accumulated"][1] != losses["plain"][1]
    # A device without bfloat16 uses float32 instead.
    assert (losses["half"] != losses["plain"]) == has_bfloat16("cpu")


def test_warmup_by_hand() -> None:
    scale = make_warmup_scale("cosine", 100, 0.1)
    assert [scale(step) for step in (0, 4, 9, 10, 55, 100)] == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0])
    assert [make_warmup_scale("constant", 100, 0.1)(step) for step in (0, 50)] == [0.1, 1.0]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    with pytest.raises(ValueError, match="schedule constant, cosine or linear, received 0.1 before one_cycle"):
        add_schedule(optimizer, "one_cycle", None, warmup=0.1)
    with pytest.raises(ValueError, match="warmup in .0, 1."):
        add_schedule(optimizer, "cosine", None, warmup=1.0)


@pytest.mark.slow
def test_warmup_changes_the_first_epoch(fit: Fit, reviews: Path) -> None:
    for extra in ((), ("--model.warmup", 0.5, "--model.schedule", "cosine")):
        assert fit(*TEXT, "--quiet", *extra)[0] == 0
    assert history("text", 1)["loss"][0] > history("text")["loss"][0]  # it learns less at first


def test_label_smoothing_raises_the_training_loss_alone(fit: Fit, reviews: Path) -> None:
    for extra in ((), ("--model.label_smoothing", 0.2)):
        assert fit(*TEXT, "--quiet", *extra, "--trainer.max_epochs", 1, "--model.lr", 0.0001)[0] == 0
    plain, smooth = history("text"), history("text", 1)
    assert plain["loss"][0] != smooth["loss"][0]
    assert plain["val_loss"][0] == pytest.approx(smooth["val_loss"][0], abs=1e-3)


X = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)


def test_mixup_by_hand() -> None:
    draws = torch.tensor([[0.25, 0, 0, 0], [1.0 - 1e-12, 0, 0, 0]], dtype=torch.float64)  # Beta(1, 1): the draw itself
    x, y = mix_images(X, torch.tensor([0, 2]), draws, "mixup", alpha=1.0, num_classes=3)
    torch.testing.assert_close(x[0], 0.25 * X[0] + 0.75 * X[1])
    torch.testing.assert_close(x[1], X[1])
    torch.testing.assert_close(y, torch.tensor([[0.25, 0, 0.75], [0, 0, 1]]))


def test_cutmix_by_hand() -> None:
    draws = torch.tensor([[0.75, 0, 0.5, 0.5], [0.75, 0, 0.0, 0.0]], dtype=torch.float64)
    x, y = mix_images(X, torch.tensor([0, 1]), draws, "cutmix", alpha=1.0, num_classes=2)
    changed = (x != X).any(1)
    assert changed[0].nonzero().tolist() == [[2, 2]] or changed[0].sum() in (1, 4)
    torch.testing.assert_close(y[:, 0], torch.stack([1 - changed[0].float().mean(), changed[1].float().mean()]))
    assert torch.equal(x[0][:, changed[0]], X[1][:, changed[0]])


def test_both_chooses_one_at_random() -> None:
    draws = torch.tensor([[0.5, 0.1, 0.5, 0.5], [0.5, 0.9, 0.5, 0.5]], dtype=torch.float64)
    x, _ = mix_images(X, torch.tensor([0, 1]), draws, "both", alpha=1.0, num_classes=2)
    assert set(x[0].flatten().tolist()) <= set(X.flatten().tolist())
    torch.testing.assert_close(x[1], 0.5 * X[1] + 0.5 * X[0])


def test_loss_of_soft_labels() -> None:
    logits, y = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.7, 0.3], [0.0, 1.0]])
    by_hand = -(y * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(classification_loss(logits, y), by_hand)
    weights = torch.tensor([1.0, 3.0])
    own = (-(y * logits.log_softmax(1)).sum(1) * torch.tensor([0.7 + 0.9, 3.0])).mean()
    torch.testing.assert_close(classification_loss(logits, y, class_weights=weights), own)
    one = torch.tensor([[0.5], [-1.0]])
    binary = nn.functional.binary_cross_entropy_with_logits(one[:, 0], y[:, 1])
    torch.testing.assert_close(classification_loss(one, y), binary)
    assert accuracy(logits, y) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["mixup", "cutmix", "both"])
def test_mixed_images_train_and_are_the_same_for_any_number_of_workers(mix: str, fit: Fit, images: Path) -> None:
    args = ("--task", "images", "--data.root", "images", "--quiet", "--trainer.max_epochs", 2)
    for extra in ((), ("--data.transforms.mix", mix), ("--data.transforms.mix", mix, "--data.num_workers", 2)):
        workers = () if "--data.num_workers" in extra else ("--data.num_workers", 0)
        code, _, err = fit(*args, *extra, *workers)
        assert code == 0, err
    plain, mixed, in_workers = (history("images", version) for version in range(3))
    assert plain["loss"][0] != mixed["loss"][0]
    pd.testing.assert_frame_equal(mixed, in_workers)
    assert (Path("runs/images/version_1/preview_train") / "epoch_000.png").is_file()


def test_compile_needs_a_compiler(fit: Fit, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    code, _, err = fit(*TEXT, "--compile", "--quiet")
    assert code == 2
    assert "--compile needs a C++ compiler, and neither g++ nor clang++ was found" in err


@pytest.mark.slow
def test_compiled_is_the_same_but_for_rounding(fit: Fit, series: Path) -> None:
    for extra in ((), ("--compile",)):
        code, _, err = fit(*SERIES, "--trainer.max_epochs", 2, "--quiet", *extra)
        assert code == 0, err
    pd.testing.assert_frame_equal(history("series"), history("series", 1), rtol=1e-3)
    assert load_trained(LAST.format("series", 1)).model.state_dict().keys()  # no compiled names in it


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # warnings of these packages about themselves
@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_other_loggers(package: str, fit: Fit, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(package)
    monkeypatch.setenv("WANDB_MODE", "offline")
    code, _, err = fit(*TEXT, f"--{package}", "--quiet")
    assert code == 0, err
    assert Path("runs/text/version_0/card.md").is_file()  # the run folder is still TensorBoard's
    assert list(Path("runs").glob({"wandb": "wandb/offline-run*", "mlflow": "mlflow.db"}[package]))


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--ema", "0.9", "--swa", "0.5"], "--ema and --swa both average"),
        (["--ema", "1.5"], "--ema as a decay between 0 and 1"),
        (["--swa", "1"], "--swa as a fraction in"),
        (["--early_stopping", "0"], "--early_stopping of at least 1"),
        (["--folds", "1"], "--folds of at least 2"),
        (["--folds", "3", "--find_lr"], "give one of them"),
        (["--folds", "3", "--ckpt_path", "a.ckpt"], "--folds trains each fold from scratch"),
        (["--data.fold", "6/5"], "fold as index/count, such as 2/5 for the second of five, received '6/5'"),
        (["--model.warmup", "2"], "warmup in .0, 1."),
    ],
)
def test_what_goes_wrong(args: list[str], problem: str, reviews: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--gpus", "0", *map(str, TEXT), "--quiet", *args])
    err = capsys.readouterr().err
    assert code in (1, 2)
    assert re.search(problem, err), err


def test_a_logger_that_is_not_installed(fit: Fit, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = fit(*TEXT, "--wandb")
    assert code == 1
    assert "--wandb needs wandb, which is not installed: pip install 'lightfit[wandb]'" in err
