"""What Lightning's features do with LightModel: the numbers of a plain LightningModule, or of a plain loop.

`docs/lightning_features.md` names a test of this file in each row.
"""

import re
import warnings
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from pytorch_lightning.tuner import Tuner
from test_light_model import loader, trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from lightfit.lightning_modules import LightModel

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]


def build_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))


def compute_loss(net: Any, batch: Any) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(net(batch[0]), batch[1])


class Ours(LightModel):
    """The model whose numbers are compared."""

    def __init__(self, net: nn.Module | None = None, *, lr: float = 0.1) -> None:
        super().__init__(net or build_net())
        self.lr = lr

    def shared_step(self, batch: Any) -> Any:
        return compute_loss(self, batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Plain(pl.LightningModule):
    """The same as Lightning's documentation would have it."""

    def __init__(self, net: nn.Module | None = None, *, lr: float = 0.1) -> None:
        super().__init__()
        self.net, self.lr = net or build_net(), lr

    def forward(self, x: Tensor) -> Any:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = compute_loss(self, batch)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        name = f"val_loss_{dataloader_idx}" if dataloader_idx else "val_loss"
        self.log(name, compute_loss(self, batch), batch_size=len(batch[0]), add_dataloader_idx=False)

    configure_optimizers = Ours.configure_optimizers


def check_same(
    train: Any = None, val: Any = None, *, ours: type[LightModel] = Ours, plain: type = Plain, **arguments: Any
) -> tuple[Any, pl.Trainer]:
    """Train both, and compare weights, logged means and steps; return ours and its trainer."""
    runs: list[tuple[Any, pl.Trainer]] = []
    for cls in (ours, plain):
        model, run = cls(), trainer(**{"max_epochs": 2, **deepcopy(arguments)})
        data = {"datamodule": train} if isinstance(train, pl.LightningDataModule) else {}
        given = () if data else (loader(50) if train is None else train, loader(30, seed=1) if val is None else val)
        run.fit(model, *given, **data)
        runs.append((model, run))
    (model, run), (other, other_run) = runs
    compare(model.state_dict(), other.state_dict())
    assert {n: float(v) for n, v in run.callback_metrics.items()} == pytest.approx(
        {n: float(v) for n, v in other_run.callback_metrics.items()}, rel=1e-5
    )
    assert run.global_step == other_run.global_step
    assert run.current_epoch == other_run.current_epoch
    return model, run


def compare(state: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert state.keys() == other.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other[name]), name


def train_by_hand(epochs: int = 2, *, accumulate: int = 1, clip: float | None = None) -> nn.Module:
    net = build_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(epochs):
        batches = list(loader(50))
        for index, batch in enumerate(batches, 1):
            (compute_loss(net, batch) / accumulate).backward()
            if index % accumulate == 0 or index == len(batches):
                if clip is not None:
                    torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
    return net


def validation_loss(model: Any, data: DataLoader) -> float:
    model.eval()
    with torch.no_grad():
        return float(compute_loss(model, data.dataset.tensors))  # type: ignore[attr-defined]


def test_accumulate_grad_batches() -> None:
    model, run = check_same(accumulate_grad_batches=2)
    compare(model.net.state_dict(), train_by_hand(accumulate=2).state_dict())
    assert run.global_step == 4


def test_gradient_clip_val() -> None:
    model, _ = check_same(gradient_clip_val=0.05)
    compare(model.net.state_dict(), train_by_hand(clip=0.05).state_dict())
    by_value, _ = check_same(gradient_clip_val=0.05, gradient_clip_algorithm="value")
    assert not torch.equal(by_value.net[0].weight, model.net[0].weight)


def test_weight_averaging() -> None:
    model, _ = check_same(callbacks=[EMAWeightAveraging(decay=0.5)])
    assert model.history.iloc[-1]["val_loss"] == pytest.approx(validation_loss(model, loader(30, seed=1)), rel=1e-5)
    assert not torch.equal(model.net[0].weight, train_by_hand()[0].weight)  # type: ignore[index]


def test_stochastic_weight_averaging() -> None:
    model, _ = check_same(max_epochs=4, callbacks=[StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=2)])
    assert len(model.history) == 5, "one more pass, for batch norm"
    assert model.history.iloc[-1]["val_loss"] == pytest.approx(validation_loss(model, loader(30, seed=1)), rel=1e-5)


class WithPlateau:
    lr = 0.1

    def configure_optimizers(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}


def test_reduce_lr_on_plateau(tmp_path: Path) -> None:
    ours, plain = (type("Plateau", (WithPlateau, cls), {}) for cls in (Ours, Plain))
    model, run = check_same(ours=ours, plain=plain, max_epochs=4)
    half = trainer(max_epochs=2)
    half.fit(ours(), loader(50), loader(30, seed=1))
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed, rest = ours(), trainer(max_epochs=4)
    rest.fit(resumed, loader(50), loader(30, seed=1), ckpt_path=tmp_path / "half.ckpt")
    compare(resumed.state_dict(), model.state_dict())
    assert rest.optimizers[0].param_groups[0]["lr"] == run.optimizers[0].param_groups[0]["lr"] < 0.01
    assert resumed.history.equals(model.history)


