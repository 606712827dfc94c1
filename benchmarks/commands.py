"""How long does a whole command take? fit.py and predict.py from the shell, beside processes that do less."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

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
    yield from of_series()
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


SERIES_IMPORTS = (  # what a whole run of series imports, pictures and scores included
    "import torch, pytorch_lightning, pandas, matplotlib.pyplot, torchmetrics; "
    f"import sys; sys.path[:0] = [{str(ROOT)!r}]; "
    "import lightfit.scripts.training.run, lightfit.scripts.evaluation.scores, lightfit.callbacks.pictures.backtest"
)
AUTO_ETS = """
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoETS
table = pd.read_csv("panel.csv", parse_dates=["ds"])
StatsForecast([AutoETS(season_length=7)], freq="D", n_jobs=1).forecast(df=table, h=7)
"""


def cpu_seconds(*command: str) -> float:
    """Return the CPU seconds that a command takes, with those of its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_series(rounds: int = 3) -> Iterator[Figure]:
    """Yield the CPU time of runs of the task series: on 120 rows beside its imports, on a panel beside AutoETS."""
    rng, days = np.random.default_rng(0), np.arange(1000)
    season = 10 * np.sin(days / 7 * 2 * np.pi)
    small = pd.DataFrame(
        {"ds": pd.date_range("2014", periods=120, freq="MS"), "y": 100 + rng.normal(size=120).cumsum()}
    )
    small.to_csv("small.csv", index=False)
    panel = [
        pd.DataFrame(
            {
                "unique_id": f"series {index}",
                "ds": pd.date_range("2020", periods=len(days)),
                "y": 50 + season + rng.normal(size=len(days)).cumsum(),
            }
        )
        for index in range(100)
    ]
    pd.concat(panel).to_csv("panel.csv", index=False)
    times = alternate(
        {
            "fit": lambda: cpu_seconds(*FIT, "--task", "series", "--data.path", "small.csv", "--gpus", "0"),
            "imports": lambda: cpu_seconds(sys.executable, "-c", SERIES_IMPORTS),
        },
        rounds=rounds,
    )
    ours = "`fit.py --task series` on 120 rows, CPU"
    yield figure(
        "commands", ours, "its imports", ratio(times, "fit", "imports"), "x the time", rounds=rounds, target="<= 2"
    )
    times = alternate(
        {
            "fit": lambda: cpu_seconds(*FIT, "--task", "series", "--data.path", "panel.csv", "--gpus", "0"),
            "AutoETS": lambda: cpu_seconds(sys.executable, "-c", AUTO_ETS),
        },
        rounds=1,
    )
    ours, peer = "`fit.py --task series` on 100 series of 1,000 steps, CPU", "statsforecast's AutoETS on the same"
    yield figure("commands", ours, peer, ratio(times, "fit", "AutoETS"), "x the time", rounds=1, target="<= 1")


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
