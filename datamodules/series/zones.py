"""Time zones: local times to UTC and back, and the zone that explains offsets."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple
from zoneinfo import available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import DataError, UsageError, clip

Ambiguous = Literal["error", "earlier", "later", "infer"]
Nonexistent = Literal["error", "forward", "backward"]
_DAY = np.timedelta64(1, "D")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_SAMPLE = 400  # stamps on which zones are compared, before the exact comparison
_AHEAD = 730  # days after the last stamp on which zones that explain the offsets have to agree
# Zones that are tried first, as others have the same rules: one a rule, the most populous.
_COMMON = (
    *("Europe/Berlin", "Europe/London", "Europe/Helsinki", "Europe/Lisbon", "America/New_York", "America/Chicago"),
    *("America/Denver", "America/Los_Angeles", "America/Anchorage", "America/Halifax", "America/St_Johns"),
    *("America/Sao_Paulo", "America/Santiago", "America/Mexico_City", "Australia/Sydney", "Australia/Adelaide"),
    *("Pacific/Auckland", "Asia/Jerusalem", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca", "Europe/Moscow"),
)


class Offsets(NamedTuple):
    """The zone of stamps with offsets, and what is to be said of it (empty if nothing)."""

    zone: str
    found: str


def check_zone(zone: str, argument: str = "timezone") -> str:
    """Return the name of a zone as it is spelt: an IANA name, or an offset such as +02:00.

    Raises:
        UsageError: there is no such zone.
    """
    if match := _OFFSET.fullmatch(zone):
        return f"{match[1]}{match[2]}:{match[3]}"
    name = _spell(zone)
    if name is None:
        raise UsageError(
            f"expected `{argument}` as a name of the IANA time zone database, such as Europe/Berlin, America/New_York "
            f"or UTC, or as an offset such as +02:00; received '{clip(zone)}'"
        )
    return name


@cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones() if name not in ("Factory", "localtime")}


def _spell(zone: str) -> str | None:
    return _names().get(zone.strip().lower().replace(" ", "_"))


def find_name(zone: str) -> str | None:
    """Return a zone's name as it is spelt, None if there is no such zone."""
    return _spell(zone)


def to_wall(times: NDArray[np.datetime64], zone: str | None) -> NDArray[np.datetime64]:
    """Convert stamps in UTC to the local time of a zone; without a zone, return them as they are."""
    if zone is None or zone == "UTC":
        return times
    flat = pd.DatetimeIndex(times.ravel()).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    return flat.to_numpy("datetime64[ns]").reshape(times.shape)


def format_stamps(times: NDArray[np.datetime64], zone: str | None) -> NDArray[np.object_]:
    """Format stamps as texts: in UTC with a zone, as its local times with their offsets; else as they are.

    Without a zone, the time of day is left out where all stamps are at midnight.
    """
    if zone is None and not (times.astype("datetime64[ns]") != times.astype("datetime64[D]")).any():
        return np.datetime_as_string(times.astype("datetime64[D]")).astype(object)
    wall = to_wall(times, zone)
    texts = _format_wall(wall)
    if zone is None:
        return texts
    minutes = (wall - times).astype("timedelta64[m]").astype(np.int64)
    values, codes = np.unique(minutes, return_inverse=True)
    return texts + np.array([format_offset(int(value)) for value in values], object)[codes.reshape(minutes.shape)]


def _format_wall(times: NDArray[np.datetime64]) -> NDArray[np.object_]:
    ticks = times.astype("datetime64[ns]").astype(np.int64)
    unit = next((unit for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)) if not (ticks % size).any()), "ns")
    texts = np.datetime_as_string(times.astype(f"datetime64[{unit}]"))
    return np.char.replace(texts, "T", " ").astype(object)


