"""Differences of targets, and their undoing in forecasts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .panel import Panel


def difference(panel: Panel, num_targets: int, diff: int) -> Panel:
    """Difference each target `diff` times; each series becomes as many rows shorter.

    Args:
        panel: series whose first columns are the targets.
        num_targets: number of targets.
        diff: number of times to difference.
    """
    if not diff:
        return panel
    first = panel.starts[:-1][panel.codes]
    kept = np.arange(len(panel.times)) >= first + diff
    values = panel.values.copy()
    for _ in range(diff):
        values[1:, :num_targets] = np.diff(values[:, :num_targets], axis=0)
    lengths = np.maximum(panel.lengths - diff, 0)
    return replace(
        panel,
        starts=np.concatenate([[0], lengths.cumsum()]),
        times=panel.times[kept],
        values=values[kept],
    )


def undo_differences(changes: NDArray[np.float64], levels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Undo the differences in a forecast, (P, ...).

    Args:
        changes: forecast of the differenced targets, (P, C), or its quantiles, (P, C, Q).
        levels: as in `LastWindow`.
    """
    for level in reversed(levels):
        changes = changes.cumsum(0) + level.reshape(level.shape + (1,) * (changes.ndim - 2))
    return changes
