"""`--data.batch_size auto`: the largest batch of a row of halves that memory has room for."""

import gc
from collections.abc import Callable

import torch

from scripts.cli import LightFitCLI
from scripts.errors import OutOfMemory
from scripts.quiet import say
from scripts.run_folder import has_checkpoint
from scripts.training import train
from scripts.training_options import Extras


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
        OutOfMemory: it does not suffice for one sample, or there are several processes: others are within a step.
    """
    while True:
        cli = build(args, extras)
        try:
            train(task, cli)
            return
        except OutOfMemory as error:
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
