"""A training run: what was found, the net, the epochs, the result, and what to type next."""

import contextlib
import copy
import io
import shlex
import time
import warnings
from pathlib import Path

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from datamodules import DataModule
from lightning_modules import LightModel
from scripts.cli import LightFitCLI
from scripts.devices import accelerator_and_devices
from scripts.errors import UsageError
from scripts.quiet import hush
from scripts.run_folder import check_writable

SCRIPTS = Path(__file__).resolve().parent


def train(task: str, args: list[str], *, gpus: str, quiet: bool) -> Trainer:
    """Trains with a LightningCLI command line, into `runs/<task>/version_N`; returns the trainer that did it.

    Raises:
        UsageError: what was typed cannot be done.
    """
    hush()
    if gpus != "auto":
        accelerator, devices = accelerator_and_devices(gpus, torch.cuda.device_count())
        args = [*args, f"--trainer.accelerator={accelerator}", f"--trainer.devices={devices}"]
    cli = LightFitCLI(args, task=task, quiet=quiet)
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
    try:
        trainer.fit(model, datamodule=data, ckpt_path=cli.config.ckpt_path)
    except MisconfigurationException as error:
        raise UsageError(str(error)) from error
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt(_how_to_go_on(trainer)) from None
    if trainer.is_global_zero:
        report(trainer, model, data, time.monotonic() - started)
    return trainer


def summarise(net: nn.Module, x: Tensor) -> None:
    """Prints torchkeras' summary of a net; `x` is a batch for it."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # On import torchkeras prints which of its optional packages are missing, and uses what torch deprecates.
        warnings.simplefilter("ignore")
        from torchkeras import summary
    summary(net, input_data=x)


def log_graph(trainer: Trainer, net: nn.Module, x: Tensor) -> None:
    """Writes the net's graph to TensorBoard, from a copy, so that the net and the random state stay as they are."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            with warnings.catch_warnings():
                # The tracer warns of what would make a trace wrong for other inputs; this one is only looked at.
                warnings.simplefilter("ignore")
                logger.experiment.add_graph(copy.deepcopy(net).eval(), x)


def report(trainer: Trainer, model: LightModel, data: DataModule, seconds: float) -> None:
    """Prints the best score, where everything is, and the commands that come next."""
    print(f"trained to epoch {trainer.current_epoch}, {trainer.global_step} steps, in {seconds:.1f} s")
    checkpoint, history = trainer.checkpoint_callback, model.history
    if not isinstance(checkpoint, ModelCheckpoint) or not checkpoint.best_model_path:
        return
    if checkpoint.monitor in history:
        scores = history[checkpoint.monitor]
        best = history.iloc[int(scores.argmin() if checkpoint.mode == "min" else scores.argmax())]
        values = ", ".join(f"{name} {best[name]:.4f}" for name in history.columns if name.startswith("val_"))
        print(f"best epoch {int(best['epoch'])}: {values}")
    path = _from_here(Path(checkpoint.best_model_path))
    print(f"checkpoint: {path}\n\nnext:")
    if trainer.logger is not None:
        print(f"  tensorboard --logdir {_from_here(Path(trainer.logger.save_dir or '.'))}")
    print(f"  python {_from_here(SCRIPTS)}/predict.py {shlex.quote(str(path))} {shlex.quote(data.example_input)}")


def _how_to_go_on(trainer: Trainer) -> str:
    checkpoint = trainer.checkpoint_callback
    last = checkpoint.last_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
    hint = f"the same command with --ckpt_path {_from_here(Path(last))} goes on" if last else "no epoch was finished"
    return f"interrupted in epoch {trainer.current_epoch}; {hint}"


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
