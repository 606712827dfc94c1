"""The files of a folder or an archive, by name."""

import io
import os
from pathlib import Path
from typing import Protocol

from lightfit.files import list_below

from ..pixels.formats import START, has_image_suffix, is_image_content, is_image_file
from .archives import ZipFiles, is_archive, open_archive
from .listing import Files, Ignored

__all__ = ["Browsable", "Files", "FolderFiles", "ZipFiles", "is_archive", "is_image", "open_files"]


class Browsable(Files, Protocol):
    """Files that can be looked for, whether in a folder or in an archive."""

    def read_start(self, name: str, size: int) -> bytes: ...

    def has(self, name: str) -> bool: ...

    def left_out(self) -> list[Ignored]: ...


class FolderFiles:
    """The files below a folder, following links; a name may also be an absolute path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._left_out: list[Ignored] = []

    def names(self) -> list[str]:
        """Return the sorted names, relative to the root."""
        below = list_below(self.root)
        self._left_out = [Ignored(name, reason) for name, reason in below.left_out]
        return sorted([*below.files, *(f"{folder}/" for folder in below.folders)])

    def left_out(self) -> list[Ignored]:
        """Return the folders that `names` did not enter, such as a link to a folder around it."""
        return self._left_out

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with io.FileIO(os.path.join(self.root, name)) as file:  # takes half the time of pathlib, for small images
            return file.readall()

    def read_start(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file, none if it cannot be opened."""
        try:
            with io.FileIO(os.path.join(self.root, name)) as file:
                return file.read(size)
        except OSError:
            return b""

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""
        return os.path.isfile(os.path.join(self.root, name))


def open_files(path: Path, cache_dir: Path | None = None) -> Browsable:
    """Open a folder or an archive.

    Args:
        path: the folder or archive.
        cache_dir: where a compressed tar is uncompressed once; None: beside it.
    """
    return FolderFiles(path) if path.is_dir() else open_archive(path, cache_dir)


def is_image(name: str) -> bool:
    """Return whether a file has the suffix of an image and is not hidden."""
    return has_image_suffix(name) and not name.rpartition("/")[2].startswith(".")


def find_images(files: Browsable, names: list[str]) -> list[str]:
    """Return those of some names that are images: by their endings, or without an ending by their content."""
    return [
        name
        for name in names
        if not name.endswith("/") and is_image_file(name, lambda name=name: files.read_start(name, START))  # type: ignore[misc]
    ]


def is_image_path(path: Path) -> bool:
    """Return whether a file on disk holds an image."""
    with path.open("rb") as file:
        return is_image_content(file.read(START))
