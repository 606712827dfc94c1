"""Splits of samples and of series into train, val and test."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError

Ends = tuple[int, int, int]  # end rows (exclusive) of train, val and test of a series


def count_rows(ends: Ends) -> tuple[int, int, int]:
    """Return the number of rows in train, val and test of a series."""
    train, val, test = ends
    return train, val - train, test - val


SPLITS = ("train", "val", "test")


def rows_by_split(split: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the samples of each split.

    Args:
        split: index of the split of each sample in `SPLITS`, (N,).
    """
    return {name: np.flatnonzero(split == index) for index, name in enumerate(SPLITS)}


def stratified_split(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, val_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split samples into train and val at random, stratified by class, without dividing a group.

    Where no class has enough samples for one in val, they are not stratified.

    Args:
        labels: class index of each sample, (N,).
        groups: group id of each sample, (N,). A group is stratified by the class of its first sample.
        val_fraction: fraction of the samples in val, in (0, 1).
        seed: seed of the random split.

    Returns:
        The sorted indices of train and of val, int64.

    Raises:
        ValueError: `val_fraction` is not within (0, 1).
        DataError: train or val would be empty.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"expected `val_fraction` between 0 and 1, both excluded, received {val_fraction}")
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(first))
    strata = [order[labels[first[order]] == label] for label in np.unique(labels)]
    in_val = _take_fraction(strata, sizes, val_fraction)
    if not in_val.any():  # each stratum has too few samples for one in val
        in_val = _take_fraction([order], sizes, val_fraction)
    val = in_val[group.reshape(-1)]
    if val.all() or not val.any():
        raise DataError(
            f"`val_fraction` {val_fraction} of {len(labels)} samples leaves {'train' if val.all() else 'val'} empty: "
            "choose another fraction, or add samples"
        )
    return np.flatnonzero(~val), np.flatnonzero(val)


def _take_fraction(strata: list[NDArray[np.int64]], sizes: NDArray[np.int64], fraction: float) -> NDArray[np.bool_]:
    """Return which groups are taken, so that they have a fraction of the samples of each stratum.

    Args:
        strata: indices of the groups of each stratum, in the order in which they are taken.
        sizes: number of samples of each group.
        fraction: fraction of the samples to take.
    """
    taken = np.zeros(len(sizes), bool)
    for own in strata:
        target = round(fraction * sizes[own].sum())
        for candidate in own:
            if sizes[candidate] <= target:
                taken[candidate] = True
                target -= sizes[candidate]
    return taken


def hold_out(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, val_fraction: float, fold: str | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out val from samples: by `stratified_fold` if `fold` is given, else by `stratified_split`."""
    if fold is not None:
        return stratified_fold(labels, groups, fold=fold, seed=seed)
    return stratified_split(labels, groups, val_fraction=val_fraction, seed=seed)


def parse_fold(fold: str) -> tuple[int, int]:
    """Parse a fold such as `2/5` into its index, from 1, and the number of folds.

    Raises:
        ValueError: the fold has another format.
    """
    index, _, count = fold.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count) and int(count) >= 2):
        raise ValueError(f"expected `fold` as index/count, such as 2/5 for the second of five, received '{fold}'")
    return int(index), int(count)


def stratified_fold(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, fold: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of train and val for one fold of a stratified cross-validation, without dividing a group.

    Args:
        labels: class index of each sample, (N,).
        groups: group id of each sample, (N,). A group is stratified by the class of its first sample.
        fold: the fold that is val, such as `2/5`.
        seed: seed of the random folds; for one seed, each sample is in val of exactly one fold.

    Raises:
        ValueError: the fold has another format.
        DataError: train or val would be empty.
    """
    index, count = parse_fold(fold)
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(first))
    folds = np.empty(len(first), np.int64)  # of each group, from 0
    for label in np.unique(labels):
        own = order[labels[first[order]] == label]
        middles = sizes[own].cumsum() - sizes[own] / 2
        folds[own] = middles * count // sizes[own].sum()
    val = (folds == index - 1)[group.reshape(-1)]
    if val.all() or not val.any():
        raise DataError(
            f"`fold` {fold} of {len(labels)} samples leaves {'train' if val.all() else 'val'} empty: choose fewer "
            "folds, or add samples"
        )
    return np.flatnonzero(~val), np.flatnonzero(val)


def split_by_time(times: pd.DatetimeIndex, split: tuple[float, ...] | tuple[str, ...]) -> tuple[int, int, int]:
    """Return the end rows of train, val and test, which follow each other from row 0 on.

    Args:
        times: increasing time stamps of the rows.
        split: the fractions of train, val and test, their numbers of rows, or two dates: the first of val and the
            first of test.

    Raises:
        ValueError: the split has another format.
        DataError: the split needs more rows than there are, or leaves train empty.
    """
    if all(isinstance(item, str) for item in split):
        ends = _find_ends_by_date(times, [str(item) for item in split])
    else:
        sizes = np.array([float(item) for item in split])
        if len(sizes) != 3 or (sizes < 0).any() or sizes.sum() == 0 or (sizes.max() <= 1 and sizes.sum() > 1 + 1e-9):
            raise ValueError(f"{EXPECTED_SPLIT}, received {list(split)}")
        ends = np.rint(sizes.cumsum() * (len(times) if sizes.max() <= 1 else 1)).astype(int).tolist()
    if ends[2] > len(times):
        raise DataError(f"`split` asks for {ends[2]:,} rows, and there are {len(times):,}: {EXPECTED_SPLIT}")
    if ends[0] < 1:
        raise DataError(f"`split` {list(split)} of {len(times):,} rows leaves train empty: choose another split")
    return ends[0], ends[1], ends[2]


EXPECTED_SPLIT = (
    "expected `split` as three fractions such as [0.7,0.1,0.2], three numbers of rows, or two dates, the first of "
    "val and the first of test"
)


def rolling_fold(end: int, fold: str) -> tuple[int, int, int]:
    """Return the end rows of train, val and test for one fold of a rolling-origin evaluation.

    The rows are cut into K + 1 blocks for K folds; in fold k, train is the first k blocks, val the next one, and there
    is no test split. Source: Tashman 2000, "Out-of-sample tests of forecasting accuracy", section 3.

    Args:
        end: number of rows to cut.
        fold: a fold such as `2/5`.

    Raises:
        ValueError: the fold has another format.
    """
    index, count = parse_fold(fold)
    train, val = (round(end * blocks / (count + 1)) for blocks in (index, index + 1))
    return train, val, val


def _find_ends_by_date(times: pd.DatetimeIndex, dates: list[str]) -> list[int]:
    try:
        val, test = (pd.Timestamp(date, tz=times.tz) for date in dates)
    except ValueError as error:
        raise ValueError(f"{EXPECTED_SPLIT}, received {dates}") from error
    if val > test:
        raise ValueError(f"{EXPECTED_SPLIT}; received {dates}, the second before the first")
    return [int(times.searchsorted(val)), int(times.searchsorted(test)), len(times)]
