"""Rows of series in order: sorted, doubled, with missing steps and values."""

import numpy as np
import pandas as pd
import pytest

from lightfit.datamodules.series.calendar import Calendar, find_calendar
from lightfit.datamodules.series.gaps import (
    check_doubled,
    check_steps,
    complete,
    fill_values,
    find_doubled,
    merge_doubled,
    missing_steps,
    order_rows,
)
from lightfit.datamodules.series.panel import Panel
from lightfit.errors import DataError

NAN = float("nan")


def make_panel(*series: tuple[list[str] | pd.DatetimeIndex, list[float]], names: list[str] | None = None) -> Panel:
    times = np.concatenate([pd.DatetimeIndex(item[0]).to_numpy("datetime64[ns]") for item in series])
    starts = np.concatenate([[0], np.cumsum([len(item[1]) for item in series])])
    values = np.concatenate([np.asarray(item[1], np.float64) for item in series])[:, None]
    return Panel(names or ["a", "b", "c"][: len(series)], starts, times, values)


def hours(*numbers: int) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp("2024-01-01") + pd.Timedelta(hours=number) for number in numbers])


def calendar_of(panel: Panel, **options: str) -> Calendar:
    return find_calendar(panel.times, panel.starts, place="t.csv", **options)  # type: ignore[arg-type]


def test_rows_are_ordered_by_series_and_time() -> None:
    codes = np.array([1, 0, 1, 0, 1])
    times = hours(2, 5, 1, 4, 1).to_numpy()
    order, was_sorted = order_rows(codes, times)
    assert (order.tolist(), was_sorted) == ([3, 1, 2, 4, 0], False)
    assert order_rows(codes[order], times[order])[1]
    assert find_doubled(codes[order], times[order]).tolist() == [3]


def test_doubled_stamps_are_an_error_with_ways_out() -> None:
    panel = make_panel((hours(0, 1, 2), [1, 2, 3]), (hours(1, 1, 2, 2, 2), [1, 3, 4, NAN, 7]))
    with pytest.raises(
        DataError,
        match="t.csv, series b: the time stamp 2024-01-01 01:00:00 occurs twice .rows 4 and 5; 3 such rows.* "
        "`on_duplicate` to mean, to sum, or to last$",
    ):
        check_doubled(panel, None, "t.csv")
    one = make_panel((["2024-10-27 02:00", "2024-10-27 02:00"], [1, 2]), names=[""])
    with pytest.raises(DataError, match="rows 8 and 3; .* set `columns.series_id` .* set `timezone`, and `ambiguous`"):
        check_doubled(one, None, "t.csv", np.array([7, 2]))
    check_doubled(make_panel((hours(0, 1), [1, 2]), (hours(1, 2), [1, 2])), None, "t.csv")


@pytest.mark.parametrize(("how", "expected"), [("mean", [2, 5.5]), ("sum", [4, 11]), ("last", [3, 7])])
def test_doubled_stamps_are_merged(how: str, expected: list[float]) -> None:
    panel = make_panel(
        (hours(0, 1, 2), [1, 2, 3]), (hours(1, 1, 2, 2, 2), [1, 3, 4, NAN, 7]), (hours(1, 1), [NAN, NAN])
    )
    merged = merge_doubled(panel, how)
    assert merged.starts.tolist() == [0, 3, 5, 6]
    np.testing.assert_array_equal(merged.values[:, 0], [1, 2, 3, *expected, NAN])
    assert merged[1].times.equals(hours(1, 2))


def test_missing_steps_are_counted_by_series() -> None:
    counts, first = missing_steps(np.array([5, 6, 9, 11, 100, 3, 4]), np.array([0, 4, 5, 5, 7]))
    assert counts.tolist() == [3, 0, 0, 0]
    assert first.tolist() == [7, -1, -1, -1]


def test_missing_steps_are_inserted_in_all_series() -> None:
    panel = make_panel((hours(0, 1, 3), [1, 2, 3]), (hours(7), [4]), (hours(2, 5), [5, 6]))
    full = complete(panel, calendar_of(panel))
    assert full.starts.tolist() == [0, 4, 5, 9]
    np.testing.assert_array_equal(full.values[:, 0], [1, 2, NAN, 3, 4, 5, NAN, NAN, 6])
    assert [
        item.times.equals(hours(*numbers))
        for item, numbers in zip(full, [(0, 1, 2, 3), (7,), (2, 3, 4, 5)], strict=True)
    ]
    assert complete(full, calendar_of(panel)) is full
    months = make_panel((["2024-01-31", "2024-02-29", "2024-05-31"], [1, 2, 3]))
    assert complete(months, calendar_of(months))[0].times.astype(str).tolist()[2:4] == ["2024-03-31", "2024-04-30"]


