"""Which column is what: time, ids, targets, covariates, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_series

from lightfit.datamodules.series import cell_types
from lightfit.datamodules.series.covariates import Covariates
from lightfit.datamodules.series.frame import frame_of_text
from lightfit.datamodules.series.roles import (
    Chosen,
    Roles,
    SeriesColumns,
    adopt_roles,
    choose_roles,
    find_column,
)
from lightfit.datamodules.series.stamps import StampOptions, holds_stamps, read_stamps
from lightfit.errors import DataError, NotFoundError

DAYS = pd.date_range("2024-01-01", periods=40).strftime("%Y-%m-%d")
GENERATOR = np.random.default_rng(0)
SHOPS, ITEMS = ("S1", "S2"), (101, 102, 103)


def choose(table: pd.DataFrame, target: str | list[str] = (), **columns: object) -> Chosen:  # type: ignore[assignment]
    return choose_roles(
        table,
        target,
        SeriesColumns(**columns),  # type: ignore[arg-type]
        place="a.csv",
        holds_stamps=holds_stamps,
    )


def one(**columns: object) -> pd.DataFrame:
    """Build a table of one series by date, with a column of numbers x."""
    return pd.DataFrame({"date": DAYS, "x": GENERATOR.normal(size=40), **columns})


def panel() -> pd.DataFrame:
    """Build a table of six series, by shop and item."""
    index = pd.MultiIndex.from_product([DAYS, SHOPS, ITEMS], names=["date", "shop", "item"]).to_frame(index=False)
    index["sales"] = GENERATOR.integers(5, 50, len(index))
    return index


def test_the_simplest_table() -> None:
    chosen = choose(one(y=GENERATOR.normal(size=40)))
    assert chosen.roles == Roles(("date",), (), ("x", "y"))
    assert chosen.roles.values == ("x", "y")
    assert chosen.found == ["time: date", "targets: x, y"]
    assert chosen.left_out == {}


def test_columns_that_are_named() -> None:
    table = make_series(30).assign(shop="x", holiday=0, note="text", kind="big")
    chosen = choose(table, series_id="shop", past=("wind",), known="holiday", static="kind")
    assert chosen.roles == Roles(("date",), ("shop",), ("load",), ("wind",), ("holiday",), ("kind",))
    assert chosen.left_out == {"note": "the same in all rows"}
    many = one(a=1.0, b=2.0)
    assert choose(many, "x", past="a,b").roles.past == ("a", "b")
    assert choose(many, ["x"], past=["a", "b"]).roles.past == ("a", "b")
    assert choose(many.rename(columns={"a": "a,b"}), "x", past="a,b").roles.past == ("a,b",)


@pytest.mark.parametrize("name", ["Load (kWh)", "load (kwh)", "LOAD(KWH)", "\ufeffLoad (kWh) "])
def test_case_and_blanks_of_names_do_not_matter(name: str) -> None:
    table = one().rename(columns={"x": "Load (kWh)"})
    assert choose(table, name).roles.targets == ("Load (kWh)",)
    assert find_column(table, "DATE", "a.csv") == "date"


@pytest.mark.parametrize(
    ("target", "columns", "problem"),
    [
        (["laod"], {}, "a.csv has no column 'laod'; the nearest: load; it has: date, load, wind"),
        (["load"], {"time": "when"}, "no column 'when'"),
        (["load"], {"past": ("load",)}, "'load' has two roles"),
        (["load"], {"known": "moon"}, "no column 'moon'"),
        (["load"], {"series_id": "wind,LOAD"}, "'load' has two roles"),
    ],
)
def test_columns_that_are_not_there(target: list[str], columns: dict[str, object], problem: str) -> None:
    with pytest.raises((LookupError, DataError), match=problem):
        choose(make_series(30), target, **columns)


def test_names_that_differ_by_case_alone() -> None:
    with pytest.raises(DataError, match="has 2 columns like 'LOAD': load, Load; write the one you mean"):
        choose(one(load=1.0, Load=2.0), "LOAD")
    assert choose(one(load=1.0, Load=2.0), "Load").roles.targets == ("Load",)


def test_tables_without_stamps_or_numbers() -> None:
    with pytest.raises(NotFoundError, match="no column holds time stamps; it has: a. Set `columns.time`"):
        choose(pd.DataFrame({"a": [1.5, 2]}))
    with pytest.raises(NotFoundError, match="no column of numbers to forecast; it has: date, a .no cell has a value.*"):
        choose(pd.DataFrame({"date": DAYS, "a": np.nan}))
    with pytest.raises(DataError, match="a.csv, row 4: '3 kWh' in the column 'a'; expected numbers without a unit"):
        choose(pd.DataFrame({"date": DAYS, "a": ["1", "2", "5", *["3 kWh"] * 37]}))


def test_numbers_with_a_bad_cell_are_no_stamps() -> None:
    levels = [f"{1000.5 + index}" for index in range(39)]
    with pytest.raises(DataError, match="a.csv, row 40: '10-4.5' in the column 'x'; expected numbers"):
        choose(pd.DataFrame({"date": DAYS, "x": [*levels, "10-4.5"]}))


@pytest.mark.parametrize(
    ("table", "time"),
    [
        (one().rename(columns={"date": "Datum"}), ("Datum",)),
        (one().rename(columns={"date": "ds"}), ("ds",)),
        (one(Month=DAYS).rename(columns={"date": "created"}), ("Month",)),
        (one(shipped=DAYS[::-1]), ("date",)),
        (
            one(time=[f"{hour % 24:02d}:00" for hour in range(40)]).assign(
                date=["2024-01-01"] * 24 + ["2024-01-02"] * 16
            ),
            ("date", "time"),
        ),
        (pd.DataFrame({"Year": [2020] * 12 + [2021] * 12, "Month": [*range(1, 13)] * 2, "x": 1.5}), ("Year", "Month")),
        (
            pd.DataFrame(
                {"year": 2020, "month": 1, "day": np.repeat(range(1, 6), 24), "hour": [*range(24)] * 5, "x": 2.5}
            ),
            ("year", "month", "day", "hour"),
        ),
        (pd.DataFrame({"YEAR": [2001, 2002, 2004], "x": [1.5, 2, 3]}), ("YEAR",)),
        (
            pd.DataFrame(
                {"realcons": 1707.4, "year": [1959.0] * 4 + [1960.0] * 4, "quarter": [1.0, 2, 3, 4] * 2, "x": 1.5}
            ),
            ("year", "quarter"),
        ),
        (pd.DataFrame({"YEAR": 2020, "DOY": range(1, 9), "x": 1.5}), ("YEAR", "DOY")),
        (pd.DataFrame({"when": pd.date_range("2024-01-01", periods=9, tz="UTC"), "x": 1.5}), ("when",)),
    ],
)  # fmt: skip
def test_the_time_is_found(table: pd.DataFrame, time: tuple[str, ...]) -> None:
    chosen = choose(table)
    assert chosen.roles.time == time
    assert "x" in chosen.roles.targets
    assert not set(chosen.roles.targets) & {"year", "quarter", "month"}


def test_two_columns_of_time_are_named() -> None:
    table = one(clock="12:00")
    assert choose(table, time="date,clock").roles.time == ("date", "clock")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("Unnamed: 0", range(40), "counts the rows from 0"),
        ("Unnamed: 0", range(100, 140), "a number of each row, without a name"),
        ("Unnamed: 0", [*range(20), *range(20)], "a number of each row, without a name"),
        ("index", range(1, 41), "counts the rows from 1"),
        ("id", range(40), "counts the rows from 0"),
        ("row", range(40), "counts the rows from 0"),
        ("customer_id", [5, 3] * 20, "numbers that name things"),
        ("count", range(7, 47), "counts the rows from 7"),
        ("empty", [np.nan] * 40, "no cell has a value"),
        ("year", [2024] * 40, "a part of the date"),
        ("weekday", [0, 1, 2, 3, 4, 5, 6, 0] * 5, "a part of the date"),
        ("updated", DAYS, "more time stamps"),
        ("note", [f"text {index}" for index in range(40)], "text; name it in `columns.past`"),
        ("unit", ["kWh"] * 40, "the same in all rows"),
        ("code", [f"{index:03d}" for index in range(40)], "text, with codes such as 000; name it"),
        ("tags", [["a", "b"]] * 40, "lists"),
    ],
)
def test_columns_that_are_left_out(name: str, values: list[object], reason: str) -> None:
    chosen = choose(one(**{name: list(values)}))
    assert chosen.roles.targets == ("x",)
    assert chosen.left_out[name].startswith(reason) or reason in chosen.left_out[name]
    assert chosen.found[-1].startswith(f"left out: {name} ({reason}") or name == "tags"
    named = choose(one(**{name: list(values)}), "x")
    assert set(named.left_out) == {name}


def test_a_series_that_only_rises_is_one_if_there_is_no_other() -> None:
    assert choose(pd.DataFrame({"date": DAYS, "level": range(40)})).roles.targets == ("level",)
    assert choose(one(level=range(40)), "level").roles.targets == ("level",)


@pytest.mark.parametrize("name", ["id", "Unnamed: 0", "index", "order_id"])
def test_targets_that_are_ids_are_refused(name: str) -> None:
    table = one(**{name: range(40)})
    with pytest.raises(DataError, match=f"the target '{name}' counts the rows .0, 1, 2, .*set `target` to a column of"):
        choose(table, name)
    with pytest.raises(DataError, match=f"the target '{name}' names the rows"):
        choose(one(**{name: [f"a{index}" for index in range(40)]}), name)


def test_a_target_without_values_is_refused() -> None:
    with pytest.raises(DataError, match="the target 'y' has no value in any row"):
        choose(one(y=np.nan), "y")


def test_booleans_are_covariates() -> None:
    table = one(promo=[True, False] * 20, open=[True, None] * 20)
    chosen = choose(table)
    assert chosen.roles == Roles(("date",), (), ("x",), ("promo", "open"))
    assert "past: promo, open, found" in chosen.found
    assert choose(table, "x", known="promo").roles == Roles(("date",), (), ("x",), ("open",), ("promo",))


def test_ids_are_found_where_stamps_repeat() -> None:
    chosen = choose(panel())
    assert chosen.roles == Roles(("date",), ("shop", "item"), ("sales",))
    assert "ids: shop, item, found, as each time stamp occurs once with it" in chosen.found
    named = choose(panel(), series_id="shop,item")
    assert named.roles == chosen.roles
    assert "ids: shop, item" in named.found


def test_the_fewest_ids_are_chosen() -> None:
    table = panel().assign(key=lambda own: own["shop"] + "/" + own["item"].astype(str), weather="dry")
    table["region"] = table["shop"].map({"S1": "north", "S2": "north"})
    chosen = choose(table)
    assert chosen.roles.series_id == ("key",)
    assert chosen.roles.static == ("shop", "item")
    assert chosen.left_out == {"weather": "the same in all rows", "region": "the same in all rows"}


def test_numbers_as_ids() -> None:
    table = panel().drop(columns="shop").drop_duplicates(["date", "item"])
    assert choose(table).roles.series_id == ("item",)
    digits = table.assign(item=table["item"].astype(str))  # as a file with types may hold them
    assert choose(digits).roles == Roles(("date",), ("item",), ("sales",))


def test_large_tables_have_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    table = panel().assign(kind=lambda own: own["shop"].map({"S1": "big", "S2": "small"}), note=None)
    table["price"] = [f"{index % 7},5" for index in range(len(table))]
    table["shop"] = table["shop"].where(table.index > 0, " S1 ")
    plain = choose_roles(
        frame_of_text(table.to_csv(index=False, sep=";"), "a.csv"),
        [],
        SeriesColumns(),
        place="a.csv",
        holds_stamps=holds_stamps,
    )
    monkeypatch.setattr(cell_types, "MANY_ROWS", 10)  # texts are categories from there on
    large = choose_roles(
        frame_of_text(table.to_csv(index=False, sep=";"), "a.csv"),
        [],
        SeriesColumns(),
        place="a.csv",
        holds_stamps=holds_stamps,
    )
    assert isinstance(large.table["shop"].dtype, pd.CategoricalDtype)
    assert isinstance(large.table["date"].dtype, pd.CategoricalDtype)
    assert large.roles == plain.roles == Roles(("date",), ("shop", "item"), ("sales", "price"), static=("kind",))
    assert large.table["shop"].tolist() == plain.table["shop"].tolist()
    covariates = Covariates.fit(large.table, large.roles)
    assert covariates == Covariates.fit(plain.table, plain.roles)
    np.testing.assert_array_equal(covariates.encode(large.table).values, covariates.encode(plain.table).values)
    one, other = (read_stamps([own.table["date"]], StampOptions(), place="a.csv").times for own in (large, plain))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_no_ids_are_found_where_that_is_not_clear(share: float) -> None:
    table = one(weather=["rain", "sun"] * 20, ticket=[f"t{index}" for index in range(40)])
    table = pd.concat([table, table.head(int(40 * share)).assign(weather="fog")])  # a few rows twice
    assert choose(table).roles.series_id == ()
    tickets = pd.concat([table] * 3).assign(ticket=[f"t{index}" for index in range(3 * len(table))])
    assert choose(tickets).roles.series_id == ()  # each row has its own


def test_static_covariates() -> None:
    table = panel()
    table["kind"] = table["shop"].map({"S1": "big", "S2": "small"})
    table["size"] = table["shop"].map({"S1": 100.0, "S2": 50.0})
    table["label"] = table["shop"] + " " + table["item"].astype(str) + " shop"
    chosen = choose(table, series_id="shop,item")
    assert chosen.roles.static == ("kind", "size")
    assert chosen.left_out == {"label": "names each series, as its id does"}
    assert "static: kind, size, found" in chosen.found


def test_only_what_is_named_beside_a_target_is_used() -> None:
    chosen = choose(one(y=GENERATOR.normal(size=40), z=1.5), "x", past="z")
    assert chosen.roles == Roles(("date",), (), ("x",), ("z",))
    assert chosen.left_out == {"y": "not named as a target or a covariate"}


def test_texts_that_are_numbers_are_targets() -> None:
    table = one(y=[f"{index},5 €" if index != 3 else "n/a" for index in range(40)], code=["01", "02"] * 20)
    chosen = choose(table)
    assert chosen.roles.targets == ("x", "y")
    assert chosen.table["y"].tolist()[:3] == [0.5, 1.5, 2.5]
    assert "the column 'y' is written with decimal commas, the unit €" in chosen.found
    assert "1 cells of the column 'y' are missing values: 'n/a' 1" in chosen.found


def test_ids_that_look_like_dates_are_not_the_time() -> None:
    months = pd.concat([pd.DataFrame({"shop": shop, "date": DAYS, "y": 1.5}) for shop in ("M1", "M2")])
    assert choose(months, "y", series_id="shop").roles == Roles(("date",), ("shop",), ("y",))
    years = months.assign(shop=months["shop"].map({"M1": "2024-01", "M2": "2024-02"}))
    assert choose(years, "y", series_id="shop").roles == Roles(("date",), ("shop",), ("y",))


def test_a_table_of_prediction_is_read_as_in_training() -> None:
    chosen = choose(one(promo=[True, False] * 20), known="promo")
    new = one(promo=[True, False] * 20).rename(columns={"date": "Date", "x": "\ufeffX "})
    adopted = adopt_roles(new, chosen.roles, "b.csv", holds_stamps=holds_stamps)
    assert {*chosen.roles.time, *chosen.roles.values} <= set(adopted.columns)
    with pytest.raises(NotFoundError, match="b.csv has no column 'promo'; it has: date, x"):
        adopt_roles(one(), chosen.roles, "b.csv", holds_stamps=holds_stamps)
    wide = frame_of_text("shop,2024-01,2024-02,2024-03\nA,1,2,4\nB,4,5,7\n", "w.csv")
    roles = choose_roles(wide, "sold", SeriesColumns(), place="w.csv", holds_stamps=holds_stamps).roles
    assert roles == Roles(("date",), ("shop",), ("sold",))
    later = frame_of_text("Shop,2024-04,2024-05,2024-06\nC,1,2,4\n", "w.csv")
    adopted = adopt_roles(later, roles, "w.csv", holds_stamps=holds_stamps)
    assert adopted[["shop", "date", "sold"]].astype(str).to_numpy().tolist()[0] == ["C", "2024-04", "1.0"]


def test_the_cases_of_one_line_each() -> None:
    numbered = frame_of_text("," + one().to_csv(index=True).lstrip(","), "u.csv")
    chosen = choose_roles(numbered, [], SeriesColumns(), place="u.csv", holds_stamps=holds_stamps)
    assert chosen.roles == Roles(("date",), (), ("x",))
    assert chosen.left_out == {"Unnamed: 0": "counts the rows from 0"}
    countries = pd.concat([pd.DataFrame({"country": c, "date": DAYS, "y": 1.5}) for c in ("DE", "NA", "SE")])
    read = frame_of_text(countries.to_csv(index=False), "n.csv")
    assert read.table["country"].unique().tolist() == ["DE", "NA", "SE"]
    assert choose(read.table, "y").roles.series_id == ("country",)
    assert Covariates.fit(read.table, choose(read.table, "y").roles).names == ()
