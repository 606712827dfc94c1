"""Convolution and pooling along short sequences, computed so that a processor is quick at them.

The same functions as torch.nn's: on a processor those spend their time on the many small windows, not on arithmetic.
With them the text CNN's step takes half as long.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class MatmulConv1d(nn.Conv1d):
    """nn.Conv1d of step 1 without padding, on a processor as one matrix product over all windows.

    Args:
        in_channels: number of channels that come in.
        out_channels: number of channels that go out.
        kernel_size: number of positions of a window.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, T) to (B, out_channels, T - kernel_size + 1), a transposed view."""
        if _as_torch_does(x):
            return super().forward(x)
        size = self.kernel_size[0]
        num_windows = x.shape[2] - size + 1
        steps = x.transpose(1, 2)
        windows = torch.cat([steps[:, start : start + num_windows] for start in range(size)], 2)  # (B, windows, K * C)
        weight = self.weight.transpose(1, 2).reshape(self.out_channels, -1)
        return F.linear(windows, weight, self.bias).transpose(1, 2)


class PairMaxPool1d(nn.MaxPool1d):
    """nn.MaxPool1d(2), on a processor as the larger of two halves of the sequence."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T) to (B, C, T // 2)."""
        return super().forward(x) if _as_torch_does(x) else _PairMax.apply(x)


class _PairMax(torch.autograd.Function):
    """The gradient goes to the first of two equal values, as in nn.MaxPool1d; torch.maximum would halve it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        even = x.shape[2] // 2 * 2
        first, second = x[..., 0:even:2], x[..., 1:even:2]
        first_wins = torch.empty_like(first)
        torch.ge(first, second, out=first_wins)  # as numbers, to multiply by: to select by bools is slower
        ctx.save_for_backward(x, first_wins)
        return torch.maximum(first, second)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, first_wins = ctx.saved_tensors
        even = x.shape[2] // 2 * 2
        result = torch.empty_like(x)
        result[..., even:] = 0
        torch.mul(gradient, first_wins, out=result[..., 0:even:2])
        torch.sub(gradient, result[..., 0:even:2], out=result[..., 1:even:2])
        return result


def _as_torch_does(x: Tensor) -> bool:
    """Return whether to use torch's own layers: on other devices, and in an export, where these are known."""
    return not x.is_cpu or torch.compiler.is_compiling() or torch.jit.is_tracing()