def test_rounded_stamps_become_their_steps() -> None:
    times = hours(*range(50)) + pd.to_timedelta(np.arange(50) % 7, unit="s")
    panel = make_panel((times, list(range(50))))
    assert complete(panel, calendar_of(panel))[0].times.equals(hours(*range(50)))


def test_few_missing_steps_may_be_filled_and_most_may_not() -> None:
    few = make_panel((hours(*range(20), *range(22, 40)), [1.0] * 38), (hours(0, 1), [1, 2]))
    with pytest.raises(
        DataError,
        match="t.csv, series a: 2 of 40 steps of h are missing, the first 2024-01-01 20:00:00 .2 of 42 in 1 series.. "
        "Set `fill` to interpolate .or forward, or mask",
    ):
        check_steps(few, calendar_of(few), "t.csv")
    check_steps(few, calendar_of(few), "t.csv", fill=True)
    nights = make_panel((hours(*(i for i in range(240) if i % 24 < 17)), [1.0] * 170))
    with pytest.raises(
        DataError, match="Filling so many would make up data: set `freq` to rows .* or set `fill` to mask"
    ):
        check_steps(nights, calendar_of(nights), "t.csv")
    most = make_panel((hours(*(i for i in range(240) if i % 24 < 8)), [1.0] * 80))
    with pytest.raises(
        DataError, match="Filling most of the steps would make up the data: set `freq` to rows"
    ) as error:
        check_steps(most, calendar_of(most), "t.csv")
    assert "fill`" not in str(error.value)


def test_an_hour_that_clocks_skip_is_named() -> None:
    panel = make_panel((pd.date_range("2024-03-30", periods=72, freq="h").drop("2024-03-31 02:00"), [1.0] * 71))
    with pytest.raises(DataError, match="the first 2024-03-31 02:00:00. Set `fill` .*, or, as the clock .* `timezone`"):
        check_steps(panel, calendar_of(panel), "t.csv")


def test_stamps_of_another_calendar_are_named() -> None:
    daily = calendar_of(make_panel((pd.date_range("2024", periods=9), [1.0] * 9)))
    hourly = make_panel((hours(0, 1, 2), [1, 2, 3]))
    with pytest.raises(
        DataError, match="expected steps of D, received 2024-01-01 01:00:00, which is none .2 of 3 stamps.: .* resample"
    ):
        check_steps(hourly, daily, "new.csv")
    rough = pd.date_range("2024", periods=99, freq="h") + pd.to_timedelta(np.arange(99) % 50, unit="s")
    rounded = calendar_of(make_panel((rough, [1.0] * 99)))
    twice = make_panel((["2024-01-01 00:00:01", "2024-01-01 00:00:03"], [1, 2]))
    with pytest.raises(DataError, match="received 2024-01-01 00:00:03, which is one twice"):
        check_steps(twice, rounded, "new.csv")


@pytest.mark.parametrize("how", ["forward", "interpolate"])
def test_values_are_filled_as_by_pandas(how: str) -> None:
    rng = np.random.default_rng(0)
    series = []
    for size in (40, 1, 60, 2):
        values = rng.normal(size=size)
        values[1:][rng.random(size - 1) < 0.4] = NAN
        series.append((pd.date_range("2024-03-07 05:00", periods=size, freq="ME"), values.tolist()))
    panel = make_panel(*series, names=["a", "b", "c", "d"])
    filled = fill_values(panel, how, columns=["y"], place="t.csv")
    for item, (times, values) in zip(filled, series, strict=True):
        known = pd.Series(values, times)
        expected = known.ffill() if how == "forward" else known.interpolate("time")
        np.testing.assert_allclose(item.values[:, 0], expected.to_numpy(), rtol=1e-12)


def test_values_before_the_first_known_one_are_named() -> None:
    panel = make_panel((hours(0, 1), [1, NAN]), (hours(3, 4, 5), [NAN, NAN, 3]), (hours(1, 2), [NAN, 1]))
    with pytest.raises(
        DataError,
        match="t.csv, series b: 2 values of the column 'y', the first at 2024-01-01 03:00:00, are missing before the "
        "first known one: delete these rows .and those of 1 other series",
    ):
        fill_values(panel, "forward", columns=["y"], place="t.csv")
