"""What a training run prints: a progress bar, and torchkeras' lines below it for every epoch."""

import sys
import time
from datetime import datetime
from typing import Any

from tqdm import tqdm

from lightfit.lightning import OneLightning, pl

REFRESH_S = 0.2  # the bar and the loss in it are read this often, whatever the number of steps


class EpochLines(OneLightning, pl.callbacks.ProgressBar):
    """A bar for each epoch, then torchkeras' line of `=` with the time, the epoch, and both dicts of metrics.

    Where standard error is no terminal there is no bar, only the lines.

    Args:
        quiet: print nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__()
        self._enabled = not quiet
        self._bar: tqdm | None = None
        self._refreshed = 0.0

    def disable(self) -> None:
        """Disable all output; Lightning calls it on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Enable the output again."""
        self._enabled = True

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Open the epoch's bar; here, as a run that resumes within an epoch never sees that epoch's start."""
        if self._enabled and self._bar is None:
            total = self.total_train_batches
            self._bar = tqdm(
                total=int(total) if total != float("inf") else None,
                desc=f"epoch {trainer.current_epoch}",
                initial=batch_idx,
                disable=not sys.stderr.isatty(),
                dynamic_ncols=True,
                miniters=0,
                mininterval=0,
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, a few times a second; the loss shown is the batch's."""
        now = time.monotonic()
        if self._bar is None or self._bar.disable or now - self._refreshed < REFRESH_S:
            return
        self._refreshed = now
        if isinstance(outputs, dict) and "loss" in outputs:
            self._bar.set_postfix(loss=f"{float(outputs['loss']):.4f}", refresh=False)
        self._bar.update(batch_idx + 1 - self._bar.n)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show that validation is under way."""
        if self._bar is not None:
            self._bar.set_postfix_str("validating")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar, full, and print the epoch's lines below it."""
        if self._bar is None:
            return
        self._bar.set_postfix_str("", refresh=False)
        self._bar.update(trainer.fit_loop.batch_idx + 1 - self._bar.n)
        self._close()
        print_epoch(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the next output starts on a new line."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_epoch(trainer: pl.Trainer) -> None:
    """Print torchkeras' lines of an epoch that is done: the time, the epoch, and both dicts of metrics."""
    metrics = {name: round(float(value), 4) for name, value in trainer.callback_metrics.items()}
    val = {name: value for name, value in metrics.items() if name.startswith("val_")}
    print("=" * 80 + datetime.now().strftime("%Y-%m-%d %H:%M:%S"))
    print(f"epoch = {trainer.current_epoch}")
    if val:
        print(val)
    print({name: value for name, value in metrics.items() if name not in val}, flush=True)
