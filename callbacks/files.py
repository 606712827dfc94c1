"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the name `path` when all is written; what an error leaves behind is deleted."""
    part = path.with_name(f".{os.getpid()}.part.{path.name}")  # the ending stays: some writers look at it
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
