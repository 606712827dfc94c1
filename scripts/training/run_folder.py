"""The folder of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lightfit.errors import UsageError

from ..cli.lightning_internals import take_next_version

if TYPE_CHECKING:  # evaluate.py and export.py use this file before they import Lightning
    from lightfit.lightning import pl

LOCK = ".lock"  # locked by the process that trains in the folder; the system unlocks it when the process ends


def find_run(checkpoint: Path) -> Path:
    """Return the run folder of a checkpoint; the parent folder if it does not lie in a run."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def has_checkpoint(run: str | Path) -> bool:
    """Return whether a run folder has a checkpoint to resume from."""
    return any(Path(run).glob("checkpoints/*.ckpt"))


def find_newest_run(folder: Path) -> Path | None:
    """Return the run folder of the highest version that has a checkpoint; None if there is none.

    By version, not by modification time: clocks may be set back.

    Args:
        folder: folder of the task, with a folder `version_N` for each run.
    """
    runs = [path.parents[1] for path in folder.glob("version_*/checkpoints/*.ckpt")]
    numbered = [run for run in runs if run.name.removeprefix("version_").isdecimal()]
    return max(numbered, key=lambda run: int(run.name.removeprefix("version_")), default=None)


@contextmanager
def claim_run_folder(trainer: "pl.Trainer", *, new: bool) -> Iterator[None]:
    """Create the run folder and lock it, safe against other processes that start at the same time.

    Does nothing on ranks above 0: they would find the folder in use and take the next version.

    Args:
        trainer: its logger sets the path of the folder.
        new: use a folder that does not exist yet.

    Raises:
        UsageError: the folder cannot be created or written, or another process trains in it.
    """
    if not trainer.is_global_zero:
        yield
        return
    try:
        folder = _make_folder(trainer, new=new)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"another process is training in '{folder}': wait until it ends, or leave out --resume and "
            "--ckpt_path to start a new run"
        ) from None
    except OSError as error:
        raise UsageError(
            f"the run folder '{trainer.log_dir}' cannot be written ({error.strerror}): "
            "choose another folder by --trainer.logger.save_dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _make_folder(trainer: "pl.Trainer", *, new: bool) -> Path:
    from lightfit.lightning import pl

    logger = trainer.logger
    while True:
        folder = Path(trainer.log_dir or "runs")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not (new and isinstance(logger, pl.loggers.TensorBoardLogger) and isinstance(logger.version, int)):
                return folder
            take_next_version(logger)
