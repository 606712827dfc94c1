"""The summary of a net, and its graph in TensorBoard."""

import contextlib
import copy
import io
import warnings

import torch
from torch import Tensor, nn

from lightfit.lightning import pl

from ..cli.quiet import say


def summarise(net: nn.Module, x: Tensor) -> None:
    """Print torchkeras' summary of a net; `x` is a batch for it.

    The summary runs the net, so it gets a copy and a forked rng: results do not depend on it.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # On import torchkeras prints which of its optional packages are missing, and uses deprecated names of torch.
        warnings.simplefilter("ignore")
        from torchkeras import summary
    with torch.random.fork_rng(devices=[]):
        summary(copy.deepcopy(net).eval(), input_data=x)


def log_graph(trainer: pl.Trainer, net: nn.Module, x: Tensor) -> None:
    """Write the net's graph to TensorBoard, from a copy, so that the net and the random state do not change.

    If the net cannot be traced, a line is printed and the training continues.
    """
    for logger in trainer.loggers:
        if isinstance(logger, pl.loggers.TensorBoardLogger):
            with warnings.catch_warnings():
                # The tracer warns that the trace may be wrong for other inputs; this one is only displayed.
                warnings.simplefilter("ignore")
                try:
                    logger.experiment.add_graph(copy.deepcopy(net).eval(), x)
                except Exception as error:  # the net may run any code
                    reason = str(error).strip().splitlines() or [""]
                    say(f"no graph in TensorBoard: {type(net).__name__} cannot be traced ({reason[0]})")
