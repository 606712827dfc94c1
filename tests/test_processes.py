"""Training on several processes of the CPU equals training on one with the same global batch."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import make_images, make_reviews, make_series, write_csv
from killing import contents, differences

from lightfit.checkpoint import read_checkpoint
from lightfit.scripts.cli.presets import TASKS

pytestmark = pytest.mark.slow

TIMEOUT_S = 240  # a longer run hangs; it takes a fifth of that
SCRIPTS = TASKS.parent / "scripts"
FIT = str(SCRIPTS / "fit.py")
NETS = """
from torch import nn

class Plain(nn.Sequential):  # the same for any world size: no dropout, and no statistics of a batch
    def __init__(self, *, num_classes: int = 2) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 1))

class Normed(nn.Sequential):  # in training, different on each rank
    def __init__(self, *, num_classes: int = 2) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.append(nn.Linear(16, 1))
"""
LINES: dict[str, tuple[str, ...]] = {
    "text": (
        "--data.source",
        "reviews.csv",
        "--data.max_ngrams",
        "1000",
        "--data.min_steps",
        "1",
        "--trainer.max_epochs",
        "3",
        "--model.optimizer=SGD",
    ),
    "images": ("--data.root", "images", "--model.net=nets.Plain", "--data.num_workers=2"),
    "series": ("--data.path", "series.csv", "--data.target", "load", "--data.lookback", "24", "--data.horizon=4"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_csv(tmp_path / "reviews.csv", make_reviews(107))
    make_images(tmp_path / "images", per_class=23)
    make_series(400).to_csv(tmp_path / "series.csv", index=False)
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def line_of(task: str, num_processes: int, *others: str, global_batch: int = 12) -> list[str]:
    placed = ["--gpus", "0"]
    if num_processes > 1:
        placed = ["--trainer.accelerator=cpu", f"--trainer.devices={num_processes}", "--strategy=ddp"]
    size = ["--data.batch_size", str(global_batch // num_processes), "--trainer.max_epochs=3"]
    return ["--task", task, *LINES[task], *size, *placed, "--trainer.callbacks=null", *others]


def begin(args: Sequence[str], log: str = "log", **env: str) -> subprocess.Popen[bytes]:
    # To a file, not a pipe: an orphaned process would keep the pipe open.
    with Path(log).open("w") as file:
        command = args if args[0] == sys.executable else [sys.executable, FIT, *args]
        return subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **env})


def run(args: Sequence[str], log: str = "log", **env: str) -> str:
    assert begin(args, log, **env).wait(TIMEOUT_S) == 0, Path(log).read_text()
    return Path(log).read_text()


def history(task: str, version: int) -> pd.DataFrame:
    return pd.read_csv(f"runs/{task}/version_{version}/history.csv")


SKIPPING = """
import json
import sys

import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from lightfit.callbacks import FiniteLoss
from lightfit import LightModel

class Regressor(LightModel):
    def shared_step(self, batch):
        x, y = batch
        prediction = self(x)
        root = ((prediction - prediction) ** 2).sum().sqrt() if bool((y == 7).any()) else 0.0
        return {"loss": F.mse_loss(prediction, y) + root}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

