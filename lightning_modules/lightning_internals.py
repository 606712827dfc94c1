"""Private names of Lightning and torchmetrics that the models use; `tests/test_internals.py` checks that they exist."""

from typing import Any

from torchmetrics import Metric

from lightfit.lightning import OneLightning, pl

CURRENT_HOOK = "_current_fx_name"
UPDATE_COUNT = "_update_count"


class QuickHooks(OneLightning, pl.LightningModule):
    """A LightningModule that stores the name of the running hook as any object does.

    Purpose: the trainer sets `LightningModule._current_fx_name` about fifty times a step, and an nn.Module looks each
    time whether it was given a parameter. `benchmarks/loop.py` measures what this saves. Without that name nothing
    breaks, and a step takes longer.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == CURRENT_HOOK:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


def set_update_count(metric: Metric, count: int) -> None:
    """Set how often a metric was updated, once its state is restored.

    Purpose: torchmetrics' `update_count` can only be read. Without it `compute` warns that the metric was not updated,
    where a run resumes after the last batch of an epoch.
    """
    setattr(metric, UPDATE_COUNT, count)