@pytest.mark.slow
def test_torch_compile(tmp_path: Path) -> None:
    model = Ours()
    model.net.compile(backend="aot_eager")
    run = trainer(max_epochs=2)
    run.fit(model, loader(50), loader(30, seed=1))
    expected = train_by_hand()
    for parameter, other in zip(model.net.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(parameter, other, atol=1e-5)
    run.save_checkpoint(tmp_path / "a.ckpt")
    compare(Ours.load(tmp_path / "a.ckpt", net=build_net()).state_dict(), model.state_dict())


def test_overfit_batches() -> None:
    same = loader(50)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You requested to overfit")
        model, run = check_same(same, same, overfit_batches=1, max_epochs=3)
    assert run.global_step == 3
    assert model.history["loss"].is_monotonic_decreasing


def test_fast_dev_run() -> None:
    model, run = check_same(fast_dev_run=True)
    assert run.global_step == 1
    assert list(model.history) == ["epoch", "loss", "val_loss"]


def test_val_check_interval() -> None:
    counts: list[int] = []

    class Counting(Ours):
        def on_validation_end(self) -> None:
            counts.append(self.trainer.global_step)

    model, _ = check_same(ours=Counting, val_check_interval=1, num_sanity_val_steps=0)
    assert counts == [1, 2, 3, 4, 5, 6]
    last = validation_loss(model, loader(30, seed=1))
    assert model.history["val_loss"].iloc[-1] == pytest.approx(last, rel=1e-5), "the last one of an epoch is its row's"


def test_several_loaders() -> None:
    loaders = [loader(30, seed=1), loader(40, seed=2)]
    model, _ = check_same(val=loaders)
    row = model.history.iloc[-1]
    assert [row["val_loss"], row["val_loss_1"]] == pytest.approx([validation_loss(model, one) for one in loaders])
    tested = trainer().test(model, loaders, verbose=False)
    assert [tested[0]["test_loss"], tested[1]["test_loss_1"]] == pytest.approx([row["val_loss"], row["val_loss_1"]])


def test_several_training_loaders() -> None:
    class Pairs(Ours):
        def shared_step(self, batch: Any) -> Tensor:
            return sum((compute_loss(self, one) for one in batch.values()), torch.zeros(()))

    class PlainPairs(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = sum((compute_loss(self, one) for one in batch.values()), torch.zeros(()))
            self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["a"][0]))
            return loss

    check_same({"a": loader(40), "b": loader(40, seed=3)}, [], ours=Pairs, plain=PlainPairs, limit_val_batches=0)


class Stream(IterableDataset):
    """Samples of no known number."""

    def __iter__(self) -> Iterator[Any]:
        yield from loader(50).dataset


def test_iterable_dataset() -> None:
    model, run = check_same(DataLoader(Stream(), batch_size=20))
    compare(model.net.state_dict(), train_by_hand().state_dict())
    assert run.global_step == 6


def test_manual_optimization() -> None:
    """With LightModel's logging, and two optimizers that take turns."""

    class Turns(Ours):
        automatic_optimization = False  # type: ignore[assignment]

        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer = self.optimizers()[batch_idx % 2]  # type: ignore[index]
            outputs = super().training_step(batch, batch_idx)
            optimizer.zero_grad()
            self.manual_backward(outputs["loss"])
            optimizer.step()

        def configure_optimizers(self) -> Any:
            first, last = self.net[0], self.net[3]  # type: ignore[index]
            return [torch.optim.SGD(first.parameters(), lr=0.5), torch.optim.SGD(last.parameters(), lr=0.1)]

    model = Turns()
    run = trainer(max_epochs=2)
    run.fit(model, loader(50), loader(30, seed=1))
    net: Any = build_net()
    optimizers = [torch.optim.SGD(net[0].parameters(), lr=0.5), torch.optim.SGD(net[3].parameters(), lr=0.1)]
    for _ in range(2):
        total = 0.0
        for index, batch in enumerate(loader(50)):
            loss = compute_loss(net, batch)
            total += loss.item() * len(batch[0])
            optimizers[index % 2].zero_grad()
            loss.backward()
            optimizers[index % 2].step()
    compare(model.net.state_dict(), net.state_dict())  # type: ignore[union-attr]
    assert model.history["loss"].iloc[-1] == pytest.approx(total / 50)
    assert model.history["val_loss"].iloc[-1] == pytest.approx(validation_loss(net, loader(30, seed=1)))


