"""The interface of the readers of raw samples."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lightfit.errors import BadInput, DataError


class Item(NamedTuple):
    """A sample with what stands beside its prediction, so that rows can be joined with what they were predicted from.

    All items of a stream have the same columns.
    """

    sample: Any  # or `BadInput`
    origin: Mapping[str, Any] = {}  # the columns `input`, a text; `file`; and `file_row`, its row there from 1
    kept: Mapping[str, Any] = {}  # columns of its table


class Inputs(ABC):
    """Read raw samples, as a codec encodes them, from arguments, standard input and HTTP requests."""

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the argument of `from_json`."""

    @abstractmethod
    def items(self, arguments: list[str], column: str | int | None = None, keep: str | None = None) -> Iterator[Item]:
        """Yield the samples of arguments in order, with `BadInput` in place of a bad one, and where they come from.

        Args:
            arguments: texts, files, folders, or `-` for standard input.
            column: column of a table: its name, or its position from 0 in a table without a header.
            keep: columns of a table that its rows keep: `all`, or one or several with commas between them.

        Raises:
            FileNotFoundError, LookupError, UsageError, DataError: an argument is invalid; raised before the first
                sample.
        """

    def stream(self, arguments: list[str], column: str | int | None = None) -> Iterator[Any]:
        """Yield the samples of `items`; errors as there."""
        items = self.items(arguments, column)
        return (item.sample for item in items)

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
