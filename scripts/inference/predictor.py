"""Prediction with a trained model, on one or several devices."""

import copy
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lightfit.datamodules import Codec
from lightfit.errors import DataError
from lightfit.lightning_modules import LightModel

from ..cli.devices import parse_gpus

Given = TypeVar("Given")
Made = TypeVar("Made")


class Predictor:
    """Predict batches of raw samples, with a replica of the model on each device, used by one thread at a time.

    The replicas run in threads rather than in the processes of a Trainer, since these could not share standard input.

    Args:
        model: the model.
        codec: the codec of its checkpoint.
        devices: devices of the replicas.
    """

    def __init__(self, model: LightModel, codec: Codec, devices: Sequence[torch.device]) -> None:
        self.codec = codec
        self.quantiles = model.quantiles
        self.num_replicas = len(devices)
        self._free: SimpleQueue[LightModel] = SimpleQueue()
        for device in devices:
            self._free.put(_replicate(model).eval().to(device))

    def encode(self, samples: Sequence[Any]) -> Tensor:
        """Encode raw samples; those that are open files from their beginning.

        Raises:
            DataError: a sample cannot be encoded; of a custom codec any ValueError or EOFError says so.
        """
        return encode_samples(self.codec, samples)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the predictions for an encoded batch (B, ...), float32 on the CPU."""
        model = self._free.get()
        try:
            with torch.inference_mode():
                return model.predict_step(x.to(model.device), 0).float().cpu()
        finally:
            self._free.put(model)

    def map_in_order(self, function: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
        """Map a function over items in order, with a thread for each replica and as many items read ahead."""
        waiting: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(self.num_replicas) as pool:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > self.num_replicas:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def _replicate(model: LightModel) -> LightModel:
    """Return a copy of a model that shares its weights, until one of them is moved to another device."""
    # New parameters, as `to` changes those of a module in place.
    shared: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter:
            shared[id(parameter)] = nn.Parameter(parameter.detach(), parameter.requires_grad)
    return copy.deepcopy(model, shared)


def encode_samples(codec: Codec, samples: Sequence[Any]) -> Tensor:
    """Encode raw samples, as `Predictor.encode`."""
    for sample in samples:
        if isinstance(sample, io.BytesIO):
            sample.seek(0)
    try:
        return codec.encode(samples)
    except DataError:
        raise
    except (ValueError, EOFError) as error:
        raise DataError(f"{', '.join(map(str, samples[:1]))}: {' '.join(str(error).split())}") from error


def choose_devices(gpus: str) -> list[torch.device]:
    """Return the devices for `--gpus`, as in `parse_gpus`; auto: one accelerator, else the CPU."""
    accelerator, devices = parse_gpus(gpus, torch.cuda.device_count())
    if accelerator == "gpu":
        ids = devices if isinstance(devices, list) else range(int(devices) % (torch.cuda.device_count() + 1))
        return [torch.device("cuda", index) for index in ids]
    if accelerator == "auto" and torch.accelerator.is_available():
        return [torch.device(torch.accelerator.current_accelerator() or "cpu")]
    return [torch.device("cpu")]


def split_chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield items in lists of `size`, the last one may be shorter; read no items ahead."""
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk
