"""Images in zip and tar archives, which are read without unpacking them."""

import bz2
import gzip
import hashlib
import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from filelock import FileLock

from lightfit.errors import DataError, clip
from lightfit.files import whole_file

from .listing import Ignored

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # the second of an empty archive
TAR_AT, TAR = 257, b"ustar"
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
OTHERS = {b"7z\xbc\xaf": "7z", b"Rar!": "RAR"}
MOST_EXPANSION = 100  # times its own size that a compressed archive may take; images hardly get smaller in it
MOST_MEMBER_BYTES = 2**30  # of one file in an archive
BLOCK_BYTES = 2**20
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError)


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or tar archive, compressed or not, by its content; a damaged one by its ending."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(ZIP_STARTS) or _is_tar(start) or start.startswith(tuple(OTHERS)):
        return True
    if open_ := _find_compression(start):
        try:
            with open_(path) as uncompressed:
                return _is_tar(uncompressed.read(512))
        except (OSError, *_DAMAGED):
            pass
    return path.name.lower().endswith(SUFFIXES)


def open_archive(path: Path, cache_dir: Path | None = None) -> "ZipFiles | TarFiles":
    """Open a zip or tar archive.

    Args:
        path: the archive.
        cache_dir: where a compressed tar is uncompressed once; None: beside it.

    Raises:
        DataError: the file is no such archive, or damaged, or would take more than `MOST_EXPANSION` times its size.
    """
    with path.open("rb") as file:
        start = file.read(512)
    for magic, kind in OTHERS.items():
        if start.startswith(magic):
            raise DataError(f"'{path}' is a {kind} archive, which is not read: unpack it, or pack it again as a zip")
    if _is_tar(start):
        return TarFiles(path, path)
    if open_ := _find_compression(start):
        return TarFiles(path, _uncompress(path, open_, path.parent if cache_dir is None else cache_dir))
    return ZipFiles(path)


def _is_tar(start: bytes) -> bool:
    return start[TAR_AT : TAR_AT + len(TAR)] == TAR


def _find_compression(start: bytes) -> Any:
    return next((open_ for magic, open_ in COMPRESSED.items() if start.startswith(magic)), None)


def _uncompress(path: Path, open_: Any, cache_dir: Path) -> Path:
    """Return a tar without its compression, from the cache if it was uncompressed before.

    Only the compression is taken off: no file of the archive is written under a name of its own.
    """
    stat = path.stat()
    key = f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"
    target = cache_dir / f"archive-{hashlib.sha256(key.encode()).hexdigest()[:16]}.tar"
    if target.exists():
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    most = stat.st_size * MOST_EXPANSION
    with FileLock(cache_dir / f".{target.name}.lock"):
        if target.exists():  # another process has written it meanwhile
            return target
        try:
            with whole_file(target) as unfinished, open_(path) as source, unfinished.open("wb") as copy:
                while block := source.read(BLOCK_BYTES):
                    copy.write(block)
                    if copy.tell() > most:
                        raise DataError(
                            f"'{path}' is refused: it would take more than {most:,} bytes on the disk, "
                            f"{MOST_EXPANSION} times its own size, as no archive of images does"
                        )
        except (*_DAMAGED, OSError, ValueError) as error:
            if isinstance(error, DataError) or getattr(error, "errno", None):  # such as a disk that is full
                raise
            raise DataError(
                f"'{path}' is damaged or cut off ({clip(str(error))}): copy or download it again"
            ) from error
    return target


def _check_names(names: Iterable[str], path: Path) -> None:
    """Check that no name leaves the folder of an archive.

    Raises:
        DataError: one does.
    """
    for name in names:
        plain = name.replace("\\", "/")
        # Most names have neither, which is faster to see than to take them apart.
        if (".." in plain and ".." in plain.split("/")) or plain.startswith("/") or ":" in plain[:3]:
            if ".." not in plain.split("/") and not (PurePosixPath(plain).root or PureWindowsPath(plain).drive):
                continue
            raise DataError(
                f"'{path}' is refused: '{clip(name)}' leaves its folder. An archive may only hold files below its own "
                "folder"
            )


