"""Windows of series: columns of the net's input, padding of short series, origins."""

import numpy as np
import pytest
import torch

from lightfit.datamodules.series.panel import Panel
from lightfit.datamodules.series.windows import (
    InputLayout,
    SeriesBatches,
    find_starts,
    forward_fill_by_series,
    to_inputs,
)

NAN = float("nan")
STARTS = np.array([0, 4, 6])  # two series


def test_missing_values_are_filled_within_their_series() -> None:
    values = np.array([[NAN], [1], [NAN], [2], [NAN], [3]])
    assert np.nan_to_num(forward_fill_by_series(values, STARTS), nan=-1)[:, 0].tolist() == [-1, 1, 1, 2, -1, 3]


def test_columns_of_the_input() -> None:
    values = np.array([[1, 10, 7], [2, 20, 7], [NAN, 30, 7], [4, 40, 7], [5, 50, 8], [6, 60, 8]])
    layout = InputLayout(num_values=2, num_known=1, num_static=1, horizon=2, masked=True)
    assert layout.num_features == 6
    inputs = to_inputs(values, STARTS, layout)
    assert inputs.dtype == np.float32
    # target, known, known two steps ahead, static, masks of target and known
    assert inputs.tolist() == [
        [1, 10, 30, 7, 0, 0],
        [2, 20, 40, 7, 0, 0],
        [2, 30, 0, 7, 1, 0],  # what is ahead of the end is not known, and never of the next series
        [4, 40, 0, 7, 0, 0],
        [5, 50, 0, 8, 0, 0],
        [6, 60, 0, 8, 0, 0],
    ]


def test_short_series_are_padded_at_the_front() -> None:
    layout = InputLayout(num_values=1, num_known=0, num_static=1, horizon=1, masked=True)
    inputs = to_inputs(np.array([[1.0, 7], [2, 7]]), np.array([0, 2]), layout, pad=2)
    assert inputs.tolist() == [[0, 7, 1], [0, 7, 1], [1, 7, 0], [2, 7, 0]]


def panel(*lengths: int) -> Panel:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    values = np.arange(float(starts[-1]))[:, None]
    return Panel([str(n) for n in range(len(lengths))], starts, np.zeros(len(values), "datetime64[ns]"), values)


@pytest.mark.parametrize(
    ("span", "least", "stride", "expected"),
    [
        ((0, 10), 3, 1, [3, 4, 5, 6, 7, 8]),
        ((0, 10), 3, 4, [3, 7]),
        ((5, 10), 3, 1, [5, 6, 7, 8]),  # the look-back lies before the split
        ((0, 10), 1, 1, [1, 2, 3, 4, 5, 6, 7, 8]),  # a window that begins before the series
        ((9, 10), 3, 1, []),
    ],
)
def test_origins(span: tuple[int, int], least: int, stride: int, expected: list[int]) -> None:
    sizes = {"lookback": 3, "horizon": 2, "num_targets": 1, "stride": stride}
    found = find_starts(panel(10), np.array([span]), least_known=np.array([least]), **sizes)
    assert found.tolist() == expected
    both = find_starts(panel(4, 10), np.array([(0, 0), span]), least_known=np.array([3, least]), **sizes)
    assert both.tolist() == [4 + row for row in expected]


def test_windows_without_a_known_target_are_left_out() -> None:
    held = panel(6)
    held.values[4:, 0] = NAN
    found = find_starts(held, np.array([(0, 6)]), lookback=1, horizon=1, num_targets=1, least_known=np.array([1]))
    assert found.tolist() == [1, 2, 3]


def test_batches_with_padding_know_where_their_targets_are() -> None:
    inputs, truth = torch.arange(8.0)[:, None], torch.arange(10.0, 14.0)[:, None]
    batches = SeriesBatches(inputs, truth, torch.tensor([1, 4]), lookback=3, horizon=2, target=torch.tensor([0, 2]))
    x, y = batches[torch.tensor([1, 0])]
    assert (x[..., 0].tolist(), y[..., 0].tolist()) == ([[4, 5, 6], [1, 2, 3]], [[12, 13], [10, 11]])
