"""Series in time to windows of the past and what came after them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lightfit.errors import DataError

from ..base import DATA_DIR, Batches
from ..splits import SPLITS, Ends, part_sizes, rolling_fold, split_by_time
from .calendar import common_freq, fill_gaps
from .codec import ForecastDataModule, difference, known_series, until_last_target
from .naive import naive_lines
from .scaler import SeriesState, learn_state
from .sources import locate
from .table import Roles, Series, SeriesColumns, choose_roles, read_frame, split_series
from .windows import SeriesBatches, window_starts

NAMES_SHOWN = 8


def cut_parts(
    series: list[Series], ends: list[Ends], state: SeriesState, *, stride: int
) -> dict[str, NDArray[np.int64]]:
    """First rows of the windows of train, val and test, of all series below each other.

    Windows of which no target is known are left out.

    Raises:
        DataError: a part that is to have rows has no window.
    """
    length, num_targets = state.lookback + state.horizon, len(state.roles.targets)
    parts: dict[str, list[NDArray[np.int64]]] = {part: [] for part in SPLITS}
    first = 0
    for item, own in zip(series, ends, strict=True):
        known = np.concatenate([[0], (~np.isnan(item.values[:, :num_targets])).any(1).cumsum()])
        for part, begin, end in zip(SPLITS, (0, *own), own, strict=False):
            starts = window_starts(
                (begin, end),
                lookback=state.lookback,
                horizon=state.horizon,
                stride=stride if part == "train" else 1,
            )
            seen = known[starts + length] > known[starts + state.lookback]
            parts[part].append(starts[seen] + first)
        first += len(item.times)
    found = {part: np.concatenate(starts) for part, starts in parts.items()}
    for number, part in enumerate(SPLITS):
        rows = max(part_sizes(own)[number] for own in ends)
        if rows and not len(found[part]):
            needed = length if part == "train" else state.horizon
            raise DataError(
                f"{part} has {rows:,} rows, and a window takes {needed:,}: "
                + (f"lookback {state.lookback} and horizon {state.horizon}" if part == "train" else "the horizon")
                + ". Bring more rows, give a smaller --data.lookback or --data.horizon, or move --data.split"
            )
    return found


def window_places(series: list[Series], starts: NDArray[np.int64], lookback: int) -> list[str]:
    """The series and the time stamp of the first step to forecast, of windows.

    Args:
        series: all series, below each other.
        starts: first row of each window.
        lookback: number of rows that the net sees.
    """
    places = [f"{item.name} {time}".strip() for item in series for time in item.times]
    return [places[start + lookback] for start in starts.tolist()]


def describe_series(
    series: list[Series], ends: list[Ends], state: SeriesState, sizes: Mapping[str, int], ignored: list[str]
) -> str:
    """What was found: rows, series, steps and span, columns, windows of each part, what is not used."""
    begin, end = min(item.times[0] for item in series), max(item.times[-1] for item in series)
    rows = {part: sum(part_sizes(own)[number] for own in ends) for number, part in enumerate(SPLITS)}
    roles = state.roles
    named = {"target": roles.targets, "past": roles.past, "known": roles.known}
    described = [
        f"{sum(len(item.times) for item in series):,} rows"
        + (f" of {len(series)} series" if len(series) > 1 else "")
        + f", {begin} to {end} by {state.freq}",
        *(f"{kind}: {_few(names)}" for kind, names in named.items() if names),
        f"lookback {state.lookback}, horizon {state.horizon}, season {state.season}",
        ", ".join(f"{sizes[part]:,} {part} windows on {rows[part]:,} rows" for part in SPLITS if rows[part]),
    ]
    if not rows["val"]:
        described.append("no val, so that training is watched on its own windows")
    if ignored:
        described.append(f"not used: {_few(ignored)}")
    return "; ".join(described)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (
        f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    )


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
