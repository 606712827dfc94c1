"""The command `new`: names, what is written, updates of the template, and projects that train."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import write_csv
from test_predict import Fit

from lightfit import LightModel, Regressor
from lightfit.errors import UsageError
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.new import DOMAINS, LICENCES, main
from lightfit.scripts.new_project import project
from lightfit.scripts.new_project.names import choose_names
from lightfit.scripts.new_project.versions import BUNDLE, TEMPLATE
from lightfit.version import VERSION

pytest.importorskip("copier")
ROOT = TASKS.parent
Said = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("name", "distribution", "package"),
    [
        ("my-project", "my-project", "my_project"),
        ("my_project", "my-project", "my_project"),
        ("My Project", "my-project", "my_project"),
        ("  two  blanks ", "two-blanks", "two_blanks"),
        ("Café.v2", "cafe-v2", "cafe_v2"),
        ("a_-b", "a-b", "a_b"),
    ],
)
def test_names_become_valid(name: str, distribution: str, package: str) -> None:
    assert choose_names(Path(name)) == (distribution, package)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("我的项目", "'我的项目' is no name for a package, which takes the letters a to z, digits and _"),
        ("图像-cats", "is no name for a package"),
        ("+++", "is no name for a package"),
        ("2024-cats", "begins with a digit"),
        ("class", "is a keyword of Python"),
        ("torch", "is the name of the installed package 'torch'"),
        ("lightfit", "is the name of the installed package 'lightfit'"),
        ("Random", "is the name of the module 'random' of Python"),
        ("scikit-learn", "is the name of the installed distribution 'scikit-learn'"),
        ("tests", "would be in the way of the project's own 'tests'"),
    ],
)
def test_names_that_no_package_can_have_are_refused_in_a_sentence(name: str, problem: str, capsys: Said) -> None:
    assert main([name]) == 2
    message = capsys.readouterr().err
    assert problem in message
    assert message.endswith("give another NAME, or --package NAME for the package, such as my_project\n")
    assert message.count("\n") == 1
    assert not Path(name).exists()


def test_a_package_may_have_another_name_than_its_folder() -> None:
    assert choose_names(Path("我的项目"), "my-cats") == ("my-cats", "my_cats")
    with pytest.raises(UsageError, match="'torch' is the name of .*: give another name, such as my_project"):
        choose_names(Path("我的项目"), "torch")


def test_a_folder_of_the_name_is_no_installed_package() -> None:
    Path("cats").mkdir()
    assert choose_names(Path("cats").absolute()).package == "cats"
    assert choose_names(Path("elsewhere", "cats").absolute()).package == "cats"


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("domain", "licence"), [*zip(DOMAINS, LICENCES, strict=True)])
def test_every_file_is_rendered_and_parses(domain: str, licence: str, capsys: Said) -> None:
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    nbformat = pytest.importorskip("nbformat")
    assert main(["My Cats", "--domain", domain, "--licence", licence]) == 0
    root = Path("My Cats")
    files = list_files(root)
    assert f"{len(files)} files in My Cats: the package my_cats, which uses LightFit {VERSION}\n" in (
        capsys.readouterr().out
    )
    expected = {"pyproject.toml", "README.md", "Dockerfile", ".dockerignore", ".gitignore", ".pre-commit-config.yaml"}
    expected |= {".ci/run", ".github/workflows/tests.yml", ".devcontainer/devcontainer.json", "make_data.py"}
    expected |= {"my_cats/__init__.py", "my_cats/nets.py", "my_cats/data.py", "tasks/my_cats.yaml"}
    expected |= {"notebooks/first_look.ipynb", "tests/test_nets.py", "tests/test_data.py"}
    expected |= {".copier-answers.yml", BUNDLE} | ({"LICENSE"} if licence != "none" else set())
    assert files == expected
    for name in files - {BUNDLE}:
        text = (root / name).read_text(encoding="utf-8")
        left = text.replace("${{ matrix.python }}", "") if name.startswith(".github") else text
        assert not [mark for mark in ("{{", "}}", "{%", "%}") if mark in left], name
        assert text.endswith("\n")
        assert not text.endswith("\n\n"), name
        if name.endswith(".py"):
            compile(text, name, "exec")
            assert ast.get_docstring(ast.parse(text)), name
        elif name.endswith((".yml", ".yaml")):
            yaml.safe_load(text)
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["name"] == "my-cats"
    assert settings["tool"]["setuptools"]["packages"] == ["my_cats"]
    major, minor, _ = VERSION.split(".")
    extras = "cli" if domain == "own" else f"cli,{domain}"
    assert settings["project"]["dependencies"] == [f"lightfit[{extras}]>={VERSION},<{major}.{int(minor) + 1}"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (ruff,) = (item for item in ours["dev"] if item.startswith("ruff=="))
    assert ruff in settings["project"]["optional-dependencies"]["dev"]
    assert f"rev: v{ruff.removeprefix('ruff==')}" in (root / ".pre-commit-config.yaml").read_text()
    container = json.loads((root / ".devcontainer" / "devcontainer.json").read_text())
    assert (root / ".devcontainer" / container["build"]["dockerfile"]).resolve() == (root / "Dockerfile").resolve()
    assert "ARG DEVICE=cpu" in (root / "Dockerfile").read_text()
    nbformat.validate(nbformat.read(root / "notebooks" / "first_look.ipynb", 4))
    assert os.access(root / ".ci" / "run", os.X_OK) or os.name == "nt"
    spdx = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3": "BSD-3-Clause", "none": None}[licence]
    assert settings["project"].get("license") == spdx
    if licence in ("mit", "bsd-3"):
        assert "the authors of my-cats" in (root / "LICENSE").read_text()
    assert list_files(Path()) == {f"My Cats/{name}" for name in files}


def test_what_exists_is_not_overwritten(capsys: Said) -> None:
    Path("cats").mkdir()
    Path("cats/README.md").write_text("mine\n")
    Path("cats/notes.txt").write_text("mine\n")
    assert main(["cats"]) == 2
    assert capsys.readouterr().err == (
        "error: 'cats' exists and is not empty: give another NAME, or --overwrite to replace the files of a project; "
        "other files stay\n"
    )
    assert list_files(Path("cats")) == {"README.md", "notes.txt"}
    Path("dogs").write_text("a file")
    assert main(["dogs", "--overwrite"]) == 2
    assert "'dogs' is a file" in capsys.readouterr().err
    assert main(["cats", "--overwrite"]) == 0
    assert Path("cats/notes.txt").read_text() == "mine\n"
    assert Path("cats/README.md").read_text().startswith("# cats\n")
    assert main([]) == 2
    assert "expected the NAME of the project" in capsys.readouterr().err


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "copier", None)
        assert main(["cats"]) == 1
    needs = "error: `lightfit new` needs copier, which is not installed: pip install 'lightfit[new]'"
    assert capsys.readouterr().err.startswith(needs)
    monkeypatch.setenv("PATH", str(Path.cwd()))
    assert main(["cats"]) == 1
    assert "git, which is not installed: install git first" in capsys.readouterr().err
    assert not Path("cats").exists()


def git(*args: str) -> str:
    done = subprocess.run(["git", *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(message: str) -> None:
    git("add", "--all")
    git("-c", "user.name=A", "-c", "user.email=a@localhost", "commit", "--quiet", f"--message={message}")


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Return a function that replaces the installed template by a copy of a later version, which it returns."""

    def install() -> Path:
        copy = tmp_path / "later"
        shutil.copytree(TEMPLATE, copy)
        monkeypatch.setattr(project, "TEMPLATE", copy)
        for module in ("new", "new_project.project"):
            monkeypatch.setattr(f"lightfit.scripts.{module}.VERSION", "9.1.0")
        return copy

    return install


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.slow
@pytest.mark.parametrize("below", ["", "projects/"], ids=["", "in a folder of a repository"])
def test_a_later_template_comes_and_what_was_changed_stays(
    below: str, later: Callable[[], Path], capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("work", below).mkdir(parents=True)
    monkeypatch.chdir("work")
    cats = Path(f"{below}cats")
    assert main([str(cats), "--domain", "own"]) == 0
    git("init", "--quiet")
    replace(cats / "cats" / "nets.py", "width: int = 16", "width: int = 24")
    replace(cats / ".gitignore", "/runs/\n", "/runs/\n/weights/\n")
    (cats / "Dockerfile").unlink()
    (cats / "cats" / "more.bin").write_bytes(bytes(range(256)))
    commit("mine")
    assert main(["--update", str(cats)]) == 0
    assert capsys.readouterr().out.endswith(f"the template of '{cats}' is of this LightFit, {VERSION}, already\n")

    template = later()
    replace(template / "project" / ".gitignore.jinja", "/notebooks/history.png\n", "/notebooks/*.png\n")
    replace(template / "domains" / "own" / "nets.py.jinja", "width, 9, stride=4", "width, 7, stride=4")
    (template / "project" / "CHANGELOG.md.jinja").write_text("# Changes of {{ distribution }}\n")
    replace(template / "project" / "Dockerfile.jinja", "python:3.12", "python:3.13")
    assert main(["--update", str(cats)]) == 0
    said = capsys.readouterr().out
    assert f"was of LightFit {VERSION} and is of 9.1.0: see `git diff`, test, and commit" in said
    assert "conflicts" not in said
    net = (cats / "cats" / "nets.py").read_text()
    assert "width: int = 24" in net
    assert "width, 7, stride=4" in net
    ignored = (cats / ".gitignore").read_text()
    assert "/weights/\n" in ignored
    assert "/notebooks/*.png\n" in ignored
    assert (cats / "CHANGELOG.md").read_text() == "# Changes of cats\n"
    assert not (cats / "Dockerfile").exists(), "it was removed on purpose"
    assert (cats / "cats" / "more.bin").read_bytes() == bytes(range(256))
    assert "lightfit[cli]>=9.1.0,<9.2" in (cats / "pyproject.toml").read_text()
    assert yaml.safe_load((cats / ".copier-answers.yml").read_text())["_commit"] == "v9.1.0"
    assert git("tag", "--list") == ""
    changed = {line[3:].removeprefix(below) for line in git("status", "--porcelain", "-uall").splitlines()}
    assert changed == {
        f"cats/{name}"
        for name in (
            *(".copier-answers.yml", ".gitignore", ".template.bundle", "CHANGELOG.md", "cats/nets.py"),
            "pyproject.toml",
        )
    }
    commit("updated")
    monkeypatch.setattr(project, "VERSION", "9.0.0")
    assert main(["--update", str(cats)]) == 2
    assert "cannot be updated: You are downgrading from 9.1.0 to 9.0.0" in capsys.readouterr().err
    monkeypatch.setattr(project, "VERSION", VERSION)
    assert main(["--update", str(cats)]) == 2
    assert f"is of LightFit 9.1.0, and {VERSION} is installed: install a later one" in capsys.readouterr().err
    assert git("status", "--porcelain") == ""

    # Copier itself reads the bundle: here to choose a licence afterwards.
    copier = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet", "--data", "licence=mit"]
    done = subprocess.run(copier, cwd=cats, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (cats / "LICENSE").read_text().startswith("MIT License")


@pytest.mark.slow
def test_what_contradicts_is_marked(later: Callable[[], Path], capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["cats"]) == 0
    monkeypatch.chdir("cats")
    replace(Path("cats/nets.py"), "width: int = 16", "width: int = 24")
    git("init", "--quiet")
    commit("mine")
    replace(later() / "domains" / "own" / "nets.py.jinja", "width: int = 16", "width: int = 32")
    assert main(["--update"]) == 0
    assert "conflicts to solve, marked in the files: cats/nets.py\n" in capsys.readouterr().out
    net = Path("cats/nets.py").read_text()
    assert "width: int = 24" in net
    assert "width: int = 32" in net


def test_what_cannot_be_updated(capsys: Said) -> None:
    assert main(["--update"]) == 2
    assert "has no .copier-answers.yml: expected the folder of a project that `lightfit new` made" in (
        capsys.readouterr().err
    )
    Path("cats").mkdir()
    for name in (".copier-answers.yml", BUNDLE):
        Path("cats", name).touch()
    for begin in (False, True):
        if begin:
            git("init", "--quiet", "cats")
        assert main(["--update", "cats"]) == 2
        assert "has changes that are not committed, or is not in git" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_project_is_installed_and_passes_its_tests_trains_and_predicts(domain: str) -> None:
    assert main(["my-cats", "--domain", domain, "--licence", "mit"]) == 0
    root = Path("my-cats").resolve()
    paths = dict(os.environ, PYTHONPATH="")

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=root, env=paths, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    # A virtual environment that reaches this LightFit and the packages that are installed here.
    run(sys.executable, "-m", "venv", "--without-pip", ".venv")
    python = str(root / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    here = [str(ROOT), *(path for path in sys.path if path.endswith(("site-packages", "dist-packages")))]
    Path(site, "here.pth").write_text("\n".join(here) + "\n")
    install = ("install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-e", ".")
    run(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *install)
    assert run(python, "-c", "import my_cats; print(my_cats.__file__)").strip() == str(root / "my_cats" / "__init__.py")

    assert " passed" in run(python, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error::UserWarning:my_cats")
    lightfit = [python, "-c", "import sys; sys.argv[0] = 'lightfit'; from lightfit.scripts.cli.command import main; "]
    lightfit[-1] += "sys.exit(main())"
    run(python, "make_data.py")
    run(*lightfit, "check", "--task", "tasks/my_cats.yaml") if domain != "own" else None
    said = run(*lightfit, "fit", "--task", "tasks/my_cats.yaml", "--gpus", "0", "--trainer.max_epochs", "2")
    assert "trained to epoch 2" in said
    readme = (root / "README.md").read_text().splitlines()
    starts = tuple(f".venv/bin/lightfit {verb}" for verb in ("evaluate", "predict"))
    after = [line.split(maxsplit=1)[1] for line in readme if line.startswith(starts)]
    assert len(after) == 2
    for line in after:
        assert run("bash", "-c", f'"$@" {line} --gpus 0', "bash", *lightfit)
    for command in (["check", "."], ["format", "--check", "."]):
        run(sys.executable, "-m", "ruff", *command)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("domain", DOMAINS)
def test_the_notebook_of_a_project_runs(domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    assert main(["my-cats", "--domain", domain]) == 0
    folder = Path("my-cats", "notebooks")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path("my-cats").resolve()), str(ROOT)]))
    notebook = nbformat.read(folder / "first_look.ipynb", 4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    assert notebook.cells[-1].outputs[-1].data["text/html"].count("<tr") > 2, "a table of predictions"


NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=2, num_outputs=None):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, num_outputs or num_classes)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))
"""
DATASET = """
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset


