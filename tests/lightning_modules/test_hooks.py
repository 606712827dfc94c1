"""A hook that a subclass overrides without `super()` changes nothing of what is logged, trained or saved."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.core import hooks
from test_light_model import loader, trainer
from torch import Tensor, nn
from torchmetrics.classification import BinaryF1Score

from lightfit.checkpoint import read_checkpoint
from lightfit.lightning_modules import ImageClassifier, LightModel, SeriesForecaster
from lightfit.lightning_modules.finetuning import FineTuning
from lightfit.lightning_modules.nets import NLinear

pytestmark = pytest.mark.filterwarnings(
    "ignore:The dirpath has changed",
    "ignore:You.re resuming from a checkpoint that ended",
    "ignore:Checkpoint dir",
    "ignore:You have overridden .Overriding.configure_sharded_model. which is deprecated",
    "ignore:Found .* in eval mode at the start of training",
)


# Not events but the functions that do the work, whose return value is used.
FUNCTIONS = {"train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader"}


def list_hooks() -> list[str]:
    """List what today's Lightning calls hooks: the methods of its classes of them."""
    groups = (hooks.ModelHooks, hooks.DataHooks, hooks.CheckpointHooks)
    found = {name for group in groups for name in vars(group) if inspect.isfunction(vars(group)[name])}
    found |= {name for name, _ in inspect.getmembers(pl.LightningModule, callable) if name.startswith("on_")}
    return sorted({"configure_callbacks", *(name for name in found if name[0] != "_")} - FUNCTIONS)


HOOKS = list_hooks()


class Net(nn.Module):
    """A net that takes something from the training data first."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.register_buffer("seen", torch.zeros(()))

    def adapt(self, batches: Any) -> None:
        self.seen += sum(len(x) for x, _ in batches)

    def forward(self, x: Tensor) -> Tensor:
        return (self.linear(x) + self.seen / 1000).sigmoid()


class Model(LightModel):
    def shared_step(self, batch: Any) -> dict[str, Any]:
        x, y = batch
        prediction = self(x)
        scores = {"loss": nn.functional.binary_cross_entropy(prediction, y), "mean": prediction.mean()}
        return {**scores, "preds": prediction[:, 0], "target": y[:, 0].long()}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def overriding(cls: type, hook: str) -> type:
    """Return a subclass with a hook that does not call its parent's; those of a batch must return it."""
    called: list[str] = []

    def override(self: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(hook)
        batch = hook.endswith(("batch_transfer", "transfer_batch_to_device"))
        return args[0] if batch else [] if hook == "configure_callbacks" else None

    return type("Overriding", (cls,), {hook: override, "called": called})


def fit(cls: type, folder: Path, ckpt_path: Path | None = None, epochs: int = 3) -> tuple[Any, ...]:
    """Trains with two loaders of validation; history, logged metrics and weights."""
    pl.seed_everything(0, verbose=False)
    model = cls(Net(), metrics={"f1": BinaryF1Score()})
    within = pl.callbacks.ModelCheckpoint(folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    best = pl.callbacks.ModelCheckpoint(folder, filename="best-{epoch}", monitor="val_loss", save_top_k=-1)
    run = trainer(max_epochs=epochs, callbacks=[within, best], enable_checkpointing=True)
    x, y = loader(20).dataset.tensors  # type: ignore[attr-defined]
    train = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x.repeat(3, 1), y.repeat(3, 1)), batch_size=20)
    run.fit(model, train, [loader(50), loader(30, seed=1)], ckpt_path=ckpt_path)
    metrics = {name: float(value) for name, value in run.callback_metrics.items()}
    (tested,) = run.test(model, loader(40), verbose=False)
    validated = run.validate(model, [loader(50), loader(30, seed=1)], verbose=False)
    predicted = torch.cat(run.predict(model, loader(40))).tolist()
    saved = {path.name: read_checkpoint(path)["history"] for path in sorted(folder.glob("*.ckpt"))}
    return model, model.history, metrics, tested, validated, predicted, saved, model.state_dict()


def differing(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[int]:
    def same(left: Any, right: Any) -> bool:
        if isinstance(left, pd.DataFrame):
            return left.equals(right)
        if isinstance(left, dict) and left and isinstance(next(iter(left.values())), Tensor):
            return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
        return bool(left == right)

    return [i for i, (left, right) in enumerate(zip(one[1:], other[1:], strict=True)) if not same(left, right)]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Any, ...], tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("untouched")
    whole = fit(Model, folder / "whole")
    resumed = fit(Model, folder / "resumed", folder / "whole" / "step=4.ckpt")
    assert whole[1]["loss"].nunique() == whole[1]["val_loss_1"].nunique() == 3
    assert whole[1].equals(resumed[1])
    assert float(whole[0].net.seen) == 60
    return folder, whole, resumed


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
def test_any_hook_may_be_overridden(
    hook: str, untouched: tuple[Path, tuple[Any, ...], tuple[Any, ...]], tmp_path: Path
) -> None:
    _, whole, resumed = untouched
    cls = overriding(Model, hook)
    assert differing(whole, fit(cls, tmp_path / "whole")) == []
    assert differing(resumed, fit(cls, tmp_path / "resumed", tmp_path / "whole" / "step=4.ckpt")) == []
    assert LightModel.history.fget(cls.load(tmp_path / "whole" / "step=6.ckpt", net=Net())).equals(whole[1][:1])  # type: ignore[attr-defined]
    assert cls.called  # type: ignore[attr-defined]


