"""The codec of series: the last window of each series, and forecasts in the columns and units of the table."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from lightfit.errors import BadInput, CheckpointError, DataError

from ..codec import Codec
from .calendar import ROWS, complete_steps, continue_steps, fill_gaps, find_freq, steps_between
from .scaler import SeriesState
from .table import Roles, Series, check_columns, split_series

log = logging.getLogger(__name__)


class LastWindow(NamedTuple):
    """The last window of a series, with the values needed to undo the differences in its forecast."""

    name: str
    times: pd.DatetimeIndex  # time stamps of the steps to forecast, (P,)
    x: NDArray[np.float32]  # the window, (L, F)
    levels: list[NDArray[np.float64]]  # last value of each target before each differencing, `diff` arrays (C,)


def difference(series: Series, num_targets: int, diff: int) -> Series:
    """Difference each target `diff` times; the series becomes as many rows shorter.

    Args:
        series: a series whose first columns are the targets.
        num_targets: number of targets.
        diff: number of times to difference.
    """
    targets = np.diff(series.values[:, :num_targets], diff, axis=0)
    values = np.concatenate([targets, series.values[diff:, num_targets:]], 1)
    return series._replace(times=series.times[diff:], values=values)


def cut_after_last_target(series: Series, num_targets: int) -> Series:
    """Drop the rows after the last known target, which have values only for columns known ahead."""
    known = np.flatnonzero((~np.isnan(series.values[:, :num_targets])).any(1))
    end = int(known[-1]) + 1 if len(known) else 0
    return series._replace(times=series.times[:end], values=series.values[:end])


def undo_differences(changes: NDArray[np.float64], levels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Undo the differences in a forecast, (P, ...).

    Args:
        changes: forecast of the differenced targets, (P, C), or its quantiles, (P, C, Q).
        levels: as in `LastWindow`.
    """
    for level in reversed(levels):
        changes = changes.cumsum(0) + level.reshape(level.shape + (1,) * (changes.ndim - 2))
    return changes


def select_series(table: pd.DataFrame, roles: Roles, place: str) -> list[Series]:
    """Return the series of a table, with the columns of the training.

    Raises:
        LookupError: the table lacks a column.
        DataError: as in `split_series`.
    """
    check_columns(table, [roles.time, *filter(None, [roles.series_id]), *roles.values], place)
    return split_series(table, time=roles.time, series_id=roles.series_id, values=roles.values, place=place)


def last_windows(
    table: pd.DataFrame, state: SeriesState, *, fill: str, diff: int, place: str
) -> Iterator[LastWindow | BadInput]:
    """Yield the last window of each series in a table, or a `BadInput` if a series is too short or has gaps.

    Rows after the last known target hold the columns known ahead; without such columns they are ignored.

    Args:
        table: table as returned by `read_frame`.
        state: columns, steps, scaling and sizes of the training.
        fill: handling of missing values.
        diff: number of times that the targets are differenced.
        place: name of the table, for messages.

    Raises:
        LookupError: the table lacks a column of the training.
        DataError: as in `split_series`.
    """
    found = select_series(table, state.roles, place)
    unseen = [series.name for series in found if series.name not in state.names]
    if unseen:
        log.warning("%s: forecasting series that were not in the training data: %s", place, ", ".join(unseen[:8]))
    for series in found:
        try:
            yield _cut_last_window(series, state, fill=fill, diff=diff, place=place)
        except DataError as error:
            yield BadInput(str(error))


def _cut_last_window(series: Series, state: SeriesState, *, fill: str, diff: int, place: str) -> LastWindow:
    place = f"{place}, series {series.name}" if series.name else place
    num_targets, num_known = len(state.roles.targets), len(state.roles.known)
    _check_freq(series.times, state.freq, place)
    past = cut_after_last_target(series, num_targets)._replace(name="")
    end = len(past.times)
    if end < state.lookback + diff:
        raise DataError(
            f"{place}: expected at least {state.lookback + diff:,} rows, the lookback of the training"
            + (f" and {diff} for the differences" if diff else "")
            + f", received {end:,}: add earlier rows"
        )
    past = fill_gaps(past, state.roles.values, state.freq, fill, place)
    levels = [np.diff(past.values[:, :num_targets], order, axis=0)[-1] for order in range(diff)]
    values = difference(past, num_targets, diff).values
    num_rows = len(values)
    if num_known:
        ahead = series.values[end : end + state.horizon]
        if len(ahead) < state.horizon or np.isnan(ahead[:, -num_known:]).any():
            raise DataError(
                f"{place}: expected {state.horizon} rows after the last known target, with values of the columns known "
                f"ahead ({', '.join(state.roles.known)}), received {len(ahead)}"
            )
        values = np.concatenate([values, ahead])
    inputs = state.inputs(state.scale_columns(values), mask=fill == "mask")
    x = inputs[num_rows - state.lookback : num_rows]
    return LastWindow(series.name, continue_steps(past.times, state.freq, state.horizon), x, levels)


def _check_freq(times: pd.DatetimeIndex, freq: str, place: str) -> None:
    if freq == ROWS or len(times) < 3:
        return
    own = find_freq(times)
    if own is None:
        complete_steps(times, own, place)
    expected, received = steps_between(times, freq), steps_between(times, str(own))
    if len(expected) != len(received) or not times.isin(expected).all():
        raise DataError(f"{place}: expected steps of {freq}, as in training, received {own}: resample the table")


