"""Faults during training, and their messages."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from conftest import make_images, make_reviews, write_csv
from torch.utils.data import TensorDataset

from lightfit.cache import Arrays, Grow, cached
from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import sampler as workers
from lightfit.datamodules.sampler import BatchSampler, ResumableLoader
from lightfit.scripts.training.run_folder import find_newest_run

Fit = Callable[..., tuple[int, str, str]]

MODELS = """
import os
import time

import torch
from lightning_modules import ImageClassifier, TextClassifier

class InfiniteLoss(TextClassifier):
    def shared_step(self, batch):
        scores = super().shared_step(batch)
        bad = self.training and self.global_step == 2
        return {**scores, "loss": scores["loss"] / 0} if bad and scores["loss"] > 0 else scores

class Hungry(TextClassifier):
    def training_step(self, batch, batch_idx):
        if len(batch[0]) > 30 and self.current_epoch == int(os.environ.get("HUNGRY_FROM", 0)):
            torch.empty(2**60)  # four exabytes, which the system refuses
        return super().training_step(batch, batch_idx)
"""
SMALL = (
    "--data.max_ngrams",
    1000,
    "--data.min_steps",
    1,
    "--trainer.max_epochs",
    3,
    "--quiet",
    "--data.batch_size",
    16,
)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, workplace: Path) -> None:
    Path("faulty.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(workplace))


@pytest.mark.usefixtures("models")
def test_a_loss_that_is_nan_or_infinite_ends_the_run(fit: Fit, reviews: Path) -> None:
    code, _, err = fit("--task", "text", "--data.source", reviews, *SMALL, "--model", "faulty.InfiniteLoss")
    assert code == 1
    assert "the training loss became inf at step 2 (epoch 0, batch 2), training samples " in err
    assert "the last finite one was 0." in err
    assert len(err.split("training samples ")[1].split(";")[0].split(", ")) == 16
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("models")
def test_batches_with_a_nan_or_infinite_loss_are_skipped(fit: Fit, reviews: Path) -> None:
    line = ("--task", "text", "--data.source", reviews, *SMALL, "--model", "faulty.InfiniteLoss", "--on_nan", "skip")
    code, out, err = fit(*line, "--trainer.max_epochs", 3)
    assert (code, err) == (0, "")
    assert "skipped, as its loss is NaN or infinite: step 2 (epoch 0, batch 2), training samples " in out
    assert "1 batches were skipped" in out
    history = pd.read_csv("runs/text/version_0/history.csv")
    assert history.notna().all(axis=None)
    assert history["loss"].max() < 1


@pytest.mark.usefixtures("models")
def test_out_of_memory_says_what_to_try(fit: Fit, reviews: Path) -> None:
    code, _, err = fit(
        "--task", "text", "--data.source", reviews, *SMALL, "--data.batch_size", 64, "--model", "faulty.Hungry"
    )
    assert code == 1
    assert "out of memory with batches of 64 samples. Try --data.batch_size 32" in err


@pytest.mark.slow
@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("first", [0, 1])
def test_batches_are_halved_until_they_fit(
    first: int, fit: Fit, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUNGRY_FROM", str(first))
    line = ("--task", "text", "--data.source", reviews, *SMALL[:2], "--data.batch_size", "auto", "--data.min_steps", 1)
    code, out, err = fit(*line, "--model", "faulty.Hungry", "--trainer.max_epochs", 3)
    assert (code, err) == (0, "")
    tried = [line.split("trying ")[1] for line in out.splitlines() if "out of memory" in line]
    assert tried == ["50", "25"]
    assert ("resuming from epoch 1" in out) == (first == 1)
    assert len(pd.read_csv(find_newest_run(Path("runs/text")) / "history.csv")) == 3  # type: ignore[operator]


def test_a_worker_that_is_killed_is_an_error(fit: Fit, workplace: Path) -> None:
    make_images(workplace / "images")

    def kill() -> None:
        while not (children := psutil.Process().children()):
            time.sleep(0.001)
        os.kill(children[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    code, _, err = fit("--task", "images", "--data.root", "images", "--data.num_workers", 2, "--quiet")
    killer.join()
    assert code == 1
    assert "a worker process of the DataLoader died" in err
    assert "--data.num_workers" in err


def test_two_that_want_the_same_cache_make_it_once(tmp_path: Path) -> None:
    made = []

    def build(grow: Grow) -> Arrays:
        made.append(1)
        time.sleep(0.2)
        grow("a", "int32").append(pd.Series([1, 2, 3]).to_numpy())
        return {}

    (tmp_path / "x-0.part").mkdir()
    results: list[Arrays] = []
    threads = [threading.Thread(target=lambda: results.append(cached(tmp_path, "x", [1], build))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [result["a"].tolist() for result in results] == [[1, 2, 3]] * 4


def test_the_newest_run_is_the_highest_version_whatever_its_time(tmp_path: Path) -> None:
    for version in (2, 10, 9):
        (tmp_path / f"version_{version}" / "checkpoints").mkdir(parents=True)
        (tmp_path / f"version_{version}" / "checkpoints" / "last.ckpt").touch()
        os.utime(tmp_path / f"version_{version}" / "checkpoints" / "last.ckpt", (100 - version, 100 - version))
    (tmp_path / "version_11").mkdir()  # it has no checkpoint yet
    assert find_newest_run(tmp_path) == tmp_path / "version_10"


@pytest.mark.slow
def test_on_a_full_disk_the_last_checkpoint_survives(workplace: Path) -> None:
    from killing import finish

    write_csv(workplace / "reviews.csv", make_reviews(80))
    line = ["--task", "imdb_cnn", "--data.source", "reviews.csv", "--gpus", "0", "--trainer.max_epochs"]
    assert finish(workplace, [*line, "1"]) == 0
    last = workplace / "runs/imdb_cnn/version_0/checkpoints/last.ckpt"
    before = last.read_bytes()
    # The system refuses to let a file grow beyond this, as a full disk would.
    assert finish(workplace, [*line, "3", "--resume", "auto"], "full.txt", file_bytes=len(before) // 2) == 1
    text = (workplace / "full.txt").read_text()
    assert "no room for the checkpoint" in text
    assert "is whole (" in text
    assert last.read_bytes() == before
    assert read_checkpoint(last)["epoch"] == 0
    assert finish(workplace, [*line, "3", "--resume", "auto"]) == 0


def test_a_worker_that_does_not_start_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "START_S", 0.5)
    started: list[int] = []

    def forked() -> int:
        pid = fork()
        if pid == 0 and len(started) == 1:
            time.sleep(60)  # stuck, before it runs a line
        started.append(pid)
        return pid

    fork = os.fork
    monkeypatch.setattr(os, "fork", forked)
    data = TensorDataset(torch.arange(33))
    loader = ResumableLoader(data, sampler=BatchSampler(33, batch_size=5), batch_size=None, num_workers=2)
    torch.manual_seed(0)
    assert torch.cat([batch[0] for batch in loader]).tolist() == list(range(33))
    assert len(started) == 4
    state = torch.get_rng_state()
    torch.manual_seed(0)
    list(ResumableLoader(data, sampler=BatchSampler(33, batch_size=5), batch_size=None))
    assert torch.equal(state, torch.get_rng_state())
