"""Every preset: its header, and a run on small data."""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import make_reviews

from datamodules import text, text_sources
from datamodules.tables import Texts
from scripts.presets import TASKS, task_names

SMALL = ("--trainer.max_epochs", "2", "--quiet")


def small_texts(*args: Any) -> dict[str, Texts]:
    rows = make_reviews()
    return {"train": Texts([row[0] for row in rows], [row[1] for row in rows], [""] * len(rows))}


@pytest.mark.parametrize("task", task_names())
def test_every_preset_runs_on_small_data(
    task: str, fit: Callable[..., tuple[int, str, str]], reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = []
    if yaml.safe_load((TASKS / f"{task}.yaml").read_text())["data"].get("init_args", {}).get("source") == "":
        source = ["--data.source", str(reviews)]
    monkeypatch.setattr(text, "read_source", text_sources.read_source if source else small_texts)
    code, out, err = fit("--task", task, *source, *SMALL)
    assert (code, err) == (0, "")
    assert "best epoch" in out
    history = pd.read_csv(f"runs/{task}/version_0/history.csv")
    assert list(history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.notna().all().all()


@pytest.mark.parametrize("task", task_names())
def test_header_says_what_it_is_and_what_it_gave(task: str) -> None:
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
    assert "TO BE" not in "".join(lines)


@pytest.mark.parametrize("task", task_names())
@pytest.mark.parametrize("section", ["data", "model"])
def test_presets_hold_differences_only(task: str, section: str) -> None:
    preset = yaml.safe_load((TASKS / f"{task}.yaml").read_text())[section]
    room, _, name = preset["class_path"].rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(room), name)).parameters
    assert [key for key, value in preset.get("init_args", {}).items() if parameters[key].default == value] == []
