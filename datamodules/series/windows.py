"""Windows of series: what the net sees of the past, and what it is to forecast."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .calendar import forward_fill


def to_inputs(values: NDArray[np.float64], *, num_known: int, horizon: int, mask: bool) -> NDArray[np.float32]:
    """The columns of the net's input, (T, F) float32.

    First the columns of the table, with missing values filled forward, or 0 where nothing was known before; then the
    ones that are known ahead once more, `horizon` steps earlier, so that the end of a window holds what is known of the
    steps to forecast; then, for a mask, 1 for each value that is missing.

    Args:
        values: scaled columns of the table, (T, K); the last `num_known` are known ahead.
        num_known: number of these.
        horizon: number of steps to forecast.
        mask: whether values may be missing.
    """
    filled = np.nan_to_num(forward_fill(values))
    ahead = np.zeros((len(values), num_known))
    ahead[:-horizon] = filled[horizon:, values.shape[1] - num_known :]
    parts = [filled, ahead, np.isnan(values)] if mask else [filled, ahead]
    return np.concatenate(parts, 1).astype(np.float32)


def window_starts(part: tuple[int, int], *, lookback: int, horizon: int, stride: int = 1) -> NDArray[np.int64]:
    """Rows at which the windows of a part begin: the look-back may lie before the part, what is forecast may not.

    Args:
        part: first row of the part, and the row after its last, in a series that begins with row 0.
        lookback: number of rows that the net sees.
        horizon: number of rows after them that it is to forecast.
        stride: number of rows from window to window.
    """
    begin, end = part
    return np.arange(max(0, begin - lookback), end - lookback - horizon + 1, stride, dtype=np.int64)


class SeriesBatches:
    """Windows by number, as strided views on one matrix.

    Args:
        inputs: all series below each other, (N, F) float32.
        truth: the targets, (N, C) float32, nan where one is missing.
        starts: first row of each window, (M,) int64.
        lookback: number of rows that the net sees, L.
        horizon: number of rows after them, P.
    """

    def __init__(self, inputs: Tensor, truth: Tensor, starts: Tensor, *, lookback: int, horizon: int) -> None:
        self.past = _windows(inputs, lookback)  # (N - L + 1, L * F), a view
        self.future = _windows(truth, horizon)  # (N - P + 1, P * C), a view
        self.starts = starts
        self.shapes = (-1, lookback, inputs.shape[1]), (-1, horizon, truth.shape[1])

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (B, L, F) float32 and what came after them (B, P, C) float32."""
        start, (past, future) = self.starts[index], self.shapes
        # Not by the operator []: that gathers number by number, this window by window.
        return (
            self.past.index_select(0, start).view(past),
            self.future.index_select(0, start + past[1]).view(future),
        )


def _windows(table: Tensor, length: int) -> Tensor:
    """All windows of a table's rows, each flat, as one view: (N, F) to (N - length + 1, length * F)."""
    width = table.shape[1]
    return table.contiguous().view(-1).unfold(0, length * width, width)
