"""What a source of images holds, before any image is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


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
