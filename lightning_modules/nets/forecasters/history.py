"""The past of a batch of windows: values of each target, and which of them are known."""

from typing import NamedTuple

import torch
from torch import Tensor

TINY = 1e-6  # least scale of a window, in scaled units


class History(NamedTuple):
    """Past values of each target, (B, C, L), and whether each is known: 1 or 0, in the same shape and type.

    Windows of short series begin with steps that are not known.
    """

    values: Tensor
    known: Tensor

    @property
    def length(self) -> int:
        """Return the number of steps, L."""
        return self.values.shape[-1]

    def take_last(self, steps: int) -> "History":
        """Return the last steps, at most so many."""
        return History(*(item[..., max(self.length - steps, 0) :] for item in self))

    @property
    def num_known(self) -> Tensor:
        """Return the number of known steps, (B, C), at least 1."""
        return self.known.sum(-1).clamp(min=1)

    @property
    def last(self) -> Tensor:
        """Return the last value, (B, C, 1); a missing one has been filled forward."""
        return self.values[..., -1:]

    @property
    def mean(self) -> Tensor:
        """Return the mean of the known values, (B, C, 1)."""
        return (self.values * self.known).sum(-1, keepdim=True) / self.num_known[..., None]


def measure_scale(history: History, lag: int) -> Tensor:
    """Measure the mean absolute difference between values `lag` steps apart, (B, C); 0 if no two are known."""
    if history.length <= lag:
        return torch.zeros_like(history.values[..., 0])
    pairs = history.known[..., lag:] * history.known[..., :-lag]
    distances = (history.values[..., lag:] - history.values[..., :-lag]).abs() * pairs
    return distances.sum(-1) / pairs.sum(-1).clamp(min=1)


def find_seasonal_pattern(history: History, season: int) -> Tensor:
    """Return the additive seasonal pattern by classical decomposition, (B, C, season), of mean 0.

    The first value belongs to the first step after the window. It is 0 where fewer than two seasons are known.
    Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice" (FPP3), section 3.4.
    """
    values, known = history
    length = history.length
    if season < 2 or length < 2 * season:
        return values.new_zeros(*values.shape[:-1], max(season, 1))
    kernel = values.new_full((season + 1 - season % 2,), 1 / season)
    if season % 2 == 0:
        kernel[0] = kernel[-1] = 0.5 / season
    half = len(kernel) // 2
    trend = values.unfold(-1, len(kernel), 1) @ kernel  # (B, C, L - 2 * half)
    valid = known.unfold(-1, len(kernel), 1).amin(-1)
    rest = (values[..., half : length - half] - trend) * valid
    phase = (torch.arange(half, length - half, device=values.device) - length) % season
    places = torch.nn.functional.one_hot(phase, season).to(values.dtype)  # (L - 2 * half, season)
    counts = valid @ places
    pattern = rest @ places / counts.clamp(min=1)
    complete = (counts.amin(-1, keepdim=True) > 0).to(values.dtype)
    return (pattern - pattern.mean(-1, keepdim=True)) * complete


def repeat_pattern(pattern: Tensor, past: int, future: int) -> tuple[Tensor, Tensor]:
    """Return a seasonal pattern along `past` steps before the end of a window and `future` steps after it."""
    season = pattern.shape[-1]
    back = torch.arange(-past, 0, device=pattern.device) % season
    ahead = torch.arange(future, device=pattern.device) % season
    return pattern[..., back], pattern[..., ahead]


def measure_season_strength(history: History, pattern: Tensor) -> Tensor:
    """Measure how much of the variance around the trend a seasonal pattern explains, (B, C) in [0, 1].

    Source: FPP3, section 4.3; the trend is taken out by differences here.
    """
    past, _ = repeat_pattern(pattern, history.length, 1)
    pairs = history.known[..., 1:] * history.known[..., :-1]
    whole = (history.values.diff(dim=-1).square() * pairs).sum(-1)
    rest = ((history.values - past).diff(dim=-1).square() * pairs).sum(-1)
    return (1 - rest / whole.clamp(min=TINY**2)).clamp(0, 1)
