"""Two processes on the CPU do what one does with the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from scripts.presets import TASKS

pytestmark = pytest.mark.slow

# Past this the run hangs; it takes a fifth of it.
TIMEOUT_S = 240


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
