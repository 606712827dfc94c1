"""From the end of a series to its forecast, by what was learned from the training part."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.errors import BadInput, CheckpointError, DataError, NotFoundError

from ..base import DataModule
from .calendar import ROWS, complete, fill_gaps, find_freq, go_on, steps_between
from .scaler import SeriesState
from .table import Roles, Series, check_columns, check_file, parse_frame, read_frame, split_series

log = logging.getLogger(__name__)


class LastWindow(NamedTuple):
    """What the net gets of a series, and what it takes to say its forecast in the table's own terms."""

    name: str
    times: pd.DatetimeIndex  # of the steps to forecast, (P,)
    x: NDArray[np.float32]  # (L, F)
    levels: list[NDArray[np.float64]]  # last value of each target, and of its change, as often as it was differenced


def difference(series: Series, num_targets: int, diff: int) -> Series:
    """The series with each target replaced by its change from step to step, `diff` times; as many rows shorter.

    Args:
        series: a series whose first columns are the targets.
        num_targets: number of targets.
        diff: how often.
    """
    targets = np.diff(series.values[:, :num_targets], diff, axis=0)
    values = np.concatenate([targets, series.values[diff:, num_targets:]], 1)
    return series._replace(times=series.times[diff:], values=values)


def until_last_target(series: Series, num_targets: int) -> Series:
    """The series without the rows after its last known target, which hold only what is known ahead."""
    known = np.flatnonzero((~np.isnan(series.values[:, :num_targets])).any(1))
    end = int(known[-1]) + 1 if len(known) else 0
    return series._replace(times=series.times[:end], values=series.values[:end])


