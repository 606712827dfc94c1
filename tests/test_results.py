"""The results that the presets claim, on the real data."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scripts.presets import TASKS

pytestmark = pytest.mark.slow

# Where images lie that are too large to come along: cifar10.zip, <split>/<class>/*.jpg.
CIFAR10 = Path(os.environ.get("LIGHTFIT_DATA", TASKS.parent / "data")) / "cifar10.zip"
needs_cifar10 = pytest.mark.skipif(
    not CIFAR10.is_file(), reason="needs cifar10.zip in data/, or in the folder that LIGHTFIT_DATA names"
)
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


@needs_cifar10
def test_cifar2(fit: Fit) -> None:
    code, _, err = fit("--task", "cifar2", "--data.root", CIFAR10, "--quiet")
    assert (code, err) == (0, "")
    assert best_val_accuracy("cifar2") >= 0.92


@needs_cifar10
def test_cifar10_for_three_epochs(fit: Fit) -> None:
    """The whole of it takes half an hour; these three tell whether net, recipe and augmentation still learn."""
    code, _, err = fit("--task", "cifar10", "--data.root", CIFAR10, "--quiet", "--trainer.max_epochs", 3)
    assert (code, err) == (0, "")
    assert best_val_accuracy("cifar10") >= 0.7
