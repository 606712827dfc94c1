"""Tasks: the YAML files of `tasks/`; nothing heavy is imported here."""

import difflib
from pathlib import Path

from lightfit.errors import UsageError

TASKS = Path(__file__).resolve().parents[2] / "tasks"


def task_names() -> list[str]:
    """The names of all tasks: a listing of the folder."""
    return sorted(path.stem for path in TASKS.glob("*.yaml"))


def list_tasks() -> str:
    """A line for each task: its name and the first line of its preset."""
    width = max(map(len, task_names()))
    return "\n".join(f"{name:{width}}  {_what(TASKS / f'{name}.yaml')}" for name in task_names())


def preset_path(task: str) -> Path:
    """The YAML of a task by its name, or by a path of one's own.

    Raises:
        UsageError: there is neither; the nearest names are given.
    """
    if task in task_names():
        return TASKS / f"{task}.yaml"
    if Path(task).suffix in (".yaml", ".yml"):
        if Path(task).is_file():
            return Path(task)
        raise UsageError(f"no preset at '{task}' (looked from '{Path.cwd()}')")
    near = difflib.get_close_matches(task, task_names(), n=3, cutoff=0.4)
    raise UsageError(
        f"unknown task '{task}'; "
        + (f"the nearest: {', '.join(near)}; " if near else "")
        + f"all tasks: {', '.join(task_names())}. A preset of your own is given by its path, ending in .yaml"
    )


def _what(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("# What:").strip()
