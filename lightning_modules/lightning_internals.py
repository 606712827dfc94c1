"""Private names of Lightning that the models use; `tests/test_internals.py` checks that they exist."""

from typing import Any

from lightfit.lightning import OneLightning, pl

CURRENT_HOOK = "_current_fx_name"


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
