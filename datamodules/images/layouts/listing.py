"""What a source of images holds, before any image is decoded."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lightfit.cache import fingerprint
from lightfit.errors import clip

HIDDEN = "hidden"
FEW = 10  # ignored files that are not worth a warning
REASONS_SHOWN = 6


class Files(Protocol):
    """Files by name, with `/` as separator; names of folders end in `/`."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...


class Ignored(NamedTuple):
    """A file that is left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The images of a source, one item for each, and what else was found there.

    Args:
        files: reads the content of an image by its name.
        names: name of each image in `files`.
        places: place of each image for messages, such as its name or the line of a table.
        labels: raw label of each image: a cell, such as a str, a number, None, a list, or a dict by column.
        splits: index of the split of each image in `SPLITS`, (N,).
        owners: what must not be divided between train and val, such as the patient, by image; None: nothing.
        cells: whether the labels are cells of a table, which are interpreted; else they are names as they are.
        ignored: files that are left out, with the reason.
        skipped: rows of a table that are left out because of `on_error`, with the reason.
        found: what was found out about the source, a line for each matter.
        warnings: what may not be meant, a line for each matter.
    """

    files: Files
    names: Sequence[str]
    places: Sequence[str]
    labels: Sequence[Any]
    splits: NDArray[np.int64]
    owners: Sequence[str] | None = None
    cells: bool = False
    ignored: Sequence[Ignored] = ()
    skipped: Sequence[str] = ()
    found: Sequence[str] = ()
    warnings: Sequence[str] = ()


def describe_ignored(ignored: Iterable[Ignored]) -> str:
    """Return the number of files that are left out by ending and reason, in one line; empty if there are none."""
    by_kind: dict[tuple[str, str], list[str]] = {}
    for name, reason in ignored:
        ending = PurePosixPath(name).suffix.lower() or ("folder" if name.endswith("/") else "without an ending")
        by_kind.setdefault((ending, reason), []).append(name)
    kinds = sorted(by_kind.items(), key=lambda item: -len(item[1]))
    shown = [f"{len(own):,} {ending} ({reason}), such as {clip(own[0])}" for (ending, reason), own in kinds]
    more = [f"and {len(kinds) - REASONS_SHOWN} more kinds"] if len(kinds) > REASONS_SHOWN else []
    number = sum(map(len, by_kind.values()))
    many = "1 file is ignored" if number == 1 else f"{number:,} files are ignored"
    return f"{many}: {'; '.join(shown[:REASONS_SHOWN] + more)}" if number else ""


def is_worth_a_warning(ignored: Iterable[Ignored]) -> bool:
    """Return whether files that are left out are more than a few, but for hidden ones and those around a table."""
    counts = Counter(item.reason for item in ignored if item.reason != HIDDEN)
    return counts.total() > FEW


def fingerprint_listing(listing: Listing, path: Path) -> list[tuple[str, int, int]]:
    """Return (name, size in bytes, time of change in ns) of all files that the images of a listing depend on.

    Args:
        listing: the images.
        path: the folder, archive or table that was listed; images that a table names may lie outside of it.
    """
    found = fingerprint(path)
    known = {name for name, _, _ in found}
    for file in list_paths(listing, path):
        if str(file) not in known:
            with suppress(OSError):  # said when the image is read
                stat = file.stat()
                found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return sorted(found)


def list_paths(listing: Listing, path: Path) -> list[Path]:
    """Return the files of the images that lie outside of the folder, archive or table that was listed."""
    root = getattr(listing.files, "root", None)  # of a folder's files; those of an archive are in it
    if root is None:
        return []
    if path.is_dir() and os.path.abspath(root) == os.path.abspath(path):
        # Most names are below it, which is faster to see than to join them.
        names = [name for name in listing.names if name.startswith(("/", "..")) or os.path.isabs(name)]
    else:
        names = list(listing.names)
    return [Path(root, name) for name in names]
