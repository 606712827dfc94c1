"""Wide tables, as M4, M5, Johns Hopkins and the World Bank write them."""

import numpy as np
import pandas as pd
import pytest

from lightfit.datamodules.series.frame import frame_of_text
from lightfit.datamodules.series.roles import Roles, SeriesColumns, choose_roles
from lightfit.datamodules.series.stamps import StampOptions, holds_stamps, read_stamps
from lightfit.datamodules.series.wide import Wide, find_wide, suspect_wide, unpivot
from lightfit.errors import DataError, NotFoundError


def find(text: str, series_id: tuple[str, ...] = ()) -> Wide | None:
    return find_wide(frame_of_text(text, "w.csv").table, holds_stamps=holds_stamps, series_id=series_id)


def header(prefix: str, count: int, first: int = 1) -> str:
    return ",".join(f"{prefix}{index}" for index in range(first, first + count))


def values(count: int, first: int = 1) -> str:
    return ",".join(str(first + index % 5) for index in range(count))


def test_months_as_columns() -> None:
    table = frame_of_text("shop,city,2024-01,2024-02,2024-03\nA,x,1,,3\nB,y,4,5,\n", "w.csv")
    chosen = choose_roles(table, [], SeriesColumns(), place="w.csv", holds_stamps=holds_stamps)
    assert chosen.roles == Roles(("date",), ("shop",), ("value",), static=("city",))
    assert chosen.found[0] == (
        "a row for each series and a column for each step (2024-01 to 2024-03): 2 x 3 values read as the column 'value'"
    )
    long = chosen.table[["shop", "date", "value"]].astype({"shop": str, "date": str})
    assert long.to_numpy().tolist()[:3] == [["A", "2024-01", 1], ["A", "2024-02", pytest.approx(np.nan, nan_ok=True)],
                                            ["A", "2024-03", 3]]  # fmt: skip
    assert long["value"].tolist()[3:] == [4, 5]  # without the missing end
    stamps = read_stamps([chosen.table["date"]], StampOptions(), codes=None, place="w.csv")
    assert stamps.times[0] == np.datetime64("2024-01-01")


@pytest.mark.parametrize(
    ("names", "stamps"),
    [
        ("1/22/20,1/23/20,1/24/20", ("1/22/20", "1/23/20", "1/24/20")),
        ("31.01.2024,29.02.2024,31.03.2024", ("31.01.2024", "29.02.2024", "31.03.2024")),
        ("X2019,X2020,X2021", ("2019", "2020", "2021")),  # as R writes names
        ("X2019.01.01,X2019.01.02,X2019.01.03", ("2019-01-01", "2019-01-02", "2019-01-03")),
        ("sales_2024-01,sales_2024-02,sales_2024-03", ("2024-01", "2024-02", "2024-03")),
        ("Jan-23,Feb-23,Mar-23", ("Jan-23", "Feb-23", "Mar-23")),
        ("2023Q1,2023Q2,2023Q3", ("2023Q1", "2023Q2", "2023Q3")),
        ("20240101,20240102,20240103", ("20240101", "20240102", "20240103")),
        ("202401,202402,202403", ("202401", "202402", "202403")),
        ("2021,2020,2019", ("2021", "2020", "2019")),
    ],
)
def test_names_that_are_dates(names: str, stamps: tuple[str, ...]) -> None:
    wide = find(f"id,{names}\nA,1,2,4\nB,3,5,6\n")
    assert wide is not None
    assert wide.stamps == stamps
    assert wide.series_id == ("id",)
    assert wide.dated


def test_numbered_steps() -> None:
    m5 = find(f"id,store_id,{header('d_', 12)}\nA_1,S,{values(12)}\nB_1,S,{values(12)}\n")
    assert m5 is not None
    assert m5 == Wide(("id",), ("store_id",), m5.steps, tuple(map(str, range(1, 13))), None, None, False)
    text = f"{header('V', 20)}\nY1,{values(19)}\nY2,{values(9)}{',' * 10}\n"
    chosen = choose_roles(frame_of_text(text, "m4.csv"), [], SeriesColumns(), place="m4.csv", holds_stamps=holds_stamps)
    assert chosen.roles == Roles(("step",), ("V1",), ("value",))
    assert chosen.table.groupby("V1", observed=True).size().to_dict() == {"Y1": 19, "Y2": 9}
    assert chosen.table["step"].tolist()[:3] == [2, 3, 4]
    assert chosen.found[0].endswith("the steps are numbered, as no column names a date")


def test_several_series_side_by_side_are_not_wide() -> None:
    days = pd.date_range("2024-01-01", periods=5).strftime("%Y-%m-%d")
    text = f"date,{header('V', 9)}\n" + "".join(f"{day},{values(9, index)}\n" for index, day in enumerate(days))
    assert find(text) is None
    assert find("id,a,b\nA,1,2\n") is None
    assert find("id,2020,2021,2022\nA,x,y,z\nB,u,v,w\n") is None  # no numbers


