"""A metric for a search that decides whether a run is worth finishing."""

from collections.abc import Callable

from lightfit.lightning import OneLightning, pl

from ..pictures.guard import warn_once


class ReportMetric(OneLightning, pl.Callback):
    """Hands a metric to a function after each validation of a fit; an exception of the function ends the run.

    A metric that is not logged is warned of once.

    Args:
        monitor: name of the metric, such as `val_loss`.
        report: called with its value and the epoch.
    """

    def __init__(self, monitor: str, *, report: Callable[[float, int], None]) -> None:
        self.monitor = monitor
        self.report = report

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the value."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.monitor not in trainer.callback_metrics:
            held = ", ".join(sorted(trainer.callback_metrics)) or "none"
            reason = f"no metric '{self.monitor}' is logged, as `monitor` names it; there is: {held}"
            warn_once(trainer, type(self).__name__, f"reports nothing: {reason}")
            return
        self.report(float(trainer.callback_metrics[self.monitor]), trainer.current_epoch)
