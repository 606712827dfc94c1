"""Finders of a learning rate and of a batch size."""

import contextlib
import gc
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lightfit.errors import OutOfMemoryError, UsageError
from lightfit.lightning import import_submodule
from lightfit.scripts.cli.command import shorten_path

from ..cli.quiet import say
from ..training.lightning_cli import LightFitCLI
from ..training.options import Extras
from ..training.run import train
from ..training.run_folder import has_checkpoint

if TYPE_CHECKING:
    from lightfit.callbacks.pictures.plots import Plot

SMOOTHING = 0.98  # of the losses, by Lightning's learning rate finder
SKIPPED = 10  # first steps, which are too noisy
MOST_SAMPLES = 8192  # largest batch size tried


def find_lr(cli: LightFitCLI) -> None:
    """Raise the learning rate over 100 steps, print the one at which the loss falls fastest, and plot the curve.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    Raises:
        UsageError: the net is solved in closed form, or the loss does not fall at any learning rate.
    """
    if hasattr(cli.model.net, "fit_windows"):
        raise UsageError(
            f"--find_lr is for nets that are trained by gradients, and {type(cli.model.net).__name__} is solved in "
            "closed form: leave it out, or name another net, such as --model.net lightfit.nets.NLinear"
        )
    from lightfit.callbacks.logs.run_folder import run_folder, write_csv
    from lightfit.callbacks.pictures.plots import write_png  # here, as it brings matplotlib

    folder = run_folder(cli.trainer)
    with contextlib.redirect_stdout(io.StringIO()):
        found = (
            import_submodule("tuner")
            .Tuner(cli.trainer)
            .lr_find(cli.model, datamodule=cli.datamodule, update_attr=False)
        )
    if not cli.trainer.is_global_zero or found is None:
        return
    table = pd.DataFrame(found.results)
    table["loss"] = remove_bias(table["loss"].to_numpy())
    rate = find_steepest(table["lr"].to_numpy(), table["loss"].to_numpy())
    write_csv(table, folder / "lr_find.csv")
    write_png(plot_lr(table, rate).pixels(), folder / "lr_find.png")
    if rate is None:
        raise UsageError(
            f"no learning rate was found: the loss does not fall over these steps, see '{folder / 'lr_find.png'}'; "
            "use a smaller --data.batch_size to have more steps"
        )
    _print_result(
        f"the loss falls fastest at a learning rate of {rate:.2g}", f"--model.lr {rate:.2g}", folder / "lr_find.png"
    )


def remove_bias(smoothed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct the bias of the smoothed losses of Lightning's finder.

    Lightning counts one step too many, so its curve starts at half of the loss.
    """
    steps = np.arange(1, len(smoothed) + 1)
    return smoothed * (1 - SMOOTHING ** (steps + 1)) / (1 - SMOOTHING**steps)


def find_steepest(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    """Return the learning rate at which the loss falls fastest over the log of the rate; None if it never falls.

    Lightning's suggestion uses the slope over the rate itself, which is steep for tiny rates.
    """
    if len(rates) < SKIPPED + 3:
        return None
    slopes = np.gradient(losses, np.log(rates))[SKIPPED:]
    index = int(np.nanargmin(slopes)) if np.isfinite(slopes).any() else 0
    return float(rates[SKIPPED + index]) if slopes[index] < 0 else None


def plot_lr(table: pd.DataFrame, rate: float | None) -> "Plot":
    """Plot the loss over the learning rate, with the suggested rate marked.

    Args:
        table: columns `lr` and `loss`.
        rate: the suggested learning rate; None if there is none.
    """
    from lightfit.callbacks.pictures.plots import Plot

    figure = Plot(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(table["lr"], table["loss"])
    if rate is not None:
        nearest = table.iloc[int((table["lr"] - rate).abs().argmin())]
        axes.plot(nearest["lr"], nearest["loss"], "o", color="tab:red", label=f"{rate:.2g}")
        axes.legend(title="falls fastest at")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss, smoothed")
    axes.grid(alpha=0.3)
    return figure


def find_batch_size(cli: LightFitCLI) -> None:
    """Double the batch size until memory runs out, the data is used up or 8,192 is reached; print the largest one."""
    with contextlib.redirect_stdout(io.StringIO()):
        size = (
            import_submodule("tuner")
            .Tuner(cli.trainer)
            .scale_batch_size(cli.model, datamodule=cli.datamodule, max_val=MOST_SAMPLES)
        )
    if cli.trainer.is_global_zero and size is not None:
        most = min(size, len(cli.datamodule.train_data))
        _print_result(f"batches of up to {most} samples fit", f"--data.batch_size {most}")


def _print_result(result: str, flag: str, picture: Path | None = None) -> None:
    link = f", see {shorten_path(picture)}" if picture else ""
    print(f"{result}{link}; to train with it, add {flag} to the same command")


def drop_auto(args: list[str]) -> list[str] | None:
    """Return the arguments without `--data.batch_size auto`; None if it is not among them."""
    for index, word in enumerate(args):
        if word == "--data.batch_size=auto":
            return args[:index] + args[index + 1 :]
        if word == "--data.batch_size" and args[index + 1 : index + 2] == ["auto"]:
            return args[:index] + args[index + 2 :]
    return None


def train_halving(
    task: str, args: list[str], extras: Extras, build: Callable[[list[str], Extras], LightFitCLI]
) -> None:
    """Train; when memory runs out, halve the batch size and resume from the last checkpoint, if there is one.

    Args:
        task: name of the task.
        args: arguments of LightningCLI; their batch size is the first one tried.
        extras: what LightFit's own flags add.
        build: returns the run of arguments and extras.

    Raises:
        OutOfMemoryError: one sample does not fit, or the world size is above 1: other ranks are within a step.
    """
    while True:
        cli = build(args, extras)
        try:
            train(task, cli)
            return
        except OutOfMemoryError as error:
            size = error.batch_size // 2
            if size == 0 or cli.trainer.world_size > 1:
                raise
            run = cli.trainer.log_dir or ""
        del cli
        gc.collect()
        torch.cuda.empty_cache()
        say(f"out of memory with a batch size of {2 * size}: trying {size}")
        args = [*args, "--data.batch_size", str(size)]
        extras = extras._replace(resume=run if has_checkpoint(run) else None)
