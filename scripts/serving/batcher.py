"""Dynamic batching: inputs of simultaneous requests are predicted together."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

Item = Any
Result = Any


class Observer(Protocol):
    """What is told of batches, such as metrics."""

    def predicted(self, num_items: int, seconds: float) -> None:
        """Take note of a batch: its number of items and the time to predict it; called in any thread."""

    def waiting(self, num_items: int) -> None:
        """Take note of the number of items that wait for a batch."""


class _Job:
    """The items of one call, and the results that are there."""

    __slots__ = ("future", "items", "missing", "results")

    def __init__(self, items: Sequence[Item], future: "asyncio.Future[list[Result]]") -> None:
        self.items = items
        self.results: list[Result] = [None] * len(items)
        self.missing = len(items)
        self.future = future


class _Place(NamedTuple):
    """An item of a job."""

    job: _Job
    position: int


class Batcher:
    """Collect the items of many requests into batches, and return the result of each item.

    While a batch is predicted, the next one collects: a free worker takes all that waits. If that is less than a full
    batch and more requests are being read, it waits for these, for `wait_s` at most: so a single request waits for
    nothing, and under load the batches grow. Workers are threads, which tell the event loop of a whole batch at once.

    Args:
        predict: function from a batch of items to a result for each; called in a thread of its own.
        max_batch_size: largest number of items in a batch.
        wait_s: time that a batch waits for requests that are being read, in seconds.
        num_workers: number of batches to predict in parallel.
        observer: is told of batches.
    """

    def __init__(
        self,
        predict: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch_size: int,
        wait_s: float,
        num_workers: int,
        observer: Observer | None = None,
    ) -> None:
        self.predict = predict
        self.max_batch_size = max_batch_size
        self.wait_s = wait_s
        self.num_workers = num_workers
        self.observer = observer
        self._waiting: deque[_Place] = deque()
        self._changed = threading.Condition()
        self._num_requests = self._num_jobs = 0  # those that are answered, and of these the ones that wait for results
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Start the workers."""
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.num_workers)]
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Stop the workers; all requests must have been answered."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Let a batch wait for the items of a request, while it is read."""
        self._num_requests += 1
        try:
            yield
        finally:
            self._num_requests -= 1

    async def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Return the results of items, in order.

        Raises:
            Exception: any exception that `predict` raises for an item.
        """
        if not items:
            return []
        job = _Job(items, asyncio.get_running_loop().create_future())
        with self._changed:
            self._waiting.extend(_Place(job, position) for position in range(len(items)))
            self._num_jobs += 1
            self._tell_waiting()
            self._changed.notify()
        try:
            return await job.future
        finally:
            self._num_jobs -= 1

    def _tell_waiting(self) -> None:
        if self.observer is not None:
            self.observer.waiting(len(self._waiting))

    def _work(self) -> None:
        assert self._loop is not None
        while batch := self._collect():
            results = self._predict([job.items[position] for job, position in batch])
            try:
                self._loop.call_soon_threadsafe(self._answer, batch, results)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return

    def _collect(self) -> list[_Place]:
        """Return the next batch; none where the batcher stops."""
        with self._changed:
            while True:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                end = time.monotonic() + self.wait_s
                while (
                    0 < len(self._waiting) < self.max_batch_size
                    and self._num_requests > self._num_jobs
                    and (left := end - time.monotonic()) > 0
                ):
                    self._changed.wait(left)
                batch = list[_Place]()
                while self._waiting and len(batch) < self.max_batch_size:
                    place = self._waiting.popleft()
                    if not place.job.future.done():  # its client has left
                        batch.append(place)
                self._tell_waiting()
                if batch or self._stopping:
                    return batch

    def _predict(self, items: list[Item]) -> list[Result | Exception]:
        started = time.perf_counter()
        try:
            results = list(self.predict(items))
        except Exception as error:
            results = [error] if len(items) == 1 else self._one_by_one(items)  # so that only the bad item fails
        if self.observer is not None:
            self.observer.predicted(len(items), time.perf_counter() - started)
        return results

    def _one_by_one(self, items: list[Item]) -> list[Result | Exception]:
        results: list[Result | Exception] = []
        for item in items:
            try:
                results.extend(self.predict([item]))
            except Exception as error:
                results.append(error)
        return results

    def _answer(self, batch: list[_Place], results: list[Result | Exception]) -> None:
        """Hand out the results of a batch; in the event loop."""
        for (job, position), result in zip(batch, results, strict=True):
            if job.future.done():  # the client has left, or another item of its request failed
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
                continue
            job.results[position] = result
            job.missing -= 1
            if not job.missing:
                job.future.set_result(job.results)
