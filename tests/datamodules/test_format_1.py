"""Checkpoints of format 1, which stored what a DataModule had learned without a codec."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import DataModule, load_codec
from lightfit.errors import CheckpointError
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.fit import main as fit
from lightfit.scripts.predict import main as predict

DATA = {"words": "reviews.csv", "images": "images/dark", "series": "series.csv"}
LEARNED = {"words": ("vocabulary", "class_names"), "images": ("class_names", "image_size")}
SOURCE = {"words": "--data.source=reviews.csv", "images": "--data.root=images", "series": "--data.path=series.csv"}


def downgrade(path: str, task: str) -> None:
    """Write a checkpoint again as LightFit 0.2 did."""
    checkpoint: dict[str, Any] = read_checkpoint(path)
    name = next(key for key, value in checkpoint.items() if isinstance(value, dict) and "codec" in value)
    state = checkpoint[name]["codec"]["state"]
    kept = LEARNED.get(task, tuple(key for key in state if key not in ("fill", "diff")))
    checkpoint[name] = {key: state[key] for key in kept}
    if task == "words":  # lists, where JSON is today
        words = checkpoint[name]["vocabulary"]
        checkpoint[name]["vocabulary"] = {key: json.loads(kept) for key, kept in words.items()}
    if task == "images":  # the arguments held what the codec holds today
        size = state["image_size"][0]
        transforms = {"size": size, "resize": round(size * state["border"])} | {n: state[n] for n in ("mean", "std")}
        checkpoint["datamodule_hyper_parameters"]["transforms"] = transforms
        config = Path(path).parents[1] / "config.yaml"
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings["data"].get("init_args", settings["data"])["transforms"].update(transforms)
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    checkpoint["lightfit"] = {"version": "0.2.0", "format": 1}
    torch.save(checkpoint, path)


@pytest.mark.parametrize(
    "task", ["words", pytest.param("images", marks=pytest.mark.slow), pytest.param("series", marks=pytest.mark.slow)]
)
def test_it_predicts_evaluates_and_resumes(
    task: str, trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained(task)
    codec = load_codec(read_checkpoint(checkpoint))
    assert predict([checkpoint, DATA[task], "-o", "new.csv"]) == 0
    downgrade(checkpoint, task)
    upgraded = load_codec(read_checkpoint(checkpoint))
    expected = codec.to_dict() | dict.fromkeys(codec.descriptive)  # not kept in format 1
    if task == "images":  # the settings of format 1 that were constants: alpha cut away, 8 bits, no size kept
        known = upgraded.to_dict()
        assert known["form"]["background"] is None
        expected |= {name: known[name] for name in ("form", "kept_side", "interpolation")}
    assert (type(upgraded), upgraded.to_dict()) == (type(codec), expected)
    assert predict([checkpoint, DATA[task], "-o", "old.csv"]) == 0
    pd.testing.assert_frame_equal(pd.read_csv("old.csv"), pd.read_csv("new.csv"))
    assert evaluate([checkpoint, "--gpus", "0"]) == 0
    run = str(Path(checkpoint).parents[1])
    epochs = int(read_checkpoint(checkpoint)["epoch"]) + 2
    line = ["--task", f"{run}/config.yaml", "--gpus", "0", "--quiet", "--trainer.max_epochs", str(epochs)]
    assert fit([*line, "--resume", run]) == 0, capsys.readouterr().err
    assert read_checkpoint(checkpoint)["lightfit"]["format"] == 2


def test_a_custom_datamodule_of_format_1_says_what_it_needs() -> None:
    held = {"datamodule_hyper_parameters": {"_class_path": "mine.Data"}, "Data": {"mean": 3.0}}
    with pytest.raises(CheckpointError, match=r"DataModule, Data, has no codec: expected .* read\(\) and fit_codec"):
        load_codec(held)
    with pytest.raises(CheckpointError, match="DataModule, DataModule, has no codec"):
        DataModule("x").load_state_dict({"mean": 3.0})
