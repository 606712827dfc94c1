"""The order of samples, and the processes that make batches of them."""

import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from lightfit.errors import DataError
from lightfit.platforms import forks_workers

from .lightning_internals import kill_workers, set_batches_done

START_S = 30.0  # a forked worker starts within a second, where it starts at all
SPAWN_S = 180.0  # one that starts anew imports torch first, which several at once may take a minute for
TRIES = 4


def start_workers(loader: DataLoader, begin: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Start a loader's iterator and wait for all its workers; where one is stuck, kill them and start again.

    A process that is forked while the ranks of a run exchange gradients is stuck at times, one in some hundred, before
    it runs a line: a lock of a library was taken at that moment. The run would wait for it forever.

    Args:
        loader: the loader.
        begin: returns the iterator, as `DataLoader.__iter__`.

    Raises:
        RuntimeError: workers were stuck every time.
    """
    # Workers of a forkserver would not be stuck, but cost more. Measured on 2 cores with 2 workers and a dataset with a
    # tensor of 64 MB, torch 2.14: time to the first batch 0.1 s forked; 8 to 15 s from a forkserver; 10 s, and 0.1 s in
    # later epochs, from one that has imported torch and LightFit. Memory of the workers: 380, 1120 and 590 MB, as each
    # gets a copy of the dataset. Where the main process is killed (SIGKILL), forked workers end within 5 s; those of a
    # forkserver never do: each of them waits for its end, and it for theirs.
    state = torch.get_rng_state()  # each start draws a number, and a run is the same however many there were
    patience = START_S if forks_workers() else SPAWN_S
    for _ in range(TRIES):
        begun = multiprocessing.Semaphore(0)
        loader.worker_init_fn = partial(_begin_work, begun)
        iterator: Any = begin()
        if all(begun.acquire(timeout=patience) for _ in range(loader.num_workers)):
            return iterator
        kill_workers(iterator)
        torch.set_rng_state(state)
    raise RuntimeError(f"DataLoader worker (pid unknown) did not start within {patience:.0f} s, {TRIES} times")


def _begin_work(begun: Any, worker: int) -> None:
    """Ignore a first signal to end in a worker: it often goes to all processes, and the training step needs the batch.

    A second one ends it, and so does the end of the process that it works for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_next_time)
    begun.release()


def _end_next_time(signum: int, frame: Any) -> None:
    signal.signal(signum, lambda signum, _: os._exit(128 + signum))


