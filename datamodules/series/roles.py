"""Which column of a table is what: time, ids, targets, covariates, and what is left out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from lightfit.errors import DataError, NotFoundError, clip, clip_list

from ..tables.columns import normalise
from .cell_types import is_text
from .covariates import is_boolean
from .frame import Frame
from .margins import NUMBER, find_kind
from .numbers import describe_missing, explain_numbers, find_code, holds_numbers, parse_numbers
from .stamps import names_time
from .wide import VALUE, HoldsStamps, find_wide, suspect_wide, unpivot

_TIME_NAMES = (  # in the order of preference
    "datetime date_time timestamp time_stamp ds date time day period month week quarter year "
    "datum zeitstempel zeitpunkt zeit tag monat jahr fecha hora data dato pvm horodate jour "
    "日期 时间 時間 日時 날짜 дата время"
)
TIME_NAMES = _TIME_NAMES.split()
ID_NAMES = re.compile(
    r"(^|.*[_ .-])(id|key|code|sku|item|store|shop|symbol|ticker|series|site|station|sensor|meter|name)s?$"
)
ROW_NAMES = frozenset(
    ["index", "id", "row", "rownum", "row_number", "rownames", "row_names", "no", "nr", "nr.", "#", "lfd", "lfdnr"]
)
NAMELESS = re.compile(r"(Unnamed: \d+(_level_\d+)?)?")
CALENDAR = {  # parts of a date, and their ranges
    "year": (1000, 3000), "month": (1, 12), "day": (1, 31), "hour": (0, 24), "minute": (0, 59), "weekday": (0, 7),
    "dayofweek": (0, 7), "day_of_week": (0, 7), "dow": (0, 7), "wday": (0, 7), "week": (1, 53), "quarter": (1, 4),
    "dayofyear": (1, 366), "day_of_year": (1, 366), "doy": (1, 366), "jahr": (1000, 3000), "monat": (1, 12),
    "tag": (1, 31), "stunde": (0, 24), "wochentag": (0, 7),
}  # fmt: skip
YEAR = ("year", "yr", "jahr", "yyyy")
CLOCK = (("hour", "hr", "stunde", "hh"), ("minute", "min", "mi"), ("second", "sec"))
DATE_PARTS = (  # what may follow the year, in order
    (("month", "mo", "monat", "mm", "mon"), ("day", "dy", "tag", "dd", "mday"), *CLOCK),
    (("quarter", "qtr", "quartal"),),
    (("week", "kw", "isoweek"),),
    (("dayofyear", "day_of_year", "doy", "yday"), *CLOCK),
)
PART_RANGES = {
    "year": (1000, 3000), "month": (1, 12), "day": (1, 31), "hour": (0, 24), "minute": (0, 59), "second": (0, 60),
    "quarter": (1, 4), "week": (1, 53), "dayofyear": (1, 366),
}  # fmt: skip
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?")
TEXT = "text; name it in `columns.past`, `columns.known` or `columns.static` to use it"
MAX_IDS = 3
MAX_ID_COLUMNS = 8  # of which sets are tried
OFTEN = 1.5  # rows with one time stamp, on average, from which on there are several series
SAMPLE = 1000
_Codes = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class SeriesColumns:
    """Roles of the columns of a table, except the targets.

    Several columns are a list, or names with commas between them. Case and blanks do not matter where that is clear.

    Args:
        time: column of the time stamps, or two such as `date,time`; null: found.
        series_id: column that identifies the series of a row, or several such as `store,item`; null: found, where time
            stamps repeat.
        past: covariates that are known only up to the forecast, such as a measured temperature.
        known: covariates that are also known for the steps to forecast, such as holidays.
        static: covariates with one value a series, such as the type of a shop.
    """

    time: str | None = None
    series_id: str | None = None
    past: tuple[str, ...] | str = ()
    known: tuple[str, ...] | str = ()
    static: tuple[str, ...] | str = ()


class Roles(NamedTuple):
    """The columns of a table, by role."""

    time: tuple[str, ...]
    series_id: tuple[str, ...]
    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """Return the columns with a value for each step, in the order of the net's input."""
        return self.targets + self.past + self.known


class Chosen(NamedTuple):
    """The roles of columns, and what was chosen without being asked for.

    Args:
        table: the table: that of the file, or a wide one as a long one.
        roles: the roles.
        left_out: columns without a role, and why.
        found: what was chosen, in one line each.
    """

    table: pd.DataFrame
    roles: Roles
    left_out: dict[str, str]
    found: list[str]


