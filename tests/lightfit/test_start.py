"""What a process imports: text needs nothing of what images need, and our commands nothing that nobody asked for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import make_reviews, write_csv

import lightfit
from lightfit.scripts.cli.command import VERBS
from lightfit.scripts.cli.presets import TASKS

ROOT = TASKS.parent
HEAVY = ("torchvision", "scipy.signal", "matplotlib", "sklearn", "lightfit.datamodules.images")
FIRST_STEP = """
import os, sys
from lightfit.lightning import pl
class FirstStep(pl.Callback):
    def on_train_batch_start(self, *args):
        print("modules", *sys.modules, flush=True)
        os._exit(0)
"""


def python(*command: str) -> str:
    """Run Python in the working directory; return what it printed."""
    done = subprocess.run(
        [sys.executable, *command], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def first_step(*args: str) -> list[str]:
    """Return the modules that fit.py has imported when its first step begins."""
    Path("first_step.py").write_text(FIRST_STEP)
    said = python(str(ROOT / "scripts" / "fit.py"), *args, "--trainer.callbacks+=first_step.FirstStep")
    return next(line for line in said.splitlines() if line.startswith("modules ")).split()


@pytest.mark.parametrize("verb", VERBS)
def test_help_imports_neither_torch_nor_lightning(verb: str) -> None:
    script = ROOT / "scripts" / f"{verb}.py"
    program = f"""
import runpy, sys
sys.argv = [{str(script)!r}, "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit:
    print("modules", *sys.modules)
"""
    modules = python("-c", program).splitlines()[-1].split()
    assert "argparse" in modules
    assert not {"torch", "pytorch_lightning", "torchmetrics", "pandas", "numpy"} & set(modules)


@pytest.mark.slow
def test_imdb_imports_neither_torchvision_nor_scipy() -> None:
    modules = first_step("--task", "imdb", "--gpus", "0")
    assert "lightfit.datamodules.text.datamodule" in modules
    assert not set(HEAVY) & set(modules)


@pytest.mark.slow
def test_text_imports_neither_torchvision_nor_scipy() -> None:
    write_csv(Path("reviews.csv"), make_reviews(40))
    modules = first_step("--task", "text", "--data.source", "reviews.csv", "--gpus", "0")
    assert "lightfit.datamodules.text.datamodule" in modules
    assert not set(HEAVY) & set(modules)


@pytest.mark.slow
def test_public_names_come_by_themselves() -> None:
    program = """
import sys
from lightfit import TextDataModule, TextClassifier
from lightfit.nets import TextCNN
assert "lightfit.datamodules.images" not in sys.modules and "lightfit.callbacks" not in sys.modules
import lightfit, lightfit.callbacks, lightfit.datamodules, lightfit.lightning_modules, lightfit.nets
for package in (lightfit, lightfit.callbacks, lightfit.datamodules, lightfit.lightning_modules, lightfit.nets):
    assert set(package.__all__) <= set(dir(package)), package
    for name in package.__all__:
        getattr(package, name)
print("torchvision" in sys.modules)
"""
    assert python("-c", program) == "True\n"


def test_a_name_that_is_not_there() -> None:
    for package in (lightfit, lightfit.datamodules, lightfit.callbacks, lightfit.lightning_modules, lightfit.nets):
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Nothing'"):
            _ = package.Nothing


@pytest.mark.slow
def test_a_library_that_imports_lightfit_has_nothing_postponed() -> None:
    program = """
import sys
from lightfit import LightModel
from lightfit.scripts import fit, predict
import torchmetrics
print(type(torchmetrics.__spec__.loader).__name__, "torchmetrics.classification" in sys.modules)
print(any("Postponed" in type(finder).__name__ for finder in sys.meta_path))
"""
    assert python("-c", program) == "SourceFileLoader True\nFalse\n"


POSTPONE = """
import sys
from lightfit.scripts.cli.postponed import postpone
postpone()
postpone()
import pytorch_lightning, torchmetrics
assert "torchmetrics.functional" not in sys.modules and "torchvision" not in sys.modules
from torchmetrics.metric import Metric
assert torchmetrics.Metric is Metric
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        "assert torchmetrics.Accuracy",
        "from torchmetrics import *; F1Score",
        "assert 'Accuracy' in dir(torchmetrics)",
        "import torchmetrics.functional.classification.accuracy",
        """
from torchmetrics.classification import BinaryAccuracy
assert sys.modules['torchmetrics.classification'] is torchmetrics.classification
assert torchmetrics.classification.__spec__.name == 'torchmetrics.classification'
assert issubclass(BinaryAccuracy, Metric)
""",
    ],
)
def test_what_is_postponed_comes_when_it_is_asked_for(use: str) -> None:
    loaded = 'assert "torchmetrics.functional" in sys.modules and "scipy.signal" in sys.modules'
    python("-c", f"{POSTPONE}\n{use}\n{loaded}\nimport torchvision, scipy.signal, torch._dynamo")


@pytest.mark.slow
def test_postponed_metrics_draw_themselves() -> None:
    program = """
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryPrecision
metrics = MetricCollection([BinaryAccuracy(), BinaryPrecision()])
metrics.update(torch.ones(4), torch.ones(4, dtype=torch.int64))
import matplotlib.axes
_, axes = metrics.plot(together=True)
assert isinstance(axes, matplotlib.axes.Axes)
metrics.plot(ax=axes, together=True)
try:
    metrics.plot(ax="none", together=True)
except ValueError as error:
    print(error)
"""
    assert "`ax`" in python("-c", POSTPONE + program)


@pytest.mark.slow
def test_a_name_that_a_postponed_package_lacks() -> None:
    program = """
try:
    torchmetrics.Nothing
except AttributeError as error:
    print(error)
"""
    assert python("-c", POSTPONE + program) == "module 'torchmetrics' has no attribute 'Nothing'\n"


def test_another_release_that_needs_more_for_an_answer(tmp_path: Path, monkeypatch: Any) -> None:
    from lightfit.scripts.cli.postponed import postpone

    (tmp_path / "of_another_release").mkdir()
    (tmp_path / "of_another_release" / "__init__.py").write_text("Answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)

    def answer() -> Any:
        import of_another_release.moved  # type: ignore[import-not-found]

        return of_another_release.moved.Answer

    postpone({"of_another_release": {"Answer": answer}})
    import of_another_release  # type: ignore[import-not-found]

    assert not vars(of_another_release).get("Answer")
    assert of_another_release.Answer == 42
    assert sys.meta_path == before
    del sys.modules["of_another_release"]


@pytest.mark.slow
def test_checkpoints_name_metrics_that_are_postponed() -> None:
    program = """
from lightfit.trust import is_known
assert is_known("torchmetrics.classification.BinaryAccuracy")
assert is_known("torchmetrics.F1Score")
assert not is_known("torchmetrics.text.BERTScore")
"""
    python("-c", POSTPONE.replace("import pytorch_lightning", "import pytorch_lightning, lightfit") + program)


@pytest.mark.slow
def test_classes_are_named_without_their_module() -> None:
    write_csv(Path("reviews.csv"), make_reviews(40))
    short = ["--data=TextDataModule", "--model.net=NaiveBayesBag", "--trainer.callbacks+=ConfusionMatrix"]
    modules = first_step("--task", "text", *short, "--data.source", "reviews.csv", "--gpus", "0")
    assert "lightfit.callbacks.pictures.confusion" in modules
