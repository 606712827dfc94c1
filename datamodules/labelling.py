"""Labels of samples: which samples have one, what they mean, and their values for the net."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightfit.errors import DataError

from .label_kinds import Labels, interpret_labels
from .labels import encode_numbers, find_classes, index_classes, list_names
from .splits import SPLITS
from .targets import Classes, LabelSets, Numbers, Target

Rows = dict[str, NDArray[np.int64]]
Places = Callable[[], list[str]]


class Labelled(NamedTuple):
    """The samples that have a label.

    Args:
        rows: indices of the samples of each split.
        labels: meaning of each distinct raw label.
        missing: places of the samples without a label, which are left out.
    """

    rows: Rows
    labels: Labels
    missing: list[str]


def find_labelled(
    raw: Sequence[Any],
    label: NDArray[np.int64],
    rows: Mapping[str, NDArray[np.int64]],
    *,
    kind: str,
    known: Target | None,
    skip: bool,
    places: Places,
) -> Labelled:
    """Interpret raw labels, and find the samples that have one.

    Args:
        raw: the distinct raw labels.
        label: index of the raw label of each sample, (N,).
        rows: indices of the samples of each split.
        kind: as in `interpret_labels`, or `names` for classes whose names are not interpreted.
        known: target of a checkpoint; None: it is still to be fitted.
        skip: whether to leave out samples without a label.
        places: returns the place of each sample, for messages.

    Raises:
        DataError: a sample has no label and `skip` is false, or as in `interpret_labels`.
    """
    counts = np.bincount(label, minlength=len(raw))
    names = None if known is None else known.names
    if kind == "names" and (known is None or known.kind == "classes"):
        labels = Labels("classes", [str(name) for name in raw], (), [])
    else:
        labels = interpret_labels(raw, counts, kind=kind if known is None else known.kind, known=names)
    absent = np.array([meaning is None for meaning in labels.meanings])[label]
    if not absent.any():
        return Labelled(dict(rows), labels, [])
    where = [places()[row] for row in np.flatnonzero(absent)]
    if not skip:
        written = raw[label[absent.argmax()]]
        what = "is empty" if written in (None, "") else f"is {written!r}, a missing value"
        raise DataError(
            f"{where[0]}: the label {what}; expected one in each row, and {len(where):,} of {len(absent):,} have none. "
            "Correct or delete these rows, or set `on_error` to skip to leave them out"
        )
    kept = {split: own[~absent[own]] for split, own in rows.items()}
    if not len(kept["train"]) and len(rows["train"]):
        raise DataError(f"none of the {len(absent):,} samples has a label; expected one in each: set `label_column`")
    return Labelled(kept, labels, where)


def read_values(
    label: NDArray[np.int64],
    labels: Labels,
    rows: Mapping[str, NDArray[np.int64]],
    train: NDArray[np.int64],
    places: Places,
) -> tuple[NDArray[Any], list[str]]:
    """Return the value of each sample, as `encode_labels`, and the names of the classes, labels or numbers.

    Args:
        label: index of the raw label of each sample, (N,).
        labels: meaning of each distinct raw label.
        rows: indices of the samples of each split.
        train: indices of the training samples, those that are later held out included.
        places: returns the place of each sample, for messages.

    Raises:
        DataError: there is only one class, or a sample has a class that no training sample has.
    """
    if labels.kind == "classes":
        used = _list_used(rows)
        distinct, names = _index_names(labels)
        values = np.full(len(label), -1)
        position = np.searchsorted(used, train)
        values[used], names = index_classes(
            distinct[label[used]], names, train=position, places=lambda: take_items(places(), used)
        )
        return values, names
    if labels.kind == "multi_label":
        sets = LabelSets(list(labels.columns) or list_names(labels.meanings, label[train]))
        return encode_labels(label, labels, rows, sets, places), sets.names
    numbers = encode_numbers(label, labels.meanings)
    return numbers, list(labels.columns) or ["value"] * (numbers.shape[1] == 1)


def fit_target(kind: str, names: list[str], train: NDArray[Any]) -> Target:
    """Fit the target on the values of the training samples.

    Args:
        kind: as of `Labels`.
        names: names of the classes, labels or numbers.
        train: value of each training sample.
    """
    if kind == "numbers":
        return Numbers.fit(torch.from_numpy(train), names)
    return Classes(names) if kind == "classes" else LabelSets(names)


def encode_labels(
    label: NDArray[np.int64], labels: Labels, rows: Mapping[str, NDArray[np.int64]], target: Target, places: Places
) -> NDArray[Any]:
    """Return the value of each sample: its class (N,) int64, ones and zeros (N, K) float32, or numbers (N, K) float64.

    Samples outside of `rows` have any value.

    Raises:
        DataError: a sample has a label that the target does not have.
    """
    used = _list_used(rows)
    if isinstance(target, Classes):
        distinct, names = _index_names(labels)
        values = np.full(len(label), -1)
        values[used] = find_classes(
            distinct[label[used]], names, known=target.names, places=lambda: take_items(places(), used)
        )
        return values
    if isinstance(target, LabelSets):
        own, first = np.unique(label[used], return_index=True)
        sets = [[str(name) for name in labels.meanings[index] or ()] for index in own]
        table = np.zeros((len(labels.meanings), target.num_values), np.float32)
        table[own] = target.encode(sets, take_items(places(), used[first])).numpy()
        return table[label]
    return encode_numbers(label, labels.meanings)


def _list_used(rows: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate([rows[split] for split in SPLITS if split in rows]))


def _index_names(labels: Labels) -> tuple[NDArray[np.int64], list[str]]:
    """Return the index of the name of each distinct raw label, and the names: several raw labels may have one."""
    names = list(dict.fromkeys(str(name) for name in labels.meanings if name is not None))
    index = {name: position for position, name in enumerate(names)}
    return np.array([-1 if name is None else index[str(name)] for name in labels.meanings]), names


def take_items(items: list[str], rows: NDArray[np.int64]) -> list[str]:
    return [items[row] for row in rows.tolist()]