def choose_roles(
    frame: Frame | pd.DataFrame,
    target: Sequence[str] | str,
    columns: SeriesColumns,
    *,
    place: str,
    holds_stamps: HoldsStamps,
) -> Chosen:
    """Choose the role of each column.

    Args:
        frame: the table.
        target: names of the columns to forecast; if empty, all columns of numbers without another role.
        columns: roles of the other columns.
        place: name of the table, for messages.
        holds_stamps: whether a column holds time stamps, by its cells and its name.

    Raises:
        LookupError: a column does not exist, or no column holds time stamps or numbers to forecast.
        DataError: a column has two roles, or the target only counts the rows.
    """
    table = read = frame.table if isinstance(frame, Frame) else frame
    holds_stamps = _Stamped(holds_stamps)
    asked, long = _Asked(target, columns, table, place), None
    if not columns.time:
        ids = asked.find("series_id")
        own = asked.target[0] if len(asked.target) == 1 and not _has(table, asked.target[0]) else VALUE
        if (wide := find_wide(table, holds_stamps=holds_stamps, series_id=ids)) is not None:
            long = unpivot(table, wide, place, own)
            table = long.table
            asked = _Asked(target or [long.target], columns, table, place)
    named = asked.find_all()
    taken = {name for names in named.values() for name in names}
    left_out: dict[str, str] = {}
    kept = taken | ({*long.time, *long.series_id} if long else set())
    for name in table.columns:
        if name not in kept and (reason := _find_useless(table[name], name)):
            left_out[name] = reason
    time = named["time"] or (long.time if long else _find_time(table, taken | set(left_out), holds_stamps, place))
    free = [name for name in table.columns if name not in taken and name not in left_out and name not in time]
    codes = _Coded(table)
    ids, ids_found = named["series_id"] or (long.series_id if long else ()), False
    if not ids:
        ids = _find_ids(codes, time, [name for name in free if _may_be_id(table[name], name)])
        ids_found = bool(ids)
    free = [name for name in free if name not in ids]
    targets, past, known, static = (list(named[role]) for role in ("target", "past", "known", "static"))
    found_targets, counting, problems = [], [], []
    for name in free:
        column = table[name]
        if is_boolean(column):
            past.append(name)
        elif holds_stamps(column, name) and not is_numeric_dtype(column):
            left_out[name] = "more time stamps; the first column of them is the time"
        elif (useless := _find_static(codes, name, ids, read if long and name in long.others else None)) is not None:
            if useless:
                left_out[name] = useless
            else:
                static.append(name)
        elif not holds_numbers(column):
            left_out[name] = _describe_text(column)
            if not targets and (problem := explain_numbers(column, place, name)):
                left_out[name] = problem.removeprefix(f"{place}, ")
                problems.append(problem)
        elif targets:
            left_out[name] = "not named as a target or a covariate"
        elif _is_date_part(column, name):
            left_out[name] = "a part of the date"
        elif reason := _find_counting(column, name):
            left_out[name] = reason
            counting += [name] if reason.startswith("counts") and not _names_rows(name) else []
        else:
            found_targets.append(name)
    if not targets and not found_targets and not problems and counting:  # a straight line is a series, too
        found_targets = counting
        left_out = {name: reason for name, reason in left_out.items() if name not in counting}
    targets = targets or found_targets
    if not targets and problems:
        raise DataError(problems[0])
    if not targets:
        raise NotFoundError(
            f"{place}: no column of numbers to forecast; it has: {_describe_columns(table, left_out)}. Set `target`"
        )
    _check_targets(table, named["target"], place)
    roles = Roles(tuple(time), tuple(ids), tuple(targets), tuple(past), tuple(known), tuple(static))
    if twice := [name for name, count in _count(roles).items() if count > 1]:
        raise DataError(
            f"the column '{twice[0]}' has two roles; expected each column to have one: correct `target` or `columns`"
        )
    table, written = _read_texts(table, [name for name in roles.values if not is_numeric_dtype(table[name])], place)
    found = [*([long.found] if long else []), *_describe(roles, named, ids_found, left_out), *written]
    return Chosen(table, roles, left_out, found)


def _read_texts(table: pd.DataFrame, names: Sequence[str], place: str) -> tuple[pd.DataFrame, list[str]]:
    """Return a table with numbers in the place of columns of texts that are numbers, and how they were written."""
    read, found = {}, []
    for name in names:
        if not is_boolean(table[name]) and holds_numbers(table[name]):
            numbers = parse_numbers(table[name], place, name)
            read[name] = numbers.values
            if numbers.found:
                found.append(f"the column '{name}' is written with {numbers.found}")
            if missing := describe_missing(numbers, name):
                found.append(missing)
    return (table.assign(**read) if read else table), found


