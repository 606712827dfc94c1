"""LightningCLI with presets, a run folder, and the sizes of the net linked from the data."""

import inspect
import re
import time
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, dict_to_namespace
from torch import Tensor

from lightfit.callbacks import (
    BestAndLast,
    CheckpointEvery,
    EpochLines,
    ExactResume,
    FinalMetric,
    FiniteLoss,
    HistoryFiles,
    StopOnSignal,
)
from lightfit.datamodules import DataModule
from lightfit.errors import DataError, UsageError
from lightfit.lightning import part, pl
from lightfit.lightning_modules import LightModel
from lightfit.trust import import_name

from ..cli.arguments import find_flags, register_flags
from ..cli.devices import has_bfloat16
from ..cli.help import HELP, USAGE
from ..cli.keys import SIZES, TOLD, refuse_linked
from ..cli.lightning_parser import LightningArgumentParser, LightningCLI
from ..cli.parsing import explain, spell_nulls, unwrap
from ..cli.quiet import say
from .options import NOTHING, Extras, flag_names
from .resume import RunConfig, checkpoint_of, go_on_in, going_on, read_usable, refuse_changes

CHECKPOINT = {
    "monitor": "val_loss",
    "filename": "best-{epoch:02d}-{val_loss:.4f}",
    "save_last": True,
    # A run that goes on writes the same files again: what was saved after the checkpoint is made anew.
    "enable_version_counter": False,
    # After the epoch's row is in the history, so that a resumed run has it.
    "save_on_train_epoch_end": True,
}


def build_trainer_defaults(task: str, extras: Extras, *, quiet: bool) -> dict[str, Any]:
    """Return the arguments of the Trainer that the configuration may override."""
    every = extras.checkpoint_every
    savers = [CheckpointEvery(steps=every[0], seconds=every[1])] if every else []
    return {
        "callbacks": [
            *(HistoryFiles(), FinalMetric(), EpochLines(quiet=quiet)),
            *(ExactResume(), FiniteLoss(extras.on_nan), *savers, StopOnSignal()),
        ],
        "logger": {
            "class_path": f"{pl.__name__}.loggers.TensorBoardLogger",
            "init_args": {"save_dir": "runs", "name": task, "default_hp_metric": False},
        },
        "enable_model_summary": False,
    }


MISSING = object()  # what no data knows


