"""What `shared_step` may return, and how it is logged."""

import dataclasses
from collections import UserDict
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from test_light_model import Model, loader, net, trainer
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Metric
from torchmetrics.classification import BinaryF1Score, MulticlassF1Score

from lightfit.callbacks import BestAndLast, HistoryFiles
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.batch_size import count_samples
from lightfit.lightning_modules.step_outputs import name_classes

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")


class Returning(Model):
    """Returns more than the loss."""

    def __init__(self, more: Any = None, metrics: dict[str, Metric] | None = None, **rest: Any) -> None:
        super(Model, self).__init__(net(), metrics=metrics, **rest)
        self.more = more or (lambda batch: {})

    def shared_step(self, batch: Any) -> Any:
        outputs = super().shared_step(batch)
        more = self.more(batch)
        return {"loss": outputs["loss"], **more} if isinstance(more, dict) else more


def fit(more: Any, epochs: int = 1, **rest: Any) -> Any:
    model = Returning(more, **rest)
    trainer(max_epochs=epochs).fit(model, loader(50), loader(30, seed=1))
    return model


def test_a_bare_loss() -> None:
    class Bare(Model):
        def shared_step(self, batch: Any) -> Any:
            return super().shared_step(batch)["loss"]

    torch.manual_seed(0)
    bare, whole = Bare(net()), Model(net())
    whole.load_state_dict(bare.state_dict())
    for model in (bare, whole):
        trainer(max_epochs=2).fit(model, loader(50), loader(30))
    assert list(bare.history) == ["epoch", "loss", "val_loss"]
    assert bare.history.equals(whole.history[list(bare.history)])


SCALARS = {
    "float": 0.5,
    "int": 2,
    "bool": True,
    "float32": np.float32(0.25),
    "int64": np.int64(3),
    "bool_": np.bool_(True),
    "array": np.array(1.5),
    "array_of_one": np.array([1.5]),
    "one": torch.tensor([4.0]),
    "one_by_one": torch.tensor([[4.0]]),
    "half": torch.tensor(0.5, dtype=torch.float16),
    "integer": torch.tensor(7),
    "flag": torch.tensor(True),
    "third": Fraction(1, 4),
}


def test_scalars_of_any_kind_are_logged() -> None:
    model = fit(lambda batch: {**SCALARS, "text": "no", "nothing": None, "list": [1.0], "tuple": (torch.ones(3),)})
    (row,) = model.history.to_dict("records")
    for name, value in SCALARS.items():
        assert row[name] == row[f"val_{name}"] == np.asarray(value, dtype=float).item(), name
    assert set(row) == {"epoch", "loss", "val_loss", *SCALARS, *(f"val_{name}" for name in SCALARS)}


def test_a_batch_of_one_counts_as_one() -> None:
    batches = DataLoader(loader(41).dataset, batch_size=20)
    model = Returning(lambda batch: {"one": batch[0].mean().reshape(1), "scores": batch[0].sum(1)})
    trainer(max_epochs=1).fit(model, batches)
    x = batches.dataset.tensors[0]  # type: ignore[attr-defined]
    assert model.history.loc[0, "one"] == pytest.approx(float(x.mean()))
    assert "scores" not in model.history


def test_vectors_are_logged_by_class() -> None:
    model = fit(lambda batch: {"recall": batch[0].mean(0), "numpy": batch[0].mean(0).numpy()})
    x = loader(50).dataset.tensors[0]  # type: ignore[attr-defined]
    row = model.history.iloc[0]
    for name in ("recall", "numpy"):
        assert [row[f"{name}_0"], row[f"{name}_1"]] == pytest.approx(x.mean(0).tolist())
    assert "recall" not in model.history


def test_vectors_are_named_by_the_classes_of_the_data() -> None:
    class Data(pl.LightningDataModule):
        codec = SimpleNamespace(class_names=["cat", "dog/wolf"])

        def train_dataloader(self) -> DataLoader:
            return loader(50)

        val_dataloader = train_dataloader

    metrics: dict[str, Metric] = {"f1": MulticlassF1Score(2, average=None)}
    model = Returning(
        lambda b: {"mean": b[0].mean(0), "preds": b[0], "target": b[1][:, 0].long()}, metrics, train_metrics=True
    )
    trainer(max_epochs=2).fit(model, datamodule=Data())
    x, y = loader(50).dataset.tensors  # type: ignore[attr-defined]
    expected = MulticlassF1Score(2, average=None)(x, y[:, 0].long()).tolist()
    for row in model.history.to_dict("records"):
        for prefix in ("", "val_"):
            assert [row[f"{prefix}f1_cat"], row[f"{prefix}f1_dog_wolf"]] == pytest.approx(expected)
            assert [row[f"{prefix}mean_cat"], row[f"{prefix}mean_dog_wolf"]] == pytest.approx(x.mean(0).tolist())
    assert name_classes(2, ["a/b", "a_b"]) == name_classes(2, ["a"]) == ["0", "1"]