class _Stamped:
    """Whether columns hold time stamps, found once for each; texts most of which are numbers do not, unless named so.

    Args:
        holds_stamps: whether a column holds time stamps.
    """

    def __init__(self, holds_stamps: HoldsStamps) -> None:
        self._holds_stamps = holds_stamps
        self._found: dict[tuple[str, int], bool] = {}

    def __call__(self, column: pd.Series, name: str) -> bool:
        """Return whether a column holds time stamps."""
        key = name, len(column)
        if key not in self._found:
            kinds = [find_kind(cell) for cell in column.dropna().iloc[:SAMPLE]] if is_text(column) else []
            of_numbers = kinds.count(NUMBER) > len(kinds) / 2 and not names_time(name)
            self._found[key] = not of_numbers and self._holds_stamps(column, name)
        return self._found[key]


def adopt_roles(frame: Frame | pd.DataFrame, roles: Roles, place: str, *, holds_stamps: HoldsStamps) -> pd.DataFrame:
    """Return a table with the columns of a training, by their names: a wide one as a long one.

    Args:
        frame: the table.
        roles: the roles of the training.
        place: name of the table, for messages.
        holds_stamps: as in `choose_roles`.

    Raises:
        LookupError: the table lacks a column.
    """
    table = frame.table if isinstance(frame, Frame) else frame
    asked = (*roles.time, *roles.series_id, *roles.values, *roles.static)
    if len(roles.targets) == 1 and not _has(table, roles.targets[0]):
        ids = [name for name in roles.series_id if name in table.columns]
        if (wide := find_wide(table, holds_stamps=holds_stamps, series_id=ids)) is not None:
            long = unpivot(table, wide, place, roles.targets[0])
            renamed = dict(zip((*long.time, *long.series_id), (*roles.time, *roles.series_id), strict=False))
            table = long.table.rename(columns=renamed)
    found = {name: find_column(table, name, place) for name in asked}
    if all(name == own for name, own in found.items()):
        return table
    return table.rename(columns={own: name for name, own in found.items()})


def find_column(table: pd.DataFrame, name: str, place: str) -> str:
    """Return the name of a column, where case and blanks do not matter if only one differs by them.

    Raises:
        LookupError: there is no such column; the message names similar ones.
        DataError: several columns differ from the name by case and blanks alone.
    """
    if name in table.columns:
        return name
    alike = [own for own in table.columns if normalise(own) == normalise(name)]
    if len(alike) > 1:
        raise DataError(f"{place} has {len(alike)} columns like '{name}': {clip_list(alike)}; write the one you mean")
    if not alike:
        _refuse(table, name, place)
    return alike[0]


def _refuse(table: pd.DataFrame, name: str, place: str) -> None:
    near = {normalise(own): own for own in table.columns}
    close = [near[item] for item in get_close_matches(normalise(name), list(near), n=2, cutoff=0.6)]
    hint = f"; the nearest: {', '.join(close)}" if close else ""
    raise NotFoundError(f"{place} has no column '{clip(name)}'{hint}; it has: {clip_list(table.columns)}")


def _has(table: pd.DataFrame, name: str) -> bool:
    return any(normalise(own) == normalise(name) for own in table.columns)


class _Asked:
    """The columns that were asked for.

    Args:
        target: names of the columns to forecast.
        columns: the others.
        table: the table.
        place: its name.
    """

    def __init__(self, target: Sequence[str] | str, columns: SeriesColumns, table: pd.DataFrame, place: str) -> None:
        self.target = _split(target, table)
        self._names = {
            "target": self.target,
            **{role: _split(getattr(columns, role) or (), table) for role in SeriesColumns.__dataclass_fields__},
        }
        self._table, self._place = table, place

    def find(self, role: str) -> tuple[str, ...]:
        """Return the columns of a role, by the names that the table has for them."""
        return tuple(find_column(self._table, name, self._place) for name in self._names[role])

    def find_all(self) -> dict[str, tuple[str, ...]]:
        """Return the columns of all roles."""
        found = {role: self.find(role) for role in self._names}
        names = [name for own in found.values() for name in own]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DataError(
                f"the column '{twice[0]}' has two roles; expected each column to have one: correct `target` or "
                "`columns`"
            )
        return found


