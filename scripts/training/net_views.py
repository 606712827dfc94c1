"""A net as a table and as a graph."""

import contextlib
import copy
import io
import warnings

import torch
from torch import Tensor, nn

from lightfit.lightning import pl

from ..cli.quiet import say


def summarise(net: nn.Module, x: Tensor) -> None:
    """Prints torchkeras' summary of a net; `x` is a batch for it.

    Of a copy, and with a random state of its own: the summary runs the net, and a run is the same without it.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # On import torchkeras prints which of its optional packages are missing, and uses what torch deprecates.
        warnings.simplefilter("ignore")
        from torchkeras import summary
    with torch.random.fork_rng(devices=[]):
        summary(copy.deepcopy(net).eval(), input_data=x)


def log_graph(trainer: pl.Trainer, net: nn.Module, x: Tensor) -> None:
    """Write the net's graph to TensorBoard, from a copy, so that the net and the random state stay as they are.

    A net that cannot be traced trains all the same, with a line that says so.
    """
    for logger in trainer.loggers:
        if isinstance(logger, pl.loggers.TensorBoardLogger):
            with warnings.catch_warnings():
                # The tracer warns of what would make a trace wrong for other inputs; this one is only looked at.
                warnings.simplefilter("ignore")
                try:
                    logger.experiment.add_graph(copy.deepcopy(net).eval(), x)
                except Exception as error:  # whatever code the net runs
                    reason = str(error).strip().splitlines() or [""]
                    say(f"no graph in TensorBoard: {type(net).__name__} cannot be traced ({reason[0]})")
