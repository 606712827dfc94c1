"""KerasModel of torchkeras 3 and 4, on LightModel and Trainer."""

import logging
import math
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from lightfit.callbacks import BestAndLast, EarlyStopping, EpochLines, ExactResume, NotebookProgress, StopOnSignal
from lightfit.errors import NonFiniteError, TrainingStopped, UsageError
from lightfit.lightning import OneLightning, pl
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.weights import read_weights

from .best_weights import BestWeights, write_state_dict
from .net_summary import summary
from .trainer import Trainer

log = logging.getLogger(__name__)
LR = 3e-4  # of torchkeras 4 where no optimizer is given
MAX_GRADIENT_NORM = 1.0  # as in torchkeras
PLACES = ("gpus", "tpu_cores", "accelerator", "devices", "strategy", "num_nodes", "precision")  # kept for evaluate
PRECISIONS = {"no": "32-true", "fp16": "16-mixed", "bf16": "bf16-mixed"}  # by the names of accelerate


class KerasModel(nn.Module):
    """A net with its loss, metrics and optimizer, which `fit` trains on batches `(x, y)`.

    Args:
        net: the net.
        loss_fn: from the net's output and `y` to the loss.
        metrics_dict: torchmetrics by name.
        optimizer: an optimizer of the net's parameters; Adam with torchkeras' rate of 3e-4 if None.
        lr_scheduler: its schedule, a step for each step of the optimizer, as in torchkeras.
    """

    def __init__(
        self,
        net: nn.Module,
        loss_fn: Any,
        metrics_dict: Mapping[str, Any] | None = None,
        optimizer: Any = None,
        lr_scheduler: Any = None,
    ) -> None:
        super().__init__()
        self.net, self.loss_fn = net, loss_fn
        self.metrics_dict = dict(metrics_dict or {})
        self.optimizer = optimizer if optimizer is not None else torch.optim.Adam(net.parameters(), lr=LR)
        self.lr_scheduler = lr_scheduler
        self.history: dict[str, list[Any]] = {}
        self.ckpt_path: str | Path = "checkpoint"
        self.from_scratch = True
        self._place: dict[str, Any] = {}  # devices and precision of the last fit

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the net."""
        return self.net(*args, **kwargs)

    def summary(self, *args: Any, **kwargs: Any) -> str:
        """Print the net's layers; arguments as of `lightfit.summary`."""
        return summary(self.net, *args, **kwargs)

    def fit(
        self,
        train_data: Any,
        val_data: Any = None,
        epochs: int = 10,
        ckpt_path: str | Path = "checkpoint",
        patience: int | None = 5,
        monitor: str = "val_loss",
        mode: str = "min",
        callbacks: Sequence[Any] | None = None,
        plot: bool = True,
        wandb: bool | str = False,
        quiet: bool | None = None,
        mixed_precision: str = "no",
        cpu: bool = False,
        gradient_accumulation_steps: int = 1,
        *,
        resume: bool = False,
        **trainer: Any,
    ) -> pd.DataFrame:
        """Train the net; at the end it has the weights of its best epoch, which are in `ckpt_path`.

        Gradients are clipped to a norm of 1, as in torchkeras. A fit that is stopped by a signal, or killed, leaves the
        state of its last epoch in the folder `<ckpt_path>.resume`, from which the same call with `resume` trains as if
        it had not been stopped. Weights that were loaded, or trained by an earlier fit, are scored first, as epoch 0.

        Args:
            train_data: batches `(x, y)`: a DataLoader, or anything that yields them; an attribute `size` limits their
                number, as in torchkeras.
            val_data: batches to validate on.
            epochs: number of epochs.
            ckpt_path: file of the best weights, a plain state dict.
            patience: epochs without improvement after which the fit ends; None: never.
            monitor: what is best: a column of the history.
            mode: min or max.
            callbacks: Lightning's callbacks.
            plot: whether a notebook shows live curves; elsewhere lines are printed for each epoch.
            wandb: whether to log to Weights & Biases, or the name of the project there.
            quiet: print nothing.
            mixed_precision: no, fp16 or bf16.
            cpu: train on the CPU, whatever devices there are.
            gradient_accumulation_steps: number of batches for a step.
            resume: resume the fit that was stopped, if there is one.
            **trainer: arguments of `Trainer`, such as `gpus` and `logger`.

        Returns:
            the history, a row for each epoch: `epoch, train_loss, train_acc, lr, val_loss, val_acc`.

        Raises:
            UsageError: an argument is wrong.
            TrainingStopped: a signal ended the fit; its state is saved.
            NonFiniteError: `monitor` was finite in no epoch.
        """
        self._check(monitor, mode, val_data, callbacks, mixed_precision)
        self.ckpt_path = ckpt_path
        place = {"gpus": 0} if cpu else {}
        place |= {name: trainer.pop(name) for name in PLACES if name in trainer}
        self._place = {"precision": PRECISIONS[mixed_precision], **place}
        model = self._build()
        best = BestWeights(self.net, Path(ckpt_path), _logged_name(monitor), mode)
        folder = Path(f"{ckpt_path}.resume")
        last = folder / "last.ckpt" if self._resumes(folder, resume) else None
        first_row = {} if self.from_scratch or last else self._score_before(train_data, val_data, monitor, best)
        run = Trainer(
            **{
                "max_epochs": epochs,
                "accumulate_grad_batches": gradient_accumulation_steps,
                "gradient_clip_val": MAX_GRADIENT_NORM,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
                "log_every_n_steps": 1,  # no step logs anything, and Lightning would warn of short epochs
                "logger": _choose_logger(wandb),
                "limit_train_batches": getattr(train_data, "size", None),
                "limit_val_batches": getattr(val_data, "size", None),
                "callbacks": [
                    *(callbacks or []),
                    LearningRateLog(),
                    best,
                    *_stop_early(monitor, mode, patience, best.best),
                    *_show(plot, quiet, monitor, mode, Path(ckpt_path)),
                    ExactResume(),
                    LastEpoch(folder, saves_steps=hasattr(train_data, "load_state_dict")),
                    StopOnSignal(),
                ],
                **self._place,
                **trainer,
            }
        )
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "You defined a `validation_step` but have no `val_dataloader`")
                run.fit(model, _as_loader(train_data), _as_loader(val_data), ckpt_path=last)
        except TrainingStopped as stopped:
            if not stopped.path:
                raise TrainingStopped(stopped.signal_number) from None
            log.warning("the same call of `fit` with `resume=True` resumes it")
            raise
        history = _name_columns(model.history, first_row)
        self.history = {str(name): column.tolist() for name, column in history.items()}
        if best.best is None:
            raise NonFiniteError(f"`monitor` {monitor} was finite in no epoch, so no weights were kept")
        self.load_ckpt(ckpt_path)
        if run.is_global_zero:
            shutil.rmtree(folder, ignore_errors=True)
        return history

    def evaluate(self, val_data: Any, quiet: bool = False) -> dict[str, float]:
        """Return the loss and the metrics over all samples, as `val_loss`, `val_acc`, ...; where `fit` has trained."""
        run = self._quiet_trainer(val_data, bar=not quiet)
        scores = run.validate(self._build(), _as_loader(val_data), verbose=False)
        return {name: float(value) for name, value in scores[0].items()}

    def predict(self, data: Any) -> Any:
        """Return the net's outputs for all batches, of `(x, y)` or of `x` alone, on the CPU.

        Returns:
            one tensor (N, ...); a list by batch where the net returns something else.

        Raises:
            UsageError: `data` is a tensor, whose rows would be taken for batches.
        """
        if isinstance(data, Tensor):
            raise UsageError("expected `data` as a loader of batches, received a tensor: call the model on it")
        outputs: Any = self._quiet_trainer(data, bar=False).predict(self._build(), _as_loader(data))
        return torch.cat(outputs) if all(isinstance(item, Tensor) for item in outputs) else outputs

    def save_ckpt(self, ckpt_path: str | Path | None = None) -> None:
        """Write the net's state dict, to the path of the last fit by default."""
        write_state_dict(self.net, Path(self.ckpt_path if ckpt_path is None else ckpt_path))

    def load_ckpt(self, ckpt_path: str | Path | None = None) -> None:
        """Load the net's state dict, from the path of the last fit by default."""
        state, _ = read_weights(self.ckpt_path if ckpt_path is None else ckpt_path)
        self.net.load_state_dict(state)
        self.from_scratch = False

    def _build(self) -> LightModel:
        schedule: Any = self.lr_scheduler
        if schedule is not None and not isinstance(schedule, (dict, ReduceLROnPlateau)):
            schedule = {"scheduler": schedule, "interval": "step"}
        return LightModel(
            self.net,
            loss_fn=self.loss_fn,
            metrics_dict=self.metrics_dict,
            optimizer=self.optimizer,
            lr_scheduler=schedule,
        )

    def _check(self, monitor: str, mode: str, val_data: Any, callbacks: Any, mixed_precision: str) -> None:
        if mode not in ("min", "max"):
            raise UsageError(f"expected `mode` as min or max, received '{mode}'")
        if mixed_precision not in PRECISIONS:
            raise UsageError(f"expected `mixed_precision` as {', '.join(PRECISIONS)}; received '{mixed_precision}'")
        if val_data is None and monitor.startswith("val_"):
            raise UsageError(f"`monitor` {monitor} needs `val_data`: pass it, or monitor='train_loss'")
        for item in callbacks or []:
            if not isinstance(item, pl.Callback):
                raise UsageError(
                    f"expected `callbacks` of Lightning, received {type(item).__name__}: for logs pass `logger`, such "
                    "as pl.loggers.TensorBoardLogger('runs')"
                )
        if hasattr(self, "StepRunner") or hasattr(self, "EpochRunner"):
            raise UsageError(
                "there is no StepRunner or EpochRunner to replace: for another step, write `shared_step(batch)` in a "
                "subclass of LightModel, and train that with Trainer"
            )

    def _resumes(self, folder: Path, resume: bool) -> bool:
        if (folder / "last.ckpt").is_file():
            if resume:
                return True
            log.warning("a fit that was stopped lies in '%s'; it is replaced, as `resume` is not given", folder)
            shutil.rmtree(folder)
        elif resume:
            log.info("no fit was stopped that would be in '%s': training begins", folder)
        return False

    def _score_before(self, train_data: Any, val_data: Any, monitor: str, best: BestWeights) -> dict[str, Any]:
        """Score the weights that are there, and offer them as the best; return the row of epoch 0."""
        row: dict[str, Any] = {"epoch": 0}
        row |= {f"train{name[3:]}": value for name, value in self.evaluate(train_data, quiet=True).items()}
        row |= {"lr": 0.0, **(self.evaluate(val_data, quiet=True) if val_data is not None else {})}
        best.offer(row.get(monitor, math.nan))
        return row

    def _quiet_trainer(self, data: Any, *, bar: bool) -> Trainer:
        return Trainer(
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=bar and sys.stderr.isatty(),
            limit_val_batches=getattr(data, "size", None),
            limit_predict_batches=getattr(data, "size", None),
            **self._place,
        )