def _split(names: Sequence[str] | str, table: pd.DataFrame) -> list[str]:
    """Return names, of which one may be several with commas between them."""
    found = []
    for name in [names] if isinstance(names, str) else names:
        whole = name in table.columns or "," not in name
        found += [name] if whole else [item.strip() for item in name.split(",") if item.strip()]
    return found


def _count(roles: Roles) -> Mapping[str, int]:
    names = [name for own in roles for name in own]
    return {name: names.count(name) for name in names}


# What is no series ----------------------------------------------------------------------------------------------------


def _find_useless(column: pd.Series, name: str) -> str:
    """Return why a column is none of a series; empty if it may be one."""
    if column.isna().all():
        return "no cell has a value"
    if column.dtype == object and any(isinstance(cell, (list, dict, np.ndarray)) for cell in column.head(20)):
        return "its cells are lists or objects"
    nameless = NAMELESS.fullmatch(name) is not None
    if (nameless or normalise(name) in ROW_NAMES) and is_integer_dtype(column) and not is_bool_dtype(column):
        numbers = column.to_numpy(np.int64)
        steps = np.diff(numbers)
        if numbers[0] in (0, 1) and (steps == 1).all() and len(numbers) > 1:
            return f"counts the rows from {numbers[0]}"
        if nameless and len(steps) and ((steps == 1).mean() > 0.5 or len(np.unique(numbers)) == len(numbers)):
            return "a number of each row, without a name"
    return ""


def _find_counting(column: pd.Series, name: str) -> str:
    """Return why a column of numbers is not worth forecasting, as it only counts or names rows; empty if it may be."""
    if not is_integer_dtype(column) or len(column) < 3:
        return ""
    numbers = column.to_numpy(np.int64)
    steps = np.diff(numbers)
    if (steps == 1).all():
        return f"counts the rows from {numbers[0]}"
    if re.search(r"(^|[_ .-])(id|key|uuid|code)$", name.casefold()) or re.search(r"[a-z](Id|ID|Key|Code)$", name):
        return "numbers that name things, by its name"
    return ""


def _names_rows(name: str) -> bool:
    """Return whether a name is one of those that indices and ids have."""
    if NAMELESS.fullmatch(name):
        return True
    plain = normalise(name)
    return plain in ROW_NAMES or re.fullmatch(r"(id|key|uuid)s?|.*[a-z]_id", plain) is not None


def _check_targets(table: pd.DataFrame, named: Sequence[str], place: str) -> None:
    """Check that targets that were asked for hold something to forecast.

    Raises:
        DataError: a target has no value, or is an id: its name says so, and its values are distinct.
    """
    for name in named:
        column = table[name]
        if column.isna().all():
            raise DataError(f"{place}: the target '{name}' has no value in any row: set `target` to another column")
        if _names_rows(name) and len(column) > 1 and column.is_unique:
            counts = is_numeric_dtype(column) and _find_counting(column, name).startswith("counts")
            raise DataError(
                f"{place}: the target '{name}' {'counts' if counts else 'names'} the rows "
                f"({', '.join(map(str, column.head(3)))}, ...), so there is nothing to forecast: set `target` to a "
                "column of measured values"
            )


def _is_date_part(column: pd.Series, name: str) -> bool:
    low, high = CALENDAR.get(normalise(name), (1, 0))
    if low > high or not is_numeric_dtype(column):
        return False
    return bool((column.between(low, high) & (column % 1 == 0)).all())


def _describe_text(column: pd.Series) -> str:
    if pd.api.types.is_datetime64_any_dtype(column):
        return "time stamps"
    if is_text(column):
        if column.nunique(dropna=False) == 1:
            return "the same in all rows"
        code = find_code(_sample(column))
        return TEXT.replace("text", f"text, with codes such as {clip(code)}", 1) if code else TEXT
    return f"neither numbers nor text ({column.dtype})"


# Time -----------------------------------------------------------------------------------------------------------------


