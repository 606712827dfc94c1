"""The folder of a run."""

from pathlib import Path

from scripts.errors import UsageError


def run_of(checkpoint: Path) -> Path:
    """The run folder of a checkpoint, or the folder of one that lies elsewhere."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def check_writable(folder: Path) -> None:
    """Makes the run folder now, so that a run that could not be kept ends before its training.

    Raises:
        UsageError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"the run folder '{folder}' cannot be written ({error.strerror}); "
            "choose another place by --trainer.logger.save_dir"
        ) from error
