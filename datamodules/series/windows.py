"""Windows of series: past steps as input, and future steps as target."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .panel import Panel


@dataclass(frozen=True)
class InputLayout:
    """The columns of the net's input, by how many there are of each kind.

    Args:
        num_values: columns of the table that are neither static nor masks: targets, past and known.
        num_known: columns known ahead; the last ones of these.
        num_static: columns with one value for each series.
        horizon: number of steps to forecast.
        masked: whether there are masks: 1 where a value is missing, or lies before the series begins.
    """

    num_values: int
    num_known: int
    num_static: int
    horizon: int
    masked: bool

    @property
    def num_features(self) -> int:
        """Return the number of columns."""
        return self.num_values * (2 if self.masked else 1) + self.num_known + self.num_static


def forward_fill_by_series(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Fill missing values (N, K) with the last known one of the same series; NaN before its first known one."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    first = np.repeat(starts[:-1], np.diff(starts))[:, None]
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(values))[:, None]), 0)
    return np.where(last >= first, np.take_along_axis(values, np.maximum(last, 0), 0), np.nan)


def to_inputs(
    values: NDArray[np.float64], starts: NDArray[np.int64], layout: InputLayout, *, pad: int = 0
) -> NDArray[np.float32]:
    """Return the columns of the net's input, (N + S * pad, F) float32.

    First come the columns of the table, with missing values filled forward, or 0 before the first known one; then the
    columns known ahead again, shifted by the horizon, so that the end of a window holds their values in the steps to
    forecast; then static columns; then, with masks, 1 for each missing value.

    Args:
        values: scaled columns of the table, (N, K): targets, past, known, static.
        starts: first row of each series, and the number of rows, (S + 1,).
        layout: number of columns of each kind.
        pad: number of rows before each series, of zeros that count as missing; static columns are repeated.
    """
    num_rows, num_series = len(values), len(starts) - 1
    lengths = np.diff(starts)
    inputs = np.zeros((num_rows + num_series * pad, layout.num_features), np.float32)
    rows = np.arange(num_rows) + pad * (1 + np.repeat(np.arange(num_series), lengths)) if pad else slice(None)
    column = layout.num_values
    inputs[rows, :column] = np.nan_to_num(forward_fill_by_series(values[:, :column], starts))
    if layout.num_known:
        known = inputs[:, column - layout.num_known : column]
        ahead = np.zeros_like(known)
        ahead[: -layout.horizon or None] = known[layout.horizon :]
        ends = starts[1:] + pad * np.arange(1, num_series + 1)  # the steps after the last row are not known
        begins = starts[:-1] + pad * np.arange(num_series)
        for step in range(1, layout.horizon + 1):
            ahead[np.maximum(ends - step, begins)] = 0
        inputs[:, column : column + layout.num_known] = ahead
        column += layout.num_known
    if layout.num_static:
        static = values[:, layout.num_values :]
        first = static[np.minimum(starts[:-1], max(num_rows - 1, 0))]
        inputs[:, column : column + layout.num_static] = np.nan_to_num(np.repeat(first, lengths + pad, 0))
        column += layout.num_static
    if layout.masked:
        if pad:
            inputs[:, column:] = 1
        inputs[rows, column:] = np.isnan(values[:, : layout.num_values])
    return inputs


def find_starts(
    panel: Panel,
    spans: NDArray[np.int64],
    *,
    lookback: int,
    horizon: int,
    num_targets: int,
    least_known: NDArray[np.int64],
    stride: int = 1,
) -> NDArray[np.int64]:
    """Return the row of the first step to forecast of each window of a split, in order.

    Past steps may lie before the split, steps to forecast may not. Windows without a known target are left out.

    Args:
        panel: all series.
        spans: first row of the split and the row after its last, of each series, from its own first row, (S, 2).
        lookback: number of past rows in a window.
        horizon: number of rows to forecast after them.
        num_targets: number of targets.
        least_known: number of past rows that each series must have in a window, at most `lookback`, (S,).
        stride: number of rows from window to window.
    """
    begin = np.maximum(spans[:, 0], np.minimum(least_known, lookback))
    counts = np.maximum(spans[:, 1] - horizon - begin + stride, 0) // stride
    series = np.repeat(np.arange(len(panel)), counts)
    number = np.arange(int(counts.sum())) - np.repeat(counts.cumsum() - counts, counts)
    origins = panel.starts[series] + begin[series] + stride * number
    known = np.concatenate([[0], (~np.isnan(panel.values[:, :num_targets])).any(1).cumsum()])
    return origins[known[origins + horizon] > known[origins]]


class SeriesBatches:
    """Windows by index, as strided views of one matrix.

    Args:
        inputs: input columns of all series, concatenated, (N, F) float32.
        truth: targets, (M, C) float32, NaN if missing.
        first: first row of `inputs` in each window, (W,) int64.
        lookback: number of past rows in a window, L.
        horizon: number of rows to forecast, P.
        target: first row of `truth` to forecast in each window, (W,) int64; by default `first` plus `lookback`.
        series: index of the series of each window, (W,) int64; by default there is one.
    """

    def __init__(
        self,
        inputs: Tensor,
        truth: Tensor,
        first: Tensor,
        *,
        lookback: int,
        horizon: int,
        target: Tensor | None = None,
        series: Tensor | None = None,
    ) -> None:
        self.past = _unfold(inputs, lookback)  # (N - L + 1, L * F), a view
        self.future = _unfold(truth, horizon)  # (M - P + 1, P * C), a view
        self.first = first
        self.target = first + lookback if target is None else target
        self.series = torch.zeros_like(first) if series is None else series
        self.shapes = (-1, lookback, inputs.shape[1]), (-1, horizon, truth.shape[1])

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return windows (B, L, F) float32 and the targets after them (B, P, C) float32."""
        past, future = self.shapes
        # index_select copies window by window, while the operator [] would copy value by value.
        return (
            self.past.index_select(0, self.first[index]).view(past),
            self.future.index_select(0, self.target[index]).view(future),
        )


def _unfold(table: Tensor, length: int) -> Tensor:
    """Return all windows of rows, each flattened, as one view: (N, F) to (N - length + 1, length * F)."""
    width = table.shape[1]
    return table.contiguous().view(-1).unfold(0, length * width, width)