class BatchSampler(DistributedSampler):
    """Yields the indices of whole batches; the order depends on (seed, epoch, rank) and on nothing else.

    No sample is repeated or left out. In training every rank gets as many batches as the others, so that none waits for
    another: together they are those of one process with `world_size` times the batch size, and the last one may be
    empty on some. It is a DistributedSampler by name, so that Lightning leaves it in place on several devices.

    Args:
        num_samples: number of samples in the data.
        batch_size: number of samples in a batch, on each rank.
        shuffle: a new order each epoch; otherwise the order of the data, in all epochs.
        seed: seed of the order.
        rank: of this process, in [0, world_size).
        world_size: number of processes.
        start: a function that returns, when an epoch begins, its index and how many of its batches are done already.
        lengths: a length for every sample, (num_samples,); batches are then made of samples of similar lengths.
        weights: how often each sample is drawn, in proportion, (num_samples,); an epoch has as many samples as before,
            some of them more than once.
        with_epoch: yield the epoch with the indices, for data that is changed at random.

    Raises:
        DataError: there are fewer samples than processes.
    """

    # How many batches are sorted by length together: more gives less padding, fewer a more random order.
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
        if num_samples < world_size:
            raise DataError(
                f"expected at least a sample for each of {world_size} processes, received {num_samples} in this split: "
                "use fewer devices, or more data"
            )
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.global_batch_size = batch_size * world_size
        self._left_out = (-1, 0)  # epoch, and how many of its samples batches of another size have held
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.start = start
        self.lengths = lengths
        self.weights = weights
        self.with_epoch = with_epoch

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch, on this rank."""
        if self.shuffle:
            return math.ceil(self.num_samples / self.global_batch_size)
        return math.ceil(len(range(self.num_samples)[self._own()]) / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """Yield index tensors (at most batch_size,) int64, with the epoch if asked, from the first that is not done."""
        epoch, done = self.start()
        batches = self._batches(epoch)
        done -= len(self) - len(batches)  # what batches of another size have held
        for batch in batches[done % max(len(batches), 1) :]:
            yield (epoch, batch) if self.with_epoch else batch

    def batch_at(self, epoch: int, index: int) -> Tensor:
        """Return the samples of a batch of an epoch, (at most batch_size,) int64."""
        batches = self._batches(epoch)
        return batches[index - (len(self) - len(batches))]

    def skip_done(self, global_batch_size: int) -> int:
        """Skip what batches of another size have held of the epoch; return how many batches of this size are left.

        Args:
            global_batch_size: number of samples in those, on all processes together.
        """
        epoch, done = self.start()
        self._left_out = (epoch, min(done * global_batch_size, self.num_samples))
        return math.ceil((self.num_samples - self._left_out[1]) / self.global_batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: Lightning calls it after the epoch's iterator is created, hence `start`."""

    def _batches(self, epoch: int) -> tuple[Tensor, ...]:
        """Return the batches of this rank; of an epoch that batches of another size have begun, those that are left."""
        if not self.shuffle:
            return torch.arange(self.num_samples)[self._own()].split(self.batch_size)
        batches = self._global_batches(epoch)
        if epoch == self._left_out[0]:
            batches = torch.cat(batches)[self._left_out[1] :].split(self.global_batch_size)
        return tuple(batch[self._own()] for batch in batches)

    def _own(self) -> slice:
        return slice(self.rank, None, self.world_size)

    def _generator(self, epoch: int, stream: int) -> torch.Generator:
        # One generator per use: torch mixes the seed, so that neighbouring seeds give unrelated orders.
        return torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) * 2 + stream)

    def _global_batches(self, epoch: int) -> tuple[Tensor, ...]:
        if self.weights is not None:
            order = torch.multinomial(
                self.weights, self.num_samples, replacement=True, generator=self._generator(epoch, 0)
            )
        else:
            order = torch.randperm(self.num_samples, generator=self._generator(epoch, 0))
        if self.lengths is None or self.weights is not None:
            batches = order.split(self.global_batch_size)
        else:
            lengths, pools = self.lengths, order.split(self.global_batch_size * self.POOL)
            sorted_pools = [pool[lengths[pool].argsort(stable=True)] for pool in pools]
            batches = torch.cat(sorted_pools).split(self.global_batch_size)
        if self.lengths is None:
            return batches
        # After the split by length, so that short and long batches alternate.
        return tuple(batches[i] for i in torch.randperm(len(batches), generator=self._generator(epoch, 1)))


class ResumableLoader(DataLoader):
    """A loader whose sampler resumes within an epoch, and which has a state for Lightning."""

    sampler: BatchSampler
    progress: Any = None  # the trainer's count of training batches, for a loader of training batches

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches; without workers straight from the data, which returns whole batches.

        Started when the first one is asked for: a trainer creates the iterator before it knows where a run resumes.
        """
        if self.num_workers:
            yield from start_workers(self, super().__iter__)
        else:
            super().__iter__()  # draws a random number: a run is the same with workers
            yield from map(self.dataset.__getitem__, self.sampler)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of samples in a batch, on all ranks; the trainer has the position, the epoch the order."""
        return {"global_batch_size": self.sampler.global_batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count the batches that are done in batches of this size, where the checkpoint's were of another."""
        former = state_dict.get("global_batch_size", self.sampler.global_batch_size)
        if former != self.sampler.global_batch_size and self.progress is not None:
            set_batches_done(self.progress, len(self.sampler) - self.sampler.skip_done(former))
