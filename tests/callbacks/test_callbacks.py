"""Callbacks observe: what they write and say, and that the run is the same without them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_light_model import Model, loader, net

from lightfit.callbacks import BestAndLast, EpochLines, FinalMetric, HistoryFiles, plot_history, plot_metric

HISTORY = pd.DataFrame({"epoch": [0, 1], "loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "lr": [0.1, 0.1]})


def run(callbacks: list[pl.Callback], folder: Path, epochs: int = 3, **kwargs: Any) -> tuple[pl.Trainer, Model]:
    pl.seed_everything(0, verbose=False)
    model = Model(net())
    logger = pl.loggers.TensorBoardLogger(folder, name="a", default_hp_metric=False)
    checkpoint = pl.callbacks.ModelCheckpoint(monitor="val_loss")
    bar = any(isinstance(callback, EpochLines) for callback in callbacks)
    options: dict[str, Any] = {"accelerator": "cpu", "enable_model_summary": False, "enable_progress_bar": bar}
    trainer = pl.Trainer(max_epochs=epochs, callbacks=[*callbacks, checkpoint], logger=logger, **options, **kwargs)
    trainer.fit(model, loader(), loader(30))
    return trainer, model


def test_losses_are_the_same_with_and_without(tmp_path: Path) -> None:
    _, alone = run([], tmp_path)
    _, watched = run([HistoryFiles(), FinalMetric(), EpochLines()], tmp_path)
    assert watched.history.equals(alone.history)


def test_last_checkpoint_is_the_last_epochs(tmp_path: Path) -> None:
    class Worse(Model):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return {"loss": self.log("val_loss", float(self.current_epoch))}

    checkpoint = BestAndLast(
        tmp_path, filename="{epoch}", monitor="val_loss", save_last=True, save_on_train_epoch_end=True
    )
    options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", callbacks=[checkpoint], **options)
    trainer.fit(Worse(net()), loader(), loader(30))
    saved = {path.name: torch.load(path)["epoch"] for path in tmp_path.glob("*.ckpt")}
    assert saved == {"epoch=0.ckpt": 0, "last.ckpt": 2, "previous.ckpt": 1}


def test_history_on_disk_is_the_models(tmp_path: Path) -> None:
    trainer, model = run([HistoryFiles()], tmp_path)
    folder = Path(str(trainer.log_dir))
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), model.history)
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob("*.part"))


def test_history_of_a_run_that_fails_is_kept(tmp_path: Path) -> None:
    class Failing(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run([Failing(), HistoryFiles()], tmp_path)
    assert pd.read_csv(tmp_path / "a/version_0/history.csv")["epoch"].tolist() == [0, 1]


def test_plots_hold_the_curves_of_the_history() -> None:
    (axes,) = plot_metric(HISTORY, "loss").axes
    assert [line.get_label() for line in axes.lines] == ["train", "validation"]
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 1.0], [2.5, 1.5]]
    assert axes.get_ylabel() == "loss"
    assert plot_metric(HISTORY, "loss")._repr_png_().startswith(b"\x89PNG"), "what a notebook shows"
    assert [axes.get_title() for axes in plot_history(HISTORY).axes] == ["loss", "lr"]
    with pytest.raises(KeyError, match="no metric 'acc'; it has: epoch, loss, val_loss, lr"):
        plot_metric(HISTORY, "acc")


def test_lines_of_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, model = run([EpochLines()], tmp_path, epochs=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("=" * 80 + "20")
    assert lines[1] == "epoch = 0"
    row = {name: round(value, 4) for name, value in model.history.iloc[0].items()}
    assert lines[2] == str({name: row[name] for name in ("val_loss", "val_accuracy")})
    assert lines[3] == str({name: row[name] for name in ("loss", "accuracy")})


def test_quiet_lines_say_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run([EpochLines(quiet=True)], tmp_path, epochs=1)
    output = capsys.readouterr()
    assert "epoch" not in output.out + output.err


def test_bar_is_full_and_left_above_the_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run([EpochLines()], tmp_path, epochs=2)
    bars = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert any("epoch 0: 100%" in bar and "3/3" in bar for bar in bars)
    assert any("epoch 1: 100%" in bar and "3/3" in bar for bar in bars)


def test_tensorboard_holds_scalars_epochs_and_the_final_metric(tmp_path: Path) -> None:
    trainer, model = run([FinalMetric()], tmp_path)
    events = EventAccumulator(str(trainer.log_dir)).Reload()
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "epoch", "best_val_loss"} <= set(events.Tags()["scalars"])
    assert [event.value for event in events.Scalars("val_loss")] == pytest.approx(model.history["val_loss"].tolist())
    assert sorted({event.value for event in events.Scalars("epoch")}) == [0, 1, 2]
    assert events.Scalars("best_val_loss")[0].value == pytest.approx(model.history["val_loss"].min())
