"""Processes that make batches."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data._utils.signal_handling import _remove_worker_pids

START_S = 30.0  # a process is there within a second, where it is at all
TRIES = 4


def start_workers(loader: DataLoader, begin: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """The loader's iterator, once all its workers have begun; those that have not are ended, and begun again.

    A process that is forked while those of a run exchange gradients is stuck at times, one in some hundred, before it
    runs a line: a lock of a library was taken at that moment. The run would wait for it for ever.

    Args:
        loader: the loader.
        begin: makes the iterator, as `DataLoader.__iter__`.

    Raises:
        RuntimeError: it was so every time.
    """
    state = torch.get_rng_state()  # to begin draws a number, and a run is the same however often that was
    for _ in range(TRIES):
        begun = multiprocessing.Semaphore(0)
        loader.worker_init_fn = partial(_begin_work, begun)
        iterator: Any = begin()
        if all(begun.acquire(timeout=START_S) for _ in range(loader.num_workers)):
            return iterator
        _remove_worker_pids(id(iterator))  # torch takes the death of a worker that it knows for an error
        iterator._worker_pids_set = False
        for worker in iterator._workers:
            worker.kill()
        torch.set_rng_state(state)
    raise RuntimeError(f"DataLoader worker (pid unknown) did not start within {START_S:.0f} s, {TRIES} times")


def _begin_work(begun: Any, worker: int) -> None:
    """Lets a worker go on after a first signal to end, which often goes to all processes: the training step needs it.

    A second one ends it, and so does the end of the process that it works for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_next_time)
    begun.release()


def _end_next_time(number: int, frame: Any) -> None:
    signal.signal(number, lambda number, _: os._exit(128 + number))
