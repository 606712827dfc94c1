"""From raw samples to what the net gets, and from its predictions to words: all that a checkpoint's data can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from datamodules.errors import BadInput, DataError


class Codec(ABC):
    """Encodes raw samples and decodes predictions, by what was learned from the training part."""

    @property
    @abstractmethod
    def example_input(self) -> str:
        """An argument that `scripts/predict.py` would take for this data, to show its use."""

    @abstractmethod
    def stream_inputs(self, inputs: list[str], column: str | int | None = None) -> Iterator[Any]:
        """The raw samples that the arguments of `scripts/predict.py` stand for, in order; `BadInput` for a bad one."""

    def read_inputs(self, inputs: list[str], column: str | int | None = None) -> list[Any]:
        """All of `stream_inputs`, as a list.

        Raises:
            DataError: one of them is bad.
        """
        samples = []
        for sample in self.stream_inputs(inputs, column):
            if isinstance(sample, BadInput):
                raise DataError(sample.problem)
            samples.append(sample)
        return samples

    @property
    @abstractmethod
    def request_schema(self) -> dict[str, Any]:
        """The JSON schema of what `from_request` takes."""

    @abstractmethod
    def from_request(self, body: dict[str, Any]) -> list[Any]:
        """The raw samples of a JSON request, in order; `BadInput` for a bad one.

        Raises:
            DataError: the request is not of `request_schema`.
        """

    @abstractmethod
    def from_upload(self, name: str, content: bytes) -> list[Any]:
        """The raw samples of an uploaded file, in order; `BadInput` for a bad one.

        Args:
            name: name of the file; its ending tells the format.
            content: what is in it.

        Raises:
            DataError: it is no file of samples.
        """

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """What it takes to encode samples and to read predictions without LightFit, as plain data."""

    @abstractmethod
    def example_batch(self) -> Tensor:
        """Two samples as the net gets them, made up."""

    @abstractmethod
    def encode(self, samples: Sequence[Any]) -> Tensor:
        """Raw samples to a batch for the net."""

    @abstractmethod
    def decode(self, samples: Sequence[Any], predictions: Tensor, quantiles: Sequence[float] = ()) -> pd.DataFrame:
        """What the model's predictions say of raw samples, in rows: as many for each, one sample after the other.

        Args:
            samples: what was encoded.
            predictions: what `predict_step` returned for them.
            quantiles: levels along its last dimension, if it has them.
        """

    @property
    @abstractmethod
    def limits(self) -> list[str]:
        """What a model of this data is not meant for, a sentence each."""
