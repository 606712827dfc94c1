"""Losses and gradients that are NaN or infinite: the weights never are."""

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightfit.callbacks import FiniteLoss, NonFiniteGradients, NonFiniteLoss
from lightfit.callbacks.weights import finite_loss
from lightfit.lightning_modules import LightModel

NAN = float("nan")


class Regressor(LightModel):
    """As small as a model can be; where a target is 7, its loss is finite and has no finite gradient."""

    def __init__(self, net: nn.Module | None = None, *, fused: bool = False) -> None:
        super().__init__(net or nn.Linear(4, 1))
        self.fused = fused

    def shared_step(self, batch: Any) -> dict[str, Any]:
        x, y = batch
        prediction = self(x)
        root = ((prediction - prediction) ** 2).sum().sqrt() if bool((y == 7).any()) else 0.0
        return {"loss": F.mse_loss(prediction, y) + root}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01, fused=self.fused)


class Foreign(pl.LightningModule):
    """A LightningModule that knows nothing of this project."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.mse_loss(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Event:
    """A GPU's, where there is none."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


class Late(FiniteLoss):
    """Looks one step late, as on a GPU."""

    def _checks_late(self, tensor: Tensor) -> bool:
        return True


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a copy from a GPU."""
    monkeypatch.setattr(finite_loss, "_start_copy", lambda value: (Event(), value.clone()))


def loader(*, nan: Iterable[int] = (), infinite_slope: Iterable[int] = (), num_samples: int = 80) -> DataLoader:
    """Batches of ten, some of whose samples are NaN, or have a loss without a finite gradient."""
    x = torch.randn(num_samples, 4, generator=torch.Generator().manual_seed(0))
    y = x.sum(1, keepdim=True)
    x[list(nan)] = NAN
    y[list(infinite_slope)] = 7.0
    return DataLoader(TensorDataset(x, y), batch_size=10)


def train(
    model: pl.LightningModule,
    data: DataLoader,
    *callbacks: pl.Callback,
    ckpt_path: Path | None = None,
    **options: Any,
) -> pl.Trainer:
    torch.manual_seed(0)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    quiet |= {"enable_checkpointing": False, "max_epochs": 1, "accelerator": "cpu"}
    trainer = pl.Trainer(**quiet | options, callbacks=list(callbacks))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You defined a `validation_step`")
        trainer.fit(model, data, ckpt_path=ckpt_path)
    return trainer


def are_finite(model: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


class Steps(pl.Callback):
    """Notes after which batches the weights are others than before."""

    def __init__(self) -> None:
        self.after: list[int] = []
        self._before = torch.empty(0)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        self._before = pl_module.net.weight.detach().clone()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if not torch.equal(self._before, pl_module.net.weight):
            self.after.append(batch_idx)


@pytest.mark.parametrize(
    ("accumulated", "nan", "steps"),
    [
        (1, [33], [0, 1, 2, 4, 5, 6, 7]),
        (2, [3], [3, 5, 7]),  # the first batch of the step
        (2, [13], [3, 5, 7]),  # the last one
        (3, [33], [2, 7]),  # the first of three
        (3, [43], [2, 7]),  # in the middle
        (3, [53], [2, 7]),
        (3, [63], [2, 5]),  # in the last step of the epoch, of two batches
        (3, [73], [2, 5]),
        (3, [3, 13, 23, 63], [5]),
        (8, [33], []),
        (20, [33], []),  # more than an epoch has
    ],
)
def test_a_step_with_a_batch_without_a_loss_is_left_out(accumulated: int, nan: list[int], steps: list[int]) -> None:
    model, took, skip = Regressor(), Steps(), FiniteLoss("skip")
    train(model, loader(nan=nan), took, skip, accumulate_grad_batches=accumulated, max_epochs=2)
    assert took.after == 2 * steps
    assert are_finite(model)
    assert model.history["loss"].notna().all()
    groups = {number // 10 // accumulated for number in nan}
    assert skip.num_skipped == 2 * sum(batch // accumulated in groups for batch in range(8))


def test_means_are_those_of_all_batches_with_a_loss() -> None:
    class Still(Regressor):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    model = Still()
    train(model, loader(nan=[33]), FiniteLoss("skip"), accumulate_grad_batches=2)
    dataset: Any = loader().dataset
    x, y = dataset.tensors
    kept = [*range(30), *range(40, 80)]
    assert model.history["loss"][0] == pytest.approx(F.mse_loss(model(x[kept]), y[kept]).item(), rel=1e-5)


def test_a_batch_that_added_nothing_takes_nothing_back() -> None:
    model = Regressor()
    train(model, loader(), max_epochs=1)
    mean: Any = model.means["mean_loss"]
    before = str(mean.dump())
    mean.add(torch.tensor(1.0), 10)
    model._of_batch.clear()  # as in a process that has no sample of a batch
    model.forget_batch()
    assert str(mean.dump()) != before


def test_any_lightning_module_leaves_batches_out(capsys: pytest.CaptureFixture[str]) -> None:
    model = Foreign()
    train(model, loader(nan=[33]), FiniteLoss("skip"))
    assert are_finite(model)
    assert "skipped, as its loss is NaN or infinite: step 3 (epoch 0, batch 3)\n" in capsys.readouterr().out


def test_a_gradient_that_is_not_finite_ends_the_run_before_the_step() -> None:
    model, took = Regressor(), Steps()
    with pytest.raises(NonFiniteGradients) as caught:
        train(model, loader(infinite_slope=[33]), took, FiniteLoss())
    assert "the gradients became NaN or infinite at step 3 (epoch 0, batch 3), though the loss was" in str(caught.value)
    assert "`on_nan` skip" in str(caught.value)
    assert took.after == [0, 1, 2]
    assert are_finite(model)


def test_a_step_with_a_gradient_that_is_not_finite_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    model, took, skip = Regressor(), Steps(), FiniteLoss("skip")
    train(model, loader(infinite_slope=[33]), took, skip, accumulate_grad_batches=3)
    assert took.after == [2, 7]
    assert are_finite(model)
    out = capsys.readouterr().out
    assert "gradients are NaN or infinite, though its loss is finite: step 1 (epoch 0, batches 3 to 5)" in out
    assert "3 batches were skipped" in out
    assert model.history["loss"].notna().all()


@pytest.mark.usefixtures("late")
def test_on_a_gpu_the_loss_and_the_gradients_are_looked_at_one_step_later() -> None:
    for data, error in ((loader(nan=[33]), NonFiniteLoss), (loader(infinite_slope=[33]), NonFiniteGradients)):
        took = Steps()
        with pytest.raises(error, match="at step 3 .epoch 0, batch 3."):
            train(Regressor(), data, took, Late())
        assert took.after == [0, 1, 2, 3]


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("hook", ["on_validation_start", "on_save_checkpoint"])
@pytest.mark.parametrize(
    ("data", "error"), [(loader(nan=[73]), NonFiniteLoss), (loader(infinite_slope=[73]), NonFiniteGradients)]
)
def test_on_a_gpu_it_is_looked_at_before_a_step_is_validated_or_saved(
    hook: str, data: DataLoader, error: type[Exception], tmp_path: Path
) -> None:
    reached, late = [], Late()

    class After(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if hook == "on_save_checkpoint":
                trainer.save_checkpoint(tmp_path / "a.ckpt")
            else:
                late.on_validation_start(trainer, pl_module)
            reached.append(True)

    with pytest.raises(error, match="batch 7"):
        train(Regressor(), data, late, After())
    assert reached == []
    assert list(tmp_path.iterdir()) == []


def test_large_gradients_are_finite() -> None:
    class Steep(Regressor):
        def shared_step(self, batch: Any) -> dict[str, Any]:
            return {"loss": super().shared_step(batch)["loss"] * 1e30}  # the sum of their squares overflows

    model = Steep()
    train(model, loader(), FiniteLoss())
    assert are_finite(model)


def test_sparse_gradients_are_looked_at() -> None:
    class Sparse(Regressor):
        def shared_step(self, batch: Any) -> dict[str, Any]:
            x, y = batch
            found = self(x[:, 0].abs().long().clamp(max=3))
            return {"loss": F.mse_loss(found * (math.inf if bool((y == 7).any()) else 1.0), y * 0).clamp(max=1e9)}

        def configure_optimizers(self) -> Any:
            return torch.optim.Adagrad(self.parameters(), lr=0.1)

    model = Sparse(nn.Embedding(4, 1, sparse=True))
    with pytest.raises(NonFiniteGradients, match="step 3"):
        train(model, loader(infinite_slope=range(30, 40)), FiniteLoss())
    assert are_finite(model)
    model = Sparse(nn.Embedding(4, 1, sparse=True))
    train(model, loader(infinite_slope=range(30, 40)), FiniteLoss("skip"))
    assert are_finite(model)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("on_nan", ["stop", "skip"])
def test_a_scaler_deals_with_infinite_gradients_itself(on_nan: Any, fused: bool) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    plugin = pl.plugins.MixedPrecision("16-mixed", device="cpu", scaler=scaler)
    model = Regressor(fused=fused)
    data = loader(infinite_slope=[33], nan=[53] if on_nan == "skip" else [])
    train(model, data, FiniteLoss(on_nan), plugins=[plugin])
    assert are_finite(model)
    assert scaler.get_scale() == (256.0 if on_nan == "skip" else 512.0)  # halved for each step that it left out


def test_of_a_scaled_loss_the_message_has_what_it_was() -> None:
    plugin = pl.plugins.MixedPrecision("16-mixed", device="cpu", scaler=torch.amp.GradScaler("cpu"))
    with pytest.raises(NonFiniteLoss, match=r"became nan at step 3 .*; the last finite one was [0-9.]{4,5}\. Look"):
        train(Regressor(), loader(nan=[33]), FiniteLoss(), plugins=[plugin])
