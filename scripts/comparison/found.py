"""The runs below a folder: what each was, how far it came, and its scores."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from filelock import FileLock, Timeout

from ..training.run_folder import LOCK

RECORD = "run.json"  # as written by training/record.py, which this file does not import as that brings Lightning
FINISHED, RUNNING, STOPPED = "finished", "running", "stopped"
SPLITS = ("test", "val")  # the first that there is gives a run's score
# Metrics of which more is better; of all others, errors and losses, less is.
HIGHER_IS_BETTER = ("accuracy", "auroc", "f1", "mAP", "precision", "recall", "r2", "coverage")
BEST = re.compile(r"best-epoch=\d+-(?P<name>\w+)=(?P<value>-?[\d.]+(?:e[+-]?\d+)?)\.ckpt")


class FoundRun(NamedTuple):
    """A run, as its folder tells.

    Args:
        folder: the run folder.
        task: name of the task.
        state: finished; running; or stopped, before its end.
        started: when it began; None where nothing tells.
        data: source of the data; empty where it is unknown.
        net: class of the net; empty where it is unknown.
        metric: the split and name of the score, such as `test accuracy`; empty without one.
        score: the score; None without one.
        interval: 95 % interval of the score; None without one.
        seconds: duration of the training; None where it is unknown.
        epochs: number of epochs.
        commit: commit of the git repository in whose folder it was started, with `+` where files differed.
        settings: what its command line set, by dotted key.
        command: the command; empty where it is unknown.
        size: bytes of all files.
        history: a row for each epoch; empty where there is none.
    """

    folder: Path
    task: str
    state: str
    started: datetime | None
    data: str
    net: str
    metric: str
    score: float | None
    interval: tuple[float, float] | None
    seconds: float | None
    epochs: int
    commit: str
    settings: dict[str, Any]
    command: str
    size: int
    history: pd.DataFrame

    @property
    def group(self) -> tuple[str, str, str]:
        """Return what runs must share so that their scores can be compared: task, data and metric."""
        return self.task, self.data, self.metric


def is_higher_better(metric: str) -> bool:
    """Return whether more of a metric is better."""
    return any(name in metric for name in HIGHER_IS_BETTER)


def rank(run: FoundRun) -> tuple[Any, ...]:
    """Return a key to sort runs by: group by group, in each the best first, those without a score last."""
    if run.score is None:
        return (*run.group[:2], "~", 0.0)
    return (*run.group, -run.score if is_higher_better(run.metric) else run.score)


def find_runs(folder: Path) -> list[FoundRun]:
    """Return the runs below a folder, the best of each task and data first.

    Args:
        folder: such as `runs`, the folder of a task, or a run.
    """
    return sorted((read_run(path) for path in _list_folders(folder)), key=rank)


def _list_folders(folder: Path) -> Iterator[Path]:
    if _is_run(folder):
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from _list_folders(path)


def _is_run(folder: Path) -> bool:
    return (folder / RECORD).is_file() or ((folder / "config.yaml").is_file() and (folder / LOCK).exists())


def read_run(folder: Path) -> FoundRun:
    """Read a run from its folder; older ones, without `run.json`, from its other files."""
    held = _read_record(folder)
    history = _read_history(folder)
    metric, score, interval = _find_score(held, folder)
    started = held.get("started")
    return FoundRun(
        folder=folder,
        task=str(held.get("task") or folder.parent.name),
        state=_find_state(folder, held),
        started=_read_time(started, folder),
        data=str(held.get("data") or ""),
        net=str(held.get("net") or ""),
        metric=metric,
        score=score,
        interval=interval,
        seconds=held.get("seconds"),
        epochs=len(history),
        commit=str(held.get("commit") or ""),
        settings=held.get("settings") or {},
        command=str(held.get("command") or ""),
        size=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()),
        history=history,
    )


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        held = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _read_history(folder: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(folder / "history.csv")
    except (OSError, ValueError):  # pandas' errors are ValueErrors
        return pd.DataFrame()


def _read_time(text: Any, folder: Path) -> datetime | None:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(text)
    with suppress(OSError):
        return datetime.fromtimestamp((folder / "config.yaml").stat().st_mtime, timezone.utc)
    return None


def _find_score(held: dict[str, Any], folder: Path) -> tuple[str, float | None, tuple[float, float] | None]:
    scores = held.get("scores") or {}
    for split in SPLITS:
        own = scores.get(split) or {}
        name, metrics = own.get("headline"), own.get("metrics") or {}
        name = name or next(iter(metrics), None)
        if name and metrics.get(name) is not None:
            low, high = own.get("interval") or (None, None)
            return f"{split} {name}", float(metrics[name]), None if low is None or high is None else (low, high)
    for path in sorted(folder.glob("checkpoints/best-*.ckpt")):
        if (found := BEST.fullmatch(path.name)) is not None:
            return found["name"].replace("_", " ", 1), float(found["value"]), None
    return "", None, None


def _find_state(folder: Path, held: dict[str, Any]) -> str:
    if held.get("finished") or (not held and (folder / "card.md").is_file()):
        return FINISHED
    lock = folder / LOCK  # locked by the process that trains, as long as it lives
    if not lock.exists():
        return STOPPED
    try:
        FileLock(lock, timeout=0).acquire().lock.release()
    except Timeout:
        return RUNNING
    except OSError:
        return STOPPED
    return STOPPED
