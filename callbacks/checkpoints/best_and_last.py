"""Checkpoints of the best epoch and of the last one, or of the last step."""

from functools import cached_property
from pathlib import Path
from typing import Any

from lightfit.files import remove_unfinished
from lightfit.lightning import OneLightning, pl

from .durable import DurableCheckpoints, write_durably
from .finite_weights import not_finite
from .loop_state import leave_validation_open, validation_is_next


class BestAndLast(OneLightning, pl.callbacks.ModelCheckpoint):
    """A ModelCheckpoint whose last.ckpt is the last epoch's, whether that was among the best or not.

    Lightning's own writes it since release 2.6 only in epochs that are among the best, so that a run could go on from
    no other. Its files are those of `DurableCheckpoints`.
    """

    _within_epoch = False  # whether it is saving there

    @cached_property
    def state_key(self) -> str:
        """As Lightning's, which writes it anew from the arguments for every hook of every step."""
        return super().state_key

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Has the files written whole, unless the trainer has a way of its own to write them."""
        super().setup(trainer, pl_module, stage)
        write_durably(trainer)
        if stage == "fit" and trainer.is_global_zero and self.dirpath and "://" not in str(self.dirpath):
            remove_unfinished(Path(self.dirpath))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells what writes the files which buffers are masks of -inf and the like, before any step changes them."""
        if isinstance(writer := trainer.strategy.checkpoint_io, DurableCheckpoints):
            writer.not_finite_at_start = not_finite(pl_module.named_buffers())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the epoch if it is among the best, and as the last one in any case."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._should_save_on_train_epoch_end(trainer) and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def save_last_now(self, trainer: pl.Trainer, *, within_epoch: bool = True) -> None:
        """Writes last.ckpt, with or without `save_last`; all processes call this together.

        Args:
            trainer: the trainer; within an epoch one that `can_go_on_from` here.
            within_epoch: whether the epoch's end is still to come.
        """
        saved, save_last = self._last_global_step_saved, self.save_last
        self._within_epoch, self.save_last = within_epoch, True  # no link: what it would lead to is older
        try:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        finally:
            self._within_epoch, self.save_last = False, save_last
            self._last_global_step_saved = saved  # the end of the epoch is to be saved too, if it comes at this step

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Notes a validation that is still to come, where a checkpoint is saved between the step and its end."""
        if self._within_epoch and validation_is_next(trainer):
            leave_validation_open(checkpoint)


def keeper_of(trainer: pl.Trainer) -> BestAndLast | None:
    """The trainer's BestAndLast, if it has one."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, BestAndLast)), None)
