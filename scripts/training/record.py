"""`run.json`: what a run was, for the list of runs; written when it begins and when it ends."""

import json
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightfit.callbacks.logs.run_folder import run_folder
from lightfit.datamodules import DataModule
from lightfit.lightning import pl
from lightfit.platforms import join_command
from lightfit.version import VERSION

from ..cli.keys import flatten_keys
from ..cli.outputs import output_file

if TYPE_CHECKING:
    from ..evaluation.result import Evaluation
    from .lightning_cli import LightFitCLI

RECORD = "run.json"
GIT_S = 5  # seconds for git to answer
OF_MACHINE = ("config", "c", "trainer.accelerator", "trainer.devices", "trainer.logger", "ckpt_path", "init_from")


class RunRecord:
    """What is known of a run, in the run folder.

    Args:
        cli: trainer, model, data and configuration of the run.
        task: name of the task.
    """

    def __init__(self, cli: "LightFitCLI", task: str) -> None:
        self.cli = cli
        self.held: dict[str, Any] = {
            "task": task,
            "command": join_command(cli.command) if cli.command else "",
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "data": name_data(cli.datamodule),
            "model": type(cli.model).__name__,
            "net": type(cli.model.net).__name__,
            "settings": find_settings(cli),
            "commit": find_commit(Path.cwd()),
            "version": VERSION,
        }

    def begin(self) -> None:
        """Write that the run has begun."""
        self._write({**self.held, "finished": False})

    def finish(self, evaluations: "Mapping[str, Evaluation]", *, seconds: float) -> None:
        """Write what the run came to.

        Args:
            evaluations: evaluations of the best checkpoint, by split.
            seconds: duration of the training.
        """
        trainer = self.cli.trainer
        checkpoint = trainer.checkpoint_callback
        best = getattr(checkpoint, "best_model_path", "")
        self._write(
            {
                **self.held,
                "finished": True,
                "seconds": round(seconds, 2),
                "epochs": trainer.current_epoch,
                "steps": trainer.global_step,
                "checkpoint": Path(best).name if best else None,
                "monitor": getattr(checkpoint, "monitor", None),
                "scores": {split: describe_scores(own) for split, own in evaluations.items()},
            }
        )

    def _write(self, held: dict[str, Any]) -> None:
        if self.cli.trainer.logger is None:  # as in a fast_dev_run
            return
        with output_file(run_folder(self.cli.trainer) / RECORD) as path:
            path.write_text(json.dumps(held, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def describe_scores(evaluation: "Evaluation") -> dict[str, Any]:
    """Return the scores of an evaluation as plain data; what is not finite is None."""
    low, high = evaluation.interval if evaluation.headline else (np.nan, np.nan)
    return {
        "headline": evaluation.headline or None,
        "interval": [_number(low), _number(high)],
        "num_samples": evaluation.num_samples,
        "metrics": {name: _number(value) for name, value in evaluation.metrics.items()},
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def name_data(data: pl.LightningDataModule) -> str:
    """Return the source of the data, or the class of a DataModule that has none."""
    if isinstance(data, DataModule):
        return str(data.source or data.raw_path())
    return type(data).__name__


def find_settings(cli: "LightFitCLI") -> dict[str, Any]:
    """Return what the command line sets, by dotted key: numbers, texts and yes or no, as the configuration has them."""
    values = flatten_keys(cli.config_dump)
    given = [key for key in sorted(cli.typed_keys) if key not in OF_MACHINE and not key.startswith("trainer.logger")]
    settings: dict[str, Any] = {}
    for key in given:
        # A net or model that is named stands under its class path.
        for name in (key, f"{key}.class_path"):
            if isinstance(value := values.get(name), (bool, int, float, str)):
                settings[key] = str(value).rpartition(".")[2] if name.endswith("class_path") else value
    return settings


def find_commit(folder: Path) -> str | None:
    """Return the commit of the git repository around a folder, with `+` where files differ from it; None outside."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--abbrev=9", "--exclude=*", "--dirty=+"],
            capture_output=True,
            text=True,
            timeout=GIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
