"""LightFit installed from its wheel, beside a project that has folders of the same names as ours."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import make_reviews, write_csv

from lightfit.scripts.cli.presets import TASKS

ROOT = TASKS.parent
if not (ROOT / "pyproject.toml").is_file():
    pytest.skip("installed, not checked out", allow_module_level=True)
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
OF_THE_CLONE = {".git", ".venv", "runs", "data", "build"}  # at its top, and no part of the package
PROGRAM = """
import callbacks.early, scripts.prepare, tasks.todo, datamodules.own, lightning_modules.net
assert callbacks.early.OURS == scripts.prepare.OURS == tasks.todo.OURS == "the project's"
assert datamodules.own.OURS == lightning_modules.net.OURS == "the project's"

import lightfit

assert lightfit.__version__ and lightfit.__file__.startswith(SITE)
if not TRAINS:
    raise SystemExit

from lightfit import LightModel, TextClassifier, TextDataModule
from lightfit.callbacks import HistoryFiles
from lightfit.nets import TextCNN
import pytorch_lightning as pl

data = TextDataModule("reviews.csv", max_len=10, batch_size=16)
data.setup()
model = TextClassifier(TextCNN(data.codec.vocab_size, max_len=10), lr=0.01)
pl.Trainer(max_epochs=1, accelerator="cpu", callbacks=[HistoryFiles()], logger=False).fit(model, datamodule=data)
assert issubclass(TextClassifier, LightModel) and len(model.history) == 1
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    copy.mkdir()
    for path in ROOT.iterdir():
        if path.name in OF_THE_CLONE or path.name.endswith(("_cache", ".egg-info")):
            continue
        if path.is_dir():
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, copy)
    run = subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=copy, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def python(site: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([env.pop("first", ""), str(site)]).lstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": paths, **env},
    )


def test_the_wheel_adds_one_name(site: Path) -> None:
    found = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert found == {"lightfit"}
    assert (site / "lightfit" / "py.typed").is_file()
    assert (site / "lightfit" / "tasks" / "imdb.yaml").is_file()
    for name in ("serving/static/page.html", "serving/static/page.css", "serving/static/page.js", "pages/style.css"):
        assert (site / "lightfit" / "scripts" / name).is_file(), name
    assert (site / "lightfit" / "scripts" / "evaluation" / "report.html").is_file()
    pages = site / "lightfit" / "scripts" / "pages"
    assert {path.name for path in pages.iterdir()} >= {"macros.html", "style.css", "tables.js"}
    template = Path("scripts", "new_project", "project-template")
    here, there = (
        {path.relative_to(root) for path in (root / template).rglob("*") if path.is_file()}
        for root in (ROOT, site / "lightfit")
    )
    assert here == there
    assert template / "project" / ".ci" / "run.jinja" in there, "files that begin with a dot, too"
    (entries,) = site.glob("*.dist-info/entry_points.txt")
    assert entries.read_text().split() == ["[console_scripts]", "lightfit", "=", "lightfit.scripts.cli.command:main"]


@pytest.mark.parametrize("trains", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["", "trains"])
@pytest.mark.parametrize("packages", [True, False], ids=["with __init__", "without __init__"])
@pytest.mark.parametrize("first", ["", "."], ids=["", "PYTHONPATH=."])
def test_a_project_with_folders_of_our_names(
    packages: bool, first: str, trains: bool, site: Path, reviews: Path
) -> None:
    files = ("callbacks/early", "scripts/prepare", "tasks/todo", "datamodules/own", "lightning_modules/net")
    for name in files:
        path = Path(f"{name}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text('OURS = "the project\'s"\n')
        if packages:
            (path.parent / "__init__.py").touch()
    Path("program.py").write_text(f"SITE, TRAINS = {str(site)!r}, {trains}\n{PROGRAM}")
    run = python(site, "program.py", first=first)
    assert run.returncode == 0, run.stderr
    assert python(site, "-c", "import scripts.prepare", first=first).returncode == 0


FOLDERS = ("scripts", "callbacks", "datamodules", "tests", "tasks", "lightning_modules", "benchmarks", "docs")
USES = """
import importlib
for folder in {folders}:
    assert importlib.import_module(f"{{folder}}.own").OURS == folder
import lightfit
assert lightfit.__file__.startswith({site!r}) and lightfit.__version__
for folder in {folders}:
    assert importlib.import_module(f"{{folder}}.own").OURS == folder, "as before"
"""
ORDERS = {  # as isort and ruff order them: by the name of the package, whichever of the two comes first
    "lightning first": "from lightning.pytorch import Trainer\n\nfrom lightfit import LightModel\n",
    "lightfit first": "from lightfit import LightModel\nfrom lightning.pytorch import Trainer\n",
    "within a function": "def load():\n    from lightning.pytorch import Trainer\nfrom lightfit import LightModel\n",
}


