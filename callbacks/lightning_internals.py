"""Private names of Lightning and torch that the callbacks use; `tests/test_internals.py` checks that they exist.

Each function uses one of them: what for, and what breaks without it.
"""

from typing import Any

from torch import Tensor

from lightfit.lightning import pl


def check_val_next(trainer: pl.Trainer) -> bool:
    """Return whether the trainer validates before its next step.

    Purpose: a checkpoint that is saved between a step and its validation must have the validation done when a run
    resumes from it. `_TrainingEpochLoop._should_check_val_fx` knows all of check_val_every_n_epoch, val_check_interval
    (fractions, steps, times), iterable datasets and early stopping; to repeat that here would be wrong sooner. Without
    it CheckpointEvery, StopOnSignal and ExactResume fail at their first step.
    """
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return loop._should_check_val_fx(fetcher)


def load_loader_states(trainer: pl.Trainer) -> None:
    """Load the states of the training loaders from the checkpoint that the run resumes from, if that is still to do.

    Purpose: a schedule that asks for the number of steps makes the trainer set up its loaders before it has read where
    the run resumes, and `_FitLoop._load_combined_loader_states` is then not called again. Without it a run that resumes
    within an epoch with another batch size repeats or leaves out samples.
    """
    trainer.fit_loop._load_combined_loader_states()


def list_loaders(trainer: pl.Trainer) -> list[Any]:
    """Return the training loaders, also those of a CombinedLoader; none before they are set up.

    Purpose: whether they resume within an epoch, and the states of their generators. `Trainer.train_dataloader` returns
    what the user gave, a loader, or a list or dict of them; `_FitLoop._combined_loader` lists the loaders as the
    trainer uses them. Without it ExactResume fails when a checkpoint is saved.
    """
    combined = trainer.fit_loop._combined_loader
    return [] if combined is None else list(combined.flattened)


def begin_next_epoch(trainer: pl.Trainer) -> None:
    """Have a run that resumes from an epoch's end begin the next one as in a run that was not interrupted.

    Purpose: a trainer that resumes makes the iterator of the next epoch before any hook in which the random state could
    be set, and `_TrainingEpochLoop.on_run_start` keeps it where `_Loop._resuming_from_checkpoint` is true; with
    `max_steps` it also takes the epoch for unfinished (`_Loop._restarting`), and trains a batch more in it. Without it
    a shuffled DataLoader, or one with workers, draws other random numbers in a resumed run.
    """
    fit_loop = trainer.fit_loop
    epochs: Any = fit_loop.epoch_progress.current
    steps = fit_loop.epoch_loop
    fit_loop._resuming_from_checkpoint = False
    if fit_loop.restarting:
        epochs.completed = epochs.processed
        for loop in (fit_loop, steps, steps.val_loop, steps.automatic_optimization, steps.manual_optimization):
            loop._restarting = False
            loop.reset_restart_stage()


def leave_validation_open(checkpoint: dict[str, Any]) -> None:
    """Edit the loop's state in a checkpoint so that a run which resumes from it begins with validation.

    Purpose: the trainer takes the validation after the last step of a checkpoint as done, leaves it out, and with it
    the end of the epoch. There is no public way: a validation runs in the midst of a fit only where the loop itself
    starts it. The state is set as if the run had been stopped within the first batch of the validation. Without these
    keys a KeyError is raised when such a checkpoint is saved.
    """
    loops = checkpoint["loops"]["fit_loop"]
    for steps in (loops["epoch_loop.batch_progress"]["total"], loops["epoch_loop.batch_progress"]["current"]):
        steps["completed"] = steps["processed"]
    if "epoch_loop.val_loop.batch_progress" not in loops:
        raise KeyError("epoch_loop.val_loop.batch_progress")
    loops["epoch_loop.val_loop.batch_progress"] = {
        "total": {"ready": 1, "started": 1, "processed": 0, "completed": 0},
        "current": {"ready": 0, "started": 0, "processed": 0, "completed": 0},
        "is_last_batch": False,
    }


