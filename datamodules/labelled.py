"""What the DataModules of labelled samples share: classes with names."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from datamodules.base import DataModule

SHOWN_CHARS = 60  # of an input, beside its label


class LabelledDataModule(DataModule):
    """Samples with a class each."""

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """The names of the classes, in the order of the net's outputs."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def decode(self, samples: list[Any], predictions: Tensor, quantiles: Sequence[float] = ()) -> pd.DataFrame:
        """A row for each sample: `row` (from 1), `label`, `probability`, and the `file` or the `input` itself.

        Args:
            samples: what was encoded.
            predictions: probabilities (B, num_classes).
            quantiles: none.
        """
        probability, number = predictions.max(1)
        return pd.DataFrame(
            {
                "row": range(1, len(samples) + 1),
                "label": [self.class_names[index] for index in number.tolist()],
                "probability": [round(value, 6) for value in probability.tolist()],
            }
            | _shown(samples)
        )


def _shown(samples: list[Any]) -> dict[str, list[str]]:
    if all(isinstance(sample, Path) for sample in samples):
        return {"file": [str(sample) for sample in samples]}
    texts = [str(sample) for sample in samples]
    return {"input": [text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..." for text in texts]}
