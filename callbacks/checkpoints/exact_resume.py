"""Random numbers that go on where a checkpoint was saved."""

import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from lightfit.lightning import OneLightning, pl

from .loop_state import is_within_epoch, validation_is_next

KEY = "random_states"  # in the checkpoint: of each process


class ExactResume(OneLightning, pl.Callback):
    """Puts the state of all random numbers into checkpoints: a run that goes on draws those that it would have drawn.

    Dropout then leaves out the same units. The order of samples and their augmentation are the DataModule's.
    """

    def __init__(self) -> None:
        self._before_validation: dict[str, Any] | None = None
        self._states: list[dict[str, Any]] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the state for a checkpoint that is saved within the validation: that is then done anew."""
        self._before_validation = random_state() if validation_is_next(trainer) else None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forgets it."""
        self._before_validation = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the states of all processes."""
        own = self._before_validation or random_state()
        states: list[Any] = [own] * trainer.world_size
        if trainer.world_size > 1:
            dist.all_gather_object(states, own)
        checkpoint[KEY] = states

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes them, for when training starts."""
        self._states = checkpoint.get(KEY)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the state, unless steps of an epoch are to come: their iterator draws a number that was drawn before."""
        # What the trainer has left out if a schedule has asked for the number of steps: it has the loader early then.
        trainer.fit_loop._load_combined_loader_states()
        if not is_within_epoch(trainer) or validation_is_next(trainer):
            self._set_state(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Sets the state where it was not yet."""
        self._set_state(trainer)

    def _set_state(self, trainer: pl.Trainer) -> None:
        states, self._states = self._states, None
        if states is not None and len(states) == trainer.world_size:  # others draw anew
            set_random_state(states[trainer.global_rank])


def random_state() -> dict[str, Any]:
    """Of torch, of the GPU that is in use, of numpy and of Python, as tensors and plain data."""
    numpy_state: Any = np.random.get_state(legacy=True)
    name, keys, *numbers = numpy_state
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *numbers],
        "python": random.getstate(),
    }
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {})


def set_random_state(state: dict[str, Any]) -> None:
    """Sets what `random_state` told."""
    torch.set_rng_state(state["torch"])
    name, keys, *numbers = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *numbers))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])
