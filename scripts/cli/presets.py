"""Tasks: the YAML files of `tasks/`; this module imports nothing slow."""

import difflib
from pathlib import Path

from lightfit.errors import UsageError

TASKS = Path(__file__).resolve().parents[2] / "tasks"


def find_task_names() -> list[str]:
    """Return the names of all tasks, by listing the folder."""
    return sorted(path.stem for path in TASKS.glob("*.yaml"))


def list_tasks() -> str:
    """Return one line per task: its name and the first line of its preset."""
    width = max(map(len, find_task_names()))
    return "\n".join(f"{name:{width}}  {_read_title(TASKS / f'{name}.yaml')}" for name in find_task_names())


def preset_path(task: str) -> Path:
    """Return the path of a preset, given by the name of a task or by the path of a custom YAML file.

    Raises:
        UsageError: there is no such task or file; the message names the nearest tasks.
    """
    if task in find_task_names():
        return TASKS / f"{task}.yaml"
    if Path(task).suffix in (".yaml", ".yml"):
        if Path(task).is_file():
            return Path(task)
        raise UsageError(f"no preset at '{task}' (relative to '{Path.cwd()}')")
    near = difflib.get_close_matches(task, find_task_names(), n=3, cutoff=0.4)
    raise UsageError(
        f"unknown task '{task}'; "
        + (f"the nearest: {', '.join(near)}; " if near else "")
        + f"all tasks: {', '.join(find_task_names())}. A custom preset is given by its path, ending in .yaml"
    )


def _read_title(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("# What:").strip()
