"""Learning curves in a notebook, and the notebooks of the repository."""

import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightfit.callbacks import NotebookProgress
from lightfit.lightning_modules import ImageClassifier
from lightfit.scripts.cli.presets import TASKS

NOTEBOOKS = sorted((TASKS.parent / "scripts" / "notebooks").glob("*.ipynb"))


def fit(*callbacks: pl.Callback, **options: Any) -> ImageClassifier:
    pl.seed_everything(0, verbose=False)
    x = torch.randn(40, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, (x.mean((1, 2, 3)) > 0).long()), batch_size=8)
    model = ImageClassifier(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), lr=0.01)
    pl.Trainer(
        **{"max_epochs": 3, **options},
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
    ).fit(model, loader, loader)
    return model


@pytest.mark.filterwarnings("ignore")  # warnings of torchkeras and matplotlib about each other
def test_a_plot_outside_of_a_notebook_and_the_same_losses(capsys: pytest.CaptureFixture[str]) -> None:
    with_curves = fit(NotebookProgress("val_accuracy", mode="max", path="curves.png"))
    assert "curves.png" in capsys.readouterr().out
    assert Path("curves.png").stat().st_size > 5000
    assert with_curves.history.equals(fit(pl.callbacks.TQDMProgressBar()).history)


@pytest.mark.filterwarnings("ignore")
def test_what_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="mode min or max, received 'best'"):
        NotebookProgress(mode="best")
    for progress, options in (
        (NotebookProgress("val_f1"), {}),
        (NotebookProgress(), {"max_epochs": -1, "max_steps": 3}),
    ):
        fit(progress, **options)
    missing, endless = (item.getMessage() for item in caplog.records if item.levelname == "WARNING")
    assert "no metric 'val_f1' is logged, as `monitor` names it; there is: train_accuracy, train_loss, val" in missing
    assert endless.startswith("NotebookProgress is left out of this run: it needs `max_epochs`, the width")


def test_there_is_a_small_one_for_each_domain() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["images", "series", "text"]
    for path in NOTEBOOKS:
        assert path.stat().st_size < 200_000
        assert "/home/" not in path.read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_with_the_saved_output(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TASKS.parent), os.environ.get("PYTHONPATH", "")]))
    before = nbformat.read(path, 4)
    after = nbformat.read(path, 4)
    nbclient.NotebookClient(after, timeout=300, resources={"metadata": {"path": str(Path.cwd())}}).execute()
    for old, new in zip(before.cells, after.cells, strict=True):
        if old.cell_type == "code":
            outputs = [item for item in new.outputs if item.get("name") != "stderr"]
            assert [item.output_type for item in outputs] == [item.output_type for item in old.outputs]
            texts = [[item.get("text") for item in cell] for cell in (old.outputs, outputs)]
            assert texts[0] == texts[1]
