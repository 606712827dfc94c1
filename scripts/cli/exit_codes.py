"""From exceptions to one message and an exit code."""

import os
import signal
import sys
from collections.abc import Callable

from lightfit.errors import FAILED, SIGNALLED, TYPED, Interrupted, LightFitError

from .arguments import name_flags

PIPE = 13  # SIGPIPE, which Windows has not


def exit_code(command: Callable[[], None], *, debug: bool) -> int:
    """Runs a command: 0, or the error's message on standard error and 2 for what was typed, 1 for what failed.

    Args:
        command: what to run.
        debug: let exceptions through, with their traceback.
    """
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:  # who read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNALLED + PIPE
    except KeyboardInterrupt as interrupt:
        code = interrupt.exit_code if isinstance(interrupt, Interrupted) else SIGNALLED + signal.SIGINT
        if code:
            print(str(interrupt) or "interrupted", file=sys.stderr)
        return code
    except Exception as error:
        if debug:
            raise
        print(f"error: {name_flags(message(error))}", file=sys.stderr)
        return code_of(error)
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
    if text and isinstance(error, (LightFitError, ValueError, OSError, ImportError)):
        return text
    return f"{type(error).__name__}: {text} (run again with --debug for the traceback)"


def code_of(error: Exception) -> int:
    """Return the exit code of an error: its own, or 2 for a file that is not there, or 1."""
    if isinstance(error, LightFitError):
        return error.exit_code
    return TYPED if isinstance(error, FileNotFoundError) else FAILED
