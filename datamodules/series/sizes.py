"""Sizes that are not given: horizon, look-back, and how many rows val and test have."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..splits import Ends, count_rows

MOST_STEPS = 336  # largest default look-back
MOST_HISTORY = 1024  # largest look-back where it is to be all history
ORIGINS = 8  # rolling origins that val should have
VAL, TEST = 0.1, 0.2  # fractions of the rows, where val has enough origins then
MOST_VAL = 0.25  # largest fraction of the rows that val takes for more origins


def choose_ends(num_rows: int, horizon: int) -> Ends:
    """Choose the end rows of train, val and test: 70, 10 and 20 %, or more for val where it had few rolling origins.

    Args:
        num_rows: number of rows of a series.
        horizon: number of steps to forecast.
    """
    val_end = round((1 - TEST) * num_rows)
    wanted = min(horizon + ORIGINS - 1, int(MOST_VAL * num_rows))
    train_end = min(round((1 - VAL - TEST) * num_rows), val_end - wanted)
    return max(train_end, 1), max(val_end, 1), num_rows


def choose_horizon(season: int, ends: Sequence[Ends]) -> int:
    """Choose a horizon of a season, or less if val, test or a third of train is shorter."""
    train, *others = (max(sizes) for sizes in zip(*map(count_rows, ends), strict=True))
    return max(min(season, train // 3, *filter(None, others)), 1)


def choose_own_horizon(season: int, num_rows: int) -> int:
    """Choose a horizon of a season, or less where val would then have fewer than `ORIGINS` rolling origins.

    Args:
        season: number of steps in a season.
        num_rows: number of rows of the longest series.
    """
    most_val = max(round(VAL * num_rows), int(MOST_VAL * num_rows))
    return max(min(season, most_val - ORIGINS + 1, round(TEST * num_rows)), min(most_val // 2, season), 1)


def choose_lookback(season: int, horizon: int, num_train: int) -> int:
    """Choose a look-back of whole seasons, at most 336 steps and half of train; of single steps if no season fits."""
    most = max(min(MOST_STEPS, (num_train - horizon) // 2), 1)
    return most // season * season or most


def choose_history(season: int, lengths: NDArray[np.int64]) -> int:
    """Choose a look-back of all history: the rows of the longest series, at most `MOST_HISTORY`."""
    return int(min(MOST_HISTORY, max(int(lengths.max()), season)))
