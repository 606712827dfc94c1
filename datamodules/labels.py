"""Labels as arrays: class indices, sets of labels, numbers; and weights of classes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightfit.errors import DataError, NotFoundError, clip

from .label_kinds import Meaning

LISTED_CHARS = 120  # of the names of known classes, in messages


def index_classes(
    label: NDArray[np.int64], names: list[str], *, train: NDArray[np.int64], places: Callable[[], list[str]]
) -> tuple[NDArray[np.int64], list[str]]:
    """Assign an index to each class of the training split.

    Classes are sorted by name, or by value if all names are integers.

    Args:
        label: index in `names` of the label of each sample, (N,).
        names: the distinct labels.
        train: indices of the training samples.
        places: returns the place of each sample, for the message; only called in case of an error.

    Returns:
        The class index of each sample, (N,) int64, and the names of the classes.

    Raises:
        DataError: the training split has only one class, or a sample has a label that is not in it.
    """
    known = [names[index] for index in np.unique(label[train])]
    order = sorted(known, key=int) if all(map(_is_int, known)) else sorted(known)
    if len(order) < 2:
        raise DataError(
            f"expected at least two classes in the training split, received one: '{clip(order[0])}' in all "
            f"{len(train)} samples; check that the labels are the right ones"
        )
    return find_classes(label, names, known=order, places=places), order


def find_classes(
    label: NDArray[np.int64], names: list[str], *, known: list[str], places: Callable[[], list[str]]
) -> NDArray[np.int64]:
    """Return the class index of each sample, (N,) int64, with known classes.

    Args:
        label: index in `names` of the label of each sample, (N,).
        names: the distinct labels.
        places: returns the place of each sample, for the message; only called in case of an error.
        known: names of the classes, in the order of their indices.

    Raises:
        DataError: a sample has a label that is not among the known classes.
    """
    unseen = np.flatnonzero(np.isin(label, [index for index, name in enumerate(names) if name not in known]))
    if len(unseen):
        raise DataError(
            f"{places()[unseen[0]]}: the label '{clip(names[label[unseen[0]]])}' was never seen in training; the "
            f"training split has: {clip(', '.join(known), LISTED_CHARS)}. Correct the label, or add it to the "
            "training data"
        )
    return np.array([known.index(name) if name in known else -1 for name in names], np.int64)[label]


def list_names(meanings: Sequence[Meaning], used: NDArray[np.int64]) -> list[str]:
    """Return the names in the sets of labels of some samples, sorted, or by value if all are integers.

    Args:
        meanings: set of labels of each distinct raw label, as in `Labels`.
        used: indices in `meanings` of the samples.
    """
    names = {str(name) for index in np.unique(used) for name in meanings[index] or ()}
    return sorted(names, key=int) if all(map(_is_int, names)) else sorted(names)


def encode_numbers(label: NDArray[np.int64], meanings: Sequence[Meaning]) -> NDArray[np.float64]:
    """Return the numbers of each sample, (N, K) float64.

    Args:
        label: index in `meanings` of the numbers of each sample, (N,).
        meanings: numbers of each distinct raw label.
    """
    width = max((len(own) for own in meanings if own is not None), default=1)
    return np.array([own if own is not None else (np.nan,) * width for own in meanings], np.float64)[label]


NUM_STRATA = 10  # of numbers, so that train and val have the same range of them


def stratify(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return a stratum for each sample, by which to hold out val: its class, its rarest label, or its decile.

    Args:
        values: class indices (N,) int64, sets of labels (N, K) float32, or numbers (N, K) float64.
    """
    if values.ndim == 1:
        return values.astype(np.int64)
    if values.dtype == np.float32:
        rarity = np.where(values > 0, -values.sum(0), -np.inf)  # of the labels of each sample
        return np.where(values.any(1), rarity.argmax(1), values.shape[1])
    edges = np.quantile(values[:, 0], np.linspace(0, 1, NUM_STRATA + 1)[1:-1])
    return np.digitize(values[:, 0], edges).astype(np.int64)


def weigh_classes(choice: str | Mapping[str, float], labels: NDArray[np.int64], names: list[str]) -> list[float] | None:
    """Return the weight of each class in the loss, scaled to a mean of 1 over the training samples; None if all are 1.

    Args:
        choice: `none`, `balanced` (inversely proportional to the class frequency), or weights by class name, 1 for the
            classes left out.
        labels: class index of each training sample, (N,).
        names: names of the classes.

    Raises:
        LookupError: a weight is given for a class that does not exist.
        ValueError: a weight is not positive.
    """
    if choice == "none":
        return None
    counts = np.bincount(labels, minlength=len(names))
    if isinstance(choice, str):
        return (len(labels) / (len(names) * counts)).tolist()
    check_names(choice, names, "class_weights")
    if low := [name for name, weight in choice.items() if not weight > 0]:
        raise ValueError(f"expected `class_weights` above 0, received {choice[low[0]]} for '{low[0]}'")
    weights = np.array([choice.get(name, 1.0) for name in names])
    return (weights * len(labels) / (weights * counts).sum()).tolist()


def balance_samples(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the relative frequency with which each sample is drawn, (N,), so that all classes occur equally often."""
    return 1 / np.bincount(labels)[labels]


def weigh_labels(
    choice: str | Mapping[str, float], labels: NDArray[np.float32], names: list[str]
) -> list[float] | None:
    """Return the weight of the samples that have each label, in its part of the loss; None if all are 1.

    Args:
        choice: `none`, `balanced` (samples without the label divided by those with it), or weights by label, 1 for the
            labels left out.
        labels: ones and zeros of each training sample, (N, K).
        names: names of the labels.

    Raises:
        LookupError: a weight is given for a label that does not exist.
        ValueError: a weight is not positive.
    """
    if choice == "none":
        return None
    if isinstance(choice, str):
        counts = labels.sum(0)
        return ((len(labels) - counts) / np.clip(counts, 1, None)).clip(min=1).tolist()
    check_names(choice, names, "class_weights")
    if low := [name for name, weight in choice.items() if not weight > 0]:
        raise ValueError(f"expected `class_weights` above 0, received {choice[low[0]]} for '{low[0]}'")
    return [float(choice.get(name, 1.0)) for name in names]


def check_names(asked: Iterable[str], names: list[str], argument: str) -> None:
    """Check that an argument names only classes that exist.

    Raises:
        LookupError: a class does not exist; the message names similar ones.
    """
    for name in asked:
        if name not in names:
            near = get_close_matches(name, names, n=3, cutoff=0.4) or names[:10]
            raise NotFoundError(
                f"`{argument}` names the class '{name}', which does not exist; expected one of: {', '.join(near)}"
            )


def _is_int(name: str) -> bool:
    return name.removeprefix("-").isdecimal()
