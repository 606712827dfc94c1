"""Ending a run when the system asks for it, so that it can go on later."""

import os
import signal
import threading
from typing import Any

from lightfit.errors import TrainingStopped
from lightfit.lightning import OneLightning, part, pl

from .best_and_last import keeper_of
from .durable import LAST, write_durably
from .loop_state import can_go_on_from, leave_validation_open, validation_is_next

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopOnSignal(OneLightning, pl.callbacks.Checkpoint):
    """On SIGTERM or SIGINT finishes the step, writes last.ckpt, and raises `TrainingStopped`.

    A `BestAndLast` writes it, which comes before this one in the trainer's list; without one it lies in the folder of a
    ModelCheckpoint, or else in the trainer's `default_root_dir`. A signal to one of several processes ends all. A
    second one ends the process at once. Validation is broken off, and done anew when the run goes on; with several
    processes it is finished first. Under SLURM with re-queueing, its signal does the same, and the job is queued again.
    """

    def __init__(self) -> None:
        self._received = 0
        self._former: dict[int, Any] = {}
        self._trainer: pl.Trainer | None = None
        self._within_epoch = False  # whether it is saving there

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listens."""
        if stage == "fit":
            self._received, self._trainer = 0, trainer
            self._listen(trainer)

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listens, in the place of the trainer, which has begun to meanwhile."""
        self._listen(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends a run that has not begun yet."""
        self._listen(trainer)
        if self._agreed(trainer):
            raise TrainingStopped(self._received)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves and ends, after the first step from which the run can go on."""
        if self._agreed(trainer) and can_go_on_from(trainer):
            self._save_and_stop(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        """Breaks the validation off; others may have fewer batches, and cannot be asked here."""
        if self._received and trainer.world_size == 1 and not trainer.sanity_checking:
            raise StopIteration  # what ends the trainer's loop after the last batch

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves and ends before anything is concluded from a validation that was broken off."""
        if not trainer.sanity_checking and trainer.state.fn == "fit" and self._agreed(trainer):
            self._save_and_stop(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends, and saves the epoch where nothing else has."""
        if self._agreed(trainer):
            self._save_and_stop(trainer, within_epoch=False)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Notes a validation that is still to come, as a BestAndLast does in what it writes."""
        if self._within_epoch and validation_is_next(trainer):
            leave_validation_open(checkpoint)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leaves signals to those who had them before."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}

    def _listen(self, trainer: pl.Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        queue = _queue(trainer)
        # SLURM sends SIGTERM too, to what is queued again already: the trainer ignores that.
        numbers = (queue.requeue_signal, signal.SIGINT) if queue is not None else SIGNALS
        for number in numbers:
            former = signal.signal(number, self._receive)
            self._former.setdefault(number, former)

    def _receive(self, number: int, frame: Any) -> None:
        if not self._received:
            self._received = number
            return
        launcher = self._trainer.strategy.launcher if self._trainer is not None else None
        if launcher is not None:
            launcher.kill(signal.SIGKILL)
        os._exit(128 + number)

    def _agreed(self, trainer: pl.Trainer) -> bool:
        if trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            self._received = self._received or signal.SIGTERM
        return self._received > 0

    def _save_and_stop(self, trainer: pl.Trainer, *, within_epoch: bool = True) -> None:
        keeper = keeper_of(trainer)
        if not within_epoch and (path := _saved_now(trainer)) is not None:
            self._stop(trainer, path)
        elif keeper is not None:
            keeper.save_last_now(trainer, within_epoch=within_epoch)
            self._stop(trainer, keeper.last_model_path)
        else:
            path = os.path.join(_folder(trainer), LAST)  # not a Path: it may lie on another machine
            write_durably(trainer)  # nor is a link followed, to a file that is another one's
            self._within_epoch = within_epoch
            trainer.save_checkpoint(path)
            self._stop(trainer, path)

    def _stop(self, trainer: pl.Trainer, path: str) -> None:
        queue = _queue(trainer)
        if queue is not None and self._received == queue.requeue_signal:
            trainer._signal_connector._slurm_sigusr_handler_fn(self._received, None)  # type: ignore[arg-type]
        raise TrainingStopped(self._received, path=path)


def _model_checkpoints(trainer: pl.Trainer) -> list[Any]:
    return [item for item in trainer.checkpoint_callbacks if isinstance(item, pl.callbacks.ModelCheckpoint)]


def _saved_now(trainer: pl.Trainer) -> str | None:
    """The last.ckpt that was written after this step."""
    for item in _model_checkpoints(trainer):
        last: str = item.last_model_path
        if item._last_global_step_saved == trainer.global_step and last and last == item._last_checkpoint_saved:
            return last
    return None


def _folder(trainer: pl.Trainer) -> str:
    folders = [str(item.dirpath) for item in _model_checkpoints(trainer) if item.dirpath]
    return folders[0] if folders else trainer.default_root_dir


def _queue(trainer: pl.Trainer) -> Any:
    """SLURM, where it queues the job again."""
    environment: Any = trainer._accelerator_connector.cluster_environment
    slurm = part("plugins.environments").SLURMEnvironment
    return environment if isinstance(environment, slurm) and environment.auto_requeue else None
