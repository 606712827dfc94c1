"""Series in time to windows of the past and what came after them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from datamodules.base import DATA_DIR
from datamodules.batches import Batches
from datamodules.errors import DataError
from datamodules.forecasts import ForecastDataModule
from datamodules.series_cells import Series, split_series
from datamodules.series_gaps import fill_gaps
from datamodules.series_inputs import difference, known_series, until_last_target
from datamodules.series_naive import naive_lines
from datamodules.series_parts import (
    common_freq,
    cut_parts,
    describe_series,
    learn_state,
    window_places,
)
from datamodules.series_sources import locate
from datamodules.series_tables import Roles, SeriesColumns, choose_roles, read_frame
from datamodules.series_windows import SeriesBatches
from datamodules.splits import rolling_fold, split_by_time


class SeriesDataModule(ForecastDataModule):
    """Series in time: x (B, lookback, F) float32, y (B, horizon, C) float32, both scaled.

    The targets are the first C columns of x. Scaling comes from the training part alone; time is split by time.

    Args:
        path: a table (.csv, .tsv, .parquet) with a column of time stamps, or a published series: seattle-temps
            (installed with LightFit), covid-19, etth1 (downloaded).
        target: the columns to forecast; all columns of numbers that are for nothing else where none is named.
        columns: what the other columns are: time, series_id, past, known.
        lookback: number of steps that the net sees; null: the seasons that go into 336 steps and half of train.
        horizon: number of steps to forecast; null: a season, as far as val and test are long enough.
        stride: number of steps from one training window to the next; in evaluation every window counts.
        split: what train, val and test have: three fractions, three numbers of rows, or two dates, the first ones of
            val and of test. Without val, training is watched on its own windows.
        diff: how often each target is replaced by its change from step to step; undone in predictions.
        scale: standard (mean 0 and standard deviation 1 in training) or none.
        fill: what to do about missing values and steps: error, forward (the last value again), interpolate, or mask,
            which leaves them out of loss and scores and tells the net.
        freq: frequency of the steps in pandas' words, such as h or 15min; rows: each row is a step; null: found.
        season: number of steps in a season; null: a day, a week or a year, as the frequency suggests.
        batch_size: number of windows in a batch, on each device.
        fold: a fold of a cross-validation, such as 2/5: of 6 blocks of train and val, train is the first 2 and val the
            third; fit.py --folds runs them all.
        seed: seed of the order; the command line sets it from --seed_everything.
    """

    source_argument = "path"
    reading_arguments = ("fill", "batch_size")

    def __init__(
        self,
        path: str,
        *,
        target: tuple[str, ...] | str = (),
        columns: SeriesColumns = SeriesColumns(),
        lookback: int | None = None,
        horizon: int | None = None,
        stride: int = 1,
        split: tuple[float, ...] | tuple[str, ...] = (0.7, 0.1, 0.2),
        diff: int = 0,
        scale: Literal["standard", "none"] = "standard",
        fill: Literal["error", "forward", "interpolate", "mask"] = "error",
        freq: str | None = None,
        season: int | None = None,
        batch_size: int = 32,
        fold: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        check_least(1, lookback=lookback, horizon=horizon, stride=stride, season=season)
        check_least(0, diff=diff)
        self.path = path
        self.target = (target,) if isinstance(target, str) else tuple(target)
        self.columns = columns
        self._asked = {"lookback": lookback, "horizon": horizon, "season": season}
        self.stride = stride
        self.split = split
        self.diff = diff
        self.scale = scale
        self.fill = fill
        self.freq = freq
        self.fold = fold

    def prepare_data(self) -> None:
        """Downloads the series where it is a published one that is not here yet."""
        locate(self.path, DATA_DIR)

    def _read(self) -> None:
        table = read_frame(locate(self.path, DATA_DIR))
        roles = choose_roles(table, self.target, self.columns, self.path)
        found = split_series(table, time=roles.time, series_id=roles.series_id, values=roles.values, place=self.path)
        found = [until_last_target(item, len(roles.targets)) for item in found]
        freq = self.freq or common_freq(found, self.path)
        series = self._without_gaps(found, roles, freq)
        ends = [split_by_time(item.times, self.split) for item in series]
        if self.fold is not None:
            ends = [rolling_fold(own[1], self.fold) for own in ends]
        self._state = learn_state(series, ends, roles, freq, scale=self.scale, asked=self._asked)
        starts = cut_parts(series, ends, self._state, stride=self.stride)
        watched = starts["val"] if len(starts["val"]) else starts["train"]
        self._val_places = lambda: window_places(series, watched, self.lookback)
        parts = self._windows(series, starts)
        self.train_data, self.test_data = parts["train"], parts.get("test")
        self.val_data = parts.get("val", parts["train"])
        ignored = [name for name in table.columns if name not in (roles.time, roles.series_id, *roles.values)]
        sizes = {part: len(windows) for part, windows in parts.items()}
        self._found = describe_series(series, ends, self._state, sizes, ignored)

    def read_parts(self) -> dict[str, Batches]:
        """All windows of the table, under the name `all`: a part that was never trained on needs no split."""
        state = self.state
        found = known_series(read_frame(locate(self.path, DATA_DIR)), state.roles, self.path)
        found = [until_last_target(item, self.num_targets) for item in found]
        series = self._without_gaps(found, state.roles, state.freq)
        length, longest = state.lookback + state.horizon, max(len(item.times) for item in series)
        if longest < length:
            raise DataError(f"{self.path}: {longest:,} rows, and a window takes {length:,}, look-back and horizon")
        starts = cut_parts(series, [(0, 0, len(item.times)) for item in series], state, stride=1)
        return {"all": self._windows(series, starts)["test"]}

    def _without_gaps(self, found: list[Series], roles: Roles, freq: str) -> list[Series]:
        """The series with every step there, and their targets differenced."""
        filled = [fill_gaps(item, roles.values, freq, self.fill, self.path) for item in found]
        return [difference(item, len(roles.targets), self.diff) for item in filled]

    def _windows(self, series: list[Series], starts: Mapping[str, Any]) -> dict[str, SeriesBatches]:
        """The windows of each part that has any, on one matrix."""
        state = self.state
        scaled = [state.scaled(item.values) for item in series]
        inputs = torch.from_numpy(np.concatenate([state.inputs(values, mask=self.fill == "mask") for values in scaled]))
        truth = torch.from_numpy(np.concatenate(scaled)[:, : self.num_targets].astype(np.float32))
        return {
            part: SeriesBatches(inputs, truth, torch.from_numpy(rows), lookback=state.lookback, horizon=state.horizon)
            for part, rows in starts.items()
            if len(rows)
        }

    def val_places(self) -> list[str]:
        """The series and the first step that is forecast, of each validation window."""
        return self._val_places()

    def raw_path(self) -> Path:
        """The file or folder that was read."""
        return locate(self.path, DATA_DIR)

    def describe(self) -> str:
        """One line: rows, steps and span, columns, windows of each part."""
        return f"{self.path}: {self._found}"

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """The naive forecasts beside the net's, and whether it is better."""
        parts = {"val": self.val_data, "test": self.test_data}
        return [
            line
            for part, data in parts.items()
            if isinstance(data, SeriesBatches)
            for line in naive_lines(data, self.state, scores, part)
        ]

    @property
    def example_input(self) -> str:
        """The table itself: what comes after its end."""
        return str(locate(self.path, DATA_DIR))


def check_least(least: int, **values: int | None) -> None:
    """Nothing, where all values are at least so large or None.

    Raises:
        ValueError: one is less.
    """
    for name, value in values.items():
        if value is not None and value < least:
            raise ValueError(f"expected {name} of at least {least}, received {value}")
