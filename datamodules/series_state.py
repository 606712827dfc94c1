"""What is learned from the training part of a series, and what it takes to forecast from a checkpoint."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from datamodules.errors import DataError
from datamodules.series_tables import Roles
from datamodules.series_windows import to_inputs


@dataclass(frozen=True, kw_only=True)
class SeriesState:
    """All that a window and its forecast are made by.

    Args:
        roles: the columns.
        freq: frequency of the steps, or `rows`.
        season: number of steps in a season.
        lookback: number of steps that the net sees.
        horizon: number of steps to forecast.
        mean: what is subtracted from each column of numbers.
        std: what it is then divided by.
        naive_error: mean absolute error of the seasonal naive forecast of each target in training, scaled.
        names: names of the series in training.
    """

    roles: Roles
    freq: str
    season: int
    lookback: int
    horizon: int
    mean: list[float]
    std: list[float]
    naive_error: list[float]
    names: list[str]

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns of numbers around 0, (T, K)."""
        return (values - np.array(self.mean)) / np.array(self.std)

    def inputs(self, values: NDArray[np.float64], *, mask: bool) -> NDArray[np.float32]:
        """The columns of the net's input from scaled ones of the table, as in `to_inputs`."""
        return to_inputs(values, num_known=len(self.roles.known), horizon=self.horizon, mask=mask)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"roles": self.roles._asdict()}

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> Self:
        """The state that `to_dict` wrote."""
        return cls(**held | {"roles": Roles(**held["roles"])})


def fit_scale(
    parts: list[NDArray[np.float64]], names: tuple[str, ...], scale: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column over the training parts; 0 and 1 where nothing is to be scaled.

    Args:
        parts: the training rows of each series, (T, K).
        names: names of the columns.
        scale: `standard` or `none`.

    Raises:
        DataError: a column has one value only, or none.
    """
    if scale == "none":
        return np.zeros(len(names)), np.ones(len(names))
    rows = np.concatenate(parts)
    known = (~np.isnan(rows)).any(0)
    if not known.all():
        raise DataError(f"the column '{names[int(known.argmin())]}' has no value in the training part: leave it out")
    mean, std = np.nanmean(rows, 0), np.nanstd(rows, 0)
    for name, value, spread in zip(names, mean, std, strict=True):
        if spread <= 1e-12 * max(abs(value), 1e-300):
            raise DataError(
                f"the column '{name}' is {value:g} in the whole of the training part, so that it cannot be scaled to a "
                "standard deviation of 1: leave it out, move --data.split, or give --data.scale none"
            )
    return mean, std
