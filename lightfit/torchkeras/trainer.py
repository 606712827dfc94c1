"""Lightning's Trainer, which also takes the arguments of Lightning 1.x."""

import inspect
from collections.abc import Sequence
from typing import Any

from lightfit.errors import UsageError
from lightfit.lightning import OneLightning, import_submodule, pl

from .arguments import add_callbacks, translate
from .epoch_prints import EpochPrints
from .placement import check_unset
from .spelling import say_once


class Trainer(OneLightning, pl.Trainer):
    """Lightning's Trainer with `gpus`, and with the spellings of Lightning 1.1 to 1.9.

    For a LightModel it prints torchkeras' lines of each epoch, unless `enable_progress_bar` is False. Each old spelling
    is logged once with today's; what has no counterpart today is refused.

    Args:
        gpus: 0 for the CPU; N for that many GPUs; -1 for all GPUs; `[0, 1]` or `"0,1"` for those ids; None or `auto`
            for what is available.
        tpu_cores: number of TPU cores, or `[i]` for that one.
        resume_from_checkpoint: the checkpoint from which `fit` resumes, where its `ckpt_path` names none.
        auto_lr_find: whether `tune` looks for a learning rate, or the model's attribute for it.
        auto_scale_batch_size: whether `tune` looks for a batch size: True, `power` or `binsearch`.
        **arguments: those of Lightning's Trainer, of today or of 1.x.

    Raises:
        UsageError: an argument of 1.x has no counterpart, or a device is not there.
    """

    # Lightning reads PL_TRAINER_MAX_EPOCHS and the like by it.
    __signature__ = inspect.signature(pl.Trainer)

    def __init__(
        self,
        *,
        gpus: int | str | Sequence[int] | None = None,
        tpu_cores: int | str | Sequence[int] | None = None,
        resume_from_checkpoint: Any = None,
        auto_lr_find: bool | str = False,
        auto_scale_batch_size: bool | str = False,
        **arguments: Any,
    ) -> None:
        today = translate({"gpus": gpus, "tpu_cores": tpu_cores, **arguments})
        if arguments.get("enable_progress_bar") is not False:
            add_callbacks(today, [EpochPrints()])
        super().__init__(**today)
        self._resume_from = resume_from_checkpoint
        self._auto_lr_find = auto_lr_find
        self._auto_scale_batch_size = auto_scale_batch_size
        if resume_from_checkpoint is not None:
            say_once("resume_from_checkpoint", "`trainer.fit(model, ckpt_path=...)`")

    def fit(
        self,
        model: Any,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: Any = None,
        ckpt_path: Any = None,
        weights_only: bool | None = None,
        *,
        train_dataloader: Any = None,
    ) -> None:
        """Train, as Lightning's Trainer does; `train_dataloader` is the old name of `train_dataloaders`."""
        loaders = _choose("train_dataloaders", train_dataloaders, "train_dataloader", train_dataloader)
        ckpt_path = self._resume_from if ckpt_path is None else ckpt_path
        super().fit(model, loaders, val_dataloaders, datamodule, ckpt_path, weights_only)

    def validate(
        self,
        model: Any = None,
        dataloaders: Any = None,
        ckpt_path: Any = None,
        verbose: bool = True,
        datamodule: Any = None,
        weights_only: bool | None = None,
        *,
        val_dataloaders: Any = None,
    ) -> Any:
        """Validate, as Lightning's Trainer does; `val_dataloaders` is the old name of `dataloaders`."""
        loaders = _choose("dataloaders", dataloaders, "val_dataloaders", val_dataloaders)
        return super().validate(model, loaders, ckpt_path, verbose, datamodule, weights_only)

    def test(
        self,
        model: Any = None,
        dataloaders: Any = None,
        ckpt_path: Any = None,
        verbose: bool = True,
        datamodule: Any = None,
        weights_only: bool | None = None,
        *,
        test_dataloaders: Any = None,
    ) -> Any:
        """Test, as Lightning's Trainer does; `test_dataloaders` is the old name of `dataloaders`."""
        loaders = _choose("dataloaders", dataloaders, "test_dataloaders", test_dataloaders)
        return super().test(model, loaders, ckpt_path, verbose, datamodule, weights_only)

    def tune(
        self,
        model: Any,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: Any = None,
        *,
        train_dataloader: Any = None,
    ) -> dict[str, Any]:
        """Look for the learning rate and the batch size, as `auto_lr_find` and `auto_scale_batch_size` ask.

        Returns:
            what was found, by the names of Lightning 1.x: `lr_find`, `scale_batch_size`.

        Raises:
            UsageError: neither was asked for.
        """
        if not (self._auto_lr_find or self._auto_scale_batch_size):
            raise UsageError(
                "`tune` has nothing to look for: expected Trainer with `auto_lr_find` or `auto_scale_batch_size`"
            )
        loaders = _choose("train_dataloaders", train_dataloaders, "train_dataloader", train_dataloader)
        tuner, found = import_submodule("tuner").Tuner(self), dict[str, Any]()
        data = {"train_dataloaders": loaders, "val_dataloaders": val_dataloaders, "datamodule": datamodule}
        if mode := self._auto_scale_batch_size:
            say_once("auto_scale_batch_size", "`Tuner(trainer).scale_batch_size(model)`")
            found["scale_batch_size"] = tuner.scale_batch_size(model, mode="power" if mode is True else mode, **data)
        if name := self._auto_lr_find:
            say_once("auto_lr_find", "`Tuner(trainer).lr_find(model)`")
            found["lr_find"] = tuner.lr_find(model, attr_name="" if name is True else name, **data)
        return found


def _choose(name: str, value: Any, old_name: str, old_value: Any) -> Any:
    if old_value is None:
        return value
    check_unset({name: value}, name, old_name)
    say_once(old_name, f"`{name}`")
    return old_value
