"""Runs that are killed at random moments, and stopped by signals."""

import os
import random
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import make_reviews, write_csv
from killing import contents, differences, finish, finish_well, kill_when, start

pytestmark = pytest.mark.slow

NUM_KILLS = 20
CNN = ("--data.source", "reviews.csv", "--data.max_len", "12", "--data.batch_size", "16")
LINES: dict[str, tuple[str, ...]] = {
    # Augmentation and a layer whitened on the data; dropout; dropout and three horizons of validation.
    "digits": ("--task", "digits", "--trainer.max_epochs", "4"),
    "imdb_cnn": ("--task", "imdb_cnn", *CNN, "--trainer.max_epochs", "6"),
    "temperature": ("--task", "temperature", "--trainer.max_epochs", "3"),
}


def line_of(task: str, *others: str) -> list[str]:
    # Without plots, which take most of the time of such a short run.
    return [*LINES[task], "--gpus", "0", "--quiet", "--checkpoint_every", "3", "--trainer.callbacks=null", *others]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_csv(tmp_path / "reviews.csv", make_reviews(800))
    return tmp_path


def run_folder(folder: Path, task: str, version: int) -> Path:
    return folder / "runs" / task / f"version_{version}"


@pytest.mark.parametrize("task", LINES)
def test_killed_at_twenty_moments_ends_as_never_stopped(
    task: str, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    line = line_of(task)
    finish_well(folder, line)
    history = run_folder(folder, task, 0) / "history.csv"
    expected, ended = contents(run_folder(folder, task, 0)), history.stat().st_mtime
    begun = (run_folder(folder, task, 0) / "config.yaml").stat().st_mtime
    rng, same, alive = random.Random(task), 0, 0
    for version in range(1, NUM_KILLS + 1):
        run = run_folder(folder, task, version)
        saved = run / "checkpoints" / "last.ckpt"
        # From the first step or the first checkpoint on; without a checkpoint, a new run starts.
        ready = saved.exists if version % 4 else (run / "config.yaml").exists
        alive += kill_when(start(folder, line), ready, after_s=rng.uniform(0, (ended - begun) * 0.8))
        finish_well(folder, [*line, "--resume", f"runs/{task}/version_{version}" if saved.exists() else "auto"])
        found = differences(expected, contents(max(run.parent.iterdir(), key=lambda path: path.stat().st_ctime)))
        assert found == [], f"{version}: {found}"
        same += 1
    record_property("said", f"{task}: {same} of {NUM_KILLS} identical, {alive} were killed before they ended")
    assert alive > NUM_KILLS / 2


def test_killed_again_and_again_with_workers_between(folder: Path) -> None:
    line = line_of("digits")
    finish_well(folder, line)
    rng, run = random.Random(1), run_folder(folder, "digits", 1)
    for turn in range(6):
        workers = ("--data.num_workers", str((0, 2)[turn % 2]), "--resume", "auto" if turn else "runs/digits/none")
        step = (3, 12, 18, 30, 39, 54)[turn]
        process = start(folder, [*line, *workers[: 4 if turn else 2]])
        kill_when(process, (run / "checkpoints" / "last.ckpt").exists, after_s=rng.uniform(0, 0.02 * step))
    finish_well(folder, [*line, "--resume", "auto"])
    assert differences(contents(run_folder(folder, "digits", 0)), contents(run)) == []


@pytest.mark.parametrize("task", LINES)
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_the_command_that_resumes_it(task: str, signal_number: int, folder: Path) -> None:
    line = [item for item in line_of(task) if item != "--quiet"]
    process = start(folder, line)
    assert kill_when(process, lambda: "epoch = 0" in (folder / "log.txt").read_text(), signal_number, after_s=0.03)
    sent = time.monotonic()
    process.join(20)
    assert time.monotonic() - sent < 10
    assert process.exitcode == 128 + signal_number
    text = (folder / "log.txt").read_text()
    assert f"stopped by {signal.Signals(signal_number).name} in epoch" in text
    assert "Traceback" not in text
    (command,) = [line for line in text.splitlines() if "--resume" in line]
    assert shlex.split(command)[2:-2] == line
    assert finish(folder, shlex.split(command)[2:]) == 0
    finish_well(folder, line)
    assert differences(contents(run_folder(folder, task, 1)), contents(run_folder(folder, task, 0))) == []


SLOW_MODEL = """
import time
from collections.abc import Callable
from lightfit import TextClassifier

class Slow(TextClassifier):
    def training_step(self, batch, batch_idx):
        print("step", flush=True)
        time.sleep(60)
        return super().training_step(batch, batch_idx)
"""


def test_a_second_signal_ends_the_run_at_once(folder: Path) -> None:
    (folder / "slow.py").write_text(SLOW_MODEL)
    args = ["--task", "text", "--data.source", "reviews.csv", "--gpus", "0", "--model", "slow.Slow"]
    process = start(folder, args)
    log = folder / "log.txt"
    assert kill_when(process, lambda: "step\n" in log.read_text(), signal.SIGTERM)
    process.join(1)
    assert process.exitcode is None
    os.kill(process.pid, signal.SIGTERM)
    process.join(2)
    assert process.exitcode == 128 + signal.SIGTERM


SLOW_TEST = """
import time
from collections.abc import Callable
from lightfit import TextClassifier

class Slow(TextClassifier):
    def test_step(self, batch, batch_idx):
        print("evaluates", flush=True)
        time.sleep(2)
        return super().test_step(batch, batch_idx)
"""


def test_a_signal_after_the_training_ends_the_evaluation(folder: Path) -> None:
    (folder / "slow.py").write_text(SLOW_TEST)
    args = ["--task", "text", "--data.source", "reviews.csv", "--gpus", "0", "--model", "slow.Slow", "--quiet"]
    process = start(folder, args)
    assert kill_when(process, lambda: "evaluates\n" in (folder / "log.txt").read_text(), signal.SIGTERM)
    process.join(10)
    assert process.exitcode == 128 + signal.SIGTERM
    assert "--resume runs/text/version_0" in (folder / "log.txt").read_text()


def test_a_run_is_trained_by_one_process_at_a_time(folder: Path) -> None:
    line = line_of("digits", "--trainer.max_epochs", "50")
    process = start(folder, line)
    saved = run_folder(folder, "digits", 0) / "checkpoints" / "last.ckpt"
    while not saved.exists():
        time.sleep(0.01)
    assert finish(folder, [*line, "--resume", "auto"], "second.txt") == 2
    assert "another process is training in 'runs/digits/version_0'" in (folder / "second.txt").read_text()
    process.kill()
    process.join()


def test_runs_started_at_the_same_time_have_separate_folders(folder: Path) -> None:
    line = line_of("digits", "--trainer.max_epochs", "1")
    processes = [start(folder, line, f"log{index}.txt") for index in range(4)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    histories = [pd.read_csv(run_folder(folder, "digits", index) / "history.csv") for index in range(4)]
    assert all(history.equals(histories[0]) for history in histories)
    assert len(list((folder / "runs" / "digits").iterdir())) == 4
