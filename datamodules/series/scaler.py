"""What is learned from the training part of a series: scaling, and sizes that are not given."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from lightfit.errors import DataError

from ..splits import Ends, part_sizes
from .calendar import season_of
from .table import Roles, Series
from .windows import to_inputs


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


MOST_STEPS = 336  # of a look-back that is not given


def choose_horizon(season: int, ends: list[Ends]) -> int:
    """A season, or as much of one as val, test, and a third of train hold."""
    train, *others = (max(sizes) for sizes in zip(*map(part_sizes, ends), strict=True))
    return max(min(season, train // 3, *filter(None, others)), 1)


def choose_lookback(season: int, horizon: int, num_train: int) -> int:
    """Whole seasons, as many as go into 336 steps and into half of the training part; steps, where none does."""
    most = max(min(MOST_STEPS, (num_train - horizon) // 2), 1)
    return most // season * season or most


def learn_state(
    series: list[Series], ends: list[Ends], roles: Roles, freq: str, *, scale: str, asked: Mapping[str, int | None]
) -> SeriesState:
    """What the training parts tell: scaling, and the sizes that are not given.

    Args:
        series: all series.
        ends: where the parts of each end.
        roles: the columns.
        freq: frequency of the steps.
        scale: as in `fit_scale`.
        asked: `season`, `horizon` and `lookback`; None for what is to be found.
    """
    train = [item.values[: own[0]] for item, own in zip(series, ends, strict=True)]
    mean, std = fit_scale(train, roles.values, scale)
    season = asked["season"] or season_of(freq)
    horizon = asked["horizon"] or choose_horizon(season, ends)
    targets = slice(len(roles.targets))
    scaled = [(part[:, targets] - mean[targets]) / std[targets] for part in train]
    return SeriesState(
        roles=roles,
        freq=freq,
        season=season,
        lookback=asked["lookback"] or choose_lookback(season, horizon, max(map(len, train))),
        horizon=horizon,
        mean=mean.tolist(),
        std=std.tolist(),
        naive_error=seasonal_errors(scaled, season).tolist(),
        names=[item.name for item in series],
    )


def seasonal_errors(parts: Sequence[NDArray[np.float64]], season: int) -> NDArray[np.float64]:
    """The mean absolute error of forecasting each row by the one a season before, by column, (K,); 1 in place of 0.

    What MASE divides by. Source: Hyndman and Koehler 2006, "Another look at measures of forecast accuracy", section 3.

    Args:
        parts: the training rows of each series, (T, K).
        season: number of steps in a season.
    """
    errors = np.concatenate([np.abs(part[season:] - part[:-season]) for part in parts])
    mean = np.nanmean(errors, 0) if len(errors) else np.zeros(parts[0].shape[1])
    return np.where(mean > 0, mean, 1.0)
