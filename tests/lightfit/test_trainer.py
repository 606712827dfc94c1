"""`Trainer`: arguments of Lightning 1.1 to 1.9, as today's."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from test_light_model import Model, loader, net
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightfit import Trainer, pl
from lightfit.callbacks import FiniteLoss
from lightfit.errors import UsageError
from lightfit.torchkeras import spelling
from lightfit.torchkeras.arguments import REFUSED, TRANSLATED, translate
from lightfit.torchkeras.placement import DEVICES, LOST_STRATEGIES

QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def build(**arguments: Any) -> Trainer:
    return Trainer(**{**QUIET, "enable_checkpointing": False, "gpus": 0, **arguments})


def find(trainer: Trainer, kind: type) -> list[Any]:
    return [item for item in trainer.callbacks if isinstance(item, kind)]  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spelling, "_said", set())


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function from arguments to those that Lightning's Trainer gets, where two GPUs are visible."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return lambda **given: translate(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"gpus": 0}, {"accelerator": "cpu", "devices": 1}),
        ({"gpus": 1}, {"accelerator": "gpu", "devices": 1}),
        ({"gpus": 2}, {"accelerator": "gpu", "devices": 2}),
        ({"gpus": -1}, {"accelerator": "gpu", "devices": -1}),
        ({"gpus": [0, 1]}, {"accelerator": "gpu", "devices": [0, 1]}),
        ({"gpus": "0,1"}, {"accelerator": "gpu", "devices": [0, 1]}),
        ({"gpus": "auto"}, {"accelerator": "auto", "devices": "auto"}),
        ({"gpus": None}, {}),
        ({"gpus": 2, "accelerator": "ddp"}, {"accelerator": "gpu", "devices": 2, "strategy": "ddp"}),
        (
            {"gpus": 2, "distributed_backend": "ddp_spawn"},
            {"accelerator": "gpu", "devices": 2, "strategy": "ddp_spawn"},
        ),
        ({"gpus": 2, "accelerator": "cuda"}, {"accelerator": "cuda", "devices": 2}),
        ({"accelerator": "ddp_cpu", "num_processes": 3}, {"accelerator": "cpu", "devices": 3, "strategy": "ddp_spawn"}),
        ({"num_processes": 2}, {"accelerator": "cpu", "devices": 2}),
        ({"num_processes": 1}, {}),
        ({"gpus": 2, "num_processes": 2}, {"accelerator": "gpu", "devices": 2}),
        ({"gpus": 0, "tpu_cores": None}, {"accelerator": "cpu", "devices": 1}),
        ({"accelerator": "cpu", "devices": 2}, {"accelerator": "cpu", "devices": 2}),
    ],
)
def test_where_it_trains(given: dict[str, Any], expected: dict[str, Any], place: Any) -> None:
    assert place(**given) == expected


@pytest.mark.parametrize(("cores", "devices"), [(2, 2), ([3], [3]), ("1,", [1]), ("8", 8), ("auto", "auto")], ids=repr)
def test_tpu_cores(cores: Any, devices: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.accelerators.XLAAccelerator, "is_available", lambda: True)
    assert place(tpu_cores=cores, gpus=0) == {"accelerator": "tpu", "devices": devices}
    with pytest.raises(UsageError, match="`gpus` and `tpu_cores` both say where to train"):
        place(tpu_cores=cores, gpus=1)


def test_devices_that_are_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match="`gpus` 1 asks for a GPU that is not available: no GPU is visible"):
        Trainer(gpus=1)
    with pytest.raises(UsageError, match="`tpu_cores` 2 asks for a TPU, and there is none"):
        Trainer(tpu_cores=2)


@pytest.mark.parametrize("name", ["accelerator", "distributed_backend", "strategy"])
def test_strategies_that_are_no_longer_there(name: str) -> None:
    for strategy in LOST_STRATEGIES:
        with pytest.raises(UsageError, match=f"`{name}` '{strategy}' has left Lightning: use `"):
            Trainer(**{name: strategy})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"gpus": 0, "devices": 1}, "`gpus` and `devices` both say where to train"),
        ({"gpus": 0, "accelerator": "gpu"}, "`gpus` and `accelerator` contradict each other: received 'gpu'"),
        ({"gpus": 2, "num_processes": 3}, "`num_processes` is of the CPU, and other devices are asked for"),
        ({"distributed_backend": "ddp", "accelerator": "gpu"}, "`distributed_backend` and `accelerator` are the old"),
        ({"accelerator": "ddp", "strategy": "fsdp"}, "`accelerator` and `strategy` are the old and the new spelling"),
    ],
)
def test_places_that_contradict_each_other(given: dict[str, Any], problem: str, place: Any) -> None:
    with pytest.raises(UsageError, match=problem):
        place(**given)


def test_arguments_that_became_others(tmp_path: Path) -> None:
    trainer = build(
        reload_dataloaders_every_epoch=True,
        replace_sampler_ddp=False,
        max_steps=None,
        profiler=True,
        precision="bf16",
        accumulate_grad_batches={0: 1, 4: 2},
        terminate_on_nan=True,
        weights_summary="full",
        enable_model_summary=True,
        auto_select_gpus=True,
        amp_backend="native",
    )
    assert trainer.reload_dataloaders_every_n_epochs == 1  # type: ignore[attr-defined]
    assert trainer.max_steps == -1
    assert type(trainer.profiler).__name__ == "SimpleProfiler"  # type: ignore[attr-defined]
    assert trainer.precision == "bf16-mixed"
    (scheduler,) = find(trainer, pl.callbacks.GradientAccumulationScheduler)
    assert scheduler.scheduling == {0: 1, 4: 2}
    assert len(find(trainer, FiniteLoss)) == 1
    (summary,) = find(trainer, pl.callbacks.ModelSummary)
    assert summary._max_depth == -1


@pytest.mark.parametrize(
    ("given", "kind", "count"),
    [
        ({"checkpoint_callback": False}, pl.callbacks.ModelCheckpoint, 0),
        ({"checkpoint_callback": True}, pl.callbacks.ModelCheckpoint, 1),
        ({"progress_bar_refresh_rate": 0}, pl.callbacks.ProgressBar, 0),
        ({"progress_bar_refresh_rate": None}, pl.callbacks.ProgressBar, 1),
        ({"weights_summary": None}, pl.callbacks.ModelSummary, 0),
        ({"weights_summary": "top"}, pl.callbacks.ModelSummary, 1),
        ({"log_gpu_memory": "all"}, pl.callbacks.DeviceStatsMonitor, 1),
    ],
)
def test_what_is_shown_and_kept(given: dict[str, Any], kind: type, count: int) -> None:
    trainer = Trainer(gpus=0, logger=False, **given)
    assert len(find(trainer, kind)) == count


def test_progress_bars_and_checkpoints_that_are_objects_today(tmp_path: Path) -> None:
    kept = pl.callbacks.ModelCheckpoint(tmp_path, monitor="val_loss")
    given: dict[str, Any] = {"progress_bar_refresh_rate": 7, "callbacks": FiniteLoss()}
    trainer = Trainer(gpus=0, logger=False, checkpoint_callback=kept, **given)
    (bar,) = find(trainer, pl.callbacks.TQDMProgressBar)
    assert bar.refresh_rate == 7
    assert find(trainer, pl.callbacks.ModelCheckpoint) == [kept]
    assert len(find(trainer, FiniteLoss)) == 1
    (bar,) = find(Trainer(gpus=0, logger=False, process_position=2), pl.callbacks.TQDMProgressBar)
    assert bar.process_position == 2


ASKING: dict[str, Any] = {
    "amp_level": "O1",
    "automatic_optimization": False,
    "enable_pl_optimizer": False,
    "flush_logs_every_n_steps": 10,
    "ipus": 1,
    "move_metrics_to_cpu": True,
    "multiple_trainloader_mode": "min_size",
    "prepare_data_per_node": False,
    "stochastic_weight_avg": True,
    "track_grad_norm": 2,
    "truncated_bptt_steps": 5,
    "weights_save_path": "kept",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart(name: str) -> None:
    for default in REFUSED[name].defaults:
        build(**{name: default})
    with pytest.raises(UsageError, match=f"`{name}` has left Lightning's Trainer, received .*: .*") as refused:
        build(**{name: ASKING[name]})
    assert REFUSED[name].way_out in str(refused.value)


def test_apex() -> None:
    with pytest.raises(UsageError, match="`amp_backend` has left Lightning's Trainer, received 'apex': Apex"):
        build(amp_backend="apex")


def test_every_argument_of_lightning_1_is_known() -> None:
    """Of the Trainers of 1.1.8, 1.3.8, 1.5.10, 1.7.7 and 1.9.5, those that today's does not take."""
    old = """
    amp_backend amp_level auto_lr_find auto_scale_batch_size auto_select_gpus automatic_optimization checkpoint_callback
    distributed_backend enable_pl_optimizer flush_logs_every_n_steps gpus ipus log_gpu_memory move_metrics_to_cpu
    multiple_trainloader_mode num_processes prepare_data_per_node process_position progress_bar_refresh_rate
    reload_dataloaders_every_epoch replace_sampler_ddp resume_from_checkpoint stochastic_weight_avg terminate_on_nan
    tpu_cores track_grad_norm truncated_bptt_steps weights_save_path weights_summary
    """
    own = {"auto_lr_find", "auto_scale_batch_size", "resume_from_checkpoint"}
    assert set(old.split()) <= {*REFUSED, *TRANSLATED, *DEVICES, *own}
    with pytest.raises(TypeError, match="no_such_argument"):
        build(no_such_argument=1)


