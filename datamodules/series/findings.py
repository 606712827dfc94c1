"""What was found in series: gaps, outliers, trend and season, intermittency, covariates that give targets away.

Sources: Wang, Smith and Hyndman 2006, "Characteristic-Based Clustering for Time Series Data" (Data Mining and Knowledge
Discovery 13), section 3, for the strengths of trend and season; Syntetos and Boylan 2005, "The accuracy of intermittent
demand estimates" (International Journal of Forecasting 21), section 3, for the classes of demand.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightfit.errors import clip

from ..findings import NAMES_SHOWN, Findings
from ..splits import SPLITS
from .panel import Panel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_SERIES = 300  # series whose values are looked at one by one
MOST_TARGETS = 5
MOST_STEPS = 20_000  # last steps of a series that are looked at
FAR, VERY_FAR = 6.0, 20.0  # robust deviations from the season, from which a value is an outlier, and a warning
MOST_ZEROS = 0.5  # with more, the usual value is 0, and each demand would be an outlier
LEAST_SEASONS = 3
NEAREST, NUM_NEAREST = (-1, 1, -2, 2, -3, 3, -4, 4), 4  # seasons away, in order of distance, and how many are used
ADI, CV2 = 1.32, 0.49  # bounds of the classes of demand: mean interval, and squared coefficient of variation
DETERMINED = 0.999  # correlation of values and of changes, from which a column gives the target away
LEAKAGE_SERIES, LEAKAGE_STEPS, LEAKAGE_SHIFTS, LEAST_PAIRS = 20, 2000, 48, 20
PLOTTED_SERIES, PLOTTED_CYCLES, MAP_ROWS, MAP_BINS, CURVE_POINTS = 6, 60, 60, 160, 2000


class Traits(NamedTuple):
    """What the values of a series are like; NaN or empty where that is not defined."""

    outliers: int
    furthest: float  # robust deviations of the largest outlier from its season
    furthest_step: int  # its step from the first one of the series
    trend: float  # strength in [0, 1]
    season: float  # likewise
    demand: str  # smooth, intermittent, erratic or lumpy


class Leak(NamedTuple):
    """A covariate that almost determines a target, `shift` steps later."""

    column: str
    role: str  # past or known
    target: str
    shift: int
    correlation: float


class Curve(NamedTuple):
    """A series to plot: time stamps (T,), values (T,), and the first time stamp of val and test, if there are any."""

    name: str
    times: NDArray[np.datetime64]
    values: Floats
    borders: Mapping[str, np.datetime64]


class Sketch(NamedTuple):
    """What a page plots: series with their splits, their seasons, and where values are missing.

    `cycles` holds for each series the values of its last seasons, (cycles, season). `missing` is the fraction of the
    steps that are missing, (series, bins) of `names` over the time from `begin` to `end`; NaN where there is no series.
    """

    target: str
    curves: Sequence[Curve]
    cycles: Mapping[str, Floats]
    names: Sequence[str]
    missing: Floats
    begin: np.datetime64
    end: np.datetime64


def find_in_series(
    panel: Panel,
    steps: Ints,
    *,
    calendar: str,
    targets: Sequence[str],
    past: Sequence[str] = (),
    known: Sequence[str] = (),
    season: int,
    lookback: int,
    horizon: int,
    ends: Ints | None = None,
    zone: str | None = None,
    notes: Sequence[str] = (),
) -> Findings:
    """Find what is in series, and what may be wrong with them.

    Args:
        panel: series as read, sorted, without steps or values that were filled in; columns are targets, past, known.
        steps: index of the step of each row, (N,): in a series those of neighbours without a gap differ by 1.
        calendar: the steps in words.
        targets: names of the columns to forecast.
        past: names of the covariates whose future is not known.
        known: names of the covariates that are known ahead.
        season: number of steps in a season.
        lookback: number of past steps in a window.
        horizon: number of steps to forecast.
        ends: end of train, val and test of each series, in steps from its first one, (S, 3); None: there are no splits.
        zone: time zone of the stamps, which are then in UTC; None: they have none.
        notes: what was done as the rows were read, such as sorting them, or merging those with the same stamp.
    """
    spans = steps[panel.starts[1:] - 1] - steps[panel.starts[:-1]] + 1
    chosen = _spread(len(panel), MOST_SERIES)
    traits = {
        (int(index), target): describe_values(_on_grid(panel, steps, int(index), target), season)
        for index in chosen
        for target in range(min(len(targets), MOST_TARGETS))
    }
    facts = {
        "steps": calendar,
        "zone": zone or "none: stamps are taken as they are written",
        "lengths": _describe_lengths(panel, spans),
        "gaps": _describe_gaps(panel, steps),
        "missing values": _describe_missing(panel, [*targets, *past, *known]),
        "order": "; ".join(notes),
        "outliers": _describe_outliers(traits, panel, targets),
        "trend and season": _describe_strengths(traits, season),
        "demand": _describe_demand(traits, panel, targets),
    }
    leaks = find_leaks(panel, steps, targets=targets, past=past, known=known, horizon=horizon)
    constant = _find_constant(panel, len(targets))
    warnings = [
        *_warn_of_short(panel, spans, lookback + horizon),
        *_warn_of_constant(panel, constant, targets),
        *_warn_of_outliers(traits, panel, steps, targets),
        *(warn_of_leak(leak) for leak in leaks),
    ]
    table = _tabulate(panel, steps, spans, traits, constant, targets)
    return Findings(
        {topic: fact for topic, fact in facts.items() if fact},
        warnings,
        tables={"series" if len(chosen) == len(panel) else f"{len(chosen):,} of {len(panel):,} series": table},
        find_plots=lambda: sketch_series(panel, steps, targets[0], season=season, ends=ends),
    )


def _spread(size: int, most: int) -> Ints:
    """Return indices that are spread evenly, all of them if there are no more."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64))