def sum_up(changes: NDArray[np.float64], levels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Changes from step to step back to values, (P, ...).

    Args:
        changes: forecasts of the differenced targets, (P, C), or quantiles of them, (P, C, Q).
        levels: as in `LastWindow`.
    """
    for level in reversed(levels):
        changes = changes.cumsum(0) + level.reshape(level.shape + (1,) * (changes.ndim - 2))
    return changes


def known_series(table: pd.DataFrame, roles: Roles, place: str) -> list[Series]:
    """The series of a table whose columns training told.

    Raises:
        LookupError: it lacks one of them.
        DataError: as in `split_series`.
    """
    check_columns(table, [roles.time, *filter(None, [roles.series_id]), *roles.values], place)
    return split_series(table, time=roles.time, series_id=roles.series_id, values=roles.values, place=place)


def last_windows(
    table: pd.DataFrame, state: SeriesState, *, fill: str, diff: int, place: str
) -> Iterator[LastWindow | BadInput]:
    """The end of each series of a table.

    Rows after the last known target hold what is known ahead; without such columns they are left out.

    Args:
        table: as `read_frame` returns it.
        state: what the training told.
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
        log.warning("%s: never seen in training: %s; forecast all the same", place, ", ".join(unseen[:8]))
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
    inputs = state.inputs(state.scaled(values), mask=fill == "mask")
    x = inputs[num_rows - state.lookback : num_rows]
    return LastWindow(series.name, go_on(past.times, state.freq, state.horizon), x, levels)


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
    """A row for each series and step: the time stamp, each target, and its quantiles where there are several.

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


class ForecastDataModule(DataModule):
    """Series whose columns, steps, scaling and sizes are known, in `state`."""

    fill: str  # what is done about missing values
    diff: int  # how often the targets are differenced
    _state: SeriesState | None = None

    @property
    def state(self) -> SeriesState:
        """What was learned from the training part; reads the data the first time."""
        if self._state is None:
            self.setup()
        assert self._state is not None
        return self._state

    @property
    def lookback(self) -> int:
        """Number of steps that the net sees."""
        return self.state.lookback

    @property
    def horizon(self) -> int:
        """Number of steps to forecast."""
        return self.state.horizon

    @property
    def season(self) -> int:
        """Number of steps in a season."""
        return self.state.season

    @property
    def target_names(self) -> list[str]:
        """The columns to forecast, in the order of the net's outputs."""
        return list(self.state.roles.targets)

    @property
    def num_targets(self) -> int:
        """Number of columns to forecast."""
        return len(self.state.roles.targets)

    @property
    def num_features(self) -> int:
        """Number of columns of the net's input."""
        roles = self.state.roles
        return len(roles.values) * (2 if self.fill == "mask" else 1) + len(roles.known)

    @property
    def units(self) -> dict[str, list[float]]:
        """Of each target: `mean` and `std`, which undo the scaling, and `naive_error`, by which MASE divides."""
        state, number = self.state, self.num_targets
        return {"mean": state.mean[:number], "std": state.std[:number], "naive_error": state.naive_error}

    @property
    def limits(self) -> list[str]:
        """What a forecaster is not meant for."""
        return [
            f"More than {self.horizon} steps ahead, steps other than {self.state.freq}, or other columns than "
            f"{', '.join(self.state.roles.values)}.",
            "A future unlike the past: after a break in the series the scores above no longer hold, nor do intervals.",
            "Decisions that rest on one forecast alone: look at its interval, and at the naive forecasts beside it.",
        ]

    def unscale(self, y: Tensor) -> Tensor:
        """Scaled targets (..., C) in the units of the table, or of its changes where it is differenced."""
        mean, std = (torch.tensor(self.units[name], device=y.device, dtype=y.dtype) for name in ("mean", "std"))
        return y * std + mean

    def ticks(self, x: Tensor) -> list[str]:
        """For each step of a window (L, F) how many steps before the forecast it lies."""
        return [str(step - len(x)) for step in range(len(x))]

    @property
    def request_schema(self) -> dict[str, Any]:
        """`{"rows": [...]}`, a table of series."""
        roles = self.state.roles
        columns: dict[str, dict[str, Any]] = {
            name: {"type": "string"} for name in (roles.time, roles.series_id) if name
        }
        columns |= {name: {"type": ["number", "null"]} for name in roles.values}
        row = {"type": "object", "required": list(columns), "properties": columns}
        rows = {"type": "array", "items": row, "minItems": 1}
        return {"type": "object", "required": ["rows"], "properties": {"rows": rows}}

    def from_request(self, body: dict[str, Any]) -> list[LastWindow | BadInput]:
        """The ends of the series in `{"rows": [...]}`, a dict of columns for each row of a table."""
        rows = body.get("rows")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise DataError('expected {"rows": [{"column": value}]}, a row of the table after the other, by time')
        return self._windows_of(pd.DataFrame(rows).rename(columns=str), "the rows")

    def from_upload(self, name: str, content: bytes) -> list[LastWindow | BadInput]:
        """The ends of the series in a table, such as a CSV."""
        try:
            return self._windows_of(parse_frame(content.decode("utf-8-sig"), name), name)
        except UnicodeDecodeError as error:
            raise DataError(f"'{name}' is not UTF-8 ({error.reason}): expected a CSV in UTF-8") from error

    def _windows_of(self, table: pd.DataFrame, place: str) -> list[LastWindow | BadInput]:
        try:
            return list(self.last_windows(table, place))
        except LookupError as error:
            raise DataError(str(error.args[0])) from error

    def metadata(self) -> dict[str, Any]:
        """Columns, sizes and scaling: a column is (value - mean) / std, in the order targets, past, known."""
        return {"domain": "series", "fill": self.fill, "diff": self.diff, **self.state.to_dict()}

    def example_batch(self) -> Tensor:
        """Windows (2, L, F) float32."""
        return torch.randn(2, self.lookback, self.num_features, generator=torch.Generator().manual_seed(0))

    def stream_inputs(self, inputs: list[str], column: str | int | None = None) -> Iterator[LastWindow | BadInput]:
        """The ends of the series in the tables that the arguments name; `-` is a CSV on standard input.

        Raises:
            LookupError: a column is named: the training tells them.
        """
        if column is not None:
            raise NotFoundError(
                f"the columns of series are those of the training, received --column {column}: leave it out"
            )
        for item in inputs:  # before the first is predicted: a slip in the last costs nothing then
            if item != "-":
                check_file(Path(item))
        return self._stream(inputs)

    def _stream(self, inputs: list[str]) -> Iterator[LastWindow | BadInput]:
        for item in inputs:
            try:
                if item == "-":
                    yield from self.last_windows(parse_frame(sys.stdin.read(), "standard input"), "standard input")
                else:
                    yield from self.last_windows(read_frame(Path(item)), item)
            except (DataError, LookupError) as error:
                yield BadInput(str(error))

    def tabulate(self, outputs: Mapping[str, Tensor]) -> pd.DataFrame:
        """A row for each window: the forecasts `<target>_<step>`, in the units of the table or of its changes."""
        forecast = outputs["forecast"].float()
        point = self.unscale(forecast if forecast.ndim == 3 else forecast[..., forecast.shape[3] // 2])
        names = [f"{target}_{step + 1}" for step in range(self.horizon) for target in self.target_names]
        return pd.DataFrame(point.flatten(1).numpy(), columns=names)

    def last_windows(self, table: pd.DataFrame, place: str) -> Iterator[LastWindow | BadInput]:
        """The ends of the series in a table, as `series_inputs.last_windows`."""
        return last_windows(table, self.state, fill=self.fill, diff=self.diff, place=place)

    def encode(self, samples: Sequence[LastWindow]) -> Tensor:
        """Windows (B, L, F) float32."""
        return torch.from_numpy(np.stack([sample.x for sample in samples]))

    def decode(
        self, samples: Sequence[LastWindow], predictions: Tensor, quantiles: Sequence[float] = ()
    ) -> pd.DataFrame:
        """A row for each series and step, in the table's own columns and units."""
        if predictions.ndim == 4:
            predictions = self.unscale(predictions.transpose(2, 3)).transpose(2, 3)
        else:
            predictions = self.unscale(predictions)
        return forecast_table(samples, predictions.double().numpy(), self.state, quantiles)

    def state_dict(self) -> dict[str, Any]:
        """Columns, steps, scaling and sizes."""
        return self.state.to_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them from a checkpoint."""
        state = SeriesState.from_dict(state_dict)
        if max(state.lookback, state.horizon) * len(state.roles.values) > MOST_CELLS:
            raise CheckpointError(
                f"the checkpoint's windows have {state.lookback:,} and {state.horizon:,} steps: it is damaged or forged"
            )
        self._state = state
