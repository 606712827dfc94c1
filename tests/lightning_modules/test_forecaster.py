"""SeriesForecaster: losses and scores against numbers by hand, quantiles, units, schedules."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import make_series
from torch import Tensor, nn
from torchmetrics import MeanSquaredError

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import SeriesColumns, SeriesDataModule
from lightfit.lightning_modules import SeriesForecaster
from lightfit.lightning_modules.intervals import (
    compute_conformal_scale,
    compute_conformity_scores,
    compute_coverage_and_width,
    scale_quantiles,
)
from lightfit.lightning_modules.losses import forecast_loss, quantile_loss, window_mean
from lightfit.lightning_modules.metrics import absolute_percentage_error
from lightfit.lightning_modules.nets import GrowthLSTM, NLinear

NAN = float("nan")
FORECAST = torch.tensor([[[1.0], [2.0]], [[3.0], [0.0]]])
TRUTH = torch.tensor([[[2.0], [4.0]], [[0.0], [0.0]]])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", (1 + 4 + 9 + 0) / 4),
        ("mae", (1 + 2 + 3 + 0) / 4),
        ("huber", (0.5 + 1.5 + 2.5 + 0) / 4),
        ("mspe", (1 / 4 + 4 / 16 + 9 / 1e-7 + 0) / 4),
    ],
)
def test_losses(loss: str, expected: float) -> None:
    assert float(forecast_loss(FORECAST, TRUTH, loss)) == pytest.approx(expected)


def test_quantile_loss() -> None:
    forecast = torch.tensor([[[[0.0, 1.0, 4.0]]]])  # the truth, 2, lies 2 and 1 above, and 2 below
    y = torch.tensor([[[2.0]]])
    expected = (0.1 * 2 + 0.5 * 1 + (1 - 0.9) * 2) / 3
    assert float(quantile_loss(forecast, y, (0.1, 0.5, 0.9))) == pytest.approx(expected)


def test_percentages_are_safe_at_zero() -> None:
    error = absolute_percentage_error(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([2.0, 0.0, 0.0]))
    assert error.tolist() == pytest.approx([0.5, 1 / 1.17e-6, 0.0])


def test_each_window_counts_alike_whatever_is_missing() -> None:
    y = torch.tensor([[[1.0], [NAN]], [[1.0], [1.0]], [[NAN], [NAN]]])
    values = torch.tensor([[[4.0], [9.0]], [[1.0], [3.0]], [[9.0], [9.0]]])
    assert float(window_mean(values, y)) == (4 + 2) / 2
    loss = forecast_loss(values.requires_grad_(), y, "mse")
    loss.backward()
    assert values.grad is not None
    assert values.grad.isfinite().all()
    assert values.grad[0, 1] == values.grad[2, 0] == 0


def test_coverage_and_width() -> None:
    forecast = torch.tensor([[[[0.0, 1.0, 2.0]], [[0.0, 1.0, 4.0]]]])
    coverage, width = compute_coverage_and_width(forecast, torch.tensor([[[2.0], [5.0]]]))
    assert (float(coverage), float(width)) == (0.5, 3.0)


def test_conformal_intervals_cover_what_they_should() -> None:
    forecast = torch.tensor([-2.0, -1.0, 0.0, 1.0, 4.0]).expand(1, 9, 1, 5)
    y = torch.tensor([0.0, 0.5, -0.5, 1.0, 2.0, -2.0, 4.0, 8.0, NAN])[None, :, None]
    scores = compute_conformity_scores(forecast, y)
    assert scores[:, 0].tolist() == [0, 0.125, 0.25, 0.25, 0.5, 1, 1, 2]
    assert scores[:, 1].tolist() == [0, 0.5, 0.5, 1, 2, 2, 4, 8]
    factors = compute_conformal_scale(scores, (0.1, 0.25, 0.5, 0.75, 0.9))
    assert factors.tolist() == [2, 2]  # the 8th of 8 for 80 %, the 5th for 50 %
    wider = scale_quantiles(forecast, factors)
    assert wider[0, 0, 0].tolist() == [-4, -2, 0, 2, 8]
    coverage, _ = compute_coverage_and_width(wider, y)
    assert float(coverage) == 1


class Last(nn.Module):
    """The last value again, and one below and above it where there are quantiles to give."""

    def __init__(self, horizon: int, num_quantiles: int = 1) -> None:
        super().__init__()
        self.horizon, self.num_quantiles = horizon, num_quantiles
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.weight * x[:, -1:].expand(-1, self.horizon, -1)
        return y if self.num_quantiles == 1 else torch.stack([y + 1, y, y - 1], -1)  # the wrong way round


def scores_of(model: SeriesForecaster, x: Tensor, y: Tensor) -> dict[str, Any]:
    with torch.no_grad():
        return dict(model.eval().shared_step((x, y)))


def test_scores_in_scaled_and_in_original_units() -> None:
    x, y = torch.zeros(1, 4, 2), torch.tensor([[[1.0, 1.0], [2.0, 3.0]]])
    units = {"mean": [10.0, 0.0], "std": [2.0, 1.0], "naive_error": [0.5, 2.0]}
    scores = scores_of(SeriesForecaster(Last(2), units=units), x, y)
    assert {name: round(float(value), 5) for name, value in scores.items() if value.ndim == 0} == {
        "loss": (1 + 1 + 4 + 9) / 4,
        "mae": (1 + 1 + 2 + 3) / 4,
        "mse": (1 + 1 + 4 + 9) / 4,
        "mape": round((2 / 12 + 1 / 1 + 4 / 14 + 3 / 3) / 4, 5),
        "mase": (1 / 0.5 + 1 / 2 + 2 / 0.5 + 3 / 2) / 4,
        "mae_original": (2 + 1 + 4 + 3) / 4,
        "mse_original": (4 + 1 + 16 + 9) / 4,
    }
    unscaled = {"mean": [0.0, 0.0], "std": [1.0, 1.0], "naive_error": [0.5, 2.0]}
    assert "mae_original" not in scores_of(SeriesForecaster(Last(2), units=unscaled), x, y)
    assert "mase" not in scores_of(SeriesForecaster(Last(2)), x, y)


def test_quantiles_rise_and_their_middle_one_is_the_forecast() -> None:
    x, y = torch.zeros(1, 4, 1), torch.tensor([[[0.5], [3.0]]])
    scores = scores_of(SeriesForecaster(Last(2, 3), loss="quantile"), x, y)
    assert scores["forecast"][0, 0, 0].tolist() == [-1, 0, 1]
    assert float(scores["mae"]) == 1.75
    assert (float(scores["coverage"]), float(scores["width"])) == (0.5, 2.0)


@pytest.mark.parametrize("quantiles", [(0.1, 0.9), (0.9, 0.5, 0.1), (0.1, 0.4, 0.9), (0.0, 0.5, 1.0), ()])
def test_quantiles_that_are_none(quantiles: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="quantiles that rise within .* around 0.5"):
        SeriesForecaster(Last(2), quantiles=quantiles)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (SeriesForecaster(Last(2), loss="quantile"), r"Last returned forecasts \(1, 2, 1\), expected \(1, 2, 1, 3\)"),
        (SeriesForecaster(Last(1)), r"Last returned forecasts \(1, 1, 1\), expected \(1, 2, 1\)"),
    ],
)
def test_forecasts_of_another_shape(model: SeriesForecaster, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        model.shared_step((torch.zeros(1, 4, 1), torch.zeros(1, 2, 1)))


def test_calibration_comes_from_validation_and_goes_into_the_checkpoint(series: Path) -> None:
    torch.manual_seed(0)
    data = SeriesDataModule(str(series), target="wind", lookback=24, horizon=4, split=(0.4, 0.3, 0.3), batch_size=16)
    net = NLinear(lookback=24, horizon=4, num_targets=1, num_quantiles=3)
    model = SeriesForecaster(net, loss="quantile", lr=0.01, calibrate=True)
    run = trainer(8)
    run.fit(model, data)
    uncovered = model.history["val_coverage"].iloc[-1]
    (scores,) = run.validate(model, data, verbose=False)
    assert uncovered < 0.7  # a net that learned noise by heart is too sure of itself
    assert scores["val_coverage"] == pytest.approx(0.8, abs=0.01)
    run.save_checkpoint("a.ckpt")
    x, _ = next(iter(data.test_dataloader()))
    assert torch.equal(SeriesForecaster.load("a.ckpt", net=net)(x), model.eval()(x))
    assert float(model.conformal_scale) > 1
    old = read_checkpoint("a.ckpt")
    old["state_dict"]["stretch"] = old["state_dict"].pop("conformal_scale")  # as checkpoints of format 1 have it
    torch.save(old, "old.ckpt")
    assert torch.equal(SeriesForecaster.load("old.ckpt", net=net).conformal_scale, model.conformal_scale)


def trainer(epochs: int = 2) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )


def test_it_trains_and_loads(series: Path) -> None:
    data = SeriesDataModule(str(series), lookback=24, horizon=4, split=(0.6, 0.2, 0.2), batch_size=16)
    data.setup()
    net = NLinear(lookback=24, horizon=4, num_targets=data.codec.num_targets)
    model = SeriesForecaster(net, lr=0.02, units=data.codec.units, metrics={"squares": MeanSquaredError()})
    run = trainer(10)
    run.fit(model, data)
    history = model.history
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["val_squares"].iloc[-1] == pytest.approx(history["val_mse"].iloc[-1], rel=1e-4)
    run.save_checkpoint("a.ckpt")
    again = SeriesForecaster.load("a.ckpt", net=net)
    x, y = next(iter(data.test_dataloader()))
    assert torch.equal(again(x), model.eval()(x))
    assert float(scores_of(again, x, y)["mase"]) == pytest.approx(float(scores_of(model, x, y)["mase"]))


@pytest.mark.slow
def test_a_covariate_that_tells_the_future_is_used() -> None:
    table = make_series(400)
    table["next"] = table["wind"]  # known ahead, and what wind will be
    table.to_csv("a.csv", index=False)
    data = SeriesDataModule("a.csv", target="wind", columns=SeriesColumns(known=("next",)), lookback=8, horizon=2)
    data.setup()
    net = NLinear(lookback=8, horizon=2, num_targets=1, num_features=data.codec.num_features)
    torch.manual_seed(0)
    model = SeriesForecaster(net, lr=0.02)
    trainer(40).fit(model, data)
    assert model.history["val_mse"].iloc[-1] < 0.1  # of a variance of 1, and of noise without it


@pytest.mark.parametrize(("schedule", "rates"), [("constant", [0.08] * 3), ("halving", [0.08, 0.04, 0.02])])
def test_schedules_by_the_epoch(schedule: Any, rates: list[float], series: Path) -> None:
    class Rates(pl.Callback):
        seen: list[float] = []  # noqa: RUF012 (one run)

        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    watch = Rates()
    watch.seen = []
    data = SeriesDataModule(str(series), lookback=24, horizon=4)
    run = trainer(3)
    run.callbacks.append(watch)  # type: ignore[attr-defined]
    run.fit(SeriesForecaster(NLinear(lookback=24, horizon=4, num_targets=2), lr=0.08, schedule=schedule), data)
    assert watch.seen == pytest.approx(rates)


def test_counts_are_never_negative() -> None:
    net = GrowthLSTM(num_targets=3)
    assert sum(parameter.numel() for parameter in net.parameters()) == 396
    nn.init.constant_(net.linear.bias, -5.0)  # shrinks to less than nothing
    assert net(torch.rand(2, 8, 3)).tolist() == [[[0.0] * 3]] * 2
    nn.init.constant_(net.linear.weight, 0.0)
    nn.init.constant_(net.linear.bias, 0.5)
    x = torch.rand(2, 8, 3)
    torch.testing.assert_close(net(x), 1.5 * x[:, -1:])
    with pytest.raises(ValueError, match="one step ahead, received horizon 2"):
        GrowthLSTM(num_targets=3, horizon=2)
