"""What a run's data may know of itself; callbacks do without where it does not."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightfit.lightning import pl


@runtime_checkable
class NamesClasses(Protocol):
    """Data that has names for its classes."""

    @property
    def class_names(self) -> list[str]: ...


@runtime_checkable
class DescribesTargets(Protocol):
    """Data that can name the targets of a batch."""

    def describe_targets(self, y: Tensor) -> list[str]:
        """Return what each sample of a batch has, in a few words."""


@runtime_checkable
class Denormalises(Protocol):
    """Data that can undo its normalisation."""

    def denormalise(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) back to colours in [0, 1]."""


@runtime_checkable
class NamesPositions(Protocol):
    """Data whose samples are sequences with names for the positions, such as words."""

    def ticks(self, x: Tensor) -> list[str]:
        """Return a name for every position of one sample (T,)."""


@runtime_checkable
class Unscales(Protocol):
    """Data whose targets have names, and whose scaling can be undone."""

    @property
    def target_names(self) -> list[str]: ...

    def unscale(self, y: Tensor) -> Tensor:
        """Map scaled targets (..., C) back to their own units."""


@runtime_checkable
class NamesPlaces(Protocol):
    """A DataModule that knows where its samples come from."""

    def find_places(self, split: str) -> list[str]:
        """Return the place of each sample of a split, such as its file, in the order of the split's loader."""


class Windows(Protocol):
    """Where the windows of a split of series lie; rows are their indices in the order of the split's loader."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def series(self) -> NDArray[np.int64]: ...
    @property
    def naive_error(self) -> NDArray[np.float64]: ...

    def stamps(self, rows: NDArray[np.int64]) -> NDArray[np.datetime64]:
        """Return the time stamps of the steps to forecast, (m, P)."""

    def history(self, row: int, steps: int) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
        """Return time stamps (T,) and targets (T, C) of at most some steps before a forecast."""

    def truth(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the true targets, (m, P, C)."""

    def unscale(self, rows: NDArray[np.int64], values: Tensor) -> Tensor:
        """Convert scaled targets (m, P, C), or their quantiles (m, P, C, Q), to their own units."""

    def forecast_naive(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        """Return naive forecasts by name, each (m, P, C)."""


def find_windows(trainer: pl.Trainer, split: str) -> Windows | None:
    """Return where the windows of a split lie; None where the run's data does not know it."""
    windows = getattr(getattr(trainer, "datamodule", None), "windows", None)
    return windows(split) if callable(windows) else None


def find_rows(trainer: pl.Trainer, seen: int, num_samples: int) -> NDArray[np.int64]:
    """Return the indices of the samples of a batch in the order of the data.

    Args:
        trainer: the run's; of several ranks, each gets every n-th sample.
        seen: number of samples of this rank before the batch.
        num_samples: number of samples of the batch.
    """
    return (seen + np.arange(num_samples)) * trainer.world_size + trainer.global_rank


def find_places(trainer: pl.Trainer, split: str) -> list[str]:
    """Return the place of each sample of a split in the raw data; nothing where the run's data does not know it."""
    data = getattr(trainer, "datamodule", None)
    return [str(place) for place in data.find_places(split)] if isinstance(data, NamesPlaces) else []


def find_codec(trainer: pl.Trainer) -> Any:
    """Return the codec of the run's data, or the data itself where it has none; None without a DataModule."""
    data: Any = getattr(trainer, "datamodule", None)
    return getattr(data, "codec", None) or data


def target_names(trainer: pl.Trainer, num_targets: int) -> list[str]:
    """Return the names of the targets from the run's data; their indices where it has none."""
    data = find_codec(trainer)
    return data.target_names if isinstance(data, Unscales) else [str(number) for number in range(num_targets)]


def unscaled(trainer: pl.Trainer, y: Tensor) -> Tensor:
    """Undo the scaling of targets (..., C) by the run's data; without such data return them unchanged."""
    data = find_codec(trainer)
    return data.unscale(y) if isinstance(data, Unscales) else y


def class_names(trainer: pl.Trainer, num_classes: int) -> list[str]:
    """Return the names of the classes from the run's data; their indices where it has none."""
    data = find_codec(trainer)
    names = data.class_names if isinstance(data, NamesClasses) else []
    return (
        [str(name) for name in names] if len(names) >= num_classes else [str(number) for number in range(num_classes)]
    )


def pictures(trainer: pl.Trainer, x: Tensor) -> Tensor:
    """Convert images (B, C, H, W) to colours for display, as `as_colours` by the run's data."""
    return as_colours(find_codec(trainer), x)


def as_colours(data: Any, x: Tensor) -> Tensor:
    """Convert images (B, C, H, W) to colours for display, (B, H, W, 3) float32 in [0, 1] on the CPU.

    Args:
        data: undoes its normalisation if it can; otherwise each image is stretched to the range.
        x: the images.

    Raises:
        ValueError: they are no images.
    """
    x = x.detach()
    if x.ndim != 4:
        raise ValueError(f"expected images, (B, C, H, W), received {tuple(x.shape)}")
    if isinstance(data, Denormalises):
        x = data.denormalise(x)
    else:
        x = x.float()
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        x = (x - low) / (high - low).clamp(min=1e-6)
    x = x.float().cpu()
    return (x if x.shape[1] == 3 else x[:, :1].expand(-1, 3, -1, -1)).permute(0, 2, 3, 1)
