"""What is read from raw data, and data that hands out whole batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.errors import DataError

from .splits import SPLITS

if TYPE_CHECKING:
    from .codec import Codec


class Batches(Protocol):
    """Data that returns a whole batch for a tensor of indices, or for the epoch and one."""

    def __len__(self) -> int: ...

    def __getitem__(self, asked: Any) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Samples:
    """Samples of a custom raw format, a row each.

    Args:
        inputs: the raw inputs, as `Codec.encode` takes them.
        targets: what to predict: class indices (N,) integers, or numbers (N,) or (N, K).
        splits: `train`, `val` or `test` for each sample; None: all are for training, and val is held out of them.
        places: where each sample stands in the raw data, for tables and messages; the inputs by default.

    Raises:
        DataError: there are no samples, or not as many of each, or a split has another name.
    """

    inputs: Sequence[Any]
    _: KW_ONLY
    targets: Any
    splits: Sequence[str] | None = None
    places: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not len(self.inputs):
            raise DataError("the data holds no samples; expected at least one")
        for name in ("targets", "splits", "places"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.inputs):
                raise DataError(f"expected as many {name} as inputs, {len(self.inputs):,}, received {len(column):,}")
        if strange := set(self.splits or ()) - set(SPLITS):
            raise DataError(f"expected splits named {', '.join(SPLITS)}, received '{min(map(str, strange))}'")

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: NDArray[np.int64]) -> "Samples":
        """Return some of the samples, by their row."""
        own = rows.tolist()
        return Samples(
            [self.inputs[row] for row in own],
            targets=np.asarray(self.targets)[rows],
            splits=None if self.splits is None else [self.splits[row] for row in own],
            places=[self.name_place(row) for row in own],
        )

    def name_place(self, row: int) -> str:
        """Return where a sample stands in the raw data."""
        return str(self.inputs[row] if self.places is None else self.places[row])

    def target_tensor(self) -> Tensor:
        """Return the targets: class indices (N,) int64, or numbers (N, K) float32."""
        targets = torch.from_numpy(np.array(self.targets))  # a copy, which torch may write to
        if not targets.is_floating_point():
            return targets.long()
        return (targets[:, None] if targets.ndim == 1 else targets).float()


class EncodedBatches:
    """Samples that are encoded a batch at a time, when the batch is asked for.

    Args:
        encode: raw inputs to a batch for the net.
        samples: the samples of a split.
    """

    def __init__(self, encode: Callable[[Sequence[Any]], Tensor], samples: Samples) -> None:
        self.encode = encode
        self.inputs = samples.inputs
        self.targets = samples.target_tensor()

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return samples (B,) as the net gets them, (B, ...), and their targets (B,) or (B, K)."""
        return self.encode([self.inputs[row] for row in index.tolist()]), self.targets[index]


@dataclass(frozen=True)
class Loaded:
    """What a DataModule has read: a fitted codec, and each split as batches.

    Args:
        codec: fitted on the training rows, or taken from a checkpoint.
        batches: the samples of each split that has any.
        description: what was found, for one line.
        find_places: where each sample of a split stands in the raw data.
        lengths: number of steps of each training sample, to make batches of similar lengths; None: at random.
        sample_weights: how often each training sample is drawn, relative to the others; None: once an epoch.
        loss_weights: weight of each class in the loss; None: 1.
        skipped: samples that could not be read, with the reason.
    """

    codec: "Codec"
    batches: Mapping[str, Batches]
    description: str = ""
    find_places: Callable[[str], list[str]] = lambda split: []
    lengths: Tensor | None = None
    sample_weights: Tensor | None = None
    loss_weights: list[float] | None = None
    skipped: Sequence[str] = ()
