"""A table of series as a panel: sorted, each step once, without gaps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError, clip, clip_list

from .gaps import check_doubled, find_doubled, merge_doubled, order_rows
from .panel import Panel
from .stamps import StampOptions, Stamps, read_stamps

OnDuplicate = Literal["error", "mean", "sum", "last"]
NAMES_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How the rows of a table become the steps of series.

    Args:
        stamps: how time stamps are read.
        on_duplicate: what becomes of rows with one time stamp: error, their mean, their sum, or the last one of them.
    """

    stamps: StampOptions = field(default_factory=StampOptions)
    on_duplicate: OnDuplicate = "error"


class Identified(NamedTuple):
    """The series of each row.

    Args:
        codes: index of the series of each row, (N,).
        names: name of each series: its ids, joined.
        ids: the ids of each series.
    """

    codes: NDArray[np.int64]
    names: list[str]
    ids: list[tuple[str, ...]]


def identify(table: pd.DataFrame, series_id: Sequence[str], place: str) -> Identified:
    """Find the series of each row, in order of their first rows.

    Raises:
        DataError: an id is missing.
    """
    if not series_id:
        return Identified(np.zeros(len(table), np.int64), [""], [()])
    codes = np.zeros(len(table), np.int64)
    for name in series_id:
        own, distinct = pd.factorize(table[name])
        if (own < 0).any():
            raise DataError(
                f"{place}, row {(own < 0).argmax() + 1}: the column '{name}' is empty; expected the name of a series"
            )
        codes = codes * max(len(distinct), 1) + own
        codes = pd.factorize(codes)[0]
    codes, first = codes.astype(np.int64), np.unique(codes, return_index=True)[1]
    columns = [[_name(value) for value in table[name].iloc[first].to_numpy(object)] for name in series_id]
    ids = list(zip(*columns, strict=True))
    return Identified(codes, [", ".join(own) for own in ids], ids)


def _name(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class Rows(NamedTuple):
    """The rows of a table in order of series and time, each time stamp of a series once.

    Args:
        panel: the series.
        ids: the ids of each series.
        stamps: the time stamps as they were read.
        source: row of the table that each row came from, of several with one time stamp the last, (N,).
        found: what was done, in one line each.
        ahead: rows of the table after the last known target of their series, which are left out.
    """

    panel: Panel
    ids: list[tuple[str, ...]]
    stamps: Stamps
    source: NDArray[np.int64]
    found: list[str]
    ahead: NDArray[np.int64]


def order_table(
    table: pd.DataFrame,
    targets: NDArray[np.float64],
    *,
    time: Sequence[str],
    series_id: Sequence[str],
    options: RowOptions,
    place: str,
) -> Rows:
    """Sort the rows of a table by series and time.

    Args:
        table: the table.
        targets: its columns to forecast, (N, C).
        time: columns of the time stamps.
        series_id: columns that identify the series.
        options: how stamps are read, and what becomes of doubled ones.
        place: name of the table, for messages.

    Raises:
        DataError: a time stamp does not parse, or occurs twice in a series; an id is missing.
    """
    codes, names, ids = identify(table, series_id, place)
    stamps = read_stamps([table[name] for name in time], options.stamps, codes=codes, place=place)
    order, was_sorted = order_rows(codes, stamps.times)
    by_series = np.argsort(codes, kind="stable")
    moved = not was_sorted and not np.array_equal(order, by_series)
    found = ["rows sorted by time"] if moved else []
    starts = np.searchsorted(codes[order], np.arange(len(names) + 1))
    panel = Panel(names, starts, stamps.times[order], targets[order])
    doubled = find_doubled(panel.codes, panel.times)
    if len(doubled):
        if options.on_duplicate == "error":
            check_doubled(panel, stamps.zone, place, order)
        kept = np.setdiff1d(np.arange(len(order)), doubled)
        order = order[np.append(kept[1:], len(order)) - 1]
        panel = merge_doubled(panel, options.on_duplicate)
        found.append(f"{len(doubled):,} rows with a time stamp that occurs before: {_MERGED[options.on_duplicate]}")
    return Rows(panel, ids, stamps, order, found, order[:0])


_MERGED = {"mean": "their mean is taken", "sum": "they are summed", "last": "the last one is taken"}


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
    return rows._replace(panel=cut, source=rows.source[kept], ahead=rows.source[~kept])


def warn_of_rows_ahead(table: pd.DataFrame, past: Sequence[str], ahead: NDArray[np.int64]) -> list[str]:
    """Warn of covariates that have values after the last known target, but are not named as known ahead.

    Args:
        table: the table.
        past: covariates that count as known up to the forecast alone.
        ahead: rows after the last known target.
    """
    given = [name for name in past if len(ahead) and table[name].iloc[ahead].notna().any()]
    if not given:
        return []
    return [
        f"{len(ahead):,} rows after the last known target hold values of {clip_list(given)}: if they are known ahead, "
        "such as promotions, name them in `columns.known`, or they are not used for the steps to forecast"
    ]


def list_series(names: Sequence[str]) -> str:
    """Return the names of a few series, and how many there are besides."""
    return clip_list([clip(name) for name in names[:NAMES_SHOWN]]) + (
        f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    )
