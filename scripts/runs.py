"""List runs, compare them on a page, or delete all but the best: `python scripts/runs.py`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import NotFoundError, UsageError
from lightfit.scripts.cli.command import format_command, program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.outputs import check_output, output_file

if TYPE_CHECKING:
    from lightfit.scripts.comparison.found import FoundRun

DEFAULT = Path("runs")
PRUNE = "prune"


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if args is None else args)
    if words[:1] == [PRUNE] and not Path(PRUNE).is_dir():
        return _prune(words[1:])
    parser = argparse.ArgumentParser(
        program("runs"),
        description="List the runs below a folder, the best of each task and data first. "
        f"`{program('runs')} {PRUNE} --help` tells how to delete the others.",
        allow_abbrev=False,
    )
    _add_folder(parser)
    parser.add_argument("--sort", choices=("score", "started", "seconds", "size"), default="score", help="order")
    parser.add_argument("--task", help="only the runs of this task")
    parser.add_argument(
        "-o", "--output", type=Path, help="write a page to sort and compare them (.html), or a table (.csv)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(words)
    return exit_code(lambda: list_runs(options), debug=options.debug)


def _prune(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        f"{program('runs')} {PRUNE}",
        description="Delete the folders of all runs but the best of each task, data and metric. Asks first.",
        allow_abbrev=False,
    )
    _add_folder(parser)
    parser.add_argument("--keep", type=int, default=3, help="number of runs to keep of each (default: 3)")
    parser.add_argument("--stopped", action="store_true", help="delete runs that stopped before their end too")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(words)
    return exit_code(lambda: prune(options), debug=options.debug)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", type=Path, default=DEFAULT, help="folder of runs, of one task, or a run (default: runs)"
    )


def read_runs(folder: Path) -> "list[FoundRun]":
    """Return the runs below a folder.

    Raises:
        UsageError: the folder does not exist.
        NotFoundError: it holds no runs.
    """
    from lightfit.scripts.comparison.found import find_runs

    if not folder.is_dir():
        raise UsageError(f"no folder '{folder}': expected one with runs of `{format_command('fit')}`")
    runs = find_runs(folder)
    if not runs:
        raise NotFoundError(f"'{folder}' holds no runs: expected folders that `{format_command('fit')}` wrote")
    return runs


def list_runs(options: argparse.Namespace) -> None:
    """Print the runs, or write them as a page or a table.

    Raises:
        UsageError: the arguments are invalid.
        NotFoundError: there are no runs, or none of the task.
    """
    if options.output is not None:
        check_output(options.output, overwrite=options.overwrite, suffixes=(".html", ".csv"))
    from lightfit.scripts.comparison.table import print_table, tabulate, total_size

    runs = read_runs(options.folder)
    tasks = sorted({run.task for run in runs})
    if options.task is not None:
        runs = [run for run in runs if run.task == options.task]
        if not runs:
            raise NotFoundError(f"no run of the task '{options.task}': expected one of {', '.join(tasks)}")
    if options.sort != "score":  # the newest, the longest and the largest first
        runs.sort(key=lambda run: _sort_value(getattr(run, options.sort)), reverse=True)
    if options.output is None:
        print_table(runs)
        print(f"{len(runs)} run{'s' if len(runs) != 1 else ''}, {total_size(runs)}")
        return
    with output_file(options.output) as path:
        if options.output.suffix.lower() == ".csv":
            tabulate(runs).to_csv(path, index=False)
        else:
            from lightfit.scripts.comparison.page import render_runs

            path.write_text(render_runs(runs, options.folder), encoding="utf-8")
    print(f"{len(runs)} run{'s' if len(runs) != 1 else ''} in {options.output}")


def _sort_value(value: object) -> float:
    return 0.0 if value is None else value.timestamp() if hasattr(value, "timestamp") else float(value)  # type: ignore[arg-type]


def prune(options: argparse.Namespace) -> None:
    """Delete all runs but the best, after asking.

    Raises:
        UsageError: the arguments are invalid, or nobody can be asked.
    """
    from lightfit.scripts.comparison.pruning import choose_runs, delete
    from lightfit.scripts.comparison.table import print_table, total_size

    chosen = choose_runs(read_runs(options.folder), keep=options.keep, stopped=options.stopped)
    for runs, why in (
        (chosen.running, "a process is training in them"),
        (chosen.unscored, "they have no score, or stopped before their end; --stopped deletes the latter"),
    ):
        if runs:
            print(f"kept, as {why}: {', '.join(str(run.folder) for run in runs)}")
    if not chosen.deleted:
        print(f"nothing to delete: no task and data has more than {options.keep} finished runs")
        return
    print_table(chosen.deleted)
    what = f"{len(chosen.deleted)} run{'s' if len(chosen.deleted) != 1 else ''}, {total_size(chosen.deleted)}"
    if not options.yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{what} would be deleted, and nobody can be asked: add --yes to delete them")
        if input(f"delete {what}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was deleted")
            return
    for run in chosen.deleted:
        delete(run)
    print(f"deleted {what}")


if __name__ == "__main__":
    sys.exit(main())
