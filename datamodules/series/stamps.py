"""Time stamps of a table: columns of anything to datetime64, by one format, found from all values of a column."""

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError, UsageError, clip

from . import written as kinds
from .readings import (
    DAY,
    EXCEL,
    EXCEL_DAYS,
    MAX_YEAR,
    MIN_YEAR,
    SECOND,
    UNITS,
    Reading,
    apply_reading,
    find_order,
    from_ordinal,
    from_week,
    list_readings,
    read_clock,
    to_strptime,
)
from .written import MISSING, NO_OFFSET, Written, find_month, read_written
from .zones import Ambiguous, Nonexistent, check_zone, find_zone, name_dtype_zone, to_utc

Int = NDArray[np.int64]
Times = NDArray[np.datetime64]

EXAMPLES = "2024-01-31, 2024-01-31 13:00, 31.12.2024, 12/31/2024, Jan 2024, 2024Q1, 2024-W05 or 20240131"
_UNIT_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_EXCEL_START = np.datetime64("1899-12-30")  # of days from March 1900 on: Excel counts a 29 February 1900
_CHUNK = 2_000_000  # rows that are looked at at once
_SAMPLE_ROWS = 200_000  # on which the steps of several readings are compared
_SAMPLE_CELLS = 400  # in which a column is looked at for stamps
_SHOWN = 3  # refused cells that a message shows
_TYPING_ERRORS = 0.02  # share of cells that may be wrong in a reading that is regular without them
_MARGIN = 0.5  # a reading is more regular if it has at most this share of the other's irregular steps


@dataclass(frozen=True, kw_only=True)
class StampOptions:
    """How the time stamps of a table are to be read.

    Args:
        date_format: format of the stamps, as of strptime (%d/%m/%Y) or as dd/mm/yyyy; `excel`: serial numbers of days;
            `s`, `ms`, `us` or `ns`: time since 1970; null: found from all values of the column.
        timezone: zone of the stamps, such as Europe/Berlin; those with offsets are converted to it. null: as they are.
        ambiguous: which hour a local time is in that comes twice as the clock goes back: `earlier`, `later`, or
            `infer`, by the order of the rows.
        nonexistent: what becomes of a local time that is skipped as the clock goes forward: `forward`: it is read as if
            the clock had not been set; `backward`: as if it had been set before.
        likely: format that is taken where several fit, such as that of the training table.
    """

    date_format: str | None = None
    timezone: str | None = None
    ambiguous: Ambiguous = "error"
    nonexistent: Nonexistent = "error"
    likely: str | None = None


class Stamps(NamedTuple):
    """Time stamps of rows.

    Args:
        times: (N,) datetime64[ns], in UTC if there is a zone, else as they are written.
        zone: an IANA name, or an offset such as +02:00; None if the stamps have no zone.
        format: how the stamps are written; also as `likely` for another table of the same source.
        found: what was found, for a line of text.
    """

    times: Times
    zone: str | None
    format: str | None
    found: str


class _Local(NamedTuple):
    """Local times, their offsets in minutes (NO_OFFSET if none), zone if it is known, format, and what was found."""

    times: Times
    offsets: Int | None
    zone: str | None
    format: str | None
    found: str


def read_stamps(columns: Sequence[pd.Series], options: StampOptions, *, codes: Int | None = None, place: str) -> Stamps:
    """Read the time stamps of a table.

    Args:
        columns: one column, or several that make a stamp together: date and time, or year and month, year, month and
            day, year and quarter, year and week, year and day of the year, each also with an hour, minute and second.
        options: how they are to be read.
        codes: index of the series of each row, for the choice between formats; None: one series.
        place: name of the table, for messages.

    Raises:
        UsageError: `date_format` or `timezone` is not known.
        DataError: a cell is not a stamp, two formats fit equally, or zones are mixed; the message names the row.
    """
    if options.timezone is not None:
        options = replace(options, timezone=check_zone(options.timezone))
    if not len(columns[0]):
        raise DataError(f"{place}: expected rows with time stamps, received none")
    names = " and ".join(f"'{column.name}'" for column in columns)
    here = f"{place}, column{'s' if len(columns) > 1 else ''} {names}"
    local = (
        _read_column(columns[0], options, codes, here) if len(columns) == 1 else _join(columns, options, codes, here)
    )
    return _to_zone(local, options, codes, here)


