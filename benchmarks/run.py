"""Measure everything: `python benchmarks/run.py` (20 minutes), `--only loop text`, `--check`.

Prints a line for each figure, saves them in benchmarks/results.json and writes the table of docs/benchmarks.md. With
`--check` it writes nothing, compares with what was saved, and fails where a figure is worse or better by more than both
spreads: ratios are compared, never seconds.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

from benchmarks.figures import ROOT, Figure, line, load, moved, save, where, write_page

PEERS = ("torchtext", "keras", "jax", "accelerate", "fastapi", "duckdb", "polars")
QUESTIONS = (
    *("loop", "text", "tables", "text_cnn", "images", "features", "series", "forecasts"),
    *("commands", "threads", "growth", "serving", "gpu"),
)


def main(args: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS, help="these questions alone")
    parser.add_argument("--check", action="store_true", help="compare with what was saved")
    parser.add_argument("--measure", choices=QUESTIONS, help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args(args)
    if options.measure:
        for item in importlib.import_module(f"benchmarks.{options.measure}").measure():
            print(item if isinstance(item, str) else line(item), flush=True)
            print("found", json.dumps(item), flush=True)
        return 0
    if missing := [package for package in PEERS if importlib.util.find_spec(package) is None]:
        parser.error(f"without {', '.join(missing)} there is nothing to compare with: pip install -e '.[benchmarks]'")
    before, _ = load()
    now, failed = [], []
    for question in options.only:
        found = ask(question)
        if found is None:
            failed.append(question)
            continue
        now += [item for item in found if isinstance(item, Figure)]
        if not options.check:
            keep(question, found)
    sentences = moved(now, before) if options.check else []
    print("\n".join(sentences) or f"{len(now)} figures{', none has moved beyond its spread' if options.check else ''}")
    if failed:
        print(f"not measured, as they failed: {', '.join(failed)}", file=sys.stderr)
    return bool(sentences or failed)


def keep(question: str, found: Sequence[Figure | str]) -> None:
    """Save the figures of a question in place of its former ones."""
    figures, remarks = load()
    mine = [item for item in found if isinstance(item, Figure)]
    figures = [item for item in figures if item.question != question] + mine
    figures.sort(key=lambda item: QUESTIONS.index(item.question))
    others = [item for item in remarks[1:] if not item.startswith(f"{question}:")]
    remarks = [where(), *others, *(item for item in found if isinstance(item, str))]
    save(figures, remarks)
    write_page(figures, remarks)


def ask(question: str) -> list[Figure | str] | None:
    """Return the figures and remarks of a question, measured in its own process and folder; None if that failed."""
    found: list[Figure | str] = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--measure", question]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for said in process.stdout:
            if said.startswith("found "):
                item = json.loads(said.removeprefix("found "))
                found.append(item if isinstance(item, str) else Figure(*item))
            else:
                print(said, end="", flush=True)
    return None if process.wait() else found


if __name__ == "__main__":
    sys.exit(main())
