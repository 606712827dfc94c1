"""The model card of a run: data, training, results, and uses it is not meant for."""

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lightfit.callbacks.logs.run_folder import run_folder
from lightfit.datamodules import DataModule, LabelCodec
from lightfit.download import sha256_of
from lightfit.errors import clip_list
from lightfit.lightning import pl
from lightfit.lightning_modules import LightModel
from lightfit.platforms import name_processor
from lightfit.version import VERSION

from ..cli.arguments import name_flags
from ..cli.outputs import output_file
from ..cli.score_format import format_score
from ..evaluation.result import CANDIDATES, Evaluation
from .lightning_cli import LightFitCLI
from .report import describe, list_remarks

PACKAGES = ("torch", "pytorch-lightning", "torchvision", "torchmetrics", "numpy", "pandas")


def write_card(cli: LightFitCLI, evaluations: Mapping[str, Evaluation], *, task: str, seconds: float) -> None:
    """Write `card.md` into the run folder, if there is one.

    Args:
        cli: trainer, model, data and configuration of the run.
        evaluations: evaluations of the best checkpoint, by split.
        task: name of the task.
        seconds: duration of the training, in seconds.
    """
    if not isinstance(cli.trainer.logger, pl.loggers.TensorBoardLogger | pl.loggers.CSVLogger):  # as in a fast_dev_run
        return
    warnings = cli.datamodule.loaded.findings.warnings if isinstance(cli.datamodule, DataModule) else ()
    lines = [
        f"# {task}: {type(cli.model.net).__name__}",
        "",
        f"Trained by LightFit {VERSION} on {datetime.now():%Y-%m-%d %H:%M}.",
        *("", "## Data", "", *_describe_data(cli.datamodule)),
        *(["", "## Warnings", "", *(f"- {name_flags(warning)}" for warning in warnings)] if warnings else []),
        *("", "## Training", "", *_describe_training(cli.trainer, cli.model, str(cli.config.seed_everything), seconds)),
        *("", "## Results", "", *_describe_results(evaluations)),
        *("", "## Not meant for", "", *(f"- {sentence}" for sentence in _list_limits(cli.datamodule))),
    ]
    with output_file(run_folder(cli.trainer) / "card.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _describe_data(data: pl.LightningDataModule) -> Iterator[str]:
    yield f"- {describe(data)}"
    if not isinstance(data, DataModule):
        return
    raw = data.raw_path()
    yield f"- sha256 `{hash_files(raw)}` of `{raw}`" if raw.exists() else f"- `{raw}` no longer exists"


def hash_files(path: Path) -> str:
    """Return the SHA-256 of a file, or of the `sha256sum` listing of all files below a folder, sorted by name."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = "".join(f"{hash_files(file)}  {file.relative_to(path).as_posix()}\n" for file in files)
        return hashlib.sha256(listed.encode()).hexdigest()
    return sha256_of(path)


def _describe_training(trainer: pl.Trainer, model: LightModel, seed: str, seconds: float) -> Iterator[str]:
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    yield f"- {type(model).__name__} around {type(model.net).__name__}, {num_parameters:,} parameters"
    yield f"- {trainer.current_epoch} epochs, {trainer.global_step} steps, {seconds:.1f} s; seed {seed}"
    yield f"- {describe_hardware(trainer)}; precision {trainer.precision}"
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    yield f"- Python {platform.python_version()}, {versions}"
    yield "- full configuration: `config.yaml` in this folder; metrics of each epoch: `history.csv`"


def describe_hardware(trainer: pl.Trainer) -> str:
    """Return a description of the devices of a trainer."""
    if trainer.strategy.root_device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(trainer.strategy.root_device)}"
    return f"{trainer.world_size} process on {os.cpu_count()} cores of {name_processor()}"


def _describe_results(evaluations: Mapping[str, Evaluation]) -> Iterator[str]:
    if not evaluations:
        yield "No checkpoint was saved, so there are no results."
        return
    yield "Scores of the best checkpoint by validation:"
    yield ""
    yield "| split | samples | metric | value |"
    yield "| --- | --- | --- | --- |"
    for split, evaluation in evaluations.items():
        for name, value in evaluation.metrics.items():
            formatted = (
                evaluation.format_headline().removeprefix(f"{name} ")
                if name == evaluation.headline
                else format_score(value)
            )
            yield f"| {split} | {evaluation.num_samples:,} | {name} | {formatted} |"
    for line in list_remarks(evaluations):
        yield from ("", f"{line}.")
    combined = next((own.tables[CANDIDATES] for own in evaluations.values() if CANDIDATES in own.tables), None)
    if combined is not None:
        yield from ("", "| forecaster | error on rolling origins | weight |", "| --- | --- | --- |")
        for name, error, weight in combined.itertuples(index=False):
            yield f"| {name} | {format_score(error)} | {format_score(weight)} |"


def _list_limits(data: pl.LightningDataModule) -> Iterator[str]:
    codec = getattr(data, "codec", None)
    if isinstance(codec, LabelCodec):
        if codec.target.kind == "classes":
            yield f"Inputs outside these {codec.num_classes} classes: each input gets one of them, even if none fits."
        elif codec.target.kind == "multi_label":
            yield f"Labels other than these {codec.num_classes}: an input with another one gets some of these, or none."
        else:
            yield (
                "Numbers far outside the range of the training data; and single decisions by a number alone: one in "
                "ten true values is expected outside the intervals, more on data of another kind."
            )
        yield (
            "Data of another kind or origin than the training data: the scores above do not apply to it; first "
            "evaluate the model on labelled data of that kind."
        )
        yield (
            "Decisions about people without human review: errors may be distributed unevenly over groups, which was "
            "not measured."
        )
    elif codec is not None and codec.domain == "series":
        state: Any = codec.state
        columns = clip_list([*state.roles.targets, *state.roles.past, *state.roles.known, *state.roles.static])
        yield (
            f"Forecasts of more than {codec.horizon} steps, of steps other than {state.calendar.name}, or of columns "
            f"other than {columns}."
        )
        yield "A future unlike the past: after a structural break, neither the scores above nor the intervals hold."
        yield "Decisions based on a single forecast: consider its interval, and compare it with the naive forecasts."
    else:
        yield "Data of another kind or origin than the training data: the scores above do not apply to it."
