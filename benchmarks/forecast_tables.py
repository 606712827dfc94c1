"""The tables of `forecasts.py`: from packages that are installed, and generated with fixed seeds.

The first seven are those that the preset `series` is measured by. Air passengers (Box and Jenkins 1976, series G) are
in statsforecast; sunspots, CO2 and the other classical ones in statsmodels; the rest in vega-datasets.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
LONGEST = 3000  # rows that are taken of a table: the last ones


@dataclass(frozen=True)
class Table:
    """A panel: series of columns of numbers.

    Args:
        name: its name.
        series: values of each series, (T, C); the columns known ahead follow the targets.
        freq: frequency of the steps as in pandas.
        season: number of steps in a season.
        begin: date of the first step.
        num_known: number of columns known ahead.
        source: the package that brings it, or `generated`.
    """

    name: str
    series: tuple[Array, ...]
    freq: str
    season: int
    begin: str = "2000-01-01"
    num_known: int = 0
    source: str = "generated"

    @property
    def num_targets(self) -> int:
        """Return the number of columns to forecast."""
        return self.series[0].shape[1] - self.num_known


def _vega(file: str) -> Path:
    spec = find_spec("vega_datasets")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "_data" / file


def _columns(frame: pd.DataFrame) -> Array:
    values = frame.interpolate(limit_direction="both").to_numpy(np.float64)
    return values[-LONGEST:]


def us_employment() -> Table:
    """Read monthly employment by industry, 2006 to 2015."""
    frame = pd.read_csv(_vega("us-employment.csv")).drop(columns="month").select_dtypes("number")
    return Table("us-employment", (_columns(frame),), "MS", 12, "2006-01-01", source="vega-datasets")


def air_passengers() -> Table:
    """Read monthly passengers of airlines, 1949 to 1960."""
    from statsforecast.utils import AirPassengers

    values = np.asarray(AirPassengers, np.float64)[:, None]
    return Table("air passengers", (values,), "MS", 12, "1949-01-01", source="statsforecast")


def _statsmodels(
    name: str, dataset: str, columns: list[str], freq: str, season: int, begin: str
) -> Callable[[], Table]:
    def read() -> Table:
        import statsmodels.api as sm

        frame = getattr(sm.datasets, dataset).load_pandas().data[columns]
        return Table(name, (_columns(frame),), freq, season, begin, source="statsmodels")

    return read


def elnino() -> Table:
    """Read monthly temperatures of the sea, 1950 to 2010: in statsmodels a column a month."""
    import statsmodels.api as sm

    frame = sm.datasets.elnino.load_pandas().data.drop(columns="YEAR")
    values = frame.to_numpy(np.float64).reshape(-1, 1)
    return Table("el nino", (values,), "MS", 12, "1950-01-01", source="statsmodels")


def elec_equip() -> Table:
    """Read the monthly index of electrical equipment's turnover in the euro area, 1995 to 2011."""
    from statsmodels.datasets import elec_equip as dataset

    frame = dataset.load_pandas().data
    return Table("electrical equipment", (_columns(frame),), "MS", 12, "1995-01-01", source="statsmodels")


def co2() -> Table:
    """Read weekly carbon dioxide of the air, 1958 to 2001; missing weeks are interpolated."""
    import statsmodels.api as sm

    frame = sm.datasets.co2.load_pandas().data
    return Table("co2", (_columns(frame),), "W-SAT", 52, "1958-03-29", source="statsmodels")


def _by_id(name: str, file: str, series_id: str, value: str, freq: str, season: int, begin: str) -> Callable[[], Table]:
    def read() -> Table:
        frame = pd.read_csv(_vega(file))
        groups = [_columns(group[[value]]) for _, group in frame.groupby(series_id, sort=False)]
        return Table(name, tuple(groups), freq, season, begin, source="vega-datasets")

    return read


def seattle_weather() -> Table:
    """Read daily weather, 2012 to 2015."""
    frame = pd.read_csv(_vega("seattle-weather.csv")).select_dtypes("number")
    return Table("seattle-weather", (_columns(frame),), "D", 7, "2012-01-01", source="vega-datasets")


def seattle_temps() -> Table:
    """Read hourly temperatures of 2010, the last 2,000 of them."""
    frame = pd.read_csv(_vega("seattle-temps.csv"))[["temp"]]
    return Table("seattle-temps", (_columns(frame)[-2000:],), "h", 24, "2010-10-01", source="vega-datasets")


def wheat() -> Table:
    """Read the price of wheat and wages in England, 1565 to 1810 by five years."""
    frame = pd.DataFrame(json.loads(_vega("wheat.json").read_text(encoding="utf-8")))[["wheat", "wages"]].dropna()
    return Table("wheat", (_columns(frame.astype(float)),), "D", 1, source="vega-datasets")


def intermittent() -> Table:
    """Draw daily demand of 20 articles, of which 60 to 90 % of the days have none."""
    rng = np.random.default_rng(1)
    series = [(rng.random(300) < share)[:, None] * rng.poisson(3, (300, 1)) for share in rng.uniform(0.1, 0.4, 20)]
    return Table("intermittent counts", tuple(item.astype(np.float64) for item in series), "D", 7)


