"""The folder that a run writes into, and tables in it."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from lightfit.files import whole_file
from lightfit.lightning import pl

from ..pictures.guard import say_once


def run_folder(trainer: pl.Trainer) -> Path:
    """Return the folder that a run writes into."""
    # As trainer.log_dir, which all processes would have to ask for at once; of other loggers the folder in which
    # Lightning's ModelCheckpoint saves, as their `save_dir` is that of all runs, or the working directory.
    logger: Any = trainer.logger
    if isinstance(logger, pl.loggers.TensorBoardLogger | pl.loggers.CSVLogger):
        folder = logger.log_dir
    elif logger is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
        folder = trainer.default_root_dir
    else:
        version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
        folder = os.path.join(logger.save_dir or trainer.default_root_dir, str(logger.name), version)
    if "://" in str(folder):
        raise ValueError(
            f"it writes to folders of this machine, and the run's is '{folder}': expected a logger with a local "
            "`save_dir`, or a local `default_root_dir`"
        )
    return Path(folder)


def make_run_folder(trainer: pl.Trainer, name: str = "") -> Path:
    """Make the folder that a run writes into, or one below it, and return it; say once where no logger names it."""
    folder = run_folder(trainer)
    if trainer.logger is None:
        say_once(
            trainer,
            f"LightFit's callbacks write into '{folder.absolute()}', the trainer's `default_root_dir`, as it has no "
            "logger",
        )
    (folder / name).mkdir(parents=True, exist_ok=True)
    return folder / name


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, under its final name only when it is whole."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False)
