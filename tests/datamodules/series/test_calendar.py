"""Calendars: which one stamps keep to, their continuation, and what is refused."""

import sys

import numpy as np
import pandas as pd
import pytest

from lightfit.datamodules.series.calendar import Calendar, find_calendar
from lightfit.datamodules.series.zones import format_stamps
from lightfit.errors import DataError, MissingPackageError, UsageError

RNG = np.random.default_rng(0)


def find(times: pd.DatetimeIndex | list[str], starts: list[int] | None = None, **options: str | None) -> Calendar:
    ticks = to_ticks(pd.DatetimeIndex(times))
    zone = pd.DatetimeIndex(times).tz
    rows = np.array([0, len(ticks)] if starts is None else starts)
    if zone is not None:
        options["zone"] = str(zone)
    return find_calendar(ticks, rows, place="t.csv", **options)  # type: ignore[arg-type]


def to_ticks(times: pd.DatetimeIndex) -> np.ndarray:
    return (times if times.tz is None else times.tz_convert(None)).to_numpy("datetime64[ns]")


def go_on(calendar: Calendar, times: pd.DatetimeIndex | list[str], steps: int = 3) -> list[str]:
    last = to_ticks(pd.DatetimeIndex(times))[-1:]
    return list(format_stamps(calendar.extend(last, steps)[0], calendar.zone))


def make(start: str, count: int, freq: str, zone: str | None = None) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq=freq, tz=zone)


@pytest.mark.parametrize(
    ("times", "name", "season", "after"),
    [
        (make("2024", 100, "h"), "h", 24, ["2024-01-05 04:00:00", "2024-01-05 05:00:00"]),
        (make("2024-01-01 00:07", 100, "15min"), "15min", 96, ["2024-01-02 01:07:00", "2024-01-02 01:22:00"]),
        (make("2024", 100, "10s"), "10s", 6, ["2024-01-01 00:16:40", "2024-01-01 00:16:50"]),
        (make("2024", 100, "100ms"), "100ms", 600, ["2024-01-01 00:00:10.000", "2024-01-01 00:00:10.100"]),
        (make("2024", 60, "D"), "D", 7, ["2024-03-01", "2024-03-02"]),
        (make("2024-01-01", 5, "D"), "D", 7, ["2024-01-06", "2024-01-07"]),
        (make("2024", 30, "B"), "B", 5, ["2024-02-12", "2024-02-13"]),  # 2024-02-09 is a Friday
        (make("2024", 30, "W-WED"), "W-WED", 52, ["2024-07-31", "2024-08-07"]),
        (make("2024", 30, "2W-WED"), "2W-WED", 26, ["2025-02-26", "2025-03-12"]),
        (make("2020", 13, "MS"), "MS", 12, ["2021-02-01", "2021-03-01"]),
        (make("2020", 13, "ME"), "ME", 12, ["2021-02-28", "2021-03-31"]),
        (pd.DatetimeIndex(["2023-11-30", "2023-12-31", "2024-01-31"]), "ME", 12, ["2024-02-29", "2024-03-31"]),
        (make("2020", 13, "MS") + pd.Timedelta(days=14), "MS-15", 12, ["2021-02-15", "2021-03-15"]),
        (pd.DatetimeIndex(["2024-01-15", "2024-02-15"]), "MS-15", 12, ["2024-03-15", "2024-04-15"]),
        (pd.DatetimeIndex(["2023-11-30", "2023-12-30", "2024-01-30"]), "MS-30", 12, ["2024-02-29", "2024-03-30"]),
        (make("2015", 96, "BME"), "BME", 12, ["2023-01-31", "2023-02-28"]),
        (make("2020", 16, "BMS"), "BMS", 12, ["2021-05-03", "2021-06-01"]),
        (make("2020", 13, "QS"), "QS-JAN", 4, ["2023-04-01", "2023-07-01"]),
        (make("2020", 13, "QE"), "QE-DEC", 4, ["2023-06-30", "2023-09-30"]),
        (make("2020", 13, "QS-FEB"), "QS-FEB", 4, ["2023-05-01", "2023-08-01"]),
        (make("2020", 13, "BQE"), "BQE-DEC", 4, ["2023-06-30", "2023-09-29"]),
        (make("2020", 13, "6MS"), "6MS", 2, ["2026-07-01", "2027-01-01"]),
        (make("1700", 13, "YS"), "YS-JAN", 1, ["1713-01-01", "1714-01-01"]),
        (make("1990", 13, "YE-JUN"), "YE-JUN", 1, ["2003-06-30", "2004-06-30"]),
        (make("2024", 13, "30D"), "30D", 1, ["2025-01-25", "2025-02-24"]),
    ],
)
def test_calendars_are_found_and_continued(times: pd.DatetimeIndex, name: str, season: int, after: list[str]) -> None:
    calendar = find(times)
    assert (calendar.name, calendar.season, go_on(calendar, times, 2)) == (name, season, after)
    steps, fits = calendar.number(to_ticks(times))
    assert fits.all()
    assert (np.diff(steps) == 1).all()
    np.testing.assert_array_equal(calendar.stamps(steps), to_ticks(times))
    assert Calendar.from_dict(calendar.to_dict()) == calendar
    again = find(times, freq=name)  # a name is a frequency
    assert (again.name, go_on(again, times, 2)) == (name, after)


