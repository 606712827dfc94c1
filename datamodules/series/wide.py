"""Wide tables: a row a series, with a column for each step, as long ones."""

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cell_types import is_text
from .numbers import holds_numbers, read_numbers

HoldsStamps = Callable[[pd.Series, str], bool]
FEWEST_DATES = 3
FEWEST_STEPS = 8  # columns with a running number in their names
NUMERIC = 0.9  # fraction of these columns that hold numbers
MAX_IDS = 3
VALUE, DATE, YEAR, MONTH, STEP, SERIES = "value", "date", "year", "month", "step", "series"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DATES = (  # the names of columns, all of which are written in one of these ways
    re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}([T ][\d:]+)?"),
    re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{2,4}"),
    re.compile(r"\d{4}[-/.]\d{1,2}|\d{1,2}[-/.]\d{4}|\d{4}M\d{1,2}"),
    re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"),
    re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])"),
    re.compile(
        rf"({'|'.join(_MONTHS)})[a-z]*[-/. ]?\d{{2,4}}|\d{{1,2}}[- ]({'|'.join(_MONTHS)})[a-z]*[- ]\d{{2,4}}", re.I
    ),
    re.compile(r"\d{4}[-_ ]?[QW]\d{1,2}|[QW]\d[-_ ]?\d{4}", re.I),
    re.compile(r"(1[6-9]|20|21)\d{2}"),
)
_PREFIX = re.compile(r"[^\d]*")
_RUNNING = re.compile(r"([A-Za-z]{0,12}[_. -]?)(\d+)")


class Wide(NamedTuple):
    """A wide table.

    Args:
        series_id: columns that identify the series; empty if the rows are numbered, or there is only one.
        others: other columns, each with a value a series.
        steps: columns of the steps, in order.
        stamps: what their names say: time stamps, or numbers of steps.
        month: the column of months, where the columns are years.
        year: the column of years, where the columns are months.
        dated: whether the stamps are dates.
    """

    series_id: tuple[str, ...]
    others: tuple[str, ...]
    steps: tuple[str, ...]
    stamps: tuple[str, ...]
    month: str | None
    year: str | None
    dated: bool


class Long(NamedTuple):
    """A wide table as a long one.

    Args:
        table: the table.
        time: columns of the time stamps.
        series_id: columns that identify the series.
        target: the column of the values.
        others: columns with one value in each row of the wide table, a row being a series.
        found: what was done, in one line.
    """

    table: pd.DataFrame
    time: tuple[str, ...]
    series_id: tuple[str, ...]
    target: str
    others: tuple[str, ...]
    found: str


def find_wide(table: pd.DataFrame, *, holds_stamps: HoldsStamps, series_id: Sequence[str] = ()) -> Wide | None:
    """Return how a table with a column for each step is written; None if it is none, or that is not sure.

    Args:
        table: the table.
        holds_stamps: whether a column holds time stamps.
        series_id: columns that identify the series, if they are known.
    """
    names = [name for name in table.columns if name not in series_id]
    if (by_year := _find_months_of_years(table, names, tuple(series_id))) is not None:
        return by_year
    dated = _find_dates(names)
    steps, stamps = dated or _find_running(table, names)
    known = set(steps)
    rest = [name for name in table.columns if name not in known]
    if not steps or not _are_numbers(table, steps):
        return None
    if dated is None:
        if any(holds_stamps(table[name], name) for name in rest):
            return None  # several series side by side, such as V1 to V7
        if not any(is_text(table[name]) for name in rest) and not series_id:
            return None
    elif any(holds_stamps(table[name], name) and name not in series_id for name in rest):
        return None
    month = next((name for name in rest if _holds_months(table[name])), None) if dated and _are_years(stamps) else None
    own = [name for name in rest if name != month]
    ids = tuple(series_id) or _find_ids(table, own, month)
    others = tuple(name for name in own if name not in ids)
    return Wide(ids, others, tuple(steps), tuple(stamps), month, None, dated is not None)


def suspect_wide(table: pd.DataFrame) -> str:
    """Return a hint for messages where a table may have a column for each step; empty if nothing speaks for it."""
    steps, _ = _find_running(table, list(table.columns))
    if not steps:
        return ""
    return (
        f". It may have a row for each series and a column for each step ({steps[0]}, {steps[1]}, ..., {steps[-1]}): "
        "then add a column with the name of each series"
    )


