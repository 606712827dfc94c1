"""How a training ends that is stopped, in the user's words; and the processes that the trainer has begun."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightfit.errors import Interrupted, OutOfMemoryError, TrainingStopped, UsageError
from lightfit.lightning import part, pl

from .lightning_cli import LightFitCLI
from .report import describe_stop

LOOKED_S = 1.0


def is_child(trainer: pl.Trainer) -> bool:
    """Whether this is a process that another one of the run has begun, by the same command."""
    environment = trainer._accelerator_connector.cluster_environment  # others, as SLURM's, have begun them all
    return isinstance(environment, part("plugins.environments").LightningEnvironment) and trainer.local_rank > 0


def end_with_parent() -> None:
    """Ends this process when the one that began it has ended, however: it would wait for it for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOKED_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def terminable() -> Iterator[None]:
    """Lets SIGTERM end what is done in it, as Ctrl-C does: Lightning takes note of it and goes on.

    Not before the training: who waits for other machines there can be ended only by what the system does itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _end(number: int, frame: Any) -> None:
    raise Interrupted(number)


@contextmanager
def in_words(cli: LightFitCLI) -> Iterator[None]:
    """Errors that say what to do; of a signal that ends the run, the command that goes on.

    Raises:
        UsageError: the trainer is set up in a way that does not go together.
        Interrupted: a signal came.
        OutOfMemoryError: memory did not suffice for a batch.
    """
    trainer = cli.trainer
    keeper = trainer.checkpoint_callback  # the evaluation after the training has callbacks of its own
    try:
        yield
    except part("utilities.exceptions").MisconfigurationException as error:
        raise UsageError(str(error)) from error
    except TrainingStopped as stopped:
        # One of Lightning's own processes leaves the word to the first, which takes any other code for a failure.
        told = describe_stop(trainer, keeper, cli.command, stopped.number)
        raise Interrupted(0 if is_child(trainer) else stopped.number, told) from None
    except SystemExit as end:  # Lightning's answer to a signal that comes before or after the training
        number = end.__context__.number if isinstance(end.__context__, Interrupted) else signal.SIGINT
        raise Interrupted(number, describe_stop(trainer, keeper, cli.command, number)) from None
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or part("utilities.memory").is_oom_error(error):
            raise OutOfMemoryError(cli.datamodule.batch_size) from error
        raise
