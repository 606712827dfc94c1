"""How many threads a run computes with."""

import copy
import os

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

# Below this many floating-point operations a step (forward), more threads gain little on a machine that is idle, and
# cost many times that beside anything else that runs: benchmarks/threads.py.
SMALL_FLOPS = 5e8
DEFAULT = torch.get_num_threads()  # torch's own, before a run of this process set another: a search has many


def set_threads(net: nn.Module, x: Tensor | None, *, batch_size: int, asked: int | None, device_type: str) -> str:
    """Sets the number of threads and says so in a line.

    Args:
        net: the net that is to be trained.
        x: some samples of a batch.
        batch_size: number of samples in a batch.
        asked: the number that the user asked for; None chooses: one for a small net on a processor, else torch's own
            number, which OMP_NUM_THREADS sets.
        device_type: where the net runs, such as `cpu`.
    """
    if asked is not None:
        torch.set_num_threads(asked)
        return _in_words("as --threads says")
    if "OMP_NUM_THREADS" in os.environ:
        return _in_words("as OMP_NUM_THREADS says")
    if device_type != "cpu":
        return _in_words("the net runs elsewhere")
    if x is None:
        return _in_words("the size of a step is not known; --threads sets another number")
    flops = count_flops(net, x) * batch_size / len(x)
    small = flops < SMALL_FLOPS
    torch.set_num_threads(1 if small else DEFAULT)
    size = f"{'small' if small else 'large'} net, {flops / 1e9:.2g} GFLOP a step"
    return _in_words(f"a {size}; --threads sets another number")


def count_flops(net: nn.Module, x: Tensor) -> int:
    """Floating-point operations of matrix products and convolutions in a forward pass of a copy of the net."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), torch.random.fork_rng(devices=[]):
        copy.deepcopy(net).eval()(x)
    return counter.get_total_flops()


def _in_words(reason: str) -> str:
    number = torch.get_num_threads()
    return f"{number} thread{'s' if number > 1 else ''} ({reason})"
