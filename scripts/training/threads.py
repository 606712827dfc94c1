"""The number of CPU threads of a run."""

import copy
import os

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

# Below this many floating-point operations per step (forward), more threads gain little on an idle machine, and
# cost many times that on a busy one: benchmarks/threads.py.
SMALL_FLOPS = 5e8
DEFAULT = torch.get_num_threads()  # torch's default, read before the first run in this process changes it


def set_threads(net: nn.Module, x: Tensor | None, *, batch_size: int, asked: int | None, device_type: str) -> str:
    """Set the number of threads and return a line that describes it.

    Args:
        net: the net to be trained.
        x: some samples of a batch; None if unknown.
        batch_size: number of samples in a batch.
        asked: number of threads given by the user; None chooses: 1 for a small net on a CPU, otherwise torch's
            default, which OMP_NUM_THREADS sets.
        device_type: where the net runs, such as `cpu`.
    """
    if asked is not None:
        torch.set_num_threads(asked)
        return _describe_threads("set by --threads")
    if "OMP_NUM_THREADS" in os.environ:
        return _describe_threads("set by OMP_NUM_THREADS")
    if device_type != "cpu":
        return _describe_threads(f"the net runs on {device_type}")
    if x is None:
        return _describe_threads("the cost of a step is unknown; --threads changes it")
    flops = count_flops(net, x) * batch_size / len(x)
    small = flops < SMALL_FLOPS
    torch.set_num_threads(1 if small else DEFAULT)
    size = f"{'small' if small else 'large'} net, {flops / 1e9:.2g} GFLOP per step"
    return _describe_threads(f"{size}; --threads changes it")


def count_flops(net: nn.Module, x: Tensor) -> int:
    """Count the floating-point operations of matrix products and convolutions in a forward pass of a copy."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), torch.random.fork_rng(devices=[]):
        copy.deepcopy(net).eval()(x)
    return counter.get_total_flops()


def _describe_threads(reason: str) -> str:
    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''} ({reason})"
