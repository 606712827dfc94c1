"""Callbacks in other projects: no kind of LightningModule is ended or changed, and what cannot be drawn is said once."""

import inspect
import logging
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from foreign_modules import KINDS, Kind
from torch import Tensor

from lightfit import LightModel, callbacks

pytestmark = [
    pytest.mark.filterwarnings("ignore:`training_step` returned `None`"),
    pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides"),
    pytest.mark.filterwarnings("ignore:Starting from v1.9.0, `tensorboardX` has been removed"),
    pytest.mark.filterwarnings("ignore:.*:matplotlib.MatplotlibDeprecationWarning"),
]

PICTURES = ("Backtest", "BatchPreview", "ConfusionMatrix", "FeatureMaps", "ForecastPlot", "GradCAM")
FOLDERS = {
    **{"BatchPreview": "preview_train", "ConfusionMatrix": "confusion_matrix", "FeatureMaps": "feature_maps"},
    **{"ForecastPlot": "forecasts", "Backtest": "backtest"},  # not Grad-CAM's, which needs wrong predictions
}
CLASSES = {name: getattr(callbacks, name) for name in callbacks.__all__ if inspect.isclass(getattr(callbacks, name))}
WATCHERS = [name for name, cls in CLASSES.items() if issubclass(cls, (pl.Callback, pl.plugins.TorchCheckpointIO))]


def make(name: str, monitor: str, folder: Path) -> Any:
    """Make a callback with the arguments that it needs, or the plugin that is among them."""
    arguments: dict[str, dict[str, Any]] = {
        "BestAndLast": {"monitor": monitor, "save_last": True},
        "CheckpointEvery": {"steps": 1},
        "EarlyStopping": {"monitor": monitor, "patience": 9},
        "NotebookProgress": {"monitor": monitor},
        "ReportMetric": {"monitor": monitor, "report": lambda value, epoch: None},
        "StochasticWeightAverage": {"start": 0.5},
    }
    return CLASSES[name](**arguments.get(name, {}))


def fit(kind: Kind, folder: Path, name: str | None = None) -> tuple[pl.Trainer, list[Tensor]]:
    """Train a module of a kind, with a callback or without; return the trainer, the weights, and what is drawn next."""
    pl.seed_everything(0, verbose=False)
    model = kind.module()
    watcher = make(name, kind.monitor, folder) if name else None
    is_plugin = isinstance(watcher, pl.plugins.TorchCheckpointIO)
    saves = is_plugin or isinstance(watcher, pl.callbacks.ModelCheckpoint)
    options: dict[str, Any] = {
        **{"max_epochs": 2, "accelerator": "cpu", "logger": False, "default_root_dir": str(folder)},
        **{"enable_model_summary": False, "log_every_n_steps": 1, "enable_checkpointing": saves},
        "enable_progress_bar": isinstance(watcher, pl.callbacks.ProgressBar),
        "callbacks": [watcher] if watcher and not is_plugin else [],
        "plugins": [watcher] if is_plugin else [],
        **kind.options(str(folder)),
    }
    trainer = pl.Trainer(**options)
    train = kind.train()
    trainer.fit(model, train, kind.val() if kind.val else kind.train())
    assert trainer.state.finished
    assert not any("AfterOthers" in type(item).__name__ for item in trainer.callbacks)  # type: ignore[attr-defined]
    return trainer, [*(value.clone() for value in model.state_dict().values()), torch.rand(2)]


@cache
def alone(name: str, folder: Path) -> list[Tensor]:
    """Return what a kind ends with where nothing watches."""
    return fit(KINDS[name], folder)[1]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WATCHERS)
def test_any_module_trains_as_without(
    name: str, kind: str, before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    expected = alone(kind, before)
    caplog.clear()
    trainer, found = fit(KINDS[kind], tmp_path / "root", name)
    if name == "Backtest" and KINDS[kind].tests:
        trainer.test(trainer.lightning_module, KINDS[kind].train(), verbose=False)
    assert len(found) == len(expected)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    warned = [item.getMessage() for item in caplog.records if item.levelno >= logging.WARNING]
    drawn = name not in PICTURES or name in KINDS[kind].draws or (name == "Backtest" and not KINDS[kind].tests)
    if name == "NotebookProgress" and kind == "max_steps":
        drawn = False
    assert len(warned) == (0 if drawn else 1), warned
    for message in warned:
        assert message.startswith(f"{name} is left out of this run: ")
        assert "Error" not in message, "it is said what is needed"
    if drawn and name in FOLDERS and KINDS[kind].draws >= {name}:
        assert list(tmp_path.rglob(f"{FOLDERS[name]}/*.png"))
    if name == "HistoryFiles":
        assert len(list(tmp_path.rglob("history.png"))) == 1
    assert kind == "no logger, no folder" or not list((tmp_path / "cwd").iterdir())


def test_the_kinds_are_of_other_projects() -> None:
    assert len(KINDS) >= 15
    assert not any(issubclass(kind.module, LightModel) for kind in KINDS.values())
    assert len(WATCHERS) >= 19
