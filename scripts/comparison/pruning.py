"""Deleting runs that are not among the best."""

import shutil
from itertools import groupby
from typing import NamedTuple

from lightfit.errors import UsageError

from .found import FINISHED, RUNNING, STOPPED, FoundRun


class Pruning(NamedTuple):
    """What would be deleted, and what stays though it is not among the best.

    Args:
        deleted: the runs to delete.
        running: runs that a process trains.
        unscored: runs without a score that stay.
    """

    deleted: list[FoundRun]
    running: list[FoundRun]
    unscored: list[FoundRun]


def choose_runs(runs: list[FoundRun], *, keep: int, stopped: bool) -> Pruning:
    """Choose the runs to delete: all but the best of each task, data and metric.

    Args:
        runs: the runs, as sorted by `find_runs`.
        keep: number of runs to keep of each.
        stopped: whether runs that stopped before their end are deleted too, however good.

    Raises:
        UsageError: none would be kept.
    """
    if keep < 1:
        raise UsageError(f"expected --keep of at least 1, received {keep}: delete the folder itself to keep none")
    running = [run for run in runs if run.state == RUNNING]
    left = [run for run in runs if run.state == STOPPED]
    finished = [run for run in runs if run.state == FINISHED]
    deleted = list(left) if stopped else []
    for _, own in groupby((run for run in finished if run.score is not None), key=lambda run: run.group):
        deleted += list(own)[keep:]
    unscored = [run for run in finished if run.score is None] + ([] if stopped else left)
    return Pruning(deleted, running, unscored)


def delete(run: FoundRun) -> None:
    """Delete a run folder; it has another name first, so that half of it is never taken for a run."""
    doomed = run.folder.with_name(f".{run.folder.name}.deleted")
    run.folder.rename(doomed)
    shutil.rmtree(doomed)