def _find_time(table: pd.DataFrame, taken: set[str], holds_stamps: HoldsStamps, place: str) -> tuple[str, ...]:
    free = [name for name in table.columns if name not in taken]
    parts = _find_date_parts(table, free)
    stamps = [name for name in free if not is_boolean(table[name]) and holds_stamps(table[name], name)]
    # Measured numbers may look like dates; where there is a better column, only a name tells that they are.
    sure = [name for name in stamps if not is_numeric_dtype(table[name]) or names_time(name)]
    stamps = sure or [name for name in stamps if is_integer_dtype(table[name])]
    if len(parts) > 1 and all(is_numeric_dtype(table[name]) for name in stamps):
        return parts
    if not stamps:
        raise NotFoundError(
            f"{place}: no column holds time stamps; it has: {_describe_columns(table, {})}. Set `columns.time`"
            + suspect_wide(table)
        )
    usual = {name: rank for rank, name in enumerate(TIME_NAMES)}
    stamps = [name for name in stamps if table[name].nunique() > 1] or stamps
    chosen = min(stamps, key=lambda name: (usual.get(normalise(name), len(usual)), list(table.columns).index(name)))
    clocks = [name for name in free if name != chosen and _holds_clock(table[name])]
    if len(clocks) == 1 and not _has_clock(table[chosen]) and table[chosen].duplicated().any():
        return (chosen, clocks[0])
    return (chosen,)


