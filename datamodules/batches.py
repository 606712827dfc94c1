"""What a loader asks of data."""

from typing import Any, Protocol

from torch import Tensor


class Batches(Protocol):
    """Data that hands out a whole batch for a tensor of indices, or for the epoch and one."""

    def __len__(self) -> int: ...

    def __getitem__(self, asked: Any) -> tuple[Tensor, Tensor]: ...


def as_it_is(batch: Any) -> Any:
    """The batch itself: in place of a loader's collation, and by name, as workers need it."""
    return batch
