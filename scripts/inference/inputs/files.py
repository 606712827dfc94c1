"""Inputs of a custom format: files."""

import base64
import binascii
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightfit.errors import BadInput, DataError, NotFoundError

from .protocol import Inputs


class Upload(io.BytesIO):
    """An uploaded file as an open binary file with a name, which a codec can read like a path.

    Args:
        name: name of the file.
        content: content of the file.
    """

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name

    def __str__(self) -> str:
        return self.name


class FileInputs(Inputs):
    """Read files: a sample is a `Path`, or an `Upload`."""

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of `{"files": [...]}`, a list of files in base64."""
        files = {"type": "array", "items": {"type": "string", "format": "byte"}, "minItems": 1}
        return {"type": "object", "required": ["files"], "properties": {"files": files}}

    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[Path | BadInput]:
        """Yield the files of arguments: a file, a folder, or `-` for names of files on standard input.

        Raises:
            LookupError: a column is given, but files have no columns.
            FileNotFoundError: a file or folder does not exist.
            DataError: a folder holds no files.
        """
        if column is not None:
            raise NotFoundError(f"files have no columns, received --column {column}: leave it out")
        for item in arguments:  # before the first prediction, so that a typo in the last argument is found at once
            if item != "-" and not Path(item).exists():
                raise FileNotFoundError(f"no file or folder at '{item}' (looked from '{Path.cwd()}')")
            if item != "-" and Path(item).is_dir() and not _find_files(Path(item)):
                raise DataError(f"'{item}' holds no files")
        return self._stream(arguments)

    def _stream(self, arguments: list[str]) -> Iterator[Path | BadInput]:
        for item in arguments:
            if item == "-":
                for line in sys.stdin:
                    file = Path(line.rstrip("\r\n"))
                    yield file if file.is_file() else BadInput(f"no file at '{file}' (looked from '{Path.cwd()}')")
            elif Path(item).is_dir():
                yield from _find_files(Path(item))
            else:
                yield Path(item)

    def from_json(self, body: dict[str, Any]) -> list[Upload | BadInput]:
        """Return the files of `{"files": [...]}`."""
        files = body.get("files")
        if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
            raise DataError('expected {"files": ["..."]}, a list of at least one file in base64, or an upload')
        return [_decode(f"file {position}", file) for position, file in enumerate(files, 1)]

    def from_upload(self, name: str, content: bytes) -> list[Upload | BadInput]:
        """Return the uploaded file."""
        return [Upload(name, content)]


def _find_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))


def _decode(name: str, content: str) -> Upload | BadInput:
    try:
        return Upload(name, base64.b64decode(content, validate=True))
    except binascii.Error as error:
        return BadInput(f"{name}: not base64 ({error}); expected a file in base64")
