"""Draw docs/images/run.png from a real run: `python docs/draw_run.py` trains the task digits and draws its run folder.

`python docs/draw_run.py runs/digits/version_0` draws a run that exists.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "run.png"
TASK = "digits"


def train(folder: Path) -> Path:
    """Train the task in a folder and return the folder of its run."""
    command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--task", TASK, "--gpus", "0"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "runs" / TASK / "version_0"


def draw(run: Path, path: Path) -> None:
    """Draw the curves, the feature maps and the confusion matrix of a run as one picture of 256 colours."""
    from PIL import Image

    history = pd.read_csv(run / "history.csv")
    figure = plt.figure(figsize=(14, 5.4), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1.0, 0.98, 1.35])
    for axes, metric in zip(left.subplots(2, 1, sharex=True), ("loss", "accuracy"), strict=True):
        axes.plot(history["epoch"], history[metric], label="train")
        axes.plot(history["epoch"], history[f"val_{metric}"], label="val")
        axes.set_ylabel(metric)
        axes.grid(alpha=0.3)
        axes.legend()
    axes.set_xlabel("epoch")
    for place, folder in ((middle, "feature_maps"), (right, "confusion_matrix")):
        axes = place.subplots()
        axes.imshow(plt.imread(max((run / folder).glob("*.png"))), interpolation="lanczos")
        axes.set_axis_off()
    for place, title in ((left, "history.csv"), (middle, "feature_maps/"), (right, "confusion_matrix/")):
        place.suptitle(title, family="monospace")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        draw(Path(sys.argv[1]), PICTURE)
    else:
        with tempfile.TemporaryDirectory() as folder:
            draw(train(Path(folder)), PICTURE)
