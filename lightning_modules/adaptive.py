"""Nets that take something from the training data before their first step."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules.processes import of_all_processes


@runtime_checkable
class Adaptive(Protocol):
    """A net that takes something from the training data before its first step."""

    def adapt(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Sees every training batch `(x, y)` once, on the net's device; runs once, never on resume."""


def batches_of_all_processes(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches of every process, in one order on all of them; a loader's own iterator is left alone."""
    if isinstance(batches, DataLoader):
        loader: Any = copy.copy(batches)
        loader._iterator = None  # with persistent workers it is the one that the training loop has begun on
        batches = loader
    own = iter(batches)
    while received := [batch for batch in of_all_processes(next(own, None)) if batch is not None]:
        yield from received
