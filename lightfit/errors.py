"""LightFit's exceptions: one tree, each with the exit code that a command ends with."""

import signal
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

FAILED, TYPED, SIGNALLED = 1, 2, 128  # plus the number of the signal, as shells do


class LightFitError(Exception):
    """Something that LightFit found wrong; the message names it and what to do."""

    exit_code = FAILED


class UsageError(LightFitError):
    """An argument or command is wrong; the message names what is expected."""

    exit_code = TYPED


class NotFoundError(LightFitError, LookupError):
    """A column, class or other name is not there; the message names those that are."""

    exit_code = TYPED


class DataError(LightFitError, ValueError):
    """What a file holds is wrong, as against what an argument asks for; the message names the file and the place."""


class ChangedDataError(DataError):
    """Raw data is no longer what a model was trained on."""


class NotSetUpError(LightFitError, AttributeError):
    """A DataModule was asked for what it knows only once it has read its data: call `setup()` first."""


class CheckpointError(LightFitError, ValueError):
    """A checkpoint cannot be read, or the model or data that it describes cannot be built."""


class UntrustedNameError(CheckpointError):
    """A checkpoint names a class or function that it may not have imported; nothing was imported."""


class NonFiniteError(LightFitError, ValueError):
    """The training loss, the gradients or the weights became NaN or infinite."""


class NonFiniteLoss(NonFiniteError):  # noqa: N818 - as it is called
    """The training loss became NaN or infinite."""


class NonFiniteGradients(NonFiniteError):  # noqa: N818 - as they are called
    """The gradients became NaN or infinite, though the loss was finite."""


class NonFiniteWeights(NonFiniteError):  # noqa: N818 - as they are called
    """The weights became NaN or infinite: no training can resume from them."""


class DownloadError(LightFitError, ConnectionError):
    """A file could not be downloaded; the message names where to put it by hand."""


class MissingPackageError(LightFitError, ModuleNotFoundError):
    """A package that is needed is not installed; the message names how to install it."""


class MixedLightningError(LightFitError, TypeError):
    """Classes of `pytorch_lightning` and of `lightning.pytorch` would meet."""


class OutOfMemoryError(LightFitError):
    """Memory did not suffice for a batch.

    Args:
        batch_size: number of samples in it.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        half = max(batch_size // 2, 1)
        super().__init__(
            f"out of memory with batches of {batch_size} samples. Try `batch_size` {half} with "
            "`trainer.accumulate_grad_batches` 2, which makes the same steps; or, on the command line, `batch_size` "
            "auto, which halves it until it fits"
        )


class TrainingStopped(LightFitError):  # noqa: N818 - no error: it was asked for
    """A signal ended the training, and all that it takes to resume is saved, if a step was made.

    Args:
        signal_number: which signal, such as `signal.SIGTERM`.
        path: the checkpoint; None where the training had not begun.
    """

    def __init__(self, signal_number: int, *, path: str | None = None) -> None:
        self.signal_number = signal_number
        self.path = path
        self.exit_code = SIGNALLED + signal_number
        saved = "before it began: nothing was saved" if path is None else f"and is saved in '{path}'"
        super().__init__(f"training was stopped by {signal.Signals(signal_number).name}, {saved}")

    @property
    def number(self) -> int:
        """Return `signal_number`, by its name before 0.3."""
        return self.signal_number


class Interrupted(KeyboardInterrupt):
    """A signal ended the command; a KeyboardInterrupt, so that `except Exception` lets it pass.

    Args:
        signal_number: which signal; 0 for a process that leaves the message and the exit code to another one.
        text: the message; "terminated" or "interrupted" if empty.
    """

    def __init__(self, signal_number: int, text: str = "") -> None:
        self.signal_number = signal_number
        self.exit_code = SIGNALLED + signal_number if signal_number else 0
        super().__init__(text or ("terminated" if signal_number == signal.SIGTERM else "interrupted"))

    @property
    def number(self) -> int:
        """Return `signal_number`, by its name before 0.3."""
        return self.signal_number


class BadInput(NamedTuple):
    """An input from which nothing can be predicted, in its place among the others."""

    problem: str  # what is wrong, with the place
    cells: Mapping[str, Any] | None = None  # what its row has besides, by column, such as the name of a series


MAX_CHARS = 60  # of one cell or name
MAX_LIST_CHARS = 150  # of a list of names


def clip(value: Any, length: int = MAX_CHARS) -> str:
    """Return a value on one line, cut to a number of characters."""
    start = value[: 4 * length] if isinstance(value, str) else repr(value)[: 4 * length]
    line = "".join(char if char.isprintable() else " " for char in start).strip()
    return line if len(line) <= length and len(start) < 4 * length else f"{line[:length]}..."


def clip_list(names: Iterable[Any], length: int = MAX_LIST_CHARS) -> str:
    """Return names with commas between them, as many as fit into a number of characters."""
    shown = ""
    for name in islice(names, length):
        item = clip(name, length // 4)
        if len(shown) + len(item) + 2 > length:
            return f"{shown}, ..."
        shown = f"{shown}, {item}" if shown else item
    return shown
