"""Series in words: the data of a run on one line, and the places of its windows."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..splits import SPLITS, Ends, count_rows
from .calendar import Calendar
from .panel import Panel
from .places import WindowPlaces
from .state import SeriesState
from .zones import to_wall

NAMES_SHOWN = 8


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


def name_facts(lines: Sequence[str]) -> dict[str, str]:
    """Return lines about a table by the topic that each begins with, or as `table`."""
    facts: dict[str, str] = {}
    for line in filter(None, lines):
        topic, colon, rest = line.partition(": ")
        if not colon or len(topic.split()) > 2:
            topic, rest = "table", line
        facts[topic] = f"{facts[topic]}; {rest}" if topic in facts else rest
    return facts
