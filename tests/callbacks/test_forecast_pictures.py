"""ForecastPlot and Backtest: what they draw and count, for which modules, and that nothing changes by it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightfit.callbacks import Backtest, FeatureMaps, ForecastPlot, backtest, plot_backtest, plot_forecasts
from lightfit.callbacks.pictures.forecast_plot import Window
from lightfit.datamodules import SeriesDataModule
from lightfit.lightning_modules import SeriesForecaster
from lightfit.lightning_modules.nets import NLinear, SparseTSF


def run(data: SeriesDataModule, callbacks: list[pl.Callback], *, quantile: bool = False) -> SeriesForecaster:
    torch.manual_seed(0)
    net = SparseTSF(lookback=48, horizon=4, num_targets=2, season=24, num_quantiles=3 if quantile else 1)
    model = SeriesForecaster(net, lr=0.01, loss="quantile" if quantile else "mse")
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=pl.loggers.TensorBoardLogger("runs", name="a"),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    return model


@pytest.fixture
def data(series: Path) -> SeriesDataModule:
    return SeriesDataModule(str(series), lookback=48, horizon=4, split=(0.6, 0.2, 0.2), batch_size=16)


@pytest.mark.slow
@pytest.mark.parametrize("quantile", [False, True])
def test_pictures_and_table_in_the_run_folder(quantile: bool, data: SeriesDataModule) -> None:
    run(data, [ForecastPlot(), Backtest(), FeatureMaps()], quantile=quantile)
    folder = Path("runs/a/version_0")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png")) == [
        "backtest/epoch_002.png",
        "feature_maps/epoch_000.png",
        "feature_maps/epoch_001.png",
        "forecasts/epoch_000.png",
        "forecasts/epoch_001.png",
    ]
    assert np.asarray(Image.open(folder / "forecasts" / "epoch_001.png")).std() > 10
    events = EventAccumulator(str(folder)).Reload()
    assert set(events.Tags()["images"]) == {"backtest", "feature_maps", "forecasts"}
    table = pd.read_csv(folder / "backtest.csv")
    assert list(table) == ["step", "target", "mae", "rmse", "bias", "values"]
    assert len(table) == 4 * 2 + 4 + 2 + 1
    assert table["values"].iloc[-1] == len(data.test_data or ()) * 4 * 2


@pytest.mark.slow
def test_losses_are_the_same_with_and_without(data: SeriesDataModule) -> None:
    with_them = run(data, [ForecastPlot(), Backtest(), FeatureMaps()]).history
    pd.testing.assert_frame_equal(run(data, []).history, with_them, check_exact=True)


def test_backtest_against_numbers_by_hand() -> None:
    class Zero(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 2, 2)

    y = torch.tensor([[[1.0, 2.0], [3.0, float("nan")]], [[-3.0, 2.0], [1.0, 4.0]]])
    model = Zero().train()
    table = backtest(model, [(y[:1], y[:1]), (y[1:], y[1:])], names=["a", "b"], unscale=lambda values: 10 * values)
    assert model.training
    rows = {(row.step, row.target): (row.mae, row.rmse, row.bias, row.values) for row in table.itertuples()}
    assert rows["1", "a"] == pytest.approx((20, 10 * 5**0.5, 10, 2))
    assert rows["2", "b"] == pytest.approx((40, 40, -40, 1))
    assert rows["1", "all"] == pytest.approx((20, 10 * (18 / 4) ** 0.5, -5, 4))
    assert rows["all", "a"] == pytest.approx((20, 10 * 5**0.5, -5, 4))
    assert rows["all", "all"] == pytest.approx((1600 / 70, 10 * (44 / 7) ** 0.5, -1000 / 70, 7), rel=1e-6)
    assert plot_backtest(table).pixels().std() > 10


def test_backtest_is_what_the_model_scored(data: SeriesDataModule) -> None:
    model = run(data, [])
    table = backtest(model, data.test_dataloader(), names=data.codec.target_names)
    scores = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False).test(
        model, data, verbose=False
    )
    assert table["mae"].iloc[-1] == pytest.approx(scores[0]["test_mae"], rel=1e-5)
    assert table["rmse"].iloc[-1] ** 2 == pytest.approx(scores[0]["test_mse"], rel=1e-5)


def test_the_worst_the_median_and_the_best_window(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module(pl.LightningModule):
        """None of LightFit's, with data of its own; the forecast is 0, so that the error is the truth."""

        def validation_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
            return {"forecast": torch.zeros_like(batch[1])}

    shown: list[dict[str, Window]] = []
    monkeypatch.setattr(
        "lightfit.callbacks.pictures.forecast_plot.plot_forecasts",
        lambda windows, names: shown.append(windows) or plot_forecasts(windows, names),  # type: ignore[func-returns-value]
    )
    y = torch.tensor([5.0, 1.0, 9.0, 3.0, 7.0])[:, None, None]
    loader = DataLoader(TensorDataset(torch.zeros(5, 3, 1), y), batch_size=2)
    trainer = pl.Trainer(
        accelerator="cpu", logger=pl.loggers.CSVLogger("runs"), enable_progress_bar=False, callbacks=[ForecastPlot()]
    )
    trainer.validate(Module(), loader, verbose=False)
    assert {title: window.error for title, window in shown[0].items()} == {"worst": 9.0, "median": 5.0, "best": 1.0}


def test_modules_that_return_no_forecast(data: SeriesDataModule, caplog: pytest.LogCaptureFixture) -> None:
    class Silent(SeriesForecaster):
        def validation_step(self, batch: object, batch_idx: int, dataloader_idx: int = 0) -> dict[str, object]:
            return {"loss": super().validation_step(batch, batch_idx)["loss"]}

    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[ForecastPlot()])
    trainer.validate(Silent(NLinear(lookback=48, horizon=4, num_targets=2)), data, verbose=False)
    (said,) = [message for message in caplog.messages if "is left out of this run" in message]
    assert re.search(r"ForecastPlot .* a dict with 'forecast'.*received \['loss'\]", said)


def test_forecasts_of_another_shape_are_no_forecasts() -> None:
    with pytest.raises(ValueError, match=r"expected forecasts \(2, 3, 1\) as the truth, received \(2, 1, 1\)"):
        backtest(nn.Identity(), [(torch.zeros(2, 1, 1), torch.zeros(2, 3, 1))])


def test_arguments() -> None:
    with pytest.raises(ValueError, match="num_targets of at least 1, received 0"):
        ForecastPlot(0)
    with pytest.raises(ValueError, match="every_n_epochs of at least 1, received 0"):
        ForecastPlot(every_n_epochs=0)