class Both(Metric):
    """Computes a dict."""

    full_state_update = False
    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("low", torch.tensor(torch.inf), dist_reduce_fx="min")
        self.add_state("high", torch.tensor(-torch.inf), dist_reduce_fx="max")

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.low, self.high = torch.minimum(self.low, preds.min()), torch.maximum(self.high, preds.max())

    def compute(self) -> dict[str, Tensor]:
        return {"low": self.low, "high": self.high, "classes": torch.arange(3)}


def test_metrics_of_several_values_by_loader() -> None:
    metrics: dict[str, Metric] = {"f1": MulticlassF1Score(2, average=None), "both": Both()}
    model = Returning(lambda b: {"preds": b[0], "target": b[1][:, 0].long()}, metrics)
    loaders = [loader(50), loader(30, seed=1)]
    results = trainer().test(model, loaders, verbose=False)
    for index, (held, result) in enumerate(zip(loaders, results, strict=True)):
        suffix = f"_{index}" if index else ""
        x, y = held.dataset.tensors  # type: ignore[attr-defined]
        f1 = MulticlassF1Score(2, average=None)(x, y[:, 0].long()).tolist()
        expected = {"f1_0": f1[0], "f1_1": f1[1], "both_low": float(x.min()), "both_high": float(x.max())}
        assert {name: result[f"test_{name}{suffix}"] for name in expected} == pytest.approx(expected)
        assert len(result) == 1 + len(expected)


@pytest.mark.filterwarnings("ignore:The dirpath has changed", "ignore:You.re resuming from a checkpoint that ended")
def test_metrics_of_several_values_resume_within_an_epoch(tmp_path: Path) -> None:
    x, y = loader(20).dataset.tensors  # type: ignore[attr-defined]
    train = DataLoader(TensorDataset(x.repeat(3, 1), y.repeat(3, 1)), batch_size=20)

    def run(folder: Path, ckpt_path: Path | None = None) -> Any:
        pl.seed_everything(0, verbose=False)
        metrics: dict[str, Metric] = {"f1": MulticlassF1Score(2, average=None), "both": Both()}
        preds = lambda batch: torch.cat([1 - model(batch[0]), model(batch[0])], 1)  # noqa: E731
        model = Returning(lambda b: {"preds": preds(b), "target": b[1][:, 0].long()}, metrics, train_metrics=True)
        saver = pl.callbacks.ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
        run = trainer(max_epochs=2, callbacks=[saver], enable_checkpointing=True)
        run.fit(model, train, ckpt_path=ckpt_path)
        return model.history

    whole = run(tmp_path / "whole")
    assert {"f1_0", "f1_1", "both_low", "both_high"} < set(whole)
    assert run(tmp_path / "resumed", tmp_path / "whole" / "step=5.ckpt").equals(whole)


def test_mistakes_are_named() -> None:
    with pytest.raises(TypeError, match="Returning.shared_step must return a dict with the key 'loss', or the loss"):
        fit(lambda batch: None)
    with pytest.raises(ValueError, match=r"returned a loss of shape \(20,\): expected one number for the batch"):
        fit(lambda batch: {"loss": batch[0].sum(1)})
    run = trainer(max_epochs=1, num_sanity_val_steps=0)
    with pytest.raises(TypeError, match=r"returned a loss that is no tensor but float, so nothing can be learned"):
        run.fit(Returning(lambda batch: {"loss": 1.5}), loader(), loader())
    with pytest.raises(ValueError, match="scalar as 'epoch', which is the name of the history's first column"):
        fit(lambda batch: {"epoch": 1.0})
    with pytest.raises(ValueError, match="scalar as 'val_x', which is the name of a scalar of validation"):
        fit(lambda batch: {"val_x": 1.0})
    with pytest.raises(ValueError, match="the scalar 'f1' of loader 0 and the metric 'f1' of loader 0 would both be"):
        fit(lambda b: {"f1": 1.0, "preds": b[1], "target": b[1]}, metrics={"f1": BinaryF1Score()})
    lengths = iter([7, 9])
    with pytest.raises(ValueError, match="9 values as 'ragged' for a batch of 10, and 7 values in a batch before"):
        fit(lambda batch: {"ragged": torch.zeros(next(lengths))})
    with pytest.raises(ValueError, match="20 values as 'f1' for a batch of 10, and one value for each sample in a"):
        fit(lambda batch: {"f1": torch.zeros(20)})


