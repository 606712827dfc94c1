"""Hyper-parameters beside the result, in TensorBoard's page HPARAMS."""

from lightfit.lightning import OneLightning, pl

from ..pictures.guard import watch


@watch
class FinalMetric(OneLightning, pl.Callback):
    """Logs the hyper-parameters with the best value of the checkpoint's metric when training ends.

    Logged as `best_<monitor>`; for runs with a TensorBoardLogger and a ModelCheckpoint that monitors a metric.
    """

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the pair."""
        checkpoint = trainer.checkpoint_callback
        if not trainer.is_global_zero or not isinstance(checkpoint, pl.callbacks.ModelCheckpoint):
            return
        for logger in trainer.loggers:
            if isinstance(logger, pl.loggers.TensorBoardLogger) and checkpoint.best_model_score is not None:
                # Without the names by which Lightning builds a class again.
                hparams = {name: value for name, value in logger.hparams.items() if not name.startswith("_")}
                logger.log_hyperparams(hparams, {f"best_{checkpoint.monitor}": float(checkpoint.best_model_score)})
