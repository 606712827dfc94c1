"""Class numbers from labels."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from lightfit.errors import DataError, NotFoundError


def number_labels(
    label: NDArray[np.int64], names: list[str], *, train: NDArray[np.int64], places: Callable[[], list[str]]
) -> tuple[NDArray[np.int64], list[str]]:
    """Classes in the order of their names, numbers in the order of numbers; known are those of the training part.

    Args:
        label: position in `names` of every sample's label, (N,).
        names: the distinct labels.
        train: indices of the training part.
        places: where each sample stands, for the message; called only if something is wrong.

    Returns:
        The class of every sample, (N,) int64, and the names of the classes.

    Raises:
        DataError: the training part has one class only, or a sample has a label that training lacks.
    """
    known = [names[number] for number in np.unique(label[train])]
    order = sorted(known, key=int) if all(map(_is_int, known)) else sorted(known)
    if len(order) < 2:
        raise DataError(
            f"expected at least two classes in the training part, received one: '{order[0]}' in all {len(train)} "
            "samples; are the labels the right ones?"
        )
    return find_numbers(label, names, known=order, places=places), order


def find_numbers(
    label: NDArray[np.int64], names: list[str], *, known: list[str], places: Callable[[], list[str]]
) -> NDArray[np.int64]:
    """The class of every sample, (N,) int64.

    Args:
        label: position in `names` of every sample's label, (N,).
        names: the distinct labels.
        places: where each sample stands, for the message; called only if something is wrong.
        known: names of the classes, in the order of their numbers.

    Raises:
        DataError: a sample has a label that is none of them.
    """
    unseen = np.flatnonzero(np.isin(label, [number for number, name in enumerate(names) if name not in known]))
    if len(unseen):
        raise DataError(
            f"{places()[unseen[0]]}: the label '{names[label[unseen[0]]]}' was never seen in training; "
            f"the training part has: {', '.join(known)}"
        )
    return np.array([known.index(name) if name in known else -1 for name in names], np.int64)[label]


def check_classes(labels: NDArray[np.int64], names: list[str], *, part: str, hint: str) -> None:
    """Nothing, where every class has a sample.

    Args:
        labels: class of every sample of a part, (N,).
        names: names of all classes.
        part: name of the part, for the message.
        hint: what to do about a class that is missing.

    Raises:
        DataError: a class has none.
    """
    if len(missing := np.setdiff1d(np.arange(len(names)), labels)):
        raise DataError(f"the class '{names[missing[0]]}' is missing from {part}, so nothing would tell of it: {hint}")


def weigh_classes(choice: str | Mapping[str, float], labels: NDArray[np.int64], names: list[str]) -> list[float] | None:
    """What a sample of each class counts in the loss, 1 on the average of the training part; None if all count 1.

    Args:
        choice: `none`, `balanced` (in inverse proportion to how often the class occurs), or a weight by class name, 1
            where there is none.
        labels: class of every training sample, (N,).
        names: names of the classes.

    Raises:
        LookupError: a weight is given to a class that there is not.
        ValueError: a weight is not above 0.
    """
    if choice == "none":
        return None
    counts = np.bincount(labels, minlength=len(names))
    if isinstance(choice, str):
        return (len(labels) / (len(names) * counts)).tolist()
    check_names(choice, names, "--data.class_weights")
    if low := [name for name, weight in choice.items() if not weight > 0]:
        raise ValueError(f"expected class weights above 0, received {choice[low[0]]} for '{low[0]}'")
    weights = np.array([choice.get(name, 1.0) for name in names])
    return (weights * len(labels) / (weights * counts).sum()).tolist()


def check_names(asked: Iterable[str], names: list[str], option: str) -> None:
    """Nothing, where all names that are asked for are those of classes.

    Raises:
        LookupError: one is none; the nearest are named.
    """
    for name in asked:
        if name not in names:
            near = get_close_matches(name, names, n=3, cutoff=0.4) or names[:10]
            raise NotFoundError(f"{option} names the class '{name}', which there is not; there is: {', '.join(near)}")


def _is_int(name: str) -> bool:
    return name.removeprefix("-").isdecimal()
