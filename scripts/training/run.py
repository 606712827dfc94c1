"""A training run: what was found, the net, the epochs, the result, and what to type next."""

import gc
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import DataModule
from lightfit.lightning import pl
from lightfit.lightning_modules import LightModel

from ..cli.devices import accelerator_and_devices, check_compiler
from ..cli.quiet import hush, say, speak
from .lightning_cli import LightFitCLI
from .net_views import log_graph, summarise
from .options import NOTHING, Extras
from .report import report
from .resume import other_batches
from .run_folder import claimed
from .signals import end_with_parent, in_words, is_child, terminable
from .threads import set_threads

if TYPE_CHECKING:
    from ..evaluation.scores import Evaluation

NO_ACTION = nullcontext()


class NoProfiler(pl.profilers.PassThroughProfiler):
    """Does nothing, as Lightning's own, but without a generator for each of the hundred actions of a step."""

    def profile(self, action_name: str) -> Any:
        """Measures nothing."""
        return NO_ACTION


def spare_profiler(trainer: Any) -> None:
    """Gives a trainer that is not to profile the cheaper way of not doing so."""
    if type(trainer.profiler) is pl.profilers.PassThroughProfiler:
        trainer.profiler = NoProfiler()


class Run(NamedTuple):
    """A run that ended: who did it, and what the best checkpoint scores, by part; no scores on other processes."""

    trainer: pl.Trainer
    model: LightModel
    data: DataModule
    evaluations: "dict[str, Evaluation]"


def build(
    task: str, args: list[str], *, gpus: str, quiet: bool, init: str = "strict", extras: Extras = NOTHING
) -> LightFitCLI:
    """Trainer, model and data of a LightningCLI command line, the data read.

    Args:
        task: name of the task, for the run folder.
        args: LightningCLI's.
        gpus: as in `accelerator_and_devices`.
        quiet: print the result alone.
        init: what to do about a checkpoint to go on with that is missing: strict, an error; auto, begin anew.
        extras: what flags of one's own add.

    Raises:
        UsageError: what was typed cannot be done.
    """
    hush()
    if not quiet:
        speak()
    cli = LightFitCLI([*args, *_placed(gpus, extras)], task=task, quiet=quiet, init=init, extras=extras)
    if extras.compile:
        check_compiler(cli.trainer.strategy.root_device.type)
    if is_child(cli.trainer):
        end_with_parent()
    spare_profiler(cli.trainer)
    data: DataModule = cli.datamodule
    data.setup()
    cli.example = next(iter(data.val_dataloader()))[0][:2]
    device_type = cli.trainer.strategy.root_device.type
    threads = set_threads(
        cli.model.net, cli.example, batch_size=data.batch_size, asked=extras.threads, device_type=device_type
    )
    if not quiet:
        say(threads)
        if cli.checkpoint and (line := other_batches(cli.checkpoint, data.batch_size, cli.trainer.world_size)):
            say(line)
    return cli


def _placed(gpus: str, extras: Extras) -> list[str]:
    args = [f"--trainer.strategy={extras.strategy}"] if extras.strategy else []
    if gpus != "auto":
        accelerator, devices = accelerator_and_devices(gpus, torch.cuda.device_count())
        args += [f"--trainer.accelerator={accelerator}", f"--trainer.devices={devices}"]
    return args


def train(task: str, cli: LightFitCLI, *, watchers: Sequence[pl.Callback] = ()) -> Run:
    """Trains what `build` made, into `runs/<task>/version_N`.

    Args:
        task: name of the task.
        cli: trainer, model and data.
        watchers: callbacks beside the configuration's.
    """
    # What is there by now stays: Python then looks through what the run makes alone, and often enough for flat memory.
    gc.freeze()
    try:
        with claimed(cli.trainer, new=not cli.config.ckpt_path):
            return _train(task, cli, watchers)
    finally:
        gc.unfreeze()


def _train(task: str, cli: LightFitCLI, watchers: Sequence[pl.Callback]) -> Run:
    trainer, model, data = cli.trainer, cli.model, cli.datamodule
    trainer.callbacks[:0] = watchers  # type: ignore[attr-defined]
    if trainer.is_global_zero:
        if not cli.quiet:
            print(data.describe())
            summarise(model.net, cli.example)
        log_graph(trainer, model.net, cli.example)
    if cli.extras.compile:
        model.net.compile()
    started = time.monotonic()
    with in_words(cli):
        trainer.fit(model, datamodule=data, ckpt_path=cli.config.ckpt_path, weights_only=True)
        seconds = time.monotonic() - started
        with terminable():
            evaluations = evaluate_best(trainer, model, data)
    if trainer.is_global_zero:
        from .card import write_card  # here, as with `evaluate_best`: what follows the training brings pictures

        report(trainer, model, data, seconds=seconds, test_scores=_scores(evaluations.get("test"), "test"))
        write_card(cli, evaluations, task=task, seconds=seconds)
    return Run(trainer, model, data, evaluations)


def evaluate_best(trainer: pl.Trainer, model: LightModel, data: DataModule) -> "dict[str, Evaluation]":
    """The best checkpoint on val and, where there is one, on the test part; nothing where there is no checkpoint."""
    from lightfit.callbacks.logs.sample_outputs import SampleOutputs

    from ..evaluation.scores import evaluate_test

    checkpoint = trainer.checkpoint_callback
    if not isinstance(checkpoint, pl.callbacks.ModelCheckpoint) or not checkpoint.best_model_path:
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


def _scores(evaluation: "Evaluation | None", part: str) -> dict[str, float]:
    return {} if evaluation is None else {f"{part}_{name}": evaluation.metrics[name] for name in evaluation.logged}
