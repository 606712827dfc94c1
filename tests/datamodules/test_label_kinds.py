"""Raw labels of tables are classes, sets or numbers; each class has one spelling."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from lightfit.datamodules.label_kinds import interpret_labels
from lightfit.errors import DataError


def interpret(cells: list[Any], **arguments: Any) -> Any:
    """Interpret the labels of samples, distinct ones in order of appearance."""
    distinct = list({repr(cell): cell for cell in cells}.values())
    counts = Counter(map(repr, cells))
    return interpret_labels(distinct, np.array([counts[repr(cell)] for cell in distinct]), **arguments)


def test_numbers_and_booleans_have_one_spelling() -> None:
    """1, 1.0, "1" and True are one class, and that is said."""
    found = interpret([1, 1.0, "1", True, 0, "0.0", False])
    assert found.kind == "classes"
    assert found.meanings == ["1", "1", "1", "1", "0", "0", "0"]
    assert "1, 1.0, True are one class, '1'" in found.notes[0]


def test_booleans_alone_stay_booleans() -> None:
    """True, TRUE and true are one class; no 1 is made of them where there are no numbers."""
    assert interpret([True, "TRUE", "true", False]).meanings == ["true", "true", "true", "false"]


@pytest.mark.parametrize("codes", [["01", "1", "002"], ["NA", "FR"], ["none", "some"], ["a|b"], ["1.2.3", "1.2"]])
def test_codes_stay_text(codes: list[str]) -> None:
    """Codes such as 01 and NA are names, and so is a bar in one name."""
    assert interpret(codes).meanings == codes


@pytest.mark.parametrize("missing", [None, "", "  ", "nan", "NaN", "None", "null", "NULL", "<NA>", float("nan")])
def test_missing_labels_are_no_class(missing: Any) -> None:
    """What programs write for a missing value is no class."""
    assert interpret(["a", missing, "b"]).meanings == ["a", None, "b"]


@pytest.mark.parametrize(
    ("cells", "sets"),
    [
        ([["neg", "long"], ["pos"], []], [("neg", "long"), ("pos",), ()]),
        (["['neg', 'long']", '["pos"]', "[]"], [("neg", "long"), ("pos",), ()]),
        (["neg|long", "pos", "pos | long"], [("neg", "long"), ("pos",), ("pos", "long")]),
        ([{"a": 0, "b": "1"}, {"a": "1.0", "b": True}], [("b",), ("a", "b")]),
        ([[1, 2], [2.0]], [("1", "2"), ("2",)]),
    ],
)
def test_sets_are_recognised(cells: list[Any], sets: list[Any]) -> None:
    """Lists, 0/1 columns and names joined by a bar are sets of labels, and that is said."""
    found = interpret(cells)
    assert found.kind == "multi_label"
    assert found.meanings == sets
    assert "multi-label" in found.notes[0]


def test_a_separator_can_be_asked_for() -> None:
    """With `multi_label`, semicolons and commas separate too; without, they do not."""
    assert interpret(["a;b", "a"], kind="multi_label").meanings == [("a", "b"), ("a",)]
    assert interpret(["a;b", "a"]).kind == "classes"


def test_lists_of_one_label_are_classes() -> None:
    """A list with one label for each sample is a class."""
    assert interpret([["pos"], ["neg"]]).meanings == ["pos", "neg"]


@pytest.mark.parametrize(
    "numbers",
    [
        [1 + 0.0364 * step for step in range(100)],
        [str(round(1.23 + step / 30, 2)) for step in range(110)],
        list(range(300)),
    ],
)
def test_numbers_to_predict_are_no_classes(numbers: list[Any]) -> None:
    """Many distinct numbers look like a rating; the message says how to train a regression."""
    with pytest.raises(DataError, match="look like a number to predict.*Set `labels` to numbers"):
        interpret(numbers)
    assert interpret(numbers, kind="numbers").meanings[0] == (float(numbers[0]),)
    assert len(set(interpret(numbers, kind="classes").meanings)) == len(numbers)


@pytest.mark.parametrize(
    "classes", [[str(index) for index in range(150)] * 20, [1, 2, 3, 4, 5] * 4, [half / 2 for half in range(2, 11)] * 9]
)
def test_numbers_of_classes_are_classes(classes: list[Any]) -> None:
    """Numbers with many samples each, stars and half stars are classes."""
    assert interpret(classes).kind == "classes"


def test_free_text_is_no_label() -> None:
    """A different label in each row is the wrong column."""
    with pytest.raises(DataError, match="free text or ids: 40 distinct ones in 40 rows.*`label_column`"):
        interpret([f"comment {index}" for index in range(40)])


def test_a_list_is_no_class() -> None:
    """Where classes are asked for, a list is an error."""
    with pytest.raises(DataError, match="a label is a list.*`labels` to multi_label"):
        interpret([["a", "b"], ["a"]], kind="classes")


def test_what_is_no_number_is_an_error() -> None:
    """A regression needs numbers."""
    with pytest.raises(DataError, match="expected a number to predict.*received 'good'"):
        interpret([1.5, "good"], kind="numbers")


def test_several_number_columns() -> None:
    """Several label columns of numbers are several values to predict."""
    found = interpret([{"price": "1.5", "area": 30}, {"price": 2, "area": "31.5"}])
    assert (found.kind, found.columns) == ("numbers", ("price", "area"))
    assert found.meanings == [(1.5, 30.0), (2.0, 31.5)]


def test_known_classes_keep_their_spelling() -> None:
    """Labels of other data are matched with the classes of a checkpoint."""
    assert interpret([1, "0.0", "true"], known=["0", "1"]).meanings == ["1", "0", "1"]
    assert interpret([True, "FALSE"], known=["false", "true"]).meanings == ["true", "false"]
    assert interpret(["True"], known=["True", "False"]).meanings == ["True"]