class LightFitCLI(LightningCLI):
    """Build trainer, model and data from a command line; the caller runs them.

    Raises:
        UsageError: the line does not parse, or an argument is refused by the class that takes it.
    """

    example: Tensor | None = None  # two samples, as the net takes them, once the data is read
    command: Sequence[str] = ()  # what was typed, to print the command that resumes
    checkpoint: Mapping[str, Any] | None = None  # what is in the one that the run is resumed from

    def __init__(
        self, args: list[str], *, task: str, quiet: bool = False, init: str = "strict", extras: Extras = NOTHING
    ) -> None:
        self.quiet, self.init, self.extras = quiet, init, extras
        self._taken: dict[str, inspect.Parameter] = {}  # by the net, once it is known
        refuse_linked(args)
        try:
            super().__init__(
                LightModel,
                pl.LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                run=False,
                args=spell_nulls(args),
                seed_everything_default=0,
                auto_configure_optimizers=False,
                trainer_defaults=build_trainer_defaults(task, extras, quiet=quiet),
                save_config_callback=RunConfig,
                save_config_kwargs={"overwrite": True},  # a resumed run writes into its own folder again
                parser_kwargs={"exit_on_error": False, "allow_abbrev": False, "description": HELP, "usage": USAGE},
            )
        except ArgumentError as error:
            raise UsageError(explain(str(error), self._list_options())) from error
        except part("utilities.exceptions").MisconfigurationException as error:
            raise UsageError(str(error)) from error
        except (TypeError, ValueError) as error:
            cause = unwrap(error)
            if isinstance(cause, (DataError, UsageError)) or not isinstance(cause, (TypeError, ValueError)):
                raise cause from None
            raise UsageError(explain(str(cause), self._list_options())) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add `--checkpoint.*` and `--ckpt_path`, and link what comes from the data and the seed."""
        parser.add_lightning_class_args(BestAndLast, "checkpoint")
        parser.set_defaults({f"checkpoint.{name}": value for name, value in CHECKPOINT.items()})
        parser.add_argument("--tune", type=dict | None, default=None, help="What scripts/tune.py tries.")
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to resume from.")
        for size in SIZES:
            parser.link_arguments(
                "data",
                f"model.init_args.net.init_args.{size}",
                partial(find_net_size, name=size, taken=self._taken),
                apply_on="instantiate",
            )
        for name in TOLD:
            parser.link_arguments(
                "data", f"model.init_args.{name}", partial(find_model_argument, name=name), apply_on="instantiate"
            )
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)
        parser.link_arguments(
            ("model.init_args.loss", "model.init_args.quantiles"),
            "model.init_args.net.init_args.num_quantiles",
            compute_fn=lambda loss, quantiles: len(quantiles) if loss == "quantile" else 1,
        )

    def before_instantiate_classes(self) -> None:
        """Prepare the precision and, of a resumed run, its folder; refuse other values than its checkpoint's."""
        self._keep_own_sampler()
        self._note_parameters()
        self._avoid_bfloat16()
        self._dump_config()
        # Lightning notes the sizes that the data tells the net here, and fails where there is no place for them.
        arguments = self.config_dump["model"].setdefault("init_args", {})
        arguments["net"] = {"init_args": {}} | (arguments.get("net") or {})
        self._resume()
        self._add_extras()

    def _resume(self) -> None:
        """Where a run is to go on: finds its checkpoint, and refuses other values than the checkpoint's."""
        config = self.config
        if self.extras.resume:
            if config.ckpt_path:
                raise UsageError("--resume and --ckpt_path both say what to go on from: give one of them")
            config.ckpt_path = checkpoint_of(self.extras.resume, config)
            if config.ckpt_path is None:
                self._print("no run to go on with: a new one begins, as --resume auto says")
        if self.init == "auto" and config.ckpt_path and not Path(config.ckpt_path).exists():
            self._print(f"no checkpoint at '{config.ckpt_path}': training from scratch, as --init auto says")
            config.ckpt_path = None
        if not config.ckpt_path:
            return
        started = time.monotonic()
        path, self.checkpoint, trouble = read_usable(Path(config.ckpt_path))
        config.ckpt_path = str(path)
        go_on_in(path, config)
        if trouble:
            say(trouble)
        self._print(going_on(self.checkpoint, config.ckpt_path, time.monotonic() - started))
        refuse_changes(self.config_dump["model"], self.checkpoint.get("hyper_parameters", {}), "model")
        refuse_changes(self.config_dump["data"], self.checkpoint.get("datamodule_hyper_parameters", {}), "data")

    def _print(self, line: str) -> None:
        if not self.quiet:
            say(line)

    def _add_extras(self) -> None:
        trainer, checkpoint = self.config.trainer, self.config.checkpoint
        for added in (*self.extras.callbacks, *self.extras.loggers):
            added["class_path"] = re.sub(r"^pl\.", f"{pl.__name__}.", added["class_path"])
        for callback in self.extras.callbacks:
            if callback["class_path"].endswith("EarlyStopping"):
                callback["init_args"] |= {"monitor": checkpoint.monitor or "val_loss", "mode": checkpoint.mode}
        if self.extras.callbacks:
            trainer.callbacks = [*(trainer.callbacks or []), *map(dict_to_namespace, self.extras.callbacks)]
        if self.extras.loggers:
            Path("runs").mkdir(exist_ok=True)  # what they keep there, some open at once
            first = [trainer.logger] if isinstance(trainer.logger, Namespace) else trainer.logger or []
            trainer.logger = [*first, *map(dict_to_namespace, self.extras.loggers)]

    def _avoid_bfloat16(self) -> None:
        trainer = self.config.trainer
        if str(trainer.precision).startswith("bf16") and not has_bfloat16(trainer.accelerator):
            self._print(
                f"this device does not compute in bfloat16 (precision {trainer.precision}): float32 instead, slower"
            )
            trainer.precision = "32-true"

    def _keep_own_sampler(self) -> None:
        """Keep Lightning from replacing the sampler of our DataModules, which does the same, and more exactly."""
        if issubclass(import_name(self.config.data.class_path), DataModule):
            self.config.trainer.use_distributed_sampler = False

    def _note_parameters(self) -> None:
        """Note which sizes the net takes, and the flags of all arguments, for messages."""
        classes = {"data": self.config.data.class_path, "model": self.config.model.class_path}
        net = self.config.model.get("init_args", Namespace()).get("net")
        if isinstance(net, Namespace):
            classes["net"] = net.class_path
        built = {section: import_name(path) for section, path in classes.items()}
        if "net" in built:
            self._taken.update(inspect.signature(built["net"]).parameters)
        register_flags({"on_nan": "--on_nan", "resume": "--resume", **find_flags(**built)})

    def after_instantiate_classes(self) -> None:
        """Note what the net was built with: Lightning notes sizes that nothing takes, and lacks the quantiles."""
        taken = inspect.signature(type(self.model.net)).parameters
        for hparams in (self.model._hparams, self.model._hparams_initial):
            if "class_path" not in hparams.get("net", {}):  # the model builds its own net
                hparams.pop("net", None)
                continue
            arguments = hparams["net"]["init_args"]
            for size in set(SIZES) & set(arguments) - set(taken):
                del arguments[size]
            if "num_quantiles" in taken:  # linked within the model, which jsonargparse does not note
                arguments["num_quantiles"] = max(len(self.model.quantiles), 1)

    def _list_options(self) -> list[str]:
        return [action.dest for action in self.parser._actions if "." in action.dest] + flag_names()


def read_data(data: pl.LightningDataModule) -> None:
    """Read the data, as a trainer would before it fits."""
    data.prepare_data()
    data.setup("fit")


def find_known(data: pl.LightningDataModule, name: str) -> Any:
    """Return what the data's codec, or the data itself, knows by a name; `MISSING` where neither does.

    The data is read first, unless it is a plain LightningDataModule that knows it without.
    """
    if isinstance(data, DataModule) or not hasattr(data, name):
        read_data(data)
    holders = (getattr(data, "codec", None), data)
    return next((getattr(holder, name) for holder in holders if hasattr(holder, name)), MISSING)


def find_model_argument(data: pl.LightningDataModule, *, name: str) -> Any:
    """Return what the data knows of the loss, such as the weights of its classes; None where it knows nothing."""
    known = find_known(data, name)
    return None if known is MISSING else known


def find_net_size(data: pl.LightningDataModule, *, name: str, taken: Mapping[str, inspect.Parameter]) -> Any:
    """Return a size of the data for the net.

    Args:
        data: the data.
        name: of the size.
        taken: the net's parameters; a size that is none of them is ignored.

    Raises:
        UsageError: the net needs the size, and the data does not know it.
    """
    if name not in taken:
        return None
    known = find_known(data, name)
    if known is MISSING and taken[name].default is inspect.Parameter.empty:
        raise UsageError(
            f"the net takes `{name}`, which {type(data).__name__} does not know: expected an attribute '{name}' of it "
            "or of its codec, or another net"
        )
    return taken[name].default if known is MISSING else known
