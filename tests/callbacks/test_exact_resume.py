"""A run that is stopped anywhere and resumed ends as one that was never stopped, to the last bit."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from conftest import make_images

from lightfit.callbacks import BestAndLast, CheckpointEvery, ExactResume
from lightfit.datamodules import ImageDataModule
from lightfit.datamodules.images.transforms import ImageTransforms
from lightfit.lightning_modules import ImageClassifier
from lightfit.lightning_modules.nets import ImageCNN

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")

# Five steps and two batches of validation an epoch, three epochs; two checkpoints at an epoch's end, one at a step.
PLACES = {
    "on_train_batch_start": (2, 11),
    "on_train_batch_end": (1, 5),
    "on_validation_start": (1,),
    "on_validation_batch_end": (4,),
    "on_train_epoch_end": (1, 3),
    "on_train_epoch_start": (2,),
    "on_save_checkpoint": (6, 7),
}
MORE = {
    "on_train_batch_start": (6,),
    "on_train_batch_end": (10,),
    "on_validation_start": (3,),
    "on_validation_batch_end": (1,),
    "on_validation_epoch_end": (2,),
    "on_save_checkpoint": (2, 5, 8),
}
CASES = [pytest.param(place, count) for place in PLACES for count in PLACES[place]]
CASES += [pytest.param(place, count, marks=pytest.mark.slow) for place in MORE for count in MORE[place]]


class Crashed(Exception):  # noqa: N818 - no error, it is what is tested
    """The end of a run."""


class Crash(pl.Callback):
    """Ends a run, whatever it is doing, the n-th time that a hook is called."""

    def __init__(self, hook: str, count: int) -> None:
        self.count = count
        setattr(self, hook, self._crash)

    def _crash(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        if not trainer.sanity_checking:
            self.count -= 1
        if self.count == 0:
            raise Crashed


def run(images: Path, folder: Path, *crash: pl.Callback, workers: int = 0, **options: Any) -> dict[str, Any]:
    """Trains, from last.ckpt where there is one; what it ends with."""
    pl.seed_everything(5, verbose=False)
    transforms = ImageTransforms(size=16, flip=0.5, shift=2)
    data = ImageDataModule(str(images), batch_size=7, num_workers=workers, seed=3, transforms=transforms)
    model = ImageClassifier(ImageCNN(num_classes=2), lr=0.01, schedule="cosine", optimizer="AdamW")
    saver = BestAndLast(dirpath=folder, monitor="val_loss", save_last=True, save_on_train_epoch_end=True)
    last = folder / "last.ckpt"
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ExactResume(), saver, CheckpointEvery(steps=1), *crash],
        **options,
    )
    trainer.fit(model, datamodule=data, ckpt_path=str(last) if last.exists() else None)
    return {
        "weights": model.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict()["state"],
        "history": model.history,
        "best": float(saver.best_model_score or 0),
        "next": torch.rand(3),
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, pd.DataFrame):
        return one.equals(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Images, and what a run on them ends with that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    images = make_images(folder / "images")
    return images, run(images, folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("place", "count"), CASES)
def test_resumes_as_if_it_had_never_stopped(
    place: str, count: int, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    images, expected = whole
    crash = Crash(place, count)
    with pytest.raises(Crashed):
        run(images, tmp_path, crash)
    resumed = run(images, tmp_path)
    assert [key for key in expected if not same(expected[key], resumed[key])] == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(0, 2), (2, 0), (2, 2)])
@pytest.mark.parametrize(("place", "count"), [("on_train_batch_start", 3), ("on_train_epoch_end", 1)])
def test_the_number_of_workers_may_change(
    place: str, count: int, workers: tuple[int, int], whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    images, expected = whole
    with pytest.raises(Crashed):
        run(images, tmp_path, Crash(place, count), workers=workers[0])
    resumed = run(images, tmp_path, workers=workers[1])
    assert [key for key in expected if not same(expected[key], resumed[key])] == []