def _to_zone(local: _Local, options: StampOptions, codes: Int | None, place: str) -> Stamps:
    """Convert local times to UTC where they have a zone."""
    zone, times, offsets = options.timezone, local.times, local.offsets
    has = np.zeros(len(times), bool) if offsets is None else offsets != NO_OFFSET
    if local.zone is not None:  # in UTC already
        return Stamps(times, zone or local.zone, local.format, local.found)
    if not has.all() and (zone is not None or not has.any()):
        if zone is None:
            return Stamps(times, None, local.format, local.found)
        utc = times.copy()
        rows = np.flatnonzero(~has)
        utc[rows] = to_utc(
            times[rows] if has.any() else times,
            zone,
            ambiguous=options.ambiguous,
            nonexistent=options.nonexistent,
            codes=None if codes is None else codes[rows],
            place=place,
        )
    elif not has.all():
        row = int((~has).argmax())
        raise DataError(
            f"{place}: {int((~has).sum())} stamps have no offset from UTC, the first in row {row + 1}, and others have "
            "one. Set `timezone` to the zone of those without"
        )
    else:
        utc = times.copy()
    if offsets is not None and has.any():
        utc[has] = times[has] - (offsets[has] * 60 * SECOND).astype("timedelta64[ns]")
    found = local.found
    if zone is None and offsets is not None:
        distinct, rows = np.unique(utc.astype(np.int64), return_index=True)
        pairs = _distinct_offsets(utc, offsets, rows, distinct)
        zone, said = find_zone(*pairs, place)
        found = "; ".join(filter(None, (found, said)))
    return Stamps(utc, zone, local.format, found)


def _distinct_offsets(utc: Times, offsets: Int, rows: Int, distinct: Int) -> tuple[Times, Int, Int]:
    """Return the distinct pairs of stamps and offsets, and the first row of each."""
    if (offsets[rows][np.searchsorted(distinct, utc.astype(np.int64))] == offsets).all():
        return utc[rows], offsets[rows], rows
    table = pd.DataFrame({"utc": utc, "offset": offsets}).drop_duplicates()
    return table["utc"].to_numpy("datetime64[ns]"), table["offset"].to_numpy(np.int64), table.index.to_numpy(np.int64)


# ---------------------------------------------------------------------------------------------------- one column


def _read_column(column: pd.Series, options: StampOptions, codes: Int | None, place: str) -> _Local:
    if isinstance(column.dtype, pd.CategoricalDtype):
        if column.cat.categories.dtype == object or pd.api.types.is_string_dtype(column.cat.categories.dtype):
            return _read_categories(column, options, codes, place)
        column = column.astype(column.cat.categories.dtype)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype):
        return _read_typed(column, place)
    if pd.api.types.is_bool_dtype(column.dtype):
        raise DataError(f"{place}: expected time stamps such as {EXAMPLES}; received true and false")
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        _check_filled(np.isnan(numbers), place)
        if (numbers != np.floor(numbers)).any() or (np.abs(numbers) > 2**63).any():
            return _read_fractions(numbers, column, options, place)
        inverse, unique = pd.factorize(column.to_numpy(np.int64))
        return _read_cells(list(map(str, unique)), inverse, options, codes, column, place)
    inverse, unique = pd.factorize(column.to_numpy(object), use_na_sentinel=True)
    texts = [_to_text(value) for value in unique]
    if "" in texts:
        inverse = np.where(np.array([text == "" for text in texts])[inverse], -1, inverse)
    _check_filled(inverse < 0, place)
    return _read_cells(texts, inverse, options, codes, column, place)


def _read_categories(column: pd.Series, options: StampOptions, codes: Int | None, place: str) -> _Local:
    """Read a column whose distinct cells are known."""
    texts = [_to_text(value) for value in column.cat.categories]
    inverse = column.cat.codes.to_numpy()
    empty = np.array([text == "" for text in texts] + [True])
    _check_filled(empty[inverse], place)
    used = np.bincount(inverse, minlength=len(texts)) > 0
    numbers = np.cumsum(used) - 1
    return _read_cells(
        [text for text, is_used in zip(texts, used, strict=True) if is_used],
        numbers[inverse],
        options,
        codes,
        column,
        place,
    )


def _to_text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _check_filled(empty: NDArray[np.bool_], place: str) -> None:
    if empty.any():
        raise DataError(
            f"{place}: number of empty cells: {int(empty.sum())}, the first in row {empty.argmax() + 1}; expected a "
            "time stamp in each row: fill them in, or delete these rows"
        )


def _read_typed(column: pd.Series, place: str) -> _Local:
    _check_filled(column.isna().to_numpy(), place)
    zone = name_dtype_zone(column)
    times = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone else column
    years = times.dt.year.to_numpy()
    _check_years(years, lambda row: str(column.iloc[row]), np.arange(len(column)), place)
    return _Local(times.to_numpy("datetime64[ns]"), None, zone, None, "")


