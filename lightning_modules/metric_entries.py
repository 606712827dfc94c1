"""The values of a torchmetric that computes several: a vector by class, or a dict."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class MetricEntry(Metric):
    """One of the values that another metric computes, which keeps the state of both.

    Args:
        whole: the metric.
        key: index or key of the value in what it computes.
    """

    full_state_update = False

    def __init__(self, whole: Metric, key: Any) -> None:
        super().__init__(compute_with_cache=False)  # the other one has it, and is updated
        self.whole, self.key = whole, key

    def update(self) -> None:
        """Do nothing: the other metric is updated."""

    def compute(self) -> Tensor:
        """Return the value, ()."""
        return self.whole.compute()[self.key].reshape(())

    def reset(self) -> None:
        """Reset the other metric, all entries at a time."""
        super().reset()
        self.whole.reset()

    @property
    def update_called(self) -> bool:
        """Return whether the other metric was updated."""
        return self.whole.update_called


def list_entries(
    metric: Metric, preds: Any, target: Any, name_entries: Callable[[int], list[str]]
) -> list[tuple[str, Metric]]:
    """List what a metric computes, to be logged by name: a copy of it is tried on a batch.

    Args:
        metric: the metric.
        preds: of the batch.
        target: of the batch.
        name_entries: names the entries of a vector of this length.

    Returns:
        The metric itself with an empty name, where it computes one number; otherwise an entry for each of the numbers
        of its vector, or of its dict, with what is put behind the metric's name.
    """
    tried = metric.clone()
    tried.reset()
    tried.sync_on_compute = False  # another rank may have its first batch later
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # about so few samples
            tried.update(preds, target)
            value = tried.compute()
    except (
        Exception
    ):  # it needs more than a batch; what is wrong with the batch shows when the metric itself is updated
        return [("", metric)]
    if isinstance(value, Mapping):
        numbers = [key for key, item in value.items() if isinstance(item, Tensor) and item.numel() == 1]
        return [(f"_{key}", MetricEntry(metric, key)) for key in numbers]
    if isinstance(value, Tensor) and value.ndim == 1 and len(value) > 1:
        names = name_entries(len(value))
        return [(f"_{name}", MetricEntry(metric, index)) for index, name in enumerate(names)]
    return [("", metric)]


def dump_entries(entries: Sequence[tuple[str, Metric]]) -> list[dict[str, Any]]:
    """Return the entries of a metric as plain data."""
    return [{"name": name, "key": value.key if isinstance(value, MetricEntry) else None} for name, value in entries]


def restore_entries(metric: Metric, dumped: Sequence[Mapping[str, Any]]) -> list[tuple[str, Metric]]:
    """Restore the entries of a metric from what `dump_entries` returned."""
    if not dumped:
        return [("", metric)]
    return [(str(e["name"]), metric if e["key"] is None else MetricEntry(metric, e["key"])) for e in dumped]
