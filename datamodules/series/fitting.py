"""What a series codec learns: scaling on the training rows, and sizes that are not given."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from lightfit.errors import DataError

from ..splits import Ends, rolling_fold, split_by_time
from .calendar import Calendar
from .covariates import Covariates
from .panel import Panel, take_first
from .roles import Roles
from .scaler import Scale, ScaleKind, choose_kind, fit_moments, measure_errors_by_series
from .sizes import choose_ends, choose_history, choose_horizon, choose_lookback, choose_own_horizon
from .stamps import StampOptions, Stamps
from .state import SeriesState
from .steps import Steps

Split = tuple[float, ...] | tuple[str, ...] | None


class Asked(NamedTuple):
    """What was asked for, of what is otherwise chosen; as the arguments of `SeriesDataModule`."""

    lookback: int | Literal["all"] | None
    horizon: int | None
    season: int | None
    split: Split
    scale: ScaleKind
    nonnegative: bool | Literal["auto"]
    masked: bool
    diff: int
    stamps: StampOptions


def split_panel(panel: Panel, split: Split, *, season: int, horizon: int | None, fold: str | None) -> list[Ends]:
    """Return the end rows of train, val and test of each series.

    Args:
        panel: the series.
        split: fractions, numbers of rows or dates, as in `split_by_time`; None: as `choose_ends`.
        season: number of steps in a season.
        horizon: number of steps to forecast; None: not chosen yet.
        fold: a fold of a cross-validation, as in `rolling_fold`.
    """
    lengths = panel.lengths.tolist()
    if split is None:
        steps = horizon or choose_own_horizon(season, max(lengths))
        ends = [choose_ends(length, steps) for length in lengths]
    elif all(isinstance(item, str) for item in split):
        ends = [split_by_time(series.times, split) for series in panel]
    else:
        by_length = {length: split_by_time(pd.RangeIndex(length), split) for length in set(lengths)}
        ends = [by_length[length] for length in lengths]
    return ends if fold is None else [rolling_fold(own[1], fold) for own in ends]


def fit_covariates(
    table: pd.DataFrame,
    steps: Steps,
    roles: Roles,
    ends: Sequence[Ends],
    *,
    holidays: str | None,
    place: str,
) -> Covariates:
    """Learn the categories of the training rows.

    Args:
        table: the table.
        steps: its series.
        roles: roles of the columns.
        ends: end rows of the splits of each series.
        holidays: country whose holidays are a covariate.
        place: name of the table, for messages.
    """
    rows = steps.rows
    in_train = steps.since_start < np.array(ends)[rows.panel.codes, 0]
    return Covariates.fit(table.iloc[rows.source[in_train]], roles, holidays=holidays, place=place)


def fit_state(
    series: Panel,
    ends: Sequence[Ends],
    asked: Asked,
    *,
    roles: Roles,
    covariates: Covariates,
    calendar: Calendar,
    stamps: Stamps,
) -> SeriesState:
    """Fit the scaling on the training rows, and choose the sizes that are not given.

    Args:
        series: all series, filled and differenced.
        ends: end rows of the splits of each series.
        asked: what is given.
        roles: roles of the columns.
        covariates: how columns that are no numbers become numbers.
        calendar: the steps.
        stamps: time stamps as they were read.

    Raises:
        DataError: a column has no value in the training rows.
    """
    train, num_targets = take_first(series, np.array(ends)[:, 0]), len(roles.targets)
    season = asked.season or calendar.season
    columns = (*roles.targets, *covariates.names)
    empty = np.isnan(train.values).all(0)
    if empty.any():
        raise DataError(
            f"the column '{columns[int(empty.argmax())]}' has no value in the training split: leave it out, or change "
            "`split`"
        )
    scale = fit_scale(train, num_targets, len(covariates.static_names), season, asked.scale)
    horizon = asked.horizon or choose_horizon(season, list(ends))
    if asked.horizon is None and asked.split is None:
        horizon = min(horizon, choose_own_horizon(season, int(series.lengths.max())))
    if asked.lookback == "all":
        lookback = choose_history(season, series.lengths)
    else:
        lookback = asked.lookback or choose_lookback(season, horizon, int(train.lengths.max()))
    may_pad = asked.lookback == "all" or len(series) > 1
    targets = train.values[:, :num_targets]
    can_be_cut = np.array([asked.nonnegative == "auto" and (own[~np.isnan(own)] >= 0).all() for own in targets.T])
    cut = (can_be_cut | (asked.nonnegative is True)) & (not asked.diff)
    return SeriesState(
        roles=roles,
        covariates=covariates,
        calendar=calendar,
        stamps=replace(asked.stamps, likely=stamps.format),
        zone=stamps.zone,
        season=season,
        lookback=lookback,
        horizon=horizon,
        names=list(series.names),
        scale=scale,
        masked=asked.masked or (may_pad and bool((train.lengths < lookback + horizon).any())),
        lower=np.where(cut, 0.0, -np.inf).tolist(),
    )


def fit_scale(train: Panel, num_targets: int, num_static: int, season: int, asked: ScaleKind) -> Scale:
    """Fit the scale of each series on its training rows.

    Flags of 0 and 1 stay as they are; static columns have one scale for all series.

    Args:
        train: the training rows: targets, past, known, static.
        num_targets: number of targets.
        num_static: number of static columns.
        season: number of steps in a season.
        asked: kind of scaling.
    """
    kind, num_columns = choose_kind(train, num_targets, asked), train.values.shape[1]
    plain = np.array([set(np.unique(own[~np.isnan(own)]).tolist()) <= {0.0, 1.0} for own in train.values.T])
    plain[:num_targets] = False
    static = np.arange(num_columns) >= num_columns - num_static
    mean, std = fit_moments(train, kind, static, plain)
    if (unknown := np.isnan(mean)).any():  # series without a value in train
        fallback = fit_moments(train, kind, np.ones_like(static), plain)
        mean, std = (np.where(unknown, other, own) for own, other in zip((mean, std), fallback, strict=True))
    scaled = replace(train, values=(train.values - mean[train.codes]) / std[train.codes])
    return Scale(
        kind,
        mean,
        std,
        measure_errors_by_series(scaled, num_targets, season),
        measure_errors_by_series(scaled, num_targets, season, squared=True),
    )


def adopt_state(state: SeriesState, series: Panel, stamps: Stamps) -> SeriesState:
    """Return the state of another run for these series, with a scale for those that it did not have."""
    if len(state.scale.mean) == 1 and len(series) == 1:
        return state
    likely = replace(state.stamps, likely=stamps.format or state.stamps.likely)
    return replace(state, names=list(series.names), scale=adopt_scale(state, series), stamps=likely)


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
