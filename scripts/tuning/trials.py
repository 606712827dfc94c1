"""One trial of a search: a run with the values chosen for it."""

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

from ..cli.command import format_command
from ..training.run import build, train
from .space import parse_pairs, set_key


class Search(NamedTuple):
    """Settings that all trials of a search share."""

    task: str
    preset: Path
    args: tuple[str, ...]  # of fit.py, the same for all trials
    gpus: str
    folder: Path  # of the study, its runs and the best preset


Report = Callable[[float, int, str], None]  # receives the metric, the epoch and the mode, min or max


class Score(NamedTuple):
    """Result of a trial: best value of the metric, name of the metric, and its mode, min or max."""

    value: float
    monitor: str
    mode: str


def negate_if_max(value: float, mode: str) -> float:
    """Return a metric as an objective to minimise: negated if its mode is max.

    Args:
        value: value of the metric.
        mode: min or max, the mode of the trial's checkpoint callback.
    """
    return -value if mode == "max" else value


def run_trial(search: Search, index: int, values: Mapping[str, Any], report: Report | None = None) -> Score:
    """Train with the values and return the best score.

    Args:
        search: settings that all trials share.
        index: index of the trial, for the name of its folder.
        values: values by key, as on the command line.
        report: receives the metric, the epoch and the mode after each validation, and may stop the trial by raising.
            The mode is that of the trial, since a preset or an argument may set it.

    Raises:
        UsageError: the run saves no checkpoint by a metric, so trials cannot be compared.
    """
    chosen = [
        f"--{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}" for key, value in values.items()
    ]
    place = [f"--trainer.logger.version=trial_{index:03d}", f"--trainer.logger.save_dir={search.folder.parent}"]
    with contextlib.redirect_stdout(io.StringIO()):
        args = ["--config", str(search.preset), *search.args, *chosen, *place]
        cli = build(search.folder.name, args, gpus=search.gpus, quiet=True)
        checkpoint = cli.trainer.checkpoint_callback
        if not isinstance(checkpoint, pl.callbacks.ModelCheckpoint) or checkpoint.monitor is None:
            raise UsageError("a search needs a metric to compare trials by: do not set --checkpoint.monitor to null")
        train(
            search.folder.name,
            cli,
            watchers=[_make_watcher(checkpoint.monitor, checkpoint.mode, report)] if report else [],
        )
    if checkpoint.best_model_score is None:
        raise UsageError(f"the trial saved no checkpoint by {checkpoint.monitor}: expected data with a val split")
    return Score(float(checkpoint.best_model_score), checkpoint.monitor, checkpoint.mode)


def _make_watcher(monitor: str, mode: str, report: Report) -> ReportMetric:
    return ReportMetric(monitor, report=lambda value, epoch: report(value, epoch, mode))


def write_best(search: Search, values: Mapping[str, Any], score: Score, *, trials: int) -> Path:
    """Write the preset of the search with the best values, which `fit.py --task` runs unchanged; return its path.

    Args:
        search: settings that all trials share.
        values: values of the best trial.
        score: score of the best trial.
        trials: number of trials that ended.
    """
    config = yaml.safe_load(search.preset.read_text(encoding="utf-8"))
    config.pop("tune", None)
    for key, value in {**parse_pairs(list(search.args)), **values}.items():
        set_key(config, key, value)
    path = search.folder / "best.yaml"
    header = [
        f"# What: {search.task}, with the best values of {trials} trials.",
        f"# Source: as in '{search.preset}'.",
        f"# Command: {format_command('fit')} --task {path}",
        f"# Result: {score.monitor} {score.value:.4f} in the search, which selected by it: expect worse on new data.",
        "# Cost: one trial.",
    ]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(header) + "\n" + yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path