@pytest.mark.parametrize("by", ["class", "mixin"])
def test_a_checkpoint_of_the_weights_alone_has_the_history(by: str, tmp_path: Path) -> None:
    saved: list[dict[str, Any]] = []

    class Mixin:
        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            saved.append(checkpoint)

    class Mixed(Mixin, Model):
        """Has the hook of the mixin."""

    class Overriding(Model):
        on_save_checkpoint = Mixin.on_save_checkpoint

    cls = Overriding if by == "class" else Mixed
    model, run = cls(Net()), trainer(max_epochs=2)
    run.fit(model, loader(), loader())
    run.save_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert len(saved) == 1
    assert cls.load(tmp_path / "a.ckpt", net=Net()).history.equals(model.history)
    other = trainer()
    again = cls(Net())
    other.validate(again, loader(), ckpt_path=tmp_path / "a.ckpt", verbose=False)
    assert again.history.equals(model.history)


def test_metrics_that_users_hooks_log_are_in_the_history() -> None:
    seen: list[int] = []

    class Logging(Model):
        def on_validation_epoch_end(self) -> None:
            self.log("val_own", float(self.current_epoch))

        def on_train_epoch_end(self) -> None:
            seen.append(len(self.history))
            self.log("own", 10.0 + self.current_epoch)

    model = Logging(Net(), metrics={"f1": BinaryF1Score()})
    trainer(max_epochs=3).fit(model, loader(), loader())
    assert model.history["own"].tolist() == [10, 11, 12]
    assert model.history["val_own"].tolist() == [0, 1, 2]
    assert seen == [1, 2, 3]


def test_the_first_of_the_trainers_callbacks_is_the_users() -> None:
    own, run = pl.Callback(), trainer(max_epochs=1)
    run.callbacks.insert(0, own)  # type: ignore[attr-defined]
    model = Model(Net(), metrics={"f1": BinaryF1Score()})
    for _ in range(2):
        run.fit(model, loader(), loader())
        assert run.callbacks[0] is own  # type: ignore[attr-defined]
        assert len(run.callbacks) == 2  # type: ignore[attr-defined]


def test_hooks_of_an_object_and_of_a_mixin() -> None:
    class Mixin:
        def on_train_epoch_start(self) -> None:
            """Do something else."""

    class Mixed(Mixin, Model):
        pass

    model = Mixed(Net(), metrics={"f1": BinaryF1Score()})
    model.on_train_epoch_end = lambda: None  # type: ignore[method-assign]
    trainer(max_epochs=3).fit(model, loader(), loader())
    assert model.history["loss"].nunique() == 3


def test_a_run_that_failed_leaves_no_row_open() -> None:
    class Failing(Model):
        def on_train_epoch_end(self) -> None:
            if self.current_epoch == 1 and not self.failed:
                self.failed = True
                raise KeyError

        failed = False

    model = Failing(Net(), metrics={"f1": BinaryF1Score()})
    with pytest.raises(KeyError):
        trainer(max_epochs=3).fit(model, loader(), loader())
    rows = model.history
    assert len(rows) == 2
    trainer(max_epochs=1, limit_val_batches=0).fit(model, loader(), loader())
    assert model.history[:2].equals(rows)
    assert model.history.iloc[2].isna()["val_loss"]


def classifier(cls: type, **finetune: Any) -> Any:
    pl.seed_everything(0, verbose=False)
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    return cls(net, lr=0.1, finetune=FineTuning(**finetune))


@pytest.mark.parametrize("hook", ["on_fit_start", "on_train_start", "on_train_epoch_start"])
def test_finetuning_hangs_on_no_hook(hook: str, tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)).state_dict(), tmp_path / "a.pt")

    def weights(cls: type) -> dict[str, Tensor]:
        model = classifier(cls, weights=str(tmp_path / "a.pt"), freeze_epochs=1)
        trainer(max_epochs=2).fit(model, loader(), loader())
        return dict(model.state_dict())

    one, other = weights(ImageClassifier), weights(overriding(ImageClassifier, hook))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("hook", ["on_validation_epoch_start", "on_validation_epoch_end"])
def test_calibration_hangs_on_no_hook(hook: str) -> None:
    def scale(make: Callable[..., Any]) -> Tensor:
        pl.seed_everything(0, verbose=False)
        net = NLinear(lookback=4, horizon=2, num_targets=1, num_quantiles=3)
        model = make(net, loss="quantile", calibrate=True)
        x = torch.randn(40, 4, 1)
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x[:, :2] * 3), batch_size=20)
        trainer(max_epochs=1).fit(model, data, data)
        return model.conformal_scale

    assert float(scale(SeriesForecaster)) != 1
    assert torch.equal(scale(overriding(SeriesForecaster, hook)), scale(SeriesForecaster))
