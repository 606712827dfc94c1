"""A training run: build trainer, model and data, train, and evaluate the best checkpoint."""

import gc
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from lightfit.callbacks.logs.run_folder import run_folder, write_csv
from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import DataModule
from lightfit.errors import UsageError
from lightfit.lightning import pl
from lightfit.lightning_modules import LightModel

from ..cli.arguments import name_flags
from ..cli.devices import check_compiler, parse_gpus
from ..cli.quiet import hush, say, speak
from .cost import describe_cost
from .lightning_cli import LightFitCLI, read_data
from .net_views import log_graph, summarise
from .options import NOTHING, Extras
from .record import RunRecord
from .report import describe, list_findings, report
from .resume import describe_batch_change
from .run_folder import claim_run_folder
from .signals import end_on_sigterm, end_with_parent, explain_errors, is_child
from .threads import set_threads

if TYPE_CHECKING:
    from ..evaluation.result import Evaluation

NO_ACTION = nullcontext()
TIMED = 16  # texts of the batch that is timed


class NoProfiler(pl.profilers.PassThroughProfiler):
    """A profiler that does nothing, like Lightning's, but without a generator for each of a hundred actions a step."""

    def profile(self, action_name: str) -> Any:
        """Return a context manager that does nothing."""
        return NO_ACTION


def spare_profiler(trainer: Any) -> None:
    """Replace the profiler of a trainer without profiling by a cheaper one."""
    if type(trainer.profiler) is pl.profilers.PassThroughProfiler:
        trainer.profiler = NoProfiler()


class Run(NamedTuple):
    """A finished run, with the evaluations of the best checkpoint by split; empty on ranks above 0."""

    trainer: pl.Trainer
    model: LightModel
    data: pl.LightningDataModule
    evaluations: "dict[str, Evaluation]"


def build(
    task: str, args: list[str], *, gpus: str, quiet: bool, init: str = "strict", extras: Extras = NOTHING
) -> LightFitCLI:
    """Build trainer, model and data from a LightningCLI command line, and read the data.

    Args:
        task: name of the task, for the run folder.
        args: arguments of LightningCLI.
        gpus: as in `parse_gpus`.
        quiet: print only the result.
        init: what to do if the checkpoint to resume from is missing: strict, raise; auto, train from scratch.
        extras: what the flags of LightFit add to the configuration.

    Raises:
        UsageError: the arguments are invalid.
    """
    hush()
    if not quiet:
        speak()
    cli = LightFitCLI([*args, *_build_device_args(gpus, extras)], task=task, quiet=quiet, init=init, extras=extras)
    if extras.compile:
        check_compiler(cli.trainer.strategy.root_device.type)
    if is_child(cli.trainer):
        end_with_parent()
    spare_profiler(cli.trainer)
    read_data(cli.datamodule)
    if extras.keep_examples is not None:
        keep_examples(cli.datamodule, extras.keep_examples)
    if not has_split(cli.datamodule, "val"):
        monitor_training(cli.trainer)
    if getattr(getattr(cli.datamodule, "codec", None), "ngrams", None) and not getattr(
        cli.model.net, "takes_ngrams", False
    ):
        say(
            f"warning: the texts are sets of n-grams without order, for nets such as NgramBag, and the net is "
            f"{type(cli.model.net).__name__}: set --data.ngrams 1 for a net of words in order"
        )
    cli.example = take_example(cli.datamodule)
    batch_size, device_type = getattr(cli.datamodule, "batch_size", None), cli.trainer.strategy.root_device.type
    threads = set_threads(
        cli.model.net, cli.example, batch_size=batch_size or 1, asked=extras.threads, device_type=device_type
    )
    if not quiet:
        say(threads)
        if cli.checkpoint is None and (line := _describe_cost(cli, device_type)):
            say(line)
        if (
            cli.checkpoint
            and batch_size
            and (line := describe_batch_change(cli.checkpoint, batch_size, cli.trainer.world_size))
        ):
            say(line)
    return cli


