"""Inputs that are files: of a custom format, or of one that a subclass decodes."""

import base64
import binascii
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

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

    key: ClassVar[str] = "files"  # in a JSON request
    name: ClassVar[str] = "file"
    content: ClassVar[str] = "a file"  # what a request holds in base64
    empty: ClassVar[str] = "holds no files"

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of `{"files": [...]}`, a list of files in base64."""
        files = {"type": "array", "items": {"type": "string", "format": "byte"}, "minItems": 1}
        return {"type": "object", "required": [self.key], "properties": {self.key: files}}

    def find(self, folder: Path) -> Iterator[Path]:
        """Yield the files below a folder that are samples, in any order."""
        return (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))

    def decode(self, name: str, content: bytes) -> Any:
        """Return the sample of an uploaded file.

        Raises:
            DataError: the file is no sample.
        """
        return Upload(name, content)

    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[Path | BadInput]:
        """Yield the files of arguments: a file, a folder, or `-` for names of files on standard input.

        Raises:
            LookupError: a column is given, but files have no columns.
            FileNotFoundError: a file or folder does not exist.
            DataError: a folder holds no samples.
        """
        if column is not None:
            raise NotFoundError(f"{self.key} have no columns, received --column {column}: leave it out")
        for item in arguments:  # before the first prediction, so that a typo in the last argument is found at once
            if item != "-" and not Path(item).exists():
                raise FileNotFoundError(f"no {self.name} or folder at '{item}' (looked from '{Path.cwd()}')")
            if item != "-" and Path(item).is_dir() and not any(self.find(Path(item))):
                raise DataError(f"'{item}' {self.empty}")
        return self._stream(arguments)

    def _stream(self, arguments: list[str]) -> Iterator[Path | BadInput]:
        for item in arguments:
            if item == "-":
                for line in sys.stdin:
                    file = Path(line.rstrip("\r\n"))
                    yield file if file.is_file() else BadInput(f"no file at '{file}' (looked from '{Path.cwd()}')")
            elif Path(item).is_dir():
                yield from sorted(self.find(Path(item)))
            else:
                yield Path(item)

    def from_json(self, body: dict[str, Any]) -> list[Any]:
        """Return the samples of `{"files": [...]}`; `BadInput` for a bad one."""
        files = body.get(self.key)
        if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
            one = self.content.partition(" ")[2]
            raise DataError(f'expected {{"{self.key}": ["..."]}}, a list of at least one {one} in base64, or an upload')
        return [self._from_base64(f"{self.name} {position}", file) for position, file in enumerate(files, 1)]

    def from_upload(self, name: str, content: bytes) -> list[Any]:
        """Return the sample of an uploaded file; `BadInput` for a bad one."""
        try:
            return [self.decode(name, content)]
        except DataError as error:
            return [BadInput(f"{name}: {error}")]

    def _from_base64(self, name: str, text: str) -> Any:
        try:
            content = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            return BadInput(f"{name}: not base64 ({error}); expected {self.content} in base64")
        return self.from_upload(name, content)[0]
