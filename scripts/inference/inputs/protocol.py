"""What reads raw samples from the outside."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from lightfit.errors import BadInput, DataError


class Inputs(ABC):
    """Read raw samples, as a codec encodes them, from arguments, standard input and HTTP requests."""

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of what `from_json` takes."""

    @abstractmethod
    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[Any]:
        """Yield the samples that arguments stand for, in order; `BadInput` for a bad one.

        Args:
            arguments: texts, files, folders, or `-` for standard input.
            column: column of a table, by name or by position from 0 where there is no header.

        Raises:
            FileNotFoundError, LookupError, DataError: an argument is wrong, before the first sample is yielded.
        """

    @abstractmethod
    def from_json(self, body: dict[str, Any]) -> list[Any]:
        """Return the samples of a JSON request, in order; `BadInput` for a bad one.

        Raises:
            DataError: the request does not follow `schema`.
        """

    @abstractmethod
    def from_upload(self, name: str, content: bytes) -> list[Any]:
        """Return the samples of an uploaded file, in order; `BadInput` for a bad one.

        Args:
            name: name of the file; its ending tells the format.
            content: what is in it.

        Raises:
            DataError: it holds no samples.
        """

    def read(self, arguments: list[str], column: str | int | None = None) -> list[Any]:
        """Return all of `stream`, as a list.

        Raises:
            DataError: one sample is bad.
        """
        samples = []
        for sample in self.stream(arguments, column):
            if isinstance(sample, BadInput):
                raise DataError(sample.problem)
            samples.append(sample)
        return samples