class Noise(Dataset):
    def __init__(self, seed):
        self.x = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(seed))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        x = self.x[index]
        return x, x.mean().reshape(1)


class Data(pl.LightningDataModule):
    num_outputs = 1

    def train_dataloader(self):
        return DataLoader(Noise(0), batch_size=10, shuffle=True)

    def val_dataloader(self):
        return DataLoader(Noise(1), batch_size=10)
"""
PRESET = """
model:
  class_path: lightfit.Regressor
  init_args: {net: {class_path: own_net.Net}}
data: {class_path: own_data.Data}
trainer: {max_epochs: 2}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("images")
def test_how_much_there_is_to_write(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A net, and a Dataset, are one file of under 30 lines each; a regression head is one line."""
    assert NET.strip().count("\n") + 1 == 11
    assert DATASET.strip().count("\n") + 1 == 25
    assert max(len(NET.splitlines()), len(DATASET.splitlines())) < 30
    Path("own_net.py").write_text(NET)
    Path("own_data.py").write_text(DATASET)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    for name in ("own_net", "own_data"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    # A new net in a preset: its name.
    preset = ("--task", "images", "--data.root", "images", "--data.num_workers", 0, "--trainer.callbacks", "null")
    once = (*preset, "--trainer.max_epochs", 1, "--quiet", "--data.transforms.size", 16)
    assert fit(*once, "--model.net", "own_net.Net")[::2] == (0, "")
    # A regression head, where the labels are numbers: the net's one line with `num_outputs`.
    names = sorted(path.as_posix() for path in Path("images").glob("*/*.png"))
    write_csv(Path("numbers.csv"), [(name, str(index / 7)) for index, name in enumerate(names)], ("path", "value"))
    numbers = ("--data.root", "numbers.csv", "--data.path_column", "path", "--data.label_column", "value")
    numbers += ("--data.image_dir", ".", "--data.labels", "numbers")
    code, _, err = fit(*once, *numbers, "--model.net", "own_net.Net")
    assert (code, err) == (0, "")
    assert "mae" in pd.read_csv("runs/images/version_1/history.csv")
    # The same for any Dataset: the preset's one line with the class of the model, and the data's with the number.
    Path("own.yaml").write_text(PRESET)
    code, _, err = fit("--task", "own.yaml", "--quiet")
    assert (code, err) == (0, "")
    assert "mae" in pd.read_csv("runs/own/version_0/history.csv")
    last = "runs/own/version_0/checkpoints/last.ckpt"
    assert isinstance(LightModel.load(last, trust=["own_net"]), Regressor)
    # Data that do not define the number: the model's default, or an error that says what is missing.
    Path("less_data.py").write_text(DATASET.replace("    num_outputs = 1\n\n", ""))
    Path("less_net.py").write_text(
        "from own_net import Net\n\nclass One(Net):\n    def __init__(self):\n        super().__init__(1)\n"
    )
    for name in ("less_net", "less_data"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    Path("own.yaml").write_text(
        PRESET.replace("own_data.Data", "less_data.Data").replace("own_net.Net", "less_net.One")
    )
    code, _, err = fit("--task", "own.yaml", "--quiet")
    assert (code, err) == (0, "")
    assert isinstance(LightModel.load(last.replace("_0/", "_1/"), trust=["own_net", "less_net"]), Regressor)
    code, _, err = fit("--task", "own.yaml", "--quiet", "--model", "lightfit.MultiLabelClassifier")
    assert code == 2
    assert "the model requires `num_outputs`, which Data does not define: expected an attribute 'num_outputs'" in err
