"""Calendars of series: the step of each time stamp, the stamps of steps, and which calendar a table keeps to."""

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError, UsageError, clip
from lightfit.extras import importing_extra

from .zones import to_utc, to_wall

Int = NDArray[np.int64]
Times = NDArray[np.datetime64]

ROWS = "rows"  # in place of a frequency: each row is a step, whatever the time between them
TICKS, MONTHS, WEEKDAYS = "ticks", "months", "weekdays"  # kinds of calendars, beside ROWS
MOST_MISSING = 50  # largest number of steps for each row; beyond it, the steps are irregular
WORKDAYS = "1111100"
LAST = 31  # day of a month: the last one
START, END = "first business day", "last business day"
_SECOND = 10**9
_DAY_NS = 86_400 * _SECOND
_SIZES = {"W": 7 * _DAY_NS, "D": _DAY_NS, "h": 3600 * _SECOND, "min": 60 * _SECOND, "s": _SECOND}
_SIZES |= {"ms": 10**6, "us": 10**3, "ns": 1}
_DAY_NAMES = [name.upper() for name in calendar.day_abbr]
_MONTH_NAMES = [name.upper() for name in calendar.month_abbr[1:]]
_BEGIN = np.datetime64("1600-01-03")  # a Monday before all stamps: business days are counted from it
_CHUNK = 2_000_000  # rows whose steps are computed at once
_SAMPLE_ROWS = 300_000  # rows on which a calendar is looked for; it is then checked on all of them
_MOST_HOLIDAYS = 0.08  # share of the open days that may be holidays
_LONGEST_HOLIDAY = 10  # open days in a row; a longer gap is a gap
_SMALL_SHIFT = 0.1  # of a step: stamps are rounded by it, even if few of them are off
_LARGEST_SHIFT = 0.45  # of a step: stamps are rounded by it if most of them are off
_WEEK_SHIFT = _MONTH_SHIFT = 3 * _DAY_NS  # of steps of weeks and months, around holidays
_FEW_MISSING = 0.1  # share of missing steps up to which stamps are rounded to steps
_YEARS_AHEAD = 10  # for which holidays are listed
_NICE = sorted(
    {size * _SECOND // 1000 for size in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500)}
    | {size * _SECOND for size in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)}
    | {size * 60 * _SECOND for size in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)}
    | {size * 3600 * _SECOND for size in (1, 2, 3, 4, 6, 8, 12, 24, 7 * 24)}
)


