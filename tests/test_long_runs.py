"""Ten thousand steps use no more memory, files and threads than the first thousands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_images, make_reviews, make_series, write_csv

from lightfit.scripts.cli.presets import TASKS

pytestmark = pytest.mark.slow

STEPS = 10_000
WATCH = """
import json
from pathlib import Path

import psutil
import pytorch_lightning as pl

class Watch(pl.Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step % 250 == 0:
            process = psutil.Process()
            files = len(process.open_files()) + len(process.net_connections())
            numbers = [trainer.global_step, process.memory_info().rss, files, process.num_threads()]
            with Path("watched").open("a") as file:
                print(json.dumps(numbers), file=file)
"""
LINES = {
    "text": (
        "--data.source",
        "reviews.csv",
        "--data.max_ngrams",
        "1000",
        "--data.min_steps",
        "1",
        "--trainer.max_epochs",
        "3",
    ),
    "images": ("--data.root", "images", "--data.num_workers", "0", "--model.net", "lightfit.nets.ImageCNN"),
    "series": (
        *("--data.path", "series.csv", "--data.target", "load", "--data.lookback", "24"),
        *("--model.net", "lightfit.nets.NLinear"),  # trained by gradients
    ),
}


@pytest.mark.parametrize("task", LINES)
def test_ten_thousand_steps_take_no_more_than_the_first(task: str, workplace: Path) -> None:
    write_csv(Path("reviews.csv"), make_reviews(1000))
    make_images(Path("images"), per_class=100)
    make_series(1500).to_csv("series.csv", index=False)
    Path("watch.py").write_text(WATCH)
    line = ["--task", task, *LINES[task], "--data.batch_size", "4", "--gpus", "0", "--threads", "1"]
    ends = ["--trainer.max_epochs", "1000", "--trainer.max_steps", str(STEPS), "--checkpoint_every", "500", "--quiet"]
    command = [sys.executable, str(TASKS.parent / "scripts" / "fit.py"), *line, *ends]
    with Path("log").open("w") as log:
        run = subprocess.run(
            [*command, "--trainer.callbacks", "[watch.Watch]"], stdout=log, stderr=log, timeout=900, check=False
        )
    assert run.returncode == 0, Path("log").read_text()
    watched = [json.loads(row) for row in Path("watched").read_text().splitlines()]
    assert watched[-1][0] == STEPS
    second_half = [row for row in watched if row[0] >= STEPS // 2]
    _, resident, files, threads = zip(*second_half, strict=True)
    assert max(resident[-4:]) < 1.02 * max(resident[:4])
    assert files[-1] <= files[0]
    assert threads[-1] <= threads[0]
    events = list(Path("runs", task, "version_0").glob("events*"))
    assert len(events) <= 3  # of the training, of the test, and of the settings with the scores
    assert sum(path.stat().st_size for path in events) < 2_000_000