torch.manual_seed(0)
x = torch.randn(160, 4)
y = x.sum(1, keepdim=True)
x[6], y[31] = float("nan"), 7.0  # each in a batch of one of the ranks
model, skip = Regressor(torch.nn.Linear(4, 1)), FiniteLoss("skip")
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
placed = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "accumulate_grad_batches": 3}
trainer = pl.Trainer(max_epochs=1, callbacks=[skip], **placed, **quiet)
trainer.fit(model, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=10))
result = [skip.num_skipped, model.net.weight.flatten().tolist(), model.history["loss"].tolist()]
open(f"rank{trainer.global_rank}.json", "w").write(json.dumps(result))
"""


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.mark.parametrize(("task", "num_processes"), [("text", 2), ("images", 2), ("series", 2), ("images", 3)])
def test_several_processes_are_one_run(task: str, num_processes: int, folder: Path) -> None:
    run(line_of(task, 1))
    run(line_of(task, num_processes))
    assert sorted(path.name for path in Path("runs", task).iterdir()) == ["version_0", "version_1"]
    assert len(list(Path("runs", task, "version_1").glob("events*"))) == len(
        list(Path("runs", task, "version_0").glob("events*"))
    )
    # Results differ only by rounding, as sums have another order.
    pd.testing.assert_frame_equal(history(task, 0), history(task, 1), rtol=1e-4)


def test_a_process_without_samples_in_the_last_batch(folder: Path) -> None:
    said = run(line_of("text", 1))
    assert "85 train" in said  # 7 batches of 12 and one sample
    run(line_of("text", 3))
    pd.testing.assert_frame_equal(history("text", 0), history("text", 1), rtol=1e-4)


def test_a_step_skipped_on_one_rank_is_skipped_on_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("skipping.py").write_text(SKIPPING)
    run([sys.executable, "skipping.py"], PYTHONPATH=str(SCRIPTS.parent))
    first, second = (json.loads(Path(f"rank{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first[0] == 6
    assert "NaN" not in json.dumps(first)


def test_started_by_torchrun(folder: Path) -> None:
    run(line_of("text", 1))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", free_port()]
    run([*torchrun, FIT, *line_of("text", 2)])
    assert sorted(path.name for path in Path("runs/text").iterdir()) == ["version_0", "version_1"]
    pd.testing.assert_frame_equal(history("text", 0), history("text", 1), rtol=1e-4)


def test_two_nodes_of_one_process(folder: Path) -> None:
    run(line_of("text", 1))
    place = {"MASTER_ADDR": "127.0.0.2", "MASTER_PORT": free_port()}
    line = [*line_of("text", 2), "--trainer.num_nodes=2", "--trainer.devices=1"]
    nodes = [begin(line, f"log{node}", **place, NODE_RANK=str(node)) for node in range(2)]
    ends = [node.wait(TIMEOUT_S) for node in nodes]
    assert ends == [0, 0], Path("log0").read_text() + Path("log1").read_text()
    pd.testing.assert_frame_equal(history("text", 0), history("text", 1), rtol=1e-4)


SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
SLURM |= {"SLURM_NNODES": "1", "SLURM_NODEID": "0", "MASTER_ADDR": "127.0.0.1"}


def of_task(rank: int, port: str) -> dict[str, str]:
    return {**SLURM, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "MASTER_PORT": port}


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not path.is_file() or text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_slurm_queues_the_job_again(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "scontrol").write_text('#!/bin/sh\necho "$@" >> requeued\n')
    (folder / "bin" / "scontrol").chmod(0o755)
    path = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    line = [*line_of("images", 2), "--resume=auto", "--trainer.max_epochs=30"]
    port = free_port()
    tasks = [begin(line, f"log{rank}", **of_task(rank, port), **path) for rank in range(2)]
    wait_for(Path("log0"), "epoch = 1\n")
    for task in tasks:
        task.send_signal(signal.SIGUSR1)
    assert [task.wait(20) for task in tasks] == [128 + signal.SIGUSR1] * 2
    assert Path("requeued").read_text() == "requeue 7\n"
    port = free_port()
    tasks = [begin(line, f"log{rank}", **of_task(rank, port), **path) for rank in range(2)]
    assert [task.wait(TIMEOUT_S) for task in tasks] == [0, 0], Path("log0").read_text()
    assert "resuming from epoch" in Path("log0").read_text()
    run([*line_of("images", 2), "--trainer.max_epochs=30"])
    whole, resumed = (Path("runs/images", f"version_{version}") for version in (1, 0))
    assert differences(contents(whole), contents(resumed)) == []


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_ends_all_and_the_run_resumes(signal_number: int, folder: Path) -> None:
    process = begin([*line_of("images", 2), "--trainer.max_epochs=20"])
    wait_for(Path("log"), "epoch = 1\n")
    sent = time.monotonic()
    process.send_signal(signal_number)
    assert process.wait(20) == 128 + signal_number, Path("log").read_text()
    assert time.monotonic() - sent < 10
    said = Path("log").read_text()
    assert said.count("stopped by") == 1
    assert "Traceback" not in said
    (command,) = [line for line in said.splitlines() if "--resume" in line]
    run(shlex.split(command)[2:])
    run([*line_of("images", 2), "--trainer.max_epochs=20"])
    assert differences(*(contents(Path("runs/images", f"version_{run}")) for run in (1, 0))) == []


def test_killed_and_resumed_with_another_world_size(folder: Path) -> None:
    run(line_of("images", 1))
    process = begin([*line_of("images", 2), "--checkpoint_every=1"])
    saved = Path("runs/images/version_1/checkpoints/last.ckpt")
    while not saved.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    said = run([*line_of("images", 3), "--resume=auto"])
    assert "resuming from epoch 0, step" in said
    pd.testing.assert_frame_equal(history("images", 0), history("images", 1), rtol=1e-4)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_fails_ends_the_others(rank: int, folder: Path) -> None:
    Path("failing.py").write_text(FAILING.replace("RANK", str(rank)))
    process = begin([*line_of("text", 2), "--model", "failing.Failing"])
    assert process.wait(60) != 0
    said = Path("log").read_text()
    assert f"the coffee is out in process {rank}" in said


EVALUATION = """
import json, sys
from lightfit.callbacks.logs.sample_outputs import SampleOutputs
from lightfit.scripts.evaluation.scores import evaluate_split, quiet_trainer
from lightfit.scripts.evaluation.data import choose_split
from lightfit.scripts.evaluation.page import as_plain
from lightfit.scripts.inference.trained import load_trained

