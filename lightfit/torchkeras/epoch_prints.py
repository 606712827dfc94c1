"""The lines that torchkeras' LightModel printed by itself."""

from typing import Any

from lightfit.callbacks import EpochLines, NotebookProgress
from lightfit.callbacks.logs.progress import print_epoch
from lightfit.lightning import OneLightning, pl
from lightfit.lightning_modules import LightModel


class EpochPrints(OneLightning, pl.Callback):
    """Prints an epoch's metrics where a LightModel is trained, and no other callback shows them."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print them, on rank 0."""
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        shown = any(isinstance(item, (EpochLines, NotebookProgress)) for item in callbacks)
        if isinstance(pl_module, LightModel) and trainer.is_global_zero and not shown:
            print()  # below Lightning's bar, whose line is still open
            print_epoch(trainer)
