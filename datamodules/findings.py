"""What a DataModule found in the raw data: facts, warnings that name an argument, and tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import clip

from .splits import SPLITS
from .targets import LabelSets, Numbers, Target

IMBALANCE = 10  # ratio of the largest to the smallest class from which an imbalance is strong
FEW_SAMPLES = 5  # in train: a class with fewer can hardly be learned or evaluated
CLASSES_SHOWN = 12
NAMES_SHOWN = 3


@dataclass(frozen=True)
class Findings:
    """What was found in the raw data.

    Args:
        facts: what was found, by topic, such as the format or the lengths of the texts.
        warnings: what may be wrong; each names the argument that answers it in backquotes.
        tables: counts by title, such as the samples of each class.
        find_examples: returns a few pictures (h, w, 3) uint8 of each class, by its name; only called for a page.
        find_plots: returns what a page plots, such as the curves of series, or None; only called for a page.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    find_examples: Callable[[], Mapping[str, Sequence[NDArray[np.uint8]]]] = dict
    find_plots: Callable[[], Any] = lambda: None

    def lines(self) -> list[str]:
        """Return facts and warnings as lines to print."""
        width = max(map(len, self.facts), default=0)
        return [f"  {topic:{width}}  {fact}" for topic, fact in self.facts.items()] + [
            f"warning: {warning}" for warning in self.warnings
        ]


