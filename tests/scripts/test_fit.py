"""The command fit.py: its files, its output, and its errors."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import yaml
from conftest import make_reviews, write_csv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightfit.callbacks import HistoryFiles
from lightfit.checkpoint import read_checkpoint
from lightfit.lightning_modules import LightModel
from lightfit.scripts.cli.presets import TASKS, find_task_names
from lightfit.scripts.fit import main

ROOT = TASKS.parent

Fit = Callable[..., tuple[int, str, str]]
SMALL = ("--data.max_ngrams", "1000", "--data.min_steps", "1", "--trainer.max_epochs", "3")


def val_loss(version: int) -> list[float]:
    return pd.read_csv(f"runs/text/version_{version}/history.csv")["val_loss"].tolist()


@pytest.mark.slow
def test_run_folder_and_report(fit: Fit, reviews: Path) -> None:
    code, out, _ = fit("--task", "text", "--data.source", reviews, *SMALL)
    assert code == 0
    folder = Path("runs/text/version_0")
    assert {"config.yaml", "history.csv", "history.png", "checkpoints"} <= {item.name for item in folder.iterdir()}
    best = re.search(r"checkpoint: (\S+)", out)
    assert best
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        Path(best.group(1)).name,
        "last.ckpt",
        "previous.ckpt",
    ]
    assert Path(best.group(1)).name.startswith("best-")
    history = pd.read_csv(folder / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert f"best epoch {history['val_loss'].idxmin()}: val_loss {history['val_loss'].min():.4f}" in out
    assert "64 train, 16 val texts; classes in train: neg 32, pos 32" in out
    assert re.search(r"Trainable params: \d", out)
    assert out.count("=" * 80) == 3
    assert "tensorboard --logdir runs" in out
    assert f"predict.py {best.group(1)}" in out


def test_tensorboard_of_a_run(fit: Fit, reviews: Path) -> None:
    fit("--task", "text", "--data.source", reviews, *SMALL)
    events = EventAccumulator("runs/text/version_0").Reload()
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "epoch", "best_val_loss"} <= set(events.Tags()["scalars"])
    assert events.Tags()["graph"]
    assert {node.name.split("/")[0] for node in events.Graph().node} >= {"NgramBag"}
    assert "_hparams_/session_start_info" in events.summary_metadata


@pytest.mark.slow
def test_the_same_again_from_the_runs_own_config(fit: Fit, reviews: Path) -> None:
    fit("--task", "text", "--data.source", reviews, "--seed_everything", "7", *SMALL)
    code, _, _ = fit("--config", "runs/text/version_0/config.yaml")
    assert code == 0
    assert val_loss(1) == val_loss(0)
    fit("--task", "text", "--data.source", reviews, "--seed_everything", "8", *SMALL)
    assert val_loss(2) != val_loss(0)


def test_a_resumed_run_continues_in_its_folder(fit: Fit, reviews: Path) -> None:
    line = ["--task", "text", "--data.source", reviews, *SMALL]
    fit(*line, "--trainer.max_epochs", 4)
    fit(*line, "--trainer.max_epochs", 2)
    code, out, _ = fit(*line, "--trainer.max_epochs", 4, "--ckpt_path", "runs/text/version_1/checkpoints/last.ckpt")
    assert code == 0
    assert "epoch = 1\n" not in out
    assert val_loss(1) == val_loss(0)
    assert sorted(path.name for path in Path("runs/text").iterdir()) == ["version_0", "version_1"]
    # The configuration of a resumed run starts a new run.
    config = yaml.safe_load(Path("runs/text/version_1/config.yaml").read_text())
    assert config["ckpt_path"] is config["trainer"]["logger"]["init_args"]["version"] is None
    assert config["trainer"]["max_epochs"] == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (("--model.lr", "0.5"), "--model.lr 0.5, the checkpoint has 0.05"),
        (("--model.net.smoothing", "2"), "--model.net.smoothing 2.0, the checkpoint has 1.0"),
    ],
)
def test_resume_with_other_values_is_refused(changed: tuple[str, str], problem: str, fit: Fit, reviews: Path) -> None:
    line = ["--task", "text", "--data.source", reviews, *SMALL, "--quiet"]
    fit(*line, "--trainer.max_epochs", 1)
    code, _, err = fit(*line, "--ckpt_path", "runs/text/version_0/checkpoints/last.ckpt", *changed)
    assert code == 2
    assert problem in err


def test_checkpoint_holds_the_experiment(fit: Fit, reviews: Path) -> None:
    fit("--task", "text", "--data.source", reviews, *SMALL)
    checkpoint = read_checkpoint("runs/text/version_0/checkpoints/last.ckpt")
    codec = checkpoint["TextDataModule"]["codec"]
    assert codec["class_path"] == "lightfit.TextCodec"
    assert codec["state"]["class_names"] == ["neg", "pos"]
    assert json.loads(codec["state"]["vocabulary"]["itos"])[:2] == ["<unk>", "<pad>"]
    assert len(checkpoint["history"]) == 3
    model = LightModel.load("runs/text/version_0/checkpoints/last.ckpt")
    assert type(model).__name__ == "TextClassifier"
    assert type(model.net).__name__ == "NgramBag"
    assert not model.training


def test_quiet_prints_the_result_alone(fit: Fit, reviews: Path) -> None:
    code, out, err = fit("--task", "text", "--data.source", reviews, "--quiet", *SMALL)
    assert code == 0
    assert out.startswith("trained to epoch 3")
    assert err == ""


def test_list_names_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == find_task_names()
    assert all(len(line.split()) > 3 for line in lines)


def test_task_may_stand_anywhere_and_be_a_path(fit: Fit, reviews: Path) -> None:
    preset = Path("mine.yaml")
    preset.write_text(
        "model:\n  class_path: lightfit.TextClassifier\n  init_args:\n    net:\n"
        "      class_path: lightfit.nets.TextCNN\n"
        f"data:\n  class_path: lightfit.TextDataModule\n  init_args:\n    source: {reviews}\n"
    )
    code, _, err = fit("--trainer.max_epochs", 1, "--quiet", "--task", preset)
    assert (code, err) == (0, "")
    assert Path("runs/mine/version_0/checkpoints/last.ckpt").is_file()


TEXT = ("--task", "text")
REVIEWS = (*TEXT, "--data.source", "reviews.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--task", "imbd"), "unknown task 'imbd'; the nearest: imdb, imdb_cnn"),
        (("--task", "nope.yaml"), "no preset at 'nope.yaml'"),
        ((), "expected --task NAME, one of:"),
        (("--task", "imdb", "--gpus", "99"), "--gpus 99 asks for a GPU that is not available"),
        (TEXT, "which texts? set --data.source to"),
        ((*TEXT, "--data.source", "nope.csv"), "no file or folder at 'nope.csv'"),
        ((*TEXT, "--model.lrr", "1"), "unknown key 'model.lrr'; the nearest: model.lr"),
        ((*TEXT, "--data.sorce", "a"), "unknown key 'data.sorce'; the nearest: data.source"),
        ((*TEXT, "--model.net.smothing", "1"), "unknown key 'model.net.smothing'; the nearest: model.net.smoothing"),
        ((*TEXT, "--trainer.max_epoch", "1"), "unknown key 'trainer.max_epoch'; the nearest: trainer.max_epochs"),
        ((*TEXT, "--frobnicate", "1"), "unknown key 'frobnicate'"),
        (("--task", "text", "--thread", "2"), "unknown key 'thread'; the nearest: threads"),
        (("--tsk", "imdb"), "expected --task NAME (did you mean --task?)"),
        ((*TEXT, "--data.seed", "1"), "data.seed comes from --seed_everything: leave it out"),
        ((*TEXT, "--model.net.vocab_size=5"), "model.net.vocab_size comes from the data: leave it out"),
        ((*REVIEWS, "--trainer.max_epochs", "-3"), "`max_epochs` must be a non-negative integer or -1"),
        ((*TEXT, "--trainer.precision", "17"), "trainer.precision: expected 64, 32, 16 or"),
        ((*TEXT, "--model.lr", "fast"), "model.lr: expected float, received fast"),
        ((*REVIEWS, "--model.optimizer", "Adagard"), "the nearest names: Adagrad"),
        ((*TEXT, "--data.max_words", "2"), "the vocabulary would have no words"),
        ((*TEXT, "--data.tokenizer", "a.b"), "no tokenizer at 'a.b'"),
        ((*REVIEWS, "--data.text_column", "txt"), "no column 'txt'"),
        ((*REVIEWS, "--ckpt_path", "no.ckpt"), "no checkpoint at 'no.ckpt'"),
        ((*REVIEWS, "--data.val_fraction", "2"), "expected --data.val_fraction between 0 and 1"),
    ],
)
def test_usage_errors(args: tuple[str, ...], problem: str, fit: Fit, reviews: Path) -> None:
    code, _, err = fit(*args)
    assert code == 2, err
    assert problem in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("trainer:", "trainr:", "unknown key 'trainr.max_epochs'; the nearest: trainer.max_epochs"),
        ("nets.NgramBag", "nets.NgramBg", "has no attribute 'NgramBg'"),
        ("lightfit.Text", "mine.Text", "No module named 'mine'"),
        (
            "NgramBag",
            "NgramBag\n      init_args: {num_classes: 7}",
            "model.net.num_classes comes from the data",
        ),
        ("model:", "model: [", "is not valid YAML"),
    ],
)
def test_preset_that_is_wrong(old: str, new: str, problem: str, fit: Fit) -> None:
    Path("mine.yaml").write_text((TASKS / "text.yaml").read_text().replace(old, new))
    code, _, err = fit("--task", "mine.yaml")
    assert code == 2
    assert problem in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("text,label\na,x\nb\n", "bad.csv, line 3: expected 2 fields"),
        ("text,label\na,x\nb,x\n", "at least two classes"),
        ("text,label\na,x\n,y\n", "bad.csv, line 3: the text is empty"),
    ],
)
def test_data_that_is_wrong(content: str, problem: str, fit: Fit) -> None:
    Path("bad.csv").write_text(content)
    code, _, err = fit("--task", "text", "--data.source", "bad.csv")
    assert code == 1, err
    assert problem in err
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_run_folder_that_cannot_be_written_is_found_before_training(fit: Fit, reviews: Path) -> None:
    Path("taken").write_text("a file")
    code, out, err = fit("--task", "text", "--data.source", reviews, "--trainer.logger.save_dir", "taken")
    assert code == 2
    assert "the run folder 'taken/text/version_0' cannot be written" in err
    assert "epoch" not in out


@pytest.mark.parametrize(("epoch", "hint"), [(0, "nothing was saved yet"), (2, "--resume runs/text/version_0")])
def test_an_interrupted_run_prints_how_to_resume(
    epoch: int, hint: str, fit: Fit, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: HistoryFiles, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(HistoryFiles, "on_train_epoch_start", interrupt)
    handler = signal.getsignal(signal.SIGINT)
    try:
        code, _, err = fit("--task", "text", "--data.source", reviews, "--quiet", *SMALL)
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning leaves it ignored
    assert code == 130
    assert f"stopped by SIGINT in epoch {epoch}, after step {epoch}; " in err
    assert hint in err


def test_debug_lets_the_exception_through(fit: Fit) -> None:
    write_csv(Path("one.csv"), [(text, "x") for text, _ in make_reviews(4)])
    with pytest.raises(ValueError, match="at least two classes"):
        fit("--task", "text", "--data.source", "one.csv", "--debug")


def test_help_and_print_config(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = fit("--task", "imdb_cnn", "--help")
    assert code == 0
    assert all(flag in out for flag in ("--task", "--gpus", "--quiet", "--debug", "--ckpt_path", "--help_all"))
    assert "class_path: lightfit.nets.TextCNN" in out, "what the task sets"
    assert fit("-h")[:2] == (0, out[: out.index("\n\nimdb_cnn.yaml")] + "\n")
    assert "unknown task 'imbd'" in fit("--task", "imbd", "--help")[2]
    with pytest.raises(SystemExit) as end:
        fit("--help_all")
    assert end.value.code == 0
    assert "--trainer.max_epochs" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        fit("--task", "imdb_cnn", "--print_config")
    assert end.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["lr"] == 0.02


@pytest.mark.parametrize("flag", ["--help", "--list"])
def test_help_and_list_import_nothing_slow(flag: str) -> None:
    program = (
        f"import sys, scripts.fit as f; f.main(['{flag}']); print('heavy', {{'torch', 'pandas'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy set()\n")
