"""Checkpoints of the best epoch and of the last one."""

from functools import cached_property

from callbacks.namespace import pl


class BestAndLast(pl.callbacks.ModelCheckpoint):
    """A ModelCheckpoint whose last.ckpt is the last epoch's, whether that was among the best or not.

    Lightning's own writes it since release 2.6 only in epochs that are among the best, so that a run could go on from
    no other.
    """

    @cached_property
    def state_key(self) -> str:
        """As Lightning's, which writes it anew from the arguments for every hook of every step."""
        return super().state_key

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the epoch if it is among the best, and as the last one in any case."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._should_save_on_train_epoch_end(trainer) and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
