"""Where the images are that a table names: by their paths, or by ids without folder and ending."""

import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightfit.errors import DataError, NotFoundError, clip

from ...split_names import find_split
from ..pixels.formats import has_image_suffix
from .files import Browsable, FolderFiles, is_image

SHOWN = 3


class Missing(NamedTuple):
    """An image that a table names and that is not there, or not clearly one file.

    Args:
        place: the row.
        value: what it names.
        reason: why there is no image for it; empty: no such file.
    """

    place: str
    value: str
    reason: str = ""


class ImagePaths:
    """Find images by what tables write for them.

    A path is looked for in the folder of the table, or in `image_dir`. What is not there is looked for below it: an id
    without folder or ending, such as `a1b2` for `train_images/a1b2.jpg`.

    Args:
        files: the files.
        bases: folders that paths start from, in order; the root is an empty string.
        drop: whether a path may lose its first folders, as where `image_dir` says where images are now.
        inside: whether the files are in an archive, which paths may not leave.
        place: name of what is searched, for messages.
        images: names of the images, if they have been listed already; None: they are listed when they are needed.
    """

    def __init__(
        self,
        files: Browsable,
        bases: Sequence[str] = ("",),
        *,
        drop: bool = False,
        inside: bool = False,
        place: str = "",
        images: Sequence[str] | None = None,
    ) -> None:
        self.files = files
        self.bases = bases
        self.drop = drop
        self.inside = inside
        self.place = place
        self._images = images
        self._index: dict[str, list[str]] | None = None
        self.guessed: Counter[str] = Counter()  # folders in which images were found that no path names
        self.dropped: Counter[str] = Counter()  # first folders of paths that are not there

    def find(self, value: Any, split: str | None = None) -> str | None:
        """Return the name of an image among the files; None if it is not there.

        Args:
            value: cell of a table.
            split: the split of the table, which decides between files of one name in folders of several splits.

        Raises:
            DataError: several files have this name; or the path leaves the archive.
        """
        text = clean_path(value)
        if not text:
            return None
        for written in dict.fromkeys((text, text.replace("\\", "/"))):
            if (found := self._find_exactly(written)) or (found := self._find_below(written, split)):
                return found
        parts = text.replace("\\", "/").split("/")
        for start in range(1, len(parts)) if self.drop else ():
            rest = "/".join(parts[start:])
            if found := self._find_exactly(rest):
                self.dropped["/".join(parts[:start]) or "/"] += 1
                return found
        return None

    def _find_exactly(self, text: str) -> str | None:
        if not self.inside and os.path.isabs(text):
            return text if self.files.has(text) else None
        for base in self.bases:
            name = posixpath.normpath(posixpath.join(base, text))
            if self.inside and (name.startswith("..") or name.startswith("/")):
                raise DataError(
                    f"'{clip(text)}' leaves the archive '{self.place}', whose tables may only name its files"
                )
            if self.files.has(name):
                return name
        return None

    def _find_below(self, text: str, split: str | None) -> str | None:
        name = posixpath.normpath(text).lstrip("/")
        if name.startswith("..") or os.path.isabs(text):
            return None
        own = name.rpartition("/")[2]
        found = [item for item in self.index().get(own.casefold(), ()) if _ends_in(item, name)]
        if not found and not has_image_suffix(own):
            found = [item for item in self.index().get(f"{own.casefold()}.", ()) if _ends_in(item, name)]
        exact = found if len(found) < 2 else [item for item in found if item.rpartition("/")[2].startswith(own)]
        found = exact or found
        if len(found) > 1 and split:
            found = [item for item in found if any(find_split(part) == split for part in item.split("/")[:-1])] or found
        if len(found) > 1:
            raise DataError(
                f"'{clip(text)}' may be {clip(found[0])} or {clip(found[1])}: name the folder in the table, or set "
                "`image_dir` to it"
            )
        if not found:
            return None
        self.guessed[_without_tail(found[0], name)] += 1
        return found[0]

    def index(self) -> dict[str, list[str]]:
        """Return the images by name in lower case, and by name without its ending but with the dot."""
        if self._index is None:
            images = self._images
            if images is None:
                images = [name for name in self.files.names() if is_image(name)]
            under = tuple(f"{base}/" for base in self.bases if base)
            index: defaultdict[str, list[str]] = defaultdict(list)
            for name in images:
                if under and "" not in self.bases and not name.startswith(under):
                    continue
                own = name.rpartition("/")[2].casefold()
                index[own].append(name)
                index[f"{own.rpartition('.')[0]}."].append(name)
            self._index = dict(index)
        return self._index

    def describe(self) -> list[str]:
        """Return where images were found that are not where their paths say, a line for each matter."""
        found = []
        if self.guessed:
            folders = ", ".join(f"'{folder or '.'}' ({count:,})" for folder, count in self.guessed.most_common(4))
            found.append(f"images found by name in the folders {folders}")
        if self.dropped:
            first, count = self.dropped.most_common(1)[0]
            found.append(f"{count:,} paths are read below `image_dir` without their first folders, '{clip(first)}'")
        return found


