"""Tables of series: formats, columns, time steps, missing values."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_series
from workbooks import write_xlsx

from lightfit.datamodules.series.calendar import (
    ROWS,
    complete_steps,
    continue_steps,
    fill_gaps,
    find_freq,
    guess_season,
)
from lightfit.datamodules.series.table import Series, SeriesColumns, choose_roles, read_frame, split_series
from lightfit.datamodules.splits import split_by_time
from lightfit.errors import DataError

NAN = float("nan")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.parquet", "semicolons.csv", "tabs.csv", "A.CSV"])
def test_formats_give_the_same_table(name: str) -> None:
    table = make_series(30)
    if name.endswith(".parquet"):
        table.to_parquet(name)
    else:
        separator = "\t" if name.startswith(("tabs", "a.t")) else ";" if name.startswith("semi") else ","
        table.to_csv(name, index=False, sep=separator, encoding="utf-8-sig")
    read = read_frame(Path(name))
    roles = choose_roles(read, [], SeriesColumns(), name)
    assert roles == ("date", None, ("load", "wind"), (), ())
    (one,) = split_series(read, time="date", series_id=None, values=roles.values, place=name)
    assert one.times.equals(pd.DatetimeIndex(table["date"]))
    np.testing.assert_allclose(one.values, table[["load", "wind"]])


@pytest.mark.parametrize(
    "name", ["a.csv.gz", "a.json", "a.jsonl", "a.feather", "a.xlsx", "utf16.csv", "cp1252.csv", "without-an-ending"]
)
def test_more_formats_give_the_same_table(name: str, tmp_path: Path) -> None:
    table = make_series(30).assign(site="Gr\u00fcnau")
    table["date"] = table["date"].astype(str)
    if ".json" in name:
        table.to_json(name, orient="records", lines=name.endswith("l"))
    elif name == "a.feather":
        table.to_feather(name)
    elif name == "a.xlsx":
        write_xlsx(Path(name), {"a": [list(table.columns), *table.values.tolist()]})
    else:
        encoding = {"utf16.csv": "utf-16", "cp1252.csv": "cp1252"}.get(name, "utf-8")
        table.to_csv(name, index=False, encoding=encoding, sep=";" if name == "cp1252.csv" else ",")
        if name == "cp1252.csv":
            Path(name).write_bytes(
                Path(name).read_bytes().replace("Grünau".encode("cp1252"), "schön grün und".encode("cp1252"))
            )
            table["site"] = "schön grün und"
    read = read_frame(Path(name))
    assert list(read["site"]) == list(table["site"])
    roles = choose_roles(read, [], SeriesColumns(), name)
    assert roles == ("date", None, ("load", "wind"), (), ())
    (one,) = split_series(read, time="date", series_id=None, values=roles.values, place=name)
    np.testing.assert_allclose(one.values, table[["load", "wind"]])


def test_a_parquet_table_by_date() -> None:
    make_series(30).set_index("date").to_parquet("a.parquet")
    assert list(read_frame(Path("a.parquet")).columns) == ["date", "load", "wind"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("no.csv", None, "no file at 'no.csv'"),
        ("a.json", b"{}", "holds no rows"),
        ("a.csv", b"", "cannot be read as a table"),
        ("a.csv", b"date,a\n", "holds no rows"),
        ("a.csv", b"date,a\n2024-01-01,1,2,3\n2024-01-02,1\n", "more fields than its header"),
        ("a.csv", "dãte,a\n2024-01-01,1\n".encode("latin1"), "not UTF-8"),
        ("a.parquet", b"PAR1", "cannot be read as a table: .*Parquet file size"),
    ],
)
def test_files_that_are_not_tables(name: str, content: bytes | None, problem: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises((DataError, FileNotFoundError, LookupError), match=problem):
        choose_roles(read_frame(Path(name)), ["a"], SeriesColumns(time="date"), name)


def test_columns_by_what_they_are_for() -> None:
    table = make_series(30).assign(shop="x", holiday=0, note="text")
    columns = SeriesColumns(series_id="shop", past=("wind",), known=("holiday",))
    roles = choose_roles(table, [], columns, "a.csv")
    assert roles == ("date", "shop", ("load",), ("wind",), ("holiday",))
    assert roles.values == ("load", "wind", "holiday")


@pytest.mark.parametrize(
    ("target", "columns", "problem"),
    [
        (["laod"], SeriesColumns(), "a.csv has no column 'laod'; the nearest: load; it has: date, load, wind"),
        (["load"], SeriesColumns(time="when"), "no column 'when'"),
        (["load"], SeriesColumns(past=("load",)), "'load' has two roles"),
        (["load"], SeriesColumns(known=("moon",)), "no column 'moon'"),
    ],
)
def test_columns_that_are_not_there(target: list[str], columns: SeriesColumns, problem: str) -> None:
    with pytest.raises((LookupError, DataError), match=problem):
        choose_roles(make_series(30), target, columns, "a.csv")


def test_a_table_without_dates_or_numbers() -> None:
    with pytest.raises(LookupError, match="no column holds time stamps; it has: a. Set `columns.time`"):
        choose_roles(pd.DataFrame({"a": [1, 2]}), [], SeriesColumns(), "a.csv")
    with pytest.raises(LookupError, match="no column of numbers to forecast"):
        choose_roles(pd.DataFrame({"date": ["2024-01-01"]}), [], SeriesColumns(), "a.csv")


def broken(change: Callable[[pd.DataFrame], object]) -> pd.DataFrame:
    table = make_series(30).astype({"load": object, "date": object})
    table["date"] = table["date"].astype(str)
    change(table)
    return table


def put(row: int, column: str, value: object) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table.loc[row, column] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (put(4, "load", "n/a?"), r"a.csv, row 5: 'n/a\?' in the column 'load'; expected numbers"),
        (put(4, "load", float("inf")), "row 5: expected finite numbers in the column 'load'"),
        (put(4, "date", "2024-01-01 03:00:00"), "row 5: the time stamp 2024-01-01 03:00:00 occurs twice"),
        (put(4, "date", "2024-01-01 01:30:00"), "row 5: .* 01:30:00 follows .* 03:00:00; expected increasing"),
        (put(4, "date", "soon"), "expected time stamps such as .* in the column 'date': .*soon"),
        (put(4, "date", None), "expected time stamps such as .* in the column 'date': row 5 is empty"),
    ],
)
def test_cells_that_cannot_be_used(change: Callable[[pd.DataFrame], None], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        split_series(broken(change), time="date", series_id=None, values=["load"], place="a.csv")


def test_rows_of_no_series() -> None:
    table = make_series(30).assign(shop=["x"] * 29 + [None])
    with pytest.raises(DataError, match="row 30: the column 'shop' is empty"):
        split_series(table, time="date", series_id="shop", values=["load"], place="a.csv")


@pytest.mark.parametrize("years", [[2020, 2021, 2022], [20200101, 20200102, 20200103]])
def test_whole_numbers_may_be_dates(years: list[int]) -> None:
    table = pd.DataFrame({"year": years, "a": 1.0})
    (one,) = split_series(table, time="year", series_id=None, values=["a"], place="a.csv")
    assert one.times[0] == pd.Timestamp("2020-01-01")


@pytest.mark.parametrize(
    ("freq", "season"),
    [("h", 24), ("15min", 96), ("D", 7), ("7D", 52), ("MS", 12), ("ME", 12), ("QS-JAN", 4), ("YS-JAN", 1), ("B", 5)],
)
def test_steps_are_found_and_continued(freq: str, season: int) -> None:
    times = pd.date_range("2024-01-01", periods=40, freq=freq)
    with_a_gap = times.delete([7])
    assert find_freq(times) == find_freq(with_a_gap) == freq
    assert guess_season(freq) == season
    assert complete_steps(with_a_gap, freq, "a.csv").equals(times)
    assert continue_steps(times[:30], freq, 10).equals(times[30:])


def test_irregular_steps_are_named() -> None:
    times = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03 05:00", "2024-01-04 05:00"])
    assert find_freq(times) is None
    with pytest.raises(
        DataError, match="irregular time steps: 2024-01-03 05:00:00 is not D after .* set `freq` to .* or to rows"
    ):
        complete_steps(times, None, "a.csv")
    with pytest.raises(DataError, match="2024-01-03 05:00:00 is not a multiple of D after 2024-01-01 00:00:00"):
        complete_steps(times, "D", "a.csv")
    with pytest.raises(DataError, match="expected `freq` as a frequency of pandas, .* received 'fortnight'"):
        complete_steps(times, "fortnight", "a.csv")
    assert complete_steps(times, ROWS, "a.csv") is times
    assert continue_steps(times[:3], ROWS, 1)[0] == pd.Timestamp("2024-01-04 07:30")


def gappy() -> Series:
    """Build a series of four of five hours, one of them with a missing value."""
    times = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 03:00", "2024-01-01 04:00"])
    return Series("", times, np.array([[1.0], [2.0], [NAN], [5.0]]))


@pytest.mark.parametrize(
    ("fill", "expected"),
    [("forward", [1, 2, 2, 2, 5]), ("interpolate", [1, 2, 3, 4, 5]), ("mask", [1, 2, NAN, NAN, 5])],
)
def test_gaps_are_filled(fill: str, expected: list[float]) -> None:
    filled = fill_gaps(gappy(), ("a",), "h", fill, "a.csv")
    assert len(filled.times) == 5
    np.testing.assert_allclose(filled.values[:, 0], expected)


def test_gaps_are_errors_by_default() -> None:
    with pytest.raises(
        DataError, match="1 of 5 steps are missing, the first 2024-01-01 02:00:00. Set `fill` to interpolate"
    ):
        fill_gaps(gappy(), ("a",), "h", "error", "a.csv")
    with pytest.raises(DataError, match="1 values of the column 'a', the first at 2024-01-01 03:00:00, are missing"):
        fill_gaps(gappy(), ("a",), ROWS, "error", "a.csv")
    late = gappy()._replace(values=np.array([[NAN], [2.0], [3.0], [5.0]]))
    with pytest.raises(DataError, match="are missing before the first known one: delete these rows"):
        fill_gaps(late, ("a",), "h", "forward", "a.csv")


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
