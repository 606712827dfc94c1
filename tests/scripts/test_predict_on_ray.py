"""Predictions by Ray Data, on a cluster of this machine."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import make_reviews, write_csv

import lightfit
from lightfit.errors import UsageError
from lightfit.scripts.inference.ray_engine import choose_actors

ROOT = Path(lightfit.__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("gpus", "resources", "expected"),
    [
        ("auto", {"CPU": 8.0}, (8, 0)),
        ("auto", {"CPU": 8.0, "GPU": 2.0}, (2, 1)),
        ("0", {"CPU": 8.0, "GPU": 2.0}, (8, 0)),
        ("2", {"CPU": 8.0, "GPU": 4.0}, (2, 1)),
        ("-1", {"CPU": 8.0, "GPU": 4.0}, (4, 1)),
    ],
)
def test_actors_follow_the_cluster(gpus: str, resources: dict[str, float], expected: tuple[int, int]) -> None:
    assert choose_actors(gpus, resources) == expected


@pytest.mark.parametrize(("gpus", "problem"), [("8", "--gpus 8 asks for a GPU"), ("0,1", "chooses the GPUs of the")])
def test_gpus_that_a_cluster_does_not_have(gpus: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        choose_actors(gpus, {"CPU": 8.0, "GPU": 2.0})


@pytest.mark.slow
def test_ray_gives_the_same_rows_in_the_same_order(trained: Callable[[str], str]) -> None:
    """In processes of their own: Ray's leave warnings behind."""
    pytest.importorskip("ray")
    checkpoint = trained("text")
    rows = [*make_reviews(), ("", "x"), ("xyzzy", "x"), *make_reviews(50)]
    write_csv(Path("a.csv"), rows)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["RAY_raylet_start_wait_time_s"] = "300"  # on a machine that is busy
    for engine in ("local", "ray"):
        command = [sys.executable, str(ROOT / "scripts/predict.py"), checkpoint, "a.csv", "good", "--gpus", "0"]
        command += ["--keep", "label", "--batch_size", "7", "--engine", engine, "-o", f"{engine}.csv"]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert ended.returncode == 1, ended.stderr
        assert "1 of 133 inputs could not be predicted" in ended.stderr
        assert ended.stdout == f"133 rows in {engine}.csv\n"
    assert Path("ray.csv").read_text() == Path("local.csv").read_text()
