"""last.ckpt at any step, whatever else saves checkpoints."""

import os
from typing import Any

from lightfit.lightning import pl

from ..lightning_internals import leave_validation_open
from .best_and_last import find_best_and_last
from .durable import LAST, write_durably
from .loop_state import is_validation_next


class AfterOthers(pl.callbacks.Checkpoint):
    """Last of a trainer's callbacks while a fit runs: has another callback work when all others have done theirs.

    A Checkpoint, as Lightning calls those after the module's own hook where an epoch ends. The other callback is none:
    beside any Checkpoint a trainer saves no checkpoints by itself, and with `enable_checkpointing=False` it refuses it.

    Args:
        owner: the other callback.
    """

    def __init__(self, owner: "SavesLast") -> None:
        self.owner = owner

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Call the owner."""
        self.owner.after_train_batch(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Call the owner."""
        self.owner.after_train_epoch(trainer)


class SavesLast(pl.Callback):
    """Base of callbacks that write last.ckpt.

    A `BestAndLast` of the trainer writes it, with or without `save_last`; without one it lies in the folder of a
    ModelCheckpoint, or else in the trainer's `default_root_dir`.
    """

    _within_epoch = False  # whether it is saving there

    def after_train_batch(self, trainer: pl.Trainer) -> None:
        """Do the callback's work after a training batch, when all others have done theirs."""

    def after_train_epoch(self, trainer: pl.Trainer) -> None:
        """Do the callback's work after an epoch, when all others have done theirs."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Join the end of the trainer's callbacks."""
        if stage == "fit":
            callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
            trainer.callbacks = [*callbacks, AfterOthers(self)]  # type: ignore[attr-defined]

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the end of the trainer's callbacks."""
        self._leave(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave it after an error too, when there is no teardown."""
        self._leave(trainer)

    def _leave(self, trainer: Any) -> None:
        # A new list: the old one is in use.
        trainer.callbacks = [
            item for item in trainer.callbacks if not (isinstance(item, AfterOthers) and item.owner is self)
        ]

    def save_last(self, trainer: pl.Trainer, *, within_epoch: bool = True) -> str:
        """Write last.ckpt, and return its path; all ranks call this together.

        Args:
            trainer: the trainer; within an epoch where `can_resume_from` is true of it.
            within_epoch: whether the epoch's end is still to come.
        """
        checkpoint = find_best_and_last(trainer)
        if checkpoint is not None:
            if within_epoch or not checkpoint.has_last_of(trainer):
                checkpoint.save_last_now(trainer, within_epoch=within_epoch)
            return checkpoint.last_model_path
        path = os.path.join(_choose_folder(trainer), LAST)  # not a Path: it may lie on another machine
        write_durably(trainer)  # nor is a link followed, to a file that is another one's
        self._within_epoch = within_epoch
        try:
            trainer.save_checkpoint(path)
        finally:
            self._within_epoch = False
        return path

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note a validation that is still to come, as a BestAndLast does in what it writes."""
        if self._within_epoch and is_validation_next(trainer):
            leave_validation_open(checkpoint)


def _choose_folder(trainer: pl.Trainer) -> str:
    others: list[Any] = trainer.checkpoint_callbacks
    folders = [str(item.dirpath) for item in others if getattr(item, "dirpath", None)]
    return folders[0] if folders else trainer.default_root_dir
