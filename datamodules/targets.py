"""What a net predicts: classes, sets of labels, or numbers. Plain data, fitted on the training rows."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from lightfit.errors import DataError

SEPARATOR = "|"  # between the labels of a sample, in tables
RESERVED = ("row", "file", "input", "error")  # columns of every table of predictions
DIGITS = 6  # of probabilities and numbers in tables


@dataclass(frozen=True)
class Target(ABC):
    """What each sample has, and a net predicts.

    Args:
        names: names of the classes, the labels or the numbers, in the order of the net's outputs.
    """

    kind: ClassVar[str]  # in checkpoints, in the metadata of exports, and in `/info`
    names: list[str]

    @property
    def num_values(self) -> int:
        """Return the number of classes, labels or numbers."""
        return len(self.names)

    @property
    def num_outputs(self) -> int | None:
        """Return the number of outputs that the net must have; None for classes, of which two may share a logit."""
        return len(self.names)

    @property
    def most_ranked(self) -> int:
        """Return how many of the names can be listed in the order of their probabilities; 1 without probabilities."""
        return len(self.names)

    def scale(self, y: Tensor) -> Tensor:
        """Return targets of the data as the net is trained on them: the same, except for numbers."""
        return y

    def describe(self, y: Tensor) -> list[str]:
        """Return what each sample of a batch has, in a few words; nothing for classes, whose names say it."""
        return []

    @abstractmethod
    def decode(self, predictions: Tensor, *, top: int = 1) -> dict[str, list[Any]]:
        """Decode predictions as the columns of a table, with a row for each sample.

        Args:
            predictions: return value of the model's `predict_step`.
            top: number of most probable names to list; ignored for numbers.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the arguments as plain data."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Classes(Target):
    """One class for each sample: y (B,) int64, predictions (B, num_classes) probabilities."""

    kind: ClassVar[str] = "classes"

    @property
    def num_outputs(self) -> int | None:
        """Return None: the net decides how many logits it has for its classes."""
        return None

    def decode(self, predictions: Tensor, *, top: int = 1) -> dict[str, list[Any]]:
        """Return the columns `label`, `probability`, `label_2`, `probability_2` and so on."""
        return rank_names(self.names, predictions, top)


@dataclass(frozen=True)
class LabelSets(Target):
    """A set of labels for each sample, none to all of them: y (B, K) float32 of 0 and 1.

    Predictions are (B, K, 2): the probability of each label, and the threshold that it must reach.
    """

    kind: ClassVar[str] = "multi_label"

    @classmethod
    def fit(cls, sets: Sequence[Collection[str]]) -> Self:
        """Collect the labels of the training samples, sorted by name.

        Raises:
            DataError: no sample has a label.
        """
        names = sorted(set().union(*sets))
        if not names:
            raise DataError("expected at least one label in the training split, received only empty sets of labels")
        return cls(names)

    def encode(self, sets: Sequence[Collection[str]], places: Sequence[str] = ()) -> Tensor:
        """Encode sets of labels, (N, K) float32 of 0 and 1.

        Args:
            sets: the labels of each sample.
            places: place of each sample in the raw data, for the message.

        Raises:
            DataError: a label is not among the known ones.
        """
        index = {name: column for column, name in enumerate(self.names)}
        y = torch.zeros(len(sets), len(self.names))
        for row, labels in enumerate(sets):
            for label in labels:
                if label not in index:
                    place = f"{places[row]}: " if places else ""
                    raise DataError(
                        f"{place}the label '{label[:60]}' was never seen in training; the training split has: "
                        f"{', '.join(self.names)[:120]}. Correct the label, or add it to the training data"
                    )
                y[row, index[label]] = 1
        return y

    def join(self, chosen: Tensor) -> list[str]:
        """Join the names of the labels that each sample has.

        Args:
            chosen: (B, K) bool.
        """
        return [SEPARATOR.join(itertools.compress(self.names, row)) for row in chosen.tolist()]

    def describe(self, y: Tensor) -> list[str]:
        """Return the labels of each sample, in lines."""
        return [labels.replace(SEPARATOR, "\n") or "(none)" for labels in self.join(y > 0.5)]

    def decode(self, predictions: Tensor, *, top: int = 1) -> dict[str, list[Any]]:
        """Return the columns `labels`, those that reach their thresholds, then `label`, `probability` and so on."""
        probabilities, thresholds = predictions.unbind(2)
        return {"labels": self.join(probabilities >= thresholds)} | rank_names(self.names, probabilities, top)


