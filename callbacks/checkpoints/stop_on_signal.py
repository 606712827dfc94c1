"""Ending a run when the system asks for it, so that it can be resumed later."""

import os
import signal
import threading
from typing import Any

from lightfit.errors import TrainingStopped
from lightfit.lightning import OneLightning, import_submodule, pl
from lightfit.platforms import find_kill_signal, list_stop_signals

from ..lightning_internals import find_cluster, requeue_job
from .loop_state import can_resume_from
from .save_last import SavesLast

SIGNALS = list_stop_signals()


class StopOnSignal(OneLightning, SavesLast):
    """On SIGTERM or SIGINT finishes the step, writes last.ckpt, and raises `TrainingStopped`, which names the file.

    A `BestAndLast` writes it, with or without `save_last`; without one it lies in the folder of a ModelCheckpoint, or
    else in the trainer's `default_root_dir`. A signal to one of several processes ends all. A second one ends the
    process at once. Validation is broken off, and repeated when the run is resumed; with several processes it is
    finished first. Under SLURM with re-queueing, its signal does the same, and the job is queued again.
    """

    def __init__(self) -> None:
        self._received = 0
        self._former: dict[int, Any] = {}
        self._trainer: pl.Trainer | None = None  # while it fits

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Install the handlers of the signals."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._received, self._trainer = 0, trainer
            # Those of a fit before, but where they are still in place after an error.
            self._former = {n: handler for n, handler in self._former.items() if signal.getsignal(n) == self._receive}
            self._listen(trainer)

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install them again: the trainer has installed its own meanwhile."""
        self._listen(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a run that has not begun yet."""
        self._listen(trainer)
        if self._is_asked_to_stop(trainer):
            raise TrainingStopped(self._received)

    def after_train_batch(self, trainer: pl.Trainer) -> None:
        """Save and stop, after the first step from which a run can resume."""
        if self._is_asked_to_stop(trainer) and can_resume_from(trainer):
            self._save_and_stop(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        """Break the validation off; other ranks may have fewer batches, and cannot be asked here."""
        if self._received and trainer.world_size == 1 and not trainer.sanity_checking:
            raise StopIteration  # what ends the trainer's loop after the last batch

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save and stop before anything is concluded from a validation that was broken off."""
        if not trainer.sanity_checking and trainer.state.fn == "fit" and self._is_asked_to_stop(trainer):
            self._save_and_stop(trainer)

    def after_train_epoch(self, trainer: pl.Trainer) -> None:
        """Stop, and save the epoch where nothing else has."""
        if self._is_asked_to_stop(trainer):
            self._save_and_stop(trainer, within_epoch=False)

    def _leave(self, trainer: Any) -> None:
        """Restore the handlers that were there before.

        After an error the trainer puts ours back, as it found them when it began: they then pass a signal on.
        """
        super()._leave(trainer)
        self._trainer = None
        if threading.current_thread() is threading.main_thread():
            for signum, handler in self._former.items():
                signal.signal(signum, handler)

    def _listen(self, trainer: pl.Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        queue = _find_queue(trainer)
        # SLURM sends SIGTERM too, to what is queued again already: the trainer ignores that.
        for signum in (queue.requeue_signal, signal.SIGINT) if queue is not None else SIGNALS:
            former = signal.signal(signum, self._receive)
            if former != self._receive:
                self._former.setdefault(signum, former)

    def _receive(self, signum: int, frame: Any) -> None:
        if self._trainer is None:
            signal.signal(signum, self._former.get(signum, signal.SIG_DFL))
            signal.raise_signal(signum)
            return
        if not self._received:
            self._received = signum
            return
        launcher = self._trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(find_kill_signal())
        os._exit(128 + signum)

    def _is_asked_to_stop(self, trainer: pl.Trainer) -> bool:
        if trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            self._received = self._received or signal.SIGTERM
        return self._received > 0

    def _save_and_stop(self, trainer: pl.Trainer, *, within_epoch: bool = True) -> None:
        path = self.save_last(trainer, within_epoch=within_epoch)
        queue = _find_queue(trainer)
        if queue is not None and self._received == queue.requeue_signal:
            requeue_job(trainer, self._received)
        raise TrainingStopped(self._received, path=path)


def _find_queue(trainer: pl.Trainer) -> Any:
    """Return SLURM's environment, where SLURM queues the job again; else None."""
    environment = find_cluster(trainer)
    slurm = import_submodule("plugins.environments").SLURMEnvironment
    return environment if isinstance(environment, slurm) and environment.auto_requeue else None
