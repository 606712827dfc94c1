"""Checkpoints within an epoch."""

import time

from lightfit.lightning import OneLightning, pl

from .loop_state import can_resume_from
from .save_last import SavesLast


class CheckpointEvery(OneLightning, SavesLast):
    """Writes last.ckpt every so many steps, or every so many seconds.

    Where it lies, and beside which other checkpoint callbacks: as `StopOnSignal`.

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

    def after_train_batch(self, trainer: pl.Trainer) -> None:
        """Save where it is time, or after the next step from which a run can resume."""
        due = bool(self.steps) and trainer.global_step // self.steps > self._saved_step // self.steps
        if self.seconds:
            due = due or time.monotonic() - self._saved_at >= self.seconds
            # Each rank has a clock of its own, and they save together.
            due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if due and can_resume_from(trainer) and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.save_last(trainer)
            self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
