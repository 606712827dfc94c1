"""Files that commands write: never half, and never over another one unasked."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightfit.errors import UsageError


def check_output(path: Path, *, overwrite: bool, suffixes: tuple[str, ...] = ()) -> None:
    """Nothing, where a file can be written under this name.

    Args:
        path: its path.
        overwrite: whether it may stand in the place of another one.
        suffixes: endings, one of which it must have; any ending if there are none.

    Raises:
        UsageError: it exists, its folder does not, or it ends otherwise.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"expected --output to end in {' or '.join(suffixes)}, received '{path}'")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"no folder '{path.absolute().parent}' to write {path.name} into")
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder: expected the name of a file to write")
    if path.exists() and not overwrite:
        raise UsageError(f"'{path}' exists already: choose another name, or replace it with --overwrite")


@contextmanager
def output_file(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the name `path` when all is written; nothing is left of what was not finished.

    Raises:
        OSError: it could not be written; a full disk is named as such.
    """
    from lightfit.files import whole_file

    try:
        with whole_file(path) as part:
            yield part
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(
                f"the disk is full: '{path}' was not written, and nothing is left of it; make room, or choose another "
                "place by --output"
            ) from error
        raise
