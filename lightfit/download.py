"""Downloads: the one place that touches the network."""

import hashlib
import socket
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from lightfit.errors import DataError, DownloadError
from lightfit.files import whole_file, whole_folder

TIMEOUT_S = 30
BLOCK_BYTES = 2**16
MOST_EXPANSION = 100  # of an archive; texts take 4 to 10 times less in it


def download(url: str, path: Path, *, sha256: str | None = None, size_bytes: int | None = None) -> Path:
    """Return the file at `path`, downloaded from `url` if it is missing, under another name until it is complete.

    One process downloads it while others that want it too wait.

    Args:
        url: its address.
        path: where to put it.
        sha256: checksum of the file; None: it is not checked.
        size_bytes: size of the file; None: as the server states it.

    Raises:
        ConnectionError: the server cannot be reached or responds with an error; the message names where to put the file
            by hand.
        DataError: what was received, or was there already, has another size or another checksum.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists():
            if sha256 is not None:
                check_sha256(path, sha256)
            return path
        try:
            with whole_file(path) as unfinished:
                _fetch(url, unfinished, size_bytes)
                if sha256 is not None:
                    check_sha256(unfinished, sha256)
        except (urllib.error.URLError, OSError) as error:
            raise DownloadError(
                f"could not download {url} ({getattr(error, 'reason', error)}). Without a network, put the file at "
                f"'{path.absolute()}' by hand{f' (sha256 {sha256})' if sha256 else ''} and run the command again"
            ) from error
    return path


def check_reachable(url: str) -> None:
    """Check that a server can be reached, where no proxy stands before it.

    Raises:
        OSError: it cannot.
    """
    if not urllib.request.getproxies():
        server = urllib.parse.urlsplit(url)
        port = server.port or (80 if server.scheme == "http" else 443)
        socket.create_connection((server.hostname or "", port), timeout=TIMEOUT_S).close()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Check the checksum of a file.

    Raises:
        DataError: it has another.
    """
    received = sha256_of(path)
    if received != expected:
        raise DataError(
            f"'{path}' has another checksum: expected sha256 {expected}, received {received} "
            f"({path.stat().st_size} bytes). The file is damaged or another one: delete it, or install it again"
        )


def extract(archive: Path, folder: Path, *, member: str) -> Path:
    """Extract the folder `member` of a tar archive to `folder / member`, under another name until it is complete.

    Raises:
        DataError: the archive is damaged, has no such folder, holds a path that leaves the folder or a link, or would
            take more than `MOST_EXPANSION` times its size on the disk.
    """
    target = folder / member
    with FileLock(folder / f".{member}.lock"):
        if target.exists():
            return target
        try:
            with whole_folder(target, content=member) as unfinished, tarfile.open(archive) as file:
                file.extractall(unfinished, filter=_only_files(archive))
        except tarfile.FilterError as error:
            raise DataError(
                f"'{archive}' is refused: {error}. An archive may only hold files below its own folder"
            ) from error
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DataError(f"'{archive}' cannot be extracted: {error}. Delete it and run the command again") from error
    return target


def _only_files(archive: Path) -> Callable[[tarfile.TarInfo, str], tarfile.TarInfo]:
    """Return a stricter filter than Python's for data, which accepts links within and makes absolute paths relative."""
    room = most = archive.stat().st_size * MOST_EXPANSION

    def checked(info: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
        nonlocal room
        room -= info.size
        if room < 0:
            raise DataError(
                f"'{archive}' is refused: it would take more than {most} bytes on the disk, {MOST_EXPANSION} times its "
                "own size, as no archive of data does"
            )
        if Path(info.name).is_absolute():
            raise tarfile.AbsolutePathError(info)
        if not (info.isfile() or info.isdir()):
            raise tarfile.SpecialFileError(info)
        return tarfile.data_filter(info, folder)

    return checked


def _fetch(url: str, path: Path, size_bytes: int | None) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, path.open("wb") as file:
        if size_bytes is None and (stated := response.headers.get("Content-Length")) is not None:
            size_bytes = int(stated)
        with tqdm(total=size_bytes, unit="B", unit_scale=True, desc=path.stem) as bar:
            while block := response.read(BLOCK_BYTES):
                file.write(block)
                bar.update(len(block))
                if size_bytes is not None and file.tell() > size_bytes:
                    raise DataError(
                        f"{url} sends more than the {size_bytes} bytes that are expected: it is another file"
                    )
    if size_bytes is not None and (received := path.stat().st_size) < size_bytes:
        raise ConnectionError(f"the connection ended after {received} of {size_bytes} bytes")
