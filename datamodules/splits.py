"""Splitting the labelled part into train and val."""

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError


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
