"""LightModel's contract: two methods, weighted means, history, checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Metric
from torchmetrics.classification import BinaryAUROC, BinaryF1Score

from lightfit.callbacks import BestAndLast, EpochLines, FinalMetric, HistoryFiles
from lightfit.checkpoint import read_checkpoint
from lightfit.lightning_modules import ImageClassifier, LightModel, TextClassifier
from lightfit.lightning_modules.batch_size import count_samples
from lightfit.lightning_modules.epoch_log import SampleMean
from lightfit.lightning_modules.nets import TextCNN


class Model(LightModel):
    """The cookbook's class, as torchkeras 2.x users have it."""

    def shared_step(self, batch: Any) -> dict:
        x, y = batch
        prediction = self(x)
        loss = nn.BCELoss()(prediction, y)
        preds = torch.where(prediction > 0.5, torch.ones_like(prediction), torch.zeros_like(prediction))
        acc = (preds == y).float().mean()
        return {"loss": loss, "accuracy": acc}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adagrad(self.parameters(), lr=0.02)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())


def loader(num_samples: int = 50, batch_size: int = 20, seed: int = 0) -> DataLoader:
    x = torch.randn(num_samples, 2, generator=torch.Generator().manual_seed(seed))
    return DataLoader(TensorDataset(x, (x.sum(1, keepdim=True) > 0).float()), batch_size=batch_size)


def trainer(**kwargs: Any) -> pl.Trainer:
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return pl.Trainer(**{"accelerator": "cpu", "enable_checkpointing": False, **quiet, **kwargs})


