"""Where a training run stands, and whether a run can resume from there as if it had never stopped."""

from typing import Any

from lightfit.lightning import pl

from ..lightning_internals import check_val_next


def is_within_epoch(trainer: pl.Trainer) -> bool:
    """Return whether an epoch has begun and not ended."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    return epochs.processed < epochs.ready


def is_validation_next(trainer: pl.Trainer) -> bool:
    """Return whether validation is under way, or comes before the next step."""
    return trainer.validating or check_val_next(trainer)


def can_resume_from(trainer: pl.Trainer) -> bool:
    """Return whether a checkpoint that is saved after this step holds all that the next one needs.

    It does not between steps whose gradients are summed, nor after the last step of an epoch without validation: the
    epoch's end, which follows at once, would be left out.
    """
    num_batches = trainer.fit_loop.batch_idx + 1
    epoch_ends = trainer.is_last_batch or num_batches == trainer.num_training_batches
    steps_at_end = epoch_ends and not trainer.strategy.handles_gradient_accumulation
    accumulates = num_batches % trainer.accumulate_grad_batches != 0 and not steps_at_end
    return not accumulates and (not epoch_ends or is_validation_next(trainer))
