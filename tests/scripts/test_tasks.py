"""Every preset: its header, and a run on small data."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import make_reviews, make_series
from encoders import write_encoder
from killing import contents, differences

from lightfit.callbacks import EpochLines
from lightfit.datamodules.images import datamodule as images_module
from lightfit.datamodules.images.image_set import ImageSet, whole_set
from lightfit.datamodules.series import datamodule as series_module
from lightfit.datamodules.text import datamodule as text
from lightfit.datamodules.text.sources import Text, TextSource
from lightfit.lightning_modules import supervised
from lightfit.scripts.cli.presets import TASKS, find_task_names

SMALL = ("--trainer.max_epochs", "1", "--quiet")


def small_texts(*args: Any) -> TextSource:
    return TextSource({"train": iter([Text(text, label, "") for text, label in make_reviews()])}, [])


def small_images(*args: Any, **kwargs: Any) -> ImageSet:
    rng = np.random.default_rng(0)
    label = np.arange(120) % 3
    pixels = torch.from_numpy((40 * label[:, None, None, None] + rng.integers(0, 99, (120, 3, 32, 32))).astype("uint8"))
    splits = np.where(np.arange(120) < 90, 0, 2)
    return whole_set(pixels, [("airplane", "automobile", "bird")[index] for index in label], splits)


def small_series(data: dict[str, Any]) -> Path:
    """Write a table with as many rows as the windows and the split of the preset need."""
    asked = data.get("split", [1.0])
    num_rows = 500 if max(asked) <= 1 else int(sum(asked))
    make_series(num_rows).drop(columns="wind").to_csv("small.csv", index=False)
    return Path("small.csv")


def data_of(task: str) -> dict[str, Any]:
    return yaml.safe_load((TASKS / f"{task}.yaml").read_text())["data"].get("init_args", {})


@pytest.fixture
def line_of(
    reviews: Path, images: Path, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[str, ...]]:
    """Return a function from a preset to the arguments that run it on small data."""

    def line(task: str) -> tuple[str, ...]:
        data = data_of(task)
        own = {"source": str(reviews), "root": str(images), "path": str(series)}
        given = [item for name, value in own.items() if data.get(name) == "" for item in (f"--data.{name}", value)]
        if not given:
            monkeypatch.setattr(text, "read_source", small_texts)
            monkeypatch.setattr(images_module, "locate", lambda *args: None)
            monkeypatch.setattr(images_module, "load_published", small_images)
            monkeypatch.setattr(series_module, "locate", lambda *args: small_series(data))
        if task == "finetune":  # weights as if downloaded, at a size that needs seconds
            monkeypatch.setattr(supervised, "read_pretrained_state", lambda weights, net: net.model.state_dict())
            given += ["--data.transforms.size", "32", "--data.num_workers", "0"]
            given += ["--model.finetune.head", "linear_then_full"]  # more than one epoch, to resume in
        if task == "finetune_text":
            given += ["--model.net.name", str(write_encoder(tmp_path / "encoder")), "--data.max_len", "null"]
        return ("--task", task, *given)

    return line


@pytest.mark.slow
@pytest.mark.parametrize("task", find_task_names())
def test_every_preset_resumes_exactly_after_crashes(
    task: str,
    fit: Callable[..., tuple[int, str, str]],
    line_of: Callable[[str], tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = (*line_of(task), "--trainer.max_epochs", 3, "--quiet", "--data.batch_size", 16, "--checkpoint_every", 1)
    assert fit(*line)[0] == 0
    run = Path(f"runs/{task}")
    num_steps = int(contents(run / "version_0")["global_step"])
    batch_end = EpochLines.on_train_batch_end

    def crash(self: EpochLines, trainer: Any, *args: Any) -> None:
        batch_end(self, trainer, *args)
        if trainer.global_step == crash_at:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(EpochLines, "on_train_batch_end", crash)
        for turn, crash_at in enumerate((num_steps // 5 + 2, num_steps // 2 + 2, num_steps - 1)):  # noqa: B007 - used by crash
            assert fit(*line, *(("--resume", "auto") if turn else ()))[0] == 1
    assert fit(*line, "--resume", "auto")[0] == 0
    assert differences(contents(run / "version_0"), contents(run / "version_1")) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", find_task_names())
def test_every_preset_runs_on_small_data(
    task: str, fit: Callable[..., tuple[int, str, str]], line_of: Callable[[str], tuple[str, ...]]
) -> None:
    data = data_of(task)
    code, out, err = fit(*line_of(task), *SMALL)
    assert (code, err) == (0, "")
    assert "best epoch" in out
    tested = data.get("root", "") != "" or ("path" in data and data.get("split", [1])[-1] != 0)
    assert ("its test split: test_loss" in out) == tested
    history = pd.read_csv(f"runs/{task}/version_0/history.csv")
    metric = "mae" if "path" in data else "accuracy"
    assert {"epoch", "loss", metric, "val_loss", f"val_{metric}"} <= set(history)
    assert history.notna().all().all()


@pytest.mark.parametrize("task", find_task_names())
def test_header_has_source_command_and_result(task: str) -> None:
    lines = (TASKS / f"{task}.yaml").read_text().splitlines()
    assert [re.match(r"# (\w+):", line).group(1) for line in lines[:5]] == [  # type: ignore[union-attr]
        "What",
        "Source",
        "Command",
        "Result",
        "Cost",
    ]
    assert not lines[5].startswith("#")
    assert f"--task {task}" in lines[2]
    assert not re.search("TO BE|PENDING|TODO", "".join(lines))


@pytest.mark.parametrize("task", find_task_names())
@pytest.mark.parametrize("section", ["data", "model"])
def test_presets_hold_differences_only(task: str, section: str) -> None:
    preset = yaml.safe_load((TASKS / f"{task}.yaml").read_text())[section]
    room, _, name = preset["class_path"].rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(room), name)).parameters
    for key, value in preset.get("init_args", {}).items():
        default = parameters[key].default
        assert (tuple(value) if isinstance(value, list) else value) != default, key
        if dataclasses.is_dataclass(default):
            assert [name for name, item in value.items() if getattr(default, name) == item] == [], key