@pytest.mark.parametrize("freq", ["15min", "D", "B", "W-SUN", "MS", "BME", "QE", "YS"])
def test_gaps_are_steps(freq: str) -> None:
    every = make("2001", 120, freq)
    times = every[np.sort(RNG.choice(120, 110, replace=False))]
    calendar = find(times)
    assert calendar.kind == find(every).kind
    steps, _ = calendar.number(to_ticks(times))
    if freq != "B":  # days that are missing here are holidays
        assert (np.diff(steps) - 1).sum() == len(every[(every >= times[0]) & (every <= times[-1])]) - 110


def test_hours_may_be_missing_each_day() -> None:
    every = make("2024", 960, "15min")
    times = every[every.hour < 18]
    assert find(times).name == "15min"


def test_weekdays_of_ones_own() -> None:
    days = make("2024", 100, "D")
    assert find(days[days.day_of_week < 6]).describe() == "B-1111110 (each Mon, Tue, Wed, Thu, Fri, Sat)"
    calendar = find(days[np.isin(days.day_of_week, (0, 2, 4))])
    assert calendar.season == 3
    assert go_on(calendar, ["2024-03-08"]) == ["2024-03-11", "2024-03-13", "2024-03-15"]


def test_a_few_days_are_no_calendar_of_weekdays() -> None:
    times = pd.DatetimeIndex(["1992-04-29", "1992-04-30", "1992-05-01", "1992-05-02", "1992-05-03", "1992-06-26"])
    assert find(times).name == "D"


def test_the_datas_own_holidays() -> None:
    days = pd.bdate_range("2018-01-02", "2023-12-29")
    closed = [f"{year}-{date}" for year in range(2018, 2024) for date in ("12-25", "05-01", "01-01")] + ["2023-04-07"]
    times = days[~days.isin(pd.DatetimeIndex(closed))]
    calendar = find(times)
    assert np.diff(calendar.number(to_ticks(times))[0]).max() == 1
    assert go_on(calendar, times, 1) == ["2024-01-02"]  # New Year was closed in all years
    later = pd.bdate_range("2024-01-02", "2024-06-28").drop("2024-03-29")
    rows = np.array([0, len(later)])
    assert np.diff(calendar.number(to_ticks(later))[0]).max() == 2
    learned = calendar.learn_holidays(to_ticks(later), rows)
    steps, fits = learned.number(to_ticks(later))
    assert fits.all()
    assert np.diff(steps).max() == 1


def test_a_long_gap_is_no_holiday() -> None:
    days = pd.bdate_range("2020-01-01", "2023-12-29")
    times = days[(days < "2021-03-01") | (days > "2021-04-01")]
    calendar = find(times)
    assert calendar.holidays == ()
    assert np.diff(calendar.number(to_ticks(times))[0]).max() == 25


def test_holidays_of_a_country() -> None:
    pytest.importorskip("holidays")
    times = pd.bdate_range("2023-12-01", "2024-04-26").drop(["2023-12-25", "2023-12-26", "2024-01-01"])
    calendar = find(times, holidays="DE")
    assert go_on(calendar, times, 3) == ["2024-04-29", "2024-04-30", "2024-05-02"]  # 1 May
    assert calendar.number(to_ticks(times))[1].all()  # Easter, which the table has
    assert go_on(find(times, holidays="NYSE"), ["2024-07-03"], 1) == ["2024-07-05"]
    with pytest.raises(UsageError, match="expected `holidays` as the code of a country .* received 'XX'"):
        find(times, holidays="XX")


def test_holidays_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'lightfit\[holidays\]'"):
        find(make("2024", 30, "B"), holidays="DE")


