"""Labels as arrays, and what is found about classes and duplicates."""

import numpy as np
import pandas as pd

from lightfit.datamodules.findings import (
    count_classes,
    count_shared,
    drop_repeated,
    drop_shared,
    warn_of_classes,
    warn_of_duplicates,
)
from lightfit.datamodules.labels import encode_numbers, list_names, stratify


def test_names_of_sets() -> None:
    """The names are those of the samples that are asked for, by value if they are integers."""
    assert list_names([("b", "a"), (), ("c",)], np.array([0, 1])) == ["a", "b"]
    assert list_names([("10", "9")], np.array([0])) == ["9", "10"]


def test_numbers_become_columns() -> None:
    """A missing label is NaN in each column."""
    numbers = encode_numbers(np.array([1, 0]), [(1.5, 2.0), None])
    np.testing.assert_array_equal(numbers, [[np.nan, np.nan], [1.5, 2.0]])


def test_strata() -> None:
    """Classes are their own strata, sets belong to their rarest label, numbers to their decile."""
    np.testing.assert_array_equal(stratify(np.array([0, 2])), [0, 2])
    sets = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.float32)
    np.testing.assert_array_equal(stratify(sets), [0, 1, 0, 2])
    deciles = stratify(np.arange(100.0)[:, None])
    np.testing.assert_array_equal(np.bincount(deciles), [10] * 10)


def test_warnings_name_the_argument() -> None:
    """Imbalance, rare classes, and names that differ in case alone."""
    labels = {"train": np.repeat([0, 1, 2], [100, 3, 100]), "val": np.array([0, 1])}
    table = count_classes(labels, ["Pos", "neg", "pos "])
    pd.testing.assert_series_equal(table["val"], pd.Series([1, 1, 0], name="val"))
    imbalance, few, alike = warn_of_classes(table, weighted=False)
    assert "'Pos' has 100 samples in train, 'neg' 3; `class_weights` or `balanced_sampling`" in imbalance
    assert "1 classes have fewer than 5 samples in train, such as 'neg'" in few
    assert "'Pos' and 'pos'" in alike
    assert len(warn_of_classes(table, weighted=True)) == 2
    even = count_classes({"train": np.repeat([0, 1], 50)}, ["a", "b"])
    assert warn_of_classes(even, weighted=False) == []


def test_duplicates_between_splits() -> None:
    """What is in two splits is counted, and dropped from the earlier one."""
    groups = np.array([0, 1, 2, 0, 3, 1, 2])
    rows = {"train": np.array([0, 1, 2]), "val": np.array([3, 4]), "test": np.array([5, 6])}
    assert count_shared(groups, rows) == {("train", "val"): 1, ("train", "test"): 2}
    kept = drop_shared(groups, rows)
    assert {split: own.tolist() for split, own in kept.items()} == {"train": [], "val": [3, 4], "test": [5, 6]}
    shared = count_shared(groups, rows)
    labels = np.array([0, 0, 0, 1, 0, 0, 0])
    facts, warnings = warn_of_duplicates(
        groups, rows, labels, shared=shared, dropped=False, what="texts", places=lambda: list("abcdefg"), remedy="x"
    )
    assert facts == {"duplicates": "3 of 7 texts repeat another one, such as d = a"}
    assert "1 of 2 texts of val are in train too, such as d = a" in warnings[0]
    assert "1 texts occur with different labels" in warnings[-1]


def test_duplicates_within_train_are_dropped() -> None:
    """Of identical samples the first is kept; those with other labels are left out, as one of them is wrong."""
    groups, labels = np.array([5, 6, 5, 7, 7, 8, 5]), np.array([0, 1, 0, 0, 1, 1, 0])
    rows = {"train": np.array([0, 1, 2, 3, 4, 5]), "val": np.array([6]), "test": np.array([], np.int64)}
    kept = drop_repeated(groups, rows, labels)
    assert kept["train"].tolist() == [0, 1, 5]
    assert kept["val"].tolist() == [6]
