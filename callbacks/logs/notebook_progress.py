"""Live curves in a notebook."""

import contextlib
import io
import time
import warnings
from typing import Any

from lightfit.extras import importing_extra
from lightfit.lightning import OneLightning, pl

from ..pictures.guard import watch
from .run_folder import make_run_folder

REFRESH_S = 0.5  # the line below the curves is written this often, whatever the number of steps


@watch
class NotebookProgress(OneLightning, pl.callbacks.ProgressBar):
    """torchkeras' VLog in place of Lightning's progress bar: a curve of the monitored metric that grows by the epoch.

    In a notebook the picture and a bar stand in the cell's output; elsewhere the picture is written to `path`. Where
    nothing can be drawn, a warning says so once, and the training continues.

    Args:
        monitor: name of the metric to show beside its value in training, such as `val_loss`.
        mode: min or max, what the best value is.
        path: where the picture is written, too; None for `progress.png` in the run folder.
    """

    def __init__(self, monitor: str = "val_loss", *, mode: str = "min", path: str | None = None) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"expected mode min or max, received '{mode}'")
        self.monitor = monitor
        self.mode = mode
        self.path = path
        self._log: Any = None
        self._refreshed = 0.0
        self._enabled = True

    def disable(self) -> None:
        """Disable all output; Lightning calls it on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Enable the output again."""
        self._enabled = True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the picture.

        Raises:
            ValueError: the number of epochs is not known, and so the width of the picture.
        """
        if not self._enabled:
            return
        if not trainer.max_epochs or trainer.max_epochs < 1:
            raise ValueError("it needs `max_epochs`, the width of its picture: pass it to the Trainer")
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # On import torchkeras prints which of its optional packages are missing, and uses what torch deprecates.
            warnings.simplefilter("ignore")
            with importing_extra("NotebookProgress"):
                from torchkeras.vlog import VLog
        path = self.path
        if path is None:
            path = str(make_run_folder(trainer) / "progress.png")
        self._log = VLog(trainer.max_epochs, self.monitor, self.mode, save_path=path)
        self._log.log_start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the batch's loss below the picture, a few times a second."""
        now = time.monotonic()
        if self._log is None or now - self._refreshed < REFRESH_S:
            return
        self._refreshed = now
        if isinstance(outputs, dict) and "loss" in outputs:
            total = self.total_train_batches
            self._log.step, self._log.batchs = batch_idx, None if total == float("inf") else int(total)
            self._log.log_step({"train_loss": round(float(outputs["loss"]), 4)})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the epoch."""
        if self._log is None:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        named = {
            name if name.startswith(("val", "train")) or name == self.monitor else f"train_{name}": value
            for name, value in metrics.items()
        }
        if self.monitor not in named:
            raise ValueError(
                f"no metric '{self.monitor}' is logged, as `monitor` names it; there is: "
                f"{', '.join(sorted(named)) or 'none'}"
            )
        self._log.log_epoch(named)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the whole run, with its best epoch."""
        if self._log is not None and self._log.history:
            self._log.log_end()
        self._log = None
