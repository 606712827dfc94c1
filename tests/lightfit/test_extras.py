"""Packages by use: each public name needs the packages of its own extra and no others, and says which it lacks."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import make_images, make_reviews, make_series, write_csv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lightfit
from lightfit.errors import MissingPackageError
from lightfit.extras import PACKAGES, find_extra, how_to_install, importing_extra
from lightfit.scripts.cli.command import VERBS
from lightfit.scripts.cli.presets import TASKS

tomllib = pytest.importorskip("tomllib")  # since Python 3.11
ROOT = TASKS.parent
if not (ROOT / "pyproject.toml").is_file():
    pytest.skip("installed, not checked out", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BASE = ("torch", "pytorch_lightning", "torchmetrics", "numpy", "pandas", "safetensors")
SMALL = ("filelock", "tqdm", "typing_extensions")
ROOMS = (lightfit, lightfit.nets, lightfit.lightning_modules, lightfit.datamodules, lightfit.callbacks)
DOMAINS = ("images", "text", "series")


def own_requirements(extra: str) -> list[Requirement]:
    """Return what pyproject.toml lists for an extra ("" for none), and what that lists of LightFit's other extras."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = []
    for requirement in map(Requirement, lines):
        if requirement.name == "lightfit":
            found += [own for other in sorted(requirement.extras) for own in own_requirements(other)]
        else:
            found.append(requirement)
    return found


def find_distributions(extra: str) -> set[str]:
    """Return the distributions that `pip install lightfit[extra]` installs here, all that they require included."""
    waiting = own_requirements("") + (own_requirements(extra) if extra else [])
    found: dict[str, set[str]] = {}
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), {"", *requirement.extras}
        if extras <= found.setdefault(name, set()):
            continue
        found[name] |= extras
        try:
            needed = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:  # by another system's marker, or not installed: then the import tells
            continue
        for line in map(Requirement, needed):
            if line.marker is None or any(line.marker.evaluate({"extra": own}) for own in found[name]):
                waiting.append(line)
    return set(found)


ONLY = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder

class Only:  # in the place of Python's own finder: what is not of these distributions is as if it was not installed
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in REFUSED else PathFinder.find_spec(name, path, target)

    @staticmethod
    def find_distributions(context=DistributionFinder.Context()):
        for found in PathFinder.find_distributions(context):
            if str(found.metadata["Name"]).lower().replace("_", "-").replace(".", "-") in INSTALLED:
                yield found

    invalidate_caches = PathFinder.invalidate_caches

sys.meta_path[sys.meta_path.index(PathFinder)] = Only
"""


def run_with_extra(extra: str, program: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that finds nothing but what an extra installs."""
    installed = find_distributions(extra)
    owners = metadata.packages_distributions()
    refused = {module for module, names in owners.items() if not installed & set(map(canonicalize_name, names))}
    head = f"REFUSED, INSTALLED = {refused - {'lightfit'}!r}, {installed!r}\n{ONLY}"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LIGHTFIT_LIGHTNING": ""}
    return subprocess.run(
        [sys.executable, "-c", f"{head}\n{program}", *args], capture_output=True, text=True, encoding="utf-8", env=env
    )


