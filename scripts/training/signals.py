"""Signals and errors that end a training, and the child processes of the trainer."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightfit.callbacks.lightning_internals import find_cluster
from lightfit.errors import Interrupted, OutOfMemoryError, TrainingStopped, UsageError
from lightfit.lightning import import_submodule, pl
from lightfit.platforms import wait_for_parent

from .lightning_cli import LightFitCLI
from .report import describe_stop


def is_child(trainer: pl.Trainer) -> bool:
    """Return whether Lightning launched this process from the process of local rank 0."""
    environment = find_cluster(trainer)  # others, such as SLURM, launch all of them
    return (
        isinstance(environment, import_submodule("plugins.environments").LightningEnvironment)
        and trainer.local_rank > 0
    )


def end_with_parent() -> None:
    """Exit this process when its parent has ended for any reason; it would wait for it forever."""
    parent = os.getppid()

    def watch() -> None:
        wait_for_parent(parent)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def end_on_sigterm() -> Iterator[None]:
    """End the block on SIGTERM, as on Ctrl-C; Lightning would only note the signal and continue.

    Not to be used before the training: a process that waits for other machines ends by the default handler only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _end(signal_number: int, frame: Any) -> None:
    raise Interrupted(signal_number)


@contextmanager
def explain_errors(cli: LightFitCLI) -> Iterator[None]:
    """Turn errors of the training into ones that say what to do, and signals into the command that resumes the run.

    Raises:
        UsageError: settings of the trainer contradict each other.
        Interrupted: a signal was received.
        OutOfMemoryError: a batch did not fit in memory.
    """
    trainer = cli.trainer
    checkpoint = trainer.checkpoint_callback  # read here: the evaluation replaces the callbacks
    try:
        yield
    except import_submodule("utilities.exceptions").MisconfigurationException as error:
        raise UsageError(str(error)) from error
    except TrainingStopped as stopped:
        # A child process of Lightning ends with 0 and rank 0 prints: rank 0 takes any other code for a failure.
        text = describe_stop(trainer, checkpoint, cli.command, stopped.number)
        raise Interrupted(0 if is_child(trainer) else stopped.number, text) from None
    except SystemExit as end:  # raised by Lightning on a signal before or after the training
        signal_number = end.__context__.number if isinstance(end.__context__, Interrupted) else signal.SIGINT
        raise Interrupted(signal_number, describe_stop(trainer, checkpoint, cli.command, signal_number)) from None
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or import_submodule("utilities.memory").is_oom_error(error):
            raise OutOfMemoryError(cli.datamodule.batch_size) from error
        raise