def _read_fractions(numbers: NDArray[np.float64], column: pd.Series, options: StampOptions, place: str) -> _Local:
    low, high = numbers.min(), numbers.max()
    asked = options.date_format or (options.likely if options.likely in (EXCEL, *UNITS) else None)
    is_excel = low >= EXCEL_DAYS[0] and high <= EXCEL_DAYS[1] and names_time(str(column.name))
    if asked == EXCEL or (asked is None and is_excel):
        seconds = np.rint(numbers * 86_400).astype(np.int64)  # a serial number has 9 to 11 digits: not exact
        times = _EXCEL_START + seconds.astype("timedelta64[s]")
        return _Local(times.astype("datetime64[ns]"), None, None, EXCEL, "serial numbers of Excel")
    guess = "s" if low >= 1e8 and high < 1e10 else "ms" if low >= 1e11 and high < 1e13 else None
    unit = asked if asked in UNITS else guess
    if unit is not None:
        microseconds = np.rint(numbers * (UNITS[unit] / 1000)).astype(np.int64)
        times = microseconds.astype("datetime64[us]").astype("datetime64[ns]")
        return _Local(times, None, "UTC", unit, f"{_UNIT_WORDS[unit]} since 1970")
    row = int((numbers != np.floor(numbers)).argmax())
    hint = f"set `date_format` to {EXCEL}" if EXCEL_DAYS[0] <= numbers[row] <= EXCEL_DAYS[1] else "correct them"
    raise DataError(
        f"{place}: expected time stamps such as {EXAMPLES}; received numbers with fractions, such as "
        f"{numbers[row]:.10g} in row {row + 1}: {hint}, or set `columns.time` to another column"
    )


def _read_cells(
    texts: list[str], inverse: Int, options: StampOptions, codes: Int | None, column: pd.Series, place: str
) -> _Local:
    """Read distinct cells, and spread them over the rows."""
    first = _find_first(inverse, len(texts))
    wanted = None if options.date_format is None else to_strptime(options.date_format)
    cells = read_written(texts)
    order = find_order(wanted) if wanted is not None else None
    if wanted is not None and order is None:
        ticks, bad = _strptime(texts, wanted)
        _refuse(bad, texts, first, f"expected `date_format` {wanted}", place)
        return _Local(ticks.view("datetime64[ns]")[inverse], None, None, options.date_format, "")
    kind = _find_kind(cells)
    readings = [item for item in list_readings(cells, kind) if order is None or item.key == order]
    if kind == kinds.DIGITS and order is None and not _allows_excel(column, options):
        readings = [item for item in readings if item.key != EXCEL]
    if not readings:
        if wanted is not None:
            ticks, bad = _strptime(texts, wanted)
            _refuse(bad, texts, first, f"expected `date_format` {options.date_format}", place)
            return _Local(ticks.view("datetime64[ns]")[inverse], None, None, options.date_format, "")
        _refuse_kind(cells, kind, texts, first, place)
    tried = [(item, *apply_reading(item, cells, kind)) for item in readings]
    reading, ticks, bad, why = _choose(tried, inverse, codes, options.likely, texts, first, place)
    years = reading.read()[0] if reading.key not in (EXCEL, *UNITS) else None
    if years is not None:
        _check_years(years[~bad], lambda row: texts[row], first, place, np.flatnonzero(~bad))
    if bad.sum() * 2 > len(texts) and options.date_format is None:
        _refuse_kind(cells, kind, texts, first, place, bad)
    expected = options.date_format or reading.format
    _refuse(bad, texts, first, f"expected them as most are, by the format {expected}", place)
    if kind == kinds.MONTH:
        _check_months(cells, ticks, texts, place)
    zone = "UTC" if reading.key in UNITS else None
    offsets = cells.offset[inverse] if (cells.offset != NO_OFFSET).any() else None
    times = ticks.view("datetime64[ns]")
    if cells.zones:
        times, offsets = _apply_named_zones(cells, times, inverse, options, codes, place)
        if len(cells.zones) == 1 and (cells.zone != MISSING).all():
            return _Local(times, None, cells.zones[0], reading.format, why)
    else:
        times = times[inverse]
    words = "serial numbers of Excel" if reading.key == EXCEL else f"{_UNIT_WORDS.get(reading.key, '')} since 1970"
    said = words if reading.key in (EXCEL, *UNITS) else f"read as {reading.format}{why}" if why else ""
    return _Local(times, offsets, zone, reading.format, said)


def _find_first(inverse: Int, count: int) -> Int:
    """Return the first row of each distinct cell."""
    first = np.full(count, -1)
    for begin in reversed(range(0, len(inverse), _CHUNK)):  # what is written last stays
        part = inverse[begin : begin + _CHUNK]
        first[part[::-1]] = np.arange(begin, begin + len(part))[::-1]
    return first


def _allows_excel(column: pd.Series, options: StampOptions) -> bool:
    return names_time(str(column.name)) or EXCEL in (options.date_format, options.likely)


def _apply_named_zones(
    cells: Written, times: Times, inverse: Int, options: StampOptions, codes: Int | None, place: str
) -> tuple[Times, Int]:
    """Convert stamps with names of zones, such as [Europe/Berlin], to UTC, with an offset of 0."""
    local, offsets, zone = times[inverse].copy(), cells.offset[inverse].copy(), cells.zone[inverse]
    for index, name in enumerate(cells.zones):
        rows = np.flatnonzero(zone == index)
        bare = rows[offsets[rows] == NO_OFFSET]
        known = rows[offsets[rows] != NO_OFFSET]
        local[known] -= (offsets[known] * 60 * SECOND).astype("timedelta64[ns]")
        if len(bare):
            choice = options.ambiguous, options.nonexistent
            series = None if codes is None else codes[bare]
            local[bare] = to_utc(
                local[bare], name, ambiguous=choice[0], nonexistent=choice[1], codes=series, place=place
            )
        offsets[rows] = 0
    return local, offsets