def _on_grid(panel: Panel, steps: Ints, index: int, column: int) -> Floats:
    """Return a column of a series with a value for each of its last steps, NaN if missing."""
    rows = slice(int(panel.starts[index]), int(panel.starts[index + 1]))
    own, values = steps[rows], panel.values[rows, column]
    recent = own > own[-1] - MOST_STEPS
    own, values = own[recent], values[recent]
    grid = np.full(int(own[-1] - own[0]) + 1, np.nan)
    grid[own - own[0]] = values
    return grid


def describe_values(values: Floats, season: int) -> Traits:
    """Describe the values of a series, a value for each step, NaN if missing."""
    known = ~np.isnan(values)
    if known.sum() < 3 or np.nanmin(values) == np.nanmax(values):
        return Traits(0, np.nan, -1, np.nan, np.nan, "")
    deviations = measure_deviations(values, season)
    far = np.abs(np.nan_to_num(deviations)) > FAR
    furthest = int(np.abs(np.nan_to_num(deviations)).argmax()) if far.any() else -1
    trend, seasonal = measure_strengths(np.where(far, np.nan, values), season)
    return Traits(
        int(far.sum()),
        float(deviations[furthest]) if far.any() else np.nan,
        furthest,
        trend,
        seasonal,
        classify_demand(values),
    )


def measure_deviations(values: Floats, season: int) -> Floats:
    """Measure how far each value lies from its season, in robust standard deviations, (T,); NaN if it is not known.

    The season of a value is the median of the four nearest values at the same step of other seasons, less the trend, as
    the median change over a season; the standard deviation is 1.4826 times the median of the absolute distances.

    Args:
        values: a value for each step, (T,), NaN if missing.
        season: number of steps in a season.
    """
    known = ~np.isnan(values)
    if (values[known] == 0).mean() > MOST_ZEROS:
        return np.full(len(values), np.nan)
    season = season if len(values) >= LEAST_SEASONS * season else 1
    changes = values[season:] - values[:-season]
    changes = changes[~np.isnan(changes)]
    change = float(np.median(changes)) if len(changes) else 0.0
    reach = len(NEAREST) // 2
    padded = np.pad(values, reach * season, constant_values=np.nan)
    around = np.stack([padded[(reach + shift) * season :][: len(values)] - shift * change for shift in NEAREST])
    around[np.cumsum(~np.isnan(around), 0) > NUM_NEAREST] = np.nan
    held = (~np.isnan(around)).sum(0) >= 2
    distance = np.full(len(values), np.nan)
    distance[held] = values[held] - np.nanmedian(around[:, held], 0)
    if np.isnan(distance).all():
        return distance
    scale = 1.4826 * np.nanmedian(np.abs(distance)) or 1.2533 * np.nanmean(np.abs(distance))
    return distance / scale if scale > 0 else np.full(len(values), np.nan)


