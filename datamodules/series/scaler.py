"""What is learned from the training rows of a series: scaling, and sizes that are not given."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from lightfit.errors import DataError

from ..splits import Ends, split_sizes
from .calendar import season_of
from .table import Roles, Series
from .windows import to_inputs


@dataclass(frozen=True, kw_only=True)
class SeriesState:
    """Columns, steps, scaling and sizes: all that encodes a window and decodes its forecast.

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

    def scale_columns(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return columns (T, K) with the training's mean subtracted, divided by its standard deviation."""
        return (values - np.array(self.mean)) / np.array(self.std)

    def inputs(self, values: NDArray[np.float64], *, mask: bool) -> NDArray[np.float32]:
        """Return the columns of the net's input from scaled ones of the table, as in `to_inputs`."""
        return to_inputs(values, num_known=len(self.roles.known), horizon=self.horizon, mask=mask)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return asdict(self) | {"roles": self.roles._asdict()}

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> Self:
        """Return the state that `to_dict` describes."""
        return cls(**held | {"roles": Roles(**held["roles"])})


def fit_scale(
    train: list[NDArray[np.float64]], names: tuple[str, ...], scale: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column over the training rows; 0 and 1 where nothing is scaled.

    Args:
        train: the training rows of each series, (T, K).
        names: names of the columns.
        scale: `standard` or `none`.

    Raises:
        DataError: a column has one value only, or none.
    """
    if scale == "none":
        return np.zeros(len(names)), np.ones(len(names))
    rows = np.concatenate(train)
    known = (~np.isnan(rows)).any(0)
    if not known.all():
        raise DataError(f"the column '{names[int(known.argmin())]}' has no value in the training split: leave it out")
    mean, std = np.nanmean(rows, 0), np.nanstd(rows, 0)
    for name, value, spread in zip(names, mean, std, strict=True):
        if spread <= 1e-12 * max(abs(value), 1e-300):
            raise DataError(
                f"the column '{name}' is {value:g} in all of the training split, so that it cannot be scaled to a "
                "standard deviation of 1: leave it out, move `split`, or set `scale` to none"
            )
    return mean, std


MOST_STEPS = 336  # of a look-back that is not given


def choose_horizon(season: int, ends: list[Ends]) -> int:
    """Return the length of a season, or as much of one as val, test, and a third of train hold."""
    train, *others = (max(sizes) for sizes in zip(*map(split_sizes, ends), strict=True))
    return max(min(season, train // 3, *filter(None, others)), 1)


def choose_lookback(season: int, horizon: int, num_train: int) -> int:
    """Return as many whole seasons as fit into 336 steps and into half of train; as many steps, where none fits."""
    most = max(min(MOST_STEPS, (num_train - horizon) // 2), 1)
    return most // season * season or most


def fit_state(
    series: list[Series], ends: list[Ends], roles: Roles, freq: str, *, scale: str, asked: Mapping[str, int | None]
) -> SeriesState:
    """Learn from the training rows: scaling, and the sizes that are not given.

    Args:
        series: all series.
        ends: the rows at which the splits of each end.
        roles: the columns.
        freq: frequency of the steps.
        scale: as in `fit_scale`.
        asked: `season`, `horizon` and `lookback`; None for those to be found.
    """
    train = [item.values[: own[0]] for item, own in zip(series, ends, strict=True)]
    mean, std = fit_scale(train, roles.values, scale)
    season = asked["season"] or season_of(freq)
    horizon = asked["horizon"] or choose_horizon(season, ends)
    targets = slice(len(roles.targets))
    scaled = [(rows[:, targets] - mean[targets]) / std[targets] for rows in train]
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


def seasonal_errors(train: Sequence[NDArray[np.float64]], season: int) -> NDArray[np.float64]:
    """Return the mean absolute error of forecasting each row by that a season before, by column, (K,); 1 if it is 0.

    What MASE divides by. Source: Hyndman and Koehler 2006, "Another look at measures of forecast accuracy", section 3.

    Args:
        train: the training rows of each series, (T, K).
        season: number of steps in a season.
    """
    errors = np.concatenate([np.abs(rows[season:] - rows[:-season]) for rows in train])
    mean = np.nanmean(errors, 0) if len(errors) else np.zeros(train[0].shape[1])
    return np.where(mean > 0, mean, 1.0)
