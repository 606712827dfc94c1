"""One trial of a search: a run with values that were chosen for it."""

import contextlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightfit.callbacks.logs.report_metric import ReportMetric
from lightfit.errors import UsageError
from lightfit.files import whole_file
from lightfit.lightning import pl

from ..cli.command import how_to_run
from ..training.run import build, train
from .space import pairs, set_key


class Search(NamedTuple):
    """What all trials of a search have in common."""

    task: str
    preset: Path
    args: tuple[str, ...]  # of fit.py, the same for all trials
    gpus: str
    folder: Path  # where the study, its runs and the best preset are


Report = Callable[[float, int, str], None]  # gets the metric, the epoch, and whether its mode is min or max


class Score(NamedTuple):
    """What a trial gave: its best value of the metric, the metric's name, and whether less or more is better."""

    value: float
    monitor: str
    mode: str


def minimised(value: float, mode: str) -> float:
    """Return what a search that minimises is told of a metric: its negative where more is better.

    Args:
        value: of the metric.
        mode: min or max, as the trial's checkpoint has it.
    """
    return -value if mode == "max" else value


def run_trial(search: Search, number: int, values: Mapping[str, Any], report: Report | None = None) -> Score:
    """Trains with the values and returns the best score.

    Args:
        search: what all trials have in common.
        number: number of the trial, for the name of its folder.
        values: by key, as on the command line.
        report: gets the metric, the epoch and the metric's mode after each validation, and may end the trial by an
            exception. The mode is the trial's own, since a preset or an argument may set it.

    Raises:
        UsageError: the run keeps no checkpoint, so that there is no metric to judge by.
    """
    chosen = [
        f"--{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}" for key, value in values.items()
    ]
    place = [f"--trainer.logger.version=trial_{number:03d}", f"--trainer.logger.save_dir={search.folder.parent}"]
    with contextlib.redirect_stdout(io.StringIO()):
        args = ["--config", str(search.preset), *search.args, *chosen, *place]
        cli = build(search.folder.name, args, gpus=search.gpus, quiet=True)
        kept = cli.trainer.checkpoint_callback
        if not isinstance(kept, pl.callbacks.ModelCheckpoint) or kept.monitor is None:
            raise UsageError("a search needs a metric to judge by: leave --checkpoint.monitor as it is")
        train(search.folder.name, cli, watchers=[_watcher(kept.monitor, kept.mode, report)] if report else [])
    if kept.best_model_score is None:
        raise UsageError(f"the trial kept no checkpoint by {kept.monitor}: is there a validation part?")
    return Score(float(kept.best_model_score), kept.monitor, kept.mode)


def _watcher(monitor: str, mode: str, report: Report) -> ReportMetric:
    return ReportMetric(monitor, report=lambda value, epoch: report(value, epoch, mode))


def write_best(search: Search, values: Mapping[str, Any], score: Score, *, trials: int) -> Path:
    """The preset of the best trial, which `fit.py --task` runs as it is: the search's with its values.

    Args:
        search: what all trials have in common.
        values: those of the best trial.
        score: its score.
        trials: number of trials that ended.
    """
    config = yaml.safe_load(search.preset.read_text(encoding="utf-8"))
    config.pop("tune", None)
    for key, value in {**pairs(list(search.args)), **values}.items():
        set_key(config, key, value)
    path = search.folder / "best.yaml"
    header = [
        f"# What: {search.task}, with the best values of {trials} trials.",
        f"# Source: that of '{search.preset}'.",
        f"# Command: {how_to_run('fit')} --task {path}",
        f"# Result: {score.monitor} {score.value:.4f} in the search, which chose by it: on new data expect less.",
        "# Cost: that of one trial.",
    ]
    with whole_file(path) as part:
        part.write_text("\n".join(header) + "\n" + yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path
