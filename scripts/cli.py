"""LightningCLI as LightFit speaks it: presets, a run folder, and sizes that the data tells the net."""

import inspect
import time
from argparse import ArgumentError
from pathlib import Path

from jsonargparse import Namespace, dict_to_namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from callbacks import BestAndLast, EpochLines, FinalMetric, HistoryFiles
from datamodules import DataError, DataModule
from lightning_modules import LightModel
from lightning_modules.checkpoint import read_checkpoint
from scripts.devices import has_bfloat16
from scripts.errors import UsageError
from scripts.help import HELP, USAGE
from scripts.keys import SIZES, TOLD, refuse_linked
from scripts.parsing import explain, spell_nulls, unwrap
from scripts.quiet import say
from scripts.resume import RunConfig, go_on_in, going_on, refuse_changes
from scripts.training_options import NOTHING, Extras, flag_names

CHECKPOINT = {
    "monitor": "val_loss",
    "filename": "best-{epoch:02d}-{val_loss:.4f}",
    "save_last": True,
    # After the epoch's row is in the history, so that a resumed run has it.
    "save_on_train_epoch_end": True,
}


class LightFitCLI(LightningCLI):
    """Builds trainer, model and data from a command line; the caller runs them.

    Raises:
        UsageError: the line does not parse, or an argument is refused by the class that takes it.
    """

    example: Tensor  # two samples, as the net takes them, once the data is read

    def __init__(
        self, args: list[str], *, task: str, quiet: bool = False, init: str = "strict", extras: Extras = NOTHING
    ) -> None:
        self.quiet, self.init, self.extras = quiet, init, extras
        refuse_linked(args)
        callbacks = [HistoryFiles(), FinalMetric(), EpochLines(quiet=quiet)]
        logger = {
            "class_path": "pytorch_lightning.loggers.TensorBoardLogger",
            "init_args": {"save_dir": "runs", "name": task, "default_hp_metric": False},
        }
        try:
            super().__init__(
                LightModel,
                DataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                run=False,
                args=spell_nulls(args),
                seed_everything_default=0,
                auto_configure_optimizers=False,
                # The sampler of DataModule does what Lightning's would do, and more exactly.
                trainer_defaults={
                    "callbacks": callbacks,
                    "logger": logger,
                    "use_distributed_sampler": False,
                    "enable_model_summary": False,
                },
                save_config_callback=RunConfig,
                save_config_kwargs={"overwrite": True},  # a resumed run writes into its own folder again
                parser_kwargs={"exit_on_error": False, "allow_abbrev": False, "description": HELP, "usage": USAGE},
            )
        except ArgumentError as error:
            raise UsageError(explain(str(error), self._options())) from error
        except MisconfigurationException as error:
            raise UsageError(str(error)) from error
        except (TypeError, ValueError) as error:
            cause = unwrap(error)
            if isinstance(cause, (DataError, UsageError)) or not isinstance(cause, (TypeError, ValueError)):
                raise cause from None
            raise UsageError(explain(str(cause), self._options())) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """`--checkpoint.*`, `--ckpt_path`, and what flows from the data and the seed."""
        parser.add_lightning_class_args(BestAndLast, "checkpoint")
        parser.set_defaults({f"checkpoint.{name}": value for name, value in CHECKPOINT.items()})
        parser.add_argument("--tune", type=dict | None, default=None, help="What scripts/tune.py tries.")
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint of a run to go on with.")
        for size in SIZES:
            parser.link_arguments(f"data.{size}", f"model.init_args.net.init_args.{size}", apply_on="instantiate")
        for name in TOLD:
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)
        parser.link_arguments(
            ("model.init_args.loss", "model.init_args.quantiles"),
            "model.init_args.net.init_args.num_quantiles",
            compute_fn=lambda loss, quantiles: len(quantiles) if loss == "quantile" else 1,
        )

    def before_instantiate_classes(self) -> None:
        """Prepares the precision; of a resumed run its own folder again, and no other values than the checkpoint's."""
        self._spare_bfloat16()
        self._dump_config()
        # Lightning notes the sizes that the data tells the net here, and fails where there is no place for them.
        arguments = self.config_dump["model"].setdefault("init_args", {})
        arguments["net"] = {"init_args": {}} | (arguments.get("net") or {})
        if self.init == "auto" and self.config.ckpt_path and not Path(self.config.ckpt_path).exists():
            if not self.quiet:
                say(f"no checkpoint at '{self.config.ckpt_path}': training from scratch, as --init auto says")
            self.config.ckpt_path = None
        if self.config.ckpt_path:
            go_on_in(Path(self.config.ckpt_path), self.config)
            started = time.monotonic()
            checkpoint = read_checkpoint(self.config.ckpt_path)
            if not self.quiet:
                say(going_on(checkpoint, self.config.ckpt_path, time.monotonic() - started))
            refuse_changes(self.config_dump["model"], checkpoint.get("hyper_parameters", {}), "model")
            refuse_changes(self.config_dump["data"], checkpoint.get("datamodule_hyper_parameters", {}), "data")
        self._add_extras()

    def _add_extras(self) -> None:
        trainer, checkpoint = self.config.trainer, self.config.checkpoint
        for callback in self.extras.callbacks:
            if callback["class_path"].endswith("EarlyStopping"):
                callback["init_args"] |= {"monitor": checkpoint.monitor or "val_loss", "mode": checkpoint.mode}
        if self.extras.callbacks:
            trainer.callbacks = [*(trainer.callbacks or []), *map(dict_to_namespace, self.extras.callbacks)]
        if self.extras.loggers:
            Path("runs").mkdir(exist_ok=True)  # what they keep there, some open at once
            first = [trainer.logger] if isinstance(trainer.logger, Namespace) else trainer.logger or []
            trainer.logger = [*first, *map(dict_to_namespace, self.extras.loggers)]

    def _spare_bfloat16(self) -> None:
        trainer = self.config.trainer
        if str(trainer.precision).startswith("bf16") and not has_bfloat16(trainer.accelerator):
            if not self.quiet:
                say(
                    f"this device does not compute in bfloat16 (precision {trainer.precision}): float32 instead, slower"
                )
            trainer.precision = "32-true"

    def after_instantiate_classes(self) -> None:
        """Notes what the net was built with: Lightning notes sizes that nothing takes, and lacks the quantiles."""
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

    def _options(self) -> list[str]:
        return [action.dest for action in self.parser._actions if "." in action.dest] + flag_names()