if __name__ == "__main__":
    num_processes, checkpoint, flag, source = int(sys.argv[1]), *sys.argv[2:]
    several = {"devices": num_processes, "strategy": "ddp"} if num_processes > 1 else {}
    trained = load_trained(checkpoint, ["nets"])
    split = choose_split(trained, [flag, source, "--data.batch_size", "4"], None)
    trainer = quiet_trainer("0", callbacks=[SampleOutputs()], **several)
    evaluation = evaluate_split(trainer, trained.model, split.data, split.name)
    if evaluation is not None:
        open(f"{num_processes}.json", "w").write(json.dumps(as_plain(evaluation)))
"""


def flat(scores: Any) -> list[float]:
    items = scores.values() if isinstance(scores, dict) else scores if isinstance(scores, list) else []
    return [scores] if isinstance(scores, float) else [value for item in items for value in flat(item)]


@pytest.mark.parametrize("task", LINES)
def test_evaluation_is_exact(task: str, folder: Path) -> None:
    write_csv(Path("odd.csv"), make_reviews(33))  # not divisible by the world size or the batch size
    make_images(Path("odd"), per_class=16)
    make_images(Path("odd"), per_class=1, first=40, names=("dark",))
    make_series(36, first=400).to_csv("series_odd.csv", index=False)
    run(line_of(task, 1, *(("--model.net=nets.Normed",) if task == "images" else ())))
    source = {"text": ("--data.source", "odd.csv"), "images": ("--data.root", "odd")}
    Path("evaluation.py").write_text(EVALUATION)
    checkpoint = f"runs/{task}/version_0/checkpoints/last.ckpt"
    given = source.get(task, ("--data.path", "series_odd.csv"))
    for num_processes in ("1", "2", "3"):
        paths = f"{TASKS.parent}:{folder}"
        run([sys.executable, "evaluation.py", num_processes, checkpoint, *given], PYTHONPATH=paths)
    one, *others = (json.loads(Path(f"{count}.json").read_text()) for count in (1, 2, 3))
    assert one["num_samples"] == (9 if task == "series" else 33)
    for other in others:
        if task == "series":  # other batches round differently, in the sixth digit
            assert flat(other) == pytest.approx(flat(one), rel=1e-5, abs=1e-6)
        else:
            assert other == one


def test_nets_with_batch_norm_are_evaluated_as_saved(folder: Path) -> None:
    run(line_of("images", 2, "--model.net=nets.Normed"))
    checkpoints = Path("runs/images/version_0/checkpoints")
    epoch = int(read_checkpoint(next(checkpoints.glob("best*")))["epoch"])
    best = str(next(checkpoints.glob("best*")))
    run(
        [sys.executable, str(SCRIPTS / "evaluate.py"), best, "--split", "val", "--gpus", "0", "--trust", "nets"],
        PYTHONPATH=str(folder),
    )
    metrics = json.loads(Path("runs/images/version_0/evaluation/evaluation.json").read_text())["metrics"]
    scores = {row["metric"]: row["value"] for row in metrics}
    assert scores["loss"] == pytest.approx(history("images", 0)["val_loss"][epoch], rel=1e-5)
    assert scores["accuracy"] == pytest.approx(history("images", 0)["val_accuracy"][epoch], rel=1e-5)


FAILING = """
from lightfit import TextClassifier

class Failing(TextClassifier):
    def training_step(self, batch, batch_idx):
        if self.global_rank == RANK and self.global_step == 2:
            raise ValueError(f"the coffee is out in process {self.global_rank}")
        return super().training_step(batch, batch_idx)
"""
