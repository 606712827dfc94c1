"""From exceptions to one message and an exit code."""

import signal
import sys
from collections.abc import Callable

TYPED, FAILED, SIGNALLED = 2, 1, 128  # the last one plus the signal's number, as shells count


class UsageError(Exception):
    """What the user typed is wrong; the message says what to type instead."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the command.

    Args:
        number: the signal's; 0 for a process that leaves the message and the exit code to another one.
        text: what to say.
    """

    def __init__(self, number: int, text: str = "") -> None:
        self.number = number
        super().__init__(text or ("terminated" if number == signal.SIGTERM else "interrupted"))


class OutOfMemory(Exception):  # noqa: N818 - as it is called
    """Memory did not suffice for a batch.

    Args:
        batch_size: number of samples in it.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        half = max(batch_size // 2, 1)
        super().__init__(
            f"out of memory with batches of {batch_size} samples. Try --data.batch_size {half} with "
            "--trainer.accumulate_grad_batches 2, which makes the same steps; or --data.batch_size auto, which halves "
            "it till it fits"
        )


def exit_code(command: Callable[[], None], *, debug: bool) -> int:
    """Runs a command: 0, or the error's message on standard error and 2 for what was typed, 1 for what failed.

    Args:
        command: what to run.
        debug: let exceptions through, with their traceback.
    """
    try:
        command()
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
        if number:
            print(str(interrupt) or "interrupted", file=sys.stderr)
        return SIGNALLED + number if number else 0
    except Exception as error:
        if debug:
            raise
        print(f"error: {message(error)}", file=sys.stderr)
        return TYPED if _typed(error) else FAILED
    return 0


def message(error: Exception) -> str:
    """The error's own words; the type before them where it is none that a user is meant to meet."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if text.startswith("Caught ") and "in DataLoader worker process" in text:  # and then a traceback, as text
        text = text.strip().splitlines()[-1].partition(": ")[2]
    if text.startswith("DataLoader worker (pid"):
        return (
            f"a process that makes batches died ({text.splitlines()[0]}), as one does that the system kills when "
            "memory is short: try fewer by --data.num_workers, 0 for none"
        )
    expected = (
        isinstance(error, (UsageError, OutOfMemory, ValueError, OSError, ImportError)) or type(error) is LookupError
    )
    if expected and text:
        return text
    return f"{type(error).__name__}: {text} (run again with --debug for the traceback)"


def _typed(error: Exception) -> bool:
    # A LookupError itself is a column or a name that is not there; its subclasses are what Python raises by itself.
    return isinstance(error, (UsageError, FileNotFoundError)) or type(error) is LookupError
