"""Tables of series of many kinds, on which the example program is compared with the codec."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightfit.datamodules import SeriesCodec
from lightfit.datamodules.series.covariates import Covariate
from lightfit.datamodules.series.zones import format_stamps

EXTRA = 9  # rows more than a window needs
START = np.datetime64("2024-03-01", "ns")
Row = dict[str, Any]


def make_odd_tables(folder: Path, codec: SeriesCodec) -> list[Path]:
    """Write tables of one series and of several, whole, short, with missing values, and return their paths.

    Args:
        folder: an empty folder.
        codec: the codec, whose columns and steps they have.
    """
    state, least = codec.state, codec.diff + (1 if codec.masked else codec.lookback)
    whole = codec.diff + codec.lookback + codec.horizon + EXTRA
    names = [*state.names[:2], "a new one"] if state.roles.series_id else [""]
    made: dict[str, list[Row]] = {
        "plain": list(_make_rows(codec, names[0], whole)),
        "short": list(_make_rows(codec, names[0], least)),
        "missing values": list(_make_rows(codec, names[0], whole, missing=True)),
    }
    if state.roles.series_id:
        lengths = (whole, least + 1, whole - 2)
        made["several series"] = [
            row for name, length in zip(names, lengths, strict=False) for row in _make_rows(codec, name, length)
        ]
    paths = []
    for name, rows in made.items():
        paths.append(folder / f"{name}.csv")
        with paths[-1].open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return paths


def _make_rows(codec: SeriesCodec, name: str, length: int, *, missing: bool = False) -> Iterator[Row]:
    """Yield the rows of a series, with those after its last target that have what is known ahead."""
    state, rng = codec.state, np.random.default_rng(length)
    roles, covariates = state.roles, state.covariates
    ids = _split_name(name, len(roles.series_id))
    steps = length + (codec.horizon if covariates.known else 0)
    calendar = state.calendar_of(np.array([START]), np.array([0, 1]), "")
    times = calendar.extend(calendar.extend(np.array([START]), 1)[0], steps)[0]
    stamps = (
        [str(time)[:19].replace("T", " ") for time in times] if state.zone is None else format_stamps(times, state.zone)
    )
    static = {column.name: _make_cell(column, 0, rng) for column in covariates.static}
    for step in range(steps):
        row: Row = {**dict.fromkeys(roles.time, ""), roles.time[0]: stamps[step]}
        row |= dict(zip(roles.series_id, ids, strict=True))
        row |= {target: _make_number(codec, index, step, rng) for index, target in enumerate(roles.targets)}
        row |= {column.name: _make_cell(column, step, rng) for column in (*covariates.past, *covariates.known)} | static
        if step >= length:
            row |= dict.fromkeys((*roles.targets, *roles.past), "")
        elif missing and step and step % 5 == 0 and step != length - 1:
            row |= dict.fromkeys((roles.targets[0], *roles.past[:1]), "")
        yield row


def _split_name(name: str, number: int) -> Sequence[str]:
    """Return the ids in the name of a series."""
    ids = name.split(", ")
    return ids if len(ids) == number else [name] * number


def _make_number(codec: SeriesCodec, index: int, step: int, rng: np.random.Generator) -> float:
    """Make a value of a target, of the size that it had in training."""
    mean, std = codec.state.scale.mean[0, index], codec.state.scale.std[0, index]
    return round(float(mean + std * (1.5 + np.sin(step / 3) + 0.1 * rng.normal())), 4)


def _make_cell(column: Covariate, step: int, rng: np.random.Generator) -> str | float:
    """Make a cell of a covariate; of categories also a rare one, one that is not known, and an empty one."""
    if column.kind == "number":
        return round(float(rng.normal()), 3)
    if column.kind == "boolean":
        return ("true", "false")[step % 2]
    known = (*column.values[:3], *column.rare[:1], *([column.first] if column.first is not None else []))
    return (*known, "one that is not known", "")[step % (len(known) + 2)]