def two_seasons() -> Table:
    """Draw hourly loads with a day and a week."""
    rng = np.random.default_rng(2)
    hours = np.arange(1680)
    day, week = np.sin(2 * np.pi * hours / 24), ((hours // 24) % 7 < 5) * 1.0
    noise = _autoregress(rng, len(hours), 0.7) * 0.15
    return Table("two seasons", ((10 + 2 * day * (0.5 + week) + 2 * week + noise)[:, None],), "h", 24)


def panel_of_scales() -> Table:
    """Draw 30 monthly series of levels from 10 to 10^7, with trend and season in proportion."""
    rng = np.random.default_rng(3)
    months = np.arange(96)
    series = []
    for level in np.logspace(1, 7, 30):
        season = 1 + rng.uniform(0.1, 0.4) * np.sin(2 * np.pi * (months / 12 + rng.random()))
        growth = np.exp(rng.normal(0, 0.006) * months + 0.02 * rng.normal(size=96).cumsum())
        series.append((level * season * growth * np.exp(0.05 * rng.normal(size=96)))[:, None])
    return Table("panel of scales", tuple(series), "MS", 12)


def trend_breaks() -> Table:
    """Draw 15 weekly series whose trend changes some time."""
    rng = np.random.default_rng(4)
    weeks = np.arange(156)
    series = []
    for _ in range(15):
        slopes = np.where(weeks < rng.integers(40, 140), rng.normal(0, 0.5), rng.normal(0, 0.5))
        series.append((100 + slopes.cumsum() + 2 * rng.normal(size=156))[:, None])
    return Table("trend breaks", tuple(series), "W-SUN", 1)


def random_walks() -> Table:
    """Draw 20 random walks by the business day."""
    rng = np.random.default_rng(5)
    series = [(50 * np.exp(0.015 * rng.normal(size=250).cumsum()))[:, None] for _ in range(20)]
    return Table("random walks", tuple(series), "B", 5)


def autoregressions() -> Table:
    """Draw 10 stationary series that swing with a period which is no season of the calendar."""
    rng = np.random.default_rng(6)
    series = []
    for _ in range(10):
        values = np.zeros(400)
        noise = rng.normal(size=400)
        for step in range(2, 400):
            values[step] = 1.7 * values[step - 1] - 0.85 * values[step - 2] + noise[step]
        series.append(values[100:, None])
    return Table("autoregressions", tuple(series), "D", 7)


def short_panel() -> Table:
    """Draw 40 quarterly series of 20 to 40 steps."""
    rng = np.random.default_rng(7)
    series = []
    for _ in range(40):
        length = int(rng.integers(20, 41))
        season = rng.uniform(0.5, 1.5) * np.tile([1, -0.5, -1.5, 1], 11)[:length]
        level = rng.uniform(20, 200) + rng.normal(0.3, 0.3) * np.arange(length) + rng.normal(size=length).cumsum()
        series.append((level + 3 * season + rng.normal(size=length))[:, None])
    return Table("short panel", tuple(series), "QS", 4)


def promotions() -> Table:
    """Draw daily sales of 8 shops with promotions, which are known ahead, and a week."""
    rng = np.random.default_rng(8)
    days = np.arange(420)
    series = []
    for _ in range(8):
        promotion = (rng.random(420) < 0.15) * 1.0
        sales = 20 + 4 * (days % 7 >= 5) + rng.uniform(5, 12) * promotion + _autoregress(rng, 420, 0.5)
        series.append(np.stack([sales, promotion], 1))
    return Table("promotions", tuple(series), "D", 7, num_known=1)


def growth_curves() -> Table:
    """Draw 10 logistic curves by the week, each at another stage."""
    rng = np.random.default_rng(9)
    weeks = np.arange(120)
    series = []
    for _ in range(10):
        curve = 100 / (1 + np.exp(-(weeks - rng.uniform(40, 140)) / rng.uniform(8, 20)))
        series.append((curve * np.exp(0.02 * _autoregress(rng, 120, 0.6)) + 1)[:, None])
    return Table("growth curves", tuple(series), "W-SUN", 1)


def _autoregress(rng: np.random.Generator, length: int, weight: float) -> Array:
    values = rng.normal(size=length)
    for step in range(1, length):
        values[step] += weight * values[step - 1]
    return values


SEVEN: tuple[Callable[[], Table], ...] = (
    us_employment,
    air_passengers,
    _statsmodels("sunspots", "sunspots", ["SUNACTIVITY"], "YS", 1, "1700-01-01"),
    _by_id("iowa-electricity", "iowa-electricity.csv", "source", "net_generation", "YS", 1, "2001-01-01"),
    _by_id("stocks", "stocks.csv", "symbol", "price", "MS", 12, "2000-01-01"),
    co2,
    seattle_weather,
)
OTHERS: tuple[Callable[[], Table], ...] = (
    seattle_temps,
    wheat,
    elnino,
    elec_equip,
    _statsmodels("macrodata", "macrodata", ["realgdp", "realcons", "cpi", "m1", "unemp"], "QS", 4, "1959-01-01"),
    _statsmodels("nile", "nile", ["volume"], "YS", 1, "1871-01-01"),
    _statsmodels("copper", "copper", ["WORLDCONSUMPTION", "COPPERPRICE"], "YS", 1, "1951-01-01"),
    _statsmodels("inflation", "interest_inflation", ["Dp", "R"], "QS", 4, "1972-04-01"),
    intermittent,
    two_seasons,
    panel_of_scales,
    trend_breaks,
    random_walks,
    autoregressions,
    short_panel,
    promotions,
    growth_curves,
)
