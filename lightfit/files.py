"""Files and folders that are there whole or not at all."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lightfit.platforms import replace, sync


class Below(NamedTuple):
    """What is below a folder, by names relative to it with `/` as separator, sorted.

    Args:
        files: names of the files, links to files among them.
        folders: names of the folders.
        left_out: names of folders that were not entered, with the reason.
    """

    files: list[str]
    folders: list[str]
    left_out: list[tuple[str, str]]


def list_below(root: Path) -> Below:
    """List what is below a folder, following links; a folder that links reach again is not entered again.

    Links to folders are followed last, so that of a folder and a link to it the link is left out.
    """
    files, folders, left_out = list[str](), list[str](), list[tuple[str, str]]()
    visited: dict[tuple[int, int], str] = {}
    waiting, links = [""], list[str]()
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        place = os.path.join(root, here)
        try:
            status = os.stat(place)
            key = status.st_dev, status.st_ino
            if key in visited:
                again = visited[key] or "the folder around it"
                left_out.append((here, f"a link to {again}, which is listed already"))
                continue
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (PermissionError, FileNotFoundError) as error:
            if not here:
                raise
            left_out.append((here, f"cannot be opened ({error.strerror})"))
            continue
        visited[key] = here
        if here:
            folders.append(here)
        start = f"{here}/" if here else ""
        for entry in entries:
            name = f"{start}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append(name)
            elif entry.is_symlink() and os.path.isdir(os.path.join(root, name)):
                links.append(name)
            else:
                files.append(name)
    return Below(sorted(files), sorted(folders), sorted(left_out))


@contextmanager
def whole_file(path: Path, *, durable: bool = False, keep_as: Path | None = None) -> Iterator[Path]:
    """Yield a path to write to, which is renamed to `path` when all is written; on an error it is deleted.

    The file gets the permissions of any new file here, by the umask or the folder's own rules, even if what writes it
    puts a private temporary file in its place, as safetensors does.

    Args:
        path: the name that the file gets.
        durable: have the disk confirm that all is written first, so that it outlives a power failure.
        keep_as: another name for the file that had this one, instead of deleting it.
    """
    unfinished = path.with_name(f".{os.getpid()}.part.{path.name}")  # the ending stays: some writers look at it
    try:
        mode = _find_mode(unfinished)
        yield unfinished
        if stat.S_IMODE(unfinished.stat().st_mode) != mode:
            unfinished.chmod(mode)
        if durable:
            sync(unfinished)
        if keep_as is not None and path.exists():
            replace(path, keep_as)
        replace(unfinished, path)
        if durable:
            sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _find_mode(path: Path) -> int:
    """Return the permissions of a new file at a path, from one that is made and deleted: the umask cannot be read
    without changing it for all threads, and a folder may have rules of its own."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


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
        replace(unfinished / content, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what writers left that were killed; only where nothing is being written."""
    for unfinished in folder.glob(".*.part.*"):
        unfinished.unlink(missing_ok=True)
