"""Where a training run stands, and from where one can go on as if it had never stopped."""

from typing import Any

from lightfit.lightning import pl


def is_within_epoch(trainer: pl.Trainer) -> bool:
    """Whether an epoch has begun and not ended."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    return epochs.processed < epochs.ready


def validation_is_next(trainer: pl.Trainer) -> bool:
    """Whether validation is under way, or comes before the next step."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return trainer.validating or loop._should_check_val_fx(fetcher)


def can_go_on_from(trainer: pl.Trainer) -> bool:
    """Whether a checkpoint that is saved after this step holds all that the next one needs.

    It does not between steps whose gradients are summed, nor after the last step of an epoch without validation: the
    epoch's end, which follows at once, would be left out.
    """
    loop = trainer.fit_loop.epoch_loop
    return not loop._should_accumulate() and (validation_is_next(trainer) or not loop._num_ready_batches_reached())


def leave_validation_open(checkpoint: dict[str, Any]) -> None:
    """Makes a checkpoint one from which the trainer goes on with validation, from its first batch.

    As if it had been stopped within that batch: otherwise the trainer takes validation as done and leaves it out.
    """
    loops = checkpoint["loops"]["fit_loop"]
    for steps in (loops["epoch_loop.batch_progress"]["total"], loops["epoch_loop.batch_progress"]["current"]):
        steps["completed"] = steps["processed"]
    loops["epoch_loop.val_loop.batch_progress"] = {
        "total": {"ready": 1, "started": 1, "processed": 0, "completed": 0},
        "current": {"ready": 0, "started": 0, "processed": 0, "completed": 0},
        "is_last_batch": False,
    }
