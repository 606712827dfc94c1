"""The DataModule of time series."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lightfit.errors import DataError

from ..base import DATA_DIR, DataModule
from ..codec import Codec
from ..findings import Findings
from ..samples import Loaded
from ..splits import SPLITS, Ends, count_rows, rolling_fold, split_by_time
from ..tables.options import TableOptions
from .calendar import Calendar, find_calendar
from .codec import SeriesCodec
from .covariates import Covariates
from .findings import find_in_series
from .frame import Frame, read_frame
from .gaps import check_steps, complete, find_rows
from .last_windows import check_zone, fill
from .naive import compare_with_naive
from .numbers import read_numbers
from .panel import Panel
from .places import WindowPlaces
from .reading import OnDuplicate, RowOptions, Rows, order_table
from .roles import Chosen, Roles, SeriesColumns, adopt_roles, choose_roles
from .scaler import Scale, ScaleKind, choose_kind, fit_moments, measure_errors_by_series
from .sizes import choose_ends, choose_history, choose_horizon, choose_lookback, choose_own_horizon
from .sources import locate
from .stamps import StampOptions, Stamps, holds_stamps
from .state import SeriesState
from .windows import SeriesBatches, find_starts, to_inputs
from .zones import to_wall

NAMES_SHOWN = 8


class SeriesDataModule(DataModule):
    """Time series for forecasting: x (B, lookback, F) float32, y (B, horizon, C) float32, both scaled.

    The targets are the first C columns of x; `InputLayout` lists the others. Scaling and categories are fitted on the
    training split alone; splits are chronological.

    Args:
        path: a table (CSV, JSON, Parquet, Excel, ...) with a column of time stamps, or a published series:
            seattle-temps (installed with LightFit), covid-19, etth1 (downloaded).
        target: the columns to forecast; by default all numeric columns without another role.
        columns: roles of the other columns: time, series_id, past, known, static.
        lookback: number of past steps in the net's input; null: whole seasons, at most 336 steps and half of train;
            all: the rows of the longest series, at most 1,024.
        horizon: number of steps to forecast; null: a season, or less if val or test is shorter.
        stride: number of steps between training windows; evaluation uses all windows.
        split: size of train, val and test: three fractions, three numbers of rows, or two dates, the first of val and
            the first of test; null: 70, 10 and 20 %, with more val where it would have fewer than 8 rolling origins.
            Without val, validation uses the training windows.
        diff: number of times to difference the targets; undone in predictions.
        scale: scaling of each series: standard (mean 0 and standard deviation 1 in training), mean (mean absolute value
            1), auto (mean for positive values, else standard), or none.
        nonnegative: whether forecasts are cut off at 0; auto: where no training value of the target is negative.
        fill: handling of missing values and steps: error, forward (repeat the last value), interpolate, or mask (ignore
            them in loss and scores, and flag them in the net's input).
        on_duplicate: what to do with rows of a series that have one time stamp: error, or take their mean, sum or last.
        freq: frequency of the steps as in pandas, such as h or 15min; rows: each row is a step; null: found.
        season: number of steps in a season; null: a day, a week or a year, by the frequency.
        holidays: country (and subdivision) whose holidays are a known covariate, such as DE or US-CA.
        date_format: format of the time stamps, such as %d/%m/%Y; null: found from all of them.
        timezone: time zone of time stamps without an offset, such as Europe/Berlin; null: none.
        ambiguous: which of two hours a time stamp means that occurs twice when the clock goes back: error, earlier,
            later, or infer from the order of the rows.
        nonexistent: what to do with a time stamp that the clock leaves out: error, or move it forward or backward.
        batch_size: number of windows in a batch, on each device.
        fold: a fold of a cross-validation, such as 2/5: of 6 blocks of train and val, train is the first 2 and val the
            third.
        sheet: sheet of a workbook: its name or position; null: the only one.
        delimiter: character between the fields of a table; null: found.
        quote: character around fields, or none; null: found.
        encoding: encoding of the table, such as gb18030; null: found.
        header: whether the first row of a table holds names; null: found.
        seed: seed of the order.
    """

    source_argument = "path"
    reading_arguments = (
        *("fill", "on_duplicate", "batch_size", "sheet", "delimiter", "quote", "encoding", "header", "date_format"),
        *("timezone", "ambiguous", "nonexistent"),
    )

    def __init__(
        self,
        path: str,
        *,
        target: tuple[str, ...] | str = (),
        columns: SeriesColumns = SeriesColumns(),
        lookback: int | Literal["all"] | None = None,
        horizon: int | None = None,
        stride: int = 1,
        split: tuple[float, ...] | tuple[str, ...] | None = None,
        diff: int = 0,
        scale: ScaleKind = "standard",
        nonnegative: bool | Literal["auto"] = False,
        fill: Literal["error", "forward", "interpolate", "mask"] = "error",
        on_duplicate: OnDuplicate = "error",
        freq: str | None = None,
        season: int | None = None,
        holidays: str | None = None,
        date_format: str | None = None,
        timezone: str | None = None,
        ambiguous: Literal["error", "earlier", "later", "infer"] = "error",
        nonexistent: Literal["error", "forward", "backward"] = "error",
        batch_size: int = 32,
        fold: str | None = None,
        sheet: int | str | None = None,
        delimiter: str | None = None,
        quote: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(path, batch_size=batch_size, fold=fold, seed=seed)
        check_least(1, lookback=None if lookback == "all" else lookback, horizon=horizon, stride=stride, season=season)
        check_least(0, diff=diff)
        self.target = (target,) if isinstance(target, str) else tuple(target)
        self.columns = columns
        self.lookback = lookback
        self.horizon = horizon
        self.season = season
        self.stride = stride
        self.split = split
        self.diff = diff
        self.scale = scale
        self.nonnegative = nonnegative
        self.fill = fill
        self.freq = freq
        self.holidays = holidays
        self.rows = RowOptions(
            stamps=StampOptions(
                date_format=date_format, timezone=timezone, ambiguous=ambiguous, nonexistent=nonexistent
            ),
            on_duplicate=on_duplicate,
        )
        self.table = TableOptions(sheet=sheet, delimiter=delimiter, quote=quote, encoding=encoding, header=header)
        self._places: dict[str, WindowPlaces] = {}

    @property
    def codec(self) -> SeriesCodec:
        """Return the codec, fitted by `setup` or loaded from a checkpoint."""
        codec = super().codec
        assert isinstance(codec, SeriesCodec)
        return codec

    def prepare_data(self) -> None:
        """Download the series if it is a published one that is not there yet."""
        locate(self.source, DATA_DIR)

    def read(self, source: str) -> Frame:  # type: ignore[override]
        """Read the table."""
        return read_frame(locate(source, DATA_DIR), self.table)

    def load(self, source: str, codec: Codec | None = None) -> Loaded:
        """Read the series, fit columns, steps, scaling and sizes on the training rows, and build the windows.

        With the codec of a checkpoint, all windows form one split, `all`, since the data is not trained on.
        """
        frame = self.read(source)
        if isinstance(codec, SeriesCodec):
            return self._load_known(frame, codec)
        chosen = choose_roles(frame, self.target, self.columns, place=source, holds_stamps=holds_stamps)
        roles, table = chosen.roles, chosen.table
        rows = self._order(table, roles)
        calendar = find_calendar(
            rows.panel.times,
            rows.panel.starts,
            freq=self.freq,
            zone=rows.stamps.zone,
            holidays=self.holidays,
            names=rows.panel.names,
            place=source,
        )
        check_steps(rows.panel, calendar, source, fill=self.fill != "error")
        whole = complete(rows.panel, calendar)
        present = find_rows(rows.panel, whole, calendar)
        season = self.season or calendar.season
        ends = self._split(whole, season)
        covariates = self._fit_covariates(table, rows, roles, present - whole.starts[rows.panel.codes], ends)
        whole = self._add_covariates(whole, present, table, rows, covariates)
        series = self._fill_and_difference(whole, (*roles.targets, *covariates.names), len(roles.targets))
        ends = self._split(series, season)
        state = self._fit(series, ends, roles, covariates, calendar, rows.stamps, season)
        codec = SeriesCodec(state=state, fill=self.fill, diff=self.diff)
        origins = self._find_origins(series, ends, state)
        batches = self._build(series, whole, origins, codec, state.scale, rows.ids)
        if "val" not in batches:
            origins["val"], batches["val"] = origins["train"], batches["train"]
            self._places["val"] = self._places["train"]
        return Loaded(
            codec,
            {split: batches[split] for split in SPLITS if split in batches},
            description=describe_series(
                series, ends, state, calendar, {split: len(own) for split, own in batches.items()}
            ),
            find_places=lambda split: list_windows(self._places[split]),
            findings=self._find(frame, chosen, rows, whole, present, state, calendar, ends),
        )

    def _find(
        self,
        frame: Frame,
        chosen: Chosen,
        rows: Rows,
        whole: Panel,
        present: NDArray[np.int64],
        state: SeriesState,
        calendar: Calendar,
        ends: list[Ends],
    ) -> Findings:
        """Return what was found in the table and in its series."""
        codes = rows.panel.codes
        first = calendar.number(whole.times[whole.starts[:-1]])[0]
        found = find_in_series(
            replace(rows.panel, values=whole.values[present]),
            first[codes] + present - whole.starts[codes],
            calendar=calendar.describe(),
            targets=state.roles.targets,
            past=state.covariates.past_names,
            known=state.covariates.known_names,
            season=state.season,
            lookback=1 if state.masked else state.lookback,
            horizon=state.horizon,
            ends=np.array(ends) + self.diff,
            zone=state.zone,
            notes=rows.found,
        )
        lines = [*frame.found, *rows.found, rows.stamps.found, *chosen.found]
        return replace(found, facts={**name_facts(lines), **found.facts})

    def _order(self, table: pd.DataFrame, roles: Roles) -> Rows:
        """Return the rows in order of series and time, up to the last known target of each series."""
        targets = np.stack([read_numbers(table[name], self.source, name) for name in roles.targets], 1)
        rows = order_table(
            table, targets, time=roles.time, series_id=roles.series_id, options=self.rows, place=self.source
        )
        return cut_after_last_target(rows)

    def _split(self, panel: Panel, season: int) -> list[Ends]:
        """Return the end rows of train, val and test of each series."""
        lengths = panel.lengths.tolist()
        if self.split is None:
            horizon = self.horizon or choose_own_horizon(season, max(lengths))
            ends = [choose_ends(length, horizon) for length in lengths]
        else:
            by_date = all(isinstance(item, str) for item in self.split)
            same: dict[int, Ends] = {}
            ends = []
            for index, length in enumerate(lengths):
                if by_date:
                    ends.append(split_by_time(panel[index].times, self.split))
                else:
                    if length not in same:
                        same[length] = split_by_time(panel[index].times, self.split)
                    ends.append(same[length])
        return ends if self.fold is None else [rolling_fold(own[1], self.fold) for own in ends]

    def _fit_covariates(
        self, table: pd.DataFrame, rows: Rows, roles: Roles, within: NDArray[np.int64], ends: list[Ends]
    ) -> Covariates:
        """Learn the categories of the training rows, which are the first ones of each series by their step `within`."""
        in_train = within < np.array(ends)[rows.panel.codes, 0]
        return Covariates.fit(table.iloc[rows.source[in_train]], roles, holidays=self.holidays, place=self.source)

    def _add_covariates(
        self, whole: Panel, present: NDArray[np.int64], table: pd.DataFrame, rows: Rows, covariates: Covariates
    ) -> Panel:
        """Return a panel with the columns of the covariates after the targets."""
        if not covariates.names:
            return whole
        encoded = covariates.encode(table.iloc[rows.source], place=self.source).values
        values = np.full((len(whole.times), encoded.shape[1]), np.nan)
        values[present] = encoded
        num_known, num_static = len(covariates.known_names), len(covariates.static_names)
        ahead = slice(encoded.shape[1] - num_static - num_known, encoded.shape[1] - num_static)
        values[:, ahead] = covariates.add_derived(values[:, ahead], whole.times, rows.stamps.zone)
        if num_static:
            first = encoded[np.minimum(rows.panel.starts[:-1], len(encoded) - 1), -num_static:]
            values[:, -num_static:] = first[whole.codes]
        return replace(whole, values=np.concatenate([whole.values, values], 1))

    def _fill_and_difference(self, whole: Panel, columns: Sequence[str], num_targets: int) -> Panel:
        """Return the series with missing values filled, and targets differenced."""
        return difference(fill(whole, self.fill, columns, self.source), num_targets, self.diff)

    def _fit(
        self,
        series: Panel,
        ends: list[Ends],
        roles: Roles,
        covariates: Covariates,
        calendar: Calendar,
        stamps: Stamps,
        season: int,
    ) -> SeriesState:
        """Fit the scaling on the training rows, and choose the sizes that are not given."""
        train, num_targets = take_first(series, np.array(ends)[:, 0]), len(roles.targets)
        kind = choose_kind(train, num_targets, self.scale)
        columns = (*roles.targets, *covariates.names)
        for index, name in enumerate(columns):
            if not (~np.isnan(train.values[:, index])).any():
                raise DataError(
                    f"the column '{name}' has no value in the training split: leave it out, or change `split`"
                )
        plain = np.array([set(np.unique(own[~np.isnan(own)]).tolist()) <= {0.0, 1.0} for own in train.values.T])
        plain[:num_targets] = False
        static = np.arange(len(columns)) >= len(columns) - len(covariates.static_names)
        mean, std = fit_moments(train, kind, static, plain)
        if (unknown := np.isnan(mean)).any():  # series without a value in train
            fallback = fit_moments(train, kind, np.ones_like(static), plain)
            mean, std = (np.where(unknown, other, own) for own, other in zip((mean, std), fallback, strict=True))
        lengths = series.lengths
        horizon = self.horizon or choose_horizon(season, ends)
        if self.horizon is None and self.split is None:
            horizon = min(horizon, choose_own_horizon(season, int(lengths.max())))
        if self.lookback == "all":
            lookback = choose_history(season, lengths)
        else:
            lookback = self.lookback or choose_lookback(season, horizon, int(train.lengths.max()))
        enough = bool((train.lengths >= lookback + horizon).all())
        masked = self.fill == "mask" or not (enough or (len(series) == 1 and self.lookback != "all"))
        scaled = replace(train, values=(train.values - mean[train.codes]) / std[train.codes])
        lower = [
            0.0
            if self.nonnegative is True or (self.nonnegative == "auto" and (own[~np.isnan(own)] >= 0).all())
            else -np.inf
            for own in train.values[:, :num_targets].T
        ]
        return SeriesState(
            roles=roles,
            covariates=covariates,
            calendar=calendar,
            stamps=replace(self.rows.stamps, likely=stamps.format),
            zone=stamps.zone,
            season=season,
            lookback=lookback,
            horizon=horizon,
            names=list(series.names),
            scale=Scale(
                kind,
                mean,
                std,
                measure_errors_by_series(scaled, num_targets, season),
                measure_errors_by_series(scaled, num_targets, season, squared=True),
            ),
            masked=masked,
            lower=lower if not self.diff else [-np.inf] * num_targets,
        )

    def _find_origins(self, series: Panel, ends: list[Ends], state: SeriesState) -> dict[str, NDArray[np.int64]]:
        """Return the first row to forecast of each window, by split.

        Raises:
            DataError: a split with rows is too short for a window.
        """
        bounds = np.concatenate([np.zeros((len(series), 1), np.int64), np.array(ends)], 1)
        # Of a short series a window in training knows at least half of what lies before its steps to forecast.
        least = np.full(len(series), state.lookback)
        if state.masked:
            least = np.minimum(least, np.maximum((bounds[:, 1] - state.horizon + 1) // 2, 1))
        found = {}
        for index, split in enumerate(SPLITS):
            found[split] = find_starts(
                series,
                bounds[:, index : index + 2],
                lookback=state.lookback,
                horizon=state.horizon,
                num_targets=state.num_targets,
                least_known=least if split == "train" else np.minimum(least, np.maximum(bounds[:, index], 1)),
                stride=self.stride if split == "train" else 1,
            )
            rows = int((bounds[:, index + 1] - bounds[:, index]).max())
            if rows and not len(found[split]):
                needed = (1 if state.masked else state.lookback) + state.horizon if split == "train" else state.horizon
                raise DataError(
                    f"expected at least {needed:,} rows in {split}, "
                    + (
                        f"lookback {needed - state.horizon} plus horizon {state.horizon}"
                        if split == "train"
                        else "the horizon"
                    )
                    + f", received {rows:,}: add rows, reduce `lookback` or `horizon`, or change `split`"
                )
        return found

    def _build(
        self,
        series: Panel,
        whole: Panel,
        origins: Mapping[str, NDArray[np.int64]],
        codec: SeriesCodec,
        scale: Scale,
        ids: list[tuple[str, ...]],
    ) -> dict[str, SeriesBatches]:
        """Return the windows of each split that is not empty, as views of one matrix; note where they lie.

        Args:
            series: the series, filled and differenced.
            whole: the series as the table has them, with a row for each step.
            origins: row of `series` of the first step to forecast of each window, by split.
            codec: layout and sizes.
            scale: scale of each series of the panel.
            ids: ids of each series.
        """
        state = codec.state
        scaled = scale.apply(series.values, series.codes)
        pad = state.lookback if state.masked else 0
        inputs = torch.from_numpy(to_inputs(scaled, series.starts, state.layout, pad=pad))
        truth = torch.from_numpy(scaled[:, : state.num_targets].astype(np.float32))
        batches = {}
        for split, rows in origins.items():
            if not len(rows):
                continue
            owner = np.searchsorted(series.starts, rows, side="right") - 1
            first = rows + pad * (owner + 1) - state.lookback
            batches[split] = SeriesBatches(
                inputs,
                truth,
                torch.from_numpy(first),
                lookback=state.lookback,
                horizon=state.horizon,
                target=torch.from_numpy(rows),
                series=torch.from_numpy(owner),
            )
            targets = slice(state.num_targets)
            own = scale.rows(np.arange(len(series)))
            self._places[split] = WindowPlaces(
                panel=whole,
                first=rows + codec.diff * (owner + 1),
                horizon=state.horizon,
                num_targets=state.num_targets,
                means=scale.mean[own, targets],
                stds=scale.std[own, targets],
                naive_errors=scale.naive_error[own] * scale.std[own, targets],
                naive_squares=None
                if scale.naive_square is None
                else scale.naive_square[own] * np.square(scale.std[own, targets]),
                season=state.season,
                diff=codec.diff,
                lower=None if max(state.lower) == -np.inf else state.lower,
                zone=state.zone,
                ids=pd.DataFrame(ids, columns=list(state.roles.series_id)) if state.roles.series_id else None,
            )
        return batches

    def windows(self, split: str) -> WindowPlaces:
        """Return where the windows of a split lie, in the order of its batches without shuffling.

        Raises:
            ValueError: the data has no such split.
        """
        if split not in self._places:
            raise ValueError(f"{type(self).__name__}: this data has no {split} split, only {', '.join(self.splits)}")
        return self._places[split]

    def _load_known(self, frame: Frame, codec: SeriesCodec) -> Loaded:
        """Read series by the codec of a checkpoint; all windows form one split."""
        state, place = codec.state, self.source
        table = adopt_roles(frame, state.roles, place, holds_stamps=holds_stamps)
        rows = self._order(table, state.roles)
        check_zone(rows.stamps, state, place)
        calendar = state.calendar_of(rows.panel.times, rows.panel.starts, place)
        check_steps(rows.panel, calendar, place, fill=self.fill != "error", trained=True)
        whole = complete(rows.panel, calendar)
        present = find_rows(rows.panel, whole, calendar)
        whole = self._add_covariates(whole, present, table, rows, state.covariates)
        series = self._fill_and_difference(whole, state.columns, state.num_targets)
        needed, longest = (1 if state.masked else state.lookback) + state.horizon, int(series.lengths.max())
        if longest < needed:
            raise DataError(
                f"{place}: expected at least {needed:,} rows, lookback plus horizon, received {longest:,}: add earlier "
                "rows"
            )
        origins = find_starts(
            series,
            np.stack([np.zeros(len(series), np.int64), series.lengths], 1),
            lookback=state.lookback,
            horizon=state.horizon,
            num_targets=state.num_targets,
            least_known=np.full(len(series), 1 if state.masked else state.lookback),
        )
        batches = self._build(series, whole, {"all": origins}, codec, adopt_scale(state, series), rows.ids)
        return Loaded(
            codec,
            batches,
            description=f"{len(origins):,} windows",
            find_places=lambda split: list_windows(self._places[split]),
        )

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


def cut_after_last_target(rows: Rows) -> Rows:
    """Drop the rows of each series after its last known target, which have values only for columns known ahead."""
    panel = rows.panel
    known = (~np.isnan(panel.values)).any(1)
    last = np.zeros(len(panel), np.int64)
    np.maximum.at(last, panel.codes[known], np.flatnonzero(known) + 1)
    kept = np.arange(len(panel.times)) < last[panel.codes]
    lengths = np.bincount(panel.codes[kept], minlength=len(panel))
    starts = np.concatenate([[0], lengths.cumsum()])
    cut = Panel(panel.names, starts, panel.times[kept], panel.values[kept])
    return rows._replace(panel=cut, source=rows.source[kept])


def difference(panel: Panel, num_targets: int, diff: int) -> Panel:
    """Difference each target `diff` times; each series becomes as many rows shorter.

    Args:
        panel: series whose first columns are the targets.
        num_targets: number of targets.
        diff: number of times to difference.
    """
    if not diff:
        return panel
    first = panel.starts[:-1][panel.codes]
    kept = np.arange(len(panel.times)) >= first + diff
    values = panel.values.copy()
    for _ in range(diff):
        values[1:, :num_targets] = np.diff(values[:, :num_targets], axis=0)
    lengths = np.maximum(panel.lengths - diff, 0)
    return replace(
        panel,
        starts=np.concatenate([[0], lengths.cumsum()]),
        times=panel.times[kept],
        values=values[kept],
    )


def take_first(panel: Panel, counts: NDArray[np.int64]) -> Panel:
    """Return the first rows of each series.

    Args:
        panel: the series.
        counts: number of rows of each, (S,).
    """
    kept = np.arange(len(panel.times)) < (panel.starts[:-1] + counts)[panel.codes]
    starts = np.concatenate([[0], np.minimum(counts, panel.lengths).cumsum()])
    return Panel(panel.names, starts, panel.times[kept], panel.values[kept])


def adopt_scale(state: SeriesState, panel: Panel) -> Scale:
    """Return a scale for each series of a panel: that of the training, or of its own rows if it was not in training."""
    scale, known = state.scale, {name: index for index, name in enumerate(state.names)}
    if len(scale.mean) == 1:
        return scale
    found = [scale.of_series(known.get(item.name), item.values) for item in panel]
    mean, std = (np.stack(parts) for parts in zip(*found, strict=True))
    scaled = replace(panel, values=(panel.values - mean[panel.codes]) / std[panel.codes])
    own = measure_errors_by_series(scaled, state.num_targets, state.season)
    trained = np.array([known.get(name, -1) for name in panel.names])
    naive_error = np.where((trained >= 0)[:, None], scale.naive_error[trained], own)
    return Scale(scale.kind, mean, std, naive_error)


def list_windows(places: WindowPlaces) -> list[str]:
    """Return the series and the time stamp of the first step to forecast, of each window."""
    stamps = places.to_wall_times(places.panel.times[places.first])
    names = [places.names[index] for index in places.series]
    return [f"{name} {pd.Timestamp(time)}".strip() for name, time in zip(names, stamps, strict=True)]


def describe_series(
    series: Panel, ends: list[Ends], state: SeriesState, calendar: Calendar, sizes: Mapping[str, int]
) -> str:
    """Return a summary of the data: rows, series, span and steps, columns, windows of each split."""
    begin, end = map(pd.Timestamp, to_wall(np.array([series.times.min(), series.times.max()]), state.zone))
    totals = np.array([count_rows(own) for own in ends]).sum(0).tolist()
    rows = dict(zip(SPLITS, totals, strict=True))
    roles = state.roles
    named = {"target": roles.targets, "past": roles.past, "known": state.covariates.known_names, "static": roles.static}
    described = [
        f"{len(series.times):,} rows"
        + (f" of {len(series)} series" if len(series) > 1 else "")
        + f", {begin} to {end} by {calendar.name}"
        + (f" in {state.zone}" if state.zone else ""),
        *(f"{kind}: {_shorten(names)}" for kind, names in named.items() if names),
        f"lookback {state.lookback}, horizon {state.horizon}, season {state.season}",
        ", ".join(f"{sizes[split]:,} {split} windows on {rows[split]:,} rows" for split in SPLITS if rows[split]),
    ]
    if not rows["val"]:
        described.append("no val split, so validation uses the training windows")
    return "; ".join(described)


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (
        f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    )


def check_least(least: int, **values: int | None) -> None:
    """Check that each value is None or at least `least`.

    Raises:
        ValueError: a value is less.
    """
    for name, value in values.items():
        if value is not None and value < least:
            raise ValueError(f"expected `{name}` of at least {least}, received {value}")


def name_facts(lines: Sequence[str]) -> dict[str, str]:
    """Return lines about a table by the topic that each begins with, or as `table`."""
    facts: dict[str, str] = {}
    for line in filter(None, lines):
        topic, colon, rest = line.partition(": ")
        if not colon or len(topic.split()) > 2:
            topic, rest = "table", line
        facts[topic] = f"{facts[topic]}; {rest}" if topic in facts else rest
    return facts
