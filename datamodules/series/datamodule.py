"""The DataModule of time series."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lightfit.errors import DataError

from ..base import DATA_DIR, DataModule
from ..codec import Codec
from ..samples import Loaded
from ..splits import SPLITS, Ends, count_rows, rolling_fold, split_by_time
from .calendar import fill_gaps, find_common_freq
from .codec import SeriesCodec, cut_after_last_target, difference, select_series
from .naive import compare_with_naive
from .panel import Panel
from .places import WindowPlaces
from .scaler import SeriesState, fit_state
from .sources import locate
from .table import Roles, Series, SeriesColumns, choose_roles, read_frame, split_series
from .windows import SeriesBatches, find_window_starts

NAMES_SHOWN = 8


def find_windows(
    series: list[Series], ends: list[Ends], state: SeriesState, *, stride: int
) -> dict[str, NDArray[np.int64]]:
    """Return the first row of each window in train, val and test, with all series concatenated.

    Windows without a known target are left out.

    Raises:
        DataError: a split with rows is too short for a window.
    """
    length, num_targets = state.lookback + state.horizon, len(state.roles.targets)
    splits: dict[str, list[NDArray[np.int64]]] = {split: [] for split in SPLITS}
    first = 0
    for item, own in zip(series, ends, strict=True):
        known = np.concatenate([[0], (~np.isnan(item.values[:, :num_targets])).any(1).cumsum()])
        for split, begin, end in zip(SPLITS, (0, *own), own, strict=False):
            starts = find_window_starts(
                (begin, end),
                lookback=state.lookback,
                horizon=state.horizon,
                stride=stride if split == "train" else 1,
            )
            seen = known[starts + length] > known[starts + state.lookback]
            splits[split].append(starts[seen] + first)
        first += len(item.times)
    found = {split: np.concatenate(starts) for split, starts in splits.items()}
    for index, split in enumerate(SPLITS):
        rows = max(count_rows(own)[index] for own in ends)
        if rows and not len(found[split]):
            needed = length if split == "train" else state.horizon
            raise DataError(
                f"expected at least {needed:,} rows in {split}, "
                + (f"lookback {state.lookback} plus horizon {state.horizon}" if split == "train" else "the horizon")
                + f", received {rows:,}: add rows, reduce `lookback` or `horizon`, or change `split`"
            )
    return found


def find_window_places(series: list[Series], starts: NDArray[np.int64], lookback: int) -> list[str]:
    """Return the series and the time stamp of the first step to forecast, of each window.

    Args:
        series: all series, in order of concatenation.
        starts: first row of each window.
        lookback: number of past rows in a window.
    """
    places = [f"{item.name} {time}".strip() for item in series for time in item.times]
    return [places[start + lookback] for start in starts.tolist()]


def describe_series(
    series: list[Series], ends: list[Ends], state: SeriesState, sizes: Mapping[str, int], ignored: list[str]
) -> str:
    """Return a summary of the data: rows, series, span and steps, columns, windows of each split, unused columns."""
    begin, end = min(item.times[0] for item in series), max(item.times[-1] for item in series)
    rows = {split: sum(count_rows(own)[index] for own in ends) for index, split in enumerate(SPLITS)}
    roles = state.roles
    named = {"target": roles.targets, "past": roles.past, "known": roles.known}
    described = [
        f"{sum(len(item.times) for item in series):,} rows"
        + (f" of {len(series)} series" if len(series) > 1 else "")
        + f", {begin} to {end} by {state.freq}",
        *(f"{kind}: {_shorten(names)}" for kind, names in named.items() if names),
        f"lookback {state.lookback}, horizon {state.horizon}, season {state.season}",
        ", ".join(f"{sizes[split]:,} {split} windows on {rows[split]:,} rows" for split in SPLITS if rows[split]),
    ]
    if not rows["val"]:
        described.append("no val split, so validation uses the training windows")
    if ignored:
        described.append(f"not used: {_shorten(ignored)}")
    return "; ".join(described)


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (
        f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    )


class SeriesDataModule(DataModule):
    """Time series for forecasting: x (B, lookback, F) float32, y (B, horizon, C) float32, both scaled.

    The targets are the first C columns of x. The scaling is fitted on the training split alone; splits are
    chronological.

    Args:
        path: a table (.csv, .tsv, .parquet) with a column of time stamps, or a published series: seattle-temps
            (installed with LightFit), covid-19, etth1 (downloaded).
        target: the columns to forecast; by default all numeric columns without another role.
        columns: roles of the other columns: time, series_id, past, known.
        lookback: number of past steps in the net's input; null: whole seasons, at most 336 steps and half of train.
        horizon: number of steps to forecast; null: a season, or less if val or test is shorter.
        stride: number of steps between training windows; evaluation uses all windows.
        split: size of train, val and test: three fractions, three numbers of rows, or two dates, the first of val and
            the first of test. Without val, validation uses the training windows.
        diff: number of times to difference the targets; undone in predictions.
        scale: standard (mean 0 and standard deviation 1 in training) or none.
        fill: handling of missing values and steps: error, forward (repeat the last value), interpolate, or mask (ignore
            them in loss and scores, and flag them in the net's input).
        freq: frequency of the steps as in pandas, such as h or 15min; rows: each row is a step; null: inferred.
        season: number of steps in a season; null: a day, a week or a year, inferred from the frequency.
        batch_size: number of windows in a batch, on each device.
        fold: a fold of a cross-validation, such as 2/5: of 6 blocks of train and val, train is the first 2 and val the
            third.
        seed: seed of the order.
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
        super().__init__(path, batch_size=batch_size, fold=fold, seed=seed)
        check_least(1, lookback=lookback, horizon=horizon, stride=stride, season=season)
        check_least(0, diff=diff)
        self.target = (target,) if isinstance(target, str) else tuple(target)
        self.columns = columns
        self._asked = {"lookback": lookback, "horizon": horizon, "season": season}
        self.stride = stride
        self.split = split
        self.diff = diff
        self.scale = scale
        self.fill = fill
        self.freq = freq
        self._held: tuple[list[Series], dict[str, NDArray[np.int64]], list[int]]

    @property
    def codec(self) -> SeriesCodec:
        """Return the codec, fitted by `setup` or loaded from a checkpoint."""
        codec = super().codec
        assert isinstance(codec, SeriesCodec)
        return codec

    def prepare_data(self) -> None:
        """Download the series if it is a published one that is not there yet."""
        locate(self.source, DATA_DIR)

    def read(self, source: str) -> pd.DataFrame:  # type: ignore[override]
        """Read the table."""
        return read_frame(locate(source, DATA_DIR))

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read the series, fit columns, steps, scaling and sizes on the training rows, and build the windows.

        With the codec of a checkpoint, all windows form one split, `all`, since the data is not trained on.
        """
        table = self.read(source)
        if isinstance(codec, SeriesCodec):
            return self._load_known(table, codec)
        roles = choose_roles(table, self.target, self.columns, source)
        found = split_series(table, time=roles.time, series_id=roles.series_id, values=roles.values, place=source)
        found = [cut_after_last_target(item, len(roles.targets)) for item in found]
        freq = self.freq or find_common_freq(found, source)
        filled = self._fill(found, roles, freq)
        series = [difference(item, len(roles.targets), self.diff) for item in filled]
        ends = [split_by_time(item.times, self.split) for item in series]
        if self.fold is not None:
            ends = [rolling_fold(own[1], self.fold) for own in ends]
        state = fit_state(series, ends, roles, freq, scale=self.scale, asked=self._asked)
        codec = SeriesCodec(state=state, fill=self.fill, diff=self.diff)
        starts = find_windows(series, ends, state, stride=self.stride)
        batches = self._windows(series, starts, codec)
        self._held = filled, starts, [own[0] + self.diff for own in ends]
        if "val" not in batches:
            starts["val"], batches["val"] = starts["train"], batches["train"]
        ignored = [name for name in table.columns if name not in (roles.time, roles.series_id, *roles.values)]
        sizes = {split: len(windows) for split, windows in batches.items()}
        return Loaded(
            codec,
            {split: batches[split] for split in SPLITS if split in batches},
            description=describe_series(series, ends, state, sizes, ignored),
            find_places=lambda split: find_window_places(series, starts[split], state.lookback),
        )

    def _load_known(self, table: pd.DataFrame, codec: SeriesCodec) -> Loaded:
        state = codec.state
        found = [
            cut_after_last_target(item, codec.num_targets) for item in select_series(table, state.roles, self.source)
        ]
        filled = self._fill(found, state.roles, state.freq)
        series = [difference(item, codec.num_targets, self.diff) for item in filled]
        length, longest = state.lookback + state.horizon, max(len(item.times) for item in series)
        if longest < length:
            raise DataError(
                f"{self.source}: expected at least {length:,} rows, lookback plus horizon, received {longest:,}: "
                "add earlier rows"
            )
        starts = find_windows(series, [(0, 0, len(item.times)) for item in series], state, stride=1)["test"]
        self._held = filled, {"all": starts}, [len(item.times) for item in filled]
        return Loaded(
            codec,
            {"all": self._windows(series, {"all": starts}, codec)["all"]},
            description=f"{len(starts):,} windows",
            find_places=lambda split: find_window_places(series, starts, state.lookback),
        )

    def _fill(self, found: list[Series], roles: Roles, freq: str) -> list[Series]:
        """Return the series with missing steps and values filled."""
        return [fill_gaps(item, roles.values, freq, self.fill, self.source) for item in found]

    def windows(self, split: str) -> WindowPlaces:
        """Return where the windows of a split lie, in the order of its batches."""
        filled, starts, train_ends = self._held
        state, num_targets = self.codec.state, self.codec.num_targets
        ends = np.cumsum([0, *(len(item.times) for item in filled)])
        panel = Panel(
            [item.name for item in filled],
            ends,
            np.concatenate([item.times.to_numpy() for item in filled]),
            np.concatenate([item.values for item in filled]),
        )
        differenced = ends - self.diff * np.arange(len(ends))
        own = np.searchsorted(differenced, starts[split], side="right")
        train = [item.values[:end, :num_targets] for item, end in zip(filled, train_ends, strict=True)]
        errors = np.concatenate([rows[state.season :] - rows[: -state.season] for rows in train])
        means, stds = (np.tile(values[:num_targets], (len(filled), 1)) for values in (state.mean, state.std))
        return WindowPlaces(
            panel=panel,
            first=starts[split] + own * self.diff + state.lookback,
            horizon=state.horizon,
            num_targets=num_targets,
            means=means,
            stds=stds,
            naive_errors=np.tile(np.nanmean(np.abs(errors), 0), (len(filled), 1)),
            naive_squares=np.tile(np.nanmean(np.square(errors), 0), (len(filled), 1)),
            season=state.season,
            diff=self.diff,
        )

    def _windows(
        self, series: list[Series], starts: Mapping[str, NDArray[np.int64]], codec: SeriesCodec
    ) -> dict[str, SeriesBatches]:
        """Return the windows of each split that is not empty, as views of one matrix."""
        state = codec.state
        scaled = [state.scale_columns(item.values) for item in series]
        inputs = torch.from_numpy(np.concatenate([state.inputs(values, mask=self.fill == "mask") for values in scaled]))
        truth = torch.from_numpy(np.concatenate(scaled)[:, : codec.num_targets].astype(np.float32))
        return {
            split: SeriesBatches(inputs, truth, torch.from_numpy(rows), lookback=state.lookback, horizon=state.horizon)
            for split, rows in starts.items()
            if len(rows)
        }

    def raw_path(self) -> Path:
        """Return the file of the raw data."""
        return locate(self.source, DATA_DIR)

    def remarks(self, scores: Mapping[str, float]) -> list[str]:
        """Return the errors of the net and of the naive forecasts, with a warning if the net is not better."""
        return [
            line
            for split in ("val", "test")
            if isinstance(data := self.loaded.batches.get(split), SeriesBatches)
            for line in compare_with_naive(data, self.codec.state, scores, split)
        ]


def check_least(least: int, **values: int | None) -> None:
    """Check that each value is None or at least `least`.

    Raises:
        ValueError: a value is less.
    """
    for name, value in values.items():
        if value is not None and value < least:
            raise ValueError(f"expected `{name}` of at least {least}, received {value}")