@pytest.mark.parametrize(
    ("times", "name", "after", "said"),
    [
        (
            make("2024", 200, "h") + pd.to_timedelta(RNG.integers(-200, 200, 200), unit="s"),
            "h",
            "2024-01-09 08:00:00",
            "h, rounded to it: the largest shift is 00:03:",
        ),
        (
            make("2024", 200, "h") + pd.to_timedelta(RNG.integers(0, 1500, 200), unit="s"),
            "h",
            "2024-01-09 08:00:00",
            "00:24",
        ),
        (
            make("2024-01-01 00:30", 200, "h") + pd.to_timedelta(RNG.integers(-200, 200, 200), unit="s"),
            "h",
            "2024-01-09 08:30:00",
            "00:03:",
        ),
        (make("2024", 60, "D") + pd.to_timedelta(RNG.integers(0, 86399, 60), unit="s"), "D", "2024-03-01", "rounded"),
        (make("2020", 60, "MS") + pd.to_timedelta(RNG.integers(0, 27, 60), unit="D"), "MS", "2025-01-01", "rounded"),
    ],
)
def test_stamps_that_are_off_are_rounded(times: pd.DatetimeIndex, name: str, after: str, said: str) -> None:
    calendar = find(times)
    assert (calendar.name, go_on(calendar, times, 1)) == (name, [after])
    assert said in calendar.describe()
    steps, fits = calendar.number(to_ticks(times))
    assert fits.all()
    assert (np.diff(steps) == 1).all()


def test_a_month_end_before_a_holiday_is_one() -> None:
    times = make("2015", 96, "BME").to_series()
    times.iloc[38] = pd.Timestamp("2018-03-29")  # before Good Friday and Easter
    times.iloc[38 + 36] = times.iloc[38 + 36] - pd.Timedelta(days=1)
    calendar = find(pd.DatetimeIndex(times))
    assert (calendar.name, go_on(calendar, ["2022-12-30"], 2)) == ("BME", ["2023-01-31", "2023-02-28"])


# ------------------------------------------------------------------------------------------------------- zones


@pytest.mark.parametrize(
    ("times", "name", "after"),
    [
        (make("2024-03-20", 261, "h", "Europe/Berlin"), "h", ["2024-03-30 21:00:00+01:00"]),
        (make("2024-03-20", 269, "h", "Europe/Berlin"), "h", ["2024-03-31 06:00:00+02:00"]),
        (make("2024-03-20", 11, "D", "Europe/Berlin"), "D", ["2024-03-31 00:00:00+01:00", "2024-04-01 00:00:00+02:00"]),
        (make("2024-03-01", 30, "B", "Europe/Berlin"), "B", ["2024-04-12 00:00:00+02:00", "2024-04-15 00:00:00+02:00"]),
        (
            make("2024-01-01", 10, "MS", "Europe/Berlin"),
            "MS",
            ["2024-11-01 00:00:00+01:00", "2024-12-01 00:00:00+01:00"],
        ),
    ],
)
def test_days_keep_their_local_time(times: pd.DatetimeIndex, name: str, after: list[str]) -> None:
    calendar = find(times)
    assert (calendar.name, go_on(calendar, times, len(after))) == (name, after)
    steps, fits = calendar.number(to_ticks(times))
    assert fits.all()
    assert (np.diff(steps) == 1).all()


def test_a_time_of_day_that_is_skipped_is_a_step() -> None:
    times = make("2024-03-20 02:30", 30, "D").tz_localize("Europe/Berlin", nonexistent=pd.Timedelta("1h"))
    calendar = find(times)
    assert (calendar.name, calendar.shift) == ("D", 0)
    assert go_on(calendar, times, 1) == ["2024-04-19 02:30:00+02:00"]


def test_twice_a_day_in_local_time() -> None:
    times = make("2024-03-20 08:00", 60, "12h").tz_localize("Europe/Berlin")
    calendar = find(times)
    assert (calendar.name, calendar.local) == ("12h", True)


# -------------------------------------------------------------------------------------------------- several series


def test_series_vote() -> None:
    times = np.concatenate([make("2024", 50, "h"), make("2023-05-01", 1, "D"), make("2024-02", 50, "h")])
    calendar = find(pd.DatetimeIndex(times), [0, 50, 51, 51, 101])
    assert calendar.name == "h"


def test_the_odd_series_is_named() -> None:
    times = np.concatenate(
        [make("2024", 50, "h"), make("2024", 5, "D") + pd.Timedelta("5h13min"), make("2024", 50, "h")]
    )
    with pytest.raises(DataError, match="t.csv, series b: irregular time steps: 2024-01-01 05:13:00 is not h after"):
        find_calendar(times, np.array([0, 50, 55, 105]), names=["a", "b", "c"], place="t.csv")


