"""Random numbers of a resumed run: those that it would have drawn without the interruption."""

import random
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.distributed as dist

from lightfit.lightning import OneLightning, pl

from ..lightning_internals import begin_next_epoch, list_loaders, load_loader_states
from ..pictures.guard import warn_once
from .loop_state import is_validation_next, is_within_epoch

KEY = "random_states"  # in the checkpoint: of each rank
GENERATORS = "loader_generators"  # in such a state: of the training loaders


@runtime_checkable
class Stateful(Protocol):
    """A loader that resumes within an epoch; Lightning saves and loads its state."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class ExactResume(OneLightning, pl.Callback):
    """Saves the state of all random generators in checkpoints, so that a resumed run draws what it would have drawn.

    Dropout then leaves out the same units. From the end of an epoch any DataLoader resumes exactly: shuffled, with
    workers, a sampler or a `generator`. Within an epoch only a loader that has a state does, as those of LightFit's
    DataModules and torchdata's StatefulDataLoader; of others a warning says so. The state of the workers themselves is
    not saved: with `persistent_workers`, what they draw at random differs after a resume.
    """

    def __init__(self) -> None:
        self._before_validation: dict[str, Any] | None = None
        self._states: list[dict[str, Any]] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the state for a checkpoint that is saved within the validation, which a resumed run then repeats."""
        self._before_validation = _get_state(trainer) if is_validation_next(trainer) else None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget it."""
        self._before_validation = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the states of all ranks."""
        own = self._before_validation or _get_state(trainer)
        states: list[Any] = [own] * trainer.world_size
        if trainer.world_size > 1:
            dist.all_gather_object(states, own)
        checkpoint[KEY] = states

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the states for the start of the training."""
        self._states = checkpoint.get(KEY)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the state where validation comes next; warn of an epoch that will not be exact.

        Where an epoch comes next, the trainer has made its iterator already, by other random numbers: it makes another.
        """
        load_loader_states(trainer)
        if self._states is None:
            return
        if not is_within_epoch(trainer):
            begin_next_epoch(trainer)
        elif is_validation_next(trainer):
            self._set_state(trainer)
        elif not all(isinstance(loader, Stateful) for loader in list_loaders(trainer)):
            warn_once(trainer, type(self).__name__, _explain_inexact(trainer))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the state that was set for a validation which is repeated."""
        if not trainer.sanity_checking:
            self._states = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the state once more where no validation came first: the module may have drawn when the training began."""
        self._set_state(trainer)
        self._states = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the state before an epoch begins and its iterator draws."""
        if self._states is not None and not trainer.fit_loop.restarting:  # else the epoch began before it was saved
            self._set_state(trainer)
            self._states = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the state where it was not set yet: the iterator of an epoch that resumes has drawn before."""
        self._set_state(trainer, generators=not any(isinstance(loader, Stateful) for loader in list_loaders(trainer)))
        self._states = None

    def _set_state(self, trainer: pl.Trainer, *, generators: bool = True) -> None:
        if self._states is None or len(self._states) != trainer.world_size:  # another world size draws anew
            return
        own = self._states[trainer.global_rank]
        set_random_state(own)
        saved, found = own.get(GENERATORS, []), list(_list_generators(trainer)) if generators else []
        if len(saved) == len(found):  # other loaders draw anew
            for generator, state in zip(found, saved, strict=True):
                generator.set_state(state)


def _explain_inexact(trainer: pl.Trainer) -> str:
    done = trainer.fit_loop.batch_idx + 1
    return (
        f"cannot resume exactly within epoch {trainer.current_epoch}, after {done} of its batches: the DataLoader "
        "begins the epoch anew, so that some samples are seen twice in it and others not at all. Resume from a "
        "checkpoint of an epoch's end, or train with a loader that has `state_dict` and `load_state_dict`: those of LightFit's "
        "DataModules, or torchdata's StatefulDataLoader"
    )


def _get_state(trainer: pl.Trainer) -> dict[str, Any]:
    generators = [generator.get_state() for generator in _list_generators(trainer)]
    return get_random_state() | ({GENERATORS: generators} if generators else {})


def _list_generators(trainer: pl.Trainer) -> Iterator[torch.Generator]:
    """Yield the generators of the training loaders and of their samplers, each once."""
    seen: set[int] = set()
    for loader in list_loaders(trainer):
        batch_sampler = getattr(loader, "batch_sampler", None)
        for owner in (loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)):
            for value in vars(owner).values() if hasattr(owner, "__dict__") else ():
                if isinstance(value, torch.Generator) and id(value) not in seen:
                    seen.add(id(value))
                    yield value


def get_random_state() -> dict[str, Any]:
    """Return the random state of torch, of the GPU in use, of numpy and of Python, as tensors and plain data."""
    numpy_state: Any = np.random.get_state(legacy=True)
    name, keys, *numbers = numpy_state
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *numbers],
        "python": random.getstate(),
    }
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {})


def set_random_state(state: dict[str, Any]) -> None:
    """Set what `get_random_state` returned."""
    torch.set_rng_state(state["torch"])
    name, keys, *numbers = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *numbers))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])
