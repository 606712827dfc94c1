"""Exchange between the processes of a run."""

import copy
import gc
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader


def get_world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def get_rank() -> int:
    """Return this process's rank; 0 where there is one process."""
    return dist.get_rank() if get_world_size() > 1 else 0


def gather_from_ranks(item: Any) -> list[Any]:
    """Gather each rank's item, in the order of the ranks, on all of them; they call this together."""
    if get_world_size() == 1:
        return [item]
    received: list[Any] = [None] * get_world_size()
    dist.all_gather_object(received, item)
    return received


def weigh_batch(num_samples: int, device: torch.device) -> Tensor:
    """Compute the factor of a rank's mean loss, (), with which the mean of all gradients is that over all samples.

    Exactly 1 where all ranks have the same number of samples.

    Args:
        num_samples: in this rank's batch.
        device: where the loss is.
    """
    total = torch.tensor(float(num_samples), device=device)
    dist.all_reduce(total)
    return num_samples * get_world_size() / total


def broadcast_buffers(module: nn.Module) -> None:
    """Give all ranks the buffers of rank 0: each has its own statistics of batch norm after a training step."""
    if get_world_size() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def gather_batches(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of every rank, in the same order on all of them; a loader's own iterator stays untouched."""
    if isinstance(batches, DataLoader) and batches.persistent_workers:
        batches = copy.copy(batches)
        # The training loop has begun on the iterator that persistent workers share. `vars`, as a DataLoader allows no
        # assignment of this argument after its construction.
        vars(batches)["persistent_workers"] = False
    own = iter(batches)
    while received := [batch for batch in gather_from_ranks(next(own, None)) if batch is not None]:
        yield from received


def wrap_again(strategy: Any) -> None:
    """Wrap the module of a strategy anew, once other parameters learn; all ranks call this together.

    DistributedDataParallel exchanges the gradients of the parameters that learn when it is built: it would wait for
    those that are frozen since, and leave out those that are not frozen any more.

    Args:
        strategy: of a trainer; those of Lightning without DistributedDataParallel are left alone.
    """
    if isinstance(strategy.model, nn.parallel.DistributedDataParallel):
        strategy.model = strategy.lightning_module
        gc.collect()  # the former one and its hooks
        strategy.configure_ddp()
