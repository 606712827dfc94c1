"""Modules of other projects: their history, their resumed runs, and steps that are skipped."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from foreign_modules import KINDS, ManualOptimization, Module, load
from torch import Tensor

from lightfit.callbacks import DurableCheckpoints, FiniteLoss, HistoryFiles

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed from"),
]


def trainer(folder: Path, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    own: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, **options}
    return pl.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=list(callbacks), **own)


def test_the_history_of_any_module_is_kept_and_resumed(tmp_path: Path) -> None:
    def run(folder: Path, epochs: int, ckpt: Path | None = None) -> pd.DataFrame:
        pl.seed_everything(0, verbose=False)
        saver = pl.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
        kind = KINDS["slash names"]
        trainer(folder, HistoryFiles(), saver, max_epochs=epochs, check_val_every_n_epoch=2).fit(
            kind.module(), load(), load(), ckpt_path=ckpt
        )
        return pd.read_csv(folder / "history.csv")

    whole = run(tmp_path, 4)
    assert list(whole.columns) == ["epoch", "train/loss", "val/loss", "val/acc.top-1"]
    assert whole["epoch"].tolist() == [0, 1, 2, 3]
    assert whole["val/loss"].isna().tolist() == [True, False, True, False], "what an epoch did not log is not repeated"
    assert whole["train/loss"].nunique() == 4
    resumed = run(tmp_path / "resumed", 4, tmp_path / "epoch=1.ckpt")
    assert resumed["epoch"].tolist() == [0, 1, 2, 3]
    assert resumed.loc[:1, "val/loss"].equals(whole.loc[:1, "val/loss"])


class Nan(Module):
    """Its second batch of each epoch has a loss that is NaN, which it logs."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.compute(batch)[0] * (float("nan") if batch_idx == 1 else 1.0)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return {"loss": loss}


class NanByHand(ManualOptimization):
    """Only the first of its optimizers has a loss that is NaN."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for index, optimizer in enumerate(self.optimizers()):
            optimizer.zero_grad()
            loss = self.compute(batch)[0] * (float("nan") if batch_idx == 1 and index == 0 else 1.0)
            self.manual_backward(loss)
            before = [value.clone() for value in self.parameters()]
            optimizer.step()
            changed = any(not torch.equal(*pair) for pair in zip(before, self.parameters(), strict=True))
            assert changed == (batch_idx != 1 or index != 0)
            self.log(f"train_loss_{index}", loss)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(("module", "accumulated"), [(Nan, 1), (Nan, 2), (NanByHand, 1)])
def test_steps_of_any_module_are_skipped(
    module: type[Module], accumulated: int, precision: Any, tmp_path: Path
) -> None:
    pl.seed_everything(0, verbose=False)
    skip, model = FiniteLoss("skip"), module()
    options: dict[str, Any] = {"accumulate_grad_batches": accumulated, "precision": precision}
    run = trainer(tmp_path, skip, max_epochs=2, enable_checkpointing=False, **options)
    run.fit(model, load(), load())
    assert skip.num_skipped == 2 * accumulated
    assert all(bool(value.isfinite().all()) for value in model.parameters())
    means = [value for name, value in run.callback_metrics.items() if not name.endswith("_step")]
    assert all(bool(value.isfinite()) for value in means), "what was skipped is in no mean"


def test_durable_checkpoints_are_a_plugin_of_any_trainer(tmp_path: Path) -> None:
    class Broken(Module):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            if self.current_epoch == 2:
                self.model[0].weight.data.fill_(float("nan"))

    def weight(path: Path) -> Tensor:
        return torch.load(path)["state_dict"]["model.0.weight"]

    saver = pl.callbacks.ModelCheckpoint(tmp_path, save_last=True, save_on_train_epoch_end=True)
    with pytest.raises(ValueError, match="the weights became NaN or infinite"):
        trainer(tmp_path, saver, max_epochs=3, plugins=[DurableCheckpoints()]).fit(Broken(), load(), load())
    assert not torch.equal(weight(tmp_path / "last.ckpt"), weight(tmp_path / "previous.ckpt"))
    assert bool(weight(tmp_path / "last.ckpt").isfinite().all())
