"""The DataModule of time series."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lightfit.errors import DataError

from ..base import DATA_DIR, DataModule
from ..codec import Codec
from ..examples import MOST_BYTES, Example, choose_rows
from ..findings import Findings
from ..samples import Loaded
from ..splits import SPLITS, Ends
from ..tables.content import open_bytes
from ..tables.options import TableOptions
from .calendar import Calendar, find_calendar
from .codec import SeriesCodec
from .description import describe_series, list_windows, name_facts
from .differences import difference
from .findings import find_in_series
from .fitting import Asked, Split, adopt_scale, adopt_state, fit_covariates, fit_state, split_panel
from .frame import Frame, read_frame
from .last_windows import LastWindow, check_zone, fill
from .numbers import read_numbers
from .panel import Panel
from .places import WindowPlaces
from .reading import OnDuplicate, RowOptions, Rows, cut_after_last_target, order_table, warn_of_rows_ahead
from .roles import Chosen, Roles, SeriesColumns, adopt_roles, choose_roles
from .scaler import Scale, ScaleKind
from .sources import locate
from .stamps import StampOptions, holds_stamps
from .state import SeriesState
from .steps import Steps, add_covariates, complete_rows
from .windows import SeriesBatches, find_starts, to_inputs


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
        split: Split = None,
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
        held = self._adopted.state if isinstance(self._adopted, SeriesCodec) else None
        if held is None:
            chosen = choose_roles(frame, self.target, self.columns, place=source, holds_stamps=holds_stamps)
        else:
            table = adopt_roles(frame, held.roles, source, holds_stamps=holds_stamps)
            chosen = Chosen(table, held.roles, {}, [])
        roles = chosen.roles
        rows = self._order(chosen.table, roles)
        if held is None:
            calendar = self._find_calendar(rows)
        else:
            check_zone(rows.stamps, held, source)
            calendar = held.calendar_of(rows.panel.times, rows.panel.starts, source)
        steps = complete_rows(rows, calendar, fills=self.fill != "error", trained=held is not None, place=source)
        asked = self._ask(held)
        split = partial(
            split_panel, split=self.split, season=asked.season or calendar.season, horizon=asked.horizon, fold=self.fold
        )
        if held is None:
            ends = split(steps.panel)
            covariates = fit_covariates(chosen.table, steps, roles, ends, holidays=self.holidays, place=source)
        else:
            covariates = held.covariates
        steps = add_covariates(steps, chosen.table, covariates, source)
        filled = fill(steps.panel, self.fill, (*roles.targets, *covariates.names), source)
        series = difference(filled, len(roles.targets), self.diff)
        ends = split(series)
        if held is None:
            state = fit_state(
                series, ends, asked, roles=roles, covariates=covariates, calendar=calendar, stamps=rows.stamps
            )
        else:
            state = adopt_state(held, series, rows.stamps)
        codec = SeriesCodec(state=state, fill=self.fill, diff=self.diff)
        origins = self._find_origins(series, ends, state)
        batches = self._build(series, filled if self.diff else steps.panel, origins, codec, state.scale, rows.ids)
        if "val" not in batches:
            origins["val"], batches["val"] = origins["train"], batches["train"]
            self._places["val"] = self._places["train"]
        sizes = {name: len(own) for name, own in batches.items()}
        return Loaded(
            codec,
            {name: batches[name] for name in SPLITS if name in batches},
            description=describe_series(series, ends, state, calendar, sizes),
            find_places=lambda name: list_windows(self._places[name]),
            findings=self._find(
                chosen.table,
                [*frame.found, *rows.found, rows.stamps.found, *chosen.found],
                steps,
                state,
                ends,
            ),
        )

    def _find(
        self, table: pd.DataFrame, lines: list[str], steps: Steps, state: SeriesState, ends: list[Ends]
    ) -> Findings:
        """Return what was found in the table and in its series.

        Args:
            table: the table.
            lines: what was found out while it was read.
            steps: the series.
            state: columns and sizes.
            ends: end rows of the splits of each series.
        """
        found = find_in_series(
            replace(steps.rows.panel, values=steps.panel.values[steps.present]),
            steps.numbers,
            calendar=steps.calendar.describe(),
            targets=state.roles.targets,
            past=state.covariates.past_names,
            known=state.covariates.known_names,
            season=state.season,
            lookback=1 if state.masked else state.lookback,
            horizon=state.horizon,
            ends=np.array(ends) + self.diff,
            zone=state.zone,
        )
        warnings = warn_of_rows_ahead(table, state.roles.past, steps.rows.ahead)
        return replace(found, facts={**name_facts(lines), **found.facts}, warnings=[*warnings, *found.warnings])

    def _ask(self, held: SeriesState | None) -> Asked:
        """Return what is given, or the sizes of the run whose codec is adopted."""
        return Asked(
            lookback=self.lookback if held is None else held.lookback,
            horizon=self.horizon if held is None else held.horizon,
            season=self.season if held is None else held.season,
            split=self.split,
            scale=self.scale,
            nonnegative=self.nonnegative,
            masked=self.fill == "mask",
            diff=self.diff,
            stamps=self.rows.stamps,
        )

    def _find_calendar(self, rows: Rows) -> Calendar:
        return find_calendar(
            rows.panel.times,
            rows.panel.starts,
            freq=self.freq,
            zone=rows.stamps.zone,
            holidays=self.holidays,
            names=rows.panel.names,
            place=self.source,
        )

    def _order(self, table: pd.DataFrame, roles: Roles) -> Rows:
        """Return the rows in order of series and time, up to the last known target of each series."""
        targets = np.stack([read_numbers(table[name], self.source, name) for name in roles.targets], 1)
        rows = order_table(
            table, targets, time=roles.time, series_id=roles.series_id, options=self.rows, place=self.source
        )
        return cut_after_last_target(rows)

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
        steps = complete_rows(rows, calendar, fills=self.fill != "error", trained=True, place=place)
        steps = add_covariates(steps, table, state.covariates, place)
        filled = fill(steps.panel, self.fill, state.columns, place)
        series = difference(filled, state.num_targets, self.diff)
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
        whole, scale = filled if self.diff else steps.panel, adopt_scale(state, series)
        batches = self._build(series, whole, {"all": origins}, codec, scale, rows.ids)
        return Loaded(
            codec,
            batches,
            description=f"{len(origins):,} windows",
            find_places=lambda split: list_windows(self._places[split]),
        )

    def list_examples(self, count: int) -> list[Example]:
        """Return the last rows of the training split of some series, each as a CSV to forecast from.

        Columns known ahead have their values for a horizon more. Series whose rows are too many, or cannot be read
        alone, are left out.
        """
        state, train = self.codec.state, self.windows("train")
        table = adopt_roles(self.read(self.source), state.roles, self.source, holds_stamps=holds_stamps)
        rows = self._order(table, state.roles)
        columns = [*state.roles.time, *state.roles.series_id, *state.roles.values, *state.roles.static]
        examples: list[Example] = []
        with_windows = np.unique(train.series)
        for index in with_windows[choose_rows(with_windows, count)].tolist():
            first, end = train.last_rows(index, state.lookback + self.diff)
            times = rows.panel[index].times
            start = int(rows.panel.starts[index])
            own = start + np.arange(times.searchsorted(first), times.searchsorted(end, side="right"))
            known = table.iloc[rows.source[own]][columns]
            if state.roles.known:
                after = np.arange(own[-1] + 1, min(own[-1] + 1 + state.horizon, rows.panel.starts[index + 1]))
                ahead = table.iloc[rows.source[after]][columns]
                known = pd.concat([known, ahead.assign(**dict.fromkeys(state.roles.targets))], ignore_index=True)
            name = train.names[index] or Path(self.source).stem
            content = known.to_csv(index=False).encode()
            if len(content) <= MOST_BYTES and self._is_read(content):
                encoded = base64.b64encode(content).decode()
                examples.append({"name": f"{name}.csv", "type": "text/csv", "content": encoded})
        return examples

    def _is_read(self, content: bytes) -> bool:
        """Return whether a CSV holds a window to forecast from."""
        try:
            frame = read_frame(open_bytes("example.csv", content))
            return any(isinstance(item, LastWindow) for item in self.codec.last_windows(frame.table))
        except (DataError, LookupError):
            return False

    def raw_path(self) -> Path:
        """Return the file of the raw data."""
        return locate(self.source, DATA_DIR)


def check_least(least: int, **values: int | None) -> None:
    """Check that each value is None or at least `least`.

    Raises:
        ValueError: a value is less.
    """
    for name, value in values.items():
        if value is not None and value < least:
            raise ValueError(f"expected `{name}` of at least {least}, received {value}")
