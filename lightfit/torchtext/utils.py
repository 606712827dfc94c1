"""Rows of CSV files, downloads and archives."""

import csv
import os
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightfit.download import download

MAX_FIELD_CHARS = 2**31 - 1  # the most that every platform allows; csv's own limit is 131,072


@contextmanager
def long_fields() -> Iterator[None]:
    """Let the csv module read fields of any length for a while."""
    limit = csv.field_size_limit(MAX_FIELD_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def unicode_csv_reader(unicode_csv_data: Iterable[str], **kwargs: Any) -> Iterator[list[str]]:
    """Yield the rows of lines of CSV, with fields of any length.

    Args:
        unicode_csv_data: lines with their ends.
        **kwargs: as of `csv.reader`.
    """
    with long_fields():
        yield from csv.reader(unicode_csv_data, **kwargs)


def download_from_url(url: str, path: Any = None, root: Any = ".data", overwrite: bool = False) -> str:
    """Download a file if it is missing, and return its path.

    Args:
        url: its address.
        path: where to put it; by default its name within `root`.
        root: the folder, if `path` is not given.
        overwrite: whether to download it again.

    Raises:
        ValueError: it is on Google Drive, which asks a person first.
        ConnectionError: it cannot be downloaded.
    """
    if "drive.google.com" in url:
        raise ValueError(f"files on Google Drive are not downloaded: open {url} in a browser and pass the file's path")
    target = Path(root, url.rpartition("/")[2]) if path is None else Path(path)
    if overwrite:
        target.unlink(missing_ok=True)
    download(url, target)
    return os.fspath(path) if path is not None else os.path.join(root, target.name)


def extract_archive(from_path: Any, to_path: Any = None, overwrite: bool = False) -> list[str]:
    """Extract a .zip, .tar.gz or .tgz archive, and return the paths of its files.

    Args:
        from_path: the archive.
        to_path: the folder; by default that of the archive.
        overwrite: whether files that are there are written again.

    Raises:
        NotImplementedError: it is another kind of file.
        tarfile.TarError: a path would leave the folder, or the archive is damaged.
    """
    archive = os.fspath(from_path)
    folder = os.path.dirname(archive) if to_path is None else os.fspath(to_path)
    files = []
    if archive.endswith((".tar.gz", ".tgz")):
        with tarfile.open(archive) as tar:
            for info in tar:
                target = os.path.join(folder, info.name)
                if info.isfile():
                    files.append(target)
                if overwrite or not os.path.exists(target):
                    tar.extract(info, folder, filter="data")
    elif archive.endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                target = os.path.join(folder, member.filename)
                if not member.is_dir():
                    files.append(target)
                if overwrite or not os.path.exists(target):
                    zipped.extract(member, folder)
    else:
        raise NotImplementedError(f"'{archive}' is not extracted: expected a file that ends in .zip, .tar.gz or .tgz")
    return files
