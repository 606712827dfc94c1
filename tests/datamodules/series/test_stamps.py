"""Time stamps: formats, several columns, zones, and columns that hold none."""

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightfit.datamodules.series.readings import to_strptime
from lightfit.datamodules.series.stamps import StampOptions, Stamps, holds_stamps, read_stamps
from lightfit.datamodules.series.zones import check_zone, format_stamps, to_utc, to_wall
from lightfit.errors import DataError, UsageError

DAYS = pd.date_range("2023-12-20", periods=60)
MONTHS = pd.date_range("2019-01-01", periods=72, freq="MS")
HOURS = pd.date_range("2024-02-27 21:00", periods=60, freq="h")
QUARTERS = pd.date_range("2001-01-01", periods=10, freq="QS")
WEEKS = pd.date_range("2020-12-07", periods=60, freq="W-MON")
MINUTES = pd.date_range("2024-01-31 11:07:30", periods=60, freq="13min")


def read(values: Any, name: str = "date", codes: list[int] | None = None, **options: Any) -> Stamps:
    column = values if isinstance(values, pd.Series) else pd.Series(values, name=name)
    numbers = None if codes is None else np.array(codes)
    return read_stamps([column], StampOptions(**options), codes=numbers, place="t.csv")


def read_columns(columns: dict[str, list[Any]], **options: Any) -> pd.DatetimeIndex:
    series = [pd.Series(values, name=name) for name, values in columns.items()]
    return pd.DatetimeIndex(read_stamps(series, StampOptions(**options), place="t.csv").times)


GERMAN = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober"]
GERMAN += ["November", "Dezember"]
FRENCH = ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre"]
FRENCH += ["décembre"]
SPANISH = ["enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre"]
SPANISH += ["noviembre", "diciembre"]
ITALIAN = ["gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre"]
ITALIAN += ["novembre", "dicembre"]


@pytest.mark.parametrize(
    ("times", "form"),
    [
        *(
            (DAYS, form)
            for form in ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%d.%m.%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%y")
        ),
        *(
            (DAYS, form)
            for form in ("%Y%m%d", "%d%m%Y", "%d/%m/%y", "%m/%d/%y", "%y-%m-%d", "%Y.%m.%d.", "%Y-%j", "%Y%j")
        ),
        *(
            (DAYS, form)
            for form in ("%d-%b-%y", "%d %B %Y", "%B %d, %Y", "%b %d %Y", "%d%b%Y", "%Y-%b-%d", "%a %d.%m.%Y")
        ),
        *((DAYS, form) for form in ("%Y年%m月%d日", "%G-W%V-%u", "%GW%V%u", "%Y-%m-%d 00:00:00", "%a, %d %b %Y")),
        *(
            (MONTHS, form)
            for form in ("%d/%m/%Y", "%m/%d/%Y", "%Y-%m", "%Y%m", "%m/%Y", "%b-%y", "%b %Y", "%B %Y", "%Y %b")
        ),
        *((MONTHS, form) for form in ("%YM%m", "%Y年%m月", "%d.%m.%Y")),
        *((HOURS, form) for form in ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.000", "%d.%m.%Y %H.%M")),
        *(
            (HOURS, form)
            for form in ("%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M:%S%p", "%Y%m%d%H", "%Y%m%dT%H%M%S", "%Y-%m-%d %H")
        ),
        *((HOURS, form) for form in ("%Y%m%d%H%M", "%d/%b/%Y:%H:%M:%S", "%a %b %d %H:%M:%S %Y", "%H:%M %d/%m/%Y")),
        *(
            (MINUTES, form)
            for form in ("%Y-%m-%d %H:%M:%S", "%Y%m%d%H%M%S", "%m/%d/%y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S.%f")
        ),
        *((WEEKS, form) for form in ("%G-W%V", "%GW%V", "W%V %G", "KW%V/%G")),
    ],
)
def test_a_format_is_found_from_the_column(times: pd.DatetimeIndex, form: str) -> None:
    stamps = read(times.strftime(form).to_series(index=range(len(times)), name="date"))
    assert stamps.zone is None
    np.testing.assert_array_equal(stamps.times, times.to_numpy())


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["31-JAN-24 01.00.00.000000 PM", "31-JAN-24 02.00.00.000000 PM"], "2024-01-31 13:00"),
        (["31JAN2024:13:00:00", "31JAN2024:14:00:00"], "2024-01-31 13:00"),
        (["31/12/2024 23:45", "1/1/2025 0:00"], "2024-12-31 23:45"),
        (["2024-01-01\u00a013:00", "2024-01-01\u00a014:00"], "2024-01-01 13:00"),
        (["\uff11\uff12/15/2024", "12/16/2024"], "2024-12-15"),
        (["2024/01/31 13h00", "2024/01/31 14h00"], "2024-01-31 13:00"),
        (["lunes, 15 de enero de 2024", "martes, 16 de enero de 2024"], "2024-01-15"),
        (["Monday, January 15, 2024", "Tuesday, January 16, 2024"], "2024-01-15"),
        (["1er janvier 2024", "2 janvier 2024"], "2024-01-01"),
        (["5th January 2024", "6th January 2024"], "2024-01-05"),
        (["  2024-01-01 ", "2024-01-02"], "2024-01-01"),
    ],
)
def test_formats_of_other_programs(cells: list[str], expected: str) -> None:
    assert read(cells).times[0] == np.datetime64(expected)


