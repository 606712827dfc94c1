"""The results that the presets claim, on the real data."""

from collections.abc import Callable

import pandas as pd
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("task", "accuracy"), [("imdb", 0.915), ("imdb_cnn", 0.7638)])
def test_validation_accuracy(task: str, accuracy: float, fit: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = fit("--task", task, "--quiet")
    assert (code, err) == (0, "")
    history = pd.read_csv(f"runs/{task}/version_0/history.csv")
    assert history.loc[history["val_loss"].idxmin(), "val_accuracy"] >= accuracy
