"""What a run's data can say of itself to those who look on; callbacks do without where it cannot."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lightfit.lightning import pl


@runtime_checkable
class NamesClasses(Protocol):
    """Data that knows what its classes are called."""

    @property
    def class_names(self) -> list[str]: ...


@runtime_checkable
class Denormalises(Protocol):
    """Data that can undo its normalisation."""

    def denormalise(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) back to colours in [0, 1]."""


@runtime_checkable
class NamesPositions(Protocol):
    """Data whose samples are sequences of things with names, such as words."""

    def ticks(self, x: Tensor) -> list[str]:
        """A name for every position of one sample (T,)."""


@runtime_checkable
class Unscales(Protocol):
    """Data whose targets have names, and whose scaling can be undone."""

    @property
    def target_names(self) -> list[str]: ...

    def unscale(self, y: Tensor) -> Tensor:
        """Scaled targets (..., C) in their own units."""


def find_codec(trainer: pl.Trainer) -> Any:
    """Return the codec of the run's data, or the data itself where it has none; None without a DataModule."""
    data = getattr(trainer, "datamodule", None)
    return getattr(data, "codec", None) or data


def target_names(trainer: pl.Trainer, num_targets: int) -> list[str]:
    """What the run's data calls its targets; their numbers where it does not say."""
    data = find_codec(trainer)
    return data.target_names if isinstance(data, Unscales) else [str(number) for number in range(num_targets)]


def unscaled(trainer: pl.Trainer, y: Tensor) -> Tensor:
    """Targets (..., C) as the run's data undoes its scaling; as they are without such data."""
    data = find_codec(trainer)
    return data.unscale(y) if isinstance(data, Unscales) else y


def class_names(trainer: pl.Trainer, num_classes: int) -> list[str]:
    """What the run's data calls its classes; their numbers where it does not say."""
    data = find_codec(trainer)
    names = data.class_names if isinstance(data, NamesClasses) else []
    return list(names) if len(names) >= num_classes else [str(number) for number in range(num_classes)]


def pictures(trainer: pl.Trainer, x: Tensor) -> Tensor:
    """Images (B, C, H, W) as colours to look at, (B, H, W, 3) float32 in [0, 1] on the CPU.

    As the run's data undoes its normalisation; without such data each image is stretched to the range.
    """
    data = find_codec(trainer)
    x = x.detach()
    if isinstance(data, Denormalises):
        x = data.denormalise(x)
    else:
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        x = (x - low) / (high - low).clamp(min=1e-6)
    x = x.float().cpu()
    return (x if x.shape[1] == 3 else x[:, :1].expand(-1, 3, -1, -1)).permute(0, 2, 3, 1)
