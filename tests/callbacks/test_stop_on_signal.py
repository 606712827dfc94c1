"""A signal leaves a checkpoint of the step at which it ended the run, whatever else saves checkpoints."""

import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightfit import TextClassifier, TextDataModule
from lightfit.callbacks import BestAndLast, ExactResume, StopOnSignal, TrainingStopped
from lightfit.checkpoint import read_checkpoint
from lightfit.nets import TextCNN

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


def savers(kind: str, folder: Path) -> list[pl.Callback]:
    """Callbacks that save checkpoints."""
    keeping: dict[str, Any] = {"dirpath": folder, "monitor": "val_loss"}
    kinds: dict[str, list[pl.Callback]] = {
        "best": [BestAndLast(**keeping)],
        "best and last": [BestAndLast(**keeping, save_last=True)],
        "best and a link": [BestAndLast(**keeping, save_last="link")],
        "at an epoch's end": [BestAndLast(**keeping, save_last=True, save_on_train_epoch_end=True)],
        "Lightning's": [pl.callbacks.ModelCheckpoint(**keeping, save_last=True)],
        "Lightning's link": [pl.callbacks.ModelCheckpoint(**keeping, save_last="link")],
        "several": [
            pl.callbacks.ModelCheckpoint(**keeping),
            pl.callbacks.ModelCheckpoint(folder / "steps", every_n_train_steps=2),
        ],
        "default": [],
        "none": [],
    }
    return kinds[kind]


class Signal(pl.Callback):
    """Sends one, the first time that a hook is called after so many steps."""

    def __init__(self, hook: str, step: int, stop: StopOnSignal) -> None:
        self.step, self.stop = step, stop
        setattr(self, hook, self._send)

    def _send(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self.step and not self.stop._received:
            self.stop._receive(signal.SIGTERM, None)


def run(
    reviews: Path, folder: Path, kind: str, *, hook: str = "on_fit_start", step: int = -1, ckpt: str | None = None
) -> Any:
    """Trains; the trainer, the model, and what the signal said."""
    pl.seed_everything(0, verbose=False)
    data = TextDataModule(str(reviews), max_len=10, batch_size=10, seed=3)
    data.setup()
    model = TextClassifier(TextCNN(data.codec.vocab_size, max_len=10), lr=0.01)
    stop = StopOnSignal()
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    watchers = [Signal(hook, step, stop), stop, ExactResume(), *savers(kind, folder)]
    quiet["enable_checkpointing"] = kind != "none"
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", default_root_dir=folder, callbacks=watchers, **quiet)
    assert trainer.checkpoint_callbacks or kind == "none"
    try:
        trainer.fit(model, datamodule=data, ckpt_path=ckpt)
    except TrainingStopped as stopped:
        return trainer, model, str(stopped)
    return trainer, model, ""


KINDS = [
    "best",
    "best and last",
    "best and a link",
    "at an epoch's end",
    "Lightning's",
    "Lightning's link",
    "several",
    "none",
]
MOMENTS = [
    ("on_train_batch_start", 2),  # in the midst of the first epoch
    ("on_train_batch_start", 9),
    ("on_train_batch_end", 7),  # the last step of an epoch, before its validation
    ("on_validation_batch_end", 14),
    ("on_validation_end", 14),
    ("on_train_epoch_end", 14),
]


@pytest.mark.slow
@pytest.mark.parametrize(("hook", "step"), MOMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_newest_checkpoint_is_of_the_step_that_was_the_last(
    kind: str, hook: str, step: int, reviews: Path, tmp_path: Path
) -> None:
    _, whole, _ = run(reviews, tmp_path / "whole", kind)
    folder = tmp_path / "stopped"
    trainer, _, said = run(reviews, folder, kind, hook=hook, step=step)
    last = folder / "last.ckpt"
    assert said == f"training was stopped by SIGTERM, and is saved in '{last}'"
    steps = {path.name: read_checkpoint(path)["global_step"] for path in folder.glob("*.ckpt")}
    assert steps["last.ckpt"] == trainer.global_step == max(steps.values())
    for path in folder.glob("*step=*.ckpt"):
        assert f"step={steps[path.name]}." in path.name, "no link was followed"
    _, model, _ = run(reviews, folder, kind, ckpt=str(last))
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), whole.parameters(), strict=True))
    assert model.history.equals(whole.history)


def test_before_the_first_step_it_says_that_nothing_was_saved(reviews: Path, tmp_path: Path) -> None:
    _, _, said = run(reviews, tmp_path, "none", hook="on_fit_start", step=0)
    assert said == "training was stopped by SIGTERM, before it began: nothing was saved"
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_trainer_saves_its_own_checkpoint_beside_it(reviews: Path, tmp_path: Path) -> None:
    trainer, _, said = run(reviews, tmp_path, "default", hook="on_train_batch_start", step=9)
    assert said.endswith(f"and is saved in '{tmp_path / 'checkpoints' / 'last.ckpt'}'")
    assert [type(item) for item in trainer.callbacks if isinstance(item, pl.callbacks.Checkpoint)] == [
        pl.callbacks.ModelCheckpoint
    ]


def test_signals_are_passed_on_after_a_run_that_failed(reviews: Path, tmp_path: Path) -> None:
    class Failing(pl.Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            raise RuntimeError("power cut")

    before = signal.default_int_handler
    signal.signal(signal.SIGINT, before)  # not that of a run of another test
    stop = StopOnSignal()
    data = TextDataModule(str(reviews), max_len=10, batch_size=10)
    data.setup()
    model = TextClassifier(TextCNN(data.codec.vocab_size, max_len=10), lr=0.01)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        default_root_dir=tmp_path,
        callbacks=[stop, Failing()],
        enable_progress_bar=False,
    )
    try:
        with pytest.raises(RuntimeError, match="power cut"):
            trainer.fit(model, datamodule=data)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == before
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