def _find_date_parts(table: pd.DataFrame, free: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of year, month, day and so on, as far as they go without a gap."""
    years = _find_parts(table, free, (YEAR,))
    if not years:
        return ()
    return max((years + _find_parts(table, free, rest) for rest in DATE_PARTS), key=len)


def _find_parts(table: pd.DataFrame, free: Sequence[str], parts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    found: list[str] = []
    for names in parts:
        own = [name for name in free if normalise(name) in names and _is_part(table[name], names[0])]
        if len(own) != 1:
            break
        found.append(own[0])
    return tuple(found)


def _is_part(column: pd.Series, part: str) -> bool:
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return bool((column.between(*PART_RANGES[part]) & (column % 1 == 0)).all())
    cells = column.dropna().head(SAMPLE).astype(str).str.strip()
    pattern = r"\d{1,2}|[A-Za-z]{3,9}\.?" if part == "month" else r"\d{1,4}"
    return bool(len(cells)) and bool(cells.str.fullmatch(pattern).all())


def _sample(column: pd.Series) -> list[str]:
    return [str(cell).strip() for cell in column.dropna().iloc[:SAMPLE]]


def _holds_clock(column: pd.Series) -> bool:
    if is_numeric_dtype(column):
        return False
    cells = _sample(column)
    return bool(cells) and all(_CLOCK.fullmatch(cell) for cell in cells)


def _has_clock(column: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(column):
        return bool((column.dt.normalize() != column).any())
    return any(":" in cell for cell in _sample(column))


# Ids ------------------------------------------------------------------------------------------------------------------


class _Coded:
    """Columns of a table as numbers of their distinct cells.

    Args:
        table: the table.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self._codes: dict[str, _Codes] = {}
        self._joined: dict[tuple[str, ...], _Codes] = {}

    def of(self, name: str, *, keep: bool = True) -> _Codes:
        """Return the number of the cell of each row, int32; empty cells have one of their own.

        Args:
            name: the column.
            keep: whether to keep them, as they are asked for again.
        """
        if name in self._codes:
            return self._codes[name]
        column = self.table[name]
        codes = pd.factorize(column)[0].astype(np.int32)
        if (codes < 0).any():
            codes = np.where(codes < 0, codes.max() + 1, codes)
        if keep:
            self._codes[name] = codes
        return codes

    def join(self, names: Sequence[str]) -> _Codes:
        """Return the number of the combination of cells of each row; the last one that was asked for is kept."""
        if tuple(names) not in self._joined:
            codes = self.of(names[0])
            for name in names[1:]:
                own = self.of(name)
                codes = pd.factorize(codes * (np.int64(own.max()) + 1) + own)[0].astype(np.int32)
            self._joined = {tuple(names): codes}
        return self._joined[tuple(names)]


def _find_ids(codes: _Coded, time: Sequence[str], candidates: Sequence[str]) -> tuple[str, ...]:
    """Return the fewest columns with which each time stamp occurs once, if that is clear.

    It is where time stamps repeat often, and each series has several rows.
    """
    stamps = codes.join(time)
    num_rows, num_stamps = len(stamps), int(stamps.max()) + 1
    if num_rows < OFTEN * num_stamps or num_stamps < 2:
        return ()
    counts = np.bincount(stamps)
    most = int(counts.max())
    texts = [name for name in candidates if not is_integer_dtype(codes.table[name])]
    ordered = sorted(candidates, key=lambda name: (name not in texts, not _is_id_name(name)))[:MAX_ID_COLUMNS]
    for size in range(1, MAX_IDS + 1):
        hits = []
        for group in combinations(ordered, size):
            bound = np.prod([float(codes.of(name).max()) + 1 for name in group])
            if bound < most:
                continue
            joined = codes.join(group)
            num_series = int(joined.max()) + 1
            if most <= num_series <= num_rows / 2 and _is_unique(stamps, joined, num_stamps, num_series):
                hits.append((group, joined, num_series))
        if hits:
            # Of columns that divide the rows alike, such as a name and its key, the first; else the fewest series.
            fewest = min(number for _, _, number in hits)
            best = [group for group, _, number in hits if number == fewest]
            with_text = [group for group in best if any(name in texts for name in group)] or best
            return tuple(name for name in codes.table.columns if name in with_text[0])
    return ()


def _is_unique(stamps: _Codes, series: _Codes, num_stamps: int, num_series: int) -> bool:
    keys = series * np.int64(num_stamps) + stamps
    if num_stamps * num_series <= 8 * len(keys) + 1000:
        return bool(np.bincount(keys, minlength=1).max() <= 1)
    return len(pd.unique(keys)) == len(keys)


def _is_id_name(name: str) -> bool:
    return ID_NAMES.fullmatch(name.casefold()) is not None


def _may_be_id(column: pd.Series, name: str) -> bool:
    if is_boolean(column) or column.isna().any() or pd.api.types.is_float_dtype(column):
        return False
    if is_integer_dtype(column):
        return _is_id_name(name) or column.nunique() <= max(len(column) ** 0.5, 2)
    if pd.api.types.is_datetime64_any_dtype(column):
        return False
    return _is_id_name(name) or not holds_numbers(column) or _holds_whole_numbers(column)


def _holds_whole_numbers(column: pd.Series) -> bool:
    """Return whether texts are digits alone, as a file with types writes ids."""
    return all(cell.isdecimal() for cell in _sample(column))


def _find_static(codes: _Coded, name: str, ids: Sequence[str], wide: pd.DataFrame | None) -> str | None:
    """Return whether a column has one value a series: None if not, a reason to leave it out, or empty.

    Args:
        codes: the columns.
        name: the column.
        ids: columns that identify the series.
        wide: the table with a row for each series that the column is from, which is much shorter.
    """
    if wide is not None:
        codes, series = _Coded(wide), np.arange(len(wide), dtype=np.int32)
    elif ids:
        series = codes.join(ids)
    else:
        return None
    num_series = int(series.max()) + 1
    if num_series == 1 or (wide is None and num_series > len(series) / 2):
        return None
    cells = codes.of(name, keep=False)
    if wide is None and not _is_constant_within(cells, series, num_series):
        return None
    distinct = int(cells.max()) + 1
    if distinct == 1:
        return "the same in all rows"
    names_each = distinct == num_series and distinct > 2 and not holds_numbers(codes.table[name])
    return "names each series, as its id does" if names_each else ""


def _is_constant_within(cells: _Codes, series: _Codes, num_series: int) -> bool:
    first = np.full(num_series, -1, np.int32)
    first[series[::-1]] = cells[::-1]
    near = slice(0, SAMPLE)  # tells of most columns that they are not
    return bool((first[series[near]] == cells[near]).all()) and bool((first[series] == cells).all())


# What is said ---------------------------------------------------------------------------------------------------------


def _describe_columns(table: pd.DataFrame, left_out: Mapping[str, str]) -> str:
    reasons = {name: reason.partition(";")[0] for name, reason in left_out.items()}
    names = [f"{name} ({reasons[name]})" if name in reasons else name for name in table.columns]
    return clip_list(names, 300)


def _describe(
    roles: Roles, named: Mapping[str, Sequence[str]], ids_found: bool, left_out: Mapping[str, str]
) -> list[str]:
    lines = [f"time: {', '.join(roles.time)}"]
    if roles.series_id:
        how = ", found, as each time stamp occurs once with it" if ids_found else ""
        lines.append(f"ids: {', '.join(roles.series_id)}{how}")
    for role, names in (
        ("targets", roles.targets),
        ("past", roles.past),
        ("known", roles.known),
        ("static", roles.static),
    ):
        if names:
            own = named["target" if role == "targets" else role]
            how = ", found" if role in ("past", "static") and set(names) - set(own) else ""
            lines.append(f"{role}: {clip_list(names)}{how}")
    if left_out:
        reasons: dict[str, list[str]] = {}
        for name, why in left_out.items():
            reasons.setdefault(why, []).append(name)
        lines.append("left out: " + "; ".join(f"{clip_list(own)} ({why})" for why, own in reasons.items()))
    return lines
