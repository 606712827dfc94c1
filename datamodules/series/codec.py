"""The end of a series as a window for the net, and its forecast in the table's own columns and units."""

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
from .calendar import ROWS, complete, continue_steps, fill_gaps, find_freq, steps_between
from .scaler import SeriesState
from .table import Roles, Series, check_columns, split_series

log = logging.getLogger(__name__)


class LastWindow(NamedTuple):
    """What the net gets of a series, and what it takes to undo differences and scaling of its forecast."""

    name: str
    times: pd.DatetimeIndex  # of the steps to forecast, (P,)
    x: NDArray[np.float32]  # (L, F)
    levels: list[NDArray[np.float64]]  # last value of each target, and of its change, as often as it was differenced


def difference(series: Series, num_targets: int, diff: int) -> Series:
    """Return the series with each target differenced `diff` times; as many rows shorter.

    Args:
        series: a series whose first columns are the targets.
        num_targets: number of targets.
        diff: how often.
    """
    targets = np.diff(series.values[:, :num_targets], diff, axis=0)
    values = np.concatenate([targets, series.values[diff:, num_targets:]], 1)
    return series._replace(times=series.times[diff:], values=values)


def until_last_target(series: Series, num_targets: int) -> Series:
    """Return the series without the rows after its last known target, which hold only what is known ahead."""
    known = np.flatnonzero((~np.isnan(series.values[:, :num_targets])).any(1))
    end = int(known[-1]) + 1 if len(known) else 0
    return series._replace(times=series.times[:end], values=series.values[:end])


