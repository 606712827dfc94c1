"""What a file holds, whether compressed or not, on disk or uploaded."""

import gzip
import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lightfit.errors import DataError, UsageError, clip, clip_list
from lightfit.extras import importing_extra

GZIP, ZIP, ZSTD = b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"
COMPRESSIONS = (".gz", ".zip", ".zst")
DOCUMENTS = {
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a presentation",
}  # by a file in the archive
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True)
class Content:
    """A file that can be opened many times.

    Args:
        name: name of the file, for messages and for its ending.
        open: returns a new stream of its bytes.
        path: where it is on disk, as it is; None: in memory or compressed.
        compression: how it was compressed: gzip, zip, zstd or empty.
    """

    name: str
    open: Callable[[], BinaryIO]
    path: Path | None = None
    compression: str = ""

    @property
    def suffix(self) -> str:
        """Return the ending in lower case, without that of a compression."""
        suffixes = Path(self.name).suffixes
        while suffixes and suffixes[-1].lower() in COMPRESSIONS:
            suffixes.pop()
        return suffixes[-1].lower() if suffixes else ""

    def read_start(self, size: int) -> bytes:
        """Return the first bytes.

        Raises:
            DataError: the file is damaged.
        """
        with report_damage(self.name), self.open() as file:
            return file.read(size)


class _Closing(io.BufferedReader):
    """A stream that closes what it reads from.

    Args:
        stream: the stream.
        below: what to close with it.
    """

    def __init__(self, stream: Any, *below: Any) -> None:
        super().__init__(stream)
        self._below = below

    def close(self) -> None:
        """Close the stream and all below it."""
        super().close()
        for item in self._below:
            item.close()


def open_path(path: Path) -> Content:
    """Return the content of a file, uncompressed.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: an archive is damaged, or does not hold exactly one table.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}' (looked from '{Path.cwd()}')")
    return uncompress(Content(str(path), lambda: path.open("rb"), path))


def open_bytes(name: str, content: bytes) -> Content:
    """Return the content of an uploaded file, uncompressed; errors as in `open_path`."""
    return uncompress(Content(name, lambda: io.BytesIO(content)))


def uncompress(content: Content) -> Content:
    """Return the content without its compression, found from its first bytes; a workbook stays the archive it is.

    Raises:
        UsageError: it is a document.
        DataError: an archive is damaged, or does not hold exactly one table.
    """
    start = content.read_start(4)
    if start.startswith(GZIP):

        def open_gzip() -> BinaryIO:
            file = content.open()
            return _Closing(gzip.GzipFile(fileobj=file), file)

        return Content(content.name, open_gzip, None, "gzip")
    if start == ZSTD:

        def open_zstd() -> BinaryIO:
            with importing_extra(content.name):
                import zstandard  # imported here, as few files need it

            file = content.open()
            return _Closing(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True), file)

        return Content(content.name, open_zstd, None, "zstd")
    if start == ZIP and not is_workbook(content):
        members = list_members(content)
        for member in members:
            if kind := DOCUMENTS.get(member.name.removeprefix(f"{content.name}/")):
                raise UsageError(
                    f"'{content.name}' is {kind}, which is not read: save its table as .csv, or its text as .txt"
                )
        if len(members) != 1:
            names = [member.name.removeprefix(f"{content.name}/") for member in members]
            raise DataError(
                f"'{content.name}' holds {len(members)} files ({clip_list(names)}); expected one table, or tables that "
                "are named train, val and test: unpack it, and set `source` to one of them"
            )
        return members[0]
    return content


def is_workbook(content: Content) -> bool:
    """Return whether a zip archive is a workbook of a spreadsheet."""
    with report_damage(content.name), content.open() as file, zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
    return bool(names & {"xl/workbook.xml", "xl/workbook.bin", "content.xml"})


def list_members(content: Content) -> list[Content]:
    """Return the files in a zip archive, sorted by name, without hidden ones.

    Raises:
        DataError: the archive is damaged.
    """

    def open_member(name: str) -> BinaryIO:
        file = content.open()
        try:
            archive = zipfile.ZipFile(file)
            return _Closing(archive.open(name), archive, file)
        except RuntimeError as error:  # how zipfile reports a password
            file.close()
            raise DataError(f"'{content.name}' is encrypted ({clip(str(error))}): unpack it first") from error

    with report_damage(content.name), content.open() as file, zipfile.ZipFile(file) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    return [
        Content(f"{content.name}/{name}", lambda name=name: open_member(name), None, "zip")  # type: ignore[misc]
        for name in sorted(names)
        if not is_hidden(name)
    ]


def is_hidden(name: str) -> bool:
    """Return whether a file is one of the system's own, by its name within a folder or archive."""
    return any(item.startswith((".", "__MACOSX")) for item in name.split("/"))


@contextmanager
def report_damage(name: str) -> Iterator[None]:
    """Turn the errors of damaged compressed files into a `DataError` that names the file."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, _DAMAGED) and type(error).__name__ != "ZstdError":  # without importing zstandard
            raise
        raise DataError(
            f"'{name}' is damaged or cut off ({clip(str(error)) or type(error).__name__}): copy or download it again"
        ) from error


@contextmanager
def on_disk(content: Content) -> Iterator[Path]:
    """Yield a path of the content, for libraries that need to seek: its own, or a temporary copy.

    Raises:
        DataError: the file is damaged.
    """
    if content.path is not None:
        yield content.path
        return
    with tempfile.NamedTemporaryFile(suffix=content.suffix) as copy:
        with report_damage(content.name), content.open() as file:
            shutil.copyfileobj(file, copy, 2**20)
        copy.flush()
        yield Path(copy.name)