@pytest.mark.parametrize("names", [GERMAN, FRENCH, SPANISH, ITALIAN], ids=["de", "fr", "es", "it"])
def test_months_have_names_in_several_languages(names: list[str]) -> None:
    for joined in ("{0}. {1} {2}", "{0} de {1} de {2}", "{0}-{3}-{2}"):
        cells = [joined.format(t.day, names[t.month - 1], t.year, names[t.month - 1][:4]) for t in MONTHS]
        np.testing.assert_array_equal(read(cells).times, MONTHS.to_numpy())


@pytest.mark.parametrize(
    "form", ["{0}Q{1}", "{0}-Q{1}", "Q{1} {0}", "Q{1}/{0}", "{1}Q{0}", "{0} q{1}", "{0}T{1}", "{0}年第{1}季度"]
)
def test_quarters(form: str) -> None:
    cells = [form.format(time.year, time.quarter) for time in QUARTERS]
    stamps = read(cells)
    np.testing.assert_array_equal(stamps.times, QUARTERS.to_numpy())


def test_half_years() -> None:
    times = read(["2023H1", "2023H2", "2024H1"]).times
    assert times.astype("datetime64[M]").astype(str).tolist() == ["2023-01", "2023-07", "2024-01"]


@pytest.mark.parametrize(
    ("cells", "name", "expected", "zone"),
    [
        (HOURS.as_unit("ns").astype("int64") // 10**9, "x", HOURS, "UTC"),
        (HOURS.as_unit("ns").astype("int64") // 10**6, "x", HOURS, "UTC"),
        (HOURS.as_unit("ns").astype("int64") // 10**3, "x", HOURS, "UTC"),
        (HOURS.as_unit("ns").astype("int64"), "x", HOURS, "UTC"),
        ((HOURS.as_unit("ns").astype("int64") // 10**9).astype(str), "x", HOURS, "UTC"),
        (HOURS.as_unit("ns").astype("int64") / 1e9 + 0.5, "x", HOURS + pd.Timedelta("500ms"), "UTC"),
        (np.arange(45000, 45060), "Date", pd.date_range("2023-03-15", periods=60), None),
        (45000 + np.arange(60) / 24, "date", pd.date_range("2023-03-15", periods=60, freq="h"), None),
        ((45000 + np.arange(60) / 24).round(5), "date", pd.date_range("2023-03-15", periods=60, freq="h"), None),
        (np.arange(1960, 2020), "YEAR", pd.date_range("1960", periods=60, freq="YS"), None),
        (np.arange(1960, 2020) * 1.0, "x", pd.date_range("1960", periods=60, freq="YS"), None),
        (MONTHS.strftime("%Y%m").astype(int), "x", MONTHS, None),
        (DAYS.strftime("%Y%m%d").astype(int), "x", DAYS, None),
        (DAYS.to_numpy("datetime64[s]"), "x", DAYS, None),
        ([time.date() for time in DAYS], "x", DAYS, None),
        (pd.Categorical(DAYS.astype(str)), "x", DAYS, None),
        (QUARTERS.to_period("Q"), "x", QUARTERS, None),
    ],
)
def test_numbers_and_typed_columns(cells: Any, name: str, expected: pd.DatetimeIndex, zone: str | None) -> None:
    stamps = read(cells, name)
    assert stamps.zone == zone
    off = np.abs(stamps.times - expected.to_numpy()[: len(stamps.times)])
    assert off.max() <= np.timedelta64(1, "s")
    if "45000" not in str(cells):
        assert off.max() <= np.timedelta64(1, "us")


def test_24_hours_are_the_next_day() -> None:
    times = read(["30.12.2024 24:00", "31.12.2024 24:00", "01.01.2025 00:15"]).times
    assert pd.DatetimeIndex(times).astype(str).tolist() == [
        "2024-12-31 00:00:00",
        "2025-01-01 00:00:00",
        "2025-01-01 00:15:00",
    ]


def test_a_cell_without_a_time_is_midnight() -> None:
    times = read(["2024-01-01", "2024-01-01 12:00", "2024-01-02"]).times
    assert (np.diff(times) == np.timedelta64(12, "h")).all()


def test_months_are_not_made_into_days() -> None:
    stamps = read(MONTHS.strftime("%d/%m/%Y").tolist())
    assert stamps.found == "read as %d/%m/%Y (as %m/%d/%Y the steps would be less regular)"
    assert stamps.format == "%d/%m/%Y"


def test_steps_are_compared_by_series_and_in_any_order() -> None:
    cells = [*MONTHS.strftime("%m/%d/%Y"), *MONTHS[10:].strftime("%m/%d/%Y")]
    codes = [0] * 72 + [1] * 62
    order = np.random.default_rng(0).permutation(len(cells))
    stamps = read([cells[i] for i in order], codes=[codes[i] for i in order])
    np.testing.assert_array_equal(stamps.times, np.concatenate([MONTHS, MONTHS[10:]])[order])


def test_one_that_is_as_regular_in_both_formats_is_refused() -> None:
    cells = MONTHS[:12].strftime("%d/%m/%Y").tolist()
    with pytest.raises(
        DataError,
        match=r"'01/02/2019' in row 2 as 2019-02-01 or as 2019-01-02.* Set `date_format` to %d/%m/%Y or to %m/%d/%Y",
    ):
        read(cells)
    for form in ("%d/%m/%Y", "dd/mm/yyyy", "DD/MM/YYYY"):
        np.testing.assert_array_equal(read(cells, date_format=form).times, MONTHS[:12].to_numpy())
    np.testing.assert_array_equal(read(cells, likely="%d/%m/%Y").times, MONTHS[:12].to_numpy())
    np.testing.assert_array_equal(
        read(cells, date_format="%m/%d/%Y").times, pd.date_range("2019", periods=12).to_numpy()
    )
    assert len(read(DAYS.strftime("%m/%d/%Y"), likely="%d/%m/%Y").times) == 60  # it does not fit these


def test_one_wrong_cell_does_not_turn_all_others() -> None:
    cells = MONTHS.strftime("%m/%d/%Y").tolist()
    cells[30] = "31/07/2021"  # fits the other order, as do all others
    with pytest.raises(DataError, match="row 31 '31/07/2021' cannot be read .* by the format %m/%d/%Y"):
        read(cells)


def test_formats_of_the_users_own() -> None:
    assert read(["5|2019|03", "6|2019|03"], date_format="%d|%Y|%m").times.astype("datetime64[D]").astype(
        str
    ).tolist() == [
        "2019-03-05",
        "2019-03-06",
    ]
    assert to_strptime("yyyy-mm-dd HH:MM:SS") == "%Y-%m-%d %H:%M:%S"
    assert to_strptime("dd.MM.yy hh:mm a") == "%d.%m.%y %I:%M %p"
    assert to_strptime("mmm d, yyyy") == "%b %d, %Y"
    assert read([45000, 45001], "x", date_format="excel").times[0] == np.datetime64("2023-03-15")
    with pytest.raises(UsageError, match="expected `date_format` as a format of strptime"):
        read(["2024-01-01"], date_format="%Q")
    with pytest.raises(UsageError, match="expected `date_format` as a format of strptime"):
        read(["2024-01-01"], date_format="European")
    with pytest.raises(
        DataError, match="row 2 '2024-13-01' cannot be read as time stamps .* expected `date_format`|%d"
    ):
        read(["01/02/2024", "2024-13-01"], date_format="%d/%m/%Y")


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["1402/01/31", "1402/02/31"], "row 1: '1402/01/31' has a year of the Persian or Islamic calendar"),
        (["2567-01-01", "2567-01-02"], "row 1: '2567-01-01' has a year of the Buddhist calendar .* subtract 543"),
        (["2024-01-01", "9999-12-31"], "row 2: '9999-12-31' lies far off"),
        (["0001-01-01", "2024-01-01"], "row 1: '0001-01-01' lies far off .* from 1678 to 2261"),
        ([1400, 1401, 1402], "row 1: '1400' has a year of the Persian"),
        (["2024-01-01", "", "2024-01-03"], "number of empty cells: 1, the first in row 2"),
        (["2024-01-01", None, "2024-01-03"], "number of empty cells: 1, the first in row 2"),
        ([1.7e9, np.nan], "number of empty cells: 1, the first in row 2"),
        (
            ["2024-01-01", "2024-01-02", "2024-02-30", "Total"],
            "row 3 '2024-02-30', row 4 'Total' cannot be read .*2 of 4",
        ),
        (["2024-01-01", "2024-01-02", "3.1.2024"], "row 3 '3.1.2024' cannot be read as time stamps"),
        (["a", "b"], "expected time stamps such as .* received 'a' in row 1. Set `date_format`"),
        (["1-Jan", "2-Jan"], "'1-Jan' in row 1, which has no year"),
        ([f"Jan-{day:02d}" for day in range(1, 32)], "'Jan-01', 'Jan-02' may be days without a year"),
        (
            ["2009/10", "2010/11", "2011/12"],
            "'2009/10', '2010/11' are years that begin in one year and end in the next",
        ),
        (["2024-06-01 12:00 BST", "2024-06-01 13:00 BST"], "The abbreviation BST names no one zone: .* set `timezone`"),
        (["1959.042", "1959.125"], "received '1959.042' in row 1"),
        ([], "expected rows with time stamps, received none"),
        ([0, 1, 2, 3], "the column counts rows, and holds no stamps"),
        ([0.25, 0.5], "numbers with fractions, such as 0.25 in row 1"),
        ([True, False], "received true and false"),
        (["2024-W53", "2024-W52"], "row 1 '2024-W53' cannot be read"),
        (["2024-01-01 25:00", "2024-01-01 23:00", "2024-01-01 22:00"], "row 1 '2024-01-01 25:00' cannot be read"),
    ],
)
def test_what_is_refused_is_named_by_its_row(cells: list[Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read(cells)


def test_numbers_of_excel_need_a_name_that_says_so() -> None:
    with pytest.raises(DataError, match="serial numbers of days as in Excel, set `date_format` to excel"):
        read([43831, 43832], "x")


# ---------------------------------------------------------------------------------------------- several columns


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"date": ["01/02/2024", "13/02/2024"], "time": ["13:00", "1:05 AM"]},
            ["2024-02-01 13:00", "2024-02-13 01:05"],
        ),
        (
            {"Datum": ["1.2.2024", "2.2.2024"], "Uhrzeit": [datetime.time(7), datetime.time(8)]},
            ["2024-02-01 07:00", "2024-02-02 08:00"],
        ),
        ({"date": [20240201, 20240202], "time": [1, 24]}, ["2024-02-01 01:00", "2024-02-03 00:00"]),
        ({"date": [20240201, 20240202], "time": [30, 1345]}, ["2024-02-01 00:30", "2024-02-02 13:45"]),
        ({"year": [2024, 2024], "month": [1, 12]}, ["2024-01-01", "2024-12-01"]),
        ({"month": ["Jan", "december"], "year": [2024, 2024]}, ["2024-01-01", "2024-12-01"]),
        ({"year": [2024, 2024], "period": ["M01", "M02"]}, ["2024-01-01", "2024-02-01"]),
        ({"year": [2024, 2024], "month": [2, 2], "day": [28, 29]}, ["2024-02-28", "2024-02-29"]),
        ({"year": [2024, 2024], "month": [2, 2], "day": [1, 1], "hour": [0, 24]}, ["2024-02-01", "2024-02-02"]),
        ({"yr": [2024, 2024], "qtr": ["Q1", "Q4"]}, ["2024-01-01", "2024-10-01"]),
        ({"year": [2020, 2021], "week": [53, 1]}, ["2020-12-28", "2021-01-04"]),
        ({"Jahr": [2024, 2024], "doy": [60, 366]}, ["2024-02-29", "2024-12-31"]),
        ({"a": [2023, 2024], "b": [1, 12]}, ["2023-01-01", "2024-12-01"]),
    ],
)
def test_columns_that_make_a_stamp_together(columns: dict[str, list[Any]], expected: list[str]) -> None:
    assert read_columns(columns).tolist() == [pd.Timestamp(text) for text in expected]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (
            {"year": [2024, 2024], "month": [1, 2], "day": [31, 30]},
            "row 2: the column 'day' holds 30, and the month 2024-02",
        ),
        ({"year": [2024, 2024], "month": [1, 13]}, "row 2: '13' in the column 'month'; expected a number from 1 to 12"),
        ({"year": [2024, 2024], "week": [1, 53]}, "row 2: the year 2024 has no week 53"),
        ({"year": [1402, 1402], "month": [1, 2]}, "Persian or Islamic"),
        ({"date": ["2024-01-01"], "time": ["later"]}, "'later' in the column 'time'; expected a time of day"),
        ({"date": ["2024-01-01"], "time": [2561]}, "2561 in the column 'time'; expected a time of day"),
        ({"x": ["a"], "y": ["b"]}, "cannot tell what the column 'x' is for"),
        ({"month": [1], "day": [2]}, "expected a column of dates or of years among them"),
    ],
)
def test_columns_that_make_none(columns: dict[str, list[Any]], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_columns(columns)


# -------------------------------------------------------------------------------------------------------- zones

BERLIN = "Europe/Berlin"


def test_offsets_of_one_zone_are_kept() -> None:
    times = pd.date_range("2024-01-01", periods=2880, freq="h", tz=BERLIN)
    stamps = read([time.isoformat() for time in times])
    assert (stamps.zone, stamps.found) == (
        BERLIN,
        "offsets +01:00 and +02:00, the rule of Europe/Berlin; `timezone` names another one",
    )
    np.testing.assert_array_equal(stamps.times, times.tz_convert(None).to_numpy())
    np.testing.assert_array_equal(to_wall(stamps.times, stamps.zone), times.tz_localize(None).to_numpy())
    texts = format_stamps(stamps.times[2157:2160], stamps.zone)
    assert texts.tolist() == ["2024-03-30 21:00:00+01:00", "2024-03-30 22:00:00+01:00", "2024-03-30 23:00:00+01:00"]


@pytest.mark.parametrize(
    ("cells", "zone"),
    [
        (["2024-01-01T00:00Z", "2024-01-01T01:00Z"], "UTC"),
        (["2024-01-01 00:00+05:30", "2024-01-01 01:00+05:30"], "+05:30"),
        (["2024-01-01 00:00 CET", "2024-07-01 00:00 CEST"], BERLIN),
        (["2024-01-01T00:00+01:00[Europe/Berlin]", "2024-07-01T00:00+02:00[Europe/Berlin]"], BERLIN),
        (["Mon, 15 Jan 2024 10:00:00 GMT", "Tue, 16 Jan 2024 10:00:00 GMT"], "UTC"),
        (["2024-06-01 12:00 Europe/Paris", "2024-12-01 13:00 Europe/Paris"], "Europe/Paris"),
        (["Wed Jan 31 13:00:00 CET 2024", "Wed Jan 31 14:00:00 CET 2024"], "+01:00"),
        (["2024-01-15 10:00:00 -0500", "2024-07-16 10:00:00 -0400"], "America/New_York"),
    ],
)
def test_offsets_in_other_spellings(cells: list[str], zone: str) -> None:
    assert read(cells).zone == zone


def test_typed_columns_keep_their_zone() -> None:
    times = pd.date_range("2024-03-30", periods=72, freq="h", tz=BERLIN)
    assert read(pd.Series(times, name="t")).zone == BERLIN
    assert read(pd.Series(list(times), dtype=object, name="t")).zone == BERLIN
    assert read(pd.Series(times, name="t"), timezone="Asia/Tokyo").zone == "Asia/Tokyo"
    np.testing.assert_array_equal(read(pd.Series(times, name="t")).times, times.tz_convert(None).to_numpy())


def test_offsets_that_no_zone_explains_are_refused() -> None:
    cells = ["2024-01-01T00:00+01:00", "2024-01-01T01:00+01:00", "2024-01-01T00:00-05:00"]
    with pytest.raises(DataError, match=r"offsets -05:00, \+01:00 are mixed .* \(row 3 has -05:00\).* set `timezone`"):
        read(cells)
    stamps = read(cells, timezone="UTC")
    assert [str(time)[11:16] for time in stamps.times] == ["23:00", "00:00", "05:00"]
    with pytest.raises(DataError, match="1 stamps have no offset from UTC, the first in row 2"):
        read(["2024-01-01T00:00+01:00", "2024-01-01T01:00"])
    assert len(set(read(["2024-01-01T00:00+01:00", "2024-01-01T00:00"], timezone=BERLIN).times)) == 1


def local_hours(start: str, periods: int = 6) -> list[str]:
    return pd.date_range(start, periods=periods, freq="h", tz=BERLIN).strftime("%Y-%m-%d %H:%M").tolist()


def test_the_hour_that_comes_twice_is_a_choice() -> None:
    cells = local_hours("2024-10-27 00:00")  # 00, 01, 02, 02, 03, 04
    with pytest.raises(
        DataError,
        match="row 3: 2024-10-27 02:00:00 comes twice in Europe/Berlin.* Set `ambiguous` to earlier, to later",
    ):
        read(cells, timezone=BERLIN)
    for choice, hours in {"earlier": [0, 0], "later": [1, 1], "infer": [0, 1]}.items():
        times = pd.DatetimeIndex(read(cells, timezone="europe/berlin", ambiguous=choice).times)
        assert times.hour.tolist()[2:4] == hours
    with pytest.raises(DataError, match="may be either of two hours .* occurs once"):
        read(cells[:3], timezone=BERLIN, ambiguous="infer")


def test_the_hour_is_inferred_in_each_series() -> None:
    one = [f"2024-10-27 02:{minute:02d}" for minute in (0, 15, 30, 45, 0, 15, 30, 45)]
    stamps = read([*one, *one], codes=[0] * 8 + [1] * 8, timezone=BERLIN, ambiguous="infer")
    for part in (stamps.times[:8], stamps.times[8:]):
        assert set(np.diff(part)) == {np.timedelta64(15, "m")}


def test_the_hour_that_is_skipped_is_a_choice() -> None:
    cells = ["2024-03-31 01:30", "2024-03-31 02:30", "2024-03-31 03:45"]
    with pytest.raises(
        DataError,
        match="row 2: 2024-03-31 02:30:00 does not exist in Europe/Berlin.* `nonexistent` to forward or to backward",
    ):
        read(cells, timezone=BERLIN)
    wall = {
        choice: to_wall(read(cells, timezone=BERLIN, nonexistent=choice).times, BERLIN)
        for choice in ("forward", "backward")
    }
    assert [str(times[1])[11:16] for times in wall.values()] == ["03:30", "01:30"]


def test_zones_by_their_names() -> None:
    assert check_zone("america/new york") == "America/New_York"
    assert check_zone("+0530") == "+05:30"
    with pytest.raises(UsageError, match="expected `timezone` as a name of the IANA time zone database.* 'Mars/Base'"):
        read(["2024-01-01"], timezone="Mars/Base")


def test_local_times_return_from_utc() -> None:
    for zone in (BERLIN, "America/St_Johns", "Australia/Lord_Howe", "+02:00", "UTC"):
        utc = pd.date_range("2023-01-01", "2024-12-31", freq="7h").to_numpy("datetime64[ns]")
        wall = to_wall(utc, zone)
        once = pd.Series(wall).map(pd.Series(wall).value_counts()).to_numpy() == 1
        back = to_utc(wall, zone)
        late = (back != utc) & once
        assert (np.abs(back - utc)[late] <= np.timedelta64(1, "h")).all()
        assert late.sum() <= 1  # in the hour that comes twice, the earlier one


def test_stamps_are_written_for_their_user() -> None:
    times = DAYS.to_numpy("datetime64[ns]")
    assert format_stamps(times[:2], None).tolist() == ["2023-12-20", "2023-12-21"]
    assert format_stamps(HOURS.to_numpy()[:1], None).tolist() == ["2024-02-27 21:00:00"]
    assert format_stamps(times[:2].reshape(1, 2), "+05:30").tolist() == [
        ["2023-12-20 05:30:00+05:30", "2023-12-21 05:30:00+05:30"]
    ]


# ------------------------------------------------------------------------------------------------- which columns


def spread(make: Callable[[int], Any], size: int = 200) -> list[Any]:
    return [make(index) for index in range(size)]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("a", DAYS.strftime("%Y-%m-%d").tolist()),
        ("a", DAYS.strftime("%d.%m.%Y").tolist()),
        ("a", DAYS.strftime("%d.%m.%y").tolist()),
        ("a", DAYS.strftime("%Y%m%d").astype(int).tolist()),
        ("a", MONTHS.strftime("%Y-%m").tolist()),
        ("a", MONTHS.strftime("%Y%m").astype(int).tolist()),
        ("a", MONTHS.strftime("%b-%y").tolist()),
        ("a", (HOURS.as_unit("ns").astype("int64") // 10**9).tolist()),
        ("a", ["2001Q1", "2001Q2"]),
        ("a", ["2024-W05", "2024-W06"]),
        ("a", [*DAYS.strftime("%Y-%m-%d"), "Total"]),
        ("year", list(range(1990, 2020))),
        ("InvoiceDate", [43831, 43832]),
        ("date", [43831.25, 43831.5]),
        ("pickup_datetime", HOURS.strftime("%m/%d/%Y %I:%M %p").tolist()),
        ("Month", ["Jan 2015", "Feb 2015"]),
        ("a", DAYS.tolist()),
    ],
)
def test_columns_that_hold_stamps(name: str, cells: list[Any]) -> None:
    assert holds_stamps(pd.Series(cells), name)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("shop", ["M1", "M2"]),
        ("id", spread(lambda i: f"2024-{i + 1:03d}")),
        ("pair", ["1-2", "1-3", "2-2"]),
        ("id", ["A-01", "A-02"]),
        ("version", ["1.2.3", "1.2.4"]),
        ("n", list(range(200))),
        ("n", list(range(1900, 2100))),
        ("n", list(range(43000, 43200))),
        ("n", list(range(100000, 100200))),
        ("n", list(range(20240101, 20240301))),
        ("n", spread(lambda i: 10**9 + i)),
        ("phone", spread(lambda i: 1_500_000_000 + 7919 * i * i)),
        ("x", [0.1, 0.2]),
        ("realcons", [1707.4, 1733.7, 1751.8]),
        ("amount", ["1707.4", "1733.7", "1751.8"]),
        ("x", [True, False]),
        ("time", ["13:00", "14:00"]),
        ("month", ["Jan", "Feb"]),
        ("price", ["1.234.567", "2.345.678"]),
        ("ip", ["10.0.0.1", "10.0.0.2"]),
        ("x", [None, None]),
        ("x", []),
    ],
)
def test_columns_that_hold_none(name: str, cells: list[Any]) -> None:
    assert not holds_stamps(pd.Series(cells), name)