@pytest.mark.parametrize("kind", ["a list", "dicts", "optimizer and schedule"])
def test_what_configure_optimizers_may_return(kind: str) -> None:
    def configure_optimizers(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
        return {
            "a list": [optimizer],
            "dicts": {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}},
            "optimizer and schedule": ([optimizer], [scheduler]),
        }[kind]

    hook = {"configure_optimizers": configure_optimizers}
    check_same(ours=type("Chosen", (Ours,), hook), plain=type("PlainChosen", (Plain,), hook))


def test_predict() -> None:
    model = Ours()
    predicted = trainer().predict(model, loader(50))
    assert [len(batch) for batch in predicted] == [20, 20, 10]
    x = loader(50).dataset.tensors[0]  # type: ignore[attr-defined]
    assert torch.allclose(torch.cat(predicted), model.eval()(x), atol=1e-6)


def test_precision_bf16() -> None:
    model, _ = check_same(precision="bf16-mixed")
    assert model.net[0].weight.dtype == torch.float32
    assert not torch.equal(model.net[0].weight, train_by_hand()[0].weight)  # type: ignore[index]


def test_max_steps() -> None:
    model, run = check_same(max_epochs=-1, max_steps=4)
    assert run.global_step == 4
    assert model.history["epoch"].tolist() == [0, 1]


def test_max_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count()
    monkeypatch.setattr("pytorch_lightning.callbacks.timer.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    model, run = check_same(max_epochs=100, max_time={"seconds": 20})
    assert 3 < run.global_step < 20
    assert len(model.history) == run.current_epoch


def test_limit_batches() -> None:
    model, run = check_same(limit_train_batches=2, limit_val_batches=1)
    assert run.global_step == 4
    x, y = (item[:20] for item in loader(30, seed=1).dataset.tensors)  # type: ignore[attr-defined]
    expected = float(compute_loss(model.eval(), (x, y)).detach())
    assert model.history["val_loss"].iloc[-1] == pytest.approx(expected, rel=1e-5)


class Reloaded(pl.LightningDataModule):
    """Other samples in each epoch."""

    def train_dataloader(self) -> DataLoader:
        return loader(40, seed=self.trainer.current_epoch)  # type: ignore[union-attr]

    def val_dataloader(self) -> DataLoader:
        return loader(30, seed=10 + self.trainer.current_epoch)  # type: ignore[union-attr]


def test_reload_dataloaders_every_n_epochs() -> None:
    model, _ = check_same(Reloaded(), reload_dataloaders_every_n_epochs=1)
    last = validation_loss(model, loader(30, seed=11))
    assert model.history["val_loss"].iloc[-1] == pytest.approx(last, rel=1e-5)


def test_barebones() -> None:
    model = Ours()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*`Trainer\(barebones=True\)` ")
        run = pl.Trainer(max_epochs=2, barebones=True, accelerator="cpu")
    run.fit(model, loader(50), loader(30, seed=1))
    compare(model.net.state_dict(), train_by_hand().state_dict())  # type: ignore[union-attr]
    assert model.history["epoch"].tolist() == [0, 1]
    assert list(model.history) == ["epoch"], "nothing is logged"


def test_check_val_every_n_epoch() -> None:
    model, _ = check_same(max_epochs=4, check_val_every_n_epoch=2)
    assert model.history["val_loss"].isna().tolist() == [True, False, True, False]


def test_num_sanity_val_steps() -> None:
    with_check, _ = check_same(num_sanity_val_steps=2)
    without, _ = check_same(num_sanity_val_steps=0)
    assert with_check.history.equals(without.history)
    compare(with_check.state_dict(), without.state_dict())


def test_inference_mode() -> None:
    class Gradients(Ours):
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            with torch.enable_grad():
                loss = compute_loss(self, batch)
                grads.append(torch.autograd.grad(loss, self.net[0].weight)[0])  # type: ignore[index,union-attr]
            return super().validation_step(batch, batch_idx, dataloader_idx)

    grads: list[Tensor] = []
    model, _ = check_same(ours=Gradients, inference_mode=False)
    with_mode, _ = check_same()
    assert grads[0].abs().sum() > 0
    assert model.history.equals(with_mode.history)


def test_learning_rate_finder(tmp_path: Path) -> None:
    found = []
    for cls in (Ours, Plain):
        model, run = cls(), trainer(max_epochs=2, default_root_dir=tmp_path)
        result = Tuner(run).lr_find(model, loader(50), num_training=10, update_attr=False)
        assert result is not None
        found.append(result.results)
        run.fit(model, loader(50), loader(30, seed=1))
        if isinstance(model, LightModel):
            assert model.history["epoch"].tolist() == [0, 1]
            compare(model.net.state_dict(), train_by_hand().state_dict())  # type: ignore[union-attr]
    assert found[0]["lr"] == found[1]["lr"]
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-5)


def test_each_row_of_the_table_has_its_test() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lightning_features.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| feature", "| ---"))]
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1])}
    tests = {name for name in globals() if name.startswith("test_")} - {"test_each_row_of_the_table_has_its_test"}
    assert named == tests
    assert all(re.search(r"`test_\w+` \|$", row) for row in rows)
