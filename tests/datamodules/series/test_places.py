"""Windows of a panel: series, stamps in the user's zone, units, and naive forecasts."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightfit.datamodules.series.panel import Panel
from lightfit.datamodules.series.places import LAST, SEASONAL, WindowPlaces


def make_panel(*series: list[float], start: str = "2024-01-01", freq: str = "D") -> Panel:
    lengths = [len(own) for own in series]
    times = [pd.date_range(start, periods=length, freq=freq).to_numpy() for length in lengths]
    names = [f"s{index}" for index in range(len(series))]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Panel(names, starts, np.concatenate(times), np.concatenate(series)[:, None].astype(float))


def make_places(panel: Panel, first: list[int], **options: object) -> WindowPlaces:
    ones = np.ones((len(panel), 1))
    own = {"horizon": 2, "num_targets": 1, "means": 0 * ones, "stds": ones, "naive_errors": ones} | options
    return WindowPlaces(panel=panel, first=np.array(first), **own)  # type: ignore[arg-type]


def test_series_stamps_and_history() -> None:
    places = make_places(make_panel([1, 2, 3, 4, 5], [10, 20, 30, 40]), [2, 3, 7, 5])
    assert places.series.tolist() == [0, 0, 1, 1]
    assert places.stamps(np.array([2])).astype("datetime64[D]").tolist() == [
        [pd.Timestamp("2024-01-03").date(), pd.Timestamp("2024-01-04").date()]
    ]
    times, values = places.history(2, 9)
    assert (len(times), values[:, 0].tolist()) == (2, [10, 20])  # not those of the series before
    assert places.history(0, 1)[1].tolist() == [[2]]
    assert places.truth(np.array([0]))[0, :, 0].tolist() == [3, 4]
    assert np.isnat(places.origins(np.array([3])))[0]
    assert places.origins(np.array([2])).astype("datetime64[D]").astype(str).tolist() == ["2024-01-02"]


def test_each_series_has_its_own_scale_in_double_precision() -> None:
    panel = make_panel([1e9] * 4, [1.0] * 4)
    places = make_places(panel, [2, 6], means=np.array([[1e9], [1.0]]), stds=np.array([[5.0], [1e-9]]))
    scaled = torch.tensor([[[0.5], [-0.25]], [[2.0], [0.0]]])
    assert places.unscale(np.arange(2), scaled)[..., 0].tolist() == [[1e9 + 2.5, 1e9 - 1.25], [1 + 2e-9, 1.0]]
    quantiles = places.unscale(np.array([1]), scaled[1:, ..., None].expand(-1, -1, -1, 3))
    assert (quantiles.shape, quantiles.dtype) == ((1, 2, 1, 3), torch.float64)


def test_counts_are_not_forecast_below_zero() -> None:
    places = make_places(make_panel([1, 2, 3, 4]), [2], lower=[0.0])
    assert places.unscale(np.array([0]), torch.tensor([[[-3.0], [2.0]]]))[0, :, 0].tolist() == [0.0, 2.0]
    assert places.unscale(np.array([0]), torch.tensor([[[[-3.0, 1.0]], [[2.0, 4.0]]]]))[0, 0, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("diff", [0, 1, 2])
def test_differences_are_undone(diff: int) -> None:
    values = np.array([3.0, 5.0, 4.0, 8.0, 16.0, 2.0])
    places = make_places(make_panel(values.tolist()), [3], diff=diff)
    changes = torch.from_numpy(np.diff(values, diff)[3 - diff : 5 - diff])
    assert places.unscale(np.array([0]), changes.reshape(1, 2, 1))[0, :, 0].tolist() == [8.0, 16.0]


def test_wall_times_of_both_changes_of_the_clock() -> None:
    panel = make_panel(list(range(6)), start="2024-03-30 23:00", freq="h")
    places = make_places(panel, [1], zone="Europe/Berlin", horizon=3)
    hours = places.stamps(np.array([0]))[0].astype("datetime64[h]").astype(str).tolist()
    assert hours == ["2024-03-31T01", "2024-03-31T03", "2024-03-31T04"]


def test_naive_forecasts() -> None:
    nan = float("nan")
    panel = make_panel([1, 2, 3, 4, 5, 6, 7], [nan, 20, 30, nan, 50, 60])
    places = make_places(panel, [5, 10, 11, 9], horizon=4, season=3)
    naive = places.forecast_naive(np.arange(4))
    assert list(naive) == [SEASONAL, LAST]
    assert naive[SEASONAL][..., 0].tolist() == [[3, 4, 5, 3], [30, 20, 30, 30], [20, 30, 30, 20], [20, 20, 20, 20]]
    assert naive[LAST][..., 0].tolist() == [[5] * 4, [30] * 4, [30] * 4, [20] * 4]
    assert list(make_places(panel, [5]).forecast_naive(np.arange(1))) == [LAST]
