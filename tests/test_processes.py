"""Two processes on the CPU do what one does with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import make_reviews, write_csv

from scripts.fit import main as fit_main
from scripts.presets import TASKS

pytestmark = pytest.mark.slow

# Past this the run hangs; it takes a fifth of it.
TIMEOUT_S = 240


EVALUATION = """
import json, sys
from callbacks.sample_outputs import SampleOutputs
from scripts.evaluation import evaluate_test
from scripts.evaluation_data import choose_part
from scripts.report_page import as_plain
from scripts.trained import load_trained
from scripts.trainers import quiet_trainer

if __name__ == "__main__":
    several = {"devices": int(sys.argv[1]), "strategy": "ddp"} if int(sys.argv[1]) > 1 else {}
    trained = load_trained("runs/text/version_0/checkpoints/last.ckpt")
    part = choose_part(trained, ["--data.source", "odd.csv", "--data.batch_size", "4"], None)
    trainer = quiet_trainer("0", callbacks=[SampleOutputs()], **several)
    evaluation = evaluate_test(trainer, trained.model, part.data)
    if evaluation is not None:
        open(f"{sys.argv[1]}.json", "w").write(json.dumps(as_plain(evaluation)))
"""


def test_two_processes_evaluate_as_one(reviews: Path) -> None:
    line = ["--task", "text", "--data.source", str(reviews), "--model.net.num_buckets", "1000", "--quiet"]
    assert fit_main([*line, "--gpus", "0"]) == 0
    write_csv(Path("odd.csv"), make_reviews(33))  # one more than two processes share evenly
    Path("evaluation.py").write_text(EVALUATION)
    for devices in ("1", "2"):
        with Path("log").open("w") as log:
            command = [sys.executable, "evaluation.py", devices]
            env = {**os.environ, "PYTHONPATH": str(TASKS.parent)}
            run = subprocess.run(command, stdout=log, stderr=log, timeout=TIMEOUT_S, env=env)
        assert run.returncode == 0, Path("log").read_text()
    assert json.loads(Path("1.json").read_text()) == json.loads(Path("2.json").read_text())


def test_two_processes_are_one_run(reviews: Path) -> None:
    line = ["--task", "text", "--data.source", str(reviews), "--model.net.num_buckets", "1000", "--quiet"]
    two = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    for args in ([*two, "--data.batch_size", "8"], ["--gpus", "0", "--data.batch_size", "16"]):
        command = [sys.executable, str(TASKS.parent / "scripts" / "fit.py"), *line, *args]
        # In a file, not in a pipe: a process that is left behind would keep the pipe open.
        with Path("log").open("w") as log:
            run = subprocess.run(command, stdout=log, stderr=log, timeout=TIMEOUT_S, env={**os.environ})
        assert run.returncode == 0, Path("log").read_text()
    assert sorted(path.name for path in Path("runs/text").iterdir()) == ["version_0", "version_1"]
    histories = [pd.read_csv(f"runs/text/version_{version}/history.csv") for version in (0, 1)]
    # The first epoch's order differs within a global batch only, so losses agree but for rounding.
    pd.testing.assert_frame_equal(*histories, rtol=1e-5)
