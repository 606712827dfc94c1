"""Labelled samples divided into train, val and test: which are used, their values for the net, and their weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lightfit.errors import UsageError, clip

from .findings import (
    Findings,
    count_shared,
    drop_repeated,
    drop_shared,
    find_in_labels,
    name_facts,
    warn_of_classes,
    warn_of_duplicates,
)
from .labelling import Labels, Places, Rows, encode_labels, find_labelled, fit_target, read_values
from .labels import balance_samples, stratify, weigh_classes, weigh_labels
from .splits import hold_out
from .targets import Classes, LabelSets, Target

NAMES_SHOWN = 3


@dataclass(frozen=True)
class Division:
    """The samples of each split, with the values that the net is trained on.

    Args:
        rows: indices of the samples of train, val and test.
        values: class (N,) int64, ones and zeros (N, K) float32, or numbers (N, K) float64 of each sample; any value for
            samples outside of `rows`.
        target: what the net predicts.
        label: index of the raw label of each sample, (N,).
        labels: meaning of each distinct raw label.
        missing: places of the samples without a label, which are left out.
        labelled: indices of the samples of each split of the source that have a label, before any are dropped.
        shared: number of samples of a later split that are in an earlier one too, before any are dropped.
        divided: groups that are in two splits of the source, such as patients: the pair of splits, and their names.
    """

    rows: Rows
    values: NDArray[Any]
    target: Target
    label: NDArray[np.int64]
    labels: Labels
    missing: list[str]
    labelled: Rows
    shared: Mapping[tuple[str, str], int]
    divided: Mapping[tuple[str, str], list[str]]

    @property
    def used(self) -> NDArray[np.int64]:
        """Return the indices of the samples of all splits."""
        return np.concatenate(list(self.rows.values()))

    @property
    def splits(self) -> Rows:
        """Return the indices of the samples of the splits that have any."""
        return {split: own for split, own in self.rows.items() if len(own)}


def divide(
    raw: Sequence[Any],
    label: NDArray[np.int64],
    rows: Rows,
    *,
    groups: NDArray[np.int64],
    owners: Sequence[str] | None = None,
    kind: str,
    known: Target | None,
    held_out: bool,
    skip: bool,
    drop: Literal["nothing", "shared", "all"],
    val_fraction: float,
    fold: str | None,
    seed: int,
    places: Places,
    select: Callable[[Labels, Rows], Rows] = lambda labels, rows: rows,
) -> Division:
    """Interpret labels and divide samples; hold out val from train where there is none.

    Args:
        raw: the distinct raw labels.
        label: index in `raw` of the label of each sample, (N,).
        rows: indices of the samples of each split of the source.
        groups: equal for identical samples, (N,).
        owners: what must not be divided between train and val, such as the patient, by sample; None: nothing.
        kind: as in `interpret_labels`, or `names` for classes whose names are not interpreted.
        known: target of a checkpoint; None: it is fitted.
        held_out: whether to hold out val from train where there is none.
        skip: whether to leave out samples without a label.
        drop: which duplicates to leave out: nothing; `shared`, those in an earlier split that are in a later one too;
            or `all`, also those within train, as in `drop_repeated`.
        val_fraction: fraction of train to hold out as val.
        fold: fold of a cross-validation, as in `stratified_fold`; None: no cross-validation.
        seed: seed of the random split.
        places: returns the place of each sample, for messages.
        select: leaves out some of the labelled samples.

    Raises:
        DataError: a label is missing, or unknown, or the labels are not of that kind, or a split would be empty.
    """
    labelled = find_labelled(raw, label, rows, kind=kind, known=known, skip=skip, places=places)
    rows = select(labelled.labels, labelled.rows)
    shared, divided = count_shared(groups, rows), _find_divided(owners, rows)
    labelled_rows = rows
    if drop != "nothing":
        rows = drop_shared(groups, rows)
    if drop == "all":
        rows = drop_repeated(groups, rows, label)
    train = rows["train"] if fold is None else np.union1d(rows["train"], rows["val"])
    names: list[str] = []
    if known is None:
        values, names = read_values(label, labelled.labels, rows, train, places)
    else:
        values = encode_labels(label, labelled.labels, rows, known, places)
    if held_out and (fold is not None or not len(rows["val"])):
        together = groups if owners is None else _join_groups(groups, owners)
        kept, out = hold_out(stratify(values[train]), together[train], val_fraction=val_fraction, fold=fold, seed=seed)
        rows = rows | {"train": train[kept], "val": train[out]}
    target = known or fit_target(labelled.labels.kind, names, values[rows["train"]])
    return Division(rows, values, target, label, labelled.labels, labelled.missing, labelled_rows, shared, divided)


def _join_groups(groups: NDArray[np.int64], owners: Sequence[str]) -> NDArray[np.int64]:
    """Return groups such that neither identical samples nor samples of one owner are in different ones."""
    _, first = np.unique(groups, return_inverse=True)
    _, second = np.unique(np.array(owners), return_inverse=True)
    first, second = first.reshape(-1), second.reshape(-1)
    joined = np.arange(first.max(initial=-1) + 1)  # of each group: the least one that it is known to be joined with
    while True:
        least = np.full(second.max(initial=-1) + 1, len(joined))  # of each owner's groups
        np.minimum.at(least, second, joined[first])
        closer = joined.copy()
        np.minimum.at(closer, first, least[second])
        np.minimum.at(closer, joined[first], least[second])  # that one too, so that long chains take few rounds
        closer = closer[closer]
        if np.array_equal(closer, joined):
            return np.unique(joined[first], return_inverse=True)[1].reshape(-1).astype(np.int64)
        joined = closer


def _find_divided(owners: Sequence[str] | None, rows: Rows) -> dict[tuple[str, str], list[str]]:
    if owners is None:
        return {}
    held = {split: {owners[row] for row in own.tolist()} for split, own in rows.items() if len(own)}
    names = list(held)
    pairs = {
        (first, second): sorted(held[first] & held[second])
        for place, first in enumerate(names)
        for second in names[place + 1 :]
    }
    return {pair: own for pair, own in pairs.items() if own}


def warn_of_division(division: Division, *, what: str) -> list[str]:
    """Return warnings about groups in two splits, and about classes that cannot be evaluated.

    Args:
        division: the samples of each split.
        what: the samples, in plural, such as `images`.
    """
    warnings = [
        f"{len(own):,} groups are in {first} and in {second}, such as '{clip(own[0])}', so scores on {second} may be "
        "too high; divide the source by group, or give it without splits"
        for (first, second), own in division.divided.items()
    ]
    if isinstance(division.target, Classes) and "train" in division.splits and "val" in division.splits:
        names = division.target.names
        absent = np.setdiff1d(np.arange(len(names)), division.values[division.rows["val"]])
        if len(absent):
            shown = ", ".join(f"'{clip(names[index])}'" for index in absent[:NAMES_SHOWN])
            warnings.append(
                f"{len(absent):,} of {len(names):,} classes have no {what} in val, such as {shown}, so they are not "
                f"evaluated; add {what} of them there, or increase `val_fraction`"
            )
    return warnings


def find_in_division(
    division: Division,
    own: Findings,
    *,
    groups: NDArray[np.int64],
    source: Sequence[str],
    skipped: Sequence[str],
    dropped: bool,
    weighted: bool,
    what: str,
    row: str,
    places: Callable[[], Sequence[str]],
    remedy: str,
) -> Findings:
    """Return what was found in labelled samples: their source, labels and duplicates, and what is their domain's own.

    Args:
        division: the samples of each split.
        own: facts, warnings, tables and examples of the domain.
        groups: equal for identical samples, (N,).
        source: lines about the source.
        skipped: samples that are left out, with the reason.
        dropped: whether duplicates are left out.
        weighted: whether the loss or the sampling balances the classes.
        what: the samples, in plural, such as `images`.
        row: what is skipped, in plural, such as `rows`.
        places: as in `warn_of_duplicates`.
        remedy: likewise.
    """
    used, target = division.splits, division.target
    classes = find_in_labels(target, {split: division.values[rows] for split, rows in used.items()})
    duplicates, warnings = warn_of_duplicates(
        groups,
        division.labelled,
        division.label,
        shared=division.shared,
        dropped=dropped,
        what=what,
        places=places,
        remedy=remedy,
    )
    warnings += [*warn_of_division(division, what=what), *own.warnings]
    if "classes" in classes.tables and "train" in used:
        warnings += warn_of_classes(classes.tables["classes"], weighted=weighted, sets=isinstance(target, LabelSets))
    if skipped:
        warnings.append(f"{len(skipped):,} {row} are skipped, such as {skipped[0]}")
    read_as = {"read as": "; ".join(division.labels.notes)} if division.labels.notes else {}
    facts = {**name_facts(source), **read_as, **classes.facts, **own.facts, **duplicates}
    return Findings(facts, warnings, {**classes.tables, **own.tables}, own.find_examples)


def weigh(
    target: Target,
    train: NDArray[Any],
    *,
    class_weights: str | Mapping[str, float],
    balanced_sampling: bool,
) -> dict[str, Any]:
    """Return `loss_weights` of the classes, and `sample_weights` of the training samples if they are balanced.

    Args:
        target: what the net predicts.
        train: value of each training sample.
        class_weights: as in `weigh_classes`.
        balanced_sampling: whether to draw all classes equally often.

    Raises:
        UsageError: the samples have no classes that could be weighed or sampled evenly.
    """
    if isinstance(target, Classes):
        weights: dict[str, Any] = {"loss_weights": weigh_classes(class_weights, train, target.names)}
        if balanced_sampling:
            weights["sample_weights"] = torch.from_numpy(balance_samples(train))
        return weights
    if isinstance(target, LabelSets) and not balanced_sampling:
        return {"loss_weights": weigh_labels(class_weights, train, target.names)}
    if balanced_sampling or class_weights != "none":
        name = "balanced_sampling" if balanced_sampling else "class_weights"
        what = "sets of labels" if isinstance(target, LabelSets) else "numbers"
        raise UsageError(f"`{name}` needs one class for each sample, and the labels are {what}: leave it out")
    return {}
