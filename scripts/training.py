"""A training run: what was found, the net, the epochs, the result, and what to type next."""

import contextlib
import copy
import io
import shlex
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from callbacks.sample_outputs import SampleOutputs
from datamodules import DataModule
from lightning_modules import LightModel
from lightning_modules.checkpoint import read_checkpoint
from scripts.card import write_card
from scripts.cli import LightFitCLI
from scripts.devices import accelerator_and_devices
from scripts.errors import UsageError
from scripts.evaluation import Evaluation, evaluate_test
from scripts.quiet import hush, speak
from scripts.run_folder import check_writable

SCRIPTS = Path(__file__).resolve().parent


def train(task: str, args: list[str], *, gpus: str, quiet: bool, init: str = "strict") -> Trainer:
    """Trains with a LightningCLI command line, into `runs/<task>/version_N`; returns the trainer that did it.

    Args:
        task: name of the task, for the run folder.
        args: LightningCLI's.
        gpus: as in `accelerator_and_devices`.
        quiet: print the result alone.
        init: what to do about a checkpoint to go on with that is missing: strict, an error; auto, begin anew.

    Raises:
        UsageError: what was typed cannot be done.
    """
    hush()
    if not quiet:
        speak()
    if gpus != "auto":
        accelerator, devices = accelerator_and_devices(gpus, torch.cuda.device_count())
        args = [*args, f"--trainer.accelerator={accelerator}", f"--trainer.devices={devices}"]
    cli = LightFitCLI(args, task=task, quiet=quiet, init=init)
    trainer, model, data = cli.trainer, cli.model, cli.datamodule
    if trainer.is_global_zero:
        # One process alone: another one would find the folder there and take the next number.
        check_writable(Path(trainer.log_dir or "runs"))
    data.setup()
    x = next(iter(data.val_dataloader()))[0][:2]
    if trainer.is_global_zero:
        if not quiet:
            print(data.describe())
            summarise(model.net, x)
        log_graph(trainer, model.net, x)
    started = time.monotonic()
    _run(trainer, lambda: trainer.fit(model, datamodule=data, ckpt_path=cli.config.ckpt_path))
    seconds = time.monotonic() - started
    evaluations = evaluate_best(trainer, model, data)
    if trainer.is_global_zero:
        report(trainer, model, data, seconds=seconds, test_scores=_scores(evaluations.get("test"), "test"))
        write_card(cli, evaluations, task=task, seconds=seconds)
    return trainer


def _run(trainer: Trainer, fit: Callable[[], None]) -> None:
    try:
        fit()
    except MisconfigurationException as error:
        raise UsageError(str(error)) from error
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt(_how_to_go_on(trainer)) from None


def evaluate_best(trainer: Trainer, model: LightModel, data: DataModule) -> dict[str, Evaluation]:
    """The best checkpoint on val and, where there is one, on the test part; nothing where there is no checkpoint."""
    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, ModelCheckpoint) or not checkpoint.best_model_path:
        return {}
    # Not ckpt_path: Lightning's WeightAveraging would then test the weights that were not averaged.
    model.load_state_dict(read_checkpoint(checkpoint.best_model_path)["state_dict"])
    test_part, callbacks, loggers = data.test_data, trainer.callbacks, trainer.loggers  # type: ignore[attr-defined]
    evaluations: dict[str, Evaluation | None] = {}
    if test_part is not None:
        trainer.callbacks = [*callbacks, SampleOutputs()]  # type: ignore[attr-defined]
        evaluations["test"] = evaluate_test(trainer, model, data)
    # Of val nothing is drawn or logged: the run has done so at the end of the epoch.
    trainer.callbacks, trainer.loggers = [SampleOutputs()], []  # type: ignore[attr-defined]
    data.test_on(data.val_data)
    evaluations["val"] = evaluate_test(trainer, model, data)
    trainer.callbacks, trainer.loggers, data.test_data = callbacks, loggers, test_part  # type: ignore[attr-defined]
    return {part: evaluation for part, evaluation in evaluations.items() if evaluation is not None}


def _scores(evaluation: Evaluation | None, part: str) -> dict[str, float]:
    return {} if evaluation is None else {f"{part}_{name}": evaluation.metrics[name] for name in evaluation.logged}


def summarise(net: nn.Module, x: Tensor) -> None:
    """Prints torchkeras' summary of a net; `x` is a batch for it.

    Of a copy, and with a random state of its own: the summary runs the net, and a run is the same without it.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # On import torchkeras prints which of its optional packages are missing, and uses what torch deprecates.
        warnings.simplefilter("ignore")
        from torchkeras import summary
    with torch.random.fork_rng(devices=[]):
        summary(copy.deepcopy(net).eval(), input_data=x)


def log_graph(trainer: Trainer, net: nn.Module, x: Tensor) -> None:
    """Writes the net's graph to TensorBoard, from a copy, so that the net and the random state stay as they are."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            with warnings.catch_warnings():
                # The tracer warns of what would make a trace wrong for other inputs; this one is only looked at.
                warnings.simplefilter("ignore")
                logger.experiment.add_graph(copy.deepcopy(net).eval(), x)


def report(
    trainer: Trainer, model: LightModel, data: DataModule, *, seconds: float, test_scores: dict[str, float]
) -> None:
    """Prints the best score, what the data has to remark, where everything is, and the commands that come next."""
    print(f"trained to epoch {trainer.current_epoch}, {trainer.global_step} steps, in {seconds:.1f} s")
    epoch, val_scores = best_epoch(trainer, model.history)
    if val_scores:
        print(f"best epoch {epoch}: {_in_words(val_scores)}")
    if test_scores:
        print(f"its test part: {_in_words(test_scores)}")
    for line in data.remarks(val_scores | test_scores):
        print(line)
    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, ModelCheckpoint) or not checkpoint.best_model_path:
        return
    path = _from_here(Path(checkpoint.best_model_path))
    print(f"checkpoint: {path}\n\nnext:")
    if trainer.logger is not None:
        print(f"  tensorboard --logdir {_from_here(Path(trainer.logger.save_dir or '.'))}")
    for script, words in (("evaluate", ""), ("predict", f" {shlex.quote(data.example_input)}")):
        print(f"  python {_from_here(SCRIPTS)}/{script}.py {shlex.quote(str(path))}{words}")


def best_epoch(trainer: Trainer, history: pd.DataFrame) -> tuple[int, dict[str, float]]:
    """The epoch whose checkpoint was kept as the best, and its scores in validation; none where there is no such."""
    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, ModelCheckpoint) or checkpoint.monitor not in history:
        return 0, {}
    monitored = history[checkpoint.monitor]
    best = history.iloc[int(monitored.argmin() if checkpoint.mode == "min" else monitored.argmax())]
    return int(best["epoch"]), {name: float(best[name]) for name in history.columns if name.startswith("val_")}


def _in_words(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def _how_to_go_on(trainer: Trainer) -> str:
    checkpoint = trainer.checkpoint_callback
    last = checkpoint.last_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
    hint = f"the same command with --ckpt_path {_from_here(Path(last))} goes on" if last else "no epoch was finished"
    return f"interrupted in epoch {trainer.current_epoch}; {hint}"


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
