"""The architecture, checked on imports and folders."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightfit import callbacks, datamodules, lightning_modules
from lightfit.scripts.cli.command import VERBS
from lightfit.scripts.cli.presets import TASKS

tomllib = pytest.importorskip("tomllib")  # since Python 3.11
ROOT = TASKS.parent
ROOMS = ("lightning_modules", "datamodules", "callbacks")
FOLDERS = ("lightfit", *ROOMS, "scripts")
TOP_LEVEL = {*FOLDERS, "tests", "tasks", "benchmarks", "docs"} | {
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "README.zh-CN.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "SECURITY.md",
    "mkdocs.yml",
}
COMMANDS = {f"{verb}.py" for verb in VERBS} | {"__init__.py"}
# Folders of the ground floor that lie above the rooms: what people have typed for other libraries, on our own classes.
ABOVE = ("lightfit/torchkeras", "lightfit/torchtext")
# Files that import Lightning; no other file of the nets, the data and the ground floor does.
KNOW_LIGHTNING = {
    "lightfit/lightning.py",
    "lightning_modules/epoch_log.py",
    "lightning_modules/lightning_internals.py",
    "datamodules/base.py",
    *(
        f"lightfit/torchkeras/{name}.py"
        for name in (
            *("arguments", "best_weights", "epoch_prints", "keras_model", "placement", "spelling", "trainer"),
            "pl/__init__",
        )
    ),
}
# What imports by a name that it is given: the one place for what files name, Lightning's choice, and the lazy names.
IMPORT_BY_NAME = {"lightfit/__init__.py", "lightfit/lazy.py", "lightfit/trust.py", "lightfit/lightning.py"}
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
IN_ROOMS = [path for path in FILES if path.relative_to(ROOT).parts[0] in ("lightfit", *ROOMS)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports, those of LightFit as within `lightfit`."""
    names = path.relative_to(ROOT).with_suffix("").parts
    package = [*([] if names[0] == "lightfit" else ["lightfit"]), *names][:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if module == "lightfit")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_the_arrows(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    names = {name for name in imported(path) if name.split(".")[0] in (*FOLDERS, "tests", "benchmarks", "tasks")}
    assert not [name for name in names if name.split(".")[0] != "lightfit"], "through lightfit., or relative"
    reached = {name.split(".")[1] for name in names if "." in name and name.split(".")[1] in (*ROOMS, "scripts")}
    if name_of(path) in ("lightfit/__init__.py", "lightfit/nets.py"):  # the public names
        return
    above = {name.replace(".", "/") for name in names if name.replace(".", "/").startswith(ABOVE)}
    if name_of(path).startswith(ABOVE):
        assert reached <= set(ROOMS)
        assert {item.split("/")[1] for item in above} <= {name_of(path).split("/")[1]}
        return
    assert not above, "only the public names lead there"
    assert reached <= {"lightfit": set(), "scripts": {*ROOMS, "scripts"}}.get(folder, {folder})


@pytest.mark.parametrize("path", IN_ROOMS, ids=name_of)
def test_only_a_few_files_import_lightning(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] == "callbacks":
        return  # callbacks are Lightning's
    knows = [
        name for name in imported(path) if name.startswith(("pytorch_lightning", "lightning.", "lightning_fabric"))
    ]
    knows += [name for name in imported(path) if name == "lightfit.lightning"]
    assert bool(knows) == (name_of(path) in KNOW_LIGHTNING) or name_of(path) == "lightfit/__init__.py"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_one_place_imports_by_name(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    by_name = [word for word in ("import_module(", "__import__(", "pydoc.locate", "exec(", "eval(") if word in source]
    by_name = [word for word in by_name if word not in ("exec(", "eval(") or f" {word}" in source]
    allowed = name_of(path) in IMPORT_BY_NAME or path.relative_to(ROOT).parts[0] == "scripts"
    assert not by_name or allowed, by_name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_downloads_and_the_server_touch_the_network(path: Path) -> None:
    network = {"urllib", "http", "socket", "requests", "httpx"} & {name.partition(".")[0] for name in imported(path)}
    # The server's processes are handed the socket that serve.py has opened.
    server = ("scripts/serve.py", "scripts/serving/server.py", "scripts/serving/workers.py")
    assert not network or name_of(path) in ("lightfit/download.py", *server)


@pytest.mark.parametrize("path", sorted({path.parent for path in FILES}), ids=name_of)
def test_every_folder_says_what_it_is_and_is_installed(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse((path / "__init__.py").read_text(encoding="utf-8")))
    assert docstring
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("installed, not checked out")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    name = name_of(path).replace("/", ".")
    assert (name if name.startswith("lightfit") else f"lightfit.{name}") in settings["packages"]


def test_scripts_holds_the_commands_and_nothing_else() -> None:
    assert {path.name for path in (ROOT / "scripts").glob("*.py")} == COMMANDS


@pytest.mark.parametrize("room", [lightning_modules, datamodules, callbacks])
def test_constructors_are_keyword_only_after_the_first(room: object) -> None:
    for name in room.__all__:  # type: ignore[attr-defined]
        item = getattr(room, name)
        if isinstance(item, type) and item.__init__ is not object.__init__ and "__init__" in vars(item):
            parameters = list(inspect.signature(item.__init__).parameters.values())[1:]
            allowed = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
            assert all(parameter.kind in allowed for parameter in parameters[1:]), name
            variable = [parameter.name for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD]
            assert variable == (["nets"] if name == "LightModel" else []), name


def test_top_level_is_the_agreed_one() -> None:
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("installed, not checked out")
    found = {
        path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not path.name.endswith(".egg-info")
    }
    assert found - TOP_LEVEL - {"data", "runs", "build"} == set()
