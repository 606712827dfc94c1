"""The codec of series: the last window of each series, and forecasts in the columns and units of the table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from lightfit.errors import BadInput

from ..codec import Codec
from .differences import undo_differences
from .last_windows import LastWindow, NewRows, last_windows
from .state import SeriesState
from .zones import format_stamps


@dataclass(frozen=True, kw_only=True, eq=False)
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
        return self.state.num_targets

    @property
    def num_features(self) -> int:
        """Return the number of columns of the net's input."""
        return self.state.layout.num_features

    @property
    def num_known(self) -> int:
        """Return the number of columns known ahead."""
        return self.state.layout.num_known

    @property
    def num_static(self) -> int:
        """Return the number of columns with one value a series."""
        return self.state.layout.num_static

    @property
    def masked(self) -> bool:
        """Return whether the net's input has masks of missing values."""
        return self.state.masked

    @property
    def units(self) -> dict[str, list[float]]:
        """Return `mean` and `std` of each target, which undo the scaling, and `naive_error`, the divisor of MASE.

        Of several series with a scale each, whose unit is their scale, the mean `naive_error`.
        """
        scale, targets = self.state.scale, slice(self.num_targets)
        if len(scale.mean) == 1:
            found = scale.mean[0, targets], scale.std[0, targets], scale.naive_error.mean(0)
        else:
            found = np.zeros(self.num_targets), np.ones(self.num_targets), scale.naive_error.mean(0)
        return {name: values.tolist() for name, values in zip(("mean", "std", "naive_error"), found, strict=True)}

    def unscale(self, y: Tensor) -> Tensor:
        """Convert scaled targets (..., C) to the units of the table, or of its differences if `diff` is above 0.

        Of several series with a scale each they stay as they are: see `SeriesDataModule.windows`.
        """
        dtype = torch.float32 if y.device.type == "mps" else torch.float64  # which that device lacks
        mean, std = (torch.tensor(self.units[name], device=y.device, dtype=dtype) for name in ("mean", "std"))
        return y.to(mean.dtype) * std + mean

    def ticks(self, x: Tensor) -> list[str]:
        """Return the distance of each step of a window (L, F) from the forecast, such as -1."""
        return [str(step - len(x)) for step in range(len(x))]

    def neutral(self, x: Tensor) -> Tensor:
        """Return windows whose columns stay at their mean over the known steps; masks, and what is masked, stay."""
        layout, num_steps = self.state.layout, x.shape[1]
        present = torch.ones_like(x)
        if self.masked:
            present[..., : layout.num_values] = 1 - x[..., -layout.num_values :]
        mean = (x * present).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp(min=1)
        flat = torch.where(present > 0, mean.expand(-1, num_steps, -1), x)
        if self.masked:
            flat[..., -layout.num_values :] = x[..., -layout.num_values :]
        return flat

    def list_inputs(self) -> list[tuple[str, int]]:
        """Return the column of the table that each column of a window holds, and how many steps later; masks: ""."""
        layout, columns = self.state.layout, self.state.columns
        known = columns[layout.num_values - layout.num_known : layout.num_values]
        held = [*((name, 0) for name in columns[: layout.num_values]), *((name, self.horizon) for name in known)]
        held += [(name, 0) for name in columns[layout.num_values :]]
        return held + [("", 0)] * (layout.num_features - len(held))

    def last_windows(
        self, table: pd.DataFrame, place: str = "the table", asked: NewRows = NewRows()
    ) -> Iterator[LastWindow | BadInput]:
        """Yield the last window of each series in a table, as the function `last_windows`."""
        return last_windows(
            table, self.state, asked._replace(fill=asked.fill or self.fill), diff=self.diff, place=place
        )

    def encode(self, samples: Sequence[LastWindow]) -> Tensor:
        """Encode last windows of series as a batch (B, L, F) float32."""
        return torch.from_numpy(np.stack([sample.x for sample in samples]))

    def warn(self, samples: Sequence[LastWindow], x: Tensor) -> list[str]:
        """Return of which windows less than a season is known, in one sentence; an empty string for the others."""
        known = [min(sample.end, self.lookback) for sample in samples]
        least = min(self.season, self.lookback)
        return [
            f"the forecast is from {own} known steps, fewer than a season of {least}" if own < least else ""
            for own in known
        ]

    def advance(self, samples: Sequence[LastWindow], forecasts: Tensor) -> list[LastWindow]:
        """Return the windows a horizon later, with forecasts in the place of what is not known yet.

        Args:
            samples: the windows.
            forecasts: their scaled forecasts, (B, P, C).
        """
        return [
            sample.advance(self.state, forecast.double().numpy())
            for sample, forecast in zip(samples, forecasts, strict=True)
        ]

    def decode(
        self, samples: Sequence[LastWindow], predictions: Tensor, quantiles: Sequence[float] = ()
    ) -> pd.DataFrame:
        """Decode forecasts as a row for each series and step, in the columns and units of the table.

        Args:
            samples: the windows that were encoded; all to be forecast for the same number of steps.
            predictions: scaled forecasts (B, P, C), or quantiles (B, P, C, Q), of P steps.
            quantiles: levels of the last dimension, if there is one; the middle one is in the column of the target,
                others in columns such as `<target>_q10`.
        """
        values = predictions.double().numpy()
        tables = [self._tabulate(sample, own, quantiles) for sample, own in zip(samples, values, strict=True)]
        return pd.concat(tables, ignore_index=True)

    def list_known(self, sample: LastWindow) -> pd.DataFrame:
        """Return the last rows before a forecast, in the columns of `decode` and the units of the table."""
        columns = self._name_rows(sample, sample.known_times)
        columns |= {name: sample.known[:, index] for index, name in enumerate(self.target_names)}
        return pd.DataFrame(columns)

    def _name_rows(self, sample: LastWindow, times: NDArray[np.datetime64]) -> dict[str, object]:
        """Return the ids of a series and time stamps as columns, as the user writes them."""
        roles, zone = self.state.roles, self.state.zone
        columns: dict[str, object] = dict(zip(roles.series_id, sample.ids, strict=True))
        return columns | {roles.time[0]: times if zone is None else format_stamps(times, zone)}

    def _tabulate(self, sample: LastWindow, forecast: NDArray[np.float64], quantiles: Sequence[float]) -> pd.DataFrame:
        state, more = self.state, (1,) * (forecast.ndim - 2)
        mean, std = (values[: self.num_targets].reshape(-1, *more) for values in (sample.mean, sample.std))
        values = undo_differences(forecast * std + mean, sample.levels)
        values = np.maximum(values, np.array(state.lower).reshape(-1, *more))
        columns = self._name_rows(sample, sample.times[: len(values)])
        for index, target in enumerate(state.roles.targets):
            if values.ndim == 2:
                columns[target] = values[:, index]
                continue
            for position, level in enumerate(quantiles):
                name = target if position == len(quantiles) // 2 else f"{target}_q{100 * level:g}"
                columns[name] = values[:, index, position]
        return pd.DataFrame(columns)

    def dummy_batch(self) -> Tensor:
        """Return two random windows (2, L, F) float32."""
        x = torch.randn(2, self.lookback, self.num_features, generator=torch.Generator().manual_seed(0))
        if self.masked:
            x[..., -self.state.layout.num_values :] = 0
        return x

    def metadata(self) -> dict[str, Any]:
        """Return columns, sizes and scaling: (value - mean) / std of each series, with the columns in that order."""
        layout = self.state.layout
        sizes = {"num_known": layout.num_known, "num_static": layout.num_static}
        return {"domain": self.domain, **self.to_dict(), "columns": list(self.state.columns), **sizes}

    def to_dict(self) -> dict[str, Any]:
        """Return columns, steps, scaling and sizes as plain data."""
        return {**self.state.to_dict(), "fill": self.fill, "diff": self.diff}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build a codec from the return value of `to_dict`.

        Raises:
            CheckpointError: the windows exceed `MOST_CELLS` values.
        """
        return cls(state=SeriesState.from_dict(state), fill=state["fill"], diff=int(state["diff"]))
