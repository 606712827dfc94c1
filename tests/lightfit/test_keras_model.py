"""KerasModel: torchkeras' results, and what Lightning adds."""

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAccuracy

from lightfit import KerasModel, pl
from lightfit.errors import NonFiniteError, TrainingStopped, UsageError
from lightfit.torchkeras import metrics

COLUMNS = ["epoch", "train_loss", "train_acc", "lr", "val_loss", "val_acc"]


def data(num_samples: int, seed: int, *, shuffle: bool = False) -> DataLoader:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(num_samples, 2, generator=rng)
    return DataLoader(TensorDataset(x, (x.sum(1, keepdim=True) > 0).float()), batch_size=10, shuffle=shuffle)


def build(cls: Any = KerasModel, *, dropout: float = 0.0, lr: float = 0.05, **changes: Any) -> Any:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.9)
    given = {"metrics_dict": {"acc": BinaryAccuracy()}, "optimizer": optimizer, "lr_scheduler": schedule}
    return cls(net, loss_fn=nn.BCEWithLogitsLoss(), **{**given, **changes})


def fit(model: Any, epochs: int = 2, **changes: Any) -> pd.DataFrame:
    given: dict[str, Any] = {"ckpt_path": "net.pt", "plot": False, "cpu": True, "quiet": True, "logger": False}
    return model.fit(data(40, 0), data(20, 1), epochs=epochs, **{**given, **changes})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_results_are_those_of_torchkeras() -> None:
    pytest.importorskip("accelerate")
    theirs = build(pytest.importorskip("torchkeras").KerasModel)
    ours = build()
    for epochs in (4, 2):  # the second one begins with what the first has trained
        expected = theirs.fit(data(40, 0), data(20, 1), epochs=epochs, ckpt_path="theirs", plot=False, cpu=True)
        pd.testing.assert_frame_equal(fit(ours, epochs), expected, rtol=1e-5)
    expected = theirs.evaluate(data(20, 1), quiet=True)
    assert ours.evaluate(data(20, 1), quiet=True) == pytest.approx(expected, rel=1e-5)
    theirs.load_ckpt("net.pt")  # a plain state dict
    assert torch.equal(theirs.net[0].weight, ours.net[0].weight)


def test_history_and_best_weights() -> None:
    model = build(lr=0.5)
    history = fit(model, epochs=3)
    assert list(history) == COLUMNS
    assert history["epoch"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(pd.DataFrame(model.history), history)
    state = torch.load("net.pt", weights_only=True)
    assert set(state) == set(model.net.state_dict())
    assert all(torch.equal(state[name], value) for name, value in model.net.state_dict().items())
    assert model.evaluate(data(20, 1))["val_loss"] == pytest.approx(history["val_loss"].min(), rel=1e-6)
    assert not Path("net.pt.resume").exists()
    again = build()
    again.load_ckpt("net.pt")
    assert again.evaluate(data(20, 1)) == model.evaluate(data(20, 1))
    again.save_ckpt("again.safetensors")
    third = build()
    third.load_ckpt("again.safetensors")
    assert torch.equal(third.net[0].weight, model.net[0].weight)


def test_predictions() -> None:
    model = build()
    x = data(20, 1).dataset.tensors[0]  # type: ignore[attr-defined]
    for loader in (data(20, 1), DataLoader(x, batch_size=7), [[x[:5], None], [x[5:], None]]):
        assert torch.equal(model.predict(loader), model.eval()(x))
    with pytest.raises(UsageError, match="expected `data` as a loader of batches, received a tensor"):
        model.predict(x)
    model.net = nn.Sequential(model.net, AsDict())
    assert [set(batch) for batch in model.predict(data(20, 1))] == [{"logits"}, {"logits"}]


class AsDict(nn.Module):
    """Returns a dict."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": x}


def test_summary_and_forward(capsys: pytest.CaptureFixture[str]) -> None:
    model = build()
    assert "Total params: 17\n" in model.summary(input_shape=(2,))
    assert model(torch.zeros(3, 2)).shape == (3, 1)


def test_a_second_fit_begins_with_what_there_is() -> None:
    model = build()
    first = fit(model)
    second = fit(model, 1, monitor="val_acc", mode="max")
    assert second["epoch"].tolist() == [0, 1]
    assert second.loc[0, "val_loss"] == pytest.approx(first["val_loss"].min(), rel=1e-6)
    assert second.loc[0, "lr"] == 0
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    wrong = [(x, 1 - y) for x, y in data(40, 0)]  # no epoch is better
    model.fit(wrong, data(20, 1), epochs=2, cpu=True, quiet=True, logger=False)
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (None, 3)])
def test_early_stopping(patience: int | None, epochs: int) -> None:
    model = build(lr=0.0)
    assert len(fit(model, 3, patience=patience)) == epochs


def test_monitor_of_training() -> None:
    model = build(lr=0.5)
    history = model.fit(
        data(40, 0), epochs=3, ckpt_path="net.pt", monitor="train_acc", mode="max", cpu=True, quiet=True, logger=False
    )
    assert list(history) == COLUMNS[:4]


class Stop(pl.Callback):
    """Sends the process a signal within an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, 2):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_stopped_fit_resumes_exactly(caplog: pytest.LogCaptureFixture) -> None:
    def run(**changes: Any) -> tuple[pd.DataFrame, Any]:
        model = build(dropout=0.5, lr=0.5)
        pl.seed_everything(1, verbose=False)
        given: dict[str, Any] = {"plot": False, "cpu": True, "quiet": True, "logger": False, "patience": None}
        history = model.fit(data(40, 0, shuffle=True), data(20, 1), epochs=3, **{**given, **changes})
        return history, model.net.state_dict()

    whole, weights = run(ckpt_path="whole.pt")
    with pytest.raises(TrainingStopped, match="training was stopped by SIGTERM, and is saved in '.*last.ckpt'"):
        run(ckpt_path="net.pt", callbacks=[Stop(1)])
    assert Path("net.pt").is_file()
    assert "the same call of `fit` with `resume=True` resumes it" in caplog.text
    resumed, again = run(ckpt_path="net.pt", resume=True)
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)
    assert all(torch.equal(again[name], value) for name, value in weights.items())
    assert not Path("net.pt.resume").exists()


