"""Image files in torchvision's ImageFolder layout, in a folder or a zip archive."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS

from lightfit.errors import DataError

from ..split_names import find_split, find_splits
from ..splits import SPLITS
from .listing import Files, Ignored, Listing

LAYOUT = "expected <split>/<class>/*.jpg with the splits train and perhaps val and test, or <class>/*.jpg"


class FolderFiles:
    """The files below a folder, following links."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the sorted names, relative to the root."""
        found = []
        for place, folders, files in os.walk(self.root, followlinks=True):
            here = Path(place).relative_to(self.root).as_posix()
            start = "" if here == "." else f"{here}/"
            found += [f"{start}{folder}/" for folder in folders] + [f"{start}{file}" for file in files]
        return sorted(found)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with io.FileIO(f"{self.root}/{name}") as file:  # takes half the time of pathlib, which matters for small images
            return file.readall()


class ZipFiles:
    """The files of a zip archive, read without unpacking it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: tuple[int, zipfile.ZipFile] | None = None

    def names(self) -> list[str]:
        """Return the sorted names."""
        return sorted(self._open().namelist())

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: the file is damaged within the archive.
        """
        try:
            return self._open().read(name)
        except (zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"damaged within the archive ({error})") from error

    def _open(self) -> zipfile.ZipFile:
        # Each process opens the archive itself, as forked workers would share the position in an open file.
        if self._archive is None or self._archive[0] != os.getpid():
            try:
                self._archive = os.getpid(), zipfile.ZipFile(self.path)
            except zipfile.BadZipFile as error:
                raise DataError(
                    f"'{self.path}' is not a zip archive ({error}): expected a zip or a folder of images"
                ) from error
        return self._archive[1]

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_archive": None}


def open_files(path: Path) -> Files:
    """Open a folder or a zip archive."""
    return FolderFiles(path) if path.is_dir() else ZipFiles(path)


def is_image(name: str) -> bool:
    """Return whether a file has the suffix of an image and is not hidden."""
    return name.lower().endswith(IMG_EXTENSIONS) and not name.rpartition("/")[2].startswith(".")


def list_images(files: Files, place: str) -> Listing:
    """List the images of `<split>/<class>/**`, or of `<class>/**`, which are all train; skip a common top folder.

    Args:
        files: files of a folder or archive.
        place: name of the folder or archive, for messages.

    Raises:
        DataError: there are no images in this layout, or a class has no image.
    """
    names = [name for name in files.names() if not _is_hidden(name)]
    prefix = _find_prefix(names)
    found, splits, labels, ignored = list[str](), list[str](), list[str](), list[Ignored]()
    has_splits = any(_is_train(name.removeprefix(prefix)) for name in names)
    folders_by_split = find_splits(dict.fromkeys(name.removeprefix(prefix).partition("/")[0] for name in names))
    for common, own in folders_by_split.items():
        if has_splits and len(own) > 1:
            raise DataError(
                f"the folders {', '.join(own)} of '{place}' are all {common}; expected one: delete the others"
            )
    empty = set()
    for name in names:
        folders = _split_path(name.removeprefix(prefix))
        top, *below = folders if has_splits else ("train", *folders)
        split = find_split(top)
        if name.endswith("/"):
            if len(below) == 1 and split:
                empty.add((split, below[0]))
        elif split and len(below) > 1 and is_image(name):
            found.append(name)
            splits.append(split)
            labels.append(below[0])
        else:
            ignored.append(Ignored(name, "no image" if not is_image(name) else "outside of the splits and classes"))
    tops = sorted({name.partition("/")[0] for name in names})
    if "train" not in splits or (not has_splits and any(map(find_split, tops))):
        raise DataError(f"'{place}' has no images to train on: {LAYOUT}; it holds: {', '.join(tops[:8]) or 'nothing'}")
    if empty := empty - set(zip(splits, labels, strict=True)):
        emptied, label = min(empty)
        raise DataError(
            f"the class '{label}' has no image in {emptied} of '{place}': add images ({', '.join(IMG_EXTENSIONS)}) to "
            "its folder, or delete it"
        )
    return Listing(
        files=files,
        names=found,
        places=found,
        labels=labels,
        splits=np.array([SPLITS.index(split) for split in splits], np.int64),
        ignored=ignored,
    )


def _is_hidden(name: str) -> bool:
    items = _split_path(name)
    return not items or any(item.startswith(".") or item == "__MACOSX" for item in items)


def _split_path(name: str) -> list[str]:
    return [item for item in name.split("/") if item not in ("", ".")]  # PurePosixPath takes ten times as long


def _is_train(name: str) -> bool:
    top, slash, _ = name.partition("/")
    return bool(slash) and find_split(top) == "train"


def _find_prefix(names: list[str]) -> str:
    """Return the common top folder, as archives often have one around their splits; else an empty string."""
    top = {name.partition("/")[0] for name in names}
    only = f"{top.pop()}/" if len(top) == 1 else ""
    return only if only and any(_is_train(name.removeprefix(only)) for name in names) else ""