def unpivot(table: pd.DataFrame, wide: Wide, place: str, target: str = VALUE) -> Long:
    """Return a wide table as a long one, without the missing values before and after each series.

    Args:
        table: the table.
        wide: how it is written.
        place: name of the table, for messages.
        target: name of the column of the values.

    Raises:
        DataError: a value is no number.
    """
    num_rows, num_steps = len(table), len(wide.steps)
    values = np.empty((num_rows, num_steps))
    for index, name in enumerate(wide.steps):
        values[:, index] = read_numbers(table[name], place, name)
    known = ~np.isnan(values)
    whole = bool(known.all())
    if whole:
        lengths, step = np.full(num_rows, num_steps), np.tile(np.arange(num_steps, dtype=np.int32), num_rows)
    else:
        begun = np.logical_or.accumulate(known, 1) & np.logical_or.accumulate(known[:, ::-1], 1)[:, ::-1]
        lengths, step = begun.sum(1), np.nonzero(begun)[1].astype(np.int32)
        values = values[begun]
    del known
    columns: dict[str, object] = {}
    ids = wide.series_id
    parts = wide.month or wide.year
    if not ids and num_rows > 1 and parts is None:
        ids = (_free(SERIES, table, target),)
        columns[ids[0]] = np.repeat(np.arange(1, num_rows + 1), lengths)
    for name in (*wide.series_id, *wide.others):
        columns[name] = _repeat(table[name], lengths, is_id=name in wide.series_id)
    kind = YEAR if wide.month is not None else MONTH if wide.year is not None else DATE if wide.dated else STEP
    time: tuple[str, ...] = (_free(kind, table, target),)
    if wide.dated and parts is None:
        columns[time[0]] = (
            pd.Categorical.from_codes(step, pd.Index(wide.stamps, dtype=object), validate=False)
            if len(set(wide.stamps)) == num_steps
            else np.array(wide.stamps, object)[step]
        )
    else:
        columns[time[0]] = np.array([int(stamp) for stamp in wide.stamps])[step]
    if wide.month is not None:
        columns[wide.month] = np.repeat(_read_months(table[wide.month]), lengths)
        time = (*time, wide.month)
    if wide.year is not None:
        columns[wide.year] = np.repeat(table[wide.year].to_numpy(), lengths)
        time = (wide.year, *time)
    columns[target] = values.ravel()
    rows, columns_of = ("month", "year") if wide.month is not None else ("series", "step")
    if wide.year is not None:
        rows, columns_of = "year", "month"
    found = (
        f"a row for each {rows} and a column for each {columns_of} ({wide.steps[0]} to {wide.steps[-1]}): "
        f"{num_rows:,} x {num_steps:,} values read as the column '{target}'"
    )
    if not wide.dated:
        found += "; the steps are numbered, as no column names a date"
    others = wide.others if parts is None else ()
    return Long(pd.DataFrame(columns, copy=False), time, ids, target, others, found)


