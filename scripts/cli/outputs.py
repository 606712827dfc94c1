"""Output files of commands: written completely or not at all, and never over an existing file unless asked."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightfit.errors import UsageError


def check_output(path: Path, *, overwrite: bool, suffixes: tuple[str, ...] = ()) -> None:
    """Check that a file can be written at a path.

    Args:
        path: path of the file.
        overwrite: whether it may replace an existing file.
        suffixes: allowed endings; any ending if empty.

    Raises:
        UsageError: the file exists, its folder does not, or its ending is another one.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"expected --output to end in {' or '.join(suffixes)}, received '{path}'")
    if not path.absolute().parent.is_dir():
        raise UsageError(
            f"no folder '{path.absolute().parent}' to write '{path.name}' into: create it, or choose another path"
        )
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder: expected the name of a file to write")
    if path.exists() and not overwrite:
        raise UsageError(f"'{path}' already exists: choose another name, or replace it with --overwrite")


@contextmanager
def output_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, renamed to `path` at the end; an unfinished file is removed.

    Raises:
        OSError: the file could not be written; the message names a full disk.
    """
    from lightfit.files import whole_file

    with _naming_full_disk(path), whole_file(path) as temporary:
        yield temporary


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, renamed to `path` at the end; an unfinished folder is removed.

    Raises:
        OSError: a file could not be written; the message names a full disk.
    """
    from lightfit.files import whole_folder

    with _naming_full_disk(path), whole_folder(path) as temporary:
        yield temporary


@contextmanager
def _naming_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(
                f"the disk is full: '{path}' was not written, and no partial file is left; free some space, or choose "
                "another path by --output"
            ) from error
        raise