def clean_path(value: Any) -> str:
    """Return the path that a cell holds, with `/` as the only separator where that is clear; empty: none."""
    if value is None or value != value or isinstance(value, (list, dict, bool)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip().removeprefix("file://")
    while text.startswith(("./", ".\\")):
        text = text[2:]
    return text


def _ends_in(name: str, path: str) -> bool:
    """Return whether the folders of a name end in those of a path."""
    folder = path.rpartition("/")[0]
    return not folder or f"/{_folder(name)}".casefold().endswith(f"/{folder}".casefold())


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def open_image_dir(image_dir: str, folder: Path) -> FolderFiles:
    """Return the files of the folder that `image_dir` names.

    Args:
        image_dir: its path, from the current folder or else from that of the table.
        folder: the folder of the table.

    Raises:
        LookupError: there is no such folder.
    """
    for path in (Path(image_dir), folder / image_dir):
        if path.is_dir():
            return FolderFiles(path)
    raise NotFoundError(f"no folder at `image_dir` '{image_dir}' (looked from '{Path.cwd()}' and from '{folder}')")


def describe_missing(
    missing: Sequence[Missing], number: int, table: str, paths: ImagePaths, folders: Iterable[FolderFiles | None]
) -> str:
    """Return how many images of a table are not there, the first three, and which `image_dir` would mend it.

    Args:
        missing: the images that are not there.
        number: number of images that the table names.
        table: its name.
        paths: where they were looked for.
        folders: where else to look for files of these names.
    """
    first = ", ".join(clip(item.value) for item in missing[:SHOWN])
    unclear = [item.reason for item in missing if item.reason]
    many = f"{len(missing):,} of {number:,} images that '{table}' names are not there"
    looked = f" (looked in '{paths.place}')" if paths.place else ""
    if len(unclear) == len(missing):
        return f"{len(missing):,} of {number:,} images that '{table}' names cannot be read: {unclear[0]}"
    mend = _find_mend(missing, paths, folders)
    advice = mend or "; set `image_dir` to the folder of the images"
    return f"{many}, such as {first}{looked}{advice}, or set `on_error` to skip"


def _find_mend(missing: Sequence[Missing], paths: ImagePaths, folders: Iterable[FolderFiles | None]) -> str:
    """Return which folder most of the missing images are in."""
    found: Counter[str] = Counter()
    others = [] if paths.inside else [ImagePaths(files) for files in folders if files is not None]
    for searched in [paths, *others]:
        root = getattr(searched.files, "root", None)
        for item in missing:
            path = clean_path(item.value).replace("\\", "/")
            own = path.rpartition("/")[2].casefold()
            there = searched.index().get(own) or searched.index().get(f"{own}.", [])
            folder = {_without_tail(name, path) for name in there}
            if len(folder) == 1:
                inside = folder.pop()
                found[inside if root is None else os.path.normpath(os.path.join(root, inside))] += 1
        if found:
            break
    if not found:
        return ""
    folder_name, count = found.most_common(1)[0]
    return f"; `image_dir` '{folder_name}' would mend {count:,} of them"


def _without_tail(name: str, path: str) -> str:
    """Return the folder of a file from which the longest end of a path leads to it."""
    have, want = _folder(name).split("/"), _folder(path).split("/")
    while have and want and have[-1] and have[-1] == want[-1]:
        have.pop()
        want.pop()
    return "/".join(have) or "."
