"""LightModel without a subclass, as in torchkeras 3: a net, a loss, metrics and an optimizer."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from test_light_model import loader, trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

from lightfit.checkpoint import read_checkpoint
from lightfit.lightning_modules import LightModel

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))


def build(**changes: Any) -> LightModel:
    held = net()
    arguments: dict[str, Any] = {"loss_fn": nn.BCEWithLogitsLoss(), "metrics_dict": {"acc": BinaryAccuracy()}}
    optimizer = torch.optim.SGD(held.parameters(), lr=0.5)
    return LightModel(held, **{**arguments, "optimizer": optimizer, **changes})


def train_by_hand(epochs: int, gamma: float = 1.0) -> pd.DataFrame:
    """Return the history of the same training in a plain loop."""
    held, loss_fn = net(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(held.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=gamma)
    rows = []
    for epoch in range(epochs):
        row: dict[str, float] = {"epoch": epoch}
        for stage, batches in (("train", loader(50)), ("val", loader(30, seed=1))):
            losses, right = 0.0, 0
            for x, y in batches:
                logits = held(x)
                loss = loss_fn(logits, y)
                losses += loss.item() * len(x)
                right += int(((logits > 0) == y).sum())
                if stage == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            size = len(batches.dataset)  # type: ignore[arg-type]
            row |= {f"{stage}_loss": losses / size, f"{stage}_acc": right / size}
        scheduler.step()
        rows.append(row)
    return pd.DataFrame(rows)


def test_history_of_torchkeras_3_is_that_of_a_plain_loop() -> None:
    model = build()
    trainer(max_epochs=3).fit(model, loader(50), loader(30, seed=1))
    history = model.get_history()
    assert list(history) == ["epoch", "train_loss", "train_acc", "val_loss", "val_acc"]
    pd.testing.assert_frame_equal(history, train_by_hand(3), rtol=1e-6)
    assert list(model.history) == ["epoch", "loss", "acc", "val_loss", "val_acc"]


def test_schedule_is_stepped_each_epoch() -> None:
    def by_function(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)

    held = net()
    optimizer = torch.optim.SGD(held.parameters(), lr=0.5)
    models = [
        LightModel(held, loss_fn=nn.BCEWithLogitsLoss(), optimizer=optimizer, lr_scheduler=by_function(optimizer)),
        build(optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.5), lr_scheduler=by_function),
    ]
    for model in models:
        trainer(max_epochs=3).fit(model, loader(50), loader(30, seed=1))
        expected = train_by_hand(3, gamma=0.1)["train_loss"].tolist()
        assert model.history["loss"].tolist() == pytest.approx(expected, rel=1e-6)


def test_plateau_watches_val_loss_or_without_validation_loss() -> None:
    for val, monitor in ((loader(30), "val_loss"), (None, "loss")):
        model = build(lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0))
        run = trainer(max_epochs=1)
        run.fit(model, loader(), val)
        assert run.lr_scheduler_configs[0].monitor == monitor


def test_without_an_optimizer_it_is_adam() -> None:
    model = build(optimizer=None)
    run = trainer(max_epochs=1)
    run.fit(model, loader())
    (optimizer,) = run.optimizers
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.filterwarnings("ignore:The dirpath has changed", "ignore:You.re resuming from a checkpoint that ended")
def test_metrics_of_training_resume_within_an_epoch(tmp_path: Path) -> None:
    x, y = loader(20).dataset.tensors  # type: ignore[attr-defined]
    train = DataLoader(TensorDataset(x.repeat(3, 1), y.repeat(3, 1)), batch_size=20)

    def run(folder: Path, ckpt_path: Path | None = None) -> pd.DataFrame:
        # One of a sum and one of a list of all samples.
        model = build(metrics_dict={"acc": BinaryAccuracy(), "auroc": BinaryAUROC()})
        saver = pl.callbacks.ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
        trainer(max_epochs=2, callbacks=[saver], enable_checkpointing=True).fit(
            model, train, loader(), ckpt_path=ckpt_path
        )
        return model.history

    whole = run(tmp_path / "whole")
    assert whole["auroc"].nunique() == 2
    assert set(read_checkpoint(tmp_path / "whole" / "step=2.ckpt")["epoch_so_far"]["metrics"][0]) == {"acc", "auroc"}
    for step in (1, 2, 4, 5):
        assert run(tmp_path / str(step), tmp_path / "whole" / f"step={step}.ckpt").equals(whole), step


def test_a_forgotten_batch_is_not_in_the_metrics_of_training() -> None:
    class Forgetting(LightModel):
        def on_before_backward(self, loss: torch.Tensor) -> None:
            if self.trainer.global_step in (0, 2):
                self.forget_batch()

    class Recorder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.outputs = net(), list[torch.Tensor]()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.outputs.append(self.net(x))
            return self.outputs[-1]

    held = Recorder()
    model = Forgetting(held, loss_fn=nn.BCEWithLogitsLoss(), metrics_dict={"acc": BinaryAccuracy()})
    trainer(max_epochs=1).fit(model, loader(50))
    (_, y), *_ = list(loader(50))[1:]
    assert model.history.loc[0, "acc"] == pytest.approx(float(((held.outputs[1] > 0) == y).float().mean()))


def test_predictions_and_tests_after_loading(tmp_path: Path) -> None:
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))  # a buffer, which the checkpoint holds
    model = build(loss_fn=loss_fn)
    run = trainer(max_epochs=1)
    run.fit(model, loader(), loader())
    run.save_checkpoint(tmp_path / "a.ckpt")
    (expected,) = run.test(model, loader(30), verbose=False)
    x = torch.randn(5, 2)
    assert torch.equal(LightModel.load(tmp_path / "a.ckpt", net=net())(x), model.eval()(x))
    another = nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)[0])
    again = LightModel.load(tmp_path / "a.ckpt", net=net(), loss_fn=another, metrics_dict={"acc": BinaryAccuracy()})
    (tested,) = trainer().test(again, loader(30), verbose=False)
    assert tested == expected
    assert set(tested) == {"test_loss", "test_acc"}
    assert again.get_history().equals(model.get_history())


def test_a_method_of_a_subclass_may_be_the_loss() -> None:
    class Own(LightModel):
        def loss_fn(self, preds: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return nn.functional.mse_loss(preds, y)

    model = Own(net())
    trainer(max_epochs=1).fit(model, loader(50))
    assert list(model.get_history()) == ["epoch", "train_loss"]


def test_mistakes_of_the_constructor() -> None:
    with pytest.raises(TypeError, match="expected torchmetrics by name, received function as 'acc'"):
        build(metrics_dict={"acc": lambda preds, y: 0})
    with pytest.raises(TypeError, match="expected `metrics` or `metrics_dict`, received both"):
        build(metrics={"acc": BinaryAccuracy()})
    with pytest.raises(ValueError, match="SGD has none of the parameters of LightModel, so nothing would be learned"):
        trainer(max_epochs=1).fit(build(optimizer=torch.optim.SGD(net().parameters(), lr=1)), loader())
    with pytest.raises(NotImplementedError, match="LightModel must define configure_optimizers"):
        LightModel(net()).configure_optimizers()