def make_project(*, packages: bool, site: Path) -> None:
    """Make a project with a module `own` in a folder of each of our names, which uses LightFit too."""
    for folder in FOLDERS:
        Path(folder).mkdir()
        Path(folder, "own.py").write_text(f"OURS = {folder!r}\n")
        if packages:
            Path(folder, "__init__.py").touch()
    uses = USES.format(folders=FOLDERS, site=str(site))
    Path("scripts/train.py").write_text(uses)
    Path("conftest.py").write_text(
        "import pytest\nfrom scripts.own import OURS\n@pytest.fixture\ndef ours():\n    return OURS\n"
    )
    body = uses.replace("\n", "\n    ")
    Path("tests/test_own.py").write_text(f"def test_own(ours):\n    assert ours == 'scripts'{body}\n")


@pytest.mark.parametrize("packages", [True, False], ids=["with __init__", "without __init__"])
def test_a_module_of_a_project_runs_beside_lightfit(packages: bool, site: Path) -> None:
    make_project(packages=packages, site=site)
    for args in (("-m", "scripts.train"), ("-c", "import scripts.train")):
        run = python(site, *args)
        assert run.returncode == 0, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("packages", [True, False], ids=["with __init__", "without __init__"])
@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_the_tests_of_a_project_run_beside_lightfit(mode: str, packages: bool, site: Path) -> None:
    make_project(packages=packages, site=site)
    options = ("-q", "-p", "no:cacheprovider", f"--import-mode={mode}", "--rootdir", ".")
    run = python(site, "-m", "pytest", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout


@pytest.mark.slow
def test_the_order_of_imports_is_free(site: Path) -> None:
    for name, imports in ORDERS.items():
        Path("train.py").write_text(imports)
        check = "import lightning.pytorch as pl, train; assert issubclass(train.LightModel, pl.LightningModule)"
        run = python(site, "-c", check)
        assert run.returncode == 0, f"{name}: {run.stderr}"


@pytest.mark.slow
def test_one_command_with_verbs(site: Path) -> None:
    command = "import sys; sys.argv[0] = 'lightfit'; from lightfit.scripts.cli.command import main; sys.exit(main())"
    write_csv(Path("reviews.csv"), make_reviews())
    Path("mine.py").write_text("def split(text): return text.split()\n")
    args = [
        "--data.source",
        "reviews.csv",
        "--data.tokenizer",
        "mine.split",
        "--data.max_ngrams",
        "1000",
        "--data.min_steps",
        "1",
        "--trainer.max_epochs",
        "3",
    ]
    run = python(site, "-c", command, "fit", "--task", "text", "--gpus", "0", "--quiet", *args)
    assert run.returncode == 0, run.stderr
    (line,) = (line.split() for line in run.stdout.splitlines() if line.startswith("  lightfit predict "))
    assert line[-2:] == ["--trust", "mine"]
    again = python(site, "-c", command, "predict", line[2], "a good film", "--trust", "mine", "--gpus", "0")
    assert again.returncode == 0, again.stderr
    assert "pos" in again.stdout
    refused = python(site, "-c", command, "predict", line[2], "a good film", "--gpus", "0")
    assert refused.returncode == 1
    assert "nothing was run" in refused.stderr


def test_the_command_lists_its_verbs(site: Path) -> None:
    command = "import sys; sys.argv[0] = 'lightfit'; from lightfit.scripts.cli.command import main; sys.exit(main())"
    other = python(site, "-c", command, "predit", "x")
    assert (other.returncode, other.stderr) == (
        2,
        "error: unknown verb 'predit'; the nearest is 'predict'; expected one of check, fit, evaluate, predict, "
        "export, serve, tune, runs, features, new\n",
    )
    assert "lightfit VERB" in python(site, "-c", command).stdout
    assert python(site, "-c", command, "--version").stdout.startswith("lightfit 0.")
    assert "imdb_cnn" in python(site, "-c", command, "fit", "--list").stdout


CLONE = """
import {first}
import lightfit.lightning_modules, lightfit.datamodules
from lightning_modules import LightModel
from lightning_modules.nets.text_cnn import TextCNN
from datamodules import TextDataModule
from callbacks import HistoryFiles
assert LightModel is lightfit.LightModel
assert TextDataModule is lightfit.datamodules.TextDataModule
assert HistoryFiles is lightfit.callbacks.HistoryFiles
assert TextCNN is lightfit.nets.TextCNN
import lightning_modules.epoch_log
assert lightning_modules.epoch_log is lightfit.lightning_modules.epoch_log
"""


@pytest.mark.parametrize("first", ["lightning_modules", pytest.param("lightfit", marks=pytest.mark.slow)])
def test_in_a_clone_the_folders_are_the_same_packages(first: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", CLONE.format(first=first)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("packages", [True, False])
def test_a_folder_of_the_project_wins_over_the_clones(packages: bool) -> None:
    Path("callbacks").mkdir()
    Path("callbacks/early.py").write_text("OURS = 1\n")
    if packages:
        Path("callbacks/__init__.py").touch()
    program = "import lightfit, callbacks.early; assert callbacks.early.OURS"
    paths = os.pathsep.join([str(Path.cwd()), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert run.returncode == 0, run.stderr
