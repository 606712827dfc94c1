"""How many threads should a net have? A training step with one and with all, alone and beside a busy process.

It is why `scripts/training/threads.py` sets one thread for nets below half a GFLOP a step.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.figures import Figure, figure
from benchmarks.timing import alternate, ratio
from lightfit.lightning_modules.losses import classification_loss
from lightfit.lightning_modules.nets import FastResNet, TextCNN
from lightfit.platforms import count_processors
from lightfit.scripts.training.threads import count_flops

STEPS, ROUNDS = 10, 7


def cases() -> dict[str, tuple[nn.Module, Tensor]]:
    """Return nets with a batch each."""
    return {
        "text CNN, batches of 20": (TextCNN(10_000, max_len=200), torch.randint(2, 10_000, (20, 200))),
        "the net of digits, batches of 64": (FastResNet(widths=[64, 128], num_classes=10), torch.randn(64, 3, 8, 8)),
        "the same on 32 x 32 pixels": (FastResNet(widths=[64, 128], num_classes=10), torch.randn(64, 3, 32, 32)),
    }


def step_time(net: nn.Module, x: Tensor, threads: int) -> Callable[[], float]:
    """Return a function that trains some steps and returns the seconds of one."""
    y = torch.zeros(len(x), dtype=torch.int64)
    optimizer = torch.optim.Adam(net.parameters())

    def step() -> None:
        optimizer.zero_grad()
        classification_loss(net(x), y).backward()
        optimizer.step()

    def measure() -> float:
        torch.set_num_threads(threads)
        step()
        started = time.perf_counter()
        for _ in range(STEPS):
            step()
        return (time.perf_counter() - started) / STEPS

    return measure


def measure() -> Iterator[Figure]:
    """Yield the figures of threads."""
    busy: list[subprocess.Popen[bytes]] = []
    for place in ("alone", "beside a busy process"):
        if place != "alone":
            busy.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        for name, (net, x) in cases().items():
            contenders = {"one": step_time(net, x, 1), "all": step_time(net, x, count_processors())}
            times = alternate(contenders, rounds=ROUNDS)
            ours, peer = f"{name}, {place}, {count_processors()} threads", "one thread"
            note = f"{count_flops(net, x) / 1e9:.2g} GFLOP a step"
            yield figure("threads", ours, peer, ratio(times, "one", "all"), "times as fast", rounds=ROUNDS, note=note)
    for process in busy:
        process.kill()
