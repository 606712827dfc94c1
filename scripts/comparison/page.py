"""Runs as one page to sort, filter and compare, with their curves."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from lightfit.version import VERSION

from ..cli.score_format import format_score
from ..pages.render import render_page
from .found import FoundRun, is_higher_better
from .table import describe_settings, format_bytes, format_seconds, format_time

FOLDER = Path(__file__).resolve().parent
MOST_POINTS = 200  # of a curve on the page
FIRST_SHOWN = 4  # runs whose curves are shown at first, as many as there are colours


def render_runs(runs: list[FoundRun], folder: Path) -> str:
    """Render runs as an HTML page.

    Args:
        runs: the runs, the best of each task and data first.
        folder: the folder that they lie in.
    """
    best = {run.group: run.folder for run in reversed(runs) if run.score is not None}
    rows = [_describe(run, index, folder, is_best=best.get(run.group) == run.folder) for index, run in enumerate(runs)]
    settings = _list_varied(runs)
    return render_page(
        FOLDER,
        "runs.html",
        title="Runs",
        subtitle=f"{len(runs):,} below {folder}, {format_bytes(sum(run.size for run in runs))}",
        rows=rows,
        settings=settings,
        values=[[_show(run.settings.get(name)) for name in settings] for run in runs],
        metrics=sorted({name for row in rows for name in row["curves"]}, key=_curve_order),
        curves=json.dumps([row["curves"] for row in rows], allow_nan=False).replace("<", "\\u003c"),
        names=json.dumps([row["name"] for row in rows], ensure_ascii=False).replace("<", "\\u003c"),
        first_shown=FIRST_SHOWN,
        made=f"LightFit {VERSION}, {datetime.now():%Y-%m-%d %H:%M}",
    )


def _describe(run: FoundRun, index: int, folder: Path, *, is_best: bool) -> dict[str, Any]:
    name = run.folder.relative_to(folder).as_posix() if run.folder.is_relative_to(folder) else str(run.folder)
    interval = "" if run.interval is None else f"{format_score(run.interval[0])} to {format_score(run.interval[1])}"
    return {
        "index": index,
        "name": name if name != "." else run.folder.name,
        "best": is_best,
        "task": run.task,
        "data": run.data,
        "net": run.net,
        "metric": run.metric,
        "direction": "" if not run.metric else "more is better" if is_higher_better(run.metric) else "less is better",
        "score": "" if run.score is None else format_score(run.score),
        "score_value": "" if run.score is None else run.score,
        "interval": interval,
        "epochs": run.epochs,
        "time": format_seconds(run.seconds),
        "seconds": "" if run.seconds is None else run.seconds,
        "started": format_time(run.started),
        "started_value": "" if run.started is None else run.started.timestamp(),
        "commit": run.commit,
        "size": format_bytes(run.size),
        "bytes": run.size,
        "state": run.state,
        "settings": describe_settings(run),
        "command": run.command,
        "curves": find_curves(run),
    }


def find_curves(run: FoundRun) -> dict[str, list[list[float]]]:
    """Return the epochs and values of each column of a run's history, at most 200 points of each."""
    curves: dict[str, list[list[float]]] = {}
    history = run.history.select_dtypes("number")
    if "epoch" not in history:
        return curves
    for name in history.columns.drop("epoch"):
        own = history[["epoch", name]].replace([np.inf, -np.inf], np.nan).dropna()
        if len(own):
            places = np.unique(np.linspace(0, len(own) - 1, min(len(own), MOST_POINTS)).round().astype(int))
            curves[str(name)] = [[float(epoch), float(value)] for epoch, value in own.to_numpy()[places]]
    return curves


def _curve_order(name: str) -> tuple[bool, bool, str]:
    return not name.startswith("val_"), not name.endswith("loss"), name


def _list_varied(runs: list[FoundRun]) -> list[str]:
    """Return the settings in which runs differ, those that most of them set first."""
    counts = Counter(name for run in runs for name in run.settings)
    varied = [name for name in counts if len({_show(run.settings.get(name)) for run in runs}) > 1]
    return sorted(varied, key=lambda name: (-counts[name], name))


def _show(value: Any) -> str:
    return "" if value is None else str(value)
