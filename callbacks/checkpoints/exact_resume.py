"""Random numbers of a resumed run: those that it would have drawn without the interruption."""

import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from lightfit.lightning import OneLightning, pl

from ..lightning_internals import load_loader_states
from .loop_state import is_validation_next, is_within_epoch

KEY = "random_states"  # in the checkpoint: of each rank


class ExactResume(OneLightning, pl.Callback):
    """Saves the state of all random generators in checkpoints, so that a resumed run draws what it would have drawn.

    Dropout then leaves out the same units. The order of samples and their augmentation are the DataModule's.
    """

    def __init__(self) -> None:
        self._before_validation: dict[str, Any] | None = None
        self._states: list[dict[str, Any]] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the state for a checkpoint that is saved within the validation, which a resumed run then repeats."""
        self._before_validation = get_random_state() if is_validation_next(trainer) else None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget it."""
        self._before_validation = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the states of all ranks."""
        own = self._before_validation or get_random_state()
        states: list[Any] = [own] * trainer.world_size
        if trainer.world_size > 1:
            dist.all_gather_object(states, own)
        checkpoint[KEY] = states

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the states for the start of the training."""
        self._states = checkpoint.get(KEY)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the state, unless steps of an epoch are to come: their iterator draws a number that was drawn before."""
        load_loader_states(trainer)
        if not is_within_epoch(trainer) or is_validation_next(trainer):
            self._restore(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the state where it was not set yet."""
        self._restore(trainer)

    def _restore(self, trainer: pl.Trainer) -> None:
        states, self._states = self._states, None
        if states is not None and len(states) == trainer.world_size:  # another world size draws anew
            set_random_state(states[trainer.global_rank])


def get_random_state() -> dict[str, Any]:
    """Return the random state of torch, of the GPU in use, of numpy and of Python, as tensors and plain data."""
    numpy_state: Any = np.random.get_state(legacy=True)
    name, keys, *numbers = numpy_state
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *numbers],
        "python": random.getstate(),
    }
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {})


def set_random_state(state: dict[str, Any]) -> None:
    """Set what `get_random_state` returned."""
    torch.set_rng_state(state["torch"])
    name, keys, *numbers = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *numbers))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])