IMPORTS = """
import importlib, json
found = {}
for package, names in json.loads(sys.argv[1]).items():
    for name in names:
        try:
            getattr(importlib.import_module(package), name)
            found[f"{package}.{name}"] = ""
        except ModuleNotFoundError as error:
            found[f"{package}.{name}"] = f"{type(error).__name__}: {error}"
print("found", json.dumps(found))
for name in ("lightning_modules", "datamodules", "callbacks"):
    assert name not in sys.modules
"""
TRAIN = {
    "": "",
    "pictures": """
import pandas as pd
from lightfit.callbacks import plot_history
plot_history(pd.DataFrame({"epoch": [0, 1], "loss": [2.0, 1.0]})).pixels()
""",
    "text": """
from lightfit import TextClassifier, TextDataModule
from lightfit.nets import TextCNN
data = TextDataModule("reviews.csv", max_len=10, batch_size=16)
data.setup()
train(TextClassifier(TextCNN(data.codec.vocab_size, max_len=10)), data)
""",
    "images": """
from lightfit import ImageClassifier, ImageDataModule
from lightfit.nets import ImageCNN
data = ImageDataModule("images", num_workers=0, batch_size=16)
data.setup()
train(ImageClassifier(ImageCNN(num_classes=2)), data)
""",
    "series": """
from lightfit import SeriesDataModule, SeriesForecaster
from lightfit.nets import NLinear
data = SeriesDataModule("series.csv", target="load", lookback=48, horizon=12, batch_size=16)
data.setup()
train(SeriesForecaster(NLinear(lookback=48, horizon=12, num_features=data.codec.num_features, num_targets=1)), data)
""",
}
TRAINER = """
import pytorch_lightning as pl
from lightfit.callbacks import BestAndLast, ExactResume, FiniteLoss
def train(model, data):
    callbacks = [BestAndLast(), ExactResume(), FiniteLoss()]
    options = dict(accelerator="cpu", enable_model_summary=False, enable_progress_bar=False)
    trainer = pl.Trainer(max_epochs=1, limit_train_batches=2, callbacks=callbacks, logger=False, **options)
    trainer.fit(model, datamodule=data)
    assert len(model.history) == 1 and trainer.predict(model, data.val_dataloader())
    assert not {"matplotlib", "tensorboard", "sklearn", "scipy"} & set(sys.modules)
"""


def list_public_names() -> dict[str, list[str]]:
    return {package.__name__: list(package.__all__) for package in ROOMS}


def extra_of(package: str, name: str) -> str:
    """Return the extra of a public name, by the module that defines it."""
    found = getattr(sys.modules[package], name)
    return find_extra(getattr(found, "__module__", None) or getattr(found, "__name__", None) or "")


@pytest.mark.slow
@pytest.mark.parametrize("extra", TRAIN)
def test_each_public_name_needs_its_own_extra_alone(extra: str) -> None:
    write_csv(Path("reviews.csv"), make_reviews(40))
    make_images(Path("images"), per_class=10)
    make_series().to_csv("series.csv", index=False)
    program = IMPORTS + (TRAINER if extra in DOMAINS else "") + TRAIN[extra]
    run = run_with_extra(extra, program, json.dumps(list_public_names()))
    assert run.returncode == 0, run.stderr
    found: dict[str, str] = json.loads(next(line[6:] for line in run.stdout.splitlines() if line.startswith("found ")))
    assert len(found) > 80
    for package, names in list_public_names().items():
        for name in names:
            problem, own = found[f"{package}.{name}"], extra_of(package, name)
            if own in ("", extra):
                assert not problem, f"{package}.{name}: {problem}"
            elif problem:
                assert problem.startswith(f"MissingPackageError: {name} needs "), problem
                assert how_to_install(own) in problem


COMMANDS = """
import contextlib, io, runpy
def run(verb, *args):
    module = __import__(f"lightfit.scripts.{verb}", fromlist=["main"])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = module.main(list(args))
        except SystemExit as end:
            code = end.code or 0
    return code, said.getvalue()
"""