def test_both_spellings_at_once() -> None:
    with pytest.raises(UsageError, match="`progress_bar_refresh_rate` and `enable_progress_bar` are the old"):
        Trainer(gpus=0, progress_bar_refresh_rate=0, enable_progress_bar=True)
    with pytest.raises(UsageError, match="`train_dataloader` and `train_dataloaders` are the old and the new"):
        build(max_epochs=1).fit(Model(net()), loader(), train_dataloader=loader())


def test_each_old_spelling_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lightfit"):
        for _ in range(2):
            build(reload_dataloaders_every_epoch=True, gpus=0, max_epochs=1, precision=32, max_steps=None)
            Trainer(**{**QUIET, "gpus": 0, "checkpoint_callback": False})
    assert [record.getMessage() for record in caplog.records] == [
        "`reload_dataloaders_every_epoch=True` still works; today it is written `reload_dataloaders_every_n_epochs=1`",
        "`checkpoint_callback=False` still works; today it is written `enable_checkpointing=False`",
    ]


def test_loaders_by_their_old_names() -> None:
    trainer, model = build(max_epochs=1), Model(net())
    trainer.fit(model, train_dataloader=loader(), val_dataloaders=loader(30))
    (tested,) = trainer.test(model, test_dataloaders=loader(30), verbose=False)
    (validated,) = trainer.validate(model, val_dataloaders=loader(30), verbose=False)
    assert tested["test_loss"] == validated["val_loss"] == model.history["val_loss"].iloc[-1]


