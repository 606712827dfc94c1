"""Rows of tables as series: order, doubled stamps, ids, gaps, splits by time."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import make_series

from lightfit.datamodules import SeriesColumns, SeriesDataModule
from lightfit.datamodules.series.last_windows import NewRows
from lightfit.datamodules.series.panel import Panel
from lightfit.datamodules.series.reading import RowOptions, identify, order_table
from lightfit.datamodules.splits import split_by_time
from lightfit.errors import BadInput, DataError

NAN = float("nan")


def ordered(table: pd.DataFrame, series_id: tuple[str, ...] = (), **options: Any) -> Any:
    targets = table[["load"]].to_numpy(float)
    given = RowOptions(**options)
    return order_table(table, targets, time=("date",), series_id=series_id, options=given, place="a.csv")


def test_unsorted_rows_are_sorted_and_it_is_said() -> None:
    table = make_series(30).assign(shop=["x", "y"] * 15)
    rows = ordered(table.sample(frac=1, random_state=0), ("shop",))
    assert rows.found == ["rows sorted by time"]
    for series in rows.panel:
        own = table[table["shop"] == series.name]
        assert series.times.equals(pd.DatetimeIndex(own["date"]))
        assert series.values[:, 0].tolist() == own["load"].tolist()
    assert not ordered(table, ("shop",)).found  # the rows of a series are in order, those of the table need not be


@pytest.mark.parametrize(("how", "expected"), [("mean", 3.0), ("sum", 6.0), ("last", 4.0)])
def test_doubled_stamps_have_three_ways_out(how: str, expected: float) -> None:
    table = pd.DataFrame({"date": ["2024-01-01", "2024-01-02", "2024-01-02"], "load": [1.0, 2.0, 4.0]})
    with pytest.raises(DataError, match="2024-01-02 00:00:00 occurs twice .* Set `on_duplicate` to mean, to sum, or"):
        ordered(table)
    rows = ordered(table, on_duplicate=how)
    assert rows.panel.values[:, 0].tolist() == [1.0, expected]
    assert rows.source.tolist() == [0, 2]  # whose covariates are taken
    assert "1 rows with a time stamp that occurs before" in rows.found[0]


def test_several_columns_identify_a_series() -> None:
    table = pd.DataFrame({"store": ["01", "01", "1", "01"], "item": ["a", "b", "a", "a"]})
    found = identify(table, ("store", "item"), "a.csv")
    assert found.codes.tolist() == [0, 1, 2, 0]
    assert found.names == ["01, a", "01, b", "1, a"]
    assert found.ids == [("01", "a"), ("01", "b"), ("1", "a")]


def test_rows_of_no_series() -> None:
    with pytest.raises(DataError, match="row 30: the column 'shop' is empty"):
        ordered(make_series(30).assign(shop=["x"] * 29 + [None]), ("shop",))


def shops(num_rows: int, *names: str) -> pd.DataFrame:
    """Make a table of daily series that rise from another level each, with a season of a week."""
    tables = []
    for index, name in enumerate(names):
        days = np.arange(num_rows)
        values = 10.0 ** (index + 1) * (1 + 0.1 * np.sin(days / 7 * 2 * np.pi) + 0.001 * days)
        tables.append(
            pd.DataFrame({"date": pd.date_range("2024-01-01", periods=num_rows), "shop": name, "load": values})
        )
    return pd.concat(tables)


def opened(path: str, **options: Any) -> SeriesDataModule:
    module = SeriesDataModule(path, target="load", **options)
    module.setup()
    return module


def test_each_series_of_a_panel_has_its_own_scale() -> None:
    shops(100, "x", "y", "z").to_csv("a.csv", index=False)
    module = opened("a.csv")
    x, y = module.train_data[np.arange(len(module.train_data))]  # type: ignore[index]
    assert float(x.std()) == pytest.approx(1, abs=0.1)
    places = module.windows("test")
    rows = np.arange(len(places))
    _, y = module.loaded.batches["test"][rows]  # type: ignore[index]
    np.testing.assert_allclose(places.unscale(rows, y), places.truth(rows), rtol=1e-5)
    samples = [item for item in module.codec.last_windows(pd.read_csv("a.csv")) if not isinstance(item, BadInput)]
    table = module.codec.decode(samples, 0 * y[: len(samples)])
    means = shops(100, "x", "y", "z").groupby("shop")["load"].apply(lambda own: own.iloc[:70].mean())
    np.testing.assert_allclose(table.groupby("shop")["load"].first(), means, rtol=0.02)


def test_short_series_are_used_as_far_as_they_go() -> None:
    pd.concat([shops(100, "long"), shops(16, "short").assign(date=pd.date_range("2024-02-01", periods=16))]).to_csv(
        "a.csv", index=False
    )
    module = opened("a.csv", columns=SeriesColumns(series_id="shop"), lookback=14, horizon=2)
    assert module.codec.masked
    own = module.train_data.series == 1  # type: ignore[attr-defined]
    assert int(own.sum()) > 0
    x, _ = module.train_data[own.nonzero()[:, 0]]
    assert (x[..., 1].sum(1) > 0).all()  # steps before the series begins are masked
    assert (x[..., 0][x[..., 1] > 0] == 0).all()
    windows = list(module.codec.last_windows(shops(5, "short")))
    assert windows[0].x[:, 1].tolist() == [1] * 9 + [0] * 5  # type: ignore[union-attr]


def test_a_bad_series_is_a_row_among_the_others() -> None:
    shops(60, "x", "y").to_csv("a.csv", index=False)
    module = opened("a.csv", lookback=14, horizon=7)
    table = shops(60, "x", "y").reset_index(drop=True).drop(index=[30])
    bad, good = module.codec.last_windows(table)
    assert isinstance(bad, BadInput)
    assert bad.cells is not None
    assert bad.cells["shop"] == "x"
    assert str(bad.cells["date"]).startswith("2024-03-01")
    assert "1 of 60 steps of D are missing, the first 2024-01-31" in bad.problem
    assert good.name == "y"  # type: ignore[union-attr]
    filled = list(module.codec.last_windows(table, "a.csv", NewRows(fill="interpolate")))
    assert [item.name for item in filled] == ["x", "y"]  # type: ignore[union-attr]
    with pytest.raises(DataError, match="`fill` mask needs a training with it"):
        list(module.codec.last_windows(table, "a.csv", NewRows(fill="mask")))


def test_text_covariates_and_static_ones() -> None:
    table = shops(60, "x", "y").assign(kind=lambda own: np.where(own["shop"] == "x", "big", "small"))
    table["weather"] = np.array(["sun", "rain", "snow"])[np.arange(len(table)) % 3]
    table.to_csv("a.csv", index=False)
    module = opened("a.csv", columns=SeriesColumns(known=("weather",), static=("kind",)), lookback=7, horizon=2)
    assert module.codec.num_known == 3
    assert module.codec.num_static == 1
    x, _ = module.train_data[np.arange(2)]  # type: ignore[index]
    assert x.shape[2] == module.codec.num_features == 1 + 3 + 3 + 1
    again = type(module.codec).from_dict(module.codec.to_dict())
    assert again.to_dict() == module.codec.to_dict()


def test_holidays_are_known_ahead() -> None:
    pytest.importorskip("holidays")
    shops(60, "x").drop(columns="shop").to_csv("a.csv", index=False)
    module = opened("a.csv", holidays="US", lookback=7, horizon=7)
    assert module.codec.num_known == 1
    (window,) = module.codec.last_windows(pd.read_csv("a.csv"))
    flags = module.windows("train").panel.values[:, 1]
    free = module.windows("train").panel.times[flags > 0].astype("datetime64[D]").astype(str).tolist()
    assert free == ["2024-01-01", "2024-01-15", "2024-02-19"]
    assert window.x[:, 2].tolist() == [0] * 7  # type: ignore[union-attr]  # none in the week ahead


def test_covariates_with_a_future_are_suggested() -> None:
    table = shops(60, "x").drop(columns="shop").assign(promo=lambda own: own.index % 2 == 0)
    table.assign(load=lambda own: own["load"].where(own.index < 53)).to_csv("a.csv", index=False)
    (warning,) = opened("a.csv").loaded.findings.warnings
    assert "7 rows after the last known target hold values of promo: if they are known ahead" in warning
    assert not opened("a.csv", columns=SeriesColumns(known=("promo",))).loaded.findings.warnings


def test_gaps_are_errors_by_default() -> None:
    make_series(60).drop(index=[5]).to_csv("a.csv", index=False)
    with pytest.raises(DataError, match="1 of 60 steps of h are missing, the first 2024-01-01 05:00:00. Set `fill` to"):
        opened("a.csv")
    make_series(60).assign(load=lambda own: own["load"].where(own.index != 5)).to_csv("a.csv", index=False)
    with pytest.raises(DataError, match="1 values of the column 'load', the first at 2024-01-01 05:00:00, are missing"):
        opened("a.csv")
    module = opened("a.csv", fill="interpolate")
    places = module.windows("train")
    assert np.isnan(places.panel.values[5, 0])  # the truth stays what the table has


def test_local_times_are_forecast_in_their_zone() -> None:
    times = pd.date_range("2024-03-20", periods=260, freq="h", tz="Europe/Berlin")
    table = pd.DataFrame({"date": times.tz_localize(None).astype(str), "load": np.arange(260.0)})
    table.to_csv("a.csv", index=False)
    module = opened("a.csv", timezone="Europe/Berlin", lookback=24, horizon=3)
    assert "by h in Europe/Berlin" in module.describe()
    (window,) = module.codec.last_windows(pd.read_csv("a.csv").head(242))
    out = module.codec.decode([window], 0 * module.val_data[np.array([0])][1])  # type: ignore[index,list-item]
    assert out["date"].tolist() == [
        "2024-03-30 02:00:00+01:00",
        "2024-03-30 03:00:00+01:00",
        "2024-03-30 04:00:00+01:00",
    ]


def test_a_panel_knows_the_series_of_its_rows() -> None:
    panel = Panel(["a", "b"], np.array([0, 1, 3]), np.arange(3).astype("datetime64[D]"), np.arange(3.0)[:, None])
    assert panel.codes.tolist() == [0, 1, 1]
    assert [len(series.times) for series in panel] == panel.lengths.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("split", "ends"),
    [
        ((0.7, 0.1, 0.2), (7, 8, 10)),
        ((1.0, 0.0, 0.0), (10, 10, 10)),
        ((5.0, 2.0, 2.0), (5, 7, 9)),
        (("2024-01-06", "2024-01-09 12:00"), (5, 9, 10)),
    ],
)
def test_time_is_split_by_time(split: tuple[float, ...], ends: tuple[int, int, int]) -> None:
    assert split_by_time(pd.date_range("2024-01-01", periods=10), split) == ends


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        ((0.7, 0.3), "three fractions .* received"),
        ((0.7, 0.3, 0.3), "three fractions"),
        ((-1.0, 1.0, 1.0), "three fractions"),
        ((8.0, 2.0, 2.0), "asks for 12 rows, and there are 10"),
        ((0.0, 0.5, 0.5), "leaves train empty"),
        (("2024-01-09", "2024-01-05"), "the second before the first"),
        (("then", "2024-01-05"), "two dates"),
        (("2024-01-05",), "two dates"),
    ],
)
def test_invalid_splits(split: tuple[float, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        split_by_time(pd.date_range("2024-01-01", periods=10), split)