class LastEpoch(BestAndLast):
    """Keeps the state of the last epoch's end: within an epoch an ordinary loader cannot resume.

    Args:
        folder: where `last.ckpt` lies.
        saves_steps: whether the loader can, so that a run that is stopped within an epoch loses nothing.
    """

    def __init__(self, folder: Path, *, saves_steps: bool) -> None:
        super().__init__(dirpath=folder, save_top_k=0, save_last=True)
        self.saves_steps = saves_steps

    def save_last_now(self, trainer: pl.Trainer, *, within_epoch: bool = True) -> None:
        """Write last.ckpt, but within an epoch only where a run can resume there."""
        if self.saves_steps or not within_epoch:
            super().save_last_now(trainer, within_epoch=within_epoch)


class LearningRateLog(OneLightning, pl.Callback):
    """Logs the learning rate at the end of each epoch as `lr`, torchkeras' column."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log it."""
        pl_module.log("lr", trainer.optimizers[0].param_groups[0]["lr"])


def _as_loader(data: Any) -> Any:
    """Return a loader of batches; Lightning takes a list for one of loaders."""
    batches: Any = data
    return DataLoader(batches, batch_size=None) if isinstance(data, (list, tuple)) else data


def _logged_name(column: str) -> str:
    """Return the name under which a column of the history is logged."""
    return column.removeprefix("train_")


