"""The choice between `pytorch_lightning` and `lightning.pytorch`, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightfit.scripts.cli.presets import TASKS

pytest.importorskip("lightning.pytorch")


def run(program: str, **env: str) -> subprocess.CompletedProcess[str]:
    Path("program.py").write_text(program)
    return subprocess.run(
        [sys.executable, "program.py"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(TASKS.parent), **env},
    )


LINES = [
    "from lightning.pytorch import Trainer",
    "from lightfit import LightModel",
    "from lightfit.callbacks import FeatureMaps",
]
PRINT = "import lightning; print(issubclass(LightModel, lightning.LightningModule), Trainer, FeatureMaps)"


@pytest.mark.parametrize("lines", [LINES, LINES[::-1], [LINES[1], LINES[0], LINES[2]]])
def test_the_order_of_imports_does_not_matter(lines: list[str]) -> None:
    assert run("\n".join([*lines, PRINT])).stdout.startswith("True")


def test_a_library_that_imports_the_other_one_does_not_decide() -> None:
    program = "import library\nfrom lightfit import LightModel\nfrom lightning.pytorch import LightningModule\n"
    Path("library.py").write_text("import pytorch_lightning\n")
    assert run(program + "print(issubclass(LightModel, LightningModule))").stdout == "True\n"


@pytest.mark.parametrize("name", ["pytorch_lightning", "lightning.pytorch"])
def test_it_can_be_said(name: str) -> None:
    show = "from lightfit.lightning import pl; print(pl.__name__)"
    assert run(show, LIGHTFIT_LIGHTNING=name).stdout == f"{name}\n"
    assert run(f"import lightfit; lightfit.use_lightning('{name}'); {show}").stdout == f"{name}\n"
    assert run(show).stdout == "pytorch_lightning\n"


def test_what_cannot_be() -> None:
    wrong = run("from lightfit import LightModel", LIGHTFIT_LIGHTNING="lightening")
    assert (
        "expected LIGHTFIT_LIGHTNING as pytorch_lightning or lightning.pytorch, received 'lightening'" in wrong.stderr
    )
    late = run("import lightfit\nlightfit.LightModel\nlightfit.use_lightning('lightning.pytorch')")
    assert "built on pytorch_lightning already: call use_lightning('lightning.pytorch') before" in late.stderr


@pytest.mark.parametrize(
    "made", ["lightfit.LightModel()", "lightfit.callbacks.HistoryFiles()", "lightfit.TextDataModule('a.csv')"]
)
def test_where_both_meet_the_error_says_what_to_do(made: str) -> None:
    program = f"import lightning.pytorch as pl\nimport lightfit\n{made}\n"
    met = run(program, LIGHTFIT_LIGHTNING="pytorch_lightning")
    assert met.returncode == 1
    assert "is built on pytorch_lightning, and '" in met.stderr
    assert "uses lightning.pytorch" in met.stderr
    assert "`import lightfit; lightfit.use_lightning('lightning.pytorch')`" in met.stderr
    assert run(program).returncode == 0