def test_what_is_not_sure_is_named() -> None:
    text = f"{header('V', 12, 2)}\n{values(12)}\n{values(12, 3)}\n"
    table = frame_of_text(text, "w.csv").table
    assert find(text) is None
    assert "It may have a row for each series and a column for each step (V2, V3, ..., V13)" in suspect_wide(table)
    with pytest.raises(
        NotFoundError, match="no column holds time stamps; .* add a column with the name of each series"
    ):
        choose_roles(table, [], SeriesColumns(), place="w.csv", holds_stamps=holds_stamps)
    assert suspect_wide(pd.DataFrame({"a": [1], "b": [2]})) == ""


def test_ids_of_several_columns_some_of_them_empty() -> None:
    text = "Province/State,Country/Region,Lat,1/22/20,1/23/20,1/24/20\n,A,5.5,1,2,3\nx,A,6.5,1,2,3\n,B,7.5,,2,3\n"
    chosen = choose_roles(frame_of_text(text, "w.csv"), [], SeriesColumns(), place="w.csv", holds_stamps=holds_stamps)
    assert chosen.roles == Roles(("date",), ("Province/State", "Country/Region"), ("value",), static=("Lat",))
    assert chosen.table["Province/State"].unique().tolist() == ["-", "x"]
    assert len(chosen.table) == 8


def test_months_by_years() -> None:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    text = "Month,2019,2020,2021\n" + "".join(f"{month},{i},{i + 1},{i + 2}\n" for i, month in enumerate(months))
    chosen = choose_roles(frame_of_text(text, "w.csv"), [], SeriesColumns(), place="w.csv", holds_stamps=holds_stamps)
    assert chosen.roles == Roles(("year", "Month"), (), ("value",))
    row = chosen.table.set_index(["year", "Month"]).loc[(2020, 3)]
    assert row["value"] == 3
    times = read_stamps([chosen.table["year"], chosen.table["Month"]], StampOptions(), codes=None, place="w.csv").times
    assert times.min() == np.datetime64("2019-01-01")
    assert times.max() == np.datetime64("2021-12-01")


@pytest.mark.parametrize("site", [False, True])
def test_years_by_months(site: bool) -> None:
    header = "YEAR,JAN,FEB,MAR,APR,MAY,JUN,JUL,AUG,SEP,OCT,NOV,DEC" + ",site" * site
    rows = [
        f"{year},{values(12, year % 7)}" + f",{name}" * site for name in "AB"[: 1 + site] for year in range(2001, 2005)
    ]
    table = frame_of_text("\n".join([header, *rows]), "w.csv")
    chosen = choose_roles(table, [], SeriesColumns(), place="w.csv", holds_stamps=holds_stamps)
    assert chosen.roles == Roles(("YEAR", "month"), ("site",) * site, ("value",))
    assert len(chosen.table) == 48 * (1 + site)
    times = read_stamps([chosen.table["YEAR"], chosen.table["month"]], StampOptions(), codes=None, place="w.csv").times
    assert times[12] == np.datetime64("2002-01-01")
    assert chosen.found[0].startswith("a row for each year and a column for each month (JAN to DEC)")


def test_rows_without_ids_are_numbered() -> None:
    text = "2020,2021,2022,2023\n5,6,7,8\n2,3,4,6\n"
    table = frame_of_text(text, "w.csv").table
    wide = find_wide(table, holds_stamps=holds_stamps)
    assert wide is not None
    long = unpivot(table, wide, "w.csv")
    assert long.series_id == ("series",)
    assert long.table["series"].tolist() == [1] * 4 + [2] * 4
    one = unpivot(table.head(1), wide, "w.csv")
    assert one.series_id == ()


def test_named_ids_and_targets() -> None:
    text = "a,b,2020,2021,2022\nx,u,5,6,7\nx,v,2,3,4\n"
    chosen = choose_roles(
        frame_of_text(text, "w.csv"), "sold", SeriesColumns(series_id="a,b"), place="w.csv", holds_stamps=holds_stamps
    )
    assert chosen.roles == Roles(("date",), ("a", "b"), ("sold",))


def test_values_that_are_no_numbers_are_named() -> None:
    cells = ["1"] * 99 + ["soon"]
    text = (
        "id,"
        + ",".join(f"{year}" for year in range(1900, 2000))
        + f"\nA,{','.join(cells)}\nB,{','.join(['2'] * 100)}\n"
    )
    with pytest.raises(DataError, match="w.csv, row 1: 'soon' in the column '1999'; expected numbers"):
        choose_roles(frame_of_text(text, "w.csv"), [], SeriesColumns(), place="w.csv", holds_stamps=holds_stamps)


def test_a_large_table_is_read_at_once() -> None:
    numbers = np.arange(2000 * 300, dtype=float).reshape(2000, 300)
    table = pd.DataFrame(numbers, columns=[f"d_{index}" for index in range(1, 301)])
    table.insert(0, "id", [f"item {index}" for index in range(2000)])
    wide = find_wide(table, holds_stamps=holds_stamps)
    assert wide is not None
    long = unpivot(table, wide, "w.csv").table
    assert isinstance(long["id"].dtype, pd.CategoricalDtype)
    np.testing.assert_array_equal(long["value"], numbers.ravel())
    assert long["id"].iloc[[0, 299, 300]].tolist() == ["item 0", "item 0", "item 1"]
