"""Scores of forecasts: by step, by series and beside naive forecasts, in the units of the table."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.callbacks.pictures.backtest import ALL, BacktestSums
from lightfit.callbacks.pictures.forecast_plot import Window, get_forecast, get_point, place_window, plot_forecasts
from lightfit.callbacks.pictures.names import shorten
from lightfit.callbacks.pictures.plots import Plot
from lightfit.datamodules.series.places import WindowPlaces
from lightfit.lightning_modules.metrics import ForecastScores, bootstrap_difference, bootstrap_interval

from ..cli.score_format import format_score
from .result import Baseline, Evaluation

PLOTTED_TARGETS = 3
CHUNK = 2**22  # values at once
MOST_ROWS = 2_000_000  # of the table of forecasts
NAMES_SHOWN, NAME_WIDTH = 3, 40
WORST_WINDOWS = 20  # of the table
NET = "the net"
IN_UNITS = ("mae", "rmse", "bias", "pinball", "width", "wape")  # means nothing over targets of different units

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class _Errors(NamedTuple):
    """Sums over each window: absolute errors, scaled ones, and numbers of values of both, (M,) each."""

    absolute: Floats
    known: Floats
    scaled: Floats
    scaled_known: Floats

    def choose(self, headline: str) -> tuple[Floats, Floats]:
        """Return the sums that a headline is the ratio of, (M,) each."""
        return (self.scaled, self.scaled_known) if headline == "mase" else (self.absolute, self.known)


def score_forecasts(
    evaluation: Evaluation,
    outputs: Mapping[str, Tensor],
    places: WindowPlaces,
    *,
    target_names: Sequence[str],
    quantiles: Sequence[float] = (),
    baselines: Mapping[str, Floats] = {},
    split: str = "",
) -> Evaluation:
    """Score forecasts in the units of the table, by step, by target and by series, beside naive forecasts.

    Args:
        evaluation: the metrics that the model logged.
        outputs: `forecast`, scaled (M, P, C) or (M, P, C, Q), and the truth `y`, scaled (M, P, C).
        places: where the windows lie.
        target_names: names of the C targets.
        quantiles: levels of the Q quantiles; empty if they are not known.
        baselines: further forecasts by name, in the units of the table, (M, P, C, Q); Q is 1 without quantiles.
        split: name of the split, for the remarks.
    """
    forecast = get_forecast(outputs)
    quantiles = tuple(quantiles) if len(quantiles) == forecast.shape[-1] else ()
    _, horizon, num_targets, _ = forecast.shape
    scaled = (get_point(forecast).float() - outputs["y"].float()).abs().double().nanmean((1, 2))
    evaluation = evaluation._replace(metrics=evaluation.metrics | {"mae": float(scaled.nanmean())})  # in float64
    sizes = horizon, len(places.names), num_targets
    scores = {NET: ForecastScores(*sizes, quantiles=quantiles)}
    errors: dict[str, list[list[Floats]]] = {}
    for rows in _chunk(len(places), horizon * num_targets):
        truth, own = places.truth(rows), _in_units(places, rows, forecast)
        others = {name: values[..., None] for name, values in places.forecast_naive(rows).items()}
        others |= {name: values[rows] for name, values in baselines.items()}
        series = places.series[rows]
        square = None if places.naive_squares is None else places.naive_squares[series]
        for name, values in {NET: own, **others}.items():
            levels = quantiles if values.shape[-1] > 1 else ()
            scored = scores.setdefault(name, ForecastScores(*sizes, quantiles=levels))
            sums = scored.add(
                values, truth, series=series, naive_error=places.naive_errors[series], naive_square=square
            ).sum(1)
            terms = ("absolute", "count", "mase", "mase_count")
            errors.setdefault(name, []).append([sums[:, scored.TERMS.index(term)] for term in terms])
    by_forecast = {
        name: _Errors(*(np.concatenate(parts) for parts in zip(*own, strict=True))) for name, own in errors.items()
    }
    totals = by_forecast[NET]
    order = _order_windows(totals)

    def plot_backtest() -> Plot:
        drawn = BacktestSums(places)
        for rows in _chunk(len(places), horizon * num_targets):
            middle = places.unscale(rows, get_point(forecast[rows]).float())
            drawn.add(rows, middle, torch.from_numpy(places.truth(rows)))
        return drawn.plot(target_names)

    def plot_windows() -> Plot:
        known = order[: int((totals.known > 0).sum())]
        chosen = {"worst": known[-1], "median": known[len(known) // 2], "best": known[0]}
        mean = totals.absolute / np.maximum(totals.known, 1)
        windows: dict[str, Window] = {
            title: place_window(places, int(row), forecast[row], error=float(mean[row]))
            for title, row in chosen.items()
        }
        return plot_forecasts(windows, target_names[:PLOTTED_TARGETS])

    metrics, headline, interval = _choose_metrics(evaluation, scores, totals, places)
    table = tabulate_series(scores, places, target_names)
    units = f"in the units of '{target_names[0]}'" if headline != "mase" else ""
    naive = set(places.forecast_naive(np.arange(min(1, len(places)))))
    baselines_found = _find_baselines(by_forecast, _compare(scores, headline), headline, places, naive)
    beside = ", ".join(
        f"{name} {format_score(value)}" for name, value in _compare(scores, headline).items() if name != NET
    )
    # Of several series, each with its own scale, the model does not know the values that percentages are taken of.
    meaningless = ("mape",) if scores[NET].is_near_zero or len(places.names) > 1 else ()
    metrics = {name: value for name, value in metrics.items() if name not in meaningless}
    logged = tuple(name for name in evaluation.logged if name not in meaningless)
    return evaluation._replace(
        metrics=metrics,
        headline=headline,
        interval=interval,
        beside=beside + (f"; {units}" if units else ""),
        logged=(*logged, "wape") if meaningless and "wape" in metrics else logged,
        meaningless=meaningless,
        tables=_tabulate(scores, target_names, table),
        plots={"forecasts": plot_windows, "by step": plot_backtest},
        series=table,
        remarks=(*_describe(scores, split, target_names), *warn_of_naive(table, scores)),
        baselines=baselines_found,
        units=units,
        windows=_tabulate_windows(order, totals, places),
        write_forecasts=lambda path: write_forecasts(path, forecast, places, target_names, quantiles),
    )


def _chunk(num_windows: int, size: int) -> list[Rows]:
    each = max(CHUNK // (size * len(ForecastScores.TERMS)), 1)
    return [np.arange(first, min(first + each, num_windows)) for first in range(0, num_windows, each)]


def _in_units(places: WindowPlaces, rows: Rows, forecast: Tensor) -> Floats:
    return places.unscale(rows, forecast[rows].float()).numpy()


def _order_windows(totals: _Errors) -> Rows:
    """Return the windows by their scaled errors, or by those in units if a series has no scale; unknown ones last."""
    scaled = totals.scaled / np.where(totals.scaled_known > 0, totals.scaled_known, np.nan)
    if np.isnan(scaled[totals.known > 0]).any():
        scaled = totals.absolute / np.where(totals.known > 0, totals.known, np.nan)
    return np.argsort(scaled)


def _choose_metrics(
    evaluation: Evaluation, scores: Mapping[str, ForecastScores], totals: _Errors, places: WindowPlaces
) -> tuple[dict[str, float], str, tuple[float, float]]:
    """Return the metrics, the headline, and its interval: the error of one target in its units, or else MASE."""
    own = _score_all(scores[NET])
    names = ("mase", "rmsse", "wape", "smape", "pinball")
    found = {name: own[name] for name in names if not np.isnan(own[name])}
    is_scaled = bool((places.means != 0).any() or (places.stds != 1).any() or places.diff)
    in_units = "mae_original" if is_scaled else "mae"
    is_single = places.num_targets == 1 and len(places.names) == 1
    headline = in_units if is_single or "mase" not in found else "mase"
    if places.num_targets == 1:
        found |= {in_units: own["mae"]}
    metrics = {headline: found[headline]} | evaluation.metrics | found
    values, counts = totals.choose(headline)
    held = counts > 0
    interval = bootstrap_interval(values[held], weights=counts[held], block=_choose_block(places))
    return metrics, headline, interval


def _choose_block(places: WindowPlaces) -> int:
    """Return the number of windows that the bootstrap draws at once: neighbours of a series have values in common."""
    longest = int(np.bincount(places.series).max())
    return max(min(_overlap(places), longest), 1)


def _find_baselines(
    errors: Mapping[str, _Errors], compared: Mapping[str, float], headline: str, places: WindowPlaces, naive: set[str]
) -> tuple[Baseline, ...]:
    """Return the other forecasts as baselines of the headline."""
    values, counts = errors[NET].choose(headline)
    held, block = counts > 0, _choose_block(places)

    def differ(name: str) -> tuple[float, float]:
        others, other_counts = errors[name].choose(headline)
        return bootstrap_difference(
            values[held], others[held], weights=counts[held], other_weights=other_counts[held], block=block
        )

    return tuple(
        Baseline(f"the {name} forecast" if name in naive else name, score, partial(differ, name))
        for name, score in compared.items()
        if name != NET
    )


def _tabulate_windows(order: Rows, totals: _Errors, places: WindowPlaces) -> pd.DataFrame:
    """Tabulate the worst windows: the series if there are several, the stamp before the forecast, and the errors.

    Of several series the worst window of each, as its neighbours have most of its steps too.
    """
    worst = order[: int((totals.known > 0).sum())][::-1]
    if len(places.names) > 1:
        worst = worst[np.sort(np.unique(places.series[worst], return_index=True)[1])]
    worst = worst[:WORST_WINDOWS]
    columns: dict[str, Any] = {}
    if len(places.names) > 1:
        columns["series"] = [places.names[index] for index in places.series[worst].tolist()]
    columns["origin"] = [str(stamp) for stamp in _localise(places, places.origins(worst))]
    if places.num_targets == 1:
        columns["mae"] = totals.absolute[worst] / totals.known[worst]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["mase"] = totals.scaled[worst] / totals.scaled_known[worst]
    return pd.DataFrame(columns).dropna(axis=1, how="all")


def _overlap(places: WindowPlaces) -> int:
    """Return the number of neighbouring windows of a series that have something in common."""
    steps = np.diff(places.first)[np.diff(places.series) == 0]
    apart = max(int(np.median(steps)) if len(steps) else 1, 1)
    return -(-max(places.horizon, places.season) // apart)


def _score_all(scores: ForecastScores) -> dict[str, float]:
    """Return the scores over all windows; over several targets, those that have units are means of the targets'."""
    by_target = scores.score(scores.by_step.sum(0))
    total = scores.score(scores.by_step.sum((0, 1)))
    return {
        name: float(np.mean(by_target[name]) if name in ("wape", "pinball") else total[name]) for name in scores.NAMES
    }


