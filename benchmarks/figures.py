"""Figures with their peers: as a line, as a row of the table in docs/benchmarks.md, and kept to compare with."""

import json
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from benchmarks.timing import Spread

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
PACKAGES = (
    "torch",
    "pytorch-lightning",
    "torchtext",
    "torchvision",
    "torchkeras",
    "keras",
    "jax",
    "simplejpeg",
    "pandas",
)


class Figure(NamedTuple):
    """One result: what was compared with what, how often, and its target."""

    question: str  # which file of benchmarks/ asks
    ours: str
    peer: str
    value: float
    low: float
    high: float
    unit: str  # of the value: "x faster", "x the time", "ms more a step", ...
    rounds: int
    target: str = ""  # such as ">= 3" or "<= 0.7"; empty where there is none
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Return whether the median reaches its target; None where there is no target."""
        if not self.target:
            return None
        sign, number = self.target.split()
        return self.value >= float(number) if sign == ">=" else self.value <= float(number)


def figure(question: str, ours: str, peer: str, value: Spread, unit: str, **rest: object) -> Figure:
    """Make a figure from a spread."""
    return Figure(question, ours, peer, *(round(number, 4) for number in value), unit, **rest)  # type: ignore[arg-type, call-arg]


def line(item: Figure) -> str:
    """Format a figure as a sentence."""
    met = {True: f"; target {item.target}: met", False: f"; target {item.target}: NOT met", None: ""}[item.met]
    note = f" ({item.note})" if item.note else ""
    return f"{item.ours}, against {item.peer}: {_value(item)} {item.unit}, {item.rounds} rounds{met}{note}"


def table(figures: Iterable[Figure]) -> str:
    """Format the table of docs/benchmarks.md, in Markdown."""
    rows = ["| file | LightFit | against | median (least to most) | target | rounds |", "| --- " * 6 + "|"]
    for item in figures:
        target = {True: item.target, False: f"{item.target}: **not met**", None: ""}[item.met]
        note = f"<br>{item.note}" if item.note else ""
        value = f"{_value(item)} {item.unit}{note}"
        rows.append(f"| {item.question} | {item.ours} | {item.peer} | {value} | {target} | {item.rounds} |")
    return "\n".join(rows).replace("<=", "≤").replace(">=", "≥")


def write_page(figures: Sequence[Figure], remarks: Sequence[str], path: Path = PAGE) -> None:
    """Write the table and the remarks between the marks in the page."""
    text = path.read_text(encoding="utf-8")
    block = "\n\n".join([f"{BEGIN}\n{table(figures)}", "\n".join(remarks)]) + f"\n{END}"
    path.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


def save(figures: Sequence[Figure], remarks: Sequence[str], path: Path = RESULTS) -> None:
    """Save the figures, to compare others with."""
    kept = {"remarks": list(remarks), "figures": [item._asdict() for item in figures]}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path = RESULTS) -> tuple[list[Figure], list[str]]:
    """Load the figures that were saved, and the remarks."""
    if not path.exists():
        return [], []
    kept = json.loads(path.read_text(encoding="utf-8"))
    return [Figure(**item) for item in kept["figures"]], kept["remarks"]


def moved(now: Sequence[Figure], before: Sequence[Figure]) -> list[str]:
    """Return a sentence for each figure whose spread lies wholly outside of the one it had."""
    known = {(item.question, item.ours, item.peer, item.unit): item for item in before}
    sentences = []
    for item in now:
        old = known.get((item.question, item.ours, item.peer, item.unit))
        if old is not None and (item.low > old.high or item.high < old.low):
            sentences.append(
                f"{item.question}: {item.ours}, against {item.peer}: {_value(item)} {item.unit}, before {_value(old)}"
            )
    return sentences


def where() -> str:
    """Describe the machine and the versions."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{_cores()} CPU cores ({platform.machine()}), Python {python}, {', '.join(versions)}."


def _cores() -> int:
    from lightfit.platforms import count_processors

    return count_processors()


def _value(item: Figure) -> str:
    return f"{_short(item.value)} ({_short(item.low)} to {_short(item.high)})"


def _short(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
