"""Cross-validation: each sample is predicted once, by a model that was not trained on it."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from lightfit.callbacks.logs.run_folder import run_folder, write_csv
from lightfit.callbacks.pictures.forecast_plot import get_forecast, get_point
from lightfit.datamodules import Codec, DataModule, LabelCodec, LabelSets, Numbers, SeriesCodec
from lightfit.errors import UsageError
from lightfit.extras import how_to_install
from lightfit.scripts.cli.command import shorten_path

from .label_errors import PACKAGE, find_label_errors
from .options import Extras
from .run import Run, build, train


def cross_validate(task: str, args: list[str], folds: int, *, gpus: str, quiet: bool, extras: Extras) -> None:
    """Train a model for each fold, with that fold as val, and summarise the scores.

    Writes into `runs/<task>/folds_N`: a run folder for each fold, `folds.csv` with the scores, their mean and standard
    deviation, `out_of_fold.csv` with the predictions for each sample, and of classes `label_errors.csv` with the
    labels that are probably wrong.

    Args:
        task: name of the task.
        args: arguments of LightningCLI.
        folds: number of folds.
        gpus: as in `parse_gpus`.
        quiet: print only the result.
        extras: what the flags of LightFit add to the configuration.

    Raises:
        UsageError: the arguments are invalid.
    """
    if any("ckpt_path" in item or item.startswith("--data.fold") for item in args):
        raise UsageError("--folds trains each fold from scratch: leave out --ckpt_path and --data.fold")
    index = next(index for index in itertools.count() if not Path("runs", task, f"folds_{index}").exists())
    outputs: list[Probabilities | None] = []
    scores, predictions, folder = [], [], Path()
    for fold in range(1, folds + 1):
        version = f"folds_{index}/fold_{fold}"
        own = [f"--data.fold={fold}/{folds}", f"--trainer.logger.version={version}"]
        print(f"fold {fold} of {folds}", flush=True)
        cli = build(task, [*args, *own], gpus=gpus, quiet=quiet, extras=extras)
        run = train(task, cli)
        if run.trainer.is_global_zero:
            folder = run_folder(run.trainer).parent
            scores.append({"fold": str(fold)} | run.evaluations["val"].metrics)
            predictions.append(collect_out_of_fold(run).assign(fold=fold))
            outputs.append(collect_probabilities(run))
    if scores:
        table = add_mean(pd.DataFrame(scores))
        write_csv(table, folder / "folds.csv")
        write_csv(pd.concat(predictions, ignore_index=True), folder / "out_of_fold.csv")
        print(f"\n{table.to_string(index=False, float_format='{:.4f}'.format)}")
        print(f"\nwritten: {shorten_path(folder / 'folds.csv')}, {shorten_path(folder / 'out_of_fold.csv')}")
        report_label_errors(outputs, folder / "label_errors.csv")


class Probabilities(NamedTuple):
    """What a fold's best checkpoint predicts for its val samples, of a classifier."""

    probabilities: Tensor  # (N, num_classes)
    labels: Tensor  # (N,) int64
    places: list[str]
    names: list[str]  # of the classes


def collect_probabilities(run: Run) -> Probabilities | None:
    """Return the probabilities of a fold's val samples; None where the targets are no classes."""
    outputs = run.evaluations["val"].outputs
    assert isinstance(run.data, DataModule)
    if not isinstance(run.data.codec, LabelCodec) or "prediction" in outputs or not {"preds", "target"} <= set(outputs):
        return None
    return Probabilities(
        outputs["preds"], outputs["target"], run.data.find_places("val"), list(run.data.codec.class_names)
    )