def keep_examples(data: pl.LightningDataModule, count: int) -> None:
    """Keep training samples in the codec.

    Raises:
        UsageError: the data has no codec.
        ValueError, DataError: as `DataModule.keep_examples`.
    """
    if not isinstance(data, DataModule):
        raise UsageError(
            f"--keep_examples keeps samples in the codec, and {type(data).__name__} has none: derive it from "
            "lightfit.DataModule, or leave --keep_examples out"
        )
    data.keep_examples(count)


def _describe_cost(cli: LightFitCLI, device_type: str) -> str:
    """Return what the training costs, of an encoder of texts; "" for others."""
    data = cli.datamodule
    if not isinstance(data, DataModule) or not hasattr(cli.model.net, "encoder_argument"):
        return ""
    batch = next(iter(data.dataloader("train", shuffle=False)))[0][:TIMED]
    epochs = cli.trainer.max_epochs or 1
    return describe_cost(cli.model.net, data, cli.model.finetune, batch, epochs=epochs, device_type=device_type)


def monitor_training(trainer: pl.Trainer) -> None:
    """Select the best checkpoint by the training loss, for data without val that would give no val_loss."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if getattr(callback, "monitor", None) == "val_loss":
            callback.monitor = "loss"
            if isinstance(callback, pl.callbacks.ModelCheckpoint):
                callback.filename = str(callback.filename).replace("val_loss", "loss")
                say("the data has no val split: the best checkpoint is that of the lowest training loss")


def take_example(data: pl.LightningDataModule) -> Tensor | None:
    """Return two encoded samples of the first validation batch, or of the first training batch without val.

    None if the batches are not `(x, y)` with a tensor x.
    """
    loader: Any = data.val_dataloader() if has_split(data, "val") else data.train_dataloader()
    batch = next(iter(loader), None)
    x = batch[0] if isinstance(batch, (tuple, list)) and batch else None
    return x[:2] if isinstance(x, Tensor) else None


def _build_device_args(gpus: str, extras: Extras) -> list[str]:
    args = [f"--trainer.strategy={extras.strategy}"] if extras.strategy else []
    if gpus != "auto":
        accelerator, devices = parse_gpus(gpus, torch.cuda.device_count())
        args += [f"--trainer.accelerator={accelerator}", f"--trainer.devices={devices}"]
    return args


def train(task: str, cli: LightFitCLI, *, watchers: Sequence[pl.Callback] = ()) -> Run:
    """Train what `build` returned, into `runs/<task>/version_N`.

    Args:
        task: name of the task.
        cli: trainer, model and data.
        watchers: further callbacks, beside those of the configuration.
    """
    # Existing objects live as long as the run, so the garbage collector only needs to visit new ones.
    gc.freeze()
    try:
        with claim_run_folder(cli.trainer, new=not cli.config.ckpt_path):
            return _train(task, cli, watchers)
    finally:
        gc.unfreeze()


def _train(task: str, cli: LightFitCLI, watchers: Sequence[pl.Callback]) -> Run:
    trainer, model, data = cli.trainer, cli.model, cli.datamodule
    trainer.callbacks[:0] = watchers  # type: ignore[attr-defined]
    if trainer.is_global_zero:
        if not cli.quiet:
            print("\n".join(name_flags(line) for line in (describe(data), *list_findings(data))))
            if cli.example is not None:
                summarise(model.net, cli.example)
        if cli.example is not None:
            log_graph(trainer, model.net, cli.example)
    if cli.extras.compile:
        model.net.compile()
    record = RunRecord(cli, task) if trainer.is_global_zero else None
    if record is not None:
        record.begin()
    started = time.monotonic()
    with explain_errors(cli):
        trainer.fit(model, datamodule=data, ckpt_path=cli.config.ckpt_path, weights_only=True)
        seconds = time.monotonic() - started
        with end_on_sigterm():
            evaluations = evaluate_best(trainer, model, data)
    if record is not None:
        from .card import write_card  # here, as with `evaluate_best`: what follows the training brings pictures

        report(trainer, model, data, seconds=seconds, evaluations=evaluations)
        write_card(cli, evaluations, task=task, seconds=seconds)
        record.finish(evaluations, seconds=seconds)
        log_settings(trainer, {"task": task, **record.held["settings"]}, evaluations)
        write_most_wrong(trainer, evaluations)
        write_series(trainer, evaluations)
    return Run(trainer, model, data, evaluations)


def log_settings(trainer: pl.Trainer, settings: dict[str, Any], evaluations: "Mapping[str, Evaluation]") -> None:
    """Log what the command line set with the scores of the best checkpoint, for TensorBoard's page HPARAMS.

    The headline of the test split comes first, or else that of val.
    """
    scores: dict[str, float] = {}
    for split, own in sorted(evaluations.items()):  # test before val
        names = [own.headline, *own.logged] if own.headline else list(own.logged)
        scores |= {f"best_{split}_{name}": own.metrics[name] for name in names if name in own.metrics}
    for logger in trainer.loggers:
        if isinstance(logger, pl.loggers.TensorBoardLogger) and scores:
            logger.log_hyperparams(settings, scores)
            logger.save()
            logger.experiment.flush()


def write_most_wrong(trainer: pl.Trainer, evaluations: "dict[str, Evaluation]") -> None:
    """Write `most_wrong.csv` of the best checkpoint's validation into the run folder, not of series."""
    from lightfit.callbacks.pictures.most_wrong import FILE

    if trainer.logger is not None and "val" in evaluations and evaluations["val"].wrong is not None:
        write_csv(evaluations["val"].wrong, run_folder(trainer) / FILE)


