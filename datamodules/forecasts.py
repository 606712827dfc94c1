"""What is known of series once the training part was read, and forecasts from that alone, as from a checkpoint."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from datamodules.base import DataModule
from datamodules.errors import BadInput, DataError
from datamodules.series_inputs import LastWindow, forecast_table, last_windows
from datamodules.series_state import SeriesState
from datamodules.series_tables import check_file, parse_frame, read_frame
from lightfit.errors import CheckpointError

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
            raise LookupError(
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
