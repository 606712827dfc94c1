"""Private names of Lightning and torch stand in one file a room, and exist in the versions that are installed."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import make_images
from pytorch_lightning.cli import LightningCLI
from test_light_model import Model, loader, net, trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightfit.callbacks import StochasticWeightAverage, lightning_internals
from lightfit.callbacks.checkpoints.loop_state import is_validation_next
from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import ImageDataModule, TextDataModule
from lightfit.datamodules import lightning_internals as of_data
from lightfit.datamodules.images.transforms import ImageTransforms
from lightfit.lightning import import_submodule
from lightfit.lightning_modules.lightning_internals import CURRENT_HOOK, QuickHooks
from lightfit.scripts.cli import lightning_internals as of_commands
from lightfit.scripts.cli.presets import TASKS

ROOT = TASKS.parent
FILE = "lightning_internals.py"
ROOMS = ("lightning_modules", "datamodules", "callbacks", "scripts/cli")
FOLDERS = ("lightning_modules", "datamodules", "callbacks", "scripts")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path.name != FILE)
# Documented, of the library.
PUBLIC = {"_field_defaults", "_replace", "_asdict", "_fields", "_make", "_exit", "_getframe", "_repr_png_"}
BY_NAME = {"getattr", "hasattr", "setattr", "delattr"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def own_names(tree: ast.AST) -> Iterator[str]:
    """Private names that a file defines: functions, classes, variables, and attributes that it assigns."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and on_self(node):
            yield node.attr


def on_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def names_in(tree: ast.AST) -> Iterator[str]:
    """Private names that a file uses: attributes, and what it imports or names in `getattr`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            yield from (part for alias in node.names for part in f"{module}.{alias.name}".split("."))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
            yield from (item.value for item in node.args[1:2] if isinstance(item, ast.Constant))


OWN = {name for path in FILES for name in own_names(ast.parse(path.read_text(encoding="utf-8")))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_private_names_stand_in_one_file(path: Path) -> None:
    """Also those of a parent class of Lightning's, on `self`: what no file of ours defines is not ours."""
    used = {name for name in names_in(ast.parse(path.read_text(encoding="utf-8"))) if is_private(name)}
    assert used - OWN == set()


def test_a_private_name_is_found() -> None:
    tree = ast.parse("from a._b import c\nx._d = self._e\nself._f = getattr(y, '_g', y._replace())")
    assert {name for name in names_in(tree) if is_private(name)} == {"_b", "_d", "_e", "_f", "_g"}
    assert set(own_names(tree)) == {"_f"}


@pytest.mark.parametrize("room", ROOMS)
def test_each_function_has_its_purpose(room: str) -> None:
    tree = ast.parse((ROOT / room / FILE).read_text(encoding="utf-8"))
    held = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert held
    for node in held:
        text = ast.get_docstring(node) or ""
        assert "\n\nPurpose: " in text, node.name
        assert re.search(r"\.\sWithout\s", text), node.name


class Looking(pl.Callback):
    """Calls what the callbacks' file holds, within a fit."""

    def __init__(self) -> None:
        self.found: list[tuple[bool, bool]] = []
        self.checkpoint: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        lightning_internals.load_loader_states(trainer)
        assert [len(item) for item in lightning_internals.list_loaders(trainer)] == [2]
        trainer.fit_loop.restarting = True
        lightning_internals.begin_next_epoch(trainer)
        assert (trainer.fit_loop.is_resuming, trainer.fit_loop.restarting) == (False, False)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.found.append((lightning_internals.check_val_next(trainer), is_validation_next(trainer)))
        self.checkpoint = trainer._checkpoint_connector.dump_checkpoint()  # type: ignore[attr-defined]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.found.append((False, is_validation_next(trainer)))


def test_those_of_the_training_loop() -> None:
    looking = Looking()
    run = trainer(max_epochs=2, check_val_every_n_epoch=2, callbacks=[looking])
    run.fit(Model(net()), loader(40), loader(40))
    assert looking.found == [(False, False)] * 3 + [(True, True), (False, True)]
    loops = looking.checkpoint["loops"]["fit_loop"]
    before = repr(loops)
    assert "epoch_loop.val_loop.batch_progress" in loops
    assert loops["epoch_loop.batch_progress"]["current"]["completed"] == 1
    assert loops["epoch_loop.batch_progress"]["current"]["processed"] == 2
    lightning_internals.leave_validation_open(looking.checkpoint)
    assert repr(loops) != before
    assert loops["epoch_loop.batch_progress"]["current"]["completed"] == 2


