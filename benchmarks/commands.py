"""How long does a whole command take? fit.py and predict.py from the shell, beside processes that do less."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bare import make_bare
from benchmarks.figures import ROOT, Figure, figure
from benchmarks.timing import alternate, difference, ratio, seconds, spread

FIT = [sys.executable, str(ROOT / "scripts" / "fit.py")]
PREDICT = [sys.executable, str(ROOT / "scripts" / "predict.py")]
FIRST_STEP = """
import os, time
from lightfit.lightning import pl
class FirstStep(pl.Callback):
    def on_train_batch_start(self, *args):
        print("step", time.time(), flush=True)
        os._exit(0)
"""  # a custom callback, as fit.py finds it: the command runs as it is
LIGHTNING = "import torch, pytorch_lightning"


def run(*command: str) -> None:
    """Run a command, silently."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def to_the_first_step(*args: str) -> float:
    """Return the seconds from the command to its first training step."""
    Path("first_step.py").write_text(FIRST_STEP)
    started = time.time()
    command = [*FIT, *args, "--trainer.callbacks+=first_step.FirstStep"]
    done = subprocess.run(command, capture_output=True, text=True)
    return next(float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("step ")) - started


def measure() -> Iterator[Figure]:
    """Yield the figures of whole commands."""
    contenders = {
        "python": lambda: seconds(lambda: run(sys.executable, "-c", "pass")),
        "--help": lambda: seconds(lambda: run(*FIT, "--help")),
        "--list": lambda: seconds(lambda: run(*FIT, "--list")),
    }
    times = alternate(contenders, rounds=9)
    for flag in ("--help", "--list"):
        more = difference(times, flag, "python")
        yield figure("commands", f"`fit.py {flag}`", "Python's start", more, "s more", rounds=9, target="<= 0.5")
    peers = {
        "Python's start": lambda: seconds(lambda: run(sys.executable, "-c", "pass")),
        "`import torch`": lambda: seconds(lambda: run(sys.executable, "-c", "import torch")),
        "`import pytorch_lightning, torchvision`": lambda: seconds(
            lambda: run(sys.executable, "-c", "import pytorch_lightning, torchvision")
        ),
    }
    times = alternate({"digits": lambda: to_the_first_step("--task", "digits"), **peers}, rounds=5)
    for peer in peers:
        more, ours = difference(times, "digits", peer), "`fit.py --task digits`, to the first step"
        target = "<= 8" if peer == "Python's start" else ""
        yield figure("commands", ours, peer, more, "s more", rounds=5, target=target)
    yield from against_lightning()
    whole = alternate(
        {
            "imdb": lambda: seconds(lambda: run(*FIT, "--task", "imdb")),
            "python": lambda: seconds(lambda: run(sys.executable, "-c", "pass")),
        },
        rounds=2,
    )
    took = spread([one - other for one, other in zip(whole["imdb"], whole["python"], strict=True)])
    ours = "`fit.py --task imdb`, to the result"
    yield figure("commands", ours, "Python's start", took, "s more", rounds=2, target="<= 60")


def against_lightning(rounds: int = 7) -> Iterator[Figure]:
    """Yield how long commands on texts take beside a process that only imports torch and Lightning, in a bare
    environment: without torchvision and SciPy, which torchmetrics imports where they are installed."""
    bare = make_bare(Path("bare").absolute())
    run(*FIT, "--task", "imdb", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1")
    checkpoint = next(Path("runs/imdb").glob("*/checkpoints/best-*.ckpt"))
    times = alternate(
        {
            "bare": lambda: seconds(lambda: run(str(bare), "-c", LIGHTNING)),
            "fit": lambda: to_the_first_step("--task", "imdb"),
            "predict": lambda: seconds(lambda: run(*PREDICT, str(checkpoint), "a wonderful film")),
        },
        rounds=rounds,
    )
    peer = f"`{LIGHTNING}`, without torchvision and SciPy"
    for name, ours, target in (
        ("fit", "`fit.py --task imdb`, to the first step", "<= 1.3"),
        ("predict", "`predict.py`, one text", "<= 1.1"),
    ):
        yield figure("commands", ours, peer, ratio(times, name, "bare"), "x the time", rounds=rounds, target=target)