def test_a_name_that_is_that_of_a_second_loader() -> None:
    model = Returning(lambda batch: {"loss_1": 1.0})
    assert trainer().validate(model, loader(), verbose=False)[0]["val_loss_1"] == 1
    with pytest.raises(ValueError, match="'loss_1' of loader 0 and the scalar 'loss' of loader 1 .* as 'val_loss_1'"):
        trainer().validate(model, [loader(), loader()], verbose=False)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["shared_step", "self.log"])
def test_names_with_slashes_as_users_give_them(by: str, tmp_path: Path) -> None:
    """Lightning allows them: the history, checkpoints and their names work."""

    class Slashed(Returning):
        def on_validation_epoch_end(self) -> None:
            if by == "self.log":
                self.log("val/f1", float(self.current_epoch))

    name = "val/f1" if by == "self.log" else "val_f1/pos"
    model = Slashed(lambda batch: {"f1/pos": batch[0].mean()})
    saver = pl.callbacks.ModelCheckpoint(tmp_path / "all", monitor=name, filename="{epoch}", save_top_k=-1)
    best = BestAndLast(monitor=name, mode="max")
    run = trainer(
        max_epochs=4,
        check_val_every_n_epoch=2,
        callbacks=[saver, best, HistoryFiles()],
        enable_checkpointing=True,
        logger=pl.loggers.CSVLogger(tmp_path / "logs"),
    )
    run.fit(model, loader(50), loader(30, seed=1))
    assert model.history[name].isna().tolist() == [True, False, True, False], "not that of the epoch before"
    assert sorted(path.name for path in (tmp_path / "all").glob("*.ckpt")) == ["epoch=1.ckpt", "epoch=3.ckpt"]
    assert saver.best_model_score == model.history[name].dropna().iloc[0 if by == "self.log" else -1]
    if by == "shared_step":
        assert model.history.loc[0, "f1/pos"] == pytest.approx(float(loader(50).dataset.tensors[0].mean()))  # type: ignore[attr-defined]


def image(size: int) -> Tensor:
    return torch.zeros(3, size, size)


@dataclasses.dataclass
class Pair:
    inputs: Tensor
    labels: Tensor


class Graphs:
    """As torch_geometric's Batch."""

    def __init__(self) -> None:
        self.x, self.edge_index, self.num_graphs = torch.zeros(40, 2), torch.zeros(2, 70), 6


