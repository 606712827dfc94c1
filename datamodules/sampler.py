"""The order of samples, as a function of (seed, epoch, rank)."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler


class BatchSampler(DistributedSampler):
    """Yields the indices of whole batches; the order depends on (seed, epoch, rank) and on nothing else.

    In training every process gets batches of the same number, so that none waits for another: the last samples of
    the epoch's order may be left out, at most `world_size - 1` of them. In evaluation no sample is repeated or left
    out. It is a DistributedSampler by name, so that Lightning leaves it in place on several devices.

    Args:
        num_samples: number of samples in the data.
        batch_size: number of samples in a batch, on each process.
        shuffle: a new order each epoch; otherwise the order of the data, on all epochs.
        seed: seed of the order.
        rank: this process, in [0, world_size).
        world_size: number of processes.
        start: a function that tells, when an epoch begins, its number and how many of its batches are done already.
        lengths: a length for every sample, (num_samples,); batches are then made of samples of similar lengths.
        weights: how often each sample is drawn, in proportion, (num_samples,); an epoch has as many samples as before,
            some of them more than once.
        with_epoch: yield the epoch with the indices, for data that is changed at random.
    """

    # How many batches are sorted by length together: more gives less padding, fewer more chance.
    POOL = 100

    def __init__(  # the parent's constructor is not called: its attributes are for padding and dropping
        self,
        num_samples: int,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: Callable[[], tuple[int, int]] = lambda: (0, 0),
        lengths: Tensor | None = None,
        weights: Tensor | None = None,
        with_epoch: bool = False,
    ) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.start = start
        self.lengths = lengths
        self.weights = weights
        self.with_epoch = with_epoch

    def __len__(self) -> int:
        """The number of batches in a whole epoch, on this process."""
        return math.ceil(len(range(*self._own().indices(self._num_used()))) / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """Index tensors (at most batch_size,) int64, perhaps each with the epoch: from the first that is not done."""
        epoch, done = self.start()
        order = self._order(epoch)[: self._num_used()][self._own()]
        batches = order.split(self.batch_size)
        if self.lengths is not None and self.shuffle:
            # After the split by length, so that short and long batches alternate.
            batches = tuple(batches[i] for i in torch.randperm(len(batches), generator=self._generator(epoch, 1)))
        for batch in batches[done % max(len(batches), 1) :]:
            yield (epoch, batch) if self.with_epoch else batch

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: Lightning calls it after the epoch's iterator was made, hence `start`."""

    def _num_used(self) -> int:
        return self.num_samples - self.num_samples % self.world_size if self.shuffle else self.num_samples

    def _own(self) -> slice:
        return slice(self.rank, None, self.world_size)

    def _generator(self, epoch: int, stream: int) -> torch.Generator:
        # One generator per use: torch mixes the seed, so neighbouring numbers give unrelated orders.
        return torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) * 2 + stream)

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.num_samples)
        if self.weights is not None:
            return torch.multinomial(
                self.weights, self.num_samples, replacement=True, generator=self._generator(epoch, 0)
            )
        order = torch.randperm(self.num_samples, generator=self._generator(epoch, 0))
        if self.lengths is None:
            return order
        pools = order.split(self.batch_size * self.world_size * self.POOL)
        return torch.cat([pool[self.lengths[pool].argsort(stable=True)] for pool in pools])


class ResumableLoader(DataLoader):
    """A loader whose sampler knows where to go on; it tells Lightning so, and has nothing to save for it."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """The batches; without workers straight from the data, which answers with whole batches."""
        iterator = super().__iter__()  # in any case: it draws a random number, and a run is the same with workers
        return iterator if self.num_workers else map(self.dataset.__getitem__, self.sampler)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the position is the trainer's, and the order a function of the epoch."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to do."""