def sum_up(changes: NDArray[np.float64], levels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Undo differences: changes from step to step to values, (P, ...).

    Args:
        changes: forecasts of the differenced targets, (P, C), or quantiles of them, (P, C, Q).
        levels: as in `LastWindow`.
    """
    for level in reversed(levels):
        changes = changes.cumsum(0) + level.reshape(level.shape + (1,) * (changes.ndim - 2))
    return changes


def known_series(table: pd.DataFrame, roles: Roles, place: str) -> list[Series]:
    """Return the series of a table whose columns are known from training.

    Raises:
        LookupError: it lacks one of them.
        DataError: as in `split_series`.
    """
    check_columns(table, [roles.time, *filter(None, [roles.series_id]), *roles.values], place)
    return split_series(table, time=roles.time, series_id=roles.series_id, values=roles.values, place=place)


def last_windows(
    table: pd.DataFrame, state: SeriesState, *, fill: str, diff: int, place: str
) -> Iterator[LastWindow | BadInput]:
    """Yield the end of each series of a table, a series that is too short or has gaps as `BadInput`.

    Rows after the last known target hold what is known ahead; without such columns they are left out.

    Args:
        table: as `read_frame` returns it.
        state: columns, steps, scaling and sizes of the training.
        fill: what is done about missing values.
        diff: how often the targets are differenced.
        place: name of the table, for messages.

    Raises:
        LookupError: it lacks a column that the training had.
        DataError: as in `split_series`.
    """
    found = known_series(table, state.roles, place)
    unseen = [series.name for series in found if series.name not in state.names]
    if unseen:
        log.warning("%s: series never seen in training, which are forecast as well: %s", place, ", ".join(unseen[:8]))
    for series in found:
        try:
            yield _last_window(series, state, fill=fill, diff=diff, place=place)
        except DataError as error:
            yield BadInput(str(error))


def _last_window(series: Series, state: SeriesState, *, fill: str, diff: int, place: str) -> LastWindow:
    place = f"{place}, series {series.name}" if series.name else place
    num_targets, num_known = len(state.roles.targets), len(state.roles.known)
    _check_freq(series.times, state.freq, place)
    past = until_last_target(series, num_targets)._replace(name="")
    end = len(past.times)
    if end < state.lookback + diff:
        raise DataError(
            f"{place}: {end:,} rows, and a forecast needs {state.lookback + diff:,}, the look-back of the training"
            + (f" and {diff} to take differences from" if diff else "")
        )
    past = fill_gaps(past, state.roles.values, state.freq, fill, place)
    levels = [np.diff(past.values[:, :num_targets], order, axis=0)[-1] for order in range(diff)]
    values = difference(past, num_targets, diff).values
    num_rows = len(values)
    if num_known:
        ahead = series.values[end : end + state.horizon]
        if len(ahead) < state.horizon or np.isnan(ahead[:, -num_known:]).any():
            raise DataError(
                f"{place}: expected {state.horizon} rows after the last known target, with what is known ahead "
                f"({', '.join(state.roles.known)}), received {len(ahead)}"
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
        complete(times, own, place)
    expected, received = steps_between(times, freq), steps_between(times, str(own))
    if len(expected) != len(received) or not times.isin(expected).all():
        raise DataError(f"{place}: its steps are {own}, and the training's were {freq}: bring it to these steps")


def forecast_table(
    windows: Sequence[LastWindow], forecasts: NDArray[np.float64], state: SeriesState, quantiles: Sequence[float]
) -> pd.DataFrame:
    """Return a row for each series and step: the time stamp, each target, and its quantiles where there are several.

    Args:
        windows: B of them.
        forecasts: in the units of the differenced targets, (B, P, C), or (B, P, C, Q).
        state: names of the columns.
        quantiles: levels, Q of them; the middle one stands in the target's own column, the lowest in `<target>_q10`.
    """
    tables = []
    for window, forecast in zip(windows, forecasts, strict=True):
        values = sum_up(forecast, window.levels)
        columns: dict[str, object] = {} if state.roles.series_id is None else {state.roles.series_id: window.name}
        columns[state.roles.time] = window.times
        for number, target in enumerate(state.roles.targets):
            if values.ndim == 2:
                columns[target] = values[:, number]
                continue
            for place, level in enumerate(quantiles):
                name = target if place == len(quantiles) // 2 else f"{target}_q{100 * level:g}"
                columns[name] = values[:, number, place]
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


MOST_CELLS = 50_000_000  # steps times columns of a window


@dataclass(frozen=True, kw_only=True)
class SeriesCodec(Codec):
    """Encode the ends of series as windows (B, L, F) float32, and decode forecasts (B, P, C) or (B, P, C, Q).

    Args:
        state: columns, steps, scaling and sizes.
        fill: what is done about missing values: error, forward, interpolate or mask.
        diff: how often the targets are differenced.
    """

    domain: ClassVar[str] = "series"
    state: SeriesState
    fill: str
    diff: int

    @property
    def lookback(self) -> int:
        """Return the number of steps that the net sees."""
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
        """Return of each target `mean` and `std`, which undo the scaling, and `naive_error`, by which MASE divides."""
        state, targets = self.state, slice(self.num_targets)
        return {"mean": state.mean[targets], "std": state.std[targets], "naive_error": state.naive_error}

    def unscale(self, y: Tensor) -> Tensor:
        """Return scaled targets (..., C) in the units of the table, or of its changes where it is differenced."""
        mean, std = (torch.tensor(self.units[name], device=y.device, dtype=y.dtype) for name in ("mean", "std"))
        return y * std + mean

    def ticks(self, x: Tensor) -> list[str]:
        """Return for each step of a window (L, F) how many steps before the forecast it lies."""
        return [str(step - len(x)) for step in range(len(x))]

    def last_windows(self, table: pd.DataFrame, place: str = "the table") -> Iterator[LastWindow | BadInput]:
        """Yield the ends of the series in a table, as the function `last_windows`."""
        return last_windows(table, self.state, fill=self.fill, diff=self.diff, place=place)

    def encode(self, samples: Sequence[LastWindow]) -> Tensor:
        """Encode the ends of series as windows (B, L, F) float32."""
        return torch.from_numpy(np.stack([sample.x for sample in samples]))

    def decode(
        self, samples: Sequence[LastWindow], predictions: Tensor, quantiles: Sequence[float] = ()
    ) -> pd.DataFrame:
        """Decode forecasts as a row for each series and step, in the table's own columns and units.

        Args:
            samples: what was encoded.
            predictions: scaled forecasts (B, P, C), or quantiles (B, P, C, Q).
            quantiles: levels along the last dimension, if there are several.
        """
        if predictions.ndim == 4:
            predictions = self.unscale(predictions.transpose(2, 3)).transpose(2, 3)
        else:
            predictions = self.unscale(predictions)
        return forecast_table(samples, predictions.double().numpy(), self.state, quantiles)

    def dummy_batch(self) -> Tensor:
        """Return windows (2, L, F) float32, at random."""
        return torch.randn(2, self.lookback, self.num_features, generator=torch.Generator().manual_seed(0))

    def metadata(self) -> dict[str, Any]:
        """Return columns, sizes and scaling: a column is (value - mean) / std, in the order targets, past, known."""
        return {"domain": self.domain, "fill": self.fill, "diff": self.diff, **self.state.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """Return columns, steps, scaling and sizes as plain data."""
        return {**self.state.to_dict(), "fill": self.fill, "diff": self.diff}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Return the codec that `to_dict` describes.

        Raises:
            CheckpointError: its windows are longer than any that are made.
        """
        own = {"fill": state["fill"], "diff": state["diff"]}
        known = SeriesState.from_dict({name: value for name, value in state.items() if name not in own})
        if max(known.lookback, known.horizon) * len(known.roles.values) > MOST_CELLS:
            raise CheckpointError(
                f"the checkpoint's windows have {known.lookback:,} and {known.horizon:,} steps: it is damaged or forged"
            )
        return cls(state=known, **own)