def test_weeks_on_different_days_are_not_rounded() -> None:
    times = np.concatenate([make("2024", 20, f"W-{day}") for day in ("MON", "WED", "FRI")])
    with pytest.raises(DataError, match="irregular time steps"):
        find(pd.DatetimeIndex(times), [0, 20, 40, 60])


def test_many_short_series() -> None:
    times = np.tile(to_ticks(make("2024-01-05", 3, "D")), 20_000)
    assert find_calendar(times, np.arange(20_001) * 3, place="t.csv").name == "D"


# ---------------------------------------------------------------------------------------------------- by frequency


@pytest.mark.parametrize(
    ("freq", "times", "name"),
    [
        ("H", make("2024", 5, "h"), "h"),
        ("60min", make("2024", 5, "h"), "h"),
        ("T", make("2024", 5, "min"), "min"),
        ("M", make("2024", 5, "ME"), "ME"),
        ("M", make("2024", 5, "MS") + pd.Timedelta(days=14), "MS-15"),
        ("monthly", make("2024", 5, "BME"), "BME"),
        ("Q", make("2024", 5, "QE"), "QE-DEC"),
        ("A", make("2024", 5, "YE"), "YE-DEC"),
        ("Y", make("2024", 5, "YS"), "YS-JAN"),
        ("W", make("2024", 5, "W-MON"), "W-MON"),
        ("7D", make("2024", 5, "W-MON"), "W-MON"),
        ("daily", make("2024", 5, "W-MON"), "D"),
        ("B", make("2024-01-01", 5, "D"), "B"),
        ("h", make("2024", 1, "D"), "h"),
        ("rows", pd.DatetimeIndex(["2024-01-01", "2024-01-03", "2024-01-04 05:00"]), "rows"),
    ],
)
def test_a_frequency_may_be_given(freq: str, times: pd.DatetimeIndex, name: str) -> None:
    assert find(times, freq=freq).name == name


def test_rows_are_continued_at_the_median_distance() -> None:
    times = ["2024-01-01", "2024-01-03", "2024-01-04", "2024-01-06"]
    calendar = find(times, freq="rows")
    assert go_on(calendar, times, 2) == ["2024-01-08", "2024-01-10"]
    assert (calendar.season, calendar.describe()) == (1, "each row a step")
    with pytest.raises(DataError, match="with `freq` rows, a step has no time stamp"):
        calendar.stamps(np.arange(2))


@pytest.mark.parametrize("freq", ["fortnight", "SME", "0h", "W-XXX", "MS-40", "B-1234567", "h-MON", ""])
def test_frequencies_that_are_not_known(freq: str) -> None:
    with pytest.raises(UsageError, match="expected `freq` as a frequency of pandas, .* or as rows .* received"):
        find(make("2024", 5, "D"), freq=freq)


@pytest.mark.parametrize(
    ("times", "freq", "problem"),
    [
        (
            ["2024-01-01", "2024-01-02", "2024-01-03 05:00", "2024-01-04", "2024-01-05"],
            None,
            "2024-01-03 05:00:00 is not D after the one before, as most .* set `freq` to .* or to rows",
        ),
        (
            ["2024-01-01", "2024-01-02", "2024-01-03 05:30"],
            "h",
            r"2024-01-03 05:30:00 is not a multiple of h after 2024-01-01 00:00:00 \(1 of 3 stamps\)",
        ),
        (["2024-01-01", "2024-01-02", "2024-01-06"], "B", "2024-01-06 00:00:00 is not a multiple of B after"),
        (["2024-01-01", "2024-01-08"], "W-SUN", r"2024-01-01 00:00:00 is not a multiple of W-SUN \(2 of 2"),
        ([*make("2024", 9, "h").astype(str), "2199-01-01"], None, "2199-01-01 00:00:00 is 1534024 steps of h after"),
        (
            ["2024-01-01", "2024-01-03", "2024-01-04 05:00", "2024-02-04", "2024-02-05 03:12"],
            None,
            "after the one before, and no distance is that of most steps",
        ),
        (["2024-01-01"], None, "expected at least two rows in a series"),
    ],
)
def test_irregular_stamps_are_named(times: list[str], freq: str | None, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        find(pd.DatetimeIndex(pd.to_datetime(times, format="ISO8601")), freq=freq)