def format_offset(minutes: int) -> str:
    """Format an offset from UTC, such as +02:00."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def to_utc(
    wall: NDArray[np.datetime64],
    zone: str,
    *,
    ambiguous: Ambiguous = "earlier",
    nonexistent: Nonexistent = "forward",
    codes: NDArray[np.int64] | None = None,
    place: str = "",
) -> NDArray[np.datetime64]:
    """Convert local times to UTC.

    Args:
        wall: local times, (N,).
        zone: their zone.
        ambiguous: which of the two hours a time is in that comes twice as the clock goes back: `earlier`, `later`, or
            `infer`, by the order of the rows of a series, in which the first is the earlier one.
        nonexistent: what becomes of a time that is skipped as the clock goes forward: `forward`, the time that the
            clock had then shown, as if it had not been set (02:30 is 03:30), or `backward` (02:30 is 01:30).
        codes: series of each row; None: all rows are one series.
        place: name of the column, for messages.

    Raises:
        DataError: a time comes twice or is skipped, and the choice is `error`, or `infer` where it occurs once.
    """
    if zone == "UTC":
        return wall
    index = pd.DatetimeIndex(wall)
    if _OFFSET.fullmatch(zone):
        return index.tz_localize(zone).tz_convert(None).to_numpy("datetime64[ns]")
    # as shifted by a day, no time is skipped: the offsets before and after a change
    sure = index.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").tz_convert(None)
    known = sure.to_numpy("datetime64[ns]").copy()  # as pandas 3 returns what it holds, read-only
    odd = np.flatnonzero(np.isnat(known))
    if not len(odd):
        return known
    before = wall[odd] - _offset_at(wall[odd] - _DAY, zone)  # as if the clock had not been set yet
    after = wall[odd] - _offset_at(wall[odd] + _DAY, zone)
    twice = before < after  # the offset is smaller afterwards: the clock went back
    if twice.any():
        rows = odd[twice]
        if ambiguous == "error":
            raise DataError(
                f"{place}, row {rows[0] + 1}: {_show(wall[rows[0]])} comes twice in {zone}, as the clock goes back "
                f"({len(rows)} rows in all). Set `ambiguous` to earlier, to later, or to infer (by the order of rows)"
            )
        late = np.full(len(rows), ambiguous == "later")
        if ambiguous == "infer":
            late = _infer_late(wall, rows, codes, zone, place)
        before[twice] = np.where(late, after[twice], before[twice])
    if not twice.all():
        rows = odd[~twice]
        if nonexistent == "error":
            raise DataError(
                f"{place}, row {rows[0] + 1}: {_show(wall[rows[0]])} does not exist in {zone}, as the clock goes "
                f"forward ({len(rows)} rows in all). Set `nonexistent` to forward or to backward, or `timezone` to the "
                "zone in which the rows were written, such as UTC"
            )
        if nonexistent == "backward":
            before[~twice] = after[~twice]
    known[odd] = before
    return known


def _offset_at(wall: NDArray[np.datetime64], zone: str) -> NDArray[np.timedelta64]:
    earlier = np.ones(len(wall), bool)
    index = pd.DatetimeIndex(wall).tz_localize(zone, ambiguous=earlier, nonexistent="shift_forward")
    return index.tz_localize(None).to_numpy("datetime64[ns]") - index.tz_convert(None).to_numpy("datetime64[ns]")


def _infer_late(
    wall: NDArray[np.datetime64], rows: NDArray[np.int64], codes: NDArray[np.int64] | None, zone: str, place: str
) -> NDArray[np.bool_]:
    keys = pd.DataFrame({"series": 0 if codes is None else codes[rows], "wall": wall[rows]})
    groups = keys.groupby(["series", "wall"])
    once = (groups["wall"].transform("size") == 1).to_numpy()
    if once.any():
        row = rows[once.argmax()]
        raise DataError(
            f"{place}, row {row + 1}: {_show(wall[row])} may be either of two hours in {zone}, as the clock goes back, "
            "and occurs once, so that the order of the rows does not say which. Set `ambiguous` to earlier or to later"
        )
    return (groups.cumcount() > 0).to_numpy()


def find_zone(utc: NDArray[np.datetime64], minutes: NDArray[np.int64], rows: NDArray[np.int64], place: str) -> Offsets:
    """Find the zone in which stamps have their offsets.

    Args:
        utc: distinct stamps, (U,).
        minutes: offset of each from UTC, in minutes.
        rows: first row of each in the table, for messages.
        place: name of the column, for messages.

    Raises:
        DataError: no zone has all of the offsets at these times.
    """
    values, counts = np.unique(minutes, return_counts=True)
    texts = [format_offset(int(value)) for value in values]
    if len(values) == 1:
        return Offsets("UTC" if values[0] == 0 else texts[0], "")
    order = np.argsort(utc, kind="stable")
    utc, minutes, rows = utc[order], minutes[order], rows[order]
    zones = _explain(utc, minutes)
    if not zones:
        rare = rows[minutes == values[counts.argmin()]].min()
        raise DataError(
            f"{place}: the offsets {', '.join(texts[:4])} are mixed as in no single time zone (row {rare + 1} has "
            f"{texts[counts.argmin()]}): correct them, or set `timezone` to the zone to use, such as UTC, to which all "
            "stamps are converted"
        )
    ahead = utc[-1] + np.arange(_AHEAD) * _DAY
    futures = {_offsets(ahead, zone).tobytes() for zone in zones}
    named = f"offsets {' and '.join(texts)}"
    if len(futures) == 1:
        return Offsets(zones[0], f"{named}, the rule of {zones[0]}; `timezone` names another one")
    last = format_offset(int(minutes[-1]))
    return Offsets(last, f"{named}, from here on {last}, as several zones have them; `timezone` names one")


def _explain(utc: NDArray[np.datetime64], minutes: NDArray[np.int64]) -> list[str]:
    changes = np.flatnonzero(np.diff(minutes))  # where the offset changes, zones differ most
    spread = np.linspace(0, len(utc) - 1, min(len(utc), _SAMPLE)).astype(int)
    rows = np.unique(np.concatenate([spread, changes[:_SAMPLE], changes[:_SAMPLE] + 1]))
    for names in (_COMMON, sorted(set(_names().values()) - set(_COMMON))):
        fitting = [name for name in names if (_offsets(utc[rows], name) == minutes[rows]).all()]
        if fitting := [name for name in fitting if (_offsets(utc, name) == minutes).all()]:
            return fitting
    return []


def _offsets(utc: NDArray[np.datetime64], zone: str) -> NDArray[np.int64]:
    return (to_wall(utc, zone) - utc).astype("timedelta64[m]").astype(np.int64)


def _show(time: np.datetime64) -> str:
    return str(pd.Timestamp(time))


def name_dtype_zone(column: "pd.Series[pd.Timestamp]") -> str | None:
    """Return the name of the zone of a column of stamps with a type, None if it has none."""
    zone = getattr(column.dtype, "tz", None)
    return None if zone is None else _name_tz(zone, column)


def _name_tz(zone: object, column: Sequence[pd.Timestamp] | pd.Series) -> str:
    name = str(zone)
    if spelt := _spell(name):
        return spelt
    first = next(iter(column.dropna() if isinstance(column, pd.Series) else column), None)
    offset = first.utcoffset() if first is not None else None
    return "UTC" if not offset else format_offset(int(offset.total_seconds() // 60))
