"""Ending a run when the system asks for it, so that it can be resumed later."""

import os
import signal
import threading
from typing import Any

from lightfit.errors import TrainingStopped
from lightfit.lightning import OneLightning, import_submodule, pl
from lightfit.platforms import find_kill_signal, list_stop_signals

from ..lightning_internals import find_cluster, leave_validation_open, requeue_job
from .best_and_last import find_best_and_last
from .durable import LAST, write_durably
from .loop_state import can_resume_from, is_validation_next

SIGNALS = list_stop_signals()


class StopOnSignal(OneLightning, pl.callbacks.Checkpoint):
    """On SIGTERM or SIGINT finishes the step, writes last.ckpt, and raises `TrainingStopped`.

    A `BestAndLast` writes it, which comes before this one in the trainer's list; without one it lies in the folder of a
    ModelCheckpoint, or else in the trainer's `default_root_dir`. A signal to one of several processes ends all. A
    second one ends the process at once. Validation is broken off, and repeated when the run is resumed; with several
    processes it is finished first. Under SLURM with re-queueing, its signal does the same, and the job is queued again.
    """

    def __init__(self) -> None:
        self._received = 0
        self._former: dict[int, Any] = {}
        self._trainer: pl.Trainer | None = None
        self._within_epoch = False  # whether it is saving there

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Install the handlers of the signals."""
        if stage == "fit":
            self._received, self._trainer = 0, trainer
            self._listen(trainer)

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install them again: the trainer has installed its own meanwhile."""
        self._listen(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a run that has not begun yet."""
        self._listen(trainer)
        if self._is_asked_to_stop(trainer):
            raise TrainingStopped(self._received)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
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

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop, and save the epoch where nothing else has."""
        if self._is_asked_to_stop(trainer):
            self._save_and_stop(trainer, within_epoch=False)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note a validation that is still to come, as a BestAndLast does in what it writes."""
        if self._within_epoch and is_validation_next(trainer):
            leave_validation_open(checkpoint)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the handlers that were there before."""
        for signum, handler in self._former.items():
            signal.signal(signum, handler)
        self._former = {}

    def _listen(self, trainer: pl.Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        queue = _find_queue(trainer)
        # SLURM sends SIGTERM too, to what is queued again already: the trainer ignores that.
        for signum in (queue.requeue_signal, signal.SIGINT) if queue is not None else SIGNALS:
            former = signal.signal(signum, self._receive)
            self._former.setdefault(signum, former)

    def _receive(self, signum: int, frame: Any) -> None:
        if not self._received:
            self._received = signum
            return
        launcher = self._trainer.strategy.launcher if self._trainer is not None else None
        if launcher is not None:
            launcher.kill(find_kill_signal())
        os._exit(128 + signum)

    def _is_asked_to_stop(self, trainer: pl.Trainer) -> bool:
        if trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            self._received = self._received or signal.SIGTERM
        return self._received > 0

    def _save_and_stop(self, trainer: pl.Trainer, *, within_epoch: bool = True) -> None:
        checkpoint = find_best_and_last(trainer)
        if checkpoint is not None:
            if within_epoch or not checkpoint.has_last_of(trainer):
                checkpoint.save_last_now(trainer, within_epoch=within_epoch)
            self._stop(trainer, checkpoint.last_model_path)
        else:
            path = os.path.join(_choose_folder(trainer), LAST)  # not a Path: it may lie on another machine
            write_durably(trainer)  # nor is a link followed, to a file that is another one's
            self._within_epoch = within_epoch
            trainer.save_checkpoint(path)
            self._stop(trainer, path)

    def _stop(self, trainer: pl.Trainer, path: str) -> None:
        queue = _find_queue(trainer)
        if queue is not None and self._received == queue.requeue_signal:
            requeue_job(trainer, self._received)
        raise TrainingStopped(self._received, path=path)


def _choose_folder(trainer: pl.Trainer) -> str:
    others: list[Any] = trainer.checkpoint_callbacks
    folders = [str(item.dirpath) for item in others if getattr(item, "dirpath", None)]
    return folders[0] if folders else trainer.default_root_dir


def _find_queue(trainer: pl.Trainer) -> Any:
    """Return SLURM's environment, where SLURM queues the job again; else None."""
    environment = find_cluster(trainer)
    slurm = import_submodule("plugins.environments").SLURMEnvironment
    return environment if isinstance(environment, slurm) and environment.auto_requeue else None