def _find_kind(cells: Written) -> int:
    counts = np.bincount(cells.kind, minlength=kinds.TIME + 1)
    counts[kinds.UNREAD] = 0
    return int(counts.argmax()) if counts.any() else kinds.UNREAD


def _strptime(texts: list[str], wanted: str) -> tuple[Int, NDArray[np.bool_]]:
    try:
        times = pd.to_datetime(pd.Series(texts, dtype=object), format=wanted, errors="coerce")
    except ValueError as error:
        raise UsageError(
            f"expected `date_format` as a format of strptime such as %d/%m/%Y %H:%M, or as dd/mm/yyyy; received "
            f"'{clip(wanted)}': {clip(' '.join(str(error).split()), 100)}"
        ) from error
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        times = times.dt.tz_convert(None)
    ticks = times.to_numpy("datetime64[ns]")
    return ticks.view(np.int64), np.isnat(ticks)


# ----------------------------------------------------------------------------------------------------- the choice


def _choose(
    tried: list[tuple[Reading, Int, NDArray[np.bool_]]],
    inverse: Int,
    codes: Int | None,
    likely: str | None,
    texts: list[str],
    first: Int,
    place: str,
) -> tuple[Reading, Int, NDArray[np.bool_], str]:
    """Choose among the readings that fit: the likely one, the preferred one, or that of regular steps.

    One that does not fit a few cells may be more regular: these cells are then wrong, and not all others.
    """
    order = None if likely is None else find_order(to_strptime(likely))
    tried = sorted(tried, key=lambda item: int(item[2].sum()))
    fewest = int(tried[0][2].sum())
    fitting = [item for item in tried if item[2].sum() == fewest]
    for reading, ticks, bad in fitting:
        if reading.key == order:
            return reading, ticks, bad, ""
    rank = min(item[0].rank for item in fitting)
    most = max(fewest, int(_TYPING_ERRORS * len(texts)))
    tried = [item for item in tried if item[0].rank == rank and item[2].sum() <= most]
    reading, ticks, bad = tried[0]
    if all((ticks == other).all() for _, other, _ in tried[1:]):
        return reading, ticks, bad, ""
    rows, series = _sample_series(inverse, codes)
    measured = [_count_irregular(ticks[rows][~bad[rows]], series[~bad[rows]]) for _, ticks, bad in tried]
    order_by = np.lexsort([[item[1] for item in measured], [item[0] for item in measured]])
    best, second = measured[order_by[0]], measured[order_by[1]]
    is_regular = best[0] < second[0] and best[0] <= _MARGIN * second[0]
    is_ordered = best[0] == second[0] and best[1] < second[1]
    if not (is_regular or is_ordered):
        if tried[1][2].sum() > fewest:
            return reading, ticks, bad, ""
        _refuse_several([tried[index] for index in order_by[:2]], texts, first, place)
    reading, ticks, bad = tried[order_by[0]]
    other = tried[order_by[1]][0]
    return reading, ticks, bad, f" (as {other.format} the steps would be less regular)"


def _sample_series(inverse: Int, codes: Int | None) -> tuple[Int, Int]:
    """Return the cells of some whole series, in the order of the rows, and their series."""
    if codes is None:
        return inverse, np.zeros(len(inverse), np.int64)
    if len(codes) <= _SAMPLE_ROWS:
        return inverse, codes
    counts = np.bincount(codes)
    keep = np.cumsum(counts) <= max(_SAMPLE_ROWS, counts[0])
    rows = keep[codes]
    return inverse[rows], codes[rows]


def _count_irregular(ticks: Int, codes: Int) -> tuple[float, float]:
    """Return the share of steps that are not the usual one, and the share of rows that go against the order.

    A step is a number of nanoseconds, or of months between the same day, whichever is more regular.
    """
    order = np.lexsort([ticks, codes])
    times, series = ticks[order], codes[order]
    steps = np.diff(times)
    inside = (np.diff(series) == 0) & (steps > 0)
    if not inside.any():
        return 1.0, 1.0
    months = times.view("datetime64[ns]").astype("datetime64[M]")
    rest = times - months.astype("datetime64[ns]").astype(np.int64)
    days_left = ((months + 1).astype("datetime64[ns]").astype(np.int64) - times) // DAY
    month_steps = np.diff(months.astype(np.int64))
    same = (np.diff(rest) == 0) | ((days_left[1:] == 1) & (days_left[:-1] == 1))
    month_steps = np.where(same & (month_steps > 0), month_steps, -1 - np.arange(len(month_steps)))
    regular = max(_share_of_usual(steps[inside]), _share_of_usual(month_steps[inside]))
    moves = np.diff(ticks)[np.diff(codes) == 0]
    against = min((moves < 0).mean(), (moves > 0).mean()) if len(moves) else 1.0
    return 1 - regular, float(against)