def write_series(trainer: pl.Trainer, evaluations: "dict[str, Evaluation]") -> None:
    """Write what evaluations of series tell in tables into the run folder.

    `series.csv` has the scores of each series in the test split, or else in val; `forecasters.csv` the forecasters that
    the net combines.
    """
    from ..evaluation.result import CANDIDATES

    combined = next((own.tables[CANDIDATES] for own in evaluations.values() if CANDIDATES in own.tables), None)
    if trainer.logger is not None and combined is not None:
        write_csv(combined, run_folder(trainer) / f"{CANDIDATES}.csv")

    table = next((evaluations[split].series for split in ("test", "val") if split in evaluations), None)
    if trainer.logger is not None and table is not None:
        write_csv(table, run_folder(trainer) / "series.csv")


def has_split(data: pl.LightningDataModule, split: str) -> bool:
    """Return whether a DataModule that is set up has a split."""
    if isinstance(data, DataModule):
        return split in data.splits
    name = f"{split}_dataloader"
    return getattr(type(data), name) is not getattr(pl.LightningDataModule, name)


def evaluate_best(trainer: pl.Trainer, model: LightModel, data: pl.LightningDataModule) -> "dict[str, Evaluation]":
    """Evaluate the best checkpoint on the val and test splits that exist; return nothing without a checkpoint."""
    from lightfit.callbacks.logs.sample_outputs import SampleOutputs

    from ..evaluation.scores import evaluate_split

    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, pl.callbacks.ModelCheckpoint) or not checkpoint.best_model_path:
        return {}
    # With ckpt_path, Lightning's WeightAveraging would test the weights before averaging.
    model.load_state_dict(read_checkpoint(checkpoint.best_model_path)["state_dict"])
    callbacks, loggers = trainer.callbacks, trainer.loggers  # type: ignore[attr-defined]
    evaluations: dict[str, Evaluation | None] = {}
    if has_split(data, "test"):
        if not isinstance(data, DataModule):
            data.setup("test")  # LightFit's DataModules read all splits at once
        trainer.callbacks = [*callbacks, SampleOutputs()]  # type: ignore[attr-defined]
        evaluations["test"] = evaluate_split(trainer, model, data, "test")
    if has_split(data, "val") and not _has_several_loaders(data):
        # Nothing is drawn or logged for val, as this was done at the end of the epoch.
        trainer.callbacks, trainer.loggers = [SampleOutputs()], []  # type: ignore[attr-defined]
        evaluations["val"] = evaluate_split(trainer, model, data, "val")
    trainer.callbacks, trainer.loggers = callbacks, loggers  # type: ignore[attr-defined]
    return {split: evaluation for split, evaluation in evaluations.items() if evaluation is not None}


def _has_several_loaders(data: pl.LightningDataModule) -> bool:
    # Lightning logs no metric of one loader and of several in the same trainer; the epochs' scores are in the history.
    return not isinstance(data, DataModule) and isinstance(data.val_dataloader(), (list, tuple, dict))
