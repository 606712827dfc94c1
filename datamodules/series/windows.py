"""Windows of series: past steps as input, and future steps as target."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .calendar import forward_fill


def to_inputs(values: NDArray[np.float64], *, num_known: int, horizon: int, mask: bool) -> NDArray[np.float32]:
    """Return the columns of the net's input, (T, F) float32.

    First come the columns of the table, with missing values filled forward, or 0 before the first known one; then the
    columns known ahead again, shifted by `horizon` steps, so that the end of a window holds their values in the steps
    to forecast; then, with `mask`, 1 for each missing value.

    Args:
        values: scaled columns of the table, (T, K); the last `num_known` are known ahead.
        num_known: number of columns known ahead.
        horizon: number of steps to forecast.
        mask: whether to append the mask of missing values.
    """
    filled = np.nan_to_num(forward_fill(values))
    ahead = np.zeros((len(values), num_known))
    ahead[:-horizon] = filled[horizon:, values.shape[1] - num_known :]
    blocks = [filled, ahead, np.isnan(values)] if mask else [filled, ahead]
    return np.concatenate(blocks, 1).astype(np.float32)


def find_window_starts(span: tuple[int, int], *, lookback: int, horizon: int, stride: int = 1) -> NDArray[np.int64]:
    """Return the first row of each window of a split; past steps may lie before the split, steps to forecast may not.

    Args:
        span: first row of the split and the row after its last, in a series that starts at row 0.
        lookback: number of past rows in a window.
        horizon: number of rows to forecast after them.
        stride: number of rows from window to window.
    """
    begin, end = span
    return np.arange(max(0, begin - lookback), end - lookback - horizon + 1, stride, dtype=np.int64)


class SeriesBatches:
    """Windows by index, as strided views of one matrix.

    Args:
        inputs: input columns of all series, concatenated, (N, F) float32.
        truth: targets, (N, C) float32, NaN if missing.
        starts: first row of each window, (M,) int64.
        lookback: number of past rows in a window, L.
        horizon: number of rows to forecast, P.
    """

    def __init__(self, inputs: Tensor, truth: Tensor, starts: Tensor, *, lookback: int, horizon: int) -> None:
        self.past = _unfold(inputs, lookback)  # (N - L + 1, L * F), a view
        self.future = _unfold(truth, horizon)  # (N - P + 1, P * C), a view
        self.starts = starts
        self.shapes = (-1, lookback, inputs.shape[1]), (-1, horizon, truth.shape[1])

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return windows (B, L, F) float32 and the targets after them (B, P, C) float32."""
        start, (past, future) = self.starts[index], self.shapes
        # index_select copies window by window, while the operator [] would copy value by value.
        return (
            self.past.index_select(0, start).view(past),
            self.future.index_select(0, start + past[1]).view(future),
        )


def _unfold(table: Tensor, length: int) -> Tensor:
    """Return all windows of rows, each flattened, as one view: (N, F) to (N - length + 1, length * F)."""
    width = table.shape[1]
    return table.contiguous().view(-1).unfold(0, length * width, width)