def _share_of_usual(steps: Int) -> float:
    return float(np.unique(steps, return_counts=True)[1].max() / len(steps))


def _refuse_several(
    tried: list[tuple[Reading, Int, NDArray[np.bool_]]], texts: list[str], first: Int, place: str
) -> None:
    (one, ticks, _), (two, others, _) = tried
    cell = int(np.where(ticks != others, first, first.max() + 1).argmin())
    dates = [str(pd.Timestamp(int(item[cell])).date()) for item in (ticks, others)]
    raise DataError(
        f"{place}: the stamps may be read as {one.format} or as {two.format} ('{clip(texts[cell])}' in row "
        f"{first[cell] + 1} as {dates[0]} or as {dates[1]}), and the steps are no more regular in one of them. "
        f"Set `date_format` to {one.format} or to {two.format}"
    )


# ------------------------------------------------------------------------------------------------- what is refused


def _refuse(bad: NDArray[np.bool_], texts: list[str], first: Int, expected: str, place: str) -> None:
    if not bad.any():
        return
    rows = first[bad]
    cells = [texts[index] for index in np.flatnonzero(bad)]
    order = np.argsort(rows, kind="stable")[:_SHOWN]
    shown = ", ".join(f"row {rows[index] + 1} '{clip(cells[index])}'" for index in order)
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    raise DataError(
        f"{place}: {shown}{more} cannot be read as time stamps ({len(rows)} of {len(texts)} different cells); "
        f"{expected}. Correct these cells or delete their rows, or set `date_format` if it is another one"
    )


def _refuse_kind(
    cells: Written, kind: int, texts: list[str], first: Int, place: str, bad: NDArray[np.bool_] | None = None
) -> None:
    row = int(first.argmin() if bad is None else np.where(bad, first, first.max() + 1).argmin())
    if kind != kinds.NO_YEAR and bad is None and (cells.kind == kinds.UNREAD).any():
        row = int(np.where(cells.kind == kinds.UNREAD, first, first.max() + 1).argmin())
    start = f"{place}: expected time stamps such as {EXAMPLES}; received '{clip(texts[row])}' in row {first[row] + 1}"
    numbers = cells.fields["n"]
    if ":" in texts[row] and (zone := re.search(r"\d\s?([A-Z]{2,5})$", texts[row])):
        raise DataError(
            f"{start}. The abbreviation {zone[1]} names no one zone: write the offset from UTC in its place (+01:00), "
            "or leave it out and set `timezone`"
        )
    if kind == kinds.NO_YEAR:
        raise DataError(f"{start}, which has no year. Add the year to the stamps, or set `columns.time` to two columns")
    if kind == kinds.DIGITS and (cells.widths["n"] == 5).all():
        raise DataError(f"{start}. If these are serial numbers of days as in Excel, set `date_format` to {EXCEL}")
    if kind == kinds.DIGITS and numbers.min() <= 1 and (np.diff(np.sort(numbers)) == 1).all():
        raise DataError(
            f"{start}: the column counts rows, and holds no stamps. Set `columns.time` to a column of dates, or add one"
        )
    raise DataError(
        f"{start}. Set `date_format` to their format (as of strptime, such as %d/%m/%Y %H:%M), or `columns.time` to "
        "the column of time stamps"
    )


def _check_years(years: Int, show: Callable[[int], str], first: Int, place: str, cells: Int | None = None) -> None:
    far = np.flatnonzero((years < MIN_YEAR) | (years > MAX_YEAR))
    if not len(far):
        return
    index = far if cells is None else cells[far]
    least = int(first[index].argmin())
    year, row = int(years[far[least]]), int(first[index][least])
    start = f"{place}, row {row + 1}: '{clip(show(int(index[least])))}'"
    share = f"{len(far)} of {len(years)} different stamps"
    if 1300 <= year <= 1500:
        raise DataError(
            f"{start} has a year of the Persian or Islamic calendar ({share}); expected the Gregorian one: convert the "
            "stamps, for instance by the packages jdatetime (Persian) or hijridate (Islamic)"
        )
    if 2400 <= year <= 2700:
        raise DataError(
            f"{start} has a year of the Buddhist calendar ({share}); expected the Gregorian one: subtract 543 from the "
            "years"
        )
    raise DataError(
        f"{start} lies far off ({share}); expected years from {MIN_YEAR} to {MAX_YEAR}: correct these stamps, or "
        "delete their rows"
    )


