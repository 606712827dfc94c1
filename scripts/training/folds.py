"""Cross-validation: every sample is predicted once by a model that was not trained on it."""

import itertools
from pathlib import Path

import pandas as pd

from lightfit.callbacks.pictures.plots import run_folder, write_csv
from lightfit.errors import UsageError
from lightfit.scripts.cli.command import from_here

from .options import Extras
from .run import Run, build, train


def cross_validate(task: str, args: list[str], folds: int, *, gpus: str, quiet: bool, extras: Extras) -> None:
    """Trains `folds` times, each with another part as validation, and sums up.

    Writes into `runs/<task>/folds_N`: a run folder for each fold, `folds.csv` with the scores, their mean and spread,
    and `out_of_fold.csv` with the predictions for every sample.

    Args:
        task: name of the task.
        args: LightningCLI's.
        folds: number of folds.
        gpus: as in `accelerator_and_devices`.
        quiet: print the result alone.
        extras: what flags of one's own add.

    Raises:
        UsageError: what was typed cannot be done.
    """
    if any("ckpt_path" in item or item.startswith("--data.fold") for item in args):
        raise UsageError("--folds begins anew with every fold: leave out --ckpt_path and --data.fold")
    number = next(number for number in itertools.count() if not Path("runs", task, f"folds_{number}").exists())
    scores, predictions, folder = [], [], Path()
    for fold in range(1, folds + 1):
        version = f"folds_{number}/fold_{fold}"
        own = [f"--data.fold={fold}/{folds}", f"--trainer.logger.version={version}"]
        print(f"fold {fold} of {folds}", flush=True)
        cli = build(task, [*args, *own], gpus=gpus, quiet=quiet, extras=extras)
        run = train(task, cli)
        if run.trainer.is_global_zero:
            folder = run_folder(run.trainer).parent
            scores.append({"fold": str(fold)} | run.evaluations["val"].metrics)
            predictions.append(out_of_fold(run).assign(fold=fold))
    if scores:
        table = with_mean(pd.DataFrame(scores))
        write_csv(table, folder / "folds.csv")
        write_csv(pd.concat(predictions, ignore_index=True), folder / "out_of_fold.csv")
        print(f"\n{table.to_string(index=False, float_format='{:.4f}'.format)}")
        print(f"\nwritten: {from_here(folder / 'folds.csv')}, {from_here(folder / 'out_of_fold.csv')}")


def with_mean(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of the folds with two rows more: their mean, and their standard deviation from fold to fold."""
    values = scores.drop(columns="fold")
    summary = pd.DataFrame([{"fold": "mean"} | values.mean().to_dict(), {"fold": "std"} | values.std().to_dict()])
    return pd.concat([scores, summary], ignore_index=True)


def out_of_fold(run: Run) -> pd.DataFrame:
    """What a fold's best checkpoint says of its validation part: where each sample stands, and its predictions."""
    outputs, places = run.evaluations["val"].outputs, run.data.val_places()
    return pd.DataFrame({"sample": places}).join(run.data.tabulate(outputs))
