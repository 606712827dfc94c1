"""Pictures that cannot be drawn: a warning, and the run continues without them."""

import functools
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

import torch

from lightfit.lightning import import_submodule, pl

log = logging.getLogger(__name__)

Watcher = TypeVar("Watcher", bound=type[pl.Callback])

# Not in the callbacks themselves, which are copied and pickled.
_stopped: "WeakKeyDictionary[pl.Callback, tuple[ref[pl.Trainer], str]]" = WeakKeyDictionary()
_warned: "WeakKeyDictionary[pl.Trainer, set[str]]" = WeakKeyDictionary()


def watch(cls: Watcher) -> Watcher:
    """Make the hooks of a callback warn where they raise, and leave out the callback for the rest of that run.

    A class decorator. Hooks named in the class's `joint_hooks` are called all the same: all ranks must take part in
    what they gather. They ask `why_stopped`.
    """
    for name, hook in list(vars(cls).items()):
        if name.startswith("on_") and name != "on_exception" and callable(hook):
            setattr(cls, name, _guard(hook, always=name in getattr(cls, "joint_hooks", ())))
    return cls


def _guard(hook: Callable[..., Any], *, always: bool) -> Callable[..., Any]:
    @functools.wraps(hook)
    def guarded(self: pl.Callback, trainer: pl.Trainer, *args: Any, **options: Any) -> None:
        if why_stopped(self, trainer) and not always:
            return
        try:
            hook(self, trainer, *args, **options)
        except Exception as error:  # whatever it is: what watches a run must not end it
            stop(self, trainer, error)
            with suppress(Exception):  # remove what is left in the net
                self.on_exception(trainer, trainer.lightning_module, error)

    return guarded


def why_stopped(callback: pl.Callback, trainer: pl.Trainer) -> str:
    """Return why a callback was left out for the rest of a run; empty if it was not."""
    stopped_in, reason = _stopped.get(callback, (None, ""))
    return reason if stopped_in is not None and stopped_in() is trainer else ""


def stop(callback: pl.Callback, trainer: pl.Trainer, error: Exception) -> None:
    """Leave out a callback for the rest of a run, and say why."""
    reason = describe_error(error)
    _stopped[callback] = ref(trainer), reason
    tell_stopped(callback, trainer, reason)


def tell_stopped(callback: pl.Callback, trainer: pl.Trainer, reason: str) -> None:
    """Say that a callback is left out, of this rank or of another one."""
    warn_once(trainer, type(callback).__name__, f"is left out of this run: {reason}")


def warn_once(trainer: pl.Trainer, name: str, message: str) -> None:
    """Warn of something that draws, at most once in a run, on the first rank.

    By a log message: a Python warning ends the run where warnings are errors.

    Args:
        trainer: the run's.
        name: what draws, the beginning of the message.
        message: the rest of it.
    """
    warned = _warned.setdefault(trainer, set())
    if name not in warned and trainer.is_global_zero:
        warned.add(name)
        log.warning("%s %s", name, message)


def say_once(trainer: pl.Trainer, message: str) -> None:
    """Say something at most once in a run, on the first rank, as Lightning says which devices it uses.

    Args:
        trainer: the run's.
        message: the sentence.
    """
    said = _warned.setdefault(trainer, set())
    if message not in said and trainer.is_global_zero:
        said.add(message)
        import_submodule("utilities.rank_zero").rank_zero_info(message)


def check_validates(trainer: pl.Trainer) -> None:
    """Check that a run validates, for callbacks that draw what they see there.

    Raises:
        ValueError: it does not.
    """
    if not trainer.enable_validation:
        raise ValueError(
            "it draws what it sees in validation, and this run has none: expected a `validation_step` and a validation "
            "loader, with `limit_val_batches` above 0"
        )


def describe_error(error: Exception) -> str:
    """Return the first line of an error, with its class where the line alone would say little."""
    first = next(iter(str(error).strip().splitlines()), "")
    return first if isinstance(error, ValueError) and first else f"{type(error).__name__}: {first}".rstrip(": ")


def split_batch(batch: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return inputs and targets of a batch `(x, y)`, or of a batch `x` without targets.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(batch, torch.Tensor):
        return batch, None
    if isinstance(batch, (tuple, list)) and batch and isinstance(batch[0], torch.Tensor):
        y = batch[1] if len(batch) > 1 else None
        return batch[0], y if isinstance(y, torch.Tensor) else None
    raise ValueError(f"expected batches (x, y) of tensors, received {describe_batch(batch)}")


def describe_batch(batch: Any) -> str:
    """Describe what a batch holds, for messages."""
    name = type(batch).__name__
    if isinstance(batch, Mapping):
        return f"a {name} with {', '.join(repr(str(key)) for key in batch)}"
    if isinstance(batch, (tuple, list)):
        return f"a {name} of {', '.join(type(item).__name__ for item in batch) or 'nothing'}"
    return f"a {name}"


def find_images(batch: Any) -> torch.Tensor | None:
    """Find the first images of a batch, (B, C, H, W) with 1 or 3 channels, whatever holds them; None without any."""
    if isinstance(batch, torch.Tensor):
        return batch if batch.ndim == 4 and batch.shape[1] in (1, 3) else None
    items = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, (tuple, list)) else ()
    return next((found for item in items if (found := find_images(item)) is not None), None)


def gather(trainer: pl.Trainer, own: Any) -> list[Any]:
    """Return an object of each rank, on all ranks; all of them must call it."""
    if trainer.world_size == 1:
        return [own]
    received: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(received, own)
    return received
