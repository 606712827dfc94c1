"""What the DataModules of labelled samples share: classes with names."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
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

    @property
    def limits(self) -> list[str]:
        """What a classifier is not meant for."""
        return [
            f"Anything but these {self.num_classes} classes: every input gets one of them, even where none fits.",
            "Data of another kind or origin than the training's: the scores above say nothing of it; measure them with "
            "scripts/evaluate.py on labelled data of your own first.",
            "Decisions about people without a person who looks at them: errors are spread unevenly over groups, and "
            "nothing here has measured how.",
        ]

    def tabulate(self, outputs: Mapping[str, Tensor]) -> pd.DataFrame:
        """A row for each sample: `label`, `predicted`, and the probability of each class."""
        probabilities, names = outputs["preds"], self.class_names
        named = {"label": outputs["target"], "predicted": probabilities.argmax(1)}
        columns = {title: [names[number] for number in numbers.tolist()] for title, numbers in named.items()}
        return pd.DataFrame(columns).join(pd.DataFrame(probabilities.numpy(), columns=names).add_prefix("probability_"))

    def decode(
        self, samples: Sequence[Any], predictions: Tensor, quantiles: Sequence[float] = (), *, top: int = 1
    ) -> pd.DataFrame:
        """A row for each sample: `label` and `probability`, then `label_2` and so on, and the `file` or the `input`.

        Args:
            samples: what was encoded.
            predictions: probabilities (B, num_classes).
            quantiles: none.
            top: number of classes to name, the most probable ones.
        """
        probabilities, numbers = predictions.topk(top, 1)
        columns: dict[str, list[Any]] = {}
        for place in range(top):
            end = f"_{place + 1}" if place else ""
            columns[f"label{end}"] = [self.class_names[number] for number in numbers[:, place].tolist()]
            columns[f"probability{end}"] = [round(value, 6) for value in probabilities[:, place].tolist()]
        return pd.DataFrame(columns | _shown(samples))


def _shown(samples: Sequence[Any]) -> dict[str, list[Any]]:
    if all(isinstance(sample, Path) for sample in samples):
        return {"file": [str(sample) for sample in samples]}
    texts = [sample for sample in samples if isinstance(sample, str)]
    if len(texts) < len(samples):
        return {}  # decoded images have no name
    return {"input": [text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..." for text in texts]}
