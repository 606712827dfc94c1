"""Which checkpoints a server holds: the arguments of the command, and what they stand for at a time."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lightfit.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
BEST = "best-*.ckpt"


class Source(NamedTuple):
    """A model's name and where its checkpoint is: a file, or the folder of a run, whose best one is taken."""

    name: str
    path: Path


class FileState(NamedTuple):
    """A file, and what tells that it was replaced or written again."""

    path: Path
    inode: int
    num_bytes: int
    changed_ns: int


def parse_sources(arguments: Sequence[str]) -> list[Source]:
    """Return the sources of `CKPT` or `NAME=CKPT`; without a name it is the task, or the name of the file.

    Raises:
        UsageError: two have the same name, or a name cannot be part of an address.
        FileNotFoundError: there is no such checkpoint.
    """
    sources: list[Source] = []
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not sign or Path(argument).exists():
            name, path = "", argument
        checkpoint = find_checkpoint(Path(path))
        if not name:
            stem = re.sub(r"[^A-Za-z0-9._-]+", "-", find_task(checkpoint) or checkpoint.stem)
            name = stem.strip("-._")[:64] or "model"
        if not NAME.fullmatch(name):
            raise UsageError(f"expected a name of up to 64 letters, digits and ._-, received '{name}' in '{argument}'")
        if any(source.name == name for source in sources):
            raise UsageError(f"two checkpoints are called '{name}': name them, as in first={path} second=other.ckpt")
        sources.append(Source(name, Path(path)))
    return sources


def find_checkpoint(path: Path, *, newest: bool = False) -> Path:
    """Return the checkpoint of a file, or of a run's folder: its best one, or its last one where none is called best.

    Args:
        path: a checkpoint, the folder of a run, or its folder checkpoints.
        newest: of a checkpoint called best, return the best one that lies beside it now.

    Raises:
        FileNotFoundError: the folder holds none.
    """
    if newest and path.name.startswith("best-"):
        return max(path.parent.glob(BEST), key=_changed, default=path)
    if not path.is_dir():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    if best := max(folder.glob(BEST), key=_changed, default=None):
        return best
    if (last := folder / "last.ckpt").is_file():
        return last
    raise FileNotFoundError(
        f"no checkpoint in '{folder}': expected {BEST} or last.ckpt, as training writes them to "
        "runs/<task>/version_N/checkpoints"
    )


def find_task(checkpoint: Path) -> str | None:
    """Return the task of a checkpoint in the folder of a run, runs/TASK/version_N/checkpoints; else None."""
    return checkpoint.absolute().parents[2].name if checkpoint.parent.name == "checkpoints" else None


def look_at(path: Path) -> FileState:
    """Return the state of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    stat = path.stat()
    return FileState(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # replaced in this moment
        return 0
