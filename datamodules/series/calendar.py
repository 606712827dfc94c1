"""Time steps of series: frequency, missing steps and values, continuation and season."""

import calendar

import numpy as np
import pandas as pd

from lightfit.errors import DataError

from .table import Series

ROWS = "rows"  # in place of a frequency: each row is a step, whatever the time between them
MOST_MISSING = 50  # largest number of steps for each row; beyond it, the steps are irregular
_MONTHS = [name.upper() for name in calendar.month_abbr[1:]]
_CALENDAR = ("MS", "ME", *(f"{kind}-{month}" for kind in ("QS", "QE", "YS", "YE") for month in _MONTHS), "B")
_CALENDAR_SEASONS = {"M": 12, "Q": 4, "B": 5}  # steps in a year, or a week, by the first letter of the frequency
_DAY, _MINUTE = pd.Timedelta(days=1), pd.Timedelta(minutes=1)


def find_freq(times: pd.DatetimeIndex) -> str | None:
    """Find the frequency of time stamps, with the fewest missing steps; None if they are irregular.

    Args:
        times: increasing time stamps, at least two.
    """
    gaps = pd.Series(times[1:] - times[:-1])
    usual = _format_step(gaps.mode()[0])
    if gaps.nunique() == 1:
        return usual
    few_missing = (times[-1] - times[0]) / gaps.mode()[0] < MOST_MISSING * len(times)
    grids = {freq: steps_between(times, freq) for freq in ((usual,) if few_missing else ()) + _CALENDAR}
    whole = [freq for freq, grid in grids.items() if times.isin(grid).all()]
    return min(whole, key=lambda freq: len(grids[freq]), default=None)


def steps_between(times: pd.DatetimeIndex, freq: str) -> pd.DatetimeIndex:
    """Return all steps from the first to the last time stamp.

    Raises:
        DataError: pandas does not know the frequency.
    """
    try:
        return pd.date_range(times[0], times[-1], freq=freq)
    except ValueError as error:
        raise DataError(
            f"expected `freq` as a frequency of pandas, such as h, D, 15min or MS, or as {ROWS} (each row a step), "
            f"received '{freq}'"
        ) from error


def complete_steps(times: pd.DatetimeIndex, freq: str | None, place: str) -> pd.DatetimeIndex:
    """Insert missing steps between time stamps.

    Args:
        times: increasing time stamps.
        freq: their frequency, or `rows`; None if they are irregular.
        place: name of the table or series, for the message.

    Raises:
        DataError: the time stamps are irregular, or one is not a step of the frequency.
    """
    if freq == ROWS:
        return times
    odd = times[:0] if freq is None else times[~times.isin(grid := steps_between(times, freq))]
    if freq is not None and not len(odd):
        return grid
    if freq is None:
        gaps = times[1:] - times[:-1]
        usual = pd.Series(gaps).mode()[0]
        odd, expected = times[1:][gaps != usual], f"{_format_step(usual)} after the one before, as most steps are"
    else:
        expected = f"a multiple of {freq} after {times[0]}"
    raise DataError(
        f"{place}: irregular time steps: {odd[0]} is not {expected}. Correct the time stamps, or set `freq` to their "
        f"frequency, or to {ROWS} to use each row as a step"
    )


def guess_season(freq: str) -> int:
    """Return the likely number of steps in a season: of a day, a week or a year; 1 if there is none."""
    if freq == ROWS:
        return 1
    if freq[0] in _CALENDAR_SEASONS:
        return _CALENDAR_SEASONS[freq[0]]
    try:
        step = pd.Timedelta(pd.tseries.frequencies.to_offset(freq))  # type: ignore[arg-type]
    except ValueError:  # steps without a fixed length, such as years
        return 1
    if step >= _DAY:
        return {1: 7, 7: 52}.get(step // _DAY, 1)
    whole = _DAY if step >= _MINUTE else _MINUTE
    return whole // step


def continue_steps(times: pd.DatetimeIndex, freq: str, num_steps: int) -> pd.DatetimeIndex:
    """Return the time stamps after the last one; with `rows` as frequency, at the median distance."""
    step = pd.Series(times[1:] - times[:-1]).median() if freq == ROWS else freq
    return pd.date_range(times[-1], periods=num_steps + 1, freq=step)[1:]


def _format_step(step: pd.Timedelta) -> str:
    for unit in ("D", "h", "min", "s", "ms", "us", "ns"):
        count, rest = divmod(step, pd.Timedelta(1, unit))
        if not rest:
            return unit if count == 1 else f"{count}{unit}"
    raise AssertionError(step)  # a Timedelta is a number of nanoseconds


HINT = "Set `fill` to interpolate (or forward, or mask, which ignores it in loss and scores)"


def fill_gaps(series: Series, names: tuple[str, ...], freq: str | None, fill: str, place: str) -> Series:
    """Insert the missing steps of a series, and fill its missing values.

    Args:
        series: the series as read.
        names: names of the columns.
        freq: frequency of the steps, or `rows`; None if they are irregular.
        fill: `error`; `forward`: repeat the last value; `interpolate`: linear in time; `mask`: keep NaN.
        place: name of the table, for messages.

    Raises:
        DataError: a step or a value is missing and `fill` is `error`, a missing value precedes all known ones, or the
            steps are irregular.
    """
    place = f"{place}, series {series.name}" if series.name else place
    times = complete_steps(series.times, freq, place)
    values = np.full((len(times), series.values.shape[1]), np.nan)
    values[times.get_indexer(series.times)] = series.values
    if len(times) > len(series.times) and fill == "error":
        missing = times.difference(series.times)
        raise DataError(f"{place}: {len(missing)} of {len(times)} steps are missing, the first {missing[0]}. {HINT}")
    if fill == "error":
        _check_known(series._replace(times=times, values=values), names, f"are missing. {HINT}", place)
    elif fill == "forward":
        values = forward_fill(values)
    elif fill == "interpolate":
        values = pd.DataFrame(values, times).interpolate("time").to_numpy()
    filled = series._replace(times=times, values=values)
    if fill in ("forward", "interpolate"):
        _check_known(filled, names, "are missing before the first known one: delete these rows", place)
    return filled


def forward_fill(values: np.ndarray) -> np.ndarray:
    """Fill missing values with the last known one, (T, K); NaN before the first known one."""
    return pd.DataFrame(values).ffill().to_numpy()


def _check_known(series: Series, names: tuple[str, ...], problem: str, place: str) -> None:
    missing = np.isnan(series.values)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise DataError(
            f"{place}: {missing[:, column].sum()} values of the column '{names[column]}', the first at "
            f"{series.times[row]}, {problem}"
        )


def find_common_freq(series: list[Series], place: str) -> str:
    """Find the common frequency of several series: that of the longest one.

    Raises:
        DataError: the longest series has one row, or its steps are irregular.
    """
    longest = max(series, key=lambda item: len(item.times))
    if len(longest.times) < 2:
        raise DataError(f"{place}: expected at least two rows in a series, received one: check `columns.series_id`")
    freq = find_freq(longest.times)
    if freq is None:
        complete_steps(longest.times, freq, place)
    return str(freq)
