"""Private names of Lightning and torch that the sampler uses; `tests/test_internals.py` checks that they exist.

Each function uses one of them: what for, and what breaks without it.
"""

from typing import Any

from torch.utils.data._utils.signal_handling import _remove_worker_pids


def set_batches_done(batch_progress: Any, done: int) -> None:
    """Set how many batches of an epoch the trainer counts as done.

    Purpose: a run that resumes within an epoch with batches of another size has fewer or more of them still to come,
    and the trainer's own count, `_BatchProgress.current` of the training loop, is what ends the epoch. There is no
    public way: a loader that returned another length would change the length of all later epochs as well. Without these
    counters such a run raises an AttributeError; one with the same batch size needs none of this.
    """
    current = batch_progress.current
    change = done - current.processed
    for name in ("ready", "started", "processed", "completed"):
        setattr(current, name, getattr(current, name) + change)


def kill_workers(iterator: Any) -> None:
    """Kill the worker processes of a DataLoader's iterator, whose loader is then begun again.

    Purpose: workers that are stuck before they run a line. torch takes the death of a worker that it watches for an
    error in the main process, so it must first forget them: `_remove_worker_pids`, `_worker_pids_set`, and `_workers`,
    the processes. Without these names a loader with stuck workers fails; all others need none of this, but for
    `_remove_worker_pids`, without which this file cannot be imported.
    """
    _remove_worker_pids(id(iterator))
    iterator._worker_pids_set = False
    for worker in iterator._workers:
        worker.kill()


def list_hparams(module: Any) -> list[Any]:
    """Return the two dicts in which a module stores its hyper-parameters: as they are now, and as they were first.

    Purpose: to drop what is no plain data before a checkpoint stores it, and to correct what LightningCLI stored of
    linked arguments. `save_hyperparameters(ignore=...)` needs the names, and the public `hparams_initial` is a copy.
    Without `_hparams` and `_hparams_initial` there is no DataModule, and fit fails before it trains.
    """
    return [module._hparams, module._hparams_initial]