@pytest.mark.filterwarnings("ignore:You.re resuming from a checkpoint that ended", "ignore:The dirpath has changed")
def test_resume_from_checkpoint(tmp_path: Path) -> None:
    trainer, model = build(max_epochs=1), Model(net())
    trainer.fit(model, loader(), loader())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = Model(net())
    build(max_epochs=3, resume_from_checkpoint=str(tmp_path / "a.ckpt")).fit(again, loader(), loader())
    assert again.history["epoch"].tolist() == [0, 1, 2]
    assert again.history.iloc[0].equals(model.history.iloc[0])


class Tuned(pl.LightningModule):
    """Has a learning rate and a batch size to look for."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.lr, self.batch_size = nn.Linear(2, 1), 1e-3, 2
        for parameter in self.parameters():  # far from the solution, so that there is a rate to be found
            nn.init.zeros_(parameter)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def train_dataloader(self) -> Any:
        x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=self.batch_size)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tune() -> None:
    model = Tuned()
    trainer = build(max_epochs=1, auto_lr_find=True, enable_checkpointing=True)
    found = trainer.tune(model)["lr_find"]
    assert model.lr == found.suggestion() != 1e-3
    trainer = build(max_epochs=1, auto_scale_batch_size=True, enable_checkpointing=True)
    found = trainer.tune(model)["scale_batch_size"]
    assert model.batch_size == found > 2


def test_tune_with_nothing_to_look_for() -> None:
    with pytest.raises(UsageError, match="`tune` has nothing to look for: expected Trainer with `auto_lr_find`"):
        build(max_epochs=1).tune(Model(net()))


def test_environment_variables_of_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_TRAINER_MAX_EPOCHS", "7")
    assert build().max_epochs == 7
    assert build(max_epochs=2).max_epochs == 2


def test_the_namespace_changes_nothing_in_lightnings_own() -> None:
    from lightfit.lightning import pl as lightning

    assert pl.Trainer is Trainer
    assert issubclass(Trainer, lightning.Trainer)
    assert lightning.Trainer is not Trainer
    assert not hasattr(lightning, "metrics")
    assert pl.LightningModule is lightning.LightningModule
    assert pl.callbacks.ModelCheckpoint is lightning.callbacks.ModelCheckpoint
    assert pl.tuner.Tuner is lightning.tuner.Tuner
    assert pl.profiler.SimpleProfiler is lightning.profilers.SimpleProfiler
    with pytest.raises(AttributeError, match=re.escape("has no attribute 'nothing', nor has pytorch_lightning")):
        _ = pl.nothing