def count_classes(labels: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> pd.DataFrame:
    """Count the samples of each class in each split: columns `class`, and `train`, `val`, `test` as they exist.

    Args:
        labels: class index of each sample, by split; for sets of labels, the concatenated indices.
        names: names of the classes.
    """
    counts = {split: np.bincount(own, minlength=len(names))[: len(names)] for split, own in labels.items()}
    return pd.DataFrame({"class": list(names), **counts})


def list_classes(table: pd.DataFrame) -> str:
    """Return the classes of a `count_classes` table with their number of training samples, on one line."""
    split = next(name for name in SPLITS if name in table)
    shown = [f"{clip(name)} {count:,}" for name, count in zip(table["class"], table[split], strict=True)][
        :CLASSES_SHOWN
    ]
    more = [f"and {len(table) - CLASSES_SHOWN:,} more"] if len(table) > CLASSES_SHOWN else []
    return ", ".join(shown + more)


def warn_of_classes(table: pd.DataFrame, *, weighted: bool, sets: bool = False) -> list[str]:
    """Return warnings about the classes: strong imbalance, few samples, names that differ in case or blanks alone.

    Args:
        table: a `count_classes` table with the split `train`.
        weighted: whether the loss or the sampling already balances the classes.
        sets: whether samples have sets of labels, which cannot be sampled evenly.
    """
    warnings = []
    counts = table["train"].to_numpy()
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    name = [clip(own) for own in table["class"]]
    if not weighted and counts[largest] >= IMBALANCE * max(int(counts[smallest]), 1):
        answer = "`class_weights`" if sets else "`class_weights` or `balanced_sampling`"
        warnings.append(
            f"the classes are unbalanced: '{name[largest]}' has {counts[largest]:,} samples in train, "
            f"'{name[smallest]}' {counts[smallest]:,}; {answer} counts them alike"
        )
    if len(few := np.flatnonzero(counts < FEW_SAMPLES)):
        shown = ", ".join(f"'{name[index]}'" for index in few[:NAMES_SHOWN])
        warnings.append(
            f"{len(few):,} classes have fewer than {FEW_SAMPLES} samples in train, such as {shown}: expect nothing of "
            "them; add samples, or leave them out"
        )
    spelled: dict[str, list[str]] = {}
    for own in table["class"]:
        spelled.setdefault("".join(str(own).lower().split()), []).append(clip(own))
    if alike := [own for own in spelled.values() if len(own) > 1]:
        shown = "; ".join(" and ".join(f"'{one}'" for one in own) for own in alike[:NAMES_SHOWN])
        warnings.append(
            f"{len(alike):,} classes differ in case or blanks alone: {shown}; each is learned as a class of its own, "
            "so correct the labels if they are one"
        )
    return warnings


def count_shared(groups: NDArray[np.int64], rows: Mapping[str, NDArray[np.int64]]) -> dict[tuple[str, str], int]:
    """Count the samples of a later split that also occur in an earlier one, such as (`train`, `test`).

    Args:
        groups: group id of each sample, equal for identical samples, (N,).
        rows: indices of the samples of each split.
    """
    held = {split: groups[rows[split]] for split in SPLITS if len(rows.get(split, ()))}
    names = list(held)
    shared = {
        (first, second): int(np.isin(held[second], held[first]).sum())
        for place, first in enumerate(names)
        for second in names[place + 1 :]
    }
    return {pair: count for pair, count in shared.items() if count}


def drop_shared(groups: NDArray[np.int64], rows: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Drop from train what occurs in val or test, and from val what occurs in test.

    Args:
        groups: group id of each sample, equal for identical samples, (N,).
        rows: indices of the samples of each split.
    """
    kept = dict(rows)
    for place, split in enumerate(SPLITS[:-1]):
        later = np.concatenate([groups[rows[name]] for name in SPLITS[place + 1 :] if name in rows] or [groups[:0]])
        kept[split] = rows[split][~np.isin(groups[rows[split]], later)]
    return kept


def drop_repeated(
    groups: NDArray[np.int64], rows: Mapping[str, NDArray[np.int64]], labels: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Drop from train what repeats an earlier sample of it, and all samples of train that occur with other labels.

    Args:
        groups: group id of each sample, equal for identical samples, (N,).
        rows: indices of the samples of each split.
        labels: index of the label of each sample, (N,).
    """
    train = rows["train"]
    contradicting = _find_contradicting(groups[train], labels[train])
    _, first = np.unique(groups[train], return_index=True)
    kept = train[np.sort(first)]
    return dict(rows) | {"train": kept[~np.isin(groups[kept], contradicting)]}


def _find_contradicting(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the groups whose samples have different labels."""
    pairs = np.unique(np.stack([groups, labels.astype(groups.dtype)], 1), axis=0)
    group, labels_each = np.unique(pairs[:, 0], return_counts=True)
    return group[labels_each > 1]


def warn_of_duplicates(
    groups: NDArray[np.int64],
    rows: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    *,
    shared: Mapping[tuple[str, str], int],
    dropped: bool,
    what: str,
    places: Callable[[], Sequence[str]],
    remedy: str,
) -> tuple[dict[str, str], list[str]]:
    """Return a fact about duplicates, if there are any, and warnings about those between splits or with other labels.

    Args:
        groups: group id of each sample, equal for identical samples, (N,).
        rows: indices of the samples of each split, before those that are shared are dropped.
        labels: index of the label of each sample, (N,).
        shared: return value of `count_shared`.
        dropped: whether those that are shared are dropped from the earlier split.
        what: the samples, in plural, such as `texts`.
        places: returns the place of each sample; only called if there are duplicates.
        remedy: what to do about samples with different labels, beside correcting these.
    """
    used = np.concatenate([rows[split] for split in SPLITS if split in rows])
    _, first = np.unique(groups[used], return_index=True)
    facts = {}
    if repeated := len(used) - len(first):
        one, other = _find_pair(groups, used, used)
        facts["duplicates"] = (
            f"{repeated:,} of {len(used):,} {what} repeat another one, such as {places()[other]} = {places()[one]}"
        )
    warnings = []
    for (earlier, later), count in shared.items():
        if dropped:
            facts[f"dropped from {earlier}"] = f"{count:,} {what} that are in {later} too"
            continue
        one, other = _find_pair(groups, rows[earlier], rows[later])
        warnings.append(
            f"{count:,} of {len(rows[later]):,} {what} of {later} are in {earlier} too, such as {places()[other]} = "
            f"{places()[one]}, so scores on {later} are too high; `on_duplicate` drop leaves them out of {earlier}"
        )
    if len(contradicting := _find_contradicting(groups[used], labels[used])):
        own = used[groups[used] == contradicting[0]]
        one, other = int(own[0]), int(own[(labels[own] != labels[own[0]]).argmax()])
        warnings.append(
            f"{len(contradicting):,} {what} occur with different labels, such as {places()[one]} = {places()[other]}; "
            f"correct the labels, or {remedy}"
        )
    return facts, warnings


def _find_pair(groups: NDArray[np.int64], earlier: NDArray[np.int64], later: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first sample of `later` that repeats another one of `earlier`, after that one."""
    known = dict(zip(groups[earlier[::-1]].tolist(), earlier[::-1].tolist(), strict=True))  # the first of each group
    return next(
        (known[group], row)
        for group, row in zip(groups[later].tolist(), later.tolist(), strict=True)
        if group in known and known[group] != row
    )


def name_facts(lines: Sequence[str]) -> dict[str, str]:
    """Return lines about a source by the split that each begins with, or as `source`."""
    facts: dict[str, str] = {}
    for line in lines:
        split, _, rest = line.partition(": ")
        topic, fact = (split, rest) if split in SPLITS else ("source", line)
        facts[topic] = f"{facts[topic]}; {fact}" if topic in facts else fact
    return facts


def find_in_labels(target: Target, values: Mapping[str, NDArray[Any]]) -> Findings:
    """Return the number of classes or labels, or the range of the numbers, with a table of their counts.

    Args:
        target: what the net predicts.
        values: class indices (N,), ones and zeros (N, K), or numbers (N, K) of each split.
    """
    if isinstance(target, Numbers):
        every = np.concatenate(list(values.values()))
        facts = {
            f"number {name}": "{:.4g} to {:.4g}, median {:.4g}".format(*np.quantile(column, [0, 1, 0.5]))
            for name, column in zip(target.names, every.T, strict=True)
        }
        return Findings(
            facts, tables={f"{name}": _bin(column) for name, column in zip(target.names, every.T, strict=True)}
        )
    indices = {split: own.nonzero()[1] if own.ndim == 2 else own for split, own in values.items()}
    table = count_classes(indices, target.names)
    if not isinstance(target, LabelSets):
        return Findings({"labels": f"{len(table):,} classes"}, tables={"classes": table})
    sizes = np.concatenate([own.sum(1) for own in values.values()])
    found = f"{len(table):,} labels, {sizes.mean():.2f} a sample, {int((sizes == 0).sum()):,} samples without"
    return Findings({"labels": found}, tables={"classes": table})


NUM_BINS = 20  # of the table of a number


def _bin(column: NDArray[np.float64]) -> pd.DataFrame:
    counts, edges = np.histogram(column, min(NUM_BINS, len(np.unique(column))))
    return pd.DataFrame({"from": [f"{edge:.4g}" for edge in edges[:-1]], "samples": counts})


SKIPPED_SHOWN = 20


def list_skipped(skipped: Sequence[str], what: str) -> list[str]:
    """Return a line with the number of skipped samples, and one for each with the reason.

    Args:
        skipped: the place of each, with the reason.
        what: the samples, in plural, such as `images`.
    """
    if not skipped:
        return []
    more = [f"  and {len(skipped) - SKIPPED_SHOWN:,} more"] if len(skipped) > SKIPPED_SHOWN else []
    return [f"{len(skipped):,} {what} skipped:", *(f"  {line}" for line in skipped[:SKIPPED_SHOWN]), *more]
