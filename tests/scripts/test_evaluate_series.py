"""The command evaluate.py on series: by series, from rolling origins, fitted anew, beside statistical models."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from lightfit.datamodules import SeriesColumns, SeriesDataModule
from lightfit.errors import UsageError
from lightfit.lightning_modules import SeriesForecaster
from lightfit.lightning_modules.nets import NLinear
from lightfit.scripts.cli.score_format import format_score
from lightfit.scripts.evaluate import main
from lightfit.scripts.evaluation.origins import check_refit, choose_origins, forecast_statistical, refit_forecasts
from lightfit.scripts.evaluation.page import as_plain, render_report
from lightfit.scripts.evaluation.result import Evaluation
from lightfit.scripts.evaluation.scores import evaluate_refitted


def make_panel(num_series: int = 3, num_rows: int = 60, *, name: str = "shop") -> pd.DataFrame:
    """Make series of levels 10, 100, 1,000, ... with a season of 7 days and a little noise."""
    rng, step = np.random.default_rng(0), np.arange(num_rows)
    frames = [
        pd.DataFrame(
            {
                "date": pd.date_range("2024-01-01", periods=num_rows, freq="D"),
                "id": f"{name} {index}",
                "sold": 10.0 ** (index % 5 + 1)
                * (1 + 0.3 * np.sin(2 * np.pi * step / 7) + 0.02 * rng.normal(size=num_rows)),
            }
        )
        for index in range(num_series)
    ]
    return pd.concat(frames)


def load_panel(**options: Any) -> SeriesDataModule:
    make_panel(**options).to_csv("panel.csv", index=False)
    columns = SeriesColumns(series_id="id")
    data = SeriesDataModule("panel.csv", target="sold", columns=columns, lookback=14, horizon=3)
    data.setup()
    return data


class LastSeason(nn.Module):
    """Forecast the season before times a factor that is fitted; the interval is a spread of it."""

    def __init__(self, num_quantiles: int = 1) -> None:
        super().__init__()
        self.num_quantiles = num_quantiles
        self.register_buffer("factor", torch.zeros(()))
        self.fitted_on: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        middle = self.factor * x[:, 7:10, :1]
        if self.num_quantiles == 1:
            return middle
        return middle[..., None] + 0.01 * torch.tensor([-1.0, 0.0, 1.0])

    def fit_windows(self, train: Any, val: Any, quantiles: Sequence[float]) -> None:
        """Fit the factor."""
        x, y = train[torch.arange(len(train))]
        assert len(val) > 0
        assert (train.series.diff() >= 0).all()
        self.factor = (x[:, 7:10, :1] * y).sum() / (x[:, 7:10, :1] ** 2).sum()
        self.fitted_on.append(len(train))


def evaluate_small(model: SeriesForecaster, data: SeriesDataModule, num_origins: int, **options: Any) -> Evaluation:
    rows = choose_origins(data.windows("test"), num_origins)
    outputs = refit_forecasts(model, data, "test", rows)
    return evaluate_refitted(model, data, "test", outputs, rows=rows, baselines={}, **options)


def test_origins_are_spread_evenly_over_time() -> None:
    data = load_panel()
    places = data.windows("test")
    rows = choose_origins(places, 4)
    assert len(rows) == 3 * 4
    times = places.times(rows)[:, 0].reshape(3, 4)
    assert (times == times[0]).all()
    assert times[0, 0] == places.times(np.arange(len(places)))[:, 0].min()
    assert times[0, -1] == places.times(np.arange(len(places)))[:, 0].max()
    assert len(choose_origins(places, 999)) == len(places)
    assert len(choose_origins(places, 1)) == 3


def test_a_net_is_fitted_before_each_origin_and_nothing_after_it_matters() -> None:
    data = load_panel()
    found = evaluate_small(SeriesForecaster(LastSeason()), data, 3)
    assert found.num_samples == 9
    assert 0.8 < found.metrics["mase"] < 1.2  # the season before, times a factor near 1
    table = make_panel()
    last = table["date"] > table["date"].max() - pd.Timedelta(days=3)  # what the last origin alone has after it
    table.loc[last, "sold"] *= 100
    table.to_csv("panel.csv", index=False)
    changed = SeriesDataModule("panel.csv", target="sold", columns=data.columns, lookback=14, horizon=3)
    changed.setup()
    again = evaluate_small(SeriesForecaster(LastSeason()), changed, 3)
    assert torch.equal(found.outputs["forecast"], again.outputs["forecast"])
    assert not torch.equal(found.outputs["y"], again.outputs["y"])


def test_intervals_are_scored() -> None:
    found = evaluate_small(SeriesForecaster(LastSeason(3), loss="quantile"), load_panel(), 3)
    assert 0 < found.tables["forecasts compared"]["coverage"][0] <= 1
    assert found.outputs["forecast"].shape == (9, 3, 1, 3)
    assert {"pinball", "width"} <= set(found.tables["by step"])


def test_statistical_models_stand_beside() -> None:
    models = pytest.importorskip("statsforecast.models")
    data = load_panel(num_series=2)
    places = data.windows("test")
    rows = choose_origins(places, 2)
    forecast, failed = forecast_statistical(models.SeasonalNaive, places, rows, (0.1, 0.5, 0.9))
    assert failed == 0
    np.testing.assert_allclose(forecast[..., 1], places.forecast_naive(rows)["seasonal naive"])
    assert (forecast[..., 0] <= forecast[..., 1]).all()

    class Broken:
        def __init__(self, season_length: int) -> None:
            raise ValueError("constant")

    forecast, failed = forecast_statistical(Broken, places, rows, ())
    assert failed == 4
    np.testing.assert_allclose(forecast[..., 0], places.forecast_naive(rows)["last value"])


@pytest.mark.slow
def test_scores_by_series_in_the_units_of_the_table() -> None:
    data = load_panel(num_series=40, name="上海市浦东新区门店" * 6)
    model = SeriesForecaster(LastSeason())
    found = evaluate_small(model, data, 3)
    assert found.series is not None
    assert len(found.series) == 40
    assert found.series["windows"].tolist() == [3] * 40
    assert found.series["mae"].between(0.01, 2e4).all()
    assert found.headline == "mase"
    assert re.fullmatch(
        r"mase \S+ \(95 % interval \S+ to \S+\); seasonal naive \S+, last value \S+", found.format_headline()
    )
    plain = as_plain(found)
    assert len(plain["tables"]["by series"]) == 40
    page = render_report(found, title="t", subtitle="s", configuration={})
    assert page.count("上海市浦东新区门店" * 6) >= 40, "all series are on the page, with their whole names"
    assert page.count("data:image/png;base64,") == 2


def test_losing_to_the_naive_forecast_is_a_warning() -> None:
    class Bad(LastSeason):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0.5  # in standard deviations over all series

    found = evaluate_small(SeriesForecaster(Bad()), load_panel(), 3)
    assert [line for line in found.remarks if line.startswith("warning")] == [
        "warning: 3 of 3 series: the seasonal naive forecast is better, such as shop 0, shop 1, shop 2: see series.csv",
        f"warning: the net does not beat the seasonal naive forecast: MASE {format_score(found.metrics['mase'])} and "
        f"{format_score(found.tables['forecasts compared']['mase'][1])}",
    ]


@pytest.mark.slow
def test_percentages_near_zero_give_way_to_wape(fit: Callable[..., Any]) -> None:
    counts = np.random.default_rng(0).poisson(0.5, 120)
    pd.DataFrame({"date": pd.date_range("2024-01-01", periods=120), "sold": counts}).to_csv("a.csv", index=False)
    args = ("--task", "series", "--data.path", "a.csv", "--trainer.max_epochs", 1, "--trainer.callbacks", "null")
    code, out, _ = fit(*args, "--quiet")
    assert code == 0
    (val,) = re.findall("best epoch .*", out)
    (test,) = re.findall("its test split: .*", out)
    assert "mape" not in val + test
    assert "val_wape" in val
    assert "test_wape" in test
    assert "val_mape" in Path("runs/series/version_0/history.csv").read_text()
    card = Path("runs/series/version_0/card.md").read_text()
    assert "| wape |" in card
    assert "| mape |" not in card


def test_the_command(trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("series")
    capsys.readouterr()
    assert main(["--gpus", "0", checkpoint, "-o", "out", "--origins", "4"]) == 0
    out = capsys.readouterr().out
    assert "test of series.csv, 4 samples" in out
    assert "seasonal naive" in out
    table = pd.read_csv("out/forecasts.csv", parse_dates=["origin", "time"])
    assert list(table) == ["origin", "time", "step", "load_true", "load_forecast", "load_q10", "load_q90"]
    assert len(table) == 4 * 24
    assert (table["time"] - table["origin"] == pd.to_timedelta(table["step"], "h")).all()
    truth = pd.read_csv("series.csv", parse_dates=["date"]).set_index("date")["load"]
    np.testing.assert_allclose(table["load_true"], truth[table["time"]], rtol=1e-11)
    error = (table["load_true"] - table["load_forecast"]).abs().mean()
    written = json.loads(Path("out/evaluation.json").read_text())
    assert {row["metric"]: row["value"] for row in written["metrics"]}["mae_original"] == pytest.approx(error, rel=1e-5)
    assert [row["forecast"] for row in written["tables"]["forecasts compared"]] == [
        "the net",
        "seasonal naive",
        "last value",
    ]
    assert Path("out/series.csv").is_file()


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--origins", "0"], "expected --origins of at least 1, received 0"),
        (["--refit"], "--refit fits anew before each origin, so it needs their number: add --origins 10"),
        (["--baselines", "AutoETS"], "--baselines fits anew before each origin, so it needs their number"),
        (
            ["--origins", "2", "--baselines", "Prophet"],
            "expected --baselines of AutoETS, AutoTheta, .*received 'Prophet'",
        ),
    ],
)
def test_slips(
    args: list[str], problem: str, trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained("series")
    assert main(["--gpus", "0", checkpoint, "-o", "out", *args]) == 2
    assert re.search(problem, capsys.readouterr().err)
    assert not Path("out").exists()


def test_a_net_that_is_trained_by_gradients_is_not_fitted_anew() -> None:
    model = SeriesForecaster(NLinear(lookback=14, horizon=3, num_targets=1))
    with pytest.raises(UsageError, match="--refit needs a net that is fitted in closed form.*this one is a NLinear"):
        check_refit(model)


@pytest.mark.slow
def test_the_preset_is_fitted_anew(trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("series")
    before = Path(checkpoint).read_bytes()
    assert main(["--gpus", "0", checkpoint, "-o", "out", "--origins", "2", "--refit"]) == 0
    assert "test of series.csv, 2 samples" in capsys.readouterr().out
    assert Path(checkpoint).read_bytes() == before


def test_origins_are_for_series(trained: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--gpus", "0", trained("text"), "-o", "out", "--origins", "2"]) == 2
    assert "--origins is for series, and this checkpoint reads text: leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.234567e-9, "1.235e-09"),
        (0.00123456, "0.001235"),
        (0.05, "0.05000"),
        (0.9125, "0.9125"),
        (12.3456, "12.35"),
        (123.4, "123.4"),
        (999.96, "1,000"),
        (154_686.2, "154,686"),
        (1e9, "1.000e+09"),
        (0.0, "0.0000"),
        (-0.02, "-0.02000"),
        (float("nan"), ""),
    ],
)
def test_four_significant_digits(value: float, text: str) -> None:
    assert format_score(value) == text