@pytest.mark.slow
def test_commands_without_the_extra_cli_say_so() -> None:
    program = f"""{COMMANDS}
for verb in {list(VERBS)!r}:
    code, said = run(verb, "--help")
    assert code == 0 and "--help" in said, (verb, said)
for args in (
    ("fit", "--task", "text", "--data.source", "reviews.csv", "--gpus", "0"),
    ("check", "--task", "text", "--data.source", "reviews.csv"),
):
    code, said = run(*args)
    assert code == 1 and "pip install 'lightfit[cli]'" in said and "Traceback" not in said, (args, said)
"""
    write_csv(Path("reviews.csv"), make_reviews(40))
    run = run_with_extra("text", program)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_commands_with_the_extra_cli_name_the_extra_of_the_data() -> None:
    program = f"""{COMMANDS}
for args, extra in (
    (("fit", "--task", "text", "--data.source", "reviews.csv", "--gpus", "0"), "text"),
    (("fit", "--task", "images", "--data.root", "images", "--gpus", "0"), "images"),
    (("check", "--task", "series", "--data.path", "series.csv", "--data.target", "load"), "series"),
    (("fit", "--task", "imdb", "--wandb"), "wandb"),
):
    code, said = run(*args)
    assert code == 1 and f"pip install 'lightfit[{{extra}}]'" in said and "Traceback" not in said, (args, said)
"""
    write_csv(Path("reviews.csv"), make_reviews(40))
    make_images(Path("images"), per_class=10)
    make_series().to_csv("series.csv", index=False)
    run = run_with_extra("cli", program)
    assert run.returncode == 0, run.stderr


def third_party_imports() -> Iterator[tuple[str, str]]:
    """Yield each file of the package with each top-level name of another package that it imports."""
    for folder in ("lightfit", "lightning_modules", "datamodules", "callbacks", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names: list[str] = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [str(node.module)]
                for name in {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"lightfit"}:
                    yield path.relative_to(ROOT).as_posix(), name


def test_what_is_imported_is_listed() -> None:
    come_with = {"huggingface_hub": "timm", "sqlalchemy": "optuna", "starlette": "fastapi"}
    tokenizers = {"spacy", "sacremoses", "nltk", "revtok"}  # of lightfit.torchtext, by the names that users choose
    known = {*BASE, *SMALL, *PACKAGES, *come_with, *tokenizers}
    known.add("lightning")  # the other namespace, of those who have it
    assert not [(path, name) for path, name in third_party_imports() if name not in known]


def test_the_table_of_packages_is_that_of_pyproject() -> None:
    base = {canonicalize_name(requirement.name) for requirement in own_requirements("")}
    assert base == {canonicalize_name(name) for name in (*BASE, *SMALL)}
    for module, (package, extras) in PACKAGES.items():
        assert package not in base, module
        for extra in extras:
            assert package in {canonicalize_name(own.name) for own in own_requirements(extra)}, (module, extra)


def test_each_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = text[text.index("dependencies = [") : text.index("benchmarks = [")].splitlines()
    for before, line in pairwise(lines):
        if re.match(r'\s+"(?!lightfit)', line):
            assert "#" in line or before.lstrip().startswith("#"), line


def test_all_is_what_the_tests_and_the_first_command_take() -> None:
    everything = {canonicalize_name(requirement.name) for requirement in own_requirements("all")}
    for extra in ("images", "text", "series", "pictures", "cli", "data", "pretrained"):
        assert everything >= {canonicalize_name(requirement.name) for requirement in own_requirements(extra)}
    assert everything <= {canonicalize_name(requirement.name) for requirement in own_requirements("test")}
    base = {canonicalize_name(requirement.name) for requirement in own_requirements("")}
    assert not base & {"torchvision", "scipy", "matplotlib", "scikit-learn", "tensorboard", "pyarrow"}


def test_the_lock_file_has_all() -> None:
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    needed = {canonicalize_name(requirement.name) for requirement in (*own_requirements(""), *own_requirements("all"))}
    assert needed <= set(map(canonicalize_name, locked))


def test_a_missing_package_names_its_extra(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    for extra, shown in (("images", "images"), ("pictures", "pictures"), ("", "images")):
        expected = re.escape(f"a picture needs pillow, which is not installed: pip install 'lightfit[{shown}]'")
        with pytest.raises(MissingPackageError, match=expected), importing_extra("a picture", extra=extra):
            import PIL  # noqa: F401


def test_another_module_that_is_missing_is_no_matter_of_extras() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module") as caught, importing_extra("this"):
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert not isinstance(caught.value, MissingPackageError)