def _check_months(cells: Written, ticks: Int, texts: list[str], place: str) -> None:
    """Refuse what only looks like months.

    `Jan-01`, `Jan-02`, ... may be days without a year, and 2001/02, 2002/03, ... are years.
    """
    years, months = cells.fields["y"], cells.fields["m"]
    if len(texts) > 1 and ((years + 1) % 100 == months).all() and (cells.widths["y"] == 4).all():
        raise DataError(
            f"{place}: '{clip(texts[0])}', '{clip(texts[1])}' are years that begin in one year and end in the next; "
            f"expected stamps such as {years[0]}: replace them by the first year"
        )
    short = cells.widths["y"] == 2
    if not short.all() or len(texts) < 3 or (cells.fields["y"] > 31).any() or (cells.fields["y"] < 1).any():
        return
    month, day = cells.fields["m"], cells.fields["y"]
    days = (
        ((2000 - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day
    ) * DAY
    zero = np.zeros(len(ticks), np.int64)
    if (month == month[0]).all() or _count_irregular(days, zero)[0] < _count_irregular(ticks, zero)[0]:
        raise DataError(
            f"{place}: '{clip(texts[0])}', '{clip(texts[1])}' may be days without a year; expected a year: write it "
            "with four digits (Jan 2015), or add it to the stamps"
        )


# ----------------------------------------------------------------------------------------------- several columns


_ROLE_WORDS = {
    "year": "year yr yyyy jahr année annee año ano anno 年 y",
    "month": "month mon mm mo monat mois mes mese 月 period m",
    "day": "day dd dom tag jour día dia giorno 日 d dayofmonth",
    "quarter": "quarter qtr quartal trimestre trimester q",
    "week": "week wk woche kw semaine semana settimana isoweek 周 w",
    "doy": "doy dayofyear day_of_year yday julian jday ordinal",
    "hour": "hour hr hh stunde heure hora ora hours he h",
    "minute": "minute min minutes mi minuten",
    "second": "second sec seconds ss sekunde",
    "date": "date datum fecha data day_date 日期",
    "time": "time zeit uhrzeit heure hora ora clock tod timeofday 时间",
}
_ROLES = {word: role for role, words in reversed(_ROLE_WORDS.items()) for word in words.split()}


def _join(columns: Sequence[pd.Series], options: StampOptions, codes: Int | None, place: str) -> _Local:
    """Read stamps of several columns."""
    roles = [_find_role(column, index) for index, column in enumerate(columns)]
    named = {}
    for role, column in zip(roles, columns, strict=True):
        if role is None or role in named:
            raise DataError(
                f"{place}: cannot tell what the column '{column.name}' is for; expected a date and a time, or a year "
                "with a month, quarter, week or day of the year, each with hours, minutes and seconds if any: "
                "name the columns so"
            )
        named[role] = column
    found = "from " + " and ".join(f"'{column.name}' ({role})" for role, column in named.items())
    if "date" in named:
        start = _read_column(named.pop("date"), options, codes, place)
        ticks, offsets, layout = start.times.astype("datetime64[ns]").view(np.int64).copy(), start.offsets, start.format
    elif "year" in named:
        ticks, layout = _join_date(named, place)
        offsets = None
    else:
        raise DataError(f"{place}: expected a column of dates or of years among them; received {', '.join(named)}")
    if "time" in named:
        clock, own = _read_times(named.pop("time"), place)
        ticks += clock
        offsets = own if own is not None else offsets
    for role, size, top in (("hour", 3600, 24), ("minute", 60, 59), ("second", 1, 60)):
        if role in named:
            values = _read_integers(named.pop(role), 0, top, place)
            ticks += values * size * SECOND
    if named:
        raise DataError(f"{place}: the column '{next(iter(named.values())).name}' is not needed beside the others")
    return _Local(ticks.view("datetime64[ns]"), offsets, None, layout, found)


def _find_role(column: pd.Series, index: int) -> str | None:
    name = re.sub(r"[^\w]+", "_", str(column.name).strip().lower())
    for word in (name, name.replace("_", ""), *reversed(name.split("_"))):
        if word in _ROLES:
            role = _ROLES[word]
            if role == "date" and _looks_like_year(column):
                return "year"
            return role
    texts = _sample_texts(column)
    if not texts:
        return None
    if (read_written(texts, clock=True).kind == kinds.TIME).all() and any(":" in text for text in texts):
        return "time"
    if _looks_like_year(column):
        return "year"
    if pd.api.types.is_numeric_dtype(column.dtype) and index:
        top = column.max()
        return "month" if 4 < top <= 12 else "week" if 12 < top <= 53 else "doy" if 53 < top <= 366 else None
    return "date" if holds_stamps(column, "date") else "month" if all(find_month(text) for text in texts) else None


def _looks_like_year(column: pd.Series) -> bool:
    numbers = pd.to_numeric(column, errors="coerce")
    return bool(((numbers >= 1000) & (numbers <= 2999) & (numbers % 1 == 0)).all()) and len(numbers) > 0


def _join_date(named: dict[str, pd.Series], place: str) -> tuple[Int, str]:
    years = _read_integers(named.pop("year"), 0, 9999, place)
    _check_years(years, lambda row: str(years[row]), np.arange(len(years)), place)
    one = np.ones(len(years), np.int64)
    if "month" in named:
        month = _read_integers(named.pop("month"), 1, 12, place)
        days = _read_integers(named["day"], 1, 31, place) if "day" in named else one
        name = named.pop("day", None)
        start = ((years - 1970) * 12 + month - 1).astype("datetime64[M]")
        length = ((start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.int64)
        if (days > length).any():
            row = int((days > length).argmax())
            assert name is not None
            raise DataError(
                f"{place}, row {row + 1}: the column '{name.name}' holds {days[row]}, and the month {start[row]} has "
                f"{length[row]} days; correct it"
            )
        return (start.astype("datetime64[D]").astype(np.int64) + days - 1) * DAY, "%Y-%m-%d"
    for role, top, read, layout in (
        ("quarter", 4, lambda value: (years, 3 * value - 2, one, one), "%YQ%q"),
        ("week", 53, lambda value: from_week(years, value, one), "%G-W%V"),
        ("doy", 366, lambda value: from_ordinal(years, value), "%Y-%j"),
    ):
        if role in named:
            column = named.pop(role)
            year, month, day, _ = read(_read_integers(column, 1, top, place))
            if (month < 1).any():
                row = int((month < 1).argmax())
                raise DataError(
                    f"{place}, row {row + 1}: the year {years[row]} has no {role} {column.iloc[row]}; correct it"
                )
            start = ((year - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
            return (start + day - 1) * DAY, layout
    start = (years - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return start * DAY, "%Y"


_PREFIXED = re.compile(r"(?:[a-zA-Z]{1,2}[-_ ]?)?(\d{1,4})(?:\.0+)?")


def _read_integers(column: pd.Series, low: int, high: int, place: str) -> Int:
    """Read small whole numbers, also as Jan, M01, Q1 or W05; hours may be HHMM."""
    inverse, unique = pd.factorize(column.to_numpy(object), use_na_sentinel=True)
    _check_filled(inverse < 0, f"{place} ('{column.name}')")
    values = np.full(len(unique), MISSING, np.int64)
    for index, value in enumerate(unique):
        text = str(value).strip()
        if match := _PREFIXED.fullmatch(text):
            values[index] = int(match[1])
        elif high == 12 and (month := find_month(text)):
            values[index] = month
    bad = (values < low) | (values > high)
    if bad.any():
        row = int(bad[inverse].argmax())
        raise DataError(
            f"{place}, row {row + 1}: '{clip(str(column.iloc[row]))}' in the column '{column.name}'; expected a number "
            f"from {low} to {high} ({int(bad[inverse].sum())} such rows): correct them, or delete these rows"
        )
    return values[inverse]


def _read_times(column: pd.Series, place: str) -> tuple[Int, Int | None]:
    """Return the nanoseconds of times of day, and their offsets if there are any."""
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        return column.to_numpy("timedelta64[ns]").astype(np.int64), None
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype):
        ticks = column.to_numpy("datetime64[ns]").astype(np.int64)  # Excel's times are of 1899 or 1900
        return ticks % DAY, None
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        _check_filled(np.isnan(numbers), f"{place} ('{column.name}')")
        if (numbers >= 0).all() and (numbers < 1).all() and numbers.any():  # Excel's fractions of a day
            return np.rint(numbers * 86_400).astype(np.int64) * SECOND, None
        size = 1 if numbers.max() <= 24 else 100 if numbers.max() <= 2400 else 10_000
        whole = numbers.astype(np.int64)
        hour, minute, second = whole // size, whole * 100 // size % 100, whole * 10_000 // size % 100
        bad = (hour > 24) | (minute > 59) | (second > 59) | (whole != numbers) | (whole < 0)
        if not bad.any():
            return (hour * 3600 + minute * 60 + second) * SECOND, None
        row = int(bad.argmax())
        raise DataError(
            f"{place}, row {row + 1}: {numbers[row]:.10g} in the column '{column.name}'; expected a time of day such "
            "as 13:00, 13 or 1300"
        )
    inverse, unique = pd.factorize(column.to_numpy(object), use_na_sentinel=True)
    _check_filled(inverse < 0, f"{place} ('{column.name}')")
    texts = [_to_text(value) for value in unique]
    cells = read_written(texts, clock=True)
    clock = read_clock(cells)
    bad = (cells.kind != kinds.TIME) | (clock < 0)
    if bad.any():
        row = int(bad[inverse].argmax())
        raise DataError(
            f"{place}, row {row + 1}: '{clip(texts[inverse[row]])}' in the column '{column.name}'; expected a time of "
            f"day such as 13:00 or 1:00 PM ({int(bad[inverse].sum())} such rows)"
        )
    offsets = cells.offset[inverse]
    return clock[inverse], offsets if (offsets != NO_OFFSET).any() else None


# ------------------------------------------------------------------------------------------------ which columns


_TIME_WORDS = frozenset(
    word
    for words in (
        "date dates time times day month week year years yr quarter qtr period timestamp timestamps datetime ds ts dt",
        "stamp epoch unix unixtime when utc season yearmonth yyyymm yyyymmdd",
        "datum zeit zeitpunkt zeitstempel jahr monat woche tag quartal uhrzeit",
        "fecha tiempo año mes semana trimestre día jour mois année annee semaine heure giorno anno mese settimana",
        "日期 时间 年 月 年月",
    )
    for word in words.split()
)
_TIME_ENDINGS = ("date", "time", "datum", "zeit", "timestamp", "month", "year", "_at", "_ts", "_dt")
_STEADY = 0.2  # share of irregular steps up to which numbers without a telling name are stamps


def names_time(name: str) -> bool:
    """Return whether a column's name says that it holds stamps, such as date, OrderDate or created_at."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).lower()
    return split.endswith(_TIME_ENDINGS) or not _TIME_WORDS.isdisjoint(re.split(r"[\W_\d]+", split))


def holds_stamps(column: pd.Series, name: str | None = None) -> bool:
    """Return whether a column holds time stamps, by a sample of its values.

    Ids such as A-01, 2024-001 or 1-2, running numbers, and times of day are not taken for stamps; numbers such as 2024
    or 43831 are where the name says so.

    Args:
        column: the column.
        name: its name; None: that of the column.
    """
    name = str(column.name if name is None else name)
    dtype = column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype | pd.PeriodDtype) or pd.api.types.is_datetime64_dtype(dtype):
        return bool(column.notna().any())
    telling = names_time(name)
    if pd.api.types.is_float_dtype(dtype) and not telling and (column.dropna() % 1 != 0).any():
        return False
    texts = _sample_texts(column)
    if not texts:
        return False
    cells = read_written(texts)
    kind = _find_kind(cells)
    if telling and pd.api.types.is_float_dtype(dtype) and "." in texts[0]:
        numbers = np.array([float(text) for text in texts])
        return bool(((numbers >= EXCEL_DAYS[0]) & (numbers <= EXCEL_DAYS[1])).all()) or bool((numbers >= 1e8).all())
    best = None
    for reading in list_readings(cells, kind):
        ticks, bad = apply_reading(reading, cells, kind)
        if best is None or bad.sum() < best[2].sum():
            best = reading, ticks, bad
    if best is None or best[2].sum() * 10 > len(texts):  # the rest is refused by its rows, when the stamps are read
        return False
    reading, ticks, bad = best
    plain = cells.widths["y"] if kind == kinds.MONTH else np.maximum(cells.widths["a"], cells.widths["c"])
    strong = kind in (kinds.DAY, kinds.WEEK, kinds.QUARTER, kinds.HALF) or (
        kind in (kinds.THREE, kinds.NAMED) and (plain[~bad] == 4).all()
    )
    dotted = cells.dotted.any()  # as are numbers
    strong |= kind == kinds.MONTH and (plain[~bad] == 4).all() and len(texts) > 1 and not dotted
    strong |= bool(cells.clocked[~bad].all())
    if strong or (telling and kind != kinds.ORDINAL):
        return True
    if reading.key in ("y", EXCEL, "yj") or kind == kinds.ORDINAL or len(texts) < 3:
        return False
    whole = _sample_texts(column, spread=False)
    if whole != texts:  # steps are those of neighbours, not of a sample
        return holds_stamps(pd.Series(whole, dtype=object), name)
    steps = np.diff(np.unique(ticks[~bad]))
    usual = int(np.median(steps)) if len(steps) else 0
    counts_up = reading.key in UNITS and usual <= UNITS[reading.key]
    return not counts_up and _count_irregular(ticks[~bad], np.zeros(len(ticks), np.int64)[~bad])[0] <= _STEADY


def _sample_texts(column: pd.Series, *, spread: bool = True) -> list[str]:
    """Return some hundred distinct cells, spread over the column or from its start, as texts."""
    size = 20 * _SAMPLE_CELLS
    step = max(len(column) // size, 1) if spread else 1
    part = column.iloc[::step].iloc[:size].dropna() if step > 1 else column.iloc[:size].dropna()
    if pd.api.types.is_bool_dtype(part.dtype):
        return []
    distinct = part.drop_duplicates()
    if len(distinct) > _SAMPLE_CELLS:
        rows = np.linspace(0, len(distinct) - 1, _SAMPLE_CELLS).astype(int) if spread else np.arange(_SAMPLE_CELLS)
        distinct = distinct.iloc[rows]
    if pd.api.types.is_float_dtype(distinct.dtype) and (distinct % 1 == 0).all() and (distinct.abs() < 2**62).all():
        distinct = distinct.astype(np.int64)
    texts = [_to_text(value) for value in distinct.tolist()]
    return [text for text in texts if text]
