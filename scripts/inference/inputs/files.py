"""Inputs that are files: of a custom format, or of one that a subclass decodes."""

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from lightfit.errors import BadInput, DataError, NotFoundError, UsageError

from .arguments import check_once, explain_missing, find_kind, open_stdin, tell_left_out
from .protocol import Inputs, Item


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

    def items(self, arguments: list[str], column: str | int | None = None, keep: str | None = None) -> Iterator[Item]:
        """Yield the files of arguments: a file, a folder, or `-` for names of files on standard input.

        Raises:
            LookupError: a column is given, but files have no columns.
            UsageError: columns are to be kept; an argument is empty, or cannot be read twice.
            FileNotFoundError: a file or folder does not exist.
            DataError: a folder holds no samples.
        """
        if column is not None:
            raise NotFoundError(f"{self.key} have no columns, received --column {column}: leave it out")
        if keep is not None:
            raise UsageError(
                f"{self.key} have no columns, received --keep {keep}: leave it out; the column `file` tells the rows "
                "apart"
            )
        check_once(arguments)
        for item in arguments:  # before the first prediction, so that a typo in the last argument is found at once
            kind = find_kind(item)
            if kind == "nothing":
                raise FileNotFoundError(explain_missing(item, f"{self.name} or folder"))
            if kind == "folder" and not any(self.find(Path(item))):
                raise DataError(f"'{item}' {self.empty}")
        return (Item(sample, {"file": name}) for sample, name in self._stream(arguments))

    def _stream(self, arguments: list[str]) -> Iterator[tuple[Path | BadInput, str]]:
        for item in arguments:
            if item == "-":
                for line in open_stdin(None):
                    yield _find(name := line.rstrip("\r\n")), name
            elif Path(item).is_dir():
                found = sorted(self.find(Path(item)))
                tell_left_out(Path(item), found)
                yield from ((file, str(file)) for file in found)
            else:
                yield Path(item), item

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


def _find(name: str) -> Path | BadInput:
    """Return the file that a line of standard input names."""
    try:
        if find_kind(name) == "file":
            return Path(name)
    except UsageError as error:
        return BadInput(str(error))
    if name and Path(name).is_dir():
        return BadInput(f"'{name}' is a folder: on standard input, name its files, one a line")
    return BadInput(explain_missing(name) if name else "the line is empty; expected the name of a file")
