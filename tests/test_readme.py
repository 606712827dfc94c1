"""The statements of the README hold."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from lightfit.scripts.cli.presets import TASKS, find_task_names
from lightfit.scripts.tuning.space import read_space

README = TASKS.parent / "README.md"
if not README.is_file():
    pytest.skip("installed, not checked out", allow_module_level=True)
TEXT = README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[str]:
    return [line.split(" #")[0].strip() for block in blocks("bash") for line in block.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("program", blocks("python"))
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_python_runs(
    program: str, reviews: Path, images: Path, series: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.rename("photos")
    names: dict[str, Any] = {}
    exec(compile(program, str(README), "exec"), names)  # a program of the README
    assert len(names["model"].history) == 3


def test_presets_load() -> None:
    space, preset = (yaml.safe_load(block) for block in blocks("yaml"))
    assert set(preset) == {"model", "data", "trainer"}
    Path("space.yaml").write_text(yaml.safe_dump(space))
    assert set(read_space(Path("space.yaml"))) == {"model.lr", "data.batch_size"}


def test_commands_name_scripts_and_tasks_that_exist() -> None:
    fits = [command for command in commands() if "scripts/fit.py" in command]
    assert len(fits) >= 5
    for command in commands():
        for script in re.findall(r"scripts/\w+\.py", command):
            assert (TASKS.parent / script).is_file()
    for command in fits:
        words = shlex.split(command)
        if "--task" in words and not words[words.index("--task") + 1].startswith("runs/"):
            assert words[words.index("--task") + 1] in find_task_names()


def test_first_two_commands_set_everything_up() -> None:
    train, test = commands()[:2]
    assert train.endswith("scripts/fit.py --task imdb")
    assert test.endswith("-m pytest")
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install") for command in (train, test))


def test_every_promise_names_its_test() -> None:
    promises = TEXT.split("## What LightFit guarantees")[1].split("\n## ")[0]
    tests = "".join(path.read_text(encoding="utf-8") for path in (TASKS.parent / "tests").rglob("test_*.py"))
    rows = [line for line in promises.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row)
        assert names, row
        assert [name for name in names if f"def {name}(" not in tests] == []


@pytest.mark.slow
def test_ray_train_runs(reviews: Path) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed: pip install 'lightfit[ray]'")
    (program,) = blocks("py")
    Path("train_ray.py").write_text(program)
    paths = {"PYTHONPATH": str(TASKS.parent)}
    run = subprocess.run(
        [sys.executable, "train_ray.py"], capture_output=True, text=True, timeout=300, env={**os.environ, **paths}
    )
    assert run.returncode == 0, run.stderr
    assert "val_accuracy" in run.stdout + run.stderr


def test_the_lock_file_has_what_is_needed_with_hashes() -> None:
    lock = (TASKS.parent / "requirements.lock").read_text(encoding="utf-8")
    locked: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE):
        locked.setdefault(name.lower(), set()).add(version)
    project = tomllib.loads((TASKS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in map(Requirement, project["dependencies"]):
        versions = locked[requirement.name.lower()]
        assert all(requirement.specifier.contains(version) for version in versions), requirement
    entries = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock


@pytest.mark.parametrize("task", find_task_names())
def test_table_has_the_results_of_the_presets(task: str) -> None:
    result = (TASKS / f"{task}.yaml").read_text(encoding="utf-8").splitlines()[3]
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{task}` |"))
    assert [score for score in re.findall(r"0\.\d{3,4}", result) if score not in row] == []


def test_nothing_is_promised_that_is_not_on_the_command_line() -> None:
    help_text = (TASKS.parent / "scripts" / "cli" / "help.py").read_text(encoding="utf-8")
    own = set(re.findall(r"`(--\w+)", TEXT.split("Training options")[1].split("A run writes")[0]))
    flags = {"--task", "--gpus", "--list", "--threads", "--quiet", "--debug"} | own
    assert {flag for flag in flags if flag not in help_text} == set()


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/custom_data.md"])
def test_links_lead_to_files_and_headings(page: str) -> None:
    path = TASKS.parent / page
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8"))
    local = [(file, heading) for file, heading in links if not file.startswith("http")]
    assert local
    for file, heading in local:
        linked = path.parent / file if file else path
        assert linked.exists(), file
        if heading:
            titles = re.findall(r"^#+ (.*)", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [title.lower().replace(" ", "-") for title in titles], heading
