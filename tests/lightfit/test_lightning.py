"""The choice between `pytorch_lightning` and `lightning.pytorch`, each program in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightfit.scripts.cli.presets import TASKS

pytest.importorskip("lightning.pytorch")
SHOW = "print(pl.__name__)\n"
OURS = "from lightfit.lightning import pl\n"


@pytest.fixture
def empty(workplace: Path) -> None:
    """Two packages of Lightning's names in the working directory, with nothing in them, which are imported at once."""
    Path("lightning").mkdir()
    for name in ("pytorch_lightning.py", "lightning/__init__.py", "lightning/pytorch.py"):
        Path(name).touch()


def run(program: str, **env: str) -> subprocess.CompletedProcess[str]:
    Path("program.py").write_text(program)
    return subprocess.run(
        [sys.executable, "program.py"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(TASKS.parent), **env},
    )


@pytest.mark.parametrize("name", ["pytorch_lightning", "lightning.pytorch"])
@pytest.mark.usefixtures("empty")
def test_the_order_of_imports_does_not_matter(name: str) -> None:
    theirs = f"import {name}\n"
    for program in (theirs + OURS + SHOW, OURS + theirs + SHOW, OURS + SHOW + f"if pl is None:\n    {theirs}"):
        assert run(program).stdout == f"{name}\n"


@pytest.mark.parametrize("first", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_classes_are_of_the_lightning_that_the_program_imports(first: int) -> None:
    lines = [
        "from lightning.pytorch import LightningModule, Callback\n",
        "from lightfit import LightModel\nfrom lightfit.callbacks import FeatureMaps\n",
    ]
    program = lines[first] + lines[1 - first]
    shown = run(program + "print(issubclass(LightModel, LightningModule), issubclass(FeatureMaps, Callback))")
    assert shown.stdout == "True True\n", shown.stderr


@pytest.mark.usefixtures("empty")
def test_a_library_that_imports_the_other_one_does_not_decide() -> None:
    Path("library.py").write_text("import pytorch_lightning\n")
    assert run(f"import library\n{OURS}from lightning import pytorch\n{SHOW}").stdout == "lightning.pytorch\n"
    assert run(f"import library\n{OURS}{SHOW}").stdout == "pytorch_lightning\n"


@pytest.mark.parametrize("name", ["pytorch_lightning", "lightning.pytorch"])
@pytest.mark.usefixtures("empty")
def test_it_can_be_said(name: str) -> None:
    assert run(OURS + SHOW, LIGHTFIT_LIGHTNING=name).stdout == f"{name}\n"
    said = f"import lightfit\nlightfit.use_lightning('{name}')\n"
    assert run(said + OURS + SHOW + "import pytorch_lightning, lightning").stdout == f"{name}\n"
    assert run(OURS + SHOW).stdout == "pytorch_lightning\n"


@pytest.mark.usefixtures("empty")
def test_what_cannot_be() -> None:
    wrong = run(OURS, LIGHTFIT_LIGHTNING="lightening").stderr
    assert "expected LIGHTFIT_LIGHTNING as pytorch_lightning or lightning.pytorch, received 'lightening'" in wrong
    late = run(f"{OURS}import lightfit\nlightfit.use_lightning('lightning.pytorch')")
    assert "built on pytorch_lightning already: call use_lightning('lightning.pytorch') before" in late.stderr


@pytest.mark.usefixtures("empty")
def test_error_where_both_meet_names_the_way_out() -> None:
    program = (
        "import lightning.pytorch\nfrom lightfit.lightning import OneLightning\nclass Made(OneLightning): pass\nMade()"
    )
    met = run(program, LIGHTFIT_LIGHTNING="pytorch_lightning")
    assert met.returncode == 1
    assert "Made is built on pytorch_lightning, and '" in met.stderr
    assert "uses lightning.pytorch" in met.stderr
    assert "`import lightfit; lightfit.use_lightning('lightning.pytorch')`" in met.stderr
    assert run(program).returncode == 0
    assert run(program.replace("import lightning.pytorch", "import lightning, pytorch_lightning")).returncode == 0


def test_models_data_and_callbacks_look() -> None:
    from lightfit import LightModel, TextDataModule, callbacks
    from lightfit.lightning import OneLightning

    made = [getattr(callbacks, name) for name in callbacks.__all__]
    classes = [item for item in made if isinstance(item, type) and not issubclass(item, Exception)]
    assert all(issubclass(item, OneLightning) for item in (LightModel, TextDataModule, *classes))
