"""Downloads: the one place that touches the network."""

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from datamodules.errors import DataError

TIMEOUT_S = 30
BLOCK_BYTES = 2**16


def download(url: str, path: Path, *, sha256: str) -> Path:
    """The file at `path`, fetched from `url` where it is not there yet; written under another name until it is whole.

    Raises:
        ConnectionError: the server cannot be reached or answers with an error; says where to put the file by hand.
        DataError: what came, or what lay there, has another checksum.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        try:
            _fetch(url, part)
        except (urllib.error.URLError, OSError) as error:
            part.unlink(missing_ok=True)
            raise ConnectionError(
                f"could not download {url} ({getattr(error, 'reason', error)}). Without a network, put the file at "
                f"'{path.absolute()}' by hand (sha256 {sha256}) and run the command again"
            ) from error
        try:
            check_sha256(part, sha256)
        except ValueError:
            part.unlink()
            raise
        os.replace(part, path)
    else:
        check_sha256(path, sha256)
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Nothing, where the file has this checksum.

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
    """The folder `member` of a tar archive, put at `folder / member`; under another name until it is whole.

    Raises:
        DataError: the archive is damaged, has no such folder, or holds a path that leaves the folder.
    """
    target = folder / member
    if target.exists():
        return target
    part = Path(tempfile.mkdtemp(dir=folder, prefix=f"{member}.", suffix=".part"))
    try:
        with tarfile.open(archive) as file:
            file.extractall(part, filter=_inside)
        os.replace(part / member, target)
    except tarfile.FilterError as error:
        raise DataError(
            f"'{archive}' is refused: {error}. An archive may only hold files below its own folder"
        ) from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"'{archive}' cannot be extracted: {error}. Delete it and run the command again") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Python's filter for data, which makes an absolute path a relative one; here that is refused too."""
    if Path(member.name).is_absolute():
        raise tarfile.AbsolutePathError(member)
    return tarfile.data_filter(member, folder)


def _fetch(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, path.open("wb") as file:
        size = int(response.headers.get("Content-Length", 0))
        with tqdm(total=size or None, unit="B", unit_scale=True, desc=path.stem) as bar:
            while block := response.read(BLOCK_BYTES):
                file.write(block)
                bar.update(len(block))
    if size and path.stat().st_size != size:
        raise ConnectionError(f"the connection ended after {path.stat().st_size} of {size} bytes")
