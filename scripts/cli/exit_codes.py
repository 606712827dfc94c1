"""Turns exceptions into a one-line message and an exit code."""

import os
import signal
import sys
from collections.abc import Callable

from lightfit.errors import FAILED, SIGNALLED, TYPED, Interrupted, LightFitError
from lightfit.extras import is_of_extra, missing_package
from lightfit.platforms import SIGPIPE, is_closed_pipe, printing_any_character

from .arguments import name_flags


def exit_code(command: Callable[[], None], *, debug: bool) -> int:
    """Run a command and return its exit code; of an error, print the message to standard error.

    The code is 0 for success, 2 for a usage error, 1 for any other failure, and 128 plus the signal for a signal.

    Args:
        command: the function to run.
        debug: raise exceptions, with their traceback.
    """
    with printing_any_character():
        return _run(command, debug=debug)


def _run(command: Callable[[], None], *, debug: bool) -> int:
    try:
        command()
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        code = interrupt.exit_code if isinstance(interrupt, Interrupted) else SIGNALLED + signal.SIGINT
        if code:
            print(str(interrupt) or "interrupted", file=sys.stderr)
        return code
    except Exception as error:
        if isinstance(error, OSError) and is_closed_pipe(error):  # the reader of the output has exited, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return SIGNALLED + SIGPIPE
        if debug:
            raise
        if isinstance(error, ModuleNotFoundError) and not isinstance(error, LightFitError) and is_of_extra(error):
            error = missing_package(str(error.name), what="this command", extra="cli")
        print(f"error: {name_flags(format_error(error))}", file=sys.stderr)
        return find_exit_code(error)
    return 0


def format_error(error: Exception) -> str:
    """Return the message of an error, with its type in front if it is not an error meant for users."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if text.startswith("Caught ") and "in DataLoader worker process" in text:  # followed by a traceback, as text
        text = text.strip().splitlines()[-1].partition(": ")[2]
    if text.startswith("DataLoader worker (pid"):
        return (
            f"a worker process of the DataLoader died ({text.splitlines()[0]}), probably killed by the system because "
            "memory ran out: use fewer workers by --data.num_workers, or 0 to load in the main process"
        )
    if text and isinstance(error, (LightFitError, ValueError, OSError, ImportError)):
        return text
    return f"{type(error).__name__}: {text} (run again with --debug for the traceback)"


def find_exit_code(error: Exception) -> int:
    """Return the exit code of an error: its own, or 2 for a missing file, otherwise 1."""
    if isinstance(error, LightFitError):
        return error.exit_code
    return TYPED if isinstance(error, FileNotFoundError) else FAILED
