"""Means of a step's scalars, weighted by the number of samples and kept on the device until they are read."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

PENDING = 64  # scalars that are kept as they are before they are summed: a step then costs no arithmetic


class SampleMean(Metric):
    """The mean of a scalar over samples: a batch counts for the samples it holds, on every process.

    float64 where the device has it, so that a long epoch loses no digits.
    """

    full_state_update = False
    total: Tensor
    num_samples: Tensor

    def __init__(self) -> None:
        super().__init__(compute_with_cache=False)  # more may be pending than when it was read last
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state("total", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self._pending: list[Tensor] = []
        self._pending_samples = 0  # of each of them

    def add(self, value: Tensor, num_samples: int) -> None:
        """Adds a batch's mean `value` (scalar) over `num_samples` samples, at the latest when the mean is read."""
        if num_samples != self._pending_samples or len(self._pending) == PENDING:
            self._sum_up()
            self._pending_samples = num_samples
        self._pending.append(value.detach())

    def take_back(self) -> None:
        """Takes back what was added last; right after it was."""
        self._pending = self._pending[:-1]

    def update(self, values: Tensor, num_samples: int) -> None:
        """Adds means (K,) of batches of `num_samples` samples each."""
        self.total += values.to(self.total).sum() * num_samples
        self.num_samples += len(values) * num_samples

    def compute(self) -> Tensor:
        """The mean so far, float64 (float32 on Apple's GPUs); nan before the first batch."""
        return self.total / self.num_samples

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """As of any metric, with all that was added; torchmetrics calls it before every `compute`."""
        self._sum_up()
        super().sync(*args, **kwargs)

    def reset(self) -> None:
        """Forgets what was added."""
        self._pending = []
        super().reset()

    @property
    def update_called(self) -> bool:
        """Whether anything was added."""
        return bool(self._pending) or super().update_called

    def so_far(self) -> dict[str, Tensor]:
        """All that was added, on the CPU; pending scalars as they are, since to sum them now would round otherwise."""
        pending = torch.stack(self._pending).cpu() if self._pending else torch.empty(0)
        counts = {"total": self.total.cpu(), "num_samples": self.num_samples.cpu()}
        return {**counts, "pending": pending, "pending_samples": torch.tensor(self._pending_samples)}

    def take_up(self, states: Sequence[Mapping[str, Tensor]], rank: int, world_size: int) -> None:
        """Goes on from what `so_far` told in each process of a run; all of it in the first one, if they were others.

        Args:
            states: what each process had.
            rank: this process.
            world_size: number of processes now.
        """
        if len(states) == world_size:
            states = states[rank : rank + 1]
        elif rank:
            states = []
        for state in states:
            self._sum_up()  # nothing, unless it takes the place of several
            self.total += state["total"].to(self.total)
            self.num_samples += state["num_samples"].to(self.num_samples)
            self._pending = list(state["pending"].to(self.total.device))
            self._pending_samples = int(state["pending_samples"])

    def _sum_up(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self.update(torch.stack(pending), self._pending_samples)


def count_samples(batch: Any) -> int:
    """The number of samples in a batch: the first dimension of the first tensor found in it.

    Raises:
        ValueError: the batch holds no tensor with a first dimension.
    """
    waiting = [batch]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, Tensor) and item.ndim:
            return len(item)
        if isinstance(item, dict):
            waiting = [*item.values(), *waiting]
        elif isinstance(item, (list, tuple)):
            waiting = [*item, *waiting]
    raise ValueError(
        f"expected a batch of tensors whose first dimension counts the samples, received {type(batch).__name__} "
        "without one: return (x, y) from the dataset"
    )
