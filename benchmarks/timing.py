"""Timing things side by side: this machine's speed changes from minute to minute, their ratio less so."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Times = dict[str, list[float]]


class Spread(NamedTuple):
    """A median, and the least and the most."""

    median: float
    low: float
    high: float


def seconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def alternate(contenders: Mapping[str, Callable[[], float]], *, rounds: int, warmup: int = 1) -> Times:
    """Return what each contender measured, one after the other in every round.

    Args:
        contenders: by name, functions that do the work once and return what they measured.
        rounds: number of rounds that count.
        warmup: number of rounds before them: memory that is touched for the first time is slow.
    """
    times: Times = {name: [] for name in contenders}
    for index in range(warmup + rounds):
        for name, measure in contenders.items():
            took = measure()
            if index >= warmup:
                times[name].append(took)
    return times


def spread(values: list[float]) -> Spread:
    """Return the median, the least and the most."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(times: Times, first: str, second: str) -> Spread:
    """Return how many times as long `first` takes as `second`, round by round."""
    return spread([one / other for one, other in zip(times[first], times[second], strict=True)])


def difference(times: Times, first: str, second: str) -> Spread:
    """Return how much longer `first` takes than `second`, round by round."""
    return spread([one - other for one, other in zip(times[first], times[second], strict=True)])
