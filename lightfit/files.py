"""Files and folders that are there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, durable: bool = False, keep_as: Path | None = None) -> Iterator[Path]:
    """Yield a path to write to, which is renamed to `path` when all is written; on an error it is deleted.

    Args:
        path: the name that the file gets.
        durable: have the disk confirm that all is written first, so that it outlives a power failure.
        keep_as: another name for the file that had this one, instead of deleting it.
    """
    unfinished = path.with_name(f".{os.getpid()}.part.{path.name}")  # the ending stays: some writers look at it
    try:
        yield unfinished
        if durable:
            _sync(unfinished)
        if keep_as is not None and path.exists():
            os.replace(path, keep_as)
        os.replace(unfinished, path)
        if durable and os.name != "nt":  # where a folder cannot be opened
            _sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, content: str = "") -> Iterator[Path]:
    """Yield an empty folder to fill, which is renamed to `path` then, replacing one that is there.

    For one process at a time: what a killed process has left is deleted.

    Args:
        path: the name that the folder gets.
        content: name of a folder within it that is taken instead of the whole.
    """
    unfinished = path.with_name(f"{path.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        shutil.rmtree(path, ignore_errors=True)
        os.replace(unfinished / content, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what writers left that were killed; only where nothing is being written."""
    for unfinished in folder.glob(".*.part.*"):
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