def test_class_of_the_cookbook_runs_with_plain_loaders() -> None:
    pl.seed_everything(1234, verbose=False)
    model = Model(net())
    ckpt_cb = pl.callbacks.ModelCheckpoint(monitor="val_loss")
    run = pl.Trainer(max_epochs=3, callbacks=[ckpt_cb], accelerator="cpu", logger=False, enable_progress_bar=False)
    dl_train, dl_valid = loader(), loader(30)
    run.fit(model, dl_train, dl_valid)

    assert list(model.history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert model.history["epoch"].tolist() == [0, 1, 2]
    assert model.history["val_loss"].is_monotonic_decreasing
    again = Model.load(ckpt_cb.best_model_path, net=net())
    x = torch.randn(5, 2)
    assert torch.equal(again(x), model.eval()(x))


def test_means_count_samples_not_batches() -> None:
    class Constant(Model):
        def shared_step(self, batch: Any) -> dict:
            # 3 batches of 20, 20 and 10 samples: their mean is 1.8, the samples' 1.6.
            return {**super().shared_step(batch), "size": {20: 1.25, 10: 3.0}[len(batch[0])]}

    model = Constant(net())
    run = trainer(max_epochs=1)
    run.fit(model, loader(50), loader(50))
    assert model.history.loc[0, "size"] == pytest.approx((20 * 1.25 + 20 * 1.25 + 10 * 3.0) / 50)
    assert model.history.loc[0, "val_size"] == pytest.approx(1.6)
    assert float(run.test(model, loader(50), verbose=False)[0]["test_size"]) == pytest.approx(1.6)


NAMES = ("items", "type", "half", "training", "update", "keys", "acc.top1", "acc/top1", "50%", "a%2Eb")


class Named(Model):
    """Logs scalars whose names are attributes of modules, or no Python names."""

    def shared_step(self, batch: Any) -> dict:
        return {**super().shared_step(batch), **{name: batch[0].mean() + n for n, name in enumerate(NAMES)}}


def test_any_name_is_logged(tmp_path: Path) -> None:
    model = Named(net())
    run = trainer(max_epochs=2)
    run.fit(model, loader(50), loader(30))
    x, y = loader(50).dataset.tensors, loader(30).dataset.tensors  # type: ignore[attr-defined]
    for number, name in enumerate(NAMES):
        assert model.history[name].tolist() == pytest.approx([x[0].mean().item() + number] * 2)
        assert model.history[f"val_{name}"].tolist() == pytest.approx([y[0].mean().item() + number] * 2)
    run.save_checkpoint(tmp_path / "a.ckpt")
    assert set(read_checkpoint(tmp_path / "a.ckpt")["state_dict"]) == {f"net.{key}" for key in net().state_dict()}
    assert Named.load(tmp_path / "a.ckpt", net=net()).history.equals(model.history)


@pytest.mark.filterwarnings("ignore:The dirpath has changed", "ignore:You're resuming from a checkpoint that ended")
def test_means_of_any_name_resume_within_an_epoch(tmp_path: Path) -> None:
    def run(folder: Path, ckpt_path: Path | None = None) -> pd.DataFrame:
        pl.seed_everything(0, verbose=False)
        model = Named(net())
        saver = pl.callbacks.ModelCheckpoint(folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
        train = trainer(max_epochs=1, callbacks=[saver], enable_checkpointing=True)
        x, y = loader(20).dataset.tensors  # type: ignore[attr-defined]
        same_batches = DataLoader(TensorDataset(x.repeat(3, 1), y.repeat(3, 1)), batch_size=20)
        train.fit(model, same_batches, loader(), ckpt_path=ckpt_path)
        return model.history

    whole = run(tmp_path / "whole")
    within = tmp_path / "whole" / "step=2.ckpt"
    (means,) = read_checkpoint(within)["epoch_so_far"]["means"]
    assert set(means) == {"loss", "accuracy", *NAMES}
    assert run(tmp_path / "resumed", within).equals(whole)


def test_validation_loss_is_that_of_the_whole_set() -> None:
    model = Model(net())
    run = trainer()
    logged = run.validate(model, loader(50), verbose=False)[0]["val_loss"]
    (x, y) = loader(50, 50).dataset.tensors  # type: ignore[attr-defined]
    assert logged == pytest.approx(nn.BCELoss()(model(x), y).item(), rel=1e-6)


def test_loss_is_required() -> None:
    class Forgetful(Model):
        def shared_step(self, batch: Any) -> dict:
            return {"accuracy": torch.tensor(1.0), "mse": torch.tensor(1.0)}

    with pytest.raises(KeyError, match=r"Forgetful.shared_step.*'loss'.*received \['accuracy', 'mse'\]"):
        trainer(max_epochs=1).fit(Forgetful(net()), loader(), loader())


def test_shared_step_must_be_written() -> None:
    with pytest.raises(NotImplementedError, match="LightModel must define shared_step"):
        LightModel(net()).training_step(next(iter(loader())), 0)


def test_a_model_without_net_says_so() -> None:
    with pytest.raises(TypeError, match=r"Model has no net: build it as Model\(net\)"):
        Model()(torch.zeros(1, 2))


def test_second_loader_has_names_of_its_own() -> None:
    run = trainer()
    run.validate(Model(net()), [loader(50), loader(30)], verbose=False)
    assert set(run.callback_metrics) == {"val_loss", "val_accuracy", "val_loss_1", "val_accuracy_1"}


def test_epoch_without_validation_has_no_old_values() -> None:
    model = Model(net())
    trainer(max_epochs=2, check_val_every_n_epoch=2).fit(model, loader(), loader())
    assert model.history["val_loss"].isna().tolist() == [True, False]


def test_metrics_that_are_no_mean_come_from_torchmetrics() -> None:
    model = TextClassifier(TextCNN(10, max_len=10), metrics={"f1": BinaryF1Score()})
    x = torch.randint(0, 10, (50, 10), generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 4).long()
    run = trainer()
    run.validate(model, DataLoader(TensorDataset(x, y), batch_size=20), verbose=False)
    expected = BinaryF1Score()(model(x)[:, 0].sigmoid(), y)
    assert run.callback_metrics["val_f1"] == expected


class Scored(Model):
    """Has metrics that are no mean of batches."""

    def __init__(self, net: nn.Module, metrics: dict[str, Metric]) -> None:
        super(Model, self).__init__(net, metrics=metrics)

    def shared_step(self, batch: Any) -> dict:
        x, y = batch
        return {**super().shared_step(batch), "preds": self(x)[:, 0], "target": y[:, 0].long()}


def test_metrics_of_any_name() -> None:
    names = ("items", "type", "f1.pos", "f1/pos")
    run = trainer()
    run.validate(Scored(net(), {name: BinaryF1Score() for name in names}), loader(), verbose=False)
    assert set(run.callback_metrics) == {"val_loss", "val_accuracy", *(f"val_{name}" for name in names)}
    assert len({float(run.callback_metrics[f"val_{name}"]) for name in names}) == 1


@pytest.mark.parametrize("metric", [BinaryAUROC, BinaryF1Score])
def test_each_loader_has_metrics_of_its_own(metric: type[Metric], tmp_path: Path) -> None:
    loaders = [loader(num_samples, seed=seed) for seed, num_samples in enumerate((50, 30, 70))]

    def expected(model: LightModel, prefix: str) -> dict[str, float]:
        names = [f"{prefix}_f1", f"{prefix}_f1_1", f"{prefix}_f1_2"]
        held = [one.dataset.tensors for one in loaders]  # type: ignore[attr-defined]
        with torch.no_grad():
            scores = [float(metric()(model(x)[:, 0], y[:, 0].long())) for x, y in held]
        return dict(zip(names, scores, strict=True))

    class Recorder(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            rows.append(expected(pl_module, "val"))  # type: ignore[arg-type]

    rows: list[dict[str, float]] = []
    pl.seed_everything(0, verbose=False)
    model = Scored(net(), {"f1": metric()})
    run = trainer(max_epochs=3, callbacks=[Recorder()])
    run.fit(model, loader(), loaders)
    history = model.history[list(rows[0])]
    assert history.to_dict("records") == [pytest.approx(row) for row in rows]
    assert len(set(history.to_numpy().ravel().round(4))) > 3, "they differ, so that a mistake would be seen"
    run.test(model, loaders, verbose=False)
    assert {name: float(run.callback_metrics[name]) for name in expected(model, "test")} == pytest.approx(
        expected(model, "test")
    )

    run.save_checkpoint(tmp_path / "a.ckpt")
    assert set(read_checkpoint(tmp_path / "a.ckpt")["state_dict"]) == set(Scored(net(), {"f1": metric()}).state_dict())
    resumed = Scored(net(), {"f1": metric()})
    trainer(max_epochs=4, callbacks=[Recorder()]).fit(resumed, loader(), loaders, ckpt_path=tmp_path / "a.ckpt")
    assert resumed.history.iloc[3][list(rows[3])].to_dict() == pytest.approx(rows[3])


def test_metrics_need_predictions_and_labels() -> None:
    class Measured(Model):
        def __init__(self) -> None:
            super(Model, self).__init__(net(), metrics={"f1": BinaryF1Score()})

    with pytest.raises(KeyError, match=r"Measured has torchmetrics.*missing: \['preds', 'target'\]"):
        trainer().validate(Measured(), loader(), verbose=False)


def test_a_batch_of_one_logs_no_more_than_the_others() -> None:
    run = trainer()
    model = TextClassifier(TextCNN(10, max_len=10))
    x = torch.zeros(21, 10, dtype=torch.int64)
    run.validate(model, DataLoader(TensorDataset(x, x[:, 0]), batch_size=20), verbose=False)
    assert set(run.callback_metrics) == {"val_loss", "val_accuracy"}


@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_resumed_run_appends_to_the_history(stop: int, tmp_path: Path) -> None:
    def run(epochs: int, ckpt_path: Path | None = None) -> pd.DataFrame:
        folder = tmp_path / f"{epochs}-{ckpt_path is None}"
        pl.seed_everything(0, verbose=False)
        model = Model(net())
        checkpoint = pl.callbacks.ModelCheckpoint(folder, filename="end", save_on_train_epoch_end=True)
        train = trainer(max_epochs=epochs, callbacks=[checkpoint], enable_checkpointing=True)
        train.fit(model, loader(), loader(), ckpt_path=ckpt_path)
        return model.history

    whole = run(4)
    run(stop)
    assert run(4, tmp_path / f"{stop}-True" / "end.ckpt").equals(whole)


def test_checkpoint_is_plain_data(tmp_path: Path) -> None:
    class WithArguments(Model):
        def __init__(self, net: nn.Module, *, lr: float = 0.1, act: Any = torch.relu) -> None:
            super().__init__(net)

    model = WithArguments(net(), lr=0.5)
    run = trainer(max_epochs=1)
    run.fit(model, loader(), loader())
    run.save_checkpoint(tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"] == {"lr": 0.5}
    assert WithArguments.load(tmp_path / "a.ckpt", net=net()).hparams["lr"] == 0.5


def test_a_custom_net_must_be_given_again(tmp_path: Path) -> None:
    run = trainer(max_epochs=1)
    run.fit(Model(net()), loader(), loader())
    run.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"made in Python.*Model.load\(path, net=the_net\)"):
        Model.load(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="weights do not fit Linear"):
        Model.load(tmp_path / "a.ckpt", net=nn.Linear(2, 1))


@pytest.mark.parametrize(
    ("class_path", "problem"),
    [
        ("elsewhere.Model", "names classes of 'elsewhere'.* nothing was run"),
        ("torch.nn.Linear", "is of torch.nn.Linear, which cannot be built here"),
    ],
)
def test_checkpoint_of_another_project(class_path: str, problem: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": {"_class_path": class_path, "lr": 1.0}}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=problem):
        LightModel.load(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "truncated or damaged"),
        (b"text,label\n", "truncated or damaged|no checkpoint"),
        (None, "is no Lightning checkpoint: expected a dict with 'state_dict'"),
    ],
)
def test_files_that_are_no_checkpoint(content: bytes | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    if content is None:
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=problem):
        read_checkpoint(path)


def test_truncated_checkpoint(tmp_path: Path) -> None:
    run = trainer(max_epochs=1)
    run.fit(Model(net()), loader(), loader())
    run.save_checkpoint(tmp_path / "a.ckpt")
    whole = (tmp_path / "a.ckpt").read_bytes()
    (tmp_path / "b.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"b.ckpt.*truncated or damaged \({len(whole) // 2} bytes\)"):
        read_checkpoint(tmp_path / "b.ckpt")


def test_missing_checkpoint_names_its_neighbours(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "last.ckpt")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*lst.ckpt.*last.ckpt"):
        read_checkpoint(tmp_path / "lst.ckpt")


class Touch:
    """Pickles to code that makes a file."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


def test_pickled_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Touch()}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="pickled code, which is never run"):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not Path("ran").exists()


def test_sample_mean_and_count() -> None:
    mean = SampleMean()
    for _ in range(3):
        mean.add(torch.tensor(1.0), 1)
    mean.add(torch.tensor(5.0), 1)
    assert mean.compute() == 2.0
    mean.add(torch.tensor(8.0, requires_grad=True), 2)
    assert mean.compute() == 4.0  # what came since it was read, and with as many samples as it had
    for number in range(1000):  # more than are kept apart
        mean.add(torch.tensor(float(number)), 1)
    assert mean.compute() == (24 + 499500) / 1006
    mean.reset()
    mean.add(torch.tensor(7.0), 5)
    assert mean.compute() == 7.0
    mean.reset()
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert mean.compute().isnan()
    assert count_samples({"a": ["no", (torch.zeros(7, 2), torch.zeros(3))]}) == 7
    with pytest.raises(ValueError, match="expected a batch of tensors"):
        count_samples(["no", torch.tensor(1.0)])


def test_adaptive_net_sees_every_training_batch_once_and_not_on_resume(tmp_path: Path) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 1)
            self.seen: list[int] = []

        def adapt(self, batches: Any) -> None:
            self.seen += [len(x) for x, _ in batches]

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x).sigmoid()

    model, run = Model(Counting()), trainer(max_epochs=1)
    run.fit(model, loader(50), loader())
    assert model.net.seen == [20, 20, 10]  # type: ignore[union-attr]
    run.save_checkpoint(tmp_path / "a.ckpt")
    resumed = Model(Counting())
    trainer(max_epochs=2).fit(resumed, loader(50), loader(), ckpt_path=tmp_path / "a.ckpt")
    assert resumed.net.seen == []  # type: ignore[union-attr]


class CountReads(TorchDispatchMode):
    """Counts how often a number leaves a tensor, as by .item()."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.reads += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
def test_no_step_waits_for_a_number(tmp_path: Path) -> None:
    reads = []
    for steps in (20, 80):
        x, y = torch.randn(4 * steps, 3), torch.randint(0, 2, (4 * steps,))
        loader = DataLoader(TensorDataset(x, y), batch_size=4)
        model = ImageClassifier(nn.Linear(3, 2), lr=0.1, optimizer="SGD")
        watchers = [HistoryFiles(), FinalMetric(), EpochLines(), BestAndLast(monitor="loss")]
        trainer = pl.Trainer(max_epochs=1, accelerator="cpu", callbacks=watchers, default_root_dir=tmp_path)
        with CountReads() as count:
            trainer.fit(model, loader, loader)
        reads.append(count.reads)
    assert reads[0] == reads[1], "as many for an epoch of 20 steps as for one of 80"


def test_the_old_name_of_warmup_still_works(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="`warm_up` is called `warmup` now, and will be removed: give `warmup` 0.1"):
        model = TextClassifier(TextCNN(10, max_len=10), warm_up=0.1)
    assert model.warmup == 0.1
    assert model.hparams["warmup"] == 0.1
    assert "warm_up" not in model.hparams
    with pytest.raises(ValueError, match="expected `warmup` alone, received `warmup` 0.2 and `warm_up` 0.1"):
        TextClassifier(TextCNN(10, max_len=10), warmup=0.2, warm_up=0.1)
    run = trainer()
    run.validate(model, DataLoader(TensorDataset(torch.zeros(20, 10).long(), torch.zeros(20).long())), verbose=False)
    run.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = read_checkpoint(tmp_path / "a.ckpt")
    hparams = {"warm_up": 0.3, **{name: v for name, v in checkpoint["hyper_parameters"].items() if name != "warmup"}}
    torch.save({**checkpoint, "hyper_parameters": hparams}, tmp_path / "old.ckpt")
    assert TextClassifier.load(tmp_path / "old.ckpt", net=model.net).warmup == 0.3
    assert TextClassifier.load_from_checkpoint(tmp_path / "old.ckpt", net=model.net).warmup == 0.3


@pytest.mark.slow
def test_a_flag_of_the_old_name_still_works(fit: Callable[..., tuple[int, str, str]], reviews: Path) -> None:
    line = (
        "--task",
        "text",
        "--data.source",
        reviews,
        "--data.max_ngrams",
        1000,
        "--data.min_steps",
        1,
        "--trainer.max_epochs",
        3,
        "--quiet",
    )
    line += ("--model.schedule", "cosine", "--trainer.max_epochs")
    assert fit(*line, 2, "--model.warmup", 0.5)[0] == 0
    with pytest.warns(FutureWarning, match="`warm_up` is called `warmup` now"):
        assert fit(*line, 2, "--model.warm_up", 0.5)[0] == 0
    histories = [Path(f"runs/text/version_{version}/history.csv").read_bytes() for version in (0, 1)]
    assert histories[0] == histories[1]
    last = Path("runs/text/version_1/checkpoints/last.ckpt")
    checkpoint = read_checkpoint(last)
    hparams = checkpoint["hyper_parameters"]
    assert hparams.pop("warmup") == 0.5
    torch.save({**checkpoint, "hyper_parameters": {**hparams, "warm_up": 0.5}}, last)
    code, _, err = fit(*line, 3, "--model.warmup", 0.4, "--resume", "runs/text/version_1")
    assert (code, "--model.warmup 0.4, the checkpoint has 0.5" in err) == (2, True)
    assert fit(*line, 3, "--model.warmup", 0.5, "--resume", "runs/text/version_1")[0] == 0