def test_stopped_before_an_epoch_was_done() -> None:
    with pytest.raises(TrainingStopped, match="before it began: nothing was saved"):
        fit(build(), callbacks=[Stop(0)])
    assert len(fit(build(), resume=True)) == 2


def test_a_stopped_fit_is_not_replaced_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TrainingStopped):
        fit(build(), callbacks=[Stop(1)])
    with caplog.at_level(logging.WARNING, "lightfit"):
        assert len(fit(build())) == 2
    assert "a fit that was stopped lies in 'net.pt.resume'; it is replaced, as `resume` is not given" in caplog.text


def test_loaders_of_any_kind() -> None:
    class Endless:
        """Yields batches without end; torchkeras takes the number of them from `size`."""

        size = 3

        def __iter__(self) -> Any:
            while True:
                yield from data(40, 0)

    model, seen = build(), list[int]()

    class Count(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            seen.append(batch_idx)

    model.fit(Endless(), data(20, 1), epochs=2, cpu=True, quiet=True, logger=False, callbacks=[Count()])
    assert seen == [0, 1, 2] * 2


def test_arguments_of_the_trainer(capsys: pytest.CaptureFixture[str]) -> None:
    model = build()
    logger = pl.loggers.CSVLogger("logs")
    fit(model, 1, cpu=False, gpus=0, logger=logger, quiet=None, gradient_accumulation_steps=2, mixed_precision="bf16")
    logged = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    assert {"loss", "val_loss", "acc", "val_acc", "lr"} <= set(logged)
    assert "epoch = 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mode": "best"}, "expected `mode` as min or max, received 'best'"),
        ({"mixed_precision": "fp8"}, "expected `mixed_precision` as no, fp16, bf16; received 'fp8'"),
        ({"callbacks": [object()]}, "expected `callbacks` of Lightning, received object: for logs pass `logger`"),
    ],
)
def test_arguments_that_are_wrong(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        fit(build(), **changes)


def test_validation_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="`monitor` val_loss needs `val_data`: pass it, or monitor='train_loss'"):
        build().fit(data(40, 0))


def test_steps_of_the_users_own() -> None:
    class Other(KerasModel):
        StepRunner = object

    with pytest.raises(UsageError, match="no StepRunner or EpochRunner to replace: for another step, write `shared"):
        fit(build(Other))


def test_a_score_that_is_never_finite() -> None:
    def loss_fn(preds: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(preds, target)
        return loss if preds.requires_grad else loss * float("nan")

    Path("net.pt").write_bytes(b"of before")
    with pytest.raises(NonFiniteError, match="`monitor` val_loss was finite in no epoch, so no weights were kept"):
        fit(KerasModel(nn.Linear(2, 1), loss_fn=loss_fn))
    assert Path("net.pt").read_bytes() == b"of before"


def test_defaults() -> None:
    net = nn.Linear(2, 1)
    model = KerasModel(net, loss_fn=nn.BCEWithLogitsLoss())
    assert (type(model.optimizer), model.optimizer.param_groups[0]["lr"]) == (torch.optim.Adam, 3e-4)
    assert list(fit(model, 1)) == ["epoch", "train_loss", "lr", "val_loss"]


def test_metrics_of_torchkeras() -> None:
    model = build(metrics_dict={"acc": metrics.Accuracy(), "auc": metrics.AUC()})
    history = fit(model, 1)
    assert list(history) == ["epoch", "train_loss", "train_acc", "train_auc", "lr", "val_loss", "val_acc", "val_auc"]
    logits = model.predict(data(20, 1))
    target = data(20, 1).dataset.tensors[1]  # type: ignore[attr-defined]
    assert history["val_acc"][0] == pytest.approx(float(((logits > 0) == target).float().mean()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torchkeras' own
def test_live_plot_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    from lightfit.torchkeras import keras_model

    class Progress(keras_model.NotebookProgress):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            super().on_train_epoch_end(trainer, pl_module)
            shown.append((self.monitor, self.mode, self.path))

    monkeypatch.setattr(keras_model, "NotebookProgress", Progress)
    monkeypatch.setattr(keras_model, "_is_notebook", lambda: True)
    fit(build(), 2, plot=True, quiet=None, ckpt_path="kept/net.pt")
    assert shown == [("val_loss", "min", str(Path("kept/history.png")))] * 2
    assert Path("kept/history.png").is_file()
    fit(build(), 1, plot=False, quiet=None)
    assert len(shown) == 2