def tabulate_forecasts(
    windows: Sequence[LastWindow], forecasts: NDArray[np.float64], state: SeriesState, quantiles: Sequence[float]
) -> pd.DataFrame:
    """Tabulate forecasts with a row for each series and step: time stamp, targets, and quantiles if there are any.

    Args:
        windows: the last windows, B of them.
        forecasts: forecasts in units of the differenced targets, (B, P, C), or (B, P, C, Q).
        state: names of the columns.
        quantiles: Q levels; the middle one is in the column of the target, others in columns such as `<target>_q10`.
    """
    tables = []
    for window, forecast in zip(windows, forecasts, strict=True):
        values = undo_differences(forecast, window.levels)
        columns: dict[str, object] = {} if state.roles.series_id is None else {state.roles.series_id: window.name}
        columns[state.roles.time] = window.times
        for index, target in enumerate(state.roles.targets):
            if values.ndim == 2:
                columns[target] = values[:, index]
                continue
            for position, level in enumerate(quantiles):
                name = target if position == len(quantiles) // 2 else f"{target}_q{100 * level:g}"
                columns[name] = values[:, index, position]
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


MOST_CELLS = 50_000_000  # largest number of values in a window, steps times columns


@dataclass(frozen=True, kw_only=True)
class SeriesCodec(Codec):
    """Encode last windows of series (B, L, F) float32, and decode forecasts (B, P, C) or (B, P, C, Q).

    Args:
        state: columns, steps, scaling and sizes.
        fill: handling of missing values: error, forward, interpolate or mask.
        diff: number of times that the targets are differenced.
    """

    domain: ClassVar[str] = "series"
    state: SeriesState
    fill: str
    diff: int

    @property
    def lookback(self) -> int:
        """Return the number of past steps in the net's input."""
        return self.state.lookback

    @property
    def horizon(self) -> int:
        """Return the number of steps to forecast."""
        return self.state.horizon

    @property
    def season(self) -> int:
        """Return the number of steps in a season."""
        return self.state.season

    @property
    def target_names(self) -> list[str]:
        """Return the columns to forecast, in the order of the net's outputs."""
        return list(self.state.roles.targets)

    @property
    def num_targets(self) -> int:
        """Return the number of columns to forecast."""
        return len(self.state.roles.targets)

    @property
    def num_features(self) -> int:
        """Return the number of columns of the net's input."""
        roles = self.state.roles
        return len(roles.values) * (2 if self.fill == "mask" else 1) + len(roles.known)

    @property
    def units(self) -> dict[str, list[float]]:
        """Return `mean` and `std` of each target, which undo the scaling, and `naive_error`, the divisor of MASE."""
        state, targets = self.state, slice(self.num_targets)
        return {"mean": state.mean[targets], "std": state.std[targets], "naive_error": state.naive_error}

    def unscale(self, y: Tensor) -> Tensor:
        """Convert scaled targets (..., C) to the units of the table, or of its differences if `diff` is above 0."""
        mean, std = (torch.tensor(self.units[name], device=y.device, dtype=y.dtype) for name in ("mean", "std"))
        return y * std + mean

    def ticks(self, x: Tensor) -> list[str]:
        """Return the distance of each step of a window (L, F) from the forecast, such as -1."""
        return [str(step - len(x)) for step in range(len(x))]

    def last_windows(self, table: pd.DataFrame, place: str = "the table") -> Iterator[LastWindow | BadInput]:
        """Yield the last window of each series in a table, as the function `last_windows`."""
        return last_windows(table, self.state, fill=self.fill, diff=self.diff, place=place)

    def encode(self, samples: Sequence[LastWindow]) -> Tensor:
        """Encode last windows of series as a batch (B, L, F) float32."""
        return torch.from_numpy(np.stack([sample.x for sample in samples]))

    def decode(
        self, samples: Sequence[LastWindow], predictions: Tensor, quantiles: Sequence[float] = ()
    ) -> pd.DataFrame:
        """Decode forecasts as a row for each series and step, in the columns and units of the table.

        Args:
            samples: the windows that were encoded.
            predictions: scaled forecasts (B, P, C), or quantiles (B, P, C, Q).
            quantiles: levels of the last dimension, if there is one.
        """
        if predictions.ndim == 4:
            predictions = self.unscale(predictions.transpose(2, 3)).transpose(2, 3)
        else:
            predictions = self.unscale(predictions)
        return tabulate_forecasts(samples, predictions.double().numpy(), self.state, quantiles)

    def dummy_batch(self) -> Tensor:
        """Return two random windows (2, L, F) float32."""
        return torch.randn(2, self.lookback, self.num_features, generator=torch.Generator().manual_seed(0))

    def metadata(self) -> dict[str, Any]:
        """Return columns, sizes and scaling: (value - mean) / std, with the columns ordered targets, past, known."""
        return {"domain": self.domain, "fill": self.fill, "diff": self.diff, **self.state.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """Return columns, steps, scaling and sizes as plain data."""
        return {**self.state.to_dict(), "fill": self.fill, "diff": self.diff}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`.

        Raises:
            CheckpointError: the windows exceed `MOST_CELLS` values.
        """
        own = {"fill": state["fill"], "diff": state["diff"]}
        known = SeriesState.from_dict({name: value for name, value in state.items() if name not in own})
        if max(known.lookback, known.horizon) * len(known.roles.values) > MOST_CELLS:
            raise CheckpointError(
                f"the checkpoint's windows have {known.lookback:,} and {known.horizon:,} steps: it is damaged or forged"
            )
        return cls(state=known, **own)