X, Y = torch.zeros(7, 2), torch.zeros(7)
TARGET = {"boxes": torch.zeros(3, 4), "labels": torch.zeros(3)}
BATCHES = {
    "x, y": ((X, Y), 7),
    "x": (X, 7),
    "dict": ({"x": X, "y": Y, "step": torch.tensor(1)}, 7),
    "UserDict": (UserDict(x=X, y=Y), 7),
    "dataclass": (Pair(X, Y), 7),
    "object": (SimpleNamespace(names=["a"] * 7, x=X), 7),
    "nested": ({"inputs": {"ids": X, "mask": X}, "labels": (Y, Y)}, 7),
    "collated tuples": ([[X, X], [Y, Y]], 7),
    "collated dicts": ([{"ids": X}, {"label": Y}], 7),
    "detection": (([image(4), image(5)], [TARGET, TARGET]), 2),
    "detection, tuples": (((image(4), image(5)), (TARGET, TARGET)), 2),
    "detection, one image": (([image(4)], [{"boxes": torch.zeros(5, 4)}]), 1),
    "detection, dict": ({"images": [image(4)] * 2, "boxes": [torch.zeros(5, 4), torch.zeros(1, 4)]}, 2),
    "detection, dicts": ([{"image": image(4), **TARGET}, {"image": image(5), **TARGET}], 2),
    "images of several sizes": (([image(size) for size in range(1, 6)], torch.zeros(5)), 5),
    "packed": ((pack_sequence([torch.zeros(4, 1), torch.zeros(2, 1)]), torch.zeros(2)), 2),
    "graphs": (Graphs(), 6),
    "graphs, y": ((Graphs(), torch.zeros(6)), 6),
    "arrays": ((np.zeros((7, 2)), np.zeros(7)), 7),
    "texts": ((["a", "b", "c"], ["x", "y", "z"]), 3),
    "no label": ((X, None), 7),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_samples_of_a_batch(kind: str) -> None:
    batch, expected = BATCHES[kind]
    assert count_samples(batch) == expected


def test_a_model_may_count_its_own_samples() -> None:
    class Rows(Model):
        def shared_step(self, batch: Any) -> Any:
            return {"loss": super().shared_step((batch["x"], batch["y"]))["loss"], "mean": batch["x"].mean()}

        def batch_size_of(self, batch: Any) -> int:
            return len(batch["y"])

    x, y = loader(50).dataset.tensors  # type: ignore[attr-defined]
    rows = [{"scale": torch.zeros(1), "x": a, "y": b} for a, b in zip(x.split(20), y.split(20), strict=True)]
    model = Rows(net())
    trainer(max_epochs=1).fit(model, DataLoader(rows, batch_size=None))  # type: ignore[arg-type]
    assert model.history.loc[0, "mean"] == pytest.approx(float(x.mean()))
    with pytest.raises(ValueError, match=r"received str without one.*define batch_size_of\(batch\) of the model"):
        count_samples("no")


def test_predictions_take_the_inputs_of_a_batch() -> None:
    model = Model(net())
    x = loader(30).dataset.tensors[0]  # type: ignore[attr-defined]
    expected = model.eval()(x)
    for data in (loader(30), DataLoader(TensorDataset(x), batch_size=20), DataLoader(x, batch_size=20)):  # type: ignore[arg-type]
        assert torch.allclose(torch.cat(trainer().predict(model, data)), expected)


class Autoencoder(LightModel):
    encoder: nn.Module
    decoder: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))

    def shared_step(self, batch: Any) -> Tensor:
        return (self(batch[0]) - batch[0]).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def test_several_nets(tmp_path: Path) -> None:
    def nets() -> dict[str, nn.Module]:
        return {"encoder": nn.Linear(2, 1), "decoder": nn.Linear(1, 2)}

    model = Autoencoder(**nets())
    run = trainer(max_epochs=3)
    run.fit(model, loader())
    assert model.history["loss"].is_monotonic_decreasing
    run.save_checkpoint(tmp_path / "a.ckpt")
    x = torch.randn(5, 2)
    for load in (Autoencoder.load, Autoencoder.load_from_checkpoint):
        again = load(tmp_path / "a.ckpt", **nets()).eval()
        assert torch.equal(again(x), model.eval()(x))
        assert again.history.equals(model.history)
    with pytest.raises(ValueError, match=r"Autoencoder.load\(path, encoder=the_encoder, decoder=the_decoder\)"):
        Autoencoder.load(tmp_path / "a.ckpt")
    with pytest.raises(TypeError, match="Autoencoder takes no argument `decodr`: .*received int"):
        Autoencoder(encoder=nn.Linear(2, 1), decodr=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a net cannot be named `forward`"):
        Autoencoder(forward=nn.Linear(2, 1))
    with pytest.raises(TypeError, match=r"has no net: build it as LightModel\(net\), or define forward"):
        LightModel(encoder=nn.Linear(2, 1))(x)


def test_manual_optimization_needs_a_step() -> None:
    class Manual(Model):
        automatic_optimization = False  # type: ignore[assignment]

    with pytest.raises(TypeError, match="Manual has automatic_optimization = False and no training_step of its own"):
        trainer(max_epochs=1).fit(Manual(net()), loader())


def test_a_step_without_a_trainer() -> None:
    model = Returning(lambda batch: {"recall": batch[0].mean(0)})
    with pytest.warns(UserWarning, match="the `self.trainer` reference is not registered"):
        outputs = model.training_step(next(iter(loader())), 0)
    outputs["loss"].backward()
    assert model.net[0].weight.grad is not None  # type: ignore[index,union-attr]
