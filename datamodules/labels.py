"""Class numbers from labels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError


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
    unseen = np.flatnonzero(np.isin(label, [number for number, name in enumerate(names) if name not in order]))
    if len(unseen):
        raise DataError(
            f"{places()[unseen[0]]}: the label '{names[label[unseen[0]]]}' was never seen in training; "
            f"the training part has: {', '.join(order)}"
        )
    place = np.array([order.index(name) if name in order else -1 for name in names], np.int64)
    return place[label], order


def _is_int(name: str) -> bool:
    return name.removeprefix("-").isdecimal()
