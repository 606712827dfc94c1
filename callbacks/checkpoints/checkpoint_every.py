"""Checkpoints within an epoch."""

import time
from typing import Any

from lightfit.lightning import OneLightning, pl

from .best_and_last import find_best_and_last
from .loop_state import can_resume_from


class CheckpointEvery(OneLightning, pl.callbacks.Checkpoint):
    """Writes last.ckpt every so many steps, or every so many seconds; after a `BestAndLast` in the trainer's list.

    Args:
        steps: number of steps between two checkpoints; 0: none by steps.
        seconds: time between two checkpoints; 0: none by time.
    """

    def __init__(self, *, steps: int = 0, seconds: float = 0.0) -> None:
        if steps < 0 or seconds < 0 or not (steps or seconds):
            raise ValueError(f"expected steps or seconds above 0, received steps {steps}, seconds {seconds}")
        self.steps = steps
        self.seconds = seconds
        self._saved_at = time.monotonic()  # a clock that is never set back
        self._saved_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start to count."""
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, or after the next step from which a run can resume."""
        due = bool(self.steps) and trainer.global_step // self.steps > self._saved_step // self.steps
        if self.seconds:
            due = due or time.monotonic() - self._saved_at >= self.seconds
            # Each rank has a clock of its own, and they save together.
            due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if due and can_resume_from(trainer) and (checkpoint := find_best_and_last(trainer)) is not None:
            checkpoint.save_last_now(trainer)
            self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
