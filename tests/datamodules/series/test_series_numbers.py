"""Cells as numbers, as programs of many countries write them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightfit.datamodules.series.numbers import (
    describe_missing,
    explain_numbers,
    holds_numbers,
    parse_numbers,
    read_numbers,
)
from lightfit.errors import DataError

NAN = float("nan")


@pytest.mark.parametrize(
    ("cells", "expected", "found"),
    [
        (["1,234.5", "12", None], [1234.5, 12, NAN], "thousands separators"),
        (["1.234,5", "12"], [1234.5, 12], "decimal commas, thousands separators"),
        (["1 234,5", "1'234"], [1234.5, 1234], "decimal commas, thousands separators"),
        (["1\u202f234,5", "-7,25"], [1234.5, -7.25], "decimal commas, thousands separators"),
        (["1,234", "987"], [1234, 987], "thousands separators"),
        (["1.234 €", "987 €"], [1234, 987], "thousands separators, the unit €"),
        (["1,234,567", "12"], [1234567, 12], "thousands separators"),
        (["12,34,567.5", "1"], [1234567.5, 1], "thousands separators"),  # lakhs
        (["0,123", "1,234"], [0.123, 1.234], "decimal commas"),
        (["1,5", "2"], [1.5, 2], "decimal commas"),
        (["$5", "($6.50)", "-$7"], [5, -6.5, -7], "the unit $"),
        (["R$ 1.234,50", "R$ 2"], [1234.5, 2], "decimal commas, thousands separators, the unit R$"),
        (["CHF 1'234.50", "CHF 2"], [1234.5, 2], "thousands separators, the unit CHF"),
        (["12 %", "5%"], [12, 5], "the unit %"),
        (["5-", "1.234,56-"], [-5, -1234.56], "decimal commas, thousands separators"),  # SAP
        (["\uff11\uff12", "\u22123", "\u0664"], [12, -3, 4], ""),
        (["1e-05", "2", "+3", "1.5E+3"], [1e-5, 2, 3, 1500], ""),
        ([" 5 ", "6\u00a0", ".5", "7."], [5, 6, 0.5, 7], ""),
        ([1, 2.5, None], [1, 2.5, NAN], ""),
    ],
)
def test_numbers_as_they_are_written(cells: list[object], expected: list[float], found: str) -> None:
    numbers = parse_numbers(pd.Series(cells, dtype=object), "t.csv", "x")
    np.testing.assert_array_equal(numbers.values, expected)
    assert numbers.values.dtype == np.float64
    assert numbers.found == found


def test_marks_of_missing_values_are_counted() -> None:
    cells = ["5", "-", "n/a", "#N/A", "NULL", "nan", ".", "?", "--", "-", "NA", "", None, "\u2013", "..."]
    numbers = parse_numbers(pd.Series(cells), "t.csv", "x")
    assert np.isnan(numbers.values[1:]).all()
    assert numbers.values[0] == 5
    assert numbers.missing["-"] == 2
    assert numbers.missing["#N/A"] == numbers.missing["NULL"] == numbers.missing["?"] == 1
    assert describe_missing(numbers, "x").startswith("13 cells of the column 'x' are missing values: '-' 2")
    assert describe_missing(parse_numbers(pd.Series([1.0]), "t.csv", "x"), "x") == ""


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["1", "5 kWh"], "t.csv, row 2: '5 kWh' in the column 'x'; expected numbers without a unit: remove 'kWh'"),
        (["1", "21°C"], "row 2: '21°C' .* without a unit: remove '°C'"),
        (["1", "inf"], "row 2: 'inf' in the column 'x'; expected numbers that are finite"),
        (["1", "-Infinity"], "row 2: '-Infinity' .* finite"),
        (["1", "\u221e"], "row 2: .* finite"),
        (
            ["1,234", "2,345"],
            "row 1: '1,234' .* may be a whole number with a thousands separator, or one with decimals",
        ),
        (["1,5", "1.5"], "row 2: '1.5' .* both decimal commas and points"),
        (["1,5", "1,234,567"], "row 2: .* ',' separates thousands in some cells of the column and decimals in others"),
        (["12%", "5"], r"row 1: '12%' .* several units \(% and none\)"),
        (["$5", "€6"], r"row 1: .* several units \(\$, €\)"),
        (["5", "soon"], "row 2: 'soon' in the column 'x'; expected numbers$"),
        (["5", "1:30"], "row 2: '1:30' in the column 'x'; expected numbers$"),
        (["5", "1,2,3.5"], "row 2: '1,2,3.5' .* expected numbers"),
        (["5", "12.34,56,7"], "row 2: '12.34,56,7' .*"),
        (["5", "5²"], "row 2: '5²' .* expected numbers"),
    ],
)
def test_cells_that_are_no_numbers(cells: list[str], problem: str) -> None:
    column = pd.Series(cells)
    with pytest.raises(DataError, match=problem):
        read_numbers(column, "t.csv", "x")


def test_columns_of_numbers_are_not_parsed() -> None:
    np.testing.assert_array_equal(read_numbers(pd.Series([1, 2], dtype="Int64"), "t.csv", "x"), [1, 2])
    np.testing.assert_array_equal(read_numbers(pd.Series([True, False]), "t.csv", "x"), [1, 0])
    np.testing.assert_array_equal(read_numbers(pd.Series([1, None], dtype="Int64"), "t.csv", "x"), [1, NAN])
    with pytest.raises(DataError, match="row 2: expected finite numbers in the column 'x', received an infinite one"):
        read_numbers(pd.Series([1.0, np.inf]), "t.csv", "x")


def test_categories_are_parsed_once_each() -> None:
    column = pd.Series(pd.Categorical(["1,5", "2,5", None, "1,5"]))
    np.testing.assert_array_equal(read_numbers(column, "t.csv", "x"), [1.5, 2.5, NAN, 1.5])
    assert holds_numbers(column)


def test_long_numbers_are_read_as_pandas_reads_them(tmp_path: Path) -> None:
    texts = ["5.827000141143799", "30.5310001373291", "0.4620000123977661", "1.3400000333786009"]
    (tmp_path / "t.csv").write_text("x\n" + "\n".join(texts))
    expected = pd.read_csv(tmp_path / "t.csv")["x"]
    np.testing.assert_array_equal(read_numbers(pd.Series([*texts, "n/a"]), "t.csv", "x")[:4], expected)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,5", "n/a"], True),
        (["$5"], True),
        (["1,234", "2,345"], True),  # refused when it is read
        (["12.5", "3"], True),
        (["007", "1"], False),
        (["+1", "2"], False),
        (["1e5", "2e7"], False),
        (["007.5", "1"], True),
        (["5 kWh"], False),
        (["-", "n/a"], False),
        (["a", "1"], False),
        ([True, False], False),
    ],
)
def test_columns_that_hold_numbers(cells: list[object], expected: bool) -> None:
    assert holds_numbers(pd.Series(cells, dtype=object)) == expected


def test_a_reason_is_given_where_most_cells_are_numbers() -> None:
    assert "row 3: 'x'" in explain_numbers(pd.Series(["1", "2", "x"]), "t.csv", "a")
    assert explain_numbers(pd.Series(["2009 W. 6th St.", "1 Main St.", "5 Elm Rd."]), "t.csv", "a") == ""
    assert explain_numbers(pd.Series(["a", "b", "1"]), "t.csv", "a") == ""