def report_label_errors(folds: Sequence[Probabilities | None], path: Path) -> None:
    """Write the labels that are probably wrong, and say how many there are, or what is needed to find them.

    Args:
        folds: what each fold predicts.
        path: the table to write.
    """
    known = [fold for fold in folds if fold is not None]
    if len(known) < len(folds) or len({tuple(fold.names) for fold in known}) != 1:
        return
    table = find_label_errors(
        torch.cat([fold.probabilities for fold in known]),
        torch.cat([fold.labels for fold in known]),
        [place for fold in known for place in fold.places],
        known[0].names,
    )
    if table is None:
        print(f"labels that are probably wrong are found with {PACKAGE}: {how_to_install('labels')}")
        return
    write_csv(table, path)
    print(f"{len(table):,} labels are probably wrong: {shorten_path(path)}")


def add_mean(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of the folds with two more rows: mean and standard deviation over the folds."""
    values = scores.drop(columns="fold")
    summary = pd.DataFrame([{"fold": "mean"} | values.mean().to_dict(), {"fold": "std"} | values.std().to_dict()])
    return pd.concat([scores, summary], ignore_index=True)


def collect_out_of_fold(run: Run) -> pd.DataFrame:
    """Return the predictions of a fold's best checkpoint for its val samples, with the place of each in the data."""
    assert isinstance(run.data, DataModule)  # other ones have no argument `fold`
    outputs = run.evaluations["val"].outputs
    return pd.DataFrame({"sample": run.data.find_places("val")}).join(tabulate(outputs, run.data.codec))


def tabulate(outputs: Mapping[str, Tensor], codec: Codec) -> pd.DataFrame:
    """Tabulate predictions with a row for each sample.

    The columns are, for classes: `label`, `predicted`, and the probability of each class; for sets of labels: `labels`,
    `predicted`, and the probability of each label; for numbers: `<name>`, and `predicted_<name>` with the ends of its
    interval; for series: the forecasts
    `<target>_<step>`, in the units of the table or of its differences; otherwise `prediction_<k>` and `target_<k>`, as
    far as the model returns them.

    Args:
        outputs: outputs by name: `preds` (N, num_classes) and `target` (N,); `forecast` (N, P, C) or (N, P, C, Q); or
            `prediction` of sets of labels or numbers, with `y`.
        codec: the codec, with the names of the classes, or the scaling.
    """
    if isinstance(codec, LabelCodec) and "prediction" in outputs and isinstance(codec.target, LabelSets):
        prediction, names = outputs["prediction"], codec.target.names
        chosen = {"labels": outputs["y"] > 0.5, "predicted": prediction[..., 0] >= prediction[..., 1]}
        sets = pd.DataFrame({title: codec.target.join(own) for title, own in chosen.items()})
        return sets.join(pd.DataFrame(prediction[..., 0].numpy(), columns=names).add_prefix("probability_"))
    if isinstance(codec, LabelCodec) and "prediction" in outputs and isinstance(codec.target, Numbers):
        true = pd.DataFrame(codec.target.unscale(outputs["y"]).numpy(), columns=codec.target.names)
        return true.join(pd.DataFrame(codec.target.decode(outputs["prediction"])).add_prefix("predicted_"))
    if isinstance(codec, LabelCodec) and {"preds", "target"} <= set(outputs):
        probabilities, names = outputs["preds"], codec.class_names
        indices = {"label": outputs["target"], "predicted": probabilities.argmax(1)}
        columns = {title: [names[index] for index in column.tolist()] for title, column in indices.items()}
        return pd.DataFrame(columns).join(pd.DataFrame(probabilities.numpy(), columns=names).add_prefix("probability_"))
    if isinstance(codec, SeriesCodec) and "forecast" in outputs:
        point = codec.unscale(get_point(get_forecast(outputs).float()))
        names = [f"{target}_{step + 1}" for step in range(codec.horizon) for target in codec.target_names]
        return pd.DataFrame(point.flatten(1).numpy(), columns=names)
    kept = {"prediction": outputs.get("preds"), "target": outputs.get("target")}
    tables = [
        pd.DataFrame(values.reshape(len(values), -1).numpy()).add_prefix(f"{name}_")
        for name, values in kept.items()
        if values is not None
    ]
    return pd.concat(tables, axis=1) if tables else pd.DataFrame()