@dataclass(frozen=True)
class Numbers(Target):
    """One or several numbers for each sample: y (B, K) float32, scaled by the training split.

    Predictions are (B, K, 3), scaled: the number, and the ends of its interval, the lower one above the upper one where
    there is none.

    Args:
        names: as in `Target`.
        mean: mean of each number in the training split.
        std: standard deviation of each number in the training split.
    """

    kind: ClassVar[str] = "numbers"
    _: KW_ONLY
    mean: list[float]
    std: list[float]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.mean) == len(self.std):
            raise ValueError(
                f"expected a mean and a standard deviation for each of {len(self.names)} numbers, received "
                f"{len(self.mean)} and {len(self.std)}"
            )

    @classmethod
    def fit(cls, values: Tensor, names: list[str]) -> Self:
        """Compute mean and standard deviation of the training values; a standard deviation of 0 becomes 1.

        Args:
            values: (N, K), or (N,) for one number.
            names: names of the K numbers.

        Raises:
            DataError: a value is NaN or infinite.
        """
        table = values.double().reshape(len(values), -1)
        if not table.isfinite().all():
            row = int((~table.isfinite()).any(1).nonzero()[0])
            raise DataError(f"the target of training sample {row + 1} is NaN or infinite: expected a number")
        std = table.std(0, correction=0)
        return cls(names, mean=table.mean(0).tolist(), std=std.where(std > 0, 1.0).tolist())

    @property
    def most_ranked(self) -> int:
        """Return 1, as there are no probabilities."""
        return 1

    @property
    def units(self) -> dict[str, list[float]]:
        """Return the `mean` and `std` that undo the scaling."""
        return {"mean": self.mean, "std": self.std}

    def scale(self, y: Tensor) -> Tensor:
        """Scale values (N, K) or (N,) to (N, K) float32 of mean 0 and standard deviation 1 in training."""
        y = y.double().reshape(len(y), -1)
        return ((y - y.new_tensor(self.mean)) / y.new_tensor(self.std)).float()

    def unscale(self, y: Tensor) -> Tensor:
        """Undo the scaling of (..., K), in float64."""
        return y.double() * torch.tensor(self.std, dtype=torch.float64) + torch.tensor(self.mean, dtype=torch.float64)

    def describe(self, y: Tensor) -> list[str]:
        """Return the numbers of each sample, in lines."""
        return ["\n".join(f"{value:.4g}" for value in row) for row in self.unscale(y.cpu()).tolist()]

    def decode(self, predictions: Tensor, *, top: int = 1) -> dict[str, list[Any]]:
        """Return the columns `<name>`, `<name>_low` and `<name>_high`; None in these two where there is no interval."""
        values = self.unscale(predictions.cpu().transpose(1, 2)).transpose(1, 2)  # (B, K, 3)
        columns: dict[str, list[Any]] = {}
        for name, rows in zip(self.names, values.unbind(1), strict=True):
            title = f"predicted_{name}" if name in RESERVED else name
            columns[title] = [round_number(value) for value, _, _ in rows.tolist()]
            columns[f"{title}_low"] = [round_number(low) if low <= high else None for _, low, high in rows.tolist()]
            columns[f"{title}_high"] = [round_number(high) if low <= high else None for _, low, high in rows.tolist()]
        return columns


def name_label(target: Target, y: Tensor) -> str:
    """Return what a sample has in a few words, on one line.

    Args:
        target: the target.
        y: what the net is trained on for this sample, a scalar class index or (K,).
    """
    if isinstance(target, Classes):
        return target.names[int(y)]
    if isinstance(target, Numbers):
        return ", ".join(f"{value:.{DIGITS}g}" for value in target.unscale(y).tolist())
    return ", ".join(target.describe(y[None])[0].splitlines())


def round_number(value: float) -> float:
    """Round to six significant digits, about the precision of float32."""
    return float(f"{value:.{DIGITS}g}")


def rank_names(names: Sequence[str], probabilities: Tensor, top: int) -> dict[str, list[Any]]:
    """Return the columns `label`, `probability`, `label_2` and so on, of the `top` most probable names.

    Args:
        names: the names, in the order of the columns of `probabilities`.
        probabilities: (B, len(names)).
        top: number of names to list.
    """
    ranked, indices = probabilities.topk(top, 1)
    columns: dict[str, list[Any]] = {}
    for rank in range(top):
        suffix = f"_{rank + 1}" if rank else ""
        columns[f"label{suffix}"] = [names[index] for index in indices[:, rank].tolist()]
        columns[f"probability{suffix}"] = [round(value, DIGITS) for value in ranked[:, rank].tolist()]
    return columns


KINDS: dict[str, type[Target]] = {target.kind: target for target in (Classes, LabelSets, Numbers)}


def save_target(target: Target) -> dict[str, Any]:
    """Return the part of a codec's state that holds its target, as plain data.

    Classes are `class_names` alone, as in every checkpoint before there were other targets.
    """
    return {"class_names": list(target.names)} if type(target) is Classes else {"target": target.to_dict()}


def restore_target(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a codec with its `target` built from the return value of `save_target`.

    Raises:
        ValueError: the state holds no target, or one of an unknown kind.
    """
    own = dict(state)
    if "class_names" in own:
        names = own.pop("class_names")
        return own | {"target": Classes(list(names))}
    held = own.get("target")
    if not isinstance(held, Mapping) or held.get("kind") not in KINDS:
        kind = held.get("kind") if isinstance(held, Mapping) else held
        raise ValueError(f"its target is of the kind {str(kind)[:60]!r}, expected one of {', '.join(KINDS)}")
    arguments = {name: list(value) for name, value in held.items() if name != "kind"}
    return own | {"target": KINDS[held["kind"]](**arguments)}
