"""From exceptions to one message and an exit code."""

import sys
from collections.abc import Callable

TYPED, FAILED, INTERRUPTED = 2, 1, 130


class UsageError(Exception):
    """What the user typed is wrong; the message says what to type instead."""


def exit_code(command: Callable[[], None], *, debug: bool) -> int:
    """Runs a command: 0, or the error's message on standard error and 2 for what was typed, 1 for what failed.

    Args:
        command: what to run.
        debug: let exceptions through, with their traceback.
    """
    try:
        command()
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        print(f"error: {message(error)}", file=sys.stderr)
        return TYPED if _typed(error) else FAILED
    return 0


def message(error: Exception) -> str:
    """The error's own words; the type before them where it is none that a user is meant to meet."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    expected = isinstance(error, (UsageError, ValueError, OSError, ImportError)) or type(error) is LookupError
    if expected and text:
        return text
    return f"{type(error).__name__}: {text} (run again with --debug for the traceback)"


def _typed(error: Exception) -> bool:
    # A LookupError itself is a column or a name that is not there; its subclasses are what Python raises by itself.
    return isinstance(error, (UsageError, FileNotFoundError)) or type(error) is LookupError