def saves_at_epoch_end(checkpoint: Any, trainer: pl.Trainer) -> bool:
    """Return whether a ModelCheckpoint saves at the ends of training epochs, and not after validations.

    Purpose: `ModelCheckpoint._should_save_on_train_epoch_end` decides by the argument, which is stored under a private
    name alone, and by the trainer's validation. Without it BestAndLast fails at the end of the first epoch.
    """
    return bool(checkpoint._should_save_on_train_epoch_end(trainer))


def counts_versions(checkpoint: Any) -> bool:
    """Return whether a ModelCheckpoint adds `-v1` to the name of a file that exists.

    Purpose: BestAndLast names last.ckpt as ModelCheckpoint does, whose argument enable_version_counter is stored as
    `_enable_version_counter` alone. Without it BestAndLast fails where it saves the last epoch.
    """
    return bool(checkpoint._enable_version_counter)


def find_cluster(trainer: pl.Trainer) -> Any:
    """Return the trainer's cluster environment, such as SLURM's.

    Purpose: whether the job is queued again after its signal, and whether a process was launched by another one of the
    run, with which it then ends; strategies for one device have no public `cluster_environment`. Without
    `Trainer._accelerator_connector` StopOnSignal and the commands that train fail when a fit begins.
    """
    return trainer._accelerator_connector.cluster_environment


def requeue_job(trainer: pl.Trainer, signum: int) -> None:
    """Save Lightning's own checkpoint for SLURM and queue the job again.

    Purpose: the trainer of the queued job finds that checkpoint without being told its path. The name of the file and
    the handler, `_SignalConnector._slurm_sigusr_handler_fn`, are Lightning's alone. Without it a run under SLURM ends
    at the signal with an AttributeError, after last.ckpt is saved.
    """
    handler: Any = trainer._signal_connector._slurm_sigusr_handler_fn
    handler(signum, None)


def get_average_model(averaging: Any) -> Any:
    """Return the `AveragedModel` of a WeightAveraging callback; None before `setup`.

    Purpose: whether any weights are in the mean yet (`n_averaged`). WeightAveraging keeps it as `_average_model` alone.
    Without it StochasticWeightAverage fails at the first validation.
    """
    return averaging._average_model


def get_stored_values(tensor: Tensor) -> Tensor:
    """Return the values that a sparse tensor stores, duplicates apart.

    Purpose: to look for NaN in gradients of embeddings. The public `values` wants a coalesced tensor, and to coalesce
    sorts the indices at every step. Without `Tensor._values` nets with sparse gradients cannot be trained.
    """
    return tensor._values()


def scales_gradients(optimizer: Any) -> bool:
    """Return whether an optimizer unscales the gradients itself, as a fused one under a gradient scaler does.

    Purpose: such an optimizer must keep its gradients, as the scaler looks at them within the step. Without torch's
    `_step_supports_amp_scaling` fused optimizers in float16 fail after a step with infinite gradients.
    """
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def list_logged_sums(trainer: pl.Trainer) -> list[tuple[Any, Any]]:
    """Return what a module has logged by `self.log` so far in the training epoch: each value with its sums.

    Purpose: to take a batch out of the means that was skipped as its loss is NaN: with it, the mean of the whole epoch
    is. `_TrainingEpochLoop._results` holds the sums, and nothing public does. They are replaced at every step, never
    changed, so that this costs no copy. Without it FiniteLoss fails at the first step of a run that skips.
    """
    values: dict[str, Any] = trainer.fit_loop.epoch_loop._results
    return [
        (value, (value.value, getattr(value, "cumulated_batch_size", None), value.has_reset))
        for value in values.values()
        if value.is_tensor and value.meta.on_epoch
    ]


def restore_logged_sums(trainer: pl.Trainer, sums: list[tuple[Any, Any]]) -> None:
    """Restore what `list_logged_sums` returned, and forget what was logged since for the first time.

    Purpose: as there. Without the names of `_ResultMetric` a run that skips a batch fails.
    """
    before = {id(value): held for value, held in sums}
    for value, _ in list_logged_sums(trainer):
        summed, num_samples, was_reset = before.get(id(value), (None, None, True))
        value._computed = None
        if was_reset:
            value.reset()
        else:
            value.value = summed
            if num_samples is not None:
                value.cumulated_batch_size = num_samples
