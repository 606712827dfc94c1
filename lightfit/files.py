"""Files and folders that are there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, durable: bool = False, keep_as: Path | None = None) -> Iterator[Path]:
    """Yield a path to write to, which takes the name `path` when all is written; what an error leaves is deleted.

    Args:
        path: the name that the file gets.
        durable: have the disk confirm that all is written first, so that it outlives a power failure.
        keep_as: another name for the file that had this one, instead of deleting it.
    """
    part = path.with_name(f".{os.getpid()}.part.{path.name}")  # the ending stays: some writers look at it
    try:
        yield part
        if durable:
            _sync(part)
        if keep_as is not None and path.exists():
            os.replace(path, keep_as)
        os.replace(part, path)
        if durable and os.name != "nt":  # where a folder cannot be opened
            _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, content: str = "") -> Iterator[Path]:
    """Yield an empty folder to fill, which takes the name `path` when it is; in the place of one that is there.

    For one process at a time: what another one has left, that was killed, is deleted.

    Args:
        path: the name that the folder gets.
        content: name of a folder within it that is taken instead of the whole.
    """
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(path, ignore_errors=True)
        os.replace(part / content, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_parts(folder: Path) -> None:
    """Delete what writers left that were killed; only where nothing is being written."""
    for part in folder.glob(".*.part.*"):
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
