"""Flags of fit.py that stand for a callback, a logger or an option of the run."""

import argparse
import importlib.util
import re
from typing import Any, Literal, NamedTuple

from lightfit.errors import UsageError
from lightfit.extras import missing_package

from ..cli.lightning_internals import list_destinations

LOGGERS = ("wandb", "mlflow")
UNITS_S = {"s": 1, "m": 60, "h": 3600}


class Extras(NamedTuple):
    """What flags add to a run: callbacks and loggers as configuration, compilation of the net, threads."""

    callbacks: tuple[dict[str, Any], ...] = ()
    loggers: tuple[dict[str, Any], ...] = ()
    compile: bool = False
    threads: int | None = None
    resume: str | None = None  # the run to resume: auto, a run folder or a checkpoint
    checkpoint_every: tuple[int, float] | None = None  # steps, seconds; one of them 0
    strategy: str | None = None  # of the trainer
    on_nan: Literal["stop", "skip"] = "stop"  # on a loss or gradients that are NaN or infinite
    keep_examples: int | None = None  # number of training samples that checkpoints hold, for the server's page


NOTHING = Extras()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser."""
    parser.add_argument("--threads", type=int)
    parser.add_argument("--strategy")
    parser.add_argument("--on_nan", choices=("stop", "skip"), default="stop")
    parser.add_argument("--keep_examples", type=int)
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
    """Return the names of the flags without dashes, to suggest the nearest one to a misspelt flag."""
    parser = argparse.ArgumentParser(add_help=False)
    add_flags(parser)
    return list_destinations(parser)


def parse_extras(options: argparse.Namespace, task: str) -> Extras:
    """Return what the flags ask for.

    Raises:
        UsageError: a value is invalid, two flags exclude each other, or a package is missing.
    """
    if options.resume is not None and (options.find_lr or options.find_batch_size or options.folds is not None):
        raise UsageError(
            "--resume continues a run, but --find_lr, --find_batch_size and --folds start from scratch: leave it out"
        )
    if sum([options.find_lr, options.find_batch_size, options.folds is not None]) > 1:
        raise UsageError("--find_lr, --find_batch_size and --folds exclude each other: give one of them")
    if options.folds is not None and options.folds < 2:
        raise UsageError(f"expected --folds of at least 2, received {options.folds}")
    if options.threads is not None and options.threads < 1:
        raise UsageError(f"expected --threads of at least 1, received {options.threads}")
    return Extras(
        tuple(_make_callbacks(options)),
        tuple(_make_loggers(options, task)),
        options.compile,
        options.threads,
        options.resume,
        parse_interval(options.checkpoint_every) if options.checkpoint_every is not None else None,
        options.strategy,
        options.on_nan,
        options.keep_examples,
    )


def parse_interval(text: str) -> tuple[int, float]:
    """Return steps and seconds, one of them 0, of an interval such as `500`, `30s`, `5m` or `1h`.

    Raises:
        UsageError: the text is not an interval.
    """
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)([smh])", text)
    steps = int(match[1] or 0) if match else 0
    seconds = float(match[2] or 0) * UNITS_S[match[3] or "s"] if match else 0.0
    if not (steps or seconds):
        raise UsageError(
            f"expected --checkpoint_every in steps, such as 500, or as a time, such as 30s, 5m or 1h; received {text}"
        )
    return steps, seconds


def _make_callbacks(options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.ema is not None and options.swa is not None:
        raise UsageError("--ema and --swa both average the weights: give one of them")
    callbacks: list[dict[str, Any]] = []
    if options.early_stopping is not None:
        if options.early_stopping < 1:
            raise UsageError(f"expected --early_stopping of at least 1 epoch, received {options.early_stopping}")
        # The metric and its mode are those of the checkpoint callback, set later.
        callbacks.append(_configure("pl.callbacks.EarlyStopping", patience=options.early_stopping))
    if options.ema is not None:
        if not 0 < options.ema < 1:
            raise UsageError(f"expected --ema as a decay between 0 and 1, such as 0.99, received {options.ema}")
        callbacks.append(_configure("pl.callbacks.EMAWeightAveraging", decay=options.ema))
    if options.swa is not None:
        if not 0 <= options.swa < 1:
            raise UsageError(f"expected --swa as a fraction in [0, 1), such as 0.75, received {options.swa}")
        callbacks.append(_configure("lightfit.callbacks.StochasticWeightAverage", start=options.swa))
    return callbacks


def _make_loggers(options: argparse.Namespace, task: str) -> list[dict[str, Any]]:
    for package in LOGGERS:
        if getattr(options, package) and importlib.util.find_spec(package) is None:
            raise missing_package(package, what=f"--{package}")
    loggers: list[dict[str, Any]] = []
    if options.wandb:
        loggers.append(_configure("pl.loggers.WandbLogger", project=f"lightfit-{task}", save_dir="runs"))
    if options.mlflow:
        where = "sqlite:///runs/mlflow.db"
        loggers.append(_configure("pl.loggers.MLFlowLogger", experiment_name=task, tracking_uri=where))
    return loggers


def _configure(class_path: str, **init_args: Any) -> dict[str, Any]:
    # `pl.` stands for the Lightning namespace, chosen later: this module imports nothing slow.
    return {"class_path": class_path, "init_args": init_args}
