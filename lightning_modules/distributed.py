"""What several processes tell each other."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader


def num_processes() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rank() -> int:
    """This one among them."""
    return dist.get_rank() if num_processes() > 1 else 0


def of_all_processes(item: Any) -> list[Any]:
    """What each process has, in order, on all of them; they call this together."""
    if num_processes() == 1:
        return [item]
    received: list[Any] = [None] * num_processes()
    dist.all_gather_object(received, item)
    return received


def weight_of_batch(num_samples: int, device: torch.device) -> Tensor:
    """What a process's mean loss counts, (), so that the mean of all processes' gradients is that of all samples.

    Exactly 1 where all have the same number.

    Args:
        num_samples: in this process's batch.
        device: where the loss is.
    """
    total = torch.tensor(float(num_samples), device=device)
    dist.all_reduce(total)
    return num_samples * num_processes() / total


def equalise_buffers(module: nn.Module) -> None:
    """Gives all processes the first one's buffers: each has its own statistics of batch norm after a training step."""
    if num_processes() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def batches_of_all_processes(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches of every process, in one order on all of them; a loader's own iterator is left alone."""
    if isinstance(batches, DataLoader):
        loader: Any = copy.copy(batches)
        loader._iterator = None  # with persistent workers it is the one that the training loop has begun on
        batches = loader
    own = iter(batches)
    while received := [batch for batch in of_all_processes(next(own, None)) if batch is not None]:
        yield from received
