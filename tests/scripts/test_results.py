"""The results stated in the presets, on the real data."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lightfit.scripts.cli.presets import TASKS

pytestmark = pytest.mark.slow

# Folder of the data that is not bundled: cifar10.zip (<split>/<class>/*.jpg), ETTh1.csv, covid-19.csv.
DATA = Path(os.environ.get("LIGHTFIT_DATA", TASKS.parent / "data"))
CIFAR10, ETTH1, COVID_19 = DATA / "cifar10.zip", DATA / "ETTh1.csv", DATA / "covid-19.csv"


def needs(path: Path) -> pytest.MarkDecorator:
    reason = f"needs {path.name} in data/, or in the folder that LIGHTFIT_DATA names"
    return pytest.mark.skipif(not path.is_file(), reason=reason)


Fit = Callable[..., tuple[int, str, str]]


def best_val_accuracy(task: str) -> float:
    history = pd.read_csv(f"runs/{task}/version_0/history.csv")
    return history.loc[history["val_loss"].idxmin(), "val_accuracy"]


@pytest.mark.parametrize(("task", "accuracy"), [("imdb", 0.915), ("imdb_cnn", 0.7638)])
def test_texts(task: str, accuracy: float, fit: Fit) -> None:
    code, _, err = fit("--task", task, "--quiet")
    assert (code, err) == (0, "")
    assert best_val_accuracy(task) >= accuracy


def test_digits(fit: Fit) -> None:
    code, out, err = fit("--task", "digits", "--quiet")
    assert (code, err) == (0, "")
    scores = re.search(r"test_accuracy (\S+)", out)
    assert scores
    assert float(scores[1]) >= 0.985


@needs(CIFAR10)
def test_cifar2(fit: Fit) -> None:
    code, _, err = fit("--task", "cifar2", "--data.root", CIFAR10, "--quiet")
    assert (code, err) == (0, "")
    assert best_val_accuracy("cifar2") >= 0.92


@needs(CIFAR10)
def test_cifar10_for_three_epochs(fit: Fit) -> None:
    """Train three epochs, enough to show that net, recipe and augmentation learn; the full run takes half an hour."""
    code, _, err = fit("--task", "cifar10", "--data.root", CIFAR10, "--quiet", "--trainer.max_epochs", 3)
    assert (code, err) == (0, "")
    assert best_val_accuracy("cifar10") >= 0.7


def score_of(out: str, name: str) -> float:
    found = re.search(rf"test_{name} (\S+?),?\s", out)
    assert found
    return float(found[1])


def test_intervals_of_temperature(fit: Fit) -> None:
    code, out, err = fit("--task", "temperature", "--quiet")
    assert (code, err) == (0, "")
    assert 0.75 <= score_of(out, "coverage") <= 0.85
    assert "does not beat" not in out


@needs(ETTH1)
@pytest.mark.parametrize(("task", "mse", "mae"), [("etth1", 0.378, 0.402), ("etth1_sparse", 0.370, 0.392)])
def test_etth1(task: str, mse: float, mae: float, fit: Fit) -> None:
    """Check one seed; the presets state the mean of three."""
    code, out, err = fit("--task", task, "--data.path", ETTH1, "--quiet")
    assert (code, err) == (0, "")
    assert score_of(out, "mse") <= mse
    assert score_of(out, "mae") <= mae


@needs(COVID_19)
def test_covid19(fit: Fit) -> None:
    code, _, err = fit("--task", "covid19", "--data.path", COVID_19, "--quiet")
    assert (code, err) == (0, "")
    history = pd.read_csv("runs/covid19/version_0/history.csv")
    best = history.loc[history["val_loss"].idxmin()]
    assert best["val_mape"] <= 0.49
    assert best["val_loss"] <= 0.5
