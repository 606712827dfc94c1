"""Means of a step's scalars, weighted by the number of samples and kept on the device until they are read."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class SampleMean(Metric):
    """The mean of a scalar over samples: a batch counts for the samples it holds, on every process.

    float64 where the device has it, so that a long epoch loses no digits.
    """

    full_state_update = False
    total: Tensor
    num_samples: Tensor

    def __init__(self) -> None:
        super().__init__()
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state("total", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")

    def update(self, value: Tensor, num_samples: int) -> None:
        """Adds a batch's mean `value` (scalar) over `num_samples` samples."""
        self.total += value.detach().to(self.total) * num_samples
        self.num_samples += num_samples

    def compute(self) -> Tensor:
        """The mean so far, float64 (float32 on Apple's GPUs); nan before the first batch."""
        return self.total / self.num_samples


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
