"""The mean of the weights at the ends of the last epochs."""

from typing import Any

from lightfit.lightning import OneLightning, pl

from ..lightning_internals import get_average_model


class StochasticWeightAverage(OneLightning, pl.callbacks.WeightAveraging):
    """Validates and saves the mean of the weights at the ends of the last epochs; training continues without it.

    Unlike Lightning's StochasticWeightAveraging, whose mean is neither validated nor in any checkpoint. Source:
    Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization", algorithm 1, with any
    learning rate: a constant one serves best.

    Args:
        start: fraction of the epochs after which the mean begins, in [0, 1); in a run by `max_steps`
            alone, of the steps.
    """

    def __init__(self, start: float = 0.75) -> None:
        if not 0 <= start < 1:
            raise ValueError(f"expected start in [0, 1), received {start}")
        super().__init__()
        self.start = start
        self._epoch_ends = False

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether this step ends an epoch that counts: a step, as validation comes before the epoch's end."""
        return step_idx is not None and self._epoch_ends

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the weights to the mean where an epoch ends."""
        if (trainer.max_epochs or 0) > 0:
            begun = trainer.current_epoch >= self.start * trainer.max_epochs  # type: ignore[operator]
        else:
            begun = trainer.global_step > self.start * trainer.max_steps
        self._epoch_ends = trainer.is_last_batch and begun
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the mean in place, once there is one."""
        if self._has_mean:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        if self._has_mean:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the model with the mean."""
        if self._has_mean:
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the mean as the model's weights, once there is one."""
        if self._has_mean:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)
        elif (average := get_average_model(self)) is not None:  # what a resumed run expects, with the model's weights
            state = average.state_dict()
            checkpoint["current_model_state"] = checkpoint["state_dict"]
            checkpoint["averaging_state"] = {name: state[name] for name in state if not name.startswith("module.")}

    @property
    def _has_mean(self) -> bool:
        average = get_average_model(self)
        return average is not None and int(average.n_averaged) > 0
