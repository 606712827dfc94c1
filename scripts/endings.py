"""How a training ends that does not come to its end, in the user's words."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.memory import is_oom_error

from callbacks import TrainingStopped
from scripts.children import is_child
from scripts.cli import LightFitCLI
from scripts.errors import Interrupted, OutOfMemory, UsageError
from scripts.reporting import how_to_go_on


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
        OutOfMemory: memory did not suffice for a batch.
    """
    trainer = cli.trainer
    keeper = trainer.checkpoint_callback  # the evaluation after the training has callbacks of its own
    try:
        yield
    except MisconfigurationException as error:
        raise UsageError(str(error)) from error
    except TrainingStopped as stopped:
        # One of Lightning's own processes leaves the word to the first, which takes any other code for a failure.
        told = how_to_go_on(trainer, keeper, cli.command, stopped.number)
        raise Interrupted(0 if is_child(trainer) else stopped.number, told) from None
    except SystemExit as end:  # Lightning's answer to a signal that comes before or after the training
        number = end.__context__.number if isinstance(end.__context__, Interrupted) else signal.SIGINT
        raise Interrupted(number, how_to_go_on(trainer, keeper, cli.command, number)) from None
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or is_oom_error(error):
            raise OutOfMemory(cli.datamodule.batch_size) from error
        raise