class ZipFiles:
    """The files of a zip archive, read without unpacking it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: tuple[int, zipfile.ZipFile] | None = None

    def names(self) -> list[str]:
        """Return the sorted names.

        Raises:
            DataError: a name leaves the archive, or it is damaged.
        """
        names = self._open().namelist()
        _check_names(names, self.path)
        return sorted(dict.fromkeys(names))

    def left_out(self) -> list[Ignored]:
        """Return nothing, as all files of an archive are listed."""
        return []

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: the file is damaged within the archive, encrypted, or too large.
        """
        return self._read(name, None)

    def read_start(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file, none if it is damaged."""
        try:
            return self._read(name, size)
        except DataError:
            return b""

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""
        return not name.endswith("/") and name in self._open().NameToInfo

    def _read(self, name: str, size: int | None) -> bytes:
        try:
            archive = self._open()
            info = archive.getinfo(name)
            if info.file_size > MOST_MEMBER_BYTES:
                raise DataError(f"{info.file_size:,} bytes, more than the limit of {MOST_MEMBER_BYTES:,}")
            with archive.open(info) as file:
                return file.read() if size is None else file.read(size)
        except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
            raise DataError(f"damaged within the archive ({error})") from error
        except RuntimeError as error:  # how zipfile reports a password
            raise DataError(f"the archive is encrypted ({clip(str(error))}): unpack it first") from error

    def _open(self) -> zipfile.ZipFile:
        # Each process opens the archive itself, as forked workers would share the position in an open file.
        if self._archive is None or self._archive[0] != os.getpid():
            try:
                self._archive = os.getpid(), zipfile.ZipFile(self.path)
            except zipfile.BadZipFile as error:
                raise DataError(
                    f"'{self.path}' is not a zip archive ({error}): expected a folder, a zip or a tar of images"
                ) from error
        return self._archive[1]

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_archive": None}


class TarFiles:
    """The files of a tar archive, which are indexed once and then read where they are.

    Args:
        path: the archive, for messages.
        tar: the archive without compression.

    Raises:
        DataError: it is damaged, or a name leaves its folder.
    """

    def __init__(self, path: Path, tar: Path) -> None:
        self.path = path
        self.tar = tar
        self._file: tuple[int, BinaryIO] | None = None
        self._places: dict[str, tuple[int, int]] = {}
        self._folders: list[str] = []
        self._links: list[Ignored] = []
        self._lock = threading.Lock()
        self._index()

    def _index(self) -> None:
        try:
            with tarfile.open(self.tar, "r:") as archive:
                members: Sequence[tarfile.TarInfo] = archive.getmembers()
        except (*_DAMAGED, OSError) as error:
            raise DataError(f"'{self.path}' is damaged or cut off ({clip(str(error))}): copy it again") from error
        _check_names((info.name for info in members), self.path)
        size = self.tar.stat().st_size
        for info in members:
            name = info.name.removeprefix("./")
            if info.isdir():
                self._folders.append(f"{name}/")
            elif info.isreg() and not info.issparse():
                if info.offset_data + info.size > size:
                    raise DataError(f"'{self.path}' is cut off within '{clip(name)}': copy or download it again")
                self._places[name] = info.offset_data, info.size
            else:
                self._check_link(info)
                self._links.append(Ignored(name, "a link or device within the archive"))

    def _check_link(self, info: tarfile.TarInfo) -> None:
        target = info.linkname if info.islnk() else f"{os.path.dirname(info.name)}/{info.linkname}"
        outside = os.path.normpath(target.lstrip("/")).startswith("..") or info.linkname.startswith("/")
        if (info.issym() or info.islnk()) and outside:
            raise DataError(
                f"'{self.path}' is refused: the link '{clip(info.name)}' leaves its folder. An archive may only hold "
                "files below its own folder"
            )

    def names(self) -> list[str]:
        """Return the sorted names."""
        return sorted([*self._places, *(folder for folder in self._folders if folder not in ("./", "/"))])

    def left_out(self) -> list[Ignored]:
        """Return the links within the archive, which are not followed."""
        return self._links

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""
        return name in self._places

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: the archive has been cut off since it was opened, or the file is too large.
        """
        start, size = self._places[name]
        if size > MOST_MEMBER_BYTES:
            raise DataError(f"{size:,} bytes, more than the limit of {MOST_MEMBER_BYTES:,}")
        return self._read(start, size)

    def read_start(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file."""
        start, whole = self._places[name]
        return self._read(start, min(size, whole))

    def _read(self, start: int, size: int) -> bytes:
        # Each process opens the archive itself; a lock keeps the threads of one apart.
        with self._lock:
            if self._file is None or self._file[0] != os.getpid():
                self._file = os.getpid(), self.tar.open("rb")
            self._file[1].seek(start)
            data = self._file[1].read(size)
        if len(data) < size:
            raise DataError(f"the archive '{self.path}' is cut off: copy or download it again")
        return data

    def __del__(self) -> None:
        if self.__dict__.get("_file") is not None and self._file is not None:  # unless opening failed
            self._file[1].close()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"} | {"_file": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
