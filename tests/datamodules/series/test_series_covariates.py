"""Covariates as columns of numbers."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from lightfit.datamodules.series.covariates import MAX_CATEGORIES, Covariates, as_texts, is_boolean
from lightfit.datamodules.series.roles import Roles
from lightfit.errors import DataError, MissingPackageError, UsageError

NAN = float("nan")


def fit(table: pd.DataFrame, role: str = "known", **arguments: str) -> Covariates:
    return Covariates.fit(table, Roles((), (), (), **{role: tuple(table)}), place="a.csv", **arguments)  # type: ignore[arg-type]


def test_numbers_booleans_and_categories() -> None:
    table = pd.DataFrame(
        {
            "price": ["1,5", "n/a", "2"],
            "open": [True, None, False],
            "promo": [True, False, True],
            "weather": ["rain", "sun", "rain"],
            "event": ["Easter", None, None],
            "kind": ["a", "b", "c"],
        }
    )
    covariates = fit(table)
    assert covariates.names == covariates.known_names
    assert covariates.names == (
        "price", "open", "promo", "weather=sun", "event=Easter", "kind=a", "kind=b", "kind=c",
    )  # fmt: skip
    encoded = covariates.encode(table)
    assert encoded.values.dtype == np.float64
    np.testing.assert_array_equal(
        encoded.values,
        [[1.5, 1, 1, 0, 1, 1, 0, 0], [NAN, NAN, 0, 1, 0, 0, 1, 0], [2, 0, 1, 0, 0, 0, 0, 1]],
    )
    assert encoded.unknown == {}


def test_new_categories_are_unknown_and_counted() -> None:
    covariates = fit(pd.DataFrame({"kind": ["a", "b", "c"], "weather": ["rain", "sun", "sun"]}))
    encoded = covariates.encode(pd.DataFrame({"kind": ["d", "a", "d", None], "weather": ["fog", "rain", "sun", None]}))
    np.testing.assert_array_equal(encoded.values, [[0, 0, 0, 0.5], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0.5]])
    assert encoded.unknown == {"kind": 2, "weather": 1}
    assert encoded.unseen[0] == (
        "2 cells of the column 'kind' hold categories that the training rows lack (d): they are unknown to the model"
    )


def test_rare_categories_share_a_column() -> None:
    cells = [f"c{index:02d}" for index in range(30) for _ in range(40 - index)]
    covariates = fit(pd.DataFrame({"kind": cells}))
    assert len(covariates.names) == MAX_CATEGORIES + 1
    assert covariates.names[0] == "kind=c00"
    assert covariates.names[-1] == "kind=other"
    encoded = covariates.encode(pd.DataFrame({"kind": ["c00", "c29", "new"]}))
    np.testing.assert_array_equal(encoded.values[:, [0, -1]], [[1, 0], [0, 1], [0, 0]])
    assert encoded.unknown == {"kind": 1}


def test_the_columns_are_past_known_static() -> None:
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [True, False], "c": ["x", "x"], "d": [5, 6]})
    roles = Roles((), (), (), ("a",), ("b",), ("c", "d"))
    covariates = Covariates.fit(table, roles, holidays="DE")
    assert covariates.past_names == ("a",)
    assert covariates.known_names == ("b", "holiday (DE)")
    assert covariates.static_names == ("c=x", "d")
    assert covariates.names == ("a", "b", "holiday (DE)", "c=x", "d")
    np.testing.assert_array_equal(covariates.encode(table).values, [[1, 1, NAN, 1, 5], [2, 0, NAN, 1, 6]])


def test_holidays_are_known_for_steps_to_come() -> None:
    covariates = Covariates(holidays="DE-BY")
    times = np.array(["2024-12-24T22:30", "2024-12-25", "2030-01-06", "2030-01-07"], "datetime64[ns]")
    np.testing.assert_array_equal(covariates.add_derived(np.full((4, 1), NAN), times)[:, 0], [0, 1, 1, 0])
    berlin = covariates.add_derived(np.full((4, 1), NAN), times + np.timedelta64(60, "m"), "Europe/Berlin")
    np.testing.assert_array_equal(berlin[:, 0], [1, 1, 1, 0])
    np.testing.assert_array_equal(Covariates().add_derived(np.zeros((4, 0)), times), np.zeros((4, 0)))


def test_holidays_of_an_exchange() -> None:
    pytest.importorskip("holidays")
    days = np.array(["2024-03-29", "2024-04-01"], "datetime64[ns]")  # Good Friday; Easter Monday is none
    assert Covariates(holidays="NYSE").add_derived(np.full((2, 1), np.nan), days).ravel().tolist() == [1, 0]


def test_holidays_of_no_country_or_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"a": [1.0]})
    for country in ("Germany", "DE-XX", "XX"):
        with pytest.raises(UsageError, match=f"expected `holidays` as the code of a country .* received '{country}'"):
            fit(table, holidays=country)
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'lightfit\[holidays\]'"):
        fit(table, holidays="DE")


def test_covariates_are_plain_data() -> None:
    table = pd.DataFrame({"kind": [f"c{index % 25}" for index in range(60)], "weather": ["rain", "sun"] * 30, "x": 1.5})
    covariates = fit(table, holidays="US")
    state = json.loads(json.dumps(covariates.to_dict()))
    assert Covariates.from_dict(state) == covariates
    assert Covariates.from_dict({}) == Covariates()
    assert Covariates.of_numbers(["a"], ["b"]).names == ("a", "b")


def test_ids_of_categories_are_the_same_as_texts_and_numbers() -> None:
    assert as_texts(pd.Series([1, 2.0, None])).tolist() == ["1", "2", None]
    assert as_texts(pd.Series(pd.Categorical(["a", None]))).tolist() == ["a", None]
    covariates = fit(pd.DataFrame({"kind": ["01", "2", "x"]}))
    np.testing.assert_array_equal(covariates.encode(pd.DataFrame({"kind": [2, 2]})).values, [[0, 1, 0]] * 2)


def test_booleans_of_another_file() -> None:
    covariates = fit(pd.DataFrame({"open": [True, False]}))
    np.testing.assert_array_equal(covariates.encode(pd.DataFrame({"open": [1, 0]})).values[:, 0], [1, 0])
    np.testing.assert_array_equal(covariates.encode(pd.DataFrame({"open": ["yes", "No"]})).values[:, 0], [1, 0])
    with pytest.raises(DataError, match="b.csv, row 2: 'maybe' in the column 'open'; expected true or false"):
        covariates.encode(pd.DataFrame({"open": ["yes", "maybe"]}), place="b.csv")
    assert is_boolean(pd.Series([True, None], dtype=object))
    assert not is_boolean(pd.Series(["True"]))


def test_covariates_that_cannot_be_read() -> None:
    with pytest.raises(DataError, match="the column 't' holds time stamps; expected a covariate"):
        fit(pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3)}))
    with pytest.raises(DataError, match="b.csv, row 1: 'x' in the column 'a'; expected numbers"):
        fit(pd.DataFrame({"a": [1.0, 2.0]})).encode(pd.DataFrame({"a": ["x"]}), place="b.csv")
