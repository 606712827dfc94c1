"""The model card of a run, as Hugging Face has it: how to use it, data, training, evaluation, and limits.

The head is YAML, with the names of https://huggingface.co/docs/hub/model-cards, so that a card that is uploaded beside
a checkpoint is read there as it is.
"""

import hashlib
import math
import os
import platform
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from lightfit.callbacks.logs.run_folder import run_folder
from lightfit.datamodules import DataModule, LabelCodec
from lightfit.download import sha256_of
from lightfit.errors import clip_list
from lightfit.lightning import pl
from lightfit.lightning_modules import LightModel
from lightfit.platforms import name_processor
from lightfit.version import VERSION

from ..cli.arguments import name_flags
from ..cli.command import shorten_path
from ..cli.outputs import output_file
from ..cli.score_format import format_score
from ..evaluation.result import CANDIDATES, Evaluation
from .lightning_cli import LightFitCLI
from .record import name_data
from .report import describe, list_remarks, write_trust_flags

# What the hub calls a model of a domain and a kind of target.
PIPELINES = {
    ("text", "classes"): "text-classification",
    ("text", "multi_label"): "text-classification",
    ("images", "classes"): "image-classification",
    ("images", "multi_label"): "image-classification",
    ("series", None): "time-series-forecasting",
}
EXAMPLES = {"text": "'A text of your choice'", "images": "picture.jpg", "series": "table.csv"}
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
    title = f"{task}: {type(cli.model.net).__name__}"
    lines = [
        *("---", *_write_head(cli, evaluations, title).splitlines(), "---", ""),
        f"# {escape(title)}",
        "",
        f"Trained by LightFit {VERSION} on {datetime.now():%Y-%m-%d %H:%M}.",
        *("", "## How to use", "", *_describe_use(cli)),
        *("", "## Data", "", *_describe_data(cli.datamodule)),
        *(["", "## Warnings", "", *(f"- {escape(name_flags(warning))}" for warning in warnings)] if warnings else []),
        *("", "## Training", "", *_describe_training(cli.trainer, cli.model, str(cli.config.seed_everything), seconds)),
        *("", "## Evaluation", "", *_describe_results(evaluations)),
        *("", "## Limits", "", "Not meant for:", "", *(f"- {escape(line)}" for line in _list_limits(cli.datamodule))),
    ]
    with output_file(run_folder(cli.trainer) / "card.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is: names of classes and files may hold anything."""
    # An underscore within a word means nothing to Markdown.
    return re.sub(r"([\\`*\[\]<>|#~$&]|\b_|_\b)", r"\\\1", " ".join(text.split()))


def _write_head(cli: LightFitCLI, evaluations: Mapping[str, Evaluation], title: str) -> str:
    """Return the YAML of the card's head: what the model does, and its scores as `model-index`."""
    codec = getattr(cli.datamodule, "codec", None)
    domain = getattr(codec, "domain", "")
    kind = codec.target.kind if isinstance(codec, LabelCodec) else None
    pipeline = PIPELINES.get((domain, kind))
    data = name_data(cli.datamodule)
    results = [
        {
            "task": {"type": pipeline or "other"},
            "dataset": {"name": Path(data).name or data, "type": "local", "split": split},
            "metrics": [
                {"type": name, "name": name, "value": round(float(value), 6)}
                for name, value in evaluation.metrics.items()
                if math.isfinite(value)
            ],
        }
        for split, evaluation in evaluations.items()
    ]
    head: dict[str, Any] = {"library_name": "lightfit"}
    if pipeline:
        head["pipeline_tag"] = pipeline
    head["tags"] = ["pytorch-lightning", *([domain] if domain else []), type(cli.model.net).__name__]
    headlines = list(dict.fromkeys(own.headline for own in evaluations.values() if own.headline))
    if headlines:
        head["metrics"] = headlines
    if results:
        head["model-index"] = [{"name": title, "results": results}]
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)


def _describe_use(cli: LightFitCLI) -> Iterator[str]:
    checkpoint = cli.trainer.checkpoint_callback
    best = getattr(checkpoint, "best_model_path", "")
    if not best:
        yield "No checkpoint was saved."
        return
    run = run_folder(cli.trainer)
    path = Path(best)
    path = path.relative_to(run) if path.is_relative_to(run) else shorten_path(path)
    codec = getattr(cli.datamodule, "codec", None)
    example = EXAMPLES.get(getattr(codec, "domain", ""), "INPUT")
    flag = write_trust_flags(cli.model, cli.datamodule) if isinstance(cli.datamodule, DataModule) else ""
    yield "In this folder, with LightFit installed (the checkpoint holds all that is needed):"
    yield ""
    yield "```bash"
    yield f"lightfit predict '{path}' {example}{flag}"
    yield f"lightfit serve '{path}'{flag}"
    yield "```"


def _describe_data(data: pl.LightningDataModule) -> Iterator[str]:
    yield f"- {escape(describe(data))}"
    if not isinstance(data, DataModule):
        return
    raw = data.raw_path()
    name = escape(str(raw))
    yield f"- sha256 `{hash_files(raw)}` of {name}" if raw.exists() else f"- {name} no longer exists"
    classes = data.loaded.findings.tables.get("classes")
    if classes is None:
        return
    yield from ("", f"| {' | '.join(map(str, classes.columns))} |", f"| --- |{' ---: |' * (classes.shape[1] - 1)}")
    for row in classes.itertuples(index=False):
        yield f"| {' | '.join(escape(str(value)) if place == 0 else f'{value:,}' for place, value in enumerate(row))} |"


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
            yield f"| {split} | {evaluation.num_samples:,} | {name} | {escape(formatted)} |"
    for line in list_remarks(evaluations):
        yield from ("", f"{escape(line)}.")
    combined = next((own.tables[CANDIDATES] for own in evaluations.values() if CANDIDATES in own.tables), None)
    if combined is not None:
        yield from ("", "| forecaster | error on rolling origins | weight |", "| --- | --- | --- |")
        for name, error, weight in combined.itertuples(index=False):
            yield f"| {escape(str(name))} | {format_score(error)} | {format_score(weight)} |"


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
