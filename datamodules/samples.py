"""Samples as read from raw data, and batches of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.errors import DataError

from .findings import Findings
from .splits import SPLITS

if TYPE_CHECKING:
    from .codec import Codec


class Batches(Protocol):
    """Data that is indexed by a whole batch: a tensor of indices, or a tuple of the epoch and such a tensor."""

    def __len__(self) -> int: ...

    def __getitem__(self, asked: Any) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Samples:
    """Samples of a custom raw format, one in each row.

    Args:
        inputs: the raw inputs, as `Codec.encode` takes them.
        targets: class indices (N,) of an integer dtype, or values (N,) or (N, K) of a float dtype.
        splits: `train`, `val` or `test` for each sample; None: all are train, and val is held out from them.
        places: the place of each sample in the raw data, for tables and messages; by default the input itself.

    Raises:
        DataError: there are no samples, the lengths differ, or a split has another name.
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
        """Return the samples of some rows."""
        own = rows.tolist()
        return Samples(
            [self.inputs[row] for row in own],
            targets=np.asarray(self.targets)[rows],
            splits=None if self.splits is None else [self.splits[row] for row in own],
            places=[self.name_place(row) for row in own],
        )

    def name_place(self, row: int) -> str:
        """Return the place of a sample in the raw data."""
        return str(self.inputs[row] if self.places is None else self.places[row])

    def target_tensor(self) -> Tensor:
        """Return the targets as a tensor: class indices (N,) int64, or values (N, K) float32."""
        targets = torch.from_numpy(np.array(self.targets))  # a copy, since torch requires writable memory
        if not targets.is_floating_point():
            return targets.long()
        return (targets[:, None] if targets.ndim == 1 else targets).float()


class EncodedBatches:
    """Samples that are encoded batch by batch, on access.

    Args:
        encode: function from raw inputs to a batch for the net.
        samples: the samples of a split.
        targets: what the net is trained on, (N,) or (N, K); by default the targets of the samples.
    """

    def __init__(
        self, encode: Callable[[Sequence[Any]], Tensor], samples: Samples, targets: Tensor | None = None
    ) -> None:
        self.encode = encode
        self.inputs = samples.inputs
        self.targets = samples.target_tensor() if targets is None else targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoded samples (B, ...) of the indices (B,), and their targets (B,) or (B, K)."""
        return self.encode([self.inputs[row] for row in index.tolist()]), self.targets[index]


@dataclass(frozen=True)
class Loaded:
    """The data of a DataModule after `setup`: a fitted codec, and the batches of each split.

    Args:
        codec: the codec, fitted on the training rows or loaded from a checkpoint.
        batches: the samples of each split that is not empty.
        description: a summary of the data, on one line.
        find_places: returns the place of each sample of a split in the raw data.
        lengths: length of each training sample, to batch samples of similar lengths; None: batch at random.
        sample_weights: relative frequency with which each training sample is drawn; None: each once in an epoch.
        loss_weights: weight of each class in the loss; None: all 1.
        skipped: samples that could not be read, with the reason.
        findings: what was found in the raw data.
    """

    codec: "Codec"
    batches: Mapping[str, Batches]
    description: str = ""
    find_places: Callable[[str], list[str]] = lambda split: []
    lengths: Tensor | None = None
    sample_weights: Tensor | None = None
    loss_weights: list[float] | None = None
    skipped: Sequence[str] = ()
    findings: Findings = field(default_factory=Findings)
