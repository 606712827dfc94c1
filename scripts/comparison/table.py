"""Runs as a table in the shell."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..cli.command import shorten_path
from ..cli.score_format import format_score
from .found import FoundRun

DATA_WIDTH = 28


def tabulate(runs: list[FoundRun]) -> pd.DataFrame:
    """Return a row for each run, in order; numbers as they are."""
    return pd.DataFrame(
        {
            "run": [str(shorten_path(run.folder.absolute())) for run in runs],
            "task": [run.task for run in runs],
            "data": [run.data for run in runs],
            "net": [run.net for run in runs],
            "state": [run.state for run in runs],
            "metric": [run.metric for run in runs],
            "score": [run.score for run in runs],
            "epochs": [run.epochs for run in runs],
            "seconds": [run.seconds for run in runs],
            "started": [None if run.started is None else run.started.isoformat() for run in runs],
            "commit": [run.commit for run in runs],
            "size": [run.size for run in runs],
            "settings": [describe_settings(run) for run in runs],
        }
    )


def print_table(runs: list[FoundRun]) -> None:
    """Print a line for each run, a block for each task and data."""
    rows: list[dict[str, str]] = []
    for run in runs:
        rows.append(
            {
                "run": str(shorten_path(run.folder.absolute())),
                "data": _shorten(run.data),
                "net": run.net,
                "score": describe_score(run),
                "time": format_seconds(run.seconds),
                "started": format_time(run.started),
                "commit": run.commit,
                "size": format_bytes(run.size),
                "state": run.state,
                "settings": describe_settings(run),
            }
        )
    table = pd.DataFrame(rows)
    kept = [name for name in table if name in ("run", "state") or table[name].astype(bool).any()]
    print(table[kept].to_string(index=False, justify="left", max_colwidth=60))


def describe_score(run: FoundRun) -> str:
    """Return a score with its metric, such as `test accuracy 0.9312`; nothing without one."""
    return "" if run.score is None else f"{run.metric} {format_score(run.score)}"


def describe_settings(run: FoundRun) -> str:
    """Return what the command line set, but for the data, in one line."""
    shown = {key: value for key, value in run.settings.items() if str(value) != run.data}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def format_seconds(seconds: float | None) -> str:
    """Return a duration such as `42 s`, `3.5 min` or `2.1 h`."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def format_bytes(size: int) -> str:
    """Return a size such as `12 kB` or `3.4 MB`."""
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit in ("B", "kB") else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def format_time(time: datetime | None) -> str:
    """Return a time of this machine's zone, to the minute."""
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"


def _shorten(data: str) -> str:
    name = data if len(data) <= DATA_WIDTH else Path(data).name
    return name if len(name) <= DATA_WIDTH else f"{name[: DATA_WIDTH - 1]}…"


def total_size(runs: list[FoundRun]) -> Any:
    """Return the size of all files of runs, formatted."""
    return format_bytes(sum(run.size for run in runs))
