"""The time steps of a series: their frequency, those that are missing, how they go on, and the season."""

import calendar

import numpy as np
import pandas as pd

from lightfit.errors import DataError

from .table import Series

ROWS = "rows"  # in place of a frequency: every row is a step, whatever the time between
MOST_MISSING = 50  # steps for each that is there; beyond, the steps are called irregular
_MONTHS = [name.upper() for name in calendar.month_abbr[1:]]
_CALENDAR = ("MS", "ME", *(f"{kind}-{month}" for kind in ("QS", "QE", "YS", "YE") for month in _MONTHS), "B")
_CALENDAR_SEASONS = {"M": 12, "Q": 4, "B": 5}  # number of steps in a year, or a week, by the first letter
_DAY, _MINUTE = pd.Timedelta(days=1), pd.Timedelta(minutes=1)


def find_freq(times: pd.DatetimeIndex) -> str | None:
    """The frequency whose steps the time stamps are, with the fewest missing; None where they are irregular.

    Args:
        times: rising time stamps, at least two.
    """
    gaps = pd.Series(times[1:] - times[:-1])
    usual = _in_words(gaps.mode()[0])
    if gaps.nunique() == 1:
        return usual
    few_missing = (times[-1] - times[0]) / gaps.mode()[0] < MOST_MISSING * len(times)
    grids = {freq: steps_between(times, freq) for freq in ((usual,) if few_missing else ()) + _CALENDAR}
    whole = [freq for freq, grid in grids.items() if times.isin(grid).all()]
    return min(whole, key=lambda freq: len(grids[freq]), default=None)


def steps_between(times: pd.DatetimeIndex, freq: str) -> pd.DatetimeIndex:
    """All steps from the first to the last time stamp.

    Raises:
        DataError: pandas knows no such frequency.
    """
    try:
        return pd.date_range(times[0], times[-1], freq=freq)
    except ValueError as error:
        raise DataError(
            f"'{freq}' is no frequency: expected one of pandas, such as h, D, 15min or MS, or {ROWS}, which takes each "
            "row as a step"
        ) from error


def complete(times: pd.DatetimeIndex, freq: str | None, place: str) -> pd.DatetimeIndex:
    """The time stamps with those that are missing between them.

    Args:
        times: rising time stamps.
        freq: their frequency, or `rows`; None where none was found.
        place: what they are, for the message.

    Raises:
        DataError: a time stamp is none of the frequency's.
    """
    if freq == ROWS:
        return times
    odd = times[:0] if freq is None else times[~times.isin(grid := steps_between(times, freq))]
    if freq is not None and not len(odd):
        return grid
    if freq is None:
        gaps = times[1:] - times[:-1]
        usual = pd.Series(gaps).mode()[0]
        odd, expected = times[1:][gaps != usual], f"{_in_words(usual)} after the one before, as most are"
    else:
        expected = f"a step of {freq} from {times[0]} on"
    raise DataError(
        f"{place}: irregular time steps: {odd[0]} is not {expected}. Correct the time stamps, name their frequency "
        f"by `freq`, or take each row as a step by `freq` {ROWS}"
    )


def season_of(freq: str) -> int:
    """The number of steps after which a series is likely to come round again: a day, a week or a year; 1 for none."""
    if freq == ROWS:
        return 1
    if freq[0] in _CALENDAR_SEASONS:
        return _CALENDAR_SEASONS[freq[0]]
    try:
        step = pd.Timedelta(pd.tseries.frequencies.to_offset(freq))  # type: ignore[arg-type]
    except ValueError:  # of no fixed length, as years are
        return 1
    if step >= _DAY:
        return {1: 7, 7: 52}.get(step // _DAY, 1)
    whole = _DAY if step >= _MINUTE else _MINUTE
    return whole // step


def continue_steps(times: pd.DatetimeIndex, freq: str, num_steps: int) -> pd.DatetimeIndex:
    """Return the time stamps that follow the last one; by the median step where each row is one."""
    step = pd.Series(times[1:] - times[:-1]).median() if freq == ROWS else freq
    return pd.date_range(times[-1], periods=num_steps + 1, freq=step)[1:]


def _in_words(step: pd.Timedelta) -> str:
    for unit in ("D", "h", "min", "s", "ms", "us", "ns"):
        number, rest = divmod(step, pd.Timedelta(1, unit))
        if not rest:
            return unit if number == 1 else f"{number}{unit}"
    raise AssertionError(step)  # a Timedelta is a number of nanoseconds


HINT = "Fill it by `fill` interpolate (or forward, or mask, which leaves it out of loss and scores)"


def fill_gaps(series: Series, names: tuple[str, ...], freq: str | None, fill: str, place: str) -> Series:
    """The series with all of its steps, and its missing values filled.

    Args:
        series: what the table holds.
        names: names of the columns.
        freq: frequency of the steps, or `rows`; None where none was found.
        fill: `error`; `forward`, the last value again; `interpolate`, a straight line over time; `mask` leaves nan.
        place: name of the table, for messages.

    Raises:
        DataError: a step or a value is missing and `fill` is `error`, or there is nothing to fill it from, or the steps
            are irregular.
    """
    place = f"{place}, series {series.name}" if series.name else place
    times = complete(series.times, freq, place)
    values = np.full((len(times), series.values.shape[1]), np.nan)
    values[times.get_indexer(series.times)] = series.values
    if len(times) > len(series.times) and fill == "error":
        missing = times.difference(series.times)
        raise DataError(f"{place}: {len(missing)} of {len(times)} steps are missing, the first {missing[0]}. {HINT}")
    if fill == "error":
        _refuse_missing(series._replace(times=times, values=values), names, f"are missing. {HINT}", place)
    elif fill == "forward":
        values = forward_fill(values)
    elif fill == "interpolate":
        values = pd.DataFrame(values, times).interpolate("time").to_numpy()
    filled = series._replace(times=times, values=values)
    if fill in ("forward", "interpolate"):
        _refuse_missing(filled, names, "come before the first one that is known: delete these rows", place)
    return filled


def forward_fill(values: np.ndarray) -> np.ndarray:
    """Each missing value as the last known one before it, (T, K); nan where there is none."""
    return pd.DataFrame(values).ffill().to_numpy()


def _refuse_missing(series: Series, names: tuple[str, ...], problem: str, place: str) -> None:
    missing = np.isnan(series.values)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise DataError(
            f"{place}: {missing[:, column].sum()} values of the column '{names[column]}', the first at "
            f"{series.times[row]}, {problem}"
        )


def common_freq(series: list[Series], place: str) -> str:
    """The frequency of all series, as the longest one has it.

    Raises:
        DataError: it has none.
    """
    longest = max(series, key=lambda item: len(item.times))
    if len(longest.times) < 2:
        raise DataError(f"{place}: one row for a series, which is no series: are the columns the right ones?")
    freq = find_freq(longest.times)
    if freq is None:
        complete(longest.times, freq, place)
    return str(freq)
