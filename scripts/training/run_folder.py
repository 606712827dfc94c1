"""The folder of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lightfit.errors import UsageError
from lightfit.lightning import pl

LOCK = ".lock"  # held by the process that trains in the folder, and by none when that has ended, however it did


def run_of(checkpoint: Path) -> Path:
    """The run folder of a checkpoint, or the folder of one that lies elsewhere."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def has_checkpoint(run: str | Path) -> bool:
    """Whether there is one to go on with in a run's folder."""
    return any(Path(run).glob("checkpoints/*.ckpt"))


def newest_run(folder: Path) -> Path | None:
    """The run of the highest number that has a checkpoint to go on with; None where there is none.

    By its number, not by the time of its files: clocks are set back.

    Args:
        folder: the task's, with a folder `version_N` for each run.
    """
    runs = [path.parents[1] for path in folder.glob("version_*/checkpoints/*.ckpt")]
    numbered = [run for run in runs if run.name.removeprefix("version_").isdecimal()]
    return max(numbered, key=lambda run: int(run.name.removeprefix("version_")), default=None)


@contextmanager
def claimed(trainer: pl.Trainer, *, new: bool) -> Iterator[None]:
    """Makes the run folder, this process's own for a while, whoever else starts at the same moment.

    Nothing in all processes but the first: another one would find the folder there and take the next number.

    Args:
        trainer: whose logger says where.
        new: another folder than any that is there.

    Raises:
        UsageError: it cannot be made or written, or another process trains in it.
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
            f"another process is training in '{folder}': wait for its end, or leave out --resume and --ckpt_path to "
            "begin a run of its own"
        ) from None
    except OSError as error:
        raise UsageError(
            f"the run folder '{trainer.log_dir}' cannot be written ({error.strerror}); "
            "choose another place by --trainer.logger.save_dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _make_folder(trainer: pl.Trainer, *, new: bool) -> Path:
    logger = trainer.logger
    while True:
        folder = Path(trainer.log_dir or "runs")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not (new and isinstance(logger, pl.loggers.TensorBoardLogger) and isinstance(logger.version, int)):
                return folder
            logger._version = logger._get_next_version()
