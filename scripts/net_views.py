"""A net as a table and as a graph."""

import contextlib
import copy
import io
import warnings

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn


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


def log_graph(trainer: Trainer, net: nn.Module, x: Tensor) -> None:
    """Writes the net's graph to TensorBoard, from a copy, so that the net and the random state stay as they are."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            with warnings.catch_warnings():
                # The tracer warns of what would make a trace wrong for other inputs; this one is only looked at.
                warnings.simplefilter("ignore")
                logger.experiment.add_graph(copy.deepcopy(net).eval(), x)
