"""Dynamic batching: inputs of simultaneous requests are predicted together."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

Item = Any
Result = Any


class Batcher:
    """Collect the items of many requests into batches, and return the result of each item.

    A batch is closed when a worker is free and the batch is full, or `wait_s` have passed since its first item. So a
    single request waits for at most that time, and under load the batches grow.

    Args:
        predict: function from a batch of items to a result for each; called in a thread.
        max_batch_size: largest number of items in a batch.
        wait_s: time that a batch waits for more items, in seconds.
        num_workers: number of batches to predict in parallel.
    """

    def __init__(
        self, predict: Callable[[list[Item]], Sequence[Result]], *, max_batch_size: int, wait_s: float, num_workers: int
    ) -> None:
        self.predict = predict
        self.max_batch_size = max_batch_size
        self.wait_s = wait_s
        self.num_workers = num_workers
        self._waiting: asyncio.Queue[tuple[Item, asyncio.Future[Result]]] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the workers."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(self.num_workers)]

    async def stop(self) -> None:
        """Stop the workers; all requests must have been answered."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Return the results of items, in order.

        Raises:
            Exception: any exception that `predict` raises for an item.
        """
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in items]
        for pair in zip(items, futures, strict=True):
            self._waiting.put_nowait(pair)
        return list(await asyncio.gather(*futures))

    async def _work(self) -> None:
        while True:
            batch = await self._collect()
            items = [item for item, _ in batch]
            try:
                results = await asyncio.to_thread(self.predict, items)
            except Exception as error:
                if len(batch) == 1:
                    _fail(batch[0][1], error)
                    continue
                results = await asyncio.to_thread(self._one_by_one, items)  # so that only the bad item fails
            for (_, future), result in zip(batch, results, strict=True):
                if isinstance(result, Exception):
                    _fail(future, result)
                elif not future.done():  # the client may have disconnected
                    future.set_result(result)

    async def _collect(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        batch = [await self._waiting.get()]
        end = asyncio.get_running_loop().time() + self.wait_s
        while len(batch) < self.max_batch_size:
            left = end - asyncio.get_running_loop().time()
            try:
                batch.append(
                    self._waiting.get_nowait() if left <= 0 else await asyncio.wait_for(self._waiting.get(), left)
                )
            except (asyncio.QueueEmpty, asyncio.TimeoutError):
                break
        return batch

    def _one_by_one(self, items: list[Item]) -> list[Result | Exception]:
        results: list[Result | Exception] = []
        for item in items:
            try:
                results.extend(self.predict([item]))
            except Exception as error:
                results.append(error)
        return results


def _fail(future: "asyncio.Future[Result]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