def _compare(scores: Mapping[str, ForecastScores], headline: str) -> dict[str, float]:
    name = "mase" if headline == "mase" else "mae"
    return {forecaster: _score_all(own)[name] for forecaster, own in scores.items()}


def _tabulate(
    scores: Mapping[str, ForecastScores], names: Sequence[str], series: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    net = scores[NET]
    horizon, num_targets, _ = net.by_step.shape
    steps = [str(step + 1) for step in range(horizon)]
    every = np.stack([own.by_step.sum((0, 1)) for own in scores.values()])
    compared = net.tabulate(every, {"forecast": list(scores)})
    for row, own in enumerate(scores.values()):
        for name, value in _score_all(own).items():
            if name in compared and name in ("wape", "pinball"):
                compared.loc[row, name] = value
    sums = np.concatenate([net.by_step.sum(0), net.by_step.sum((0, 1))[None]])
    by_target = net.tabulate(sums, {"step": [ALL] * (num_targets + 1), "target": [*names, ALL]})
    if num_targets == 1:
        by_target = by_target.head(1)
    by_step = net.tabulate(net.by_step.sum(1), {"step": steps, "target": [ALL] * horizon})
    if num_targets > 1:
        compared, by_step = (_drop_units(table) for table in (compared, by_step))
        for name in IN_UNITS:
            if name in by_target:
                by_target.loc[num_targets, name] = np.nan
    tables = {"forecasts compared": compared, "by target": by_target, "by step": by_step}
    if num_targets > 1:
        labels = {"step": np.repeat(steps, num_targets).tolist(), "target": [*names] * horizon}
        tables["by step and target"] = net.tabulate(net.by_step.reshape(-1, net.by_step.shape[-1]), labels)
    if len(net.by_series) > 1:
        tables["by series"] = series
    return tables


def _drop_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the columns that mean nothing over targets of different units."""
    kept = {"wape"} if "forecast" in table else set()
    return table.drop(columns=[name for name in IN_UNITS if name in table and name not in kept])


def tabulate_series(
    scores: Mapping[str, ForecastScores], places: WindowPlaces, target_names: Sequence[str]
) -> pd.DataFrame:
    """Tabulate the scores of each series, and of each target if there are several.

    `naive_mase` is that of the naive forecast that stands first, the seasonal one if there is a season;
    `beaten_by_naive` says whether its errors are smaller.

    Args:
        scores: sums of the net and of the other forecasts.
        places: names of the series.
        target_names: names of the targets.
    """
    net, naive = scores[NET], next(own for name, own in scores.items() if name != NET)
    num_series, num_targets, num_terms = net.by_series.shape
    labels: dict[str, Any] = {"series": np.repeat([name or ALL for name in places.names], num_targets)}
    if num_targets > 1:
        labels["target"] = [*target_names] * num_series
    labels["windows"] = np.repeat(net.windows, num_targets)
    table = net.tabulate(net.by_series.reshape(-1, num_terms), labels)
    other = naive.score(naive.by_series.reshape(-1, num_terms))
    if "mase" in table:
        table["naive_mase"] = other["mase"]
    table["beaten_by_naive"] = table["mae"].to_numpy() > other["mae"] * (1 + 1e-9)
    first = [*labels, "mae", "mase", "wape", "coverage", "naive_mase", "beaten_by_naive"]
    order = [name for name in first if name in table]
    return table[table["values"] > 0][[*order, *(name for name in table if name not in order)]].reset_index(drop=True)


def warn_of_naive(series: pd.DataFrame, scores: Mapping[str, ForecastScores]) -> list[str]:
    """Return a warning if a naive forecast is better than the net, for some series or on the whole."""
    warnings = []
    naive = next(name for name in scores if name != NET)
    beaten = series[series["beaten_by_naive"]]
    if len(series) > 1 and len(beaten):
        what = (
            "series"
            if "target" not in series
            else "targets"
            if series["series"].nunique() == 1
            else "series and targets"
        )
        columns = ["target"] if what == "targets" else ["series"] if what == "series" else ["series", "target"]
        worst = (
            beaten.assign(ratio=beaten["mase"] / beaten["naive_mase"]) if "mase" in beaten else beaten.assign(ratio=0)
        )
        worst = worst.sort_values("ratio", ascending=False, kind="stable")
        named = [" ".join(map(str, row)) for row in worst[columns].head(NAMES_SHOWN).itertuples(index=False)]
        shown = ", ".join(shorten(name, NAME_WIDTH) for name in named)
        warnings.append(
            f"warning: {len(beaten):,} of {len(series):,} {what}: the {naive} forecast is better, such as {shown}: see "
            "series.csv"
        )
    name = "mase" if not np.isnan(_score_all(scores[NET])["mase"]) else "mae"
    compared = _compare(scores, name)
    for forecaster, value in compared.items():
        if forecaster != NET and value <= compared[NET]:
            warnings.append(
                f"warning: the net does not beat the {forecaster} forecast: {name.upper()} "
                f"{format_score(compared[NET])} and {format_score(value)}"
            )
            break
    return warnings


def _describe(scores: Mapping[str, ForecastScores], split: str, names: Sequence[str]) -> list[str]:
    """Return a line with the errors of the net and of the other forecasts."""
    described = []
    for forecaster, own in scores.items():
        found = _score_all(own)
        wanted = {"MAE": found["mae"]} if len(names) == 1 else {}
        wanted |= {"MASE": found["mase"], "WAPE": found["wape"]}
        values = [format_score(value) for value in wanted.values() if not np.isnan(value)]
        titles = [title for title, value in wanted.items() if not np.isnan(value)]
        described.append((forecaster, values, titles))
    titles = described[0][2]
    if len(names) == 1:
        titles = [f"MAE in the units of '{names[0]}'", *titles[1:]]
    errors = "; ".join(f"{forecaster} {', '.join(values)}" for forecaster, values, _ in described)
    return [f"{split}, {', '.join(titles)}: {errors}"]


def write_forecasts(
    path: Path, forecast: Tensor, places: WindowPlaces, target_names: Sequence[str], quantiles: Sequence[float]
) -> None:
    """Write forecasts as a table with a row for each window and step.

    Columns: ids of the series if there are several, `origin` (the last stamp before the forecast), the stamp, `step`
    (from 1), and of each target `<target>_true`, `<target>_forecast` and quantiles such as `<target>_q10`.

    Args:
        path: the file.
        forecast: scaled forecasts, (M, P, C, Q).
        places: where the windows lie.
        target_names: names of the targets.
        quantiles: levels of the quantiles; empty: there are none.
    """
    _, horizon, num_targets, num_quantiles = forecast.shape
    for index, rows in enumerate(_chunk(len(places), horizon * num_targets * num_quantiles)):
        values, truth = _in_units(places, rows, forecast), places.truth(rows)
        columns: dict[str, Any] = {}
        series = np.repeat(places.series[rows], horizon)
        if places.ids is not None:
            columns |= {str(name): places.ids[name].to_numpy()[series] for name in places.ids}
        elif len(places.names) > 1:
            columns["series"] = np.asarray(places.names, object)[series]
        own = {
            "origin": _localise(places, np.repeat(places.origins(rows), horizon)),
            "time": _localise(places, places.times(rows).reshape(-1)),
            "step": np.tile(np.arange(1, horizon + 1), len(rows)),
        }
        columns |= {f"{name}_" if name in columns else name: column for name, column in own.items()}
        for target, name in enumerate(target_names):
            columns[f"{name}_true"] = truth[..., target].reshape(-1)
            columns[f"{name}_forecast"] = values[..., target, num_quantiles // 2].reshape(-1)
            for place, level in enumerate(quantiles):
                if place != num_quantiles // 2:
                    columns[f"{name}_q{100 * level:g}"] = values[..., target, place].reshape(-1)
        table = pd.DataFrame(columns)
        table.to_csv(path, index=False, float_format="%.12g", mode="a" if index else "w", header=not index)


def _localise(places: WindowPlaces, times: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    """Return stamps as in the user's table: with the offset of the zone, if there is one."""
    return pd.DatetimeIndex(times) if places.zone is None else pd.DatetimeIndex(times, tz="UTC").tz_convert(places.zone)
