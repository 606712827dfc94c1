"""The architecture, as the imports and the sizes of the code show it."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import callbacks
import datamodules
import lightning_modules
from scripts.presets import TASKS

ROOT = TASKS.parent
ROOMS = ("lightning_modules", "datamodules", "callbacks", "scripts")
TOP_LEVEL = {"lightfit", "lightning_modules", "datamodules", "callbacks", "scripts", "tests", "tasks", "benchmarks"} | {
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "CHANGELOG.md",
}
FORBIDDEN = {
    "lightning_modules": {"datamodules", "callbacks", "scripts", "tests"},
    "datamodules": {"lightning_modules", "callbacks", "scripts", "tests"},
    "callbacks": {"lightning_modules", "datamodules", "scripts", "tests"},
    "scripts": {"tests"},
}
PURE = (
    *("classification", "forecasting", "optimizers"),
    *("rows", "tables", "vocabulary", "word_numbers", "splits", "corpus", "cache", "download", "sampler", "jpeg"),
    *(
        "series_cells",
        "series_gaps",
        "series_inputs",
        "series_naive",
        "series_parts",
        "series_steps",
        "series_tables",
        "series_windows",
    ),
)
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
FILE_LINES, FUNCTION_LINES = 200, 40


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_along_the_arrows(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert {name.partition(".")[0] for name in imported(path)} & FORBIDDEN[room] == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_files_know_no_lightning(path: Path) -> None:
    if path.stem in PURE or path.parent.name == "nets":
        lightning = ("pytorch_lightning", "lightning.", "lightning_fabric")
        assert not [name for name in imported(path) if name.startswith(lightning) or name.endswith(".namespace")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_two_files_touch_the_network(path: Path) -> None:
    network = {"urllib", "http", "socket", "requests", "httpx"} & {name.partition(".")[0] for name in imported(path)}
    downloads, serves = ROOT / "datamodules" / "download.py", ROOT / "scripts" / "serve.py"
    assert not network or path in (downloads, serves)


@pytest.mark.parametrize("path", [*FILES, *BENCHMARKS], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES, node.name


@pytest.mark.parametrize("room", [lightning_modules, datamodules, callbacks])
def test_constructors_are_keyword_only_after_the_first(room: object) -> None:
    for name in room.__all__:  # type: ignore[attr-defined]
        item = getattr(room, name)
        if isinstance(item, type) and item.__init__ is not object.__init__ and "__init__" in vars(item):
            parameters = list(inspect.signature(item).parameters.values())
            assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters[1:]), name
            assert not [parameter for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD], name


def test_top_level_is_the_agreed_one() -> None:
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("installed, not checked out")
    found = {
        path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not path.name.endswith(".egg-info")
    }
    assert found - TOP_LEVEL - {"data", "runs", "build"} == set()


def test_files_that_rooms_share_are_the_same() -> None:
    assert len({(ROOT / room / "namespace.py").read_bytes() for room in ROOMS[:3]}) == 1
