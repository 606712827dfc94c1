"""What is found in series before training, and its page."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lightfit.datamodules.findings import Findings
from lightfit.datamodules.series.findings import (
    classify_demand,
    find_in_series,
    find_leaks,
    measure_deviations,
    measure_strengths,
    sketch_series,
)
from lightfit.datamodules.series.panel import Panel
from lightfit.scripts.checking.page import as_plain, render_findings
from lightfit.scripts.checking.series_plots import plot_series

NAN = float("nan")
STEP = np.timedelta64(1, "h")


def number(panel: Panel) -> NDArray[np.int64]:
    """Return the hour of each row."""
    return ((panel.times - np.datetime64("2024-01-01")) // STEP).astype(np.int64)


def make_panel(
    *series: NDArray[np.float64], names: list[str] | None = None, drop: list[list[int]] | None = None
) -> Panel:
    """Make series (T, K) of hours, without some of their rows."""
    kept = [np.setdiff1d(np.arange(len(own)), drop[index] if drop else []) for index, own in enumerate(series)]
    times = [np.datetime64("2024-01-01", "ns") + rows * STEP for rows in kept]
    values = [own.reshape(len(own), -1)[rows] for own, rows in zip(series, kept, strict=True)]
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in kept])])
    own_names = names or ([""] if len(series) == 1 else [f"s{index}" for index in range(len(series))])
    return Panel(own_names, starts, np.concatenate(times), np.concatenate(values).astype(float))


def make_season(num_rows: int = 240, noise: float = 0.1, level: float = 0.0) -> NDArray[np.float64]:
    step = np.arange(num_rows)
    return level + np.sin(2 * np.pi * step / 24) + noise * np.random.default_rng(0).normal(size=num_rows)


def find(panel: Panel, **options: object) -> Findings:
    own = {"calendar": "h", "targets": ["y"], "season": 24, "lookback": 48, "horizon": 24} | options
    return find_in_series(panel, number(panel), **own)  # type: ignore[arg-type]


def test_facts_of_one_series() -> None:
    values = make_season()
    values[100] = 40
    values[30] = NAN
    found = find(make_panel(values, drop=[[10, 11, 12, 50]]), zone="Europe/Berlin", notes=["rows sorted by time"])
    assert found.facts["steps"] == "h"
    assert found.facts["zone"] == "Europe/Berlin"
    assert found.facts["lengths"] == "236 rows"
    assert found.facts["gaps"] == "4 missing steps (1.7%) in 2 gaps; the longest has 3, after 2024-01-01 09:00:00"
    assert found.facts["missing values"] == "'y' 1 (0.4%)"
    assert found.facts["order"] == "rows sorted by time"
    assert found.facts["outliers"].startswith("1 values lie more than 6 robust deviations from their season")
    (warning,) = found.warnings
    assert warning.startswith("40 at 2024-01-05 04:00:00 in 'y' lies ")
    (row,) = found.tables["series"].to_dict("records")
    assert (row["rows"], row["missing steps"], row["missing values"], row["outliers"]) == (236, 4, 1, 1)


def test_facts_of_many_series() -> None:
    long, short = make_season(level=100), make_season(30, level=5)
    counts = np.random.default_rng(1).poisson(0.2, 240).astype(float)
    found = find(make_panel(long, short, np.full(240, 7.0), counts, drop=[[3], [], [], []]))
    assert found.facts["lengths"] == "4 series of 30 to 240 rows, median 239"
    assert "1 missing steps (0.1%) in 1 gaps in 1 of 4 series" in found.facts["gaps"]
    assert found.facts["demand"].endswith("% zeros; 1 intermittent")
    assert found.warnings == [
        "1 of 4 series are shorter than a window of 72 steps, such as 's1': add rows, or reduce `lookback` or "
        "`horizon`",
        "the target 'y' has one value alone in 1 of 4 series, such as 's2': there is nothing to forecast",
    ]
    table = found.tables["series"].set_index("series")
    assert table["demand"].tolist() == ["", "", "constant", "intermittent"]
    assert table["season"]["s0"] > 0.9


@pytest.mark.parametrize("level", [0.0, 1e9])
def test_strengths_of_trend_and_season(level: float) -> None:
    rng, step = np.random.default_rng(0), np.arange(480)
    noise, wave = rng.normal(size=480), 5 * np.sin(2 * np.pi * step / 24)
    trend, season = measure_strengths(level + wave + noise, 24)
    assert (season > 0.9, trend < 0.3) == (True, True)
    trend, season = measure_strengths(level + 0.1 * step + noise, 24)
    assert (season < 0.3, trend > 0.9) == (True, True)
    assert np.isnan(measure_strengths(noise[:60], 24)[1])  # two and a half seasons


def test_outliers_are_measured_from_their_season() -> None:
    values = make_season(noise=0.05) + 0.1 * np.arange(240)  # a trend is no outlier, nor is the peak of a season
    assert np.nanmax(np.abs(measure_deviations(values, 24))) < 6
    values[77] += 3  # within the range of the others
    assert np.abs(np.nan_to_num(measure_deviations(values, 24))).argmax() == 77
    assert np.isnan(measure_deviations(np.eye(40)[3], 7)).all()  # demand that is rare is no outlier


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([5, 6, 5, 6, 5, 0, 5, 6], "smooth"),
        ([5, 0, 0, 6, 0, 0, 5, 0], "intermittent"),
        ([1, 20, 1, 30, 1, 0, 1, 25], "erratic"),
        ([1, 0, 0, 30, 0, 0, 1, 0], "lumpy"),
        ([1, 2, 3], ""),
        ([-1, 0, 3], ""),
        ([0, 0], ""),
    ],
)
def test_classes_of_demand(values: list[float], name: str) -> None:
    assert classify_demand(np.array(values, float)) == name


def leaks_of(*columns: NDArray[np.float64], past: tuple[str, ...] = (), known: tuple[str, ...] = ()) -> list[tuple]:
    panel = make_panel(np.stack(columns, 1))
    found = find_leaks(panel, number(panel), targets=["y"], past=list(past), known=list(known), horizon=24)
    return [(leak.column, leak.shift, round(abs(leak.correlation), 2)) for leak in found]


def test_covariates_that_give_the_target_away() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=300).cumsum() + 50
    ahead = np.r_[y[3:], rng.normal(size=3)]
    behind = np.r_[rng.normal(size=3), y[:-3]]
    assert leaks_of(y, 2 * y + 1, known=("copy",)) == [("copy", 0, 1.0)]
    assert leaks_of(y, -y, past=("copy",)) == [("copy", 0, 1.0)]
    assert leaks_of(y, ahead, past=("ahead",)) == [("ahead", 3, 1.0)]
    assert leaks_of(y, behind, past=("behind",)) == []  # the past of the target is known
    assert leaks_of(y, behind, known=("behind",)) == [("behind", -3, 1.0)]


def test_covariates_that_explain_much_are_no_leaks() -> None:
    rng = np.random.default_rng(0)
    promo = (rng.random(300) < 0.3).astype(float)
    assert leaks_of(10 + 8 * promo + 0.3 * rng.normal(size=300), promo, known=("promo",)) == []
    step = np.arange(300.0)
    assert leaks_of(step + rng.normal(size=300), 3 * step, known=("trend",)) == []  # correlation 0.9999 of the values


def test_a_leak_is_a_warning_that_names_the_argument() -> None:
    y = np.random.default_rng(0).normal(size=300)
    found = find(make_panel(np.stack([y, y], 1)), known=["total"])
    assert any(
        warning.startswith("the column 'total' almost determines the target 'y' (correlation 1.0000")
        and "`columns.past`" in warning
        for warning in found.warnings
    )


@pytest.mark.slow
def test_page_of_long_and_chinese_names(tmp_path: Path) -> None:
    names = [f"上海市浦东新区第{index}号门店 / Filiale Düsseldorf <b>" for index in range(320)]
    rng = np.random.default_rng(0)
    panel = make_panel(
        *(make_season(100, level=index) for index in range(320)),
        names=names,
        drop=[rng.choice(100, index % 30, replace=False).tolist() for index in range(320)],
    )
    found = find(panel, ends=np.tile([60, 80, 100], (320, 1)))
    page = render_findings(found, source="a.csv", description="320 series")
    assert page.count("data:image/png;base64,") == 3
    assert "300 of 320 series" in page
    assert "<b>" not in page
    plain = json.loads(json.dumps(as_plain(found, source="a.csv", description=""), allow_nan=False))
    assert len(plain["tables"]["300 of 320 series"]) == 300
    assert plain["tables"]["300 of 320 series"][0]["series"] == names[0]


def test_plots_of_one_series_have_its_splits_and_seasons() -> None:
    panel = make_panel(make_season(), drop=[[5, 6]])
    steps = number(panel)
    sketch = sketch_series(panel, steps, "y", season=24, ends=np.array([[168, 192, 240]]))
    assert sketch.curves[0].borders == {"val": panel.times[166], "test": panel.times[190]}
    assert sketch.cycles[""].shape == (10, 24)
    assert np.nansum(sketch.missing) > 0
    plots = plot_series(sketch)
    assert list(plots) == ["series and their splits", "seasons", "missing steps and values"]
    assert all(plot.pixels().std() > 5 for plot in plots.values())


def test_many_series_are_sampled_and_quick() -> None:
    num_series, num_rows = 20_000, 60
    values = np.random.default_rng(0).normal(size=(num_series * num_rows, 1))
    times = np.tile(np.datetime64("2024-01-01", "ns") + np.arange(num_rows) * STEP, num_series)
    starts = np.arange(num_series + 1) * num_rows
    panel = Panel([f"s{index}" for index in range(num_series)], starts, times, values)
    began = time.process_time()
    found = find(panel, season=7, lookback=14, horizon=7)
    assert time.process_time() - began < 5
    assert list(found.tables) == ["300 of 20,000 series"]


def test_degenerate_series() -> None:
    found = find(make_panel(np.array([1.0])), lookback=1, horizon=1)
    assert found.facts["trend and season"] == "the series are too short to tell"
    assert found.find_plots() is not None
    empty = find(make_panel(np.full(40, NAN), np.arange(40.0)))
    assert any("has one value alone in 1 of 2 series" in warning for warning in empty.warnings)
    frame = pd.DataFrame(empty.tables["series"])
    assert frame["missing values"].tolist() == [40, 0]