def _name_columns(history: pd.DataFrame, first_row: Mapping[str, Any]) -> pd.DataFrame:
    """Return a LightModel's history as torchkeras 4 has it: epochs from 1, `train_` before the names of training."""
    own = [name for name in history if name not in ("epoch", "lr") and not str(name).startswith("val_")]
    named = history.rename(columns={name: f"train_{name}" for name in own})
    named["epoch"] += 1
    return pd.concat([pd.DataFrame([first_row]), named], ignore_index=True)[list(named)] if first_row else named


def _stop_early(monitor: str, mode: str, patience: int | None, best: float | None) -> list[Any]:
    if patience is None:
        return []
    stopping = EarlyStopping(
        _logged_name(monitor), mode=mode, patience=patience, min_delta=0.0, check_on_train_epoch_end=True
    )
    if best is not None:
        stopping.best_score = torch.tensor(best)
    return [stopping]


def _show(plot: bool, quiet: bool | None, monitor: str, mode: str, path: Path) -> list[Any]:
    if plot and not quiet and _is_notebook():
        path.parent.mkdir(parents=True, exist_ok=True)
        return [NotebookProgress(monitor, mode=mode, path=str(path.with_name("history.png")))]
    return [EpochLines(quiet=bool(quiet))]


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _choose_logger(wandb: bool | str) -> Any:
    if not wandb:
        return True
    return pl.loggers.WandbLogger(project=wandb if isinstance(wandb, str) else "torchkeras")
