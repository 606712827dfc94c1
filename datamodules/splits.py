"""Splitting into train, val and test."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError

Ends = tuple[int, int, int]  # the rows at which train, val and test of a series end


def split_sizes(ends: Ends) -> tuple[int, int, int]:
    """Return the number of rows of train, val and test of a series."""
    train, val, test = ends
    return train, val - train, test - val


SPLITS = ("train", "val", "test")


def rows_by_split(split: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the samples of each split.

    Args:
        split: index in `SPLITS` of each sample, (N,).
    """
    return {name: np.flatnonzero(split == index) for index, name in enumerate(SPLITS)}


def stratified_split(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, val_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of train and val: each class divided alike, each group whole on one side.

    Args:
        labels: class of every sample, (N,).
        groups: a number for every sample, (N,); samples of the same number are never divided. A group counts to the
            class of its first sample.
        val_fraction: part of the samples that goes to val, in (0, 1).
        seed: seed of the choice.

    Returns:
        The sorted indices of train and of val, int64.

    Raises:
        ValueError: val_fraction is not within (0, 1).
        DataError: it leaves a side empty.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"expected val_fraction between 0 and 1, both excluded, received {val_fraction}")
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(first))
    in_val = np.zeros(len(first), bool)
    for label in np.unique(labels):
        own = order[labels[first[order]] == label]
        target = round(val_fraction * sizes[own].sum())
        for candidate in own:
            if sizes[candidate] <= target:
                in_val[candidate] = True
                target -= sizes[candidate]
    val = in_val[group.reshape(-1)]
    if val.all() or not val.any():
        raise DataError(
            f"val_fraction {val_fraction} of {len(labels)} samples leaves {'train' if val.all() else 'val'} empty: "
            "choose another fraction or bring more samples"
        )
    return np.flatnonzero(~val), np.flatnonzero(val)


def hold_out(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, val_fraction: float, fold: str | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of train and val: by `stratified_fold` where a fold is given, else by `stratified_split`."""
    if fold is not None:
        return stratified_fold(labels, groups, fold=fold, seed=seed)
    return stratified_split(labels, groups, val_fraction=val_fraction, seed=seed)


def read_fold(fold: str) -> tuple[int, int]:
    """The number of a fold, from 1, and how many there are, of `2/5`.

    Raises:
        ValueError: it is none.
    """
    number, _, count = fold.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) and int(count) >= 2):
        raise ValueError(f"expected fold as a number of a number, such as 2/5, received '{fold}'")
    return int(number), int(count)


def stratified_fold(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, fold: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of train and val, where val is one of several parts alike; classes and groups as in `stratified_split`.

    Args:
        labels: class of every sample, (N,).
        groups: a number for every sample, (N,); samples of the same number are never divided.
        fold: the part that is val, such as `2/5`.
        seed: seed of the choice; the parts of one seed together are all samples.

    Raises:
        ValueError: fold is none.
        DataError: a side is empty.
    """
    number, count = read_fold(fold)
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(first))
    part = np.empty(len(first), np.int64)
    for label in np.unique(labels):
        own = order[labels[first[order]] == label]
        middles = sizes[own].cumsum() - sizes[own] / 2
        part[own] = middles * count // sizes[own].sum()
    val = (part == number - 1)[group.reshape(-1)]
    if val.all() or not val.any():
        raise DataError(f"fold {fold} of {len(labels)} samples leaves a side empty: take fewer folds or more samples")
    return np.flatnonzero(~val), np.flatnonzero(val)


def split_by_time(times: pd.DatetimeIndex, split: tuple[float, ...] | tuple[str, ...]) -> tuple[int, int, int]:
    """The rows at which train, val and test end; train begins at row 0, each other part where the one before it ends.

    Args:
        times: rising time stamps of the rows.
        split: what train, val and test have of them: three fractions, three numbers of rows, or two dates, the first
            ones of val and of test.

    Raises:
        ValueError: it is none of these.
        DataError: there are fewer rows, or it leaves train empty.
    """
    if all(isinstance(item, str) for item in split):
        ends = _ends_by_date(times, [str(item) for item in split])
    else:
        sizes = np.array([float(item) for item in split])
        if len(sizes) != 3 or (sizes < 0).any() or sizes.sum() == 0 or (sizes.max() <= 1 and sizes.sum() > 1 + 1e-9):
            raise ValueError(f"{EXPECTED_SPLIT}, received {list(split)}")
        ends = np.rint(sizes.cumsum() * (len(times) if sizes.max() <= 1 else 1)).astype(int).tolist()
    if ends[2] > len(times):
        raise DataError(f"the split asks for {ends[2]:,} rows, and there are {len(times):,}: {EXPECTED_SPLIT}")
    if ends[0] < 1:
        raise DataError(f"the split {list(split)} of {len(times):,} rows leaves train empty: choose another")
    return ends[0], ends[1], ends[2]


EXPECTED_SPLIT = (
    "expected `split` as three fractions such as [0.7,0.1,0.2], three numbers of rows, or two dates, the first of "
    "val and the first of test"
)


def rolling_fold(end: int, fold: str) -> tuple[int, int, int]:
    """The rows at which train, val and test end, where the origin of the forecast rolls on with the fold.

    The rows are cut into one block more than there are folds; train is as many blocks as the fold's number, val the
    block after them, and there is no test. Source: Tashman 2000, "Out-of-sample tests of forecasting accuracy",
    section 3.

    Args:
        end: number of rows to cut.
        fold: such as `2/5`.

    Raises:
        ValueError: fold is none.
    """
    number, count = read_fold(fold)
    train, val = (round(end * blocks / (count + 1)) for blocks in (number, number + 1))
    return train, val, val


def _ends_by_date(times: pd.DatetimeIndex, dates: list[str]) -> list[int]:
    try:
        val, test = (pd.Timestamp(date, tz=times.tz) for date in dates)
    except ValueError as error:
        raise ValueError(f"{EXPECTED_SPLIT}, received {dates}") from error
    if val > test:
        raise ValueError(f"{EXPECTED_SPLIT}; received {dates}, the second before the first")
    return [int(times.searchsorted(val)), int(times.searchsorted(test)), len(times)]
