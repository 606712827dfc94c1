"""Checkpoints of the best epoch and of the last one, or of the last step."""

import weakref
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lightfit.files import remove_parts
from lightfit.lightning import OneLightning, pl

from ..lightning_internals import counts_versions, leave_validation_open, saves_at_epoch_end
from .durable import DurableCheckpoints, write_durably
from .finite_weights import list_not_finite
from .loop_state import is_validation_next


class BestAndLast(OneLightning, pl.callbacks.ModelCheckpoint):
    """A ModelCheckpoint whose last.ckpt is the last epoch's, whether that was among the best or not.

    Since release 2.6 Lightning's own writes it only in epochs that are among the best, so that a run could resume from
    no other. Its files are those of `DurableCheckpoints`.
    """

    _within_epoch = False  # whether it is saving there
    _num_saved = 0  # checkpoints that anything saved during this run
    _last_step = -1  # the step at whose epoch's end last.ckpt was written

    @cached_property
    def state_key(self) -> str:
        """Return Lightning's key, which it builds anew from the arguments for every hook of every step."""
        return super().state_key

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Have the files written whole, unless the trainer has a custom way to write them."""
        super().setup(trainer, pl_module, stage)
        write_durably(trainer)
        if stage == "fit":
            self._last_step = -1
            if trainer.is_global_zero and self.dirpath and "://" not in str(self.dirpath):
                remove_parts(Path(self.dirpath))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note which buffers are masks of -inf and the like, before any step changes them."""
        if isinstance(writer := trainer.strategy.checkpoint_io, DurableCheckpoints):
            writer.not_finite_at_start = list_not_finite(pl_module.named_buffers())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epoch if it is among the best, and as the last one in any case."""
        before = self._num_saved
        super().on_train_epoch_end(trainer, pl_module)
        if self._num_saved > before:  # the best one, and with it the last one: a file, or a link to the best
            self._last_step = trainer.global_step if self.save_last is True else self._last_step
            return
        dry: bool = trainer.fast_dev_run  # type: ignore[attr-defined]
        if self.save_last and not dry and saves_at_epoch_end(self, trainer):
            self._write_last(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the last epoch where nothing was saved yet."""
        if self._last_step != trainer.global_step:
            super().on_train_end(trainer, pl_module)

    def save_last_now(self, trainer: pl.Trainer, *, within_epoch: bool = True) -> None:
        """Write last.ckpt, with or without `save_last`; all ranks call this together.

        Args:
            trainer: the trainer; within an epoch where `can_resume_from` is true of it.
            within_epoch: whether the epoch's end is still to come.
        """
        self._within_epoch = within_epoch
        try:
            self._write_last(trainer)
        finally:
            self._within_epoch = False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note a validation that is still to come, where a checkpoint is saved between the step and its end."""
        self._num_saved += 1
        if self._within_epoch and is_validation_next(trainer):
            leave_validation_open(checkpoint)

    def has_last_of(self, trainer: pl.Trainer) -> bool:
        """Return whether last.ckpt was written at the end of the epoch that the trainer has just done."""
        return self._last_step == trainer.global_step

    def _write_last(self, trainer: pl.Trainer) -> None:
        # A file, also where save_last is "link": what a link would lead to is older.
        previous, path = self.last_model_path, self._choose_last_path(trainer)
        self.last_model_path = path  # before it is saved, as its state holds the path
        trainer.save_checkpoint(path, self.save_weights_only)
        if not self._within_epoch:
            self._last_step = trainer.global_step
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.after_save_checkpoint(weakref.proxy(self))
        if previous and previous != path and Path(previous).parent == Path(path).parent:
            resumed_from = Path(trainer.ckpt_path).absolute() if trainer.ckpt_path else None
            if Path(previous).absolute() != resumed_from:
                trainer.strategy.remove_checkpoint(previous)

    def _choose_last_path(self, trainer: pl.Trainer) -> str:
        counts = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        metrics = {**trainer.callback_metrics, **{name: torch.tensor(count) for name, count in counts.items()}}
        path, version = self.format_checkpoint_name(metrics, self.CHECKPOINT_NAME_LAST), self.STARTING_VERSION
        while counts_versions(self) and self.file_exists(path, trainer) and path != self.last_model_path:
            path = self.format_checkpoint_name(metrics, self.CHECKPOINT_NAME_LAST, ver=version)
            version += 1
        return path


def find_best_and_last(trainer: pl.Trainer) -> BestAndLast | None:
    """Return the trainer's BestAndLast, if it has one."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, BestAndLast)), None)
