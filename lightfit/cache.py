"""Arrays prepared once and kept on disk, from where they are mapped into memory as they are needed."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import DTypeLike, NDArray

from lightfit.files import list_below, whole_folder

Arrays = dict[str, NDArray[Any]]
BUFFER_BYTES = 2**20
NAMES = "names.json"  # of the arrays in a folder


class GrowingArray:
    """A one-dimensional array on disk that grows: for what need not fit in memory while it is written.

    Args:
        path: its file, .npy.
        dtype: of its elements.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.length = 0
        self._file = path.open("wb", buffering=BUFFER_BYTES)
        self._write_header()

    def append(self, values: NDArray[Any]) -> None:
        """Append elements, in the order of their memory if they have more than one dimension."""
        self._file.write(np.ascontiguousarray(values, self.dtype).data)
        self.length += values.size

    def clear(self) -> None:
        """Remove all elements."""
        self._file.seek(0)
        self._file.truncate()
        self.length = 0
        self._write_header()

    def close(self) -> None:
        """Write the final length and close the file."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        # numpy leaves room for a longer shape, so that the header's length stays the same.
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, header)


Grow = Callable[[str, DTypeLike], GrowingArray]


def cached(folder: Path, name: str, key: Any, build: Callable[[Grow], Arrays]) -> Arrays:
    """Return the arrays that `build` makes, from disk where they were made for the same key before, as `cached_in`."""
    return cached_in(folder, name, key, build)[1]


def cached_in(folder: Path, name: str, key: Any, build: Callable[[Grow], Arrays]) -> tuple[Path, Arrays]:
    """Return the arrays that `build` makes, from disk where they were made for the same key before, and their folder.

    One process makes them while others that want the same wait for it. They are memory-mapped: what is not used takes
    no memory, and the system can reclaim the rest.

    Args:
        folder: where they are, a folder of .npy files for each key; any may be deleted at any time.
        name: beginning of the folder's name.
        key: plain data that the arrays depend on; another key is another folder.
        build: returns the arrays, by name; for large ones `grow(name, dtype)` returns an array on disk to append to.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{name}-{digest}"
    if (kept := _open(path)) is not None:
        return path, kept
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{path.name}.lock"):  # released by the system if the process is killed
        if (kept := _open(path)) is not None:  # another process has written them meanwhile
            return path, kept
        with whole_folder(path) as unfinished:  # replaces a damaged one, if that is there
            _write(unfinished, build)
    if (made := _open(path)) is None:
        raise OSError(f"what was just written to '{path}' cannot be read; is the disk sound?")
    return path, made


def _write(folder: Path, build: Callable[[Grow], Arrays]) -> None:
    growing: list[GrowingArray] = []

    def grow(name: str, dtype: DTypeLike) -> GrowingArray:
        growing.append(GrowingArray(folder / f"{name}.npy", dtype))
        return growing[-1]

    try:
        arrays = build(grow)
    finally:
        for array in growing:
            array.close()
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    names = sorted(file.stem for file in folder.glob("*.npy"))
    (folder / NAMES).write_text(json.dumps(names), encoding="utf-8")


def _open(path: Path) -> Arrays | None:
    """Map all arrays of a folder; None where one is missing or damaged."""
    try:
        names = json.loads((path / NAMES).read_text(encoding="utf-8"))
        return {name: map_array(path / f"{name}.npy") for name in names}
    except (OSError, ValueError, EOFError):
        return None


def map_array(path: Path) -> NDArray[Any]:
    """Map an array of a .npy file into memory."""
    try:
        return np.load(path, mmap_mode="c")  # what a user writes into it stays in memory
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        return np.load(path, mmap_mode="r")  # larger than the memory, all of which a user might write into


def to_json(items: Sequence[Any]) -> NDArray[np.uint8]:
    """Encode plain data as an array, JSON in UTF-8; arrays are all that is cached."""
    return np.frombuffer(json.dumps(items).encode(), np.uint8)


def from_json(array: NDArray[np.uint8]) -> list[Any]:
    """Return the data of an array that `to_json` made."""
    return json.loads(array.tobytes())


def to_arrays(strings: pa.StringArray) -> Arrays:
    """Split a column of strings into two arrays: `ends` (N + 1,) int32, `bytes` uint8."""
    _, offsets, values = strings.buffers()
    ends = np.frombuffer(offsets, np.int32)[: len(strings) + 1]
    return {"ends": ends, "bytes": np.frombuffer(values or b"", np.uint8)[: ends[-1]]}


def from_arrays(ends: NDArray[np.int32], values: NDArray[np.uint8]) -> pa.StringArray:
    """Return the column that `to_arrays` was given; nothing is copied."""
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(values))


def fingerprint(path: Path) -> list[tuple[str, int, int]]:
    """Return (name, size in bytes, time of change in ns) of a file, or of every file below a folder."""
    if not path.is_dir():
        return [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns)]
    found = []
    for name in list_below(path).files:
        file = f"{path}/{name}"
        with contextlib.suppress(OSError):  # a link to nothing, or to itself
            found.append((file, (stat := os.stat(file)).st_size, stat.st_mtime_ns))
    return found
