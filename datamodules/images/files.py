"""Image files in torchvision's ImageFolder layout, in a folder or a zip archive."""

import io
import os
import zipfile
from pathlib import Path
from typing import NamedTuple, Protocol

from torchvision.datasets.folder import IMG_EXTENSIONS

from lightfit.errors import DataError

from ..splits import SPLITS

LAYOUT = "expected <split>/<class>/*.jpg with the splits train and perhaps val and test, or <class>/*.jpg"


class Files(Protocol):
    """Files by name, with `/` between folders; the name of a folder ends in one."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...


class FolderFiles:
    """The files below a folder; links are followed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Sorted names, relative to the root."""
        found = []
        for place, folders, files in os.walk(self.root, followlinks=True):
            here = Path(place).relative_to(self.root).as_posix()
            start = "" if here == "." else f"{here}/"
            found += [f"{start}{folder}/" for folder in folders] + [f"{start}{file}" for file in files]
        return sorted(found)

    def read(self, name: str) -> bytes:
        """The contents of a file."""
        with io.FileIO(f"{self.root}/{name}") as file:  # half of pathlib's time, which small images feel
            return file.readall()


class ZipFiles:
    """The files of a zip archive, read without unpacking it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: tuple[int, zipfile.ZipFile] | None = None

    def names(self) -> list[str]:
        """Sorted names."""
        return sorted(self._open().namelist())

    def read(self, name: str) -> bytes:
        """The contents of a file.

        Raises:
            DataError: it is damaged within the archive.
        """
        try:
            return self._open().read(name)
        except (zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"damaged within the archive ({error})") from error

    def _open(self) -> zipfile.ZipFile:
        # Each process opens its own: a file that is shared by forked workers has one position for all of them.
        if self._archive is None or self._archive[0] != os.getpid():
            try:
                self._archive = os.getpid(), zipfile.ZipFile(self.path)
            except zipfile.BadZipFile as error:
                raise DataError(
                    f"'{self.path}' is no zip archive ({error}): expected a zip or a folder of images"
                ) from error
        return self._archive[1]

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_archive": None}


class Listing(NamedTuple):
    """Images in the order of their names: the name, the part and the class of each; and what is none of them."""

    names: list[str]
    parts: list[str]
    labels: list[str]
    ignored: list[str]


def open_files(path: Path) -> Files:
    """The files of a folder or of a zip archive."""
    return FolderFiles(path) if path.is_dir() else ZipFiles(path)


def is_image(name: str) -> bool:
    """Whether a file's name ends as those of images do; hidden files are none."""
    return name.lower().endswith(IMG_EXTENSIONS) and not name.rpartition("/")[2].startswith(".")


def list_images(files: Files, place: str) -> Listing:
    """The images of `<split>/<class>/**`, or of `<class>/**`, which is all train; a folder around it all is left out.

    Args:
        files: a folder's or an archive's.
        place: its name, for messages.

    Raises:
        DataError: there are no images in this layout, or a class has none.
    """
    names = [name for name in files.names() if not _hidden(name)]
    prefix = _prefix(names)
    listing = Listing([], [], [], [])
    split = any(name.startswith(f"{prefix}train/") for name in names)
    empty = set()
    for name in names:
        folders = _parts(name.removeprefix(prefix))
        part, *below = folders if split else ("train", *folders)
        if name.endswith("/"):
            if len(below) == 1 and part in SPLITS:
                empty.add((part, below[0]))
        elif part in SPLITS and len(below) > 1 and is_image(name):
            listing.names.append(name)
            listing.parts.append(part)
            listing.labels.append(below[0])
        else:
            listing.ignored.append(name)
    top = sorted({name.partition("/")[0] for name in names})
    if "train" not in listing.parts or (not split and set(top) & set(SPLITS)):
        raise DataError(f"'{place}' has no images to train on: {LAYOUT}; it holds: {', '.join(top[:8]) or 'nothing'}")
    if empty := empty - set(zip(listing.parts, listing.labels, strict=True)):
        part, label = min(empty)
        raise DataError(
            f"the class '{label}' has no image in {part} of '{place}': fill its folder or delete it; images end in "
            f"{', '.join(IMG_EXTENSIONS)}"
        )
    return listing


def _hidden(name: str) -> bool:
    parts = _parts(name)
    return not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]  # PurePosixPath takes ten times as long


def _prefix(names: list[str]) -> str:
    """The folder that all of it lies in, as archives often have one around their splits."""
    top = {name.partition("/")[0] for name in names}
    only = f"{top.pop()}/" if len(top) == 1 else ""
    return only if only and any(name.startswith(f"{only}train/") for name in names) else ""
