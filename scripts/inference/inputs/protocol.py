"""The interface of the readers of raw samples."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from lightfit.errors import BadInput, DataError


class Inputs(ABC):
    """Read raw samples, as a codec encodes them, from arguments, standard input and HTTP requests."""

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the argument of `from_json`."""

    @abstractmethod
    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[Any]:
        """Yield the samples of arguments in order, with `BadInput` in place of a bad one.

        Args:
            arguments: texts, files, folders, or `-` for standard input.
            column: column of a table: its name, or its position from 0 in a table without a header.

        Raises:
            FileNotFoundError, LookupError, DataError: an argument is invalid; raised before the first sample.
        """

    @abstractmethod
    def from_json(self, body: dict[str, Any]) -> list[Any]:
        """Return the samples of a JSON request in order, with `BadInput` in place of a bad one.

        Raises:
            DataError: the request does not follow `schema`.
        """

    @abstractmethod
    def from_upload(self, name: str, content: bytes) -> list[Any]:
        """Return the samples of an uploaded file in order, with `BadInput` in place of a bad one.

        Args:
            name: name of the file; its suffix selects the format.
            content: content of the file.

        Raises:
            DataError: the file holds no samples.
        """

    def for_request(self) -> "Inputs":
        """Return the reader for one request, by default this one; another one may count what the request holds."""
        return self

    def read(self, arguments: list[str], column: str | int | None = None) -> list[Any]:
        """Return the samples of `stream` as a list.

        Raises:
            DataError: a sample is bad.
        """
        samples = []
        for sample in self.stream(arguments, column):
            if isinstance(sample, BadInput):
                raise DataError(sample.problem)
            samples.append(sample)
        return samples
