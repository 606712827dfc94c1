"""How long does a whole command take? fit.py from the shell, beside Python that does nothing."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.figures import ROOT, Figure, figure
from benchmarks.timing import alternate, difference, seconds, spread

FIT = [sys.executable, str(ROOT / "scripts" / "fit.py")]
FIRST_STEP = """
import sys, time
from lightfit import LightModel
from lightfit.scripts.fit import main
def first_step(self, *args):
    print("step", time.time())
    raise SystemExit
LightModel.training_step = first_step
main(sys.argv[1:])
"""


def run(*command: str) -> None:
    """Runs a command, silently."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def to_the_first_step(*args: str) -> float:
    """Seconds from the command to its first training step."""
    started = time.time()
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", FIRST_STEP, *args]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    return next(float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("step ")) - started


def measure() -> Iterator[Figure]:
    """The figures of whole commands."""
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