def _find_dates(names: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Return the columns whose names are dates, and the dates; None if there are few."""
    prefixes = {match[0] for name in names if (match := _PREFIX.match(name)) and match[0]}
    for pattern in _DATES:
        for prefix in ("", *sorted(prefixes)):
            found = [
                (name, name[len(prefix) :])
                for name in names
                if name.startswith(prefix) and pattern.fullmatch(name[len(prefix) :])
            ]
            if len(found) >= FEWEST_DATES and len(found) >= len(names) / 2:
                stamps = [stamp.replace(".", "-") if prefix.upper() == "X" else stamp for _, stamp in found]
                if _rise(stamps):
                    return [name for name, _ in found], stamps
    return None


def _find_months_of_years(table: pd.DataFrame, names: Sequence[str], series_id: tuple[str, ...]) -> Wide | None:
    """Return how a table is written that has a row for each year and a column for each month; None if it has not."""
    months = [name for name in names if name.strip().lower()[:3] in _MONTHS and name.strip().isalpha()]
    if [name.strip().lower()[:3] for name in months] != _MONTHS or not _are_numbers(table, months):
        return None
    rest = [name for name in names if name not in months]
    years = [
        name for name in rest if pd.api.types.is_integer_dtype(table[name]) and table[name].between(1500, 2200).all()
    ]
    if len(years) != 1 or any(not is_text(table[name]) for name in rest if name not in years):
        return None
    texts = [name for name in rest if name not in years]
    ids = series_id
    if not ids and table[years[0]].duplicated().any():
        ids = next(
            ((name,) for name in texts if not table[[name, years[0]]].duplicated().any() and table[name].notna().all()),
            (),
        )
        if not ids:
            return None
    others = tuple(name for name in texts if name not in ids)
    stamps = tuple(map(str, range(1, 13)))
    return Wide(ids, others, tuple(months), stamps, None, years[0], True)


def _rise(stamps: Sequence[str]) -> bool:
    """Return whether plain numbers, if they are that, rise or fall as the steps of a series do."""
    if not all(stamp.isdecimal() for stamp in stamps):
        return len(set(stamps)) == len(stamps)
    steps = np.sign(np.diff([int(stamp) for stamp in stamps]))
    return bool((steps == steps[0]).all()) and steps[0] != 0


def _find_running(table: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns with running numbers in their names, such as d_1 to d_1913, and the numbers."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for name in names:
        if match := _RUNNING.fullmatch(name):
            groups.setdefault(match[1], []).append((name, int(match[2])))
    for group in groups.values():
        if len(group) > FEWEST_STEPS and not holds_numbers(table[group[0][0]]):
            group = group[1:]  # V1 holds the ids in M4
        numbers = [number for _, number in group]
        if len(group) >= max(FEWEST_STEPS, len(names) / 2) and (np.diff(numbers) == 1).all():
            return [name for name, _ in group], [str(number) for number in numbers]
    return [], []


def _are_numbers(table: pd.DataFrame, names: Sequence[str]) -> bool:
    near = names if len(names) <= 100 else [names[index] for index in np.linspace(0, len(names) - 1, 100).astype(int)]
    return sum(bool(table[name].isna().all() or holds_numbers(table[name])) for name in near) >= NUMERIC * len(near)


def _are_years(stamps: Sequence[str]) -> bool:
    return all(len(stamp) == 4 and stamp.isdecimal() for stamp in stamps)


def _holds_months(column: pd.Series) -> bool:
    known = column.dropna()
    if not 2 <= len(known) <= 12 or known.duplicated().any():
        return False
    if pd.api.types.is_integer_dtype(known):
        return "month" in str(column.name).lower() and bool(known.between(1, 12).all())
    return all(str(cell).strip().lower()[:3] in _MONTHS for cell in known)


def _read_months(column: pd.Series) -> NDArray[np.int64]:
    if pd.api.types.is_integer_dtype(column):
        return column.to_numpy(np.int64)
    return np.array([_MONTHS.index(str(cell).strip().lower()[:3]) + 1 for cell in column])


def _find_ids(table: pd.DataFrame, names: Sequence[str], month: str | None) -> tuple[str, ...]:
    """Return the fewest columns that tell all rows apart."""
    if len(table) == 1 or month is not None:
        return tuple(name for name in names if is_text(table[name]))[:1]
    likely = [name for name in names if is_text(table[name])]
    likely += [name for name in names if name not in likely and pd.api.types.is_integer_dtype(table[name])]
    likely.sort(key=lambda name: not re.search(r"(^|_| )(id|key|code|name)s?$", name.lower()))
    for size in range(1, MAX_IDS + 1):
        for group in combinations(likely[:10], size):
            own = table[list(group)]
            if own.notna().any(axis=1).all() and not own.duplicated().any():
                return tuple(name for name in names if name in group)
    return ()


def _repeat(column: pd.Series, lengths: NDArray[np.int64], *, is_id: bool) -> object:
    """Return the cell of each row of the long table; texts as categories, which take a fraction of the memory."""
    if not is_text(column):
        return np.repeat(column.to_numpy(), lengths)
    codes, distinct = pd.factorize(column.to_numpy(object))
    if is_id and (codes < 0).any():  # a country without provinces
        codes, distinct = np.where(codes < 0, len(distinct), codes), np.append(distinct, "-")
        codes, distinct = pd.factorize(distinct[codes])
    small: NDArray[np.signedinteger] = codes.astype(np.int16 if len(distinct) < 2**15 else np.int32)
    return pd.Categorical.from_codes(np.repeat(small, lengths), pd.Index(distinct, dtype=object), validate=False)


def _free(name: str, table: pd.DataFrame, target: str) -> str:
    """Return a name that no column of a table has."""
    while name in table.columns or name == target:
        name = f"{name}_"
    return name