def test_those_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    slurm = import_submodule("plugins.environments").SLURMEnvironment(auto_requeue=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    run = trainer(max_epochs=1, plugins=[slurm])
    assert lightning_internals.find_cluster(run) is slurm
    handler = type(run._signal_connector)  # type: ignore[attr-defined]
    assert callable(handler._slurm_sigusr_handler_fn)
    monkeypatch.setattr(handler, "_slurm_sigusr_handler_fn", lambda self, signum, frame: asked.append(signum))
    lightning_internals.requeue_job(run, 10)
    assert asked == [10]


@pytest.mark.parametrize("asked", [True, False])
def test_those_of_model_checkpoint(asked: bool, tmp_path: Path) -> None:
    item = pl.callbacks.ModelCheckpoint(tmp_path, save_on_train_epoch_end=asked, enable_version_counter=asked)
    assert lightning_internals.saves_at_epoch_end(item, trainer()) is asked
    assert lightning_internals.counts_versions(item) is asked


def test_those_of_weight_averaging() -> None:
    averaging = StochasticWeightAverage(0.0)
    assert lightning_internals.get_average_model(averaging) is None
    trainer(max_epochs=1, callbacks=[averaging]).fit(Model(net()), loader(), loader())
    assert int(lightning_internals.get_average_model(averaging).n_averaged) == 1


def test_those_of_torch() -> None:
    embedding = nn.Embedding(4, 1, sparse=True)
    embedding(torch.tensor([1, 1, 2])).sum().backward()
    assert embedding.weight.grad is not None
    assert lightning_internals.get_stored_values(embedding.weight.grad).tolist() == [[1], [1], [1]]
    parameters = [nn.Parameter(torch.zeros(2))]
    fused = [torch.optim.SGD(parameters, fused=fused) for fused in (True, False)]
    assert [lightning_internals.scales_gradients(optimizer) for optimizer in fused] == [True, False]


def test_those_of_the_running_hook() -> None:
    seen: list[Any] = []

    class Seeing(Model):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            seen.append(getattr(self, CURRENT_HOOK))

    trainer(max_epochs=1).fit(Seeing(net()), loader(20), loader())
    assert seen == ["on_train_batch_start"]
    assert issubclass(Model, QuickHooks)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_those_of_the_trainers_count(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")

    class Counting(pl.Callback):
        steps: list[int] = []  # noqa: RUF012 (one run)

        def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
            self.steps.append(trainer.current_epoch)

    def fit(batch_size: int, epochs: int, ckpt_path: Path | None = None) -> list[int]:
        counting = Counting()
        counting.steps = []
        data = ImageDataModule(str(images), batch_size=batch_size, seed=1, transforms=ImageTransforms(size=8))
        model = Model(nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Sigmoid(), nn.Unflatten(1, (1,))))
        model.shared_step = lambda batch: {"loss": model(batch[0]).mean()}  # type: ignore[method-assign]
        saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
        run = trainer(max_epochs=epochs, callbacks=[counting, saving], enable_checkpointing=True)
        run.fit(model, datamodule=data, ckpt_path=ckpt_path)
        return counting.steps

    whole = fit(8, 1)
    assert len(whole) == 4
    assert read_checkpoint(tmp_path / "step=2.ckpt")["global_step"] == 2
    assert fit(4, 2, tmp_path / "step=2.ckpt") == [0] * 4 + [1] * 8  # of 32 samples 16 are left, in batches of 4


def test_those_of_the_workers() -> None:
    iterator = iter(DataLoader(TensorDataset(torch.zeros(8)), num_workers=2))
    next(iterator)
    of_data.kill_workers(iterator)
    workers = iterator._workers  # type: ignore[attr-defined]
    for worker in workers:
        worker.join(10)
    assert [worker.exitcode for worker in workers] == [-9, -9]


def test_those_of_the_commands(tmp_path: Path) -> None:
    run = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    assert type(lightning_internals.find_cluster(run)).__name__ == "LightningEnvironment"
    logger = pl.loggers.TensorBoardLogger(str(tmp_path), name="a")
    assert logger.version == 0
    (tmp_path / "a" / "version_0").mkdir(parents=True)
    of_commands.take_next_version(logger)
    assert logger.version == 1
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data.name")
    assert of_commands.list_destinations(parser) == ["data.name"]
    assert callable(LightningCLI._dump_config)
    assert callable(of_commands.make_instantiator(None, "model"))
    data = TextDataModule("a.csv", max_len=7)
    held = of_data.list_hparams(data)
    assert [hparams["max_len"] for hparams in held] == [7, 7]
    assert held[0] is data.hparams
