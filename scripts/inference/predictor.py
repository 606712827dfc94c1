"""A trained model at work, on one device or on several."""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightfit.datamodules import DataModule
from lightfit.lightning_modules import LightModel

from ..cli.devices import accelerator_and_devices

Given = TypeVar("Given")
Made = TypeVar("Made")


class Predictor:
    """Predicts batches of raw samples; a replica of the model on each device, each taken by one thread at a time.

    Threads of this process, not processes of a Trainer: these would each read standard input, and a stream has no
    length by which they could share it.

    Args:
        model: the model.
        data: what the checkpoint holds of the data.
        devices: where the replicas are.
    """

    def __init__(self, model: LightModel, data: DataModule, devices: Sequence[torch.device]) -> None:
        self.data = data
        self.quantiles = model.quantiles
        self.num_replicas = len(devices)
        self._free: SimpleQueue[LightModel] = SimpleQueue()
        for device in devices:
            self._free.put(copy.deepcopy(model).eval().to(device))

    def __call__(self, x: Tensor) -> Tensor:
        """What the model predicts of a batch for the net, (B, ...), on the CPU."""
        model = self._free.get()
        try:
            with torch.inference_mode():
                return model.predict_step(x.to(model.device), 0).float().cpu()
        finally:
            self._free.put(model)

    def in_order(self, function: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
        """What a function makes of items, in their order, on as many threads as there are replicas; reads ahead by one
        item for each, and no further."""
        waiting: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(self.num_replicas) as pool:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > self.num_replicas:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def devices_of(gpus: str) -> list[torch.device]:
    """The devices that `--gpus` names, as in `accelerator_and_devices`; auto is one, the best there is."""
    accelerator, devices = accelerator_and_devices(gpus, torch.cuda.device_count())
    if accelerator == "gpu":
        numbers = devices if isinstance(devices, list) else range(int(devices) % (torch.cuda.device_count() + 1))
        return [torch.device("cuda", number) for number in numbers]
    if accelerator == "auto" and torch.accelerator.is_available():
        return [torch.device(torch.accelerator.current_accelerator() or "cpu")]
    return [torch.device("cpu")]


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Items in lists of `size`, the last one perhaps shorter; reads no further than it hands out."""
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk
