"""The weights of a net's best epoch, in a plain file."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightfit.files import whole_file
from lightfit.lightning import OneLightning, pl
from lightfit.lightning_modules import save_weights


class BestWeights(OneLightning, pl.Callback):
    """Writes the net's state dict at the end of an epoch whose score is the best so far.

    Args:
        net: the net.
        path: the file, which is whole at any time.
        monitor: name of the score, as it is logged.
        mode: min or max, what the best score is.
    """

    def __init__(self, net: nn.Module, path: Path, monitor: str, mode: str) -> None:
        self.net, self.path, self.monitor, self.mode = net, path, monitor, mode
        self.best: float | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the weights, if the epoch's score is the best."""
        if self.monitor in trainer.callback_metrics:  # EarlyStopping raises where it is missing
            self.offer(float(trainer.callback_metrics[self.monitor]), is_writer=trainer.is_global_zero)
        trainer.strategy.barrier()

    def offer(self, score: float, *, is_writer: bool = True) -> None:
        """Write the weights that have this score, if it is the best.

        Args:
            score: the score; one that is not finite is never the best.
            is_writer: whether this process writes.
        """
        if not math.isfinite(score) or (self.best is not None and not self._is_better(score, self.best)):
            return
        self.best = score
        if is_writer:
            write_state_dict(self.net, self.path)

    def _is_better(self, score: float, best: float) -> bool:
        return score > best if self.mode == "max" else score < best

    def state_dict(self) -> dict[str, Any]:
        """Return the best score, for a checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the best score."""
        self.best = state_dict["best"]


def write_state_dict(net: nn.Module, path: Path) -> None:
    """Write the net's state dict, on the CPU, whole or not at all: as `torch.save(net.state_dict(), path)`, or in
    safetensors where the name ends so."""
    if path.suffix == ".safetensors":
        save_weights(net, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, durable=True) as unfinished:
        torch.save({key: value.detach().cpu() for key, value in net.state_dict().items()}, unfinished)
