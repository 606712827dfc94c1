"""Looking for a learning rate and a batch size."""

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
from lightfit.lightning import part
from lightfit.scripts.cli.command import from_here

from ..cli.quiet import say
from ..training.lightning_cli import LightFitCLI
from ..training.options import Extras
from ..training.run import train
from ..training.run_folder import has_checkpoint

if TYPE_CHECKING:
    from lightfit.callbacks.pictures.plots import Plot

SMOOTHING = 0.98  # of the losses, by Lightning's finder
SKIPPED = 10  # steps at the beginning, which say little
MOST_SAMPLES = 8192  # of a batch that is tried


def find_lr(cli: LightFitCLI) -> None:
    """Lets the rate rise over 100 steps, and says at which one the loss falls fastest; draws the curve.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    Raises:
        UsageError: the loss does not fall anywhere.
    """
    from lightfit.callbacks.pictures.plots import run_folder, write_csv, write_png  # here, as it brings matplotlib

    folder = run_folder(cli.trainer)
    with contextlib.redirect_stdout(io.StringIO()):
        found = part("tuner").Tuner(cli.trainer).lr_find(cli.model, datamodule=cli.datamodule, update_attr=False)
    if not cli.trainer.is_global_zero or found is None:
        return
    table = pd.DataFrame(found.results)
    table["loss"] = debiased(table["loss"].to_numpy())
    rate = steepest(table["lr"].to_numpy(), table["loss"].to_numpy())
    write_csv(table, folder / "lr_find.csv")
    write_png(plot_lr(table, rate).pixels(), folder / "lr_find.png")
    if rate is None:
        raise UsageError(
            f"no learning rate was found: the loss falls nowhere over these steps, see '{folder / 'lr_find.png'}'; "
            "with a smaller --data.batch_size there are more of them"
        )
    _say(f"the loss falls fastest at a learning rate of {rate:.2g}", f"--model.lr {rate:.2g}", folder / "lr_find.png")


def debiased(smoothed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means of Lightning's finder with the weight that they should have: it counts one step too many, so that the
    curve would begin at half of the loss."""
    steps = np.arange(1, len(smoothed) + 1)
    return smoothed * (1 - SMOOTHING ** (steps + 1)) / (1 - SMOOTHING**steps)


def steepest(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    """The rate at which the loss falls fastest by the logarithm of the rate; None where it falls nowhere.

    Lightning's own suggestion takes the slope by the rate itself, which is steep where rates are tiny.
    """
    if len(rates) < SKIPPED + 3:
        return None
    slopes = np.gradient(losses, np.log(rates))[SKIPPED:]
    place = int(np.nanargmin(slopes)) if np.isfinite(slopes).any() else 0
    return float(rates[SKIPPED + place]) if slopes[place] < 0 else None


def plot_lr(table: pd.DataFrame, rate: float | None) -> "Plot":
    """The loss by the learning rate, with the suggested one marked.

    Args:
        table: columns `lr` and `loss`.
        rate: the suggestion; None if there is none.
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
    """Doubles the batch till memory is short, the data is used up or 8,192 are reached, and says the largest one."""
    with contextlib.redirect_stdout(io.StringIO()):
        size = (
            part("tuner")
            .Tuner(cli.trainer)
            .scale_batch_size(cli.model, datamodule=cli.datamodule, max_val=MOST_SAMPLES)
        )
    if cli.trainer.is_global_zero and size is not None:
        most = min(size, len(cli.datamodule.train_data))
        _say(f"batches of up to {most} samples fit", f"--data.batch_size {most}")


def _say(result: str, flag: str, picture: Path | None = None) -> None:
    seen = f", see {from_here(picture)}" if picture else ""
    print(f"{result}{seen}; the same command with {flag} trains with it")


def without_auto(args: list[str]) -> list[str] | None:
    """The arguments but for `--data.batch_size auto`; None where that is not among them."""
    for place, word in enumerate(args):
        if word == "--data.batch_size=auto":
            return args[:place] + args[place + 1 :]
        if word == "--data.batch_size" and args[place + 1 : place + 2] == ["auto"]:
            return args[:place] + args[place + 2 :]
    return None


def train_halving(
    task: str, args: list[str], extras: Extras, build: Callable[[list[str], Extras], LightFitCLI]
) -> None:
    """Trains; where memory does not suffice, with batches of half the size, from the last checkpoint if there is one.

    Args:
        task: name of the task.
        args: LightningCLI's, whose batch size is the first that is tried.
        extras: what flags of one's own add.
        build: the run of arguments and extras.

    Raises:
        OutOfMemoryError: it does not suffice for one sample, or there are several processes: others are within a step.
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
        say(f"out of memory with batches of {2 * size}: trying {size}")
        args = [*args, "--data.batch_size", str(size)]
        extras = extras._replace(resume=run if has_checkpoint(run) else None)
