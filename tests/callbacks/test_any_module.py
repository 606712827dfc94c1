"""Callbacks in other projects: no kind of LightningModule is ended or changed; what cannot be drawn warns once."""

import inspect
import logging
from collections.abc import Sequence
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


def make(name: str, kind: Kind, epochs: int) -> Any:
    """Make a callback with the arguments that it needs, or the plugin that is among them."""
    monitor = kind.monitor
    arguments: dict[str, dict[str, Any]] = {
        **{"BatchPreview": {"num_images": 2}, "ConfusionMatrix": {"num_images": 2}, "GradCAM": {"num_images": 1}},
        "BestAndLast": {"monitor": monitor, "save_last": True},
        "CheckpointEvery": {"steps": 1},
        "EarlyStopping": {"monitor": monitor, "patience": 9},
        "NotebookProgress": {"monitor": monitor},
        "ReportMetric": {"monitor": monitor, "report": lambda value, epoch: None},
        "StochasticWeightAverage": {"start": 0.5 if epochs == 2 or "max_steps" in kind.options("") else 0.0},
    }
    return CLASSES[name](**arguments.get(name, {}))


def fit(kind: Kind, folder: Path, names: Sequence[str] = (), *, epochs: int) -> list[Tensor]:
    """Train a module of a kind, with callbacks or without; return its weights, and random numbers that come next."""
    pl.seed_everything(0, verbose=False)
    model = kind.module()
    watchers = [make(name, kind, epochs) for name in names]
    plugins = [watcher for watcher in watchers if isinstance(watcher, pl.plugins.TorchCheckpointIO)]
    own = [watcher for watcher in watchers if watcher not in plugins]
    options: dict[str, Any] = {
        **{"max_epochs": epochs, "accelerator": "cpu", "logger": False, "default_root_dir": str(folder)},
        **{"enable_model_summary": False, "log_every_n_steps": 1, "callbacks": own, "plugins": plugins},
        "enable_checkpointing": bool(plugins) or any(isinstance(item, pl.callbacks.ModelCheckpoint) for item in own),
        "enable_progress_bar": any(isinstance(item, pl.callbacks.ProgressBar) for item in own),
        **kind.options(str(folder)),
    }
    trainer = pl.Trainer(**options)
    trainer.fit(model, kind.train(), kind.val() if kind.val else kind.train())
    assert trainer.state.finished
    assert not any("AfterOthers" in type(item).__name__ for item in trainer.callbacks)  # type: ignore[attr-defined]
    ended = [*(value.clone() for value in model.state_dict().values()), torch.rand(2)]
    if "Backtest" in names and kind.tests:
        trainer.test(trainer.lightning_module, kind.train(), verbose=False)
    return ended


@cache
def alone(name: str, folder: Path, epochs: int) -> list[Tensor]:
    """Return what a kind ends with where nothing watches."""
    return fit(KINDS[name], folder, epochs=epochs)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names",
    [
        pytest.param([name for name in WATCHERS if name != "NotebookProgress"], id="all"),  # of progress bars only one
        *(pytest.param([name], id=name, marks=pytest.mark.slow) for name in WATCHERS),
    ],
)
def test_any_module_trains_as_without(
    names: list[str],
    kind: str,
    before: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    epochs = 2 if len(names) == 1 else 1
    expected = alone(kind, before, epochs)
    caplog.clear()
    found = fit(KINDS[kind], tmp_path / "root", names, epochs=epochs)
    assert len(found) == len(expected)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    warned = [item.getMessage() for item in caplog.records if item.levelno >= logging.WARNING]
    draws = KINDS[kind].draws | ({"Backtest"} if not KINDS[kind].tests else set())
    undrawn = [name for name in names if name in PICTURES and name not in draws]
    if kind == "max_steps" and "NotebookProgress" in names:
        undrawn.append("NotebookProgress")
    assert sorted(message.split()[0] for message in warned) == sorted(undrawn)
    for message in warned:
        assert " is left out of this run: " in message
        assert "Error" not in message, "it is said what is needed"
    for name in FOLDERS.keys() & KINDS[kind].draws & set(names):
        assert list(tmp_path.rglob(f"{FOLDERS[name]}/*.png")), name
    if "HistoryFiles" in names:
        assert len(list(tmp_path.rglob("history.png"))) == 1
    assert kind == "no logger, no folder" or not list((tmp_path / "cwd").iterdir())


def test_the_kinds_are_of_other_projects() -> None:
    assert len(KINDS) >= 15
    assert not any(issubclass(kind.module, LightModel) for kind in KINDS.values())
    assert len(WATCHERS) >= 19