@dataclass(frozen=True)
class Calendar:
    """Steps in time: each stamp of a series is one of them, and a missing one is a gap.

    Args:
        name: the frequency, as pandas writes it where it has it: h, 15min, D, B, W-SUN, MS, ME, BME, QS-JAN; MS-15: the
            15th of each month; B-1111110: Monday to Saturday; rows: each row is a step.
        kind: ticks (of a fixed length), months, weekdays or rows.
        step: length of a step: in nanoseconds (of rows: the median distance), or in months.
        phase: remainder of the steps: nanoseconds since 1970, or months.
        day: of months: day of the month, if the month has it, else its last day; 31: the last one.
        rule: of months: first or last business day, in place of `day`.
        time: of months and weekdays: nanoseconds since midnight.
        open_days: of weekdays: 1 for each day from Monday to Sunday that is a step.
        holidays: days since 1970 that are no steps.
        lead: of ticks: nanoseconds before a step from which on stamps count for it.
        early: nanoseconds by which stamps may lie before their step.
        late: nanoseconds by which stamps may lie after their step.
        shift: largest distance of a stamp of the training table from its step, in nanoseconds.
        zone: zone of the stamps, which then are in UTC; null: they have none.
        local: the steps are counted in the local time of the zone, as days and longer ones are.
    """

    name: str
    kind: str = TICKS
    step: int = 1
    phase: int = 0
    day: int = 1
    rule: str = ""
    time: int = 0
    open_days: str = WORKDAYS
    holidays: tuple[int, ...] = ()
    lead: int = 0
    early: int = 0
    late: int = 0
    shift: int = 0
    zone: str | None = None
    local: bool = False

    @property
    def season(self) -> int:
        """Return the likely number of steps in a season: of a minute, day, week or year; 1 if there is none."""
        if self.kind == MONTHS:
            return max(12 // self.step, 1)
        if self.kind == WEEKDAYS:
            return self.open_days.count("1")
        if self.kind == ROWS:
            return 1
        if self.step >= _DAY_NS:
            days = self.step // _DAY_NS
            return 7 if days == 1 else max(52 // (days // 7), 1) if days % 7 == 0 else 1
        return max((_DAY_NS if self.step >= 60 * _SECOND else 60 * _SECOND) // self.step, 1)

    def describe(self) -> str:
        """Describe the steps, for a line of text."""
        shift = f", rounded to it: the largest shift is {_format_span(self.shift)}" if self.shift else ""
        if self.kind == ROWS:
            return "each row a step"
        if self.kind == WEEKDAYS:
            days = "business days" if self.open_days == WORKDAYS else f"each {_list_days(self.open_days)}"
            known = f" without {len(self.holidays)} holidays" if self.holidays else ""
            return f"{self.name} ({days}{known}){shift}"
        if self.kind == MONTHS:
            every = {1: "month", 3: "quarter", 6: "half-year", 12: "year"}.get(self.step, f"{self.step} months")
            on = self.rule or {1: "first day", LAST: "last day"}.get(self.day, f"day {self.day}")
            return f"{self.name} (each {every}, {on}){shift}"
        return self.name + shift

    def number(self, times: Times) -> tuple[Int, NDArray[np.bool_]]:
        """Return the steps of stamps.

        Args:
            times: (N,) datetime64[ns], in UTC if there is a zone; for rows: of one series.

        Returns:
            The index of the step of each stamp, (N,): those of neighbours differ by 1; and whether it is a step.
        """
        if self.kind == ROWS:
            return np.arange(len(times)), np.ones(len(times), bool)
        if len(times) <= _CHUNK:
            return self._number(times)
        steps, fits = np.empty(len(times), np.int64), np.empty(len(times), bool)
        for begin in range(0, len(times), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            steps[rows], fits[rows] = self._number(times[rows])
        return steps, fits

    def _number(self, times: Times) -> tuple[Int, NDArray[np.bool_]]:
        ticks = _to_ticks(times)
        local = _to_ticks(to_wall(times, self.zone)) if self.local else ticks
        if self.kind == TICKS:
            steps = (local - self.phase + self.lead) // self.step
        elif self.kind == MONTHS:
            steps = (local.view("datetime64[ns]").astype("datetime64[M]").astype(np.int64) - self.phase) // self.step
        else:
            days = local.view("datetime64[ns]").astype("datetime64[D]")
            steps = np.busday_count(_BEGIN, days, busdaycal=self._open).astype(np.int64)
        off = ticks - _to_ticks(self.stamps(steps))
        return steps, (off >= -self.early) & (off <= self.late)

    def stamps(self, steps: Int) -> Times:
        """Return the stamps of steps, datetime64[ns] of the same shape, in UTC if there is a zone.

        Raises:
            DataError: each row is a step, so that a step has no stamp.
        """
        if self.kind == ROWS:
            raise DataError("with `freq` rows, a step has no time stamp of its own")
        if self.kind == TICKS:
            local = (self.phase + np.asarray(steps, np.int64) * self.step).view("datetime64[ns]")
        elif self.kind == MONTHS:
            months = (np.asarray(steps, np.int64) * self.step + self.phase).astype("datetime64[M]")
            local = self._days_of(months).astype("datetime64[ns]") + np.timedelta64(self.time, "ns")
        else:
            days = np.busday_offset(_BEGIN, steps, roll="forward", busdaycal=self._open)
            local = days.astype("datetime64[ns]") + np.timedelta64(self.time, "ns")
        return to_utc(local.ravel(), self.zone).reshape(local.shape) if self.local and self.zone else local

    def extend(self, last: Times, num_steps: int) -> Times:
        """Return the stamps of the steps after the last ones, (M,) to (M, num_steps)."""
        ahead = np.arange(1, num_steps + 1)
        if self.kind == ROWS:
            return np.asarray(last, "datetime64[ns]")[:, None] + (ahead * self.step).astype("timedelta64[ns]")
        return self.stamps(self.number(last)[0][:, None] + ahead)

    def learn_holidays(self, times: Times, starts: Int) -> "Calendar":
        """Return the calendar with the days as holidays that other series lack, and without those that they have.

        Args:
            times: stamps of all series, one after the other, each in order.
            starts: first row of each series, and the number of rows, (S + 1,).
        """
        if self.kind != WEEKDAYS:
            return self
        days = to_wall(times, self.zone) if self.local else times
        bare = replace(self, holidays=())
        present = _to_days(days)
        own = _find_holidays(present, starts, bare._open)
        kept = np.setdiff1d(np.array(self.holidays, np.int64), present)
        return replace(self, holidays=tuple(np.union1d(kept, own).tolist()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        return {**asdict(self), "holidays": list(self.holidays)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Calendar":
        """Create a calendar from `to_dict`."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        return cls(**{**values, "holidays": tuple(values.get("holidays", ()))})

    @cached_property
    def _open(self) -> np.busdaycalendar:
        holidays = np.array(self.holidays, np.int64).astype("datetime64[D]")
        return np.busdaycalendar(weekmask=self.open_days, holidays=holidays)

    def _days_of(self, months: Times) -> Times:
        first = months.astype("datetime64[D]")
        last = (months + 1).astype("datetime64[D]") - 1
        if self.rule == START:
            return np.busday_offset(first, 0, roll="forward", busdaycal=self._open)
        if self.rule == END:
            return np.busday_offset(last, 0, roll="backward", busdaycal=self._open)
        return np.minimum(first + (self.day - 1), last)


def _to_ticks(times: Times) -> Int:
    return np.ascontiguousarray(times, "datetime64[ns]").view(np.int64)


def _to_days(times: Times) -> Int:
    return times.astype("datetime64[D]").astype(np.int64)


def _format_span(nanoseconds: int) -> str:
    return str(pd.Timedelta(nanoseconds)).replace("0 days ", "")


def _list_days(open_days: str) -> str:
    return ", ".join(name.title() for name, is_open in zip(_DAY_NAMES, open_days, strict=True) if is_open == "1")


# ------------------------------------------------------------------------------------------------ which calendar


class _Table(NamedTuple):
    """Stamps in which a calendar is looked for: in UTC and local time, and which steps are inside of a series."""

    utc: Int
    local: Int
    starts: Int
    zone: str | None

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Return, for each row but the last, whether the next one is of the same series."""
        inside = np.ones(max(len(self.utc) - 1, 0), bool)
        ends = self.starts[1:-1] - 1
        inside[ends[(ends >= 0) & (ends < len(inside))]] = False
        return inside


class _Fit(NamedTuple):
    """A calendar, how many stamps are its steps, and how many steps are missing."""

    calendar: Calendar
    share: float
    missing: int
    twice: bool
    rows: int


def find_calendar(
    times: Times,
    starts: Int,
    *,
    freq: str | None = None,
    zone: str | None = None,
    holidays: str | None = None,
    names: Sequence[str] | None = None,
    place: str,
) -> Calendar:
    """Find the calendar that the stamps of all series keep to, with the fewest missing steps.

    Args:
        times: stamps of all series, one after the other, each in order, (N,) datetime64[ns]; in UTC if there is a zone.
        starts: first row of each series, and the number of rows, (S + 1,).
        freq: the frequency, as of pandas (h, 15min, D, B, W, MS, ME, QS, ...), or rows; None: found.
        zone: zone of the stamps.
        holidays: code of a country or of an exchange of the package `holidays`, such as DE, US-NY or NYSE: its holidays
            are no business days. None: weekdays that all series lack are holidays.
        names: names of the series, for messages.
        place: name of the table, for messages.

    Raises:
        UsageError: `freq` or `holidays` is not known.
        DataError: no series has two rows, or the stamps are irregular; the message names the first odd one.
        MissingPackageError: `holidays` needs its package.
    """
    starts = np.asarray(starts, np.int64)
    table = _Table(_to_ticks(times), _to_ticks(to_wall(times, zone)), starts, zone)
    known = () if holidays is None else list_holidays(holidays, times)
    wanted = None if freq is None else _parse_freq(freq)
    if wanted is not None and wanted.kind == ROWS:
        return _rows(table)
    sample = _take_sample(table)
    if not sample.inside.any() and wanted is None:
        raise DataError(
            f"{place}: expected at least two rows in a series, received one in each: check `columns.series_id`, or set "
            "`freq`"
        )
    calendars = _list_calendars(sample, known) if wanted is None else _apply_freq(sample, wanted, known)
    fits = [_measure(item, sample) for item in calendars]
    for fit in sorted(filter(_is_good, fits), key=lambda fit: (fit.missing, fit.calendar.shift > 0)):
        if sample is table or _is_good(_measure(fit.calendar, table)):
            return fit.calendar
    if sample is not table:  # series outside of the sample are irregular
        fits = [_measure(fit.calendar, table) for fit in fits]
    best = max(fits, key=lambda fit: fit.share)
    raise DataError(_describe_irregular(table, best, freq, names, place))


def _is_good(fit: "_Fit") -> bool:
    return fit.share == 1 and not fit.twice and fit.missing <= MOST_MISSING * fit.rows


def _rows(table: _Table) -> Calendar:
    steps = np.diff(table.utc)[table.inside]
    return Calendar(ROWS, ROWS, step=int(np.median(steps)) if len(steps) else _DAY_NS, zone=table.zone)


def _take_sample(table: _Table) -> _Table:
    """Take whole series, spread over the table."""
    count = len(table.starts) - 1
    if len(table.utc) <= _SAMPLE_ROWS or count == 1:
        return table
    keep = np.linspace(0, count - 1, max(count * _SAMPLE_ROWS // len(table.utc), 1)).astype(int)
    keep = np.union1d(keep, [np.diff(table.starts).argmax()])
    lengths = np.diff(table.starts)[keep]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(starts[-1]) + np.repeat(table.starts[keep] - starts[:-1], lengths)
    return _Table(table.utc[rows], table.local[rows], starts, table.zone)


def _measure(item: Calendar, table: _Table) -> _Fit:
    steps, fits = item.number(table.utc.view("datetime64[ns]"))
    firsts, lasts = table.starts[:-1], table.starts[1:] - 1
    filled = lasts >= firsts
    spans = int((steps[lasts[filled]] - steps[firsts[filled]] + 1).sum())
    twice = bool(((steps[1:] <= steps[:-1]) & table.inside).any())
    return _Fit(item, float(fits.mean()), spans - len(steps), twice, len(steps))


def _usual(values: Int) -> int:
    unique, counts = np.unique(values, return_counts=True)
    return int(unique[counts.argmax()])


def _list_calendars(table: _Table, known: Sequence[int]) -> list[Calendar]:
    """List the calendars that stamps may keep to, those that are preferred first."""
    inside = table.inside
    steps = np.diff(table.utc)[inside]
    steps = steps[steps > 0]
    if not len(steps):
        return [_rows(table)]
    local_steps = np.diff(table.local)[inside]
    median = int(np.median(steps))
    found: list[Calendar] = []
    if median >= 27.5 * _DAY_NS:
        found += _list_months(table, known)
    if (table.local % _DAY_NS == _usual(table.local % _DAY_NS)).mean() >= 0.5:
        days = local_steps // _DAY_NS
        if (days > 0).any():
            found.append(_make_ticks(table, _usual(days[days > 0]) * _DAY_NS, is_local=True))
            found += _list_weekdays(table, known)
    usual = _usual(steps)
    if table.zone is None or usual % _DAY_NS:
        found.append(_make_ticks(table, usual))
    found += _list_rounded(table, median)
    common = int(np.gcd.reduce(steps))
    if common != usual and usual % common == 0 and (steps.sum() // common) <= 2 * len(steps):
        found.append(_make_ticks(table, common, is_local=common % _DAY_NS == 0))
    if median < _DAY_NS and table.zone is not None and usual >= 2 * 3600 * _SECOND:
        found.append(_make_ticks(table, _usual(local_steps[local_steps > 0]), is_local=True))
    if not found:
        found.append(_make_ticks(table, usual))
    return found


def _make_ticks(table: _Table, step: int, *, is_local: bool = False, phase: int | None = None) -> Calendar:
    is_local = is_local and table.zone is not None
    if phase is None:
        phase = _usual((table.local if is_local else table.utc) % step)
    return Calendar(_name_ticks(step, phase), TICKS, step=step, phase=phase, zone=table.zone, local=is_local)


def _name_ticks(step: int, phase: int) -> str:
    for unit, size in _SIZES.items():
        count, rest = divmod(step, size)
        if not rest:
            name = unit if count == 1 else f"{count}{unit}"
            return f"{name}-{_DAY_NAMES[(phase // _DAY_NS + 3) % 7]}" if unit == "W" else name
    raise AssertionError(step)  # a multiple of a nanosecond


def _list_rounded(table: _Table, median: int) -> list[Calendar]:
    """List steps to which stamps are rounded that are a little off."""
    step = min(_NICE, key=lambda size: abs(size - median))
    if abs(step - median) > 0.05 * step:
        return []
    is_local = step >= _DAY_NS
    ticks = table.local if is_local else table.utc
    remainders = ticks % step
    usual = _usual(remainders)
    phases = [usual]
    if (remainders == usual).mean() < 0.5:  # most are off
        if step > _DAY_NS:
            return []
        centre = int(np.angle(np.exp(2j * np.pi * remainders / step).mean()) / (2 * np.pi) * step)
        unit = max(_SECOND if step >= 60 * _SECOND else 1, step // 60)
        phases = [0, round(centre / unit) * unit % step]
    found: list[Calendar] = []
    for phase in dict.fromkeys(phases):
        rounded = replace(_make_ticks(table, step, is_local=is_local, phase=phase), lead=step // 2)
        found += _allow_shift(rounded, table, step)
    if step == _DAY_NS and len(phases) > 1:
        found.append(_make_whole_days(table))
    return [item for item in found if item.step == step and _is_filled(item, table)]


def _make_whole_days(table: _Table) -> Calendar:
    """Return the calendar of days with stamps at any time of the day."""
    whole = _make_ticks(table, _DAY_NS, is_local=True, phase=0)
    return replace(whole, late=_DAY_NS - 1, shift=int((table.local % _DAY_NS).max()))


def _allow_shift(item: Calendar, table: _Table, step: int) -> Iterator[Calendar]:
    """Yield a calendar that allows for the distance of stamps from their steps, if it is small or usual."""
    steps, exact = item.number(table.utc.view("datetime64[ns]"))
    remainders = (table.local if item.local else table.utc) % step
    is_usual = (remainders == _usual(remainders)).mean() >= 0.5
    if is_usual and exact.mean() < 0.5:  # most stamps are the same distance away from these steps
        return
    shift = int(np.abs(table.utc - _to_ticks(item.stamps(steps))).max())
    small = _WEEK_SHIFT if step == 7 * _DAY_NS else int(_SMALL_SHIFT * step)
    if 0 < shift <= (small if is_usual else int(_LARGEST_SHIFT * step)):
        allowed = min(max(2 * shift, step // 50), int(_LARGEST_SHIFT * step))
        yield replace(item, early=allowed, late=allowed, shift=shift)


def _is_filled(item: Calendar, table: _Table) -> bool:
    fit = _measure(item, table)
    return not fit.twice and fit.missing <= max(_FEW_MISSING * len(table.utc), 1)


def _list_weekdays(table: _Table, known: Sequence[int]) -> list[Calendar]:
    """List the calendar of the weekdays on which there are stamps, if some have none."""
    days = _to_days(table.local.view("datetime64[ns]"))
    counts = np.bincount((days + 3) % 7, minlength=7)
    if not 2 <= np.count_nonzero(counts) <= 6 or days.max() - days.min() < 14:
        return []
    found = _make_weekdays(table, "".join("1" if count else "0" for count in counts), known)
    fit = _measure(found, table)
    moves = np.diff(found.number(table.utc.view("datetime64[ns]"))[0])[table.inside]
    # else each series has a day of its own, or the rows are few
    return [found] if _usual(moves) == 1 and fit.missing <= fit.rows else []


def _make_weekdays(table: _Table, open_days: str, known: Sequence[int]) -> Calendar:
    name = "B" if open_days == WORKDAYS else f"B-{open_days}"
    time = _usual(table.local % _DAY_NS)
    days = _to_days(table.local.view("datetime64[ns]"))
    bare = Calendar(name, WEEKDAYS, time=time, open_days=open_days, zone=table.zone, local=table.zone is not None)
    if len(known):
        found = np.setdiff1d(np.array(known, np.int64), days)
    else:
        found = _find_holidays(days, table.starts, bare._open)
    return replace(bare, holidays=tuple(found.tolist()))


def _find_holidays(days: Int, starts: Int, open_days: np.busdaycalendar) -> Int:
    """Return the open days, between the first and the last, that no series has: holidays, if they are few and short."""
    if not len(days):
        return np.zeros(0, np.int64)
    every = np.arange(days.min(), days.max() + 1)
    every = every[np.is_busday(every.astype("datetime64[D]"), busdaycal=open_days)]
    gone = ~np.isin(every, days)
    if not gone.any():
        return np.zeros(0, np.int64)
    firsts, lasts = days[starts[:-1][np.diff(starts) > 0]], days[starts[1:][np.diff(starts) > 0] - 1]
    depth = np.searchsorted(np.sort(firsts), every, side="right") - np.searchsorted(np.sort(lasts), every, side="left")
    gone &= depth > 0  # a series has rows before and after
    edges = np.flatnonzero(np.diff(np.concatenate([[False], gone, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin > _LONGEST_HOLIDAY:
            gone[begin:end] = False
    if gone.mean() > _MOST_HOLIDAYS:
        return np.zeros(0, np.int64)
    return np.concatenate([every[gone], _project_holidays(every, gone, open_days)])


def _project_holidays(every: Int, gone: NDArray[np.bool_], open_days: np.busdaycalendar) -> Int:
    """Return the days after the last one that have the dates of holidays in each of two years or more."""
    dates = pd.DatetimeIndex(every.astype("datetime64[D]"))
    table = pd.DataFrame({"date": dates.month * 100 + dates.day, "gone": gone})
    groups = table.groupby("date")["gone"]
    fixed = groups.count().index[(groups.count() >= 2) & groups.all()]
    ahead = np.arange(every[-1] + 1, every[-1] + 366 * _YEARS_AHEAD)
    ahead = ahead[np.is_busday(ahead.astype("datetime64[D]"), busdaycal=open_days)]
    later = pd.DatetimeIndex(ahead.astype("datetime64[D]"))
    return ahead[np.isin(later.month * 100 + later.day, fixed)]


def _list_months(table: _Table, known: Sequence[int], only: int | None = None) -> list[Calendar]:
    """List the calendars of months: on the first or last day or business day, or on another day."""
    local = table.local.view("datetime64[ns]")
    months = local.astype("datetime64[M]")
    number = months.astype(np.int64)
    days = (local.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    steps = np.diff(number)[table.inside]
    steps = steps[steps > 0]
    step = only or (_usual(steps) if len(steps) else 1)
    if only is None and (steps % step).any():
        step = int(np.gcd.reduce(steps))
    time = _usual(table.local % _DAY_NS)
    rules: list[tuple[int, str]] = [(1, ""), (LAST, ""), (_usual(days), ""), (int(days.max()), "")]
    rules += [(1, START), (LAST, END)]
    found = []
    for day, rule in dict.fromkeys(rules):
        item = _make_months(table, step, _usual(number % step), day, rule, time, known if rule else ())
        found.append(item)
        found += [other for other in _allow_months(item, table) if _is_filled(other, table)]
    exact = [item for item in found if not item.shift and _measure(item, table).share == 1]
    if exact:
        return exact
    whole = _make_months(table, step, _usual(number % step), 1, "", 0, ())
    largest = int((table.local - _to_ticks(months.astype("datetime64[ns]"))).max())
    anywhere = replace(whole, late=32 * _DAY_NS, shift=largest)  # on any day of the month
    shifted = sorted((item for item in found if item.shift), key=lambda item: item.shift)
    plain = [item for item in found if not item.shift]
    return plain + shifted + ([anywhere] if _is_filled(anywhere, table) else [])


def _allow_months(item: Calendar, table: _Table) -> Iterator[Calendar]:
    steps, exact = item.number(table.utc.view("datetime64[ns]"))
    shift = int(np.abs(table.utc - _to_ticks(item.stamps(steps))).max())
    if exact.mean() >= 0.5 and 0 < shift <= _MONTH_SHIFT:
        yield replace(item, early=_MONTH_SHIFT, late=_MONTH_SHIFT, shift=shift)


def _make_months(
    table: _Table, step: int, phase: int, day: int, rule: str, time: int, known: Sequence[int]
) -> Calendar:
    return Calendar(
        _name_months(step, phase, day, rule),
        MONTHS,
        step=step,
        phase=phase,
        day=day,
        rule=rule,
        time=time,
        holidays=tuple(known),
        zone=table.zone,
        local=table.zone is not None,
    )


def _name_months(step: int, phase: int, day: int, rule: str) -> str:
    at_end = rule == END or (not rule and day == LAST)
    unit = {3: "Q", 12: "Y"}.get(step, "M")
    name = f"{'' if unit != 'M' or step == 1 else step}{'B' if rule else ''}{unit}{'E' if at_end else 'S'}"
    if unit != "M":
        last = phase + (12 - step if at_end and unit == "Q" else 0)
        name += f"-{_MONTH_NAMES[last]}"
    return name if rule or day in (1, LAST) else f"{name}-{day}"


def list_holidays(code: str, times: Times) -> tuple[int, ...]:
    """Return the holidays of a country (DE), a part of it (US-NY) or an exchange (NYSE), as days since 1970.

    Args:
        code: the code, as of the package `holidays`.
        times: stamps; the holidays are those from their first year to ten years after their last.

    Raises:
        UsageError: the code is not known.
        MissingPackageError: the package is not installed.
    """
    with importing_extra("the name of a country or an exchange in `holidays`"):
        import holidays
    years = times.astype("datetime64[Y]").astype(np.int64) + 1970
    span = range(int(years.min()), int(years.max()) + 1 + _YEARS_AHEAD)
    country, _, subdivision = code.strip().upper().partition("-")
    try:
        if country in holidays.list_supported_financial():
            days = holidays.financial_holidays(country, years=span)
        else:
            days = holidays.country_holidays(country, subdiv=subdivision or None, years=span)
    except NotImplementedError as error:
        raise UsageError(
            "expected `holidays` as the code of a country (DE), of a part of it (US-NY), or of an exchange (NYSE) of "
            f"the package holidays; received '{clip(code)}'"
        ) from error
    return tuple(sorted(int(np.datetime64(day, "D").astype(np.int64)) for day in days))


# ------------------------------------------------------------------------------------------------ by its frequency


class _Freq(NamedTuple):
    """A frequency that a user has named: what it does not name is None, and found in the stamps."""

    kind: str
    step: int = 1
    phase: int | None = None
    day: int | None = None
    rule: str | None = None
    open_days: str = WORKDAYS


_FREQ = re.compile(r"(\d*)\s*([A-Za-zµ]+)(?:-([A-Za-z01]+))?(?:-(\d+))?")
_TICK_WORDS = {
    **{"W": "W", "D": "D", "d": "D", "h": "h", "H": "h", "min": "min", "T": "min", "s": "s", "S": "s", "ms": "ms"},
    **{"L": "ms", "us": "us", "µs": "us", "U": "us", "ns": "ns", "N": "ns", "weekly": "W", "week": "W", "weeks": "W"},
    **{"daily": "D", "day": "D", "days": "D", "hourly": "h", "hour": "h", "hours": "h", "minutely": "min"},
    **{"minute": "min", "minutes": "min", "second": "s", "seconds": "s", "sec": "s"},
}
_MONTH_UNITS = {"M": 1, "Q": 3, "Y": 12, "A": 12}
_MONTH_WORDS = {"monthly": "M", "month": "M", "months": "M", "quarterly": "Q", "quarter": "Q", "yearly": "Y"}
_MONTH_WORDS |= {"year": "Y", "years": "Y", "annual": "Y", "annually": "Y"}


def _parse_freq(freq: str) -> _Freq:
    """Parse a frequency, also in the spellings of older releases of pandas (H, T, M, Q, A).

    Raises:
        UsageError: it is not known.
    """
    error = UsageError(
        f"expected `freq` as a frequency of pandas, such as h, D, 15min or MS, or as {ROWS} (each row a step), "
        f"received '{clip(freq)}'"
    )
    if freq.strip().lower() in (ROWS, "row"):
        return _Freq(ROWS)
    match = _FREQ.fullmatch(freq.strip())
    if match is None or (match[1] and int(match[1]) == 0):
        raise error
    count, word, anchor, day = int(match[1] or 1), match[2], (match[3] or "").upper(), match[4]
    if anchor.isdigit() and not set(anchor) <= {"0", "1"} and day is None:
        anchor, day = "", anchor
    if word in ("B", "C", "bday", "BDay") and count == 1:
        if day is not None or (anchor and (len(anchor) != 7 or not set(anchor) <= {"0", "1"} or "1" not in anchor)):
            raise error
        return _Freq(WEEKDAYS, open_days=anchor or WORKDAYS)
    if word in _TICK_WORDS:
        unit = _TICK_WORDS[word]
        phase = None
        if day is not None:
            raise error
        if anchor:
            if unit != "W" or anchor not in _DAY_NAMES:
                raise error
            phase = (_DAY_NAMES.index(anchor) - 3) % 7 * _DAY_NS
        return _Freq(TICKS, count * _SIZES[unit], phase)
    return _parse_months(count, _MONTH_WORDS.get(word.lower(), word), anchor, day, error)


def _parse_months(count: int, word: str, anchor: str, day: str | None, error: UsageError) -> _Freq:
    match = re.fullmatch(r"(B?)([MQYA])([SE]?)", word)
    if match is None:
        match = re.fullmatch(r"(B?)([A])(S)", word)
    if match is None:
        raise error
    step = count * _MONTH_UNITS[match[2]]
    if (anchor and (anchor not in _MONTH_NAMES or match[2] == "M")) or (day is not None and not 1 <= int(day) <= 31):
        if not (anchor.isdigit() and 1 <= int(anchor) <= 31 and day is None):
            raise error
        anchor, day = "", anchor
    phase = _MONTH_NAMES.index(anchor) % step if anchor else None
    if match[1]:
        return _Freq(MONTHS, step, phase, LAST if match[3] != "S" else 1, START if match[3] == "S" else END)
    return _Freq(MONTHS, step, phase, int(day) if day else {"S": 1, "E": LAST}.get(match[3]), "" if match[3] else None)


def _apply_freq(table: _Table, wanted: _Freq, known: Sequence[int]) -> list[Calendar]:
    """List the calendars of a frequency: as it is, else as it may be meant."""
    if wanted.kind == WEEKDAYS:
        return [_make_weekdays(table, wanted.open_days, known)]
    if wanted.kind == MONTHS:
        found = _list_months(table, known, wanted.step)
        if wanted.day is not None or wanted.rule:
            time = _usual(table.local % _DAY_NS)
            number = table.local.view("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
            month = _usual(number % wanted.step) if wanted.phase is None else wanted.phase
            rule = wanted.rule or ""
            exact = _make_months(table, wanted.step, month, wanted.day or 1, rule, time, known if rule else ())
            found = [exact, *_allow_months(exact, table), *found]
        return [item for item in found if wanted.phase in (None, item.phase)]
    is_local = wanted.step % _DAY_NS == 0
    phase = wanted.phase
    if phase is not None:  # of weeks: at the time of day of the stamps
        own = _usual(table.local % wanted.step)
        same_day = (own - phase) % _SIZES["W"] < _DAY_NS  # of several weeks: those of the stamps
        phase = own if same_day else (phase + own % _DAY_NS) % wanted.step
    exact = _make_ticks(table, wanted.step, is_local=is_local, phase=phase)
    rounded = replace(exact, lead=wanted.step // 2)
    whole = replace(_make_ticks(table, wanted.step, is_local=is_local, phase=0), lead=wanted.step // 2)
    shifted = [*_allow_shift(rounded, table, wanted.step), *_allow_shift(whole, table, wanted.step)]
    return [exact, *shifted, *([_make_whole_days(table)] if wanted.step == _DAY_NS else [])]


def _describe_irregular(table: _Table, best: _Fit, freq: str | None, names: Sequence[str] | None, place: str) -> str:
    item = best.calendar
    steps, fits = item.number(table.utc.view("datetime64[ns]"))
    moves, inside = np.diff(steps), table.inside
    wrong = ~fits
    if fits.all():  # two stamps in one step, or steps far apart
        wrong[1:] = inside & ((moves < 1) if best.twice else (moves == moves[inside].max()))
    row = int(wrong.argmax())
    series = int(np.searchsorted(table.starts, row, side="right")) - 1
    if names is not None and len(names) > 1:
        place = f"{place}, series {names[series]}"
    stamp, first = (pd.Timestamp(int(table.local[index])) for index in (row, int(table.starts[series])))
    ways = (
        f"Correct the time stamps, or set `freq` to their frequency, or to {ROWS} to use each row as a step, as for "
        "trading hours"
    )
    count = f"{int(wrong.sum())} of {len(fits)} stamps"
    gaps = np.diff(table.utc)[inside]
    if freq is not None:
        after = f" after {first}" if row > table.starts[series] else ""
        wrong_how = f"is not a multiple of {freq}{after} ({count})"
    elif fits.all() and not best.twice:
        wrong_how = f"is {moves[row - 1]} steps of {item.name} after the one before ({count})"
    elif (gaps == _usual(gaps)).mean() >= 0.5:
        wrong_how = f"is not {item.name} after the one before, as most steps are ({count})"
    else:
        row = max(row, int(table.starts[series]) + 1)
        before, stamp = (pd.Timestamp(int(table.local[index])) for index in (row - 1, row))
        wrong_how = f"is {stamp - before} after the one before, and no distance is that of most steps"
    return f"{place}: irregular time steps: {stamp} {wrong_how}. {ways}"
