"""Flags of fit.py that stand for a callback, a logger or a way to run."""

import argparse
import importlib.util
import re
from typing import Any, Literal, NamedTuple

from lightfit.errors import UsageError

LOGGERS = ("wandb", "mlflow")
UNITS_S = {"s": 1, "m": 60, "h": 3600}


class Extras(NamedTuple):
    """What flags add to a run: callbacks and loggers as configuration, compilation of the net, threads."""

    callbacks: tuple[dict[str, Any], ...] = ()
    loggers: tuple[dict[str, Any], ...] = ()
    compile: bool = False
    threads: int | None = None
    resume: str | None = None  # a run to go on with
    checkpoint_every: tuple[int, float] | None = None  # steps, seconds; one of them 0
    strategy: str | None = None  # of the trainer
    on_nan: Literal["stop", "skip"] = "stop"  # what a loss that is no number does


NOTHING = Extras()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags to a parser."""
    parser.add_argument("--threads", type=int)
    parser.add_argument("--strategy")
    parser.add_argument("--on_nan", choices=("stop", "skip"), default="stop")
    parser.add_argument("--resume")
    parser.add_argument("--checkpoint_every")
    parser.add_argument("--early_stopping", type=int)
    parser.add_argument("--ema", type=float)
    parser.add_argument("--swa", type=float)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--find_lr", action="store_true")
    parser.add_argument("--find_batch_size", action="store_true")
    parser.add_argument("--folds", type=int)
    for flag in LOGGERS:
        parser.add_argument(f"--{flag}", action="store_true")


def flag_names() -> list[str]:
    """The flags without their dashes, to name the nearest to one that is misspelt."""
    parser = argparse.ArgumentParser(add_help=False)
    add_flags(parser)
    return [action.dest for action in parser._actions]


def extras_of(options: argparse.Namespace, task: str) -> Extras:
    """What the flags ask for.

    Raises:
        UsageError: a value is none, two of them exclude each other, or a package is missing.
    """
    if options.resume is not None and (options.find_lr or options.find_batch_size or options.folds is not None):
        raise UsageError(
            "--resume goes on with a run; --find_lr, --find_batch_size and --folds begin anew: leave it out"
        )
    if sum([options.find_lr, options.find_batch_size, options.folds is not None]) > 1:
        raise UsageError("--find_lr, --find_batch_size and --folds each do another thing: give one of them")
    if options.folds is not None and options.folds < 2:
        raise UsageError(f"expected --folds of at least 2, received {options.folds}")
    if options.threads is not None and options.threads < 1:
        raise UsageError(f"expected --threads of at least 1, received {options.threads}")
    return Extras(
        tuple(_callbacks(options)),
        tuple(_loggers(options, task)),
        options.compile,
        options.threads,
        options.resume,
        interval_of(options.checkpoint_every) if options.checkpoint_every is not None else None,
        options.strategy,
        options.on_nan,
    )


def interval_of(text: str) -> tuple[int, float]:
    """Steps and seconds, one of them 0, of `500`, `30s`, `5m` or `1h`.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)([smh])", text)
    steps = int(match[1] or 0) if match else 0
    seconds = float(match[2] or 0) * UNITS_S[match[3] or "s"] if match else 0.0
    if not (steps or seconds):
        raise UsageError(
            f"expected --checkpoint_every in steps, such as 500, or in time, as 30s, 5m or 1h; received {text}"
        )
    return steps, seconds


def _callbacks(options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.ema is not None and options.swa is not None:
        raise UsageError("--ema and --swa both average the weights: give one of them")
    callbacks: list[dict[str, Any]] = []
    if options.early_stopping is not None:
        if options.early_stopping < 1:
            raise UsageError(f"expected --early_stopping of at least 1 epoch, received {options.early_stopping}")
        # The metric and its mode are those of the checkpoint, which are known later.
        callbacks.append(_built("pl.callbacks.EarlyStopping", patience=options.early_stopping))
    if options.ema is not None:
        if not 0 < options.ema < 1:
            raise UsageError(f"expected --ema as a decay between 0 and 1, such as 0.99, received {options.ema}")
        callbacks.append(_built("pl.callbacks.EMAWeightAveraging", decay=options.ema))
    if options.swa is not None:
        if not 0 <= options.swa < 1:
            raise UsageError(f"expected --swa as a part of the epochs in [0, 1), such as 0.75, received {options.swa}")
        callbacks.append(_built("lightfit.callbacks.StochasticWeightAverage", start=options.swa))
    return callbacks


def _loggers(options: argparse.Namespace, task: str) -> list[dict[str, Any]]:
    for package in LOGGERS:
        if getattr(options, package) and importlib.util.find_spec(package) is None:
            raise UsageError(f"--{package} needs the package {package}: pip install 'lightfit[{package}]'")
    loggers: list[dict[str, Any]] = []
    if options.wandb:
        loggers.append(_built("pl.loggers.WandbLogger", project=f"lightfit-{task}", save_dir="runs"))
    if options.mlflow:
        where = "sqlite:///runs/mlflow.db"
        loggers.append(_built("pl.loggers.MLFlowLogger", experiment_name=task, tracking_uri=where))
    return loggers


def _built(class_path: str, **init_args: Any) -> dict[str, Any]:
    # `pl.` stands for the Lightning that is chosen later: nothing heavy is imported here.
    return {"class_path": class_path, "init_args": init_args}