def measure_strengths(values: Floats, season: int) -> tuple[float, float]:
    """Measure the strengths of trend and season, both in [0, 1]; NaN where the series is too short.

    1 - Var(remainder) / Var(remainder + component), not below 0, of a decomposition by moving averages over a season
    and by the means of each step of the season.

    Args:
        values: a value for each step, (T,), NaN if missing.
        season: number of steps in a season.
    """
    places = np.flatnonzero(~np.isnan(values))
    values = np.interp(np.arange(places[0], places[-1] + 1), places, values[places])
    is_seasonal = season > 1 and len(values) >= LEAST_SEASONS * season
    window = season if is_seasonal else max(len(values) // 10, 3)
    if len(values) < 2 * window + 1 or len(values) < 8:
        return np.nan, np.nan
    weights = np.full(window, 1 / window) if window % 2 else np.r_[0.5, np.ones(window - 1), 0.5] / window
    values = (values - values.mean()) / (values.std() or 1)  # so that a level of 1e9 costs no digits
    trend = np.convolve(values, weights, "valid")
    begin = (len(weights) - 1) // 2
    rest = values[begin : begin + len(trend)] - trend
    seasonal = np.zeros(len(rest))
    if is_seasonal:
        phase = np.arange(len(rest)) % season
        means = np.bincount(phase, rest, season) / np.maximum(np.bincount(phase, minlength=season), 1)
        seasonal = (means - means.mean())[phase]
    remainder = rest - seasonal
    return _strength(remainder, trend), _strength(remainder, seasonal) if is_seasonal else np.nan


def _strength(remainder: Floats, component: Floats) -> float:
    total = float(np.var(remainder + component))
    return max(0.0, 1 - float(np.var(remainder)) / total) if total > 1e-20 else 0.0


def classify_demand(values: Floats) -> str:
    """Return the class of demand of a series: smooth, intermittent, erratic or lumpy; empty for one without zeros.

    Args:
        values: a value for each step, (T,), NaN if missing.
    """
    values = values[~np.isnan(values)]
    positive = values[values > 0]
    if not len(positive) or (values < 0).any() or len(positive) == len(values):
        return ""
    is_rare = len(values) / len(positive) >= ADI
    varies = np.var(positive) / np.mean(positive) ** 2 >= CV2
    return {(0, 0): "smooth", (1, 0): "intermittent", (0, 1): "erratic", (1, 1): "lumpy"}[int(is_rare), int(varies)]


def find_leaks(
    panel: Panel, steps: Ints, *, targets: Sequence[str], past: Sequence[str], known: Sequence[str], horizon: int
) -> list[Leak]:
    """Find covariates that almost determine a target at the same step or some steps away.

    Values and their changes must both correlate: two columns with a trend correlate without any link. Of a column whose
    future is not known, only what it holds of the same step or later ones is found.

    Args:
        panel: series; the columns are targets, past, known.
        steps: index of the step of each row.
        targets: names of the targets.
        past: names of the covariates whose future is not known.
        known: names of the covariates that are known ahead.
        horizon: number of steps to forecast.
    """
    longest = np.argsort(-panel.lengths, kind="stable")[:LEAKAGE_SERIES]
    columns = range(len(targets) + len(past) + len(known))
    if len(columns) == len(targets):
        return []
    grids = [
        np.stack([_on_grid(panel, steps, int(index), column)[-LEAKAGE_STEPS:] for column in columns])
        for index in longest
    ]
    leaks = []
    reach = min(horizon, LEAKAGE_SHIFTS)
    for place, name in enumerate([*past, *known]):
        role = "past" if place < len(past) else "known"
        for target, target_name in enumerate(targets):
            shifts = sorted(range(0 if role == "past" else -reach, reach + 1), key=abs)
            best = Leak(name, role, target_name, 0, 0.0)
            for shift in shifts:
                found = _correlate([(grid[len(targets) + place], grid[target]) for grid in grids], shift)
                if abs(found) > abs(best.correlation) + 1e-9:
                    best = best._replace(shift=shift, correlation=found)
            if abs(best.correlation) >= DETERMINED:
                leaks.append(best)
    return leaks


def _correlate(pairs: Sequence[tuple[Floats, Floats]], shift: int) -> float:
    """Return the smaller correlation, of values and of changes, of columns (T,) with targets some steps later."""
    found = []
    for order in (0, 1):
        sums, count = np.zeros(3), 0
        for column, target in pairs:
            size = len(column) - abs(shift)
            if size < 3:
                continue
            x, y = column[max(-shift, 0) :][:size], target[max(shift, 0) :][:size]
            x, y = np.diff(x, order), np.diff(y, order)
            held = ~np.isnan(x) & ~np.isnan(y)
            if held.sum() < 3:
                continue
            x, y = x[held] - x[held].mean(), y[held] - y[held].mean()
            x, y = x / (x.std() or 1), y / (y.std() or 1)  # so that each series counts alike
            sums += np.array([(x * y).sum(), (x * x).sum(), (y * y).sum()])
            count += len(x)
        if count < LEAST_PAIRS or min(sums[1:]) <= 0:
            return 0.0
        found.append(sums[0] / np.sqrt(sums[1] * sums[2]))
    return float(min(found, key=abs)) if found[0] * found[1] > 0 else 0.0


def warn_of_leak(leak: Leak) -> str:
    """Return what a covariate gives away, and what to do about it."""
    steps = "step" if abs(leak.shift) == 1 else "steps"
    when = "" if not leak.shift else f" {abs(leak.shift)} {steps} {'later' if leak.shift > 0 else 'before'}"
    found = (
        f"the column '{leak.column}' almost determines the target '{leak.target}'{when} (correlation "
        f"{leak.correlation:.4f} of values and of changes)"
    )
    if leak.role == "past":
        if not leak.shift:
            return f"{found}, so it adds nothing to it: leave it out of `columns.past`"
        return f"{found}, so it gives away what is to be forecast: leave it out"
    return (
        f"{found}, and is said to be known ahead: if it is measured with the target, scores are too good; name it in "
        "`columns.past`, or leave it out"
    )


def _list_names(panel: Panel, indices: Ints) -> str:
    return ", ".join(f"'{clip(panel.names[int(index)])}'" for index in indices[:NAMES_SHOWN])


def _describe_lengths(panel: Panel, spans: Ints) -> str:
    if len(panel) == 1:
        return f"{int(panel.lengths[0]):,} rows"
    low, middle, high = np.quantile(panel.lengths, [0, 0.5, 1]).astype(int).tolist()
    return f"{len(panel):,} series of {low:,} to {high:,} rows, median {middle:,}"


def _find_gaps(panel: Panel, steps: Ints) -> tuple[Ints, Ints]:
    """Return the row after each gap, and the number of steps that are missing there."""
    gaps = np.diff(steps) - 1
    gaps[panel.starts[1:-1] - 1] = 0  # between two series
    after = np.flatnonzero(gaps > 0)
    return after + 1, gaps[after]


def _describe_gaps(panel: Panel, steps: Ints) -> str:
    rows, sizes = _find_gaps(panel, steps)
    if not len(rows):
        return "none"
    longest = int(sizes.argmax())
    row = int(rows[longest])
    own = np.searchsorted(panel.starts, rows, side="right") - 1
    where = f" of '{clip(panel.names[int(own[longest])])}'" if len(panel) > 1 else ""
    in_series = f" in {len(np.unique(own)):,} of {len(panel):,} series" if len(panel) > 1 else ""
    total = int(sizes.sum())
    return (
        f"{total:,} missing steps ({total / (total + len(steps)):.1%}) in {len(rows):,} gaps{in_series}; the longest "
        f"has {int(sizes[longest]):,}, after {_format_time(panel.times[row - 1])}{where}"
    )


def _describe_missing(panel: Panel, names: Sequence[str]) -> str:
    counts = np.isnan(panel.values[:, : len(names)]).sum(0)
    described = [
        f"'{clip(name)}' {count:,} ({count / len(panel.values):.1%})"
        for name, count in zip(names, counts.tolist(), strict=True)
        if count
    ]
    more = f" and {len(described) - 8} more columns" if len(described) > 8 else ""
    return ", ".join(described[:8]) + more or "none"


def _format_time(time: np.datetime64) -> str:
    return str(pd.Timestamp(time)).removesuffix(" 00:00:00")


def _name(panel: Panel, index: int, target: int, targets: Sequence[str]) -> str:
    """Return the series and the target, as far as there are several."""
    parts = [f"'{clip(panel.names[index])}'"] if len(panel) > 1 else []
    return " ".join([*parts, *([f"'{clip(targets[target])}'"] if len(targets) > 1 or not parts else [])])


Found = Mapping[tuple[int, int], Traits]


def _describe_outliers(traits: Found, panel: Panel, targets: Sequence[str]) -> str:
    held = {key: own for key, own in traits.items() if own.outliers}
    if not held:
        return "none"
    total = sum(own.outliers for own in held.values())
    key = max(held, key=lambda key: abs(held[key].furthest))
    return (
        f"{total:,} values lie more than {FAR:g} robust deviations from their season, the furthest "
        f"{abs(held[key].furthest):.0f}, in {_name(panel, *key, targets)}"
    )


def _describe_strengths(traits: Found, season: int) -> str:
    described = []
    for name in ("trend", "season"):
        values = np.array([getattr(own, name) for own in traits.values()])
        values = values[~np.isnan(values)]
        if len(values) == 1:
            described.append(f"{name} {values[0]:.2f}")
        elif len(values):
            described.append("{} {:.2f} ({:.2f} to {:.2f})".format(name, *np.quantile(values, [0.5, 0.1, 0.9])))
    if not described:
        return "the series are too short to tell"
    return f"strengths from 0 to 1: {', '.join(described)}, with a season of {season} steps"


def _describe_demand(traits: Found, panel: Panel, targets: Sequence[str]) -> str:
    classes = [own.demand for own in traits.values() if own.demand]
    if not classes:
        return ""
    counts = {name: classes.count(name) for name in ("smooth", "intermittent", "erratic", "lumpy")}
    zeros = float((panel.values[:, : len(targets)] == 0).mean())
    if len(traits) == 1:
        return f"{zeros:.0%} zeros: {classes[0]}"
    return f"{zeros:.0%} zeros; " + ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _find_constant(panel: Panel, num_targets: int) -> NDArray[np.bool_]:
    """Return whether each target of each series has one value alone, (S, C)."""
    values = panel.values[:, :num_targets]
    low = np.fmin.reduceat(values, panel.starts[:-1])
    high = np.fmax.reduceat(values, panel.starts[:-1])
    return ~(low < high)  # True for a target without any value as well


def _warn_of_short(panel: Panel, spans: Ints, least: int) -> list[str]:
    short = np.flatnonzero(spans < least)
    if not len(short) or len(panel) == 1:
        return []
    return [
        f"{len(short):,} of {len(panel):,} series are shorter than a window of {least:,} steps, such as "
        f"{_list_names(panel, short)}: add rows, or reduce `lookback` or `horizon`"
    ]


def _warn_of_constant(panel: Panel, constant: NDArray[np.bool_], targets: Sequence[str]) -> list[str]:
    warnings = []
    for target, name in enumerate(targets):
        if not len(own := np.flatnonzero(constant[:, target])):
            continue
        where = (
            f" in {len(own):,} of {len(panel):,} series, such as {_list_names(panel, own)}" if len(panel) > 1 else ""
        )
        warnings.append(f"the target '{clip(name)}' has one value alone{where}: there is nothing to forecast")
    return warnings


def _warn_of_outliers(traits: Found, panel: Panel, steps: Ints, targets: Sequence[str]) -> list[str]:
    held = {key: own for key, own in traits.items() if abs(own.furthest) > VERY_FAR}
    if not held:
        return []
    (index, target), own = max(held.items(), key=lambda item: abs(item[1].furthest))
    rows = np.arange(int(panel.starts[index]), int(panel.starts[index + 1]))
    recent = rows[steps[rows] > steps[rows[-1]] - MOST_STEPS]
    row = int(recent[np.searchsorted(steps[recent], steps[recent[0]] + own.furthest_step)])
    more = f", and {len(held) - 1:,} other series have such values" if len(held) > 1 else ""
    return [
        f"{panel.values[row, target]:.10g} at {_format_time(panel.times[row])} in "
        f"{_name(panel, index, target, targets)} lies {abs(own.furthest):.0f} robust deviations from its season{more}: "
        "correct it if it is an error, or leave the cell empty and set `fill`"
    ]


def _tabulate(
    panel: Panel, steps: Ints, spans: Ints, traits: Found, constant: NDArray[np.bool_], targets: Sequence[str]
) -> pd.DataFrame:
    rows = []
    for (index, target), own in traits.items():
        held = slice(int(panel.starts[index]), int(panel.starts[index + 1]))
        values = panel.values[held, target]
        row: dict[str, Any] = {"series": panel.names[index] or "all"}
        if len(targets) > 1:
            row["target"] = targets[target]
        rows.append(
            row
            | {
                "from": _format_time(panel.times[held.start]),
                "to": _format_time(panel.times[held.stop - 1]),
                "rows": len(values),
                "missing steps": int(spans[index]) - len(values),
                "missing values": int(np.isnan(values).sum()),
                "zeros": float((values == 0).mean()),
                "outliers": own.outliers,
                "trend": own.trend,
                "season": own.season,
                "demand": "constant" if constant[index, target] else own.demand,
            }
        )
    return pd.DataFrame(rows)


def sketch_series(panel: Panel, steps: Ints, target: str, *, season: int, ends: Ints | None) -> Sketch:
    """Return what a page plots of the first target.

    Args:
        panel: the series.
        steps: index of the step of each row.
        target: name of the first target.
        season: number of steps in a season.
        ends: end of train, val and test of each series, in steps from its first one, (S, 3); None: there are no splits.
    """
    curves, cycles = [], {}
    for index in _spread(len(panel), PLOTTED_SERIES).tolist():
        rows = np.arange(int(panel.starts[index]), int(panel.starts[index + 1]))
        borders = {}
        if ends is not None:
            offsets = steps[rows] - steps[rows[0]]
            for split, begin, end in zip(SPLITS[1:], ends[index, :-1], ends[index, 1:], strict=True):
                if end > begin and (found := int(np.searchsorted(offsets, begin))) < len(rows):
                    borders[split] = panel.times[rows[found]]
        shown = rows[_spread(len(rows), CURVE_POINTS)]
        usual = 2 * -(-len(rows) // CURVE_POINTS)  # steps from one point to the next, from which on it is a gap
        gaps = np.flatnonzero(np.diff(steps[shown]) >= usual) + 1
        times = np.insert(panel.times[shown], gaps, panel.times[shown[gaps]])
        values = np.insert(panel.values[shown, 0], gaps, np.nan)  # so that no line bridges it
        curves.append(Curve(panel.names[index], times, values, borders))
        grid = _on_grid(panel, steps, index, 0)
        whole = min(len(grid) // max(season, 1), PLOTTED_CYCLES)
        if season > 1 and whole >= 2:
            # Phases count from the calendar's own zero, so that series that start elsewhere are alike.
            shift = int((steps[rows[-1]] + 1) % season)
            grid = grid[: len(grid) - shift]
            whole = min(len(grid) // season, PLOTTED_CYCLES)
            if whole:
                cycles[panel.names[index]] = grid[len(grid) - whole * season :].reshape(whole, season)
    chosen = _spread(len(panel), MAP_ROWS)
    begin, end = panel.times.min(), panel.times.max()
    return Sketch(
        target,
        curves,
        cycles,
        [panel.names[int(index)] for index in chosen],
        _map_missing(panel, steps, chosen),
        begin,
        end,
    )


def _map_missing(panel: Panel, steps: Ints, chosen: Ints) -> Floats:
    """Return the fraction of missing steps or values of the first target by series and bin of time."""
    first, last = int(steps.min()), int(steps.max())
    num_bins = min(MAP_BINS, last - first + 1)
    edges = np.linspace(first, last + 1, num_bins + 1)
    found = np.full((len(chosen), num_bins), np.nan)
    for row, index in enumerate(chosen.tolist()):
        held = slice(int(panel.starts[index]), int(panel.starts[index + 1]))
        own = steps[held][~np.isnan(panel.values[held, 0])]
        inside = np.arange(int(steps[held][0]), int(steps[held][-1]) + 1)
        wanted, _ = np.histogram(inside, edges)
        seen, _ = np.histogram(own, edges)
        with np.errstate(invalid="ignore"):
            found[row] = np.where(wanted > 0, 1 - seen / np.maximum(wanted, 1), np.nan)
    return found
