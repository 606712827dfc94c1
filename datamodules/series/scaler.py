"""The fitted state of a series codec: scaling, and sizes that are not given."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from lightfit.errors import DataError

from ..splits import Ends, count_rows
from .calendar import guess_season
from .table import Roles, Series
from .windows import to_inputs


@dataclass(frozen=True, kw_only=True)
class SeriesState:
    """Columns, steps, scaling and sizes, by which windows are encoded and forecasts decoded.

    Args:
        roles: roles of the columns.
        freq: frequency of the steps, or `rows`.
        season: number of steps in a season.
        lookback: number of past steps in the net's input.
        horizon: number of steps to forecast.
        mean: mean of each column of numbers, to subtract.
        std: standard deviation of each column of numbers, to divide by.
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
        """Scale columns (T, K) by mean and standard deviation of the training rows."""
        return (values - np.array(self.mean)) / np.array(self.std)

    def inputs(self, values: NDArray[np.float64], *, mask: bool) -> NDArray[np.float32]:
        """Return the columns of the net's input for scaled columns of the table, as in `to_inputs`."""
        return to_inputs(values, num_known=len(self.roles.known), horizon=self.horizon, mask=mask)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return asdict(self) | {"roles": self.roles._asdict()}

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> Self:
        """Build a state from the return value of `to_dict`."""
        return cls(**held | {"roles": Roles(**held["roles"])})


def fit_scale(
    train: list[NDArray[np.float64]], names: tuple[str, ...], scale: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column over the training rows; 0 and 1 without scaling.

    Args:
        train: the training rows of each series, (T, K).
        names: names of the columns.
        scale: `standard` or `none`.

    Raises:
        DataError: a column is constant, or has no value.
    """
    if scale == "none":
        return np.zeros(len(names)), np.ones(len(names))
    rows = np.concatenate(train)
    known = (~np.isnan(rows)).any(0)
    if not known.all():
        raise DataError(
            f"the column '{names[int(known.argmin())]}' has no value in the training split: leave it out, or change "
            "`split`"
        )
    mean, std = np.nanmean(rows, 0), np.nanstd(rows, 0)
    for name, value, spread in zip(names, mean, std, strict=True):
        if spread <= 1e-12 * max(abs(value), 1e-300):
            raise DataError(
                f"the column '{name}' is {value:g} in all rows of the training split, so it cannot be scaled to a "
                "standard deviation of 1: leave it out, change `split`, or set `scale` to none"
            )
    return mean, std


MOST_STEPS = 336  # largest default lookback


def choose_horizon(season: int, ends: list[Ends]) -> int:
    """Choose a horizon of a season, or less if val, test or a third of train is shorter."""
    train, *others = (max(sizes) for sizes in zip(*map(count_rows, ends), strict=True))
    return max(min(season, train // 3, *filter(None, others)), 1)


def choose_lookback(season: int, horizon: int, num_train: int) -> int:
    """Choose a lookback of whole seasons, at most 336 steps and half of train; of single steps if no season fits."""
    most = max(min(MOST_STEPS, (num_train - horizon) // 2), 1)
    return most // season * season or most


def fit_state(
    series: list[Series], ends: list[Ends], roles: Roles, freq: str, *, scale: str, asked: Mapping[str, int | None]
) -> SeriesState:
    """Fit the scaling on the training rows, and choose the sizes that are not given.

    Args:
        series: all series.
        ends: end rows of the splits of each series.
        roles: roles of the columns.
        freq: frequency of the steps.
        scale: as in `fit_scale`.
        asked: `season`, `horizon` and `lookback`; None for those to choose.
    """
    train = [item.values[: own[0]] for item, own in zip(series, ends, strict=True)]
    mean, std = fit_scale(train, roles.values, scale)
    season = asked["season"] or guess_season(freq)
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
        naive_error=measure_seasonal_errors(scaled, season).tolist(),
        names=[item.name for item in series],
    )


def measure_seasonal_errors(train: Sequence[NDArray[np.float64]], season: int) -> NDArray[np.float64]:
    """Return the mean absolute error of the seasonal naive forecast for each column, (K,); 1 if it is 0.

    This is the divisor of MASE. Source: Hyndman and Koehler 2006, "Another look at measures of forecast accuracy",
    section 3.

    Args:
        train: the training rows of each series, (T, K).
        season: number of steps in a season.
    """
    errors = np.concatenate([np.abs(rows[season:] - rows[:-season]) for rows in train])
    mean = np.nanmean(errors, 0) if len(errors) else np.zeros(train[0].shape[1])
    return np.where(mean > 0, mean, 1.0)
