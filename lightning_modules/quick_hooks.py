"""A LightningModule whose hooks cost less."""

from typing import Any

from lightning_modules.namespace import pl


class QuickHooks(pl.LightningModule):
    """Takes note of the running hook as any object does.

    Lightning notes it about fifty times a step, and an nn.Module looks each time whether it was given a parameter: a
    tenth of what the Trainer costs a step.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
