"""Scaling of series: each by its own training part, computed and undone in float64."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from .panel import Panel

ScaleKind = Literal["standard", "mean", "none", "auto"]
FINEST = 1e-12  # of the mean: a spread below it is rounding, so the series is constant
LEAST_SPREAD = 1e-3  # of the mean: with less, dividing by the mean alone would lose the differences in float32


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean to subtract and standard deviation to divide by, of each series and column; both are 0 and 1 without.

    Args:
        kind: standard: mean 0 and standard deviation 1 in training; mean: the mean absolute value is 1, and 0 stays 0;
            none.
        mean, std: (S, K) float64; one row where all series have the same.
        naive_error: mean absolute error of the seasonal naive forecast of each target in training, scaled, (S, C).
        naive_square: its mean squared error, scaled, (S, C); None: not known, as in older checkpoints.
    """

    kind: str
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    naive_error: NDArray[np.float64]
    naive_square: NDArray[np.float64] | None = None

    def rows(self, series: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of the scale of each series."""
        return series if len(self.mean) > 1 else np.zeros_like(series)

    def apply(self, values: NDArray[np.float64], series: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scale rows (N, K) of series (N,)."""
        if len(self.mean) == 1:
            return (values - self.mean) / self.std
        scaled = values - self.mean[series]
        scaled /= self.std[series]
        return scaled

    def of_series(
        self, index: int | None, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation of a series, (K,); of one that was not in training from its own rows.

        Args:
            index: index of the series in training; None: it was not in training.
            values: the rows of the series, (T, K).
        """
        if len(self.mean) == 1 or index is not None:
            row = 0 if len(self.mean) == 1 else index
            return self.mean[row], self.std[row]
        alone = Panel([""], np.array([0, len(values)]), np.zeros(len(values), "datetime64[ns]"), values)
        none = np.zeros(values.shape[1], bool)
        mean, std = fit_moments(alone, self.kind, none, none)
        alike = (self.mean == self.mean[0]).all(0) & (self.std == self.std[0]).all(0)  # of all series, such as flags
        unknown = np.isnan(mean[0])
        return (
            np.where(alike | unknown, self.mean[0], mean[0]),
            np.where(alike | unknown, self.std[0], std[0]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scale as plain data."""
        return {
            "scaling": self.kind,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "naive_error": self.naive_error.tolist(),
            "naive_square": None if self.naive_square is None else self.naive_square.tolist(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a scale from the return value of `to_dict`; older checkpoints have one scale for all series."""
        arrays = [np.atleast_2d(np.array(state[name], np.float64)) for name in ("mean", "std", "naive_error")]
        kind = state.get("scaling") or ("none" if (arrays[0] == 0).all() and (arrays[1] == 1).all() else "standard")
        square = state.get("naive_square")
        return cls(kind, *arrays, None if square is None else np.atleast_2d(np.array(square, np.float64)))


def sum_by_series(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum the rows of each series, (N, K) to (S, K); a series without rows has 0."""
    padded = np.concatenate([values, np.zeros((1, values.shape[1]))])
    sums = np.add.reduceat(padded, np.minimum(starts[:-1], len(values)), 0)
    sums[np.diff(starts) == 0] = 0
    return sums


def fit_moments(
    train: Panel, kind: str, shared: NDArray[np.bool_], plain: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each series and column over training rows, (S, K); of none NaN.

    Args:
        train: the training rows.
        kind: standard, mean or none.
        shared: columns that have one scale for all series, (K,).
        plain: columns that are not scaled, such as flags, (K,).
    """
    num_series, num_columns = len(train), train.values.shape[1]
    mean, std = np.zeros((num_series, num_columns)), np.ones((num_series, num_columns))
    if kind == "none":
        return mean, std
    for own, starts in ((~shared & ~plain, train.starts), (shared & ~plain, train.starts[[0, -1]])):
        if not own.any():
            continue
        values = train.values[:, own]
        known = ~np.isnan(values)
        if len(starts) == 2 and kind == "standard" and len(values) and known.any(0).all():
            centre, spread = np.nanmean(values, 0)[None], np.nanstd(values, 0)[None]
            mean[:, own], std[:, own] = centre, _spread_of_constant(centre, spread)
            continue
        counts = sum_by_series(known.astype(np.float64), starts)
        filled = np.where(known, values, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            if kind == "mean":
                size = sum_by_series(np.abs(filled), starts) / counts
                mean[:, own], std[:, own] = np.where(counts > 0, 0.0, np.nan), np.where(size > 0, size, 1.0)
                continue
            centre = sum_by_series(filled, starts) / counts
            centred = np.where(known, values - np.repeat(centre, np.diff(starts), 0), 0.0)
            spread = np.sqrt(sum_by_series(np.square(centred), starts) / counts)
        mean[:, own], std[:, own] = centre, _spread_of_constant(centre, spread)
    return mean, std


def _spread_of_constant(centre: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spread, or the size of the values where they are constant, or 1 where they are 0."""
    constant = ~(spread > FINEST * np.maximum(np.abs(centre), 1e-300))
    return np.where(constant, np.where(centre == 0, 1.0, np.abs(centre)), spread)


def choose_kind(train: Panel, num_targets: int, asked: str) -> str:
    """Choose how targets are scaled: `mean` where all are positive and vary enough, else `standard`.

    Positive values stay positive then, so that a net may take their logarithms.
    """
    if asked != "auto":
        return asked
    values = train.values[:, :num_targets]
    if not (np.nan_to_num(values, nan=1.0) > 0).all():
        return "standard"
    none = np.zeros(num_targets, bool)
    mean, std = fit_moments(replace(train, values=values), "standard", none, none)
    return "mean" if (std > LEAST_SPREAD * np.abs(mean))[~np.isnan(mean)].all() else "standard"


def measure_seasonal_errors(train: Sequence[NDArray[np.float64]], season: int) -> NDArray[np.float64]:
    """Return the mean absolute error of the seasonal naive forecast for each column, (K,); 1 if it is 0.

    This is the divisor of MASE. Source: Hyndman and Koehler 2006, "Another look at measures of forecast accuracy",
    section 3.

    Args:
        train: the training rows of each series, (T, K).
        season: number of steps in a season.
    """
    errors = np.concatenate([np.abs(rows[season:] - rows[:-season]) for rows in train])
    if not (~np.isnan(errors)).any():
        return np.ones(train[0].shape[1])
    mean = np.nanmean(errors, 0)
    return np.where(mean > 0, mean, 1.0)


def measure_errors_by_series(
    train: Panel, num_targets: int, season: int, *, squared: bool = False
) -> NDArray[np.float64]:
    """Return the divisor of MASE of each series and target, (S, C); squared: that of the squared errors of RMSSE.

    Where a series is no longer than a season, or its seasonal error is 0, its error from step to step stands in, and
    where that is 0 too, 1.
    """
    if len(train) == 1 and len(train.times) > season and not squared:
        return measure_seasonal_errors([train.values[:, :num_targets]], season)[None]
    found = np.full((len(train), num_targets), np.nan)
    for steps in (season, 1):
        values = train.values[:, :num_targets]
        errors = np.abs(values[steps:] - values[:-steps])
        if squared:
            errors = np.square(errors)
        inside = train.codes[steps:] == train.codes[:-steps]
        known = ~np.isnan(errors) & inside[:, None]
        starts = np.minimum(train.starts, len(errors))
        counts = sum_by_series(known.astype(np.float64), starts)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sum_by_series(np.where(known, errors, 0.0), starts) / counts
        found = np.where(np.isnan(found) & (mean > 0), mean, found)
    return np.where(np.isnan(found), 1.0, found)
