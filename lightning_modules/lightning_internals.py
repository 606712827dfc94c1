"""Private names of Lightning that the models use, each with its purpose; `tests/test_internals.py` checks that they exist."""

from typing import Any

from lightfit.lightning import OneLightning, pl

CURRENT_HOOK = "_current_fx_name"


class QuickHooks(OneLightning, pl.LightningModule):
    """A LightningModule that stores the name of the running hook as any object does.

    `_current_fx_name` of LightningModule: the trainer sets it about fifty times a step, and an nn.Module looks each time
    whether it was given a parameter. `benchmarks/loop.py` measures what it brings. Without that name nothing breaks, and
    steps are slower.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == CURRENT_HOOK:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
