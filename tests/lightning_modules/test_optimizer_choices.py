"""Optimizers and schedules of supervised models: by name, by class path with any argument, or built in Python."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_light_model import loader, trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAccuracy

from lightfit.checkpoint import read_checkpoint
from lightfit.errors import UntrustedNameError
from lightfit.lightning_modules import Classifier, LightModel, MultiLabelClassifier, Regressor, SeriesForecaster
from lightfit.lightning_modules.nets import NLinear
from lightfit.lightning_modules.optimizers import make_schedule, make_warmup_scale

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")

ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"betas": [0.5, 0.6], "eps": 1e-4}}


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def train(epochs: int = 2, **arguments: Any) -> tuple[Classifier, Any]:
    model = Classifier(net(), **{"lr": 0.1, **arguments})
    run = trainer(max_epochs=epochs)
    run.fit(model, loader(50), loader(30, seed=1))
    return model, run


def by_hand(optimizer: torch.optim.Optimizer, held: nn.Module, epochs: int, after: Callable[..., None]) -> Any:
    """Train in a plain loop; return the weights."""
    for _ in range(epochs):
        for x, y in loader(50):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(held(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            losses = [
                nn.functional.binary_cross_entropy_with_logits(held(x), y) * len(y) for x, y in loader(30, seed=1)
            ]
        after(float(sum(losses)) / 30)
    return held.weight


@pytest.mark.parametrize(
    "optimizer",
    [
        ADAMW,
        partial(torch.optim.AdamW, betas=(0.5, 0.6), eps=1e-4),
        lambda parameters, lr: torch.optim.AdamW(parameters, lr, betas=(0.5, 0.6), eps=1e-4),
    ],
    ids=["dict", "partial", "function"],
)
def test_optimizer_with_any_argument(optimizer: Any) -> None:
    model, _ = train(optimizer=optimizer)
    held = net()
    expected = by_hand(
        torch.optim.AdamW(held.parameters(), lr=0.1, betas=(0.5, 0.6), eps=1e-4), held, 2, lambda loss: None
    )
    assert torch.allclose(model.net.weight, expected, atol=1e-6)


def test_optimizer_by_its_path_is_that_of_its_name() -> None:
    weights = [
        train(optimizer=name, momentum=0.5)[0].net.weight for name in ("SGD", "torch.optim.SGD", torch.optim.SGD)
    ]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_weight_decay_of_the_model_or_of_the_optimizer() -> None:
    decayed = {**ADAMW, "init_args": {"weight_decay": 0.3}}
    (_, one), (_, other) = train(optimizer=decayed), train(optimizer="AdamW", weight_decay=0.3)
    for run in (one, other):
        assert run.optimizers[0].param_groups[0]["weight_decay"] == 0.3
    with pytest.raises(ValueError, match="expected one `weight_decay`, received 0.1, and 0.3 as `optimizer"):
        train(optimizer=decayed, weight_decay=0.1)
    with pytest.raises(ValueError, match="the function that builds the optimizer takes no momentum, received 0.9"):
        train(optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr), momentum=0.9)


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_plateau_of_torch_lowers_the_rate(monitor: str) -> None:
    arguments: dict[str, Any] = {"patience": 0, "threshold": 0.3, "factor": 0.1}
    path = "torch.optim.lr_scheduler.ReduceLROnPlateau"
    if monitor != "val_loss":
        path = "pytorch_lightning.cli.ReduceLROnPlateau"
        arguments |= {"monitor": monitor, "mode": "max"}
    model, run = train(4, optimizer="SGD", schedule={"class_path": path, "init_args": arguments})
    held = net()
    optimizer = torch.optim.SGD(held.parameters(), lr=0.1)
    arguments.pop("monitor", None)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
    watched = iter(model.history[monitor])
    expected = by_hand(optimizer, held, 4, lambda loss: scheduler.step(next(watched)))
    assert torch.allclose(model.net.weight, expected, atol=1e-6)
    assert run.optimizers[0].param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] < 0.1
    assert run.lr_scheduler_configs[0].monitor == monitor


def test_one_cycle_of_torch_makes_a_step_for_each_step() -> None:
    arguments = {"max_lr": 0.4, "total_steps": 7}
    path = "torch.optim.lr_scheduler.OneCycleLR"
    _, run = train(2, schedule={"class_path": path, "init_args": arguments})
    optimizer = torch.optim.Adam(net().parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.4, total_steps=7)
    for _ in range(6):
        optimizer.step()
        scheduler.step()
    assert run.optimizers[0].param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_plateau_is_exact_after_resume(tmp_path: Path) -> None:
    schedule = {
        "class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "init_args": {"patience": 1, "threshold": 0.5, "factor": 0.5},
    }

    def run(epochs: int, ckpt_path: Path | None = None) -> tuple[Any, float]:
        model = Classifier(net(), lr=0.1, optimizer=ADAMW, schedule=schedule)  # type: ignore[arg-type]
        train = trainer(max_epochs=epochs)
        train.fit(model, loader(50), loader(30, seed=1), ckpt_path=ckpt_path)
        train.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return model, train.optimizers[0].param_groups[0]["lr"]

    whole, rate = run(6)
    assert rate == 0.1 * 0.5**2
    run(3)
    resumed, other = run(6, tmp_path / "3.ckpt")
    assert other == rate
    assert torch.equal(resumed.net.weight, whole.net.weight)
    assert resumed.history.equals(whole.history)
    assert read_checkpoint(tmp_path / "3.ckpt")["hyper_parameters"]["optimizer"] == ADAMW
    assert Classifier.load(tmp_path / "3.ckpt", net=net()).hparams["schedule"] == schedule


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="`optimizer` as a class such as torch.optim.AdamW, received 'torch.nn"):
        Classifier(net(), optimizer="torch.nn.Linear")
    with pytest.raises(ValueError, match=r"`optimizer` with `class_path` and `init_args`, and the rate as `lr`"):
        Classifier(net(), optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 1}})  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match="expected `schedule` as constant, cosine, linear, one_cycle, halving or a class"
    ):
        train(schedule="quadratic")
    with pytest.raises(ValueError, match="expected warmup in .*, before the schedule constant, cosine or linear"):
        train(schedule=torch.optim.lr_scheduler.StepLR, warmup=0.1)


@pytest.mark.parametrize("argument", ["optimizer", "schedule"])
@pytest.mark.parametrize("as_dict", [True, False])
def test_a_checkpoint_chooses_no_code_by_them(argument: str, as_dict: bool, tmp_path: Path) -> None:
    Path("evil.py").write_text("raise SystemExit", encoding="utf-8")
    value = {"class_path": "evil.Optimizer", "init_args": {}} if as_dict else "evil.Optimizer"
    hparams = {"_class_path": "lightfit.Classifier", argument: value}
    checkpoint = {"state_dict": net().state_dict(prefix="net."), "hyper_parameters": hparams}
    linear = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 1}}
    with pytest.raises(UntrustedNameError, match="evil"):
        LightModel.from_checkpoint({**checkpoint, "hyper_parameters": {**hparams, "net": linear}})
    if argument == "optimizer":
        with pytest.raises(UntrustedNameError, match="evil"):
            Classifier.from_checkpoint(checkpoint, net=net())


@pytest.mark.parametrize("kind", ["Classifier", "MultiLabelClassifier", "Regressor", "SeriesForecaster"])
def test_metrics_in_training_too(kind: str) -> None:
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    y, lr = (x.sum(1, keepdim=True) > 0).float(), 0.0
    names = ["r2"] if kind == "Regressor" else ["f1_micro"] if kind == "MultiLabelClassifier" else ["mine"]
    metrics: Any = {"mine": BinaryAccuracy()} if kind == "Classifier" else None
    model: Any
    if kind == "SeriesForecaster":
        from torchmetrics import MeanSquaredError

        x, y = torch.randn(40, 4, 1), torch.randn(40, 2, 1)
        held: nn.Module = NLinear(lookback=4, horizon=2, num_targets=1)
        model = SeriesForecaster(held, lr=lr, metrics={"mine": MeanSquaredError()}, train_metrics=True)
    else:
        extra = {} if kind == "Classifier" else {"num_outputs": 1}
        cls = {"Classifier": Classifier, "MultiLabelClassifier": MultiLabelClassifier, "Regressor": Regressor}[kind]
        model = cls(net(), lr=lr, metrics=metrics, train_metrics=True, **extra)  # type: ignore[arg-type]
    data = DataLoader(TensorDataset(x, y), batch_size=16)
    run = trainer(max_epochs=1)
    run.fit(model, data, data)
    row = model.history.iloc[0]
    for name in names:
        assert row[name] == pytest.approx(row[f"val_{name}"], rel=1e-6)
        assert np.isfinite(row[name])


def test_soft_labels_in_training_count_as_their_largest() -> None:
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    hard = torch.tensor([0, 1, 2, 1] * 10)
    soft = nn.functional.one_hot(hard, 3) * 0.7 + 0.1
    from torchmetrics.classification import MulticlassAccuracy

    torch.manual_seed(0)
    model = Classifier(
        nn.Linear(2, 3), lr=0.0, metrics={"acc": MulticlassAccuracy(3, average="micro")}, train_metrics=True
    )
    trainer(max_epochs=1).fit(model, DataLoader(TensorDataset(x, soft), batch_size=16))
    assert model.history.loc[0, "acc"] == pytest.approx(float((model.net(x).argmax(1) == hard).float().mean()))


@pytest.mark.slow
def test_by_the_command_line(fit: Callable[..., tuple[int, str, str]], reviews: Path) -> None:
    line = ("--task", "text", "--data.source", reviews, "--data.max_ngrams", 1000, "--data.min_steps", 1, "--quiet")
    line += ("--model.optimizer", "torch.optim.Adagrad", "--model.optimizer.eps", 1e-6)
    line += ("--model.schedule", "pytorch_lightning.cli.ReduceLROnPlateau", "--model.schedule.monitor", "val_loss")
    line += ("--model.schedule.patience", 0, "--trainer.max_epochs")
    code, _, err = fit(*line, 1)
    assert code == 0, err
    last = Path("runs/text/version_0/checkpoints/last.ckpt")
    checkpoint = read_checkpoint(last)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["eps"] == 1e-6
    assert checkpoint["lr_schedulers"][0]["patience"] == 0
    assert checkpoint["hyper_parameters"]["optimizer"]["class_path"] == "torch.optim.Adagrad"
    assert len(LightModel.load(last).history) == 1
    code, _, err = fit(*line, 2, "--resume", "runs/text/version_0")
    assert code == 0, err
    assert len(LightModel.load(last).history) == 2
    code, _, err = fit(*line, 1, "--model.optimizer.lr", 0.1)
    assert code == 2
    assert "lr" in err


def test_linear_falls_straight_to_0_after_the_warmup() -> None:
    scale = make_warmup_scale("linear", 10, 0.2)
    assert [scale(step) for step in range(11)] == pytest.approx([0.5, 1, *(1 - i / 8 for i in range(9))])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rate = make_schedule("linear", optimizer, 4)
    rates = []
    for _ in range(4):
        rates.append(rate.get_last_lr()[0])
        optimizer.step()
        rate.step()
    assert rates == pytest.approx([1, 0.75, 0.5, 0.25])
