"""What a model logs: means of an epoch over the samples, and the history of all epochs."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lightfit.checkpoint import WRITTEN_BY
from lightfit.lightning import pl
from lightfit.platforms import find_sum_dtype

from .distributed import broadcast_buffers, gather_from_ranks, get_rank, get_world_size
from .lightning_internals import QuickHooks

VAL = ("val_", "val/")  # before the names that validation logs: ours, and those of users with a slash
OTHER_STAGES = (*VAL, "test_", "test/")
TRAIN = "train_"  # before those of training, in torchkeras' history alone
PENDING = 64  # scalars that are kept as they are before they are summed: a step then costs no arithmetic


class SampleMean(Metric):
    """The mean of a scalar over samples: a batch counts for the samples it holds, on every rank.

    float64 where the device has it, so that a long epoch loses no digits.
    """

    full_state_update = False
    total: Tensor
    num_samples: Tensor

    def __init__(self) -> None:
        super().__init__(compute_with_cache=False)  # more may be pending than when it was read last
        dtype = find_sum_dtype()
        self.add_state("total", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self._pending: list[Tensor] = []
        self._pending_samples = 0  # of each of them

    def add(self, value: Tensor, num_samples: int) -> None:
        """Add a batch's mean `value`, (), over `num_samples` samples; it is summed when the mean is read, or before."""
        if num_samples != self._pending_samples or len(self._pending) == PENDING:
            self._sum_up()
            self._pending_samples = num_samples
        self._pending.append(value.detach())

    def remove_last(self) -> None:
        """Remove the value that was added last; call it right after `add`."""
        self._pending = self._pending[:-1]

    def update(self, values: Tensor, num_samples: int) -> None:
        """Add means (K,) of K batches of `num_samples` samples each."""
        self.total += values.to(self.total).sum() * num_samples
        self.num_samples += len(values) * num_samples

    def compute(self) -> Tensor:
        """Return the mean so far, () float64 (float32 on Apple's GPUs); NaN before the first batch."""
        return self.total / self.num_samples

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Sync as any metric does, with all that was added; torchmetrics calls it before every `compute`."""
        self._sum_up()
        super().sync(*args, **kwargs)

    def reset(self) -> None:
        """Forget what was added."""
        self._pending = []
        super().reset()

    @property
    def update_called(self) -> bool:
        """Return whether anything was added."""
        return bool(self._pending) or super().update_called

    def dump(self) -> dict[str, Tensor]:
        """Return all that was added, on the CPU; pending scalars unsummed, as summing them now would round otherwise.

        Returns:
            `total` and `num_samples`, () float64, `pending`, (K,) with K at most 64, and `pending_samples`, () int64.
        """
        pending = torch.stack(self._pending).cpu() if self._pending else torch.empty(0)
        counts = {"total": self.total.cpu(), "num_samples": self.num_samples.cpu()}
        return {**counts, "pending": pending, "pending_samples": torch.tensor(self._pending_samples)}

    def restore(self, states: Sequence[Mapping[str, Tensor]], rank: int, world_size: int) -> None:
        """Resume from what `dump` returned on each rank of a run; with another world size rank 0 takes it all.

        Args:
            states: what each rank had.
            rank: of this process.
            world_size: number of processes now.
        """
        if len(states) == world_size:
            states = states[rank : rank + 1]
        elif rank:
            states = []
        for state in states:
            self._sum_up()  # nothing, unless it takes the place of several
            self.total += state["total"].to(self.total)
            self.num_samples += state["num_samples"].to(self.num_samples)
            self._pending = list(state["pending"].to(self.total.device))
            self._pending_samples = int(state["pending_samples"])

    def _sum_up(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self.update(torch.stack(pending), self._pending_samples)


KEEPS_HISTORY = "keeps_history"  # set on hooks
MEAN = "mean_"  # before the names in `means`: an nn.ModuleDict takes none that is an attribute, such as `items`


def encode_key(name: str) -> str:
    """Encode a logged name as a key of an nn.ModuleDict, which must not contain dots."""
    return name.replace("%", "%25").replace(".", "%2E")


def decode_key(key: str) -> str:
    """Decode a key of `encode_key` to the logged name."""
    return key.replace("%2E", ".").replace("%25", "%")


class BeforeCallbacks(pl.Callback):
    """First of a trainer's callbacks: completes rows of the history with all that the hooks before have logged."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Store the validation's metrics for the epoch's row."""
        if isinstance(pl_module, EpochLog) and trainer.state.fn == "fit" and not trainer.sanity_checking:
            pl_module._store_val_metrics()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Complete the row of the epoch before."""
        if isinstance(pl_module, EpochLog):
            pl_module._close_row()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Complete the epoch's metrics, before anything reads them."""
        if isinstance(pl_module, EpochLog):
            pl_module._at_train_epoch_end()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Complete the last row."""
        if isinstance(pl_module, EpochLog):
            pl_module._close_row()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the list, in which users look for their own first callback."""
        self._leave(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the list."""
        self._leave(trainer)

    def _leave(self, trainer: Any) -> None:
        trainer.callbacks = [item for item in trainer.callbacks if item is not self]  # the old list is in use


class AfterCallbacks(pl.Callback):
    """Last of a trainer's callbacks: the model's own work at each event, right before the module's hook.

    In a callback, not in the module's hooks: users override those without `super()`, as Lightning's documentation
    shows.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepare the model for training."""
        if isinstance(pl_module, EpochLog):
            pl_module._at_fit_start()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore an epoch that has begun, before its first step."""
        if isinstance(pl_module, EpochLog):
            pl_module._at_train_start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's means."""
        if isinstance(pl_module, EpochLog):
            pl_module._at_train_epoch_start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's row to the history."""
        if isinstance(pl_module, EpochLog):
            pl_module._open_row()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the validation's means."""
        if isinstance(pl_module, EpochLog):
            pl_module._at_validation_epoch_start()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Conclude the validation."""
        if isinstance(pl_module, EpochLog):
            pl_module._at_validation_epoch_end()

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the test's means."""
        if isinstance(pl_module, EpochLog):
            pl_module._at_test_epoch_start()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the history."""
        if isinstance(pl_module, EpochLog):
            pl_module._save_log(checkpoint)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Load the history."""
        if isinstance(pl_module, EpochLog):
            pl_module._load_log(checkpoint)


def _keeping_history(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a hook as one that saves or loads the history."""
    setattr(hook, KEEPS_HISTORY, True)
    return hook


def _keep_history(hook: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    @_keeping_history
    @functools.wraps(hook)
    def wrapped(self: Any, checkpoint: dict[str, Any]) -> None:
        hook(self, checkpoint)
        ours(self, checkpoint)

    return wrapped


class EpochLog(QuickHooks):
    """A module that logs every scalar as its mean over the samples of an epoch, and keeps a row for each epoch.

    None of its own work is done in hooks, which a subclass may override without `super()`: two callbacks call it, which
    a trainer gets when the module is attached to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.means = nn.ModuleDict()
        self._logged: set[str] = set()
        self._open_means: dict[tuple[str, str, int], SampleMean] = {}  # of an epoch, by prefix, name and loader
        self._sources: dict[str, tuple[Any, ...]] = {}  # of what is logged, by its name
        self._rows: list[dict[str, float]] = []
        self._row_is_open = False  # whether hooks may still log metrics for the last row
        self._val_row: dict[str, float] = {}
        self._resumed_epoch: dict[str, Any] | None = None
        self._of_batch: list[SampleMean] = []  # to which the last training batch was added
        self._is_attached = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have the history saved and loaded where a subclass overrides the hooks for it without `super()`.

        The callbacks do that in a fit; a checkpoint of the weights alone is saved without them.
        """
        super().__init_subclass__(**kwargs)
        for name in ("on_save_checkpoint", "on_load_checkpoint"):
            hook = getattr(cls, name)
            if not hasattr(hook, KEEPS_HISTORY):
                setattr(cls, name, _keep_history(hook, getattr(EpochLog, name)))

    def _attach(self, trainer: Any) -> None:
        """Attach a trainer as Lightning does at the beginning of every fit, validation, test or prediction."""
        cast(Any, pl.LightningModule.trainer).fset(self, trainer)
        self._row_is_open, self._val_row = False, {}  # of a run that an error ended
        self._is_attached = isinstance(trainer, pl.Trainer)
        if self._is_attached:
            attached: Any = trainer
            others = [item for item in attached.callbacks if not isinstance(item, (BeforeCallbacks, AfterCallbacks))]
            attached.callbacks = [BeforeCallbacks(), *others, AfterCallbacks()]

    trainer = cast(Any, pl.LightningModule.trainer).setter(_attach)

    def _mean(self, name: str) -> SampleMean:
        key = MEAN + encode_key(name)
        if key not in self.means:
            self.means[key] = SampleMean().to(self.device)
        mean = cast(SampleMean, self.means[key])
        self._log_once(name, mean, f"means.{key}")
        return mean

    def _open_mean(self, prefix: str, name: str, loader: int) -> SampleMean:
        """Return the mean of a scalar in an epoch of a loader, and have it logged; called once an epoch.

        Raises:
            ValueError: something else has the name, or it is reserved.
        """
        if not prefix and (name == "epoch" or name.startswith(OTHER_STAGES)):
            raise ValueError(
                f"shared_step returned a scalar as '{name}', which is the name of "
                + ("the history's first column" if name == "epoch" else "a scalar of validation or test")
                + ": expected another one; 'val_' and 'test_' are put before names by LightModel"
            )
        logged = f"{prefix}{name}_{loader}" if loader else f"{prefix}{name}"
        self._claim(logged, name, loader)
        mean = self._open_means[prefix, name, loader] = self._mean(logged)
        return mean

    def _claim(self, logged: str, name: str, loader: int, kind: str = "scalar") -> None:
        """Check that nothing else is logged under a name.

        Raises:
            ValueError: something else is, such as the scalar `loss_1` beside the `loss` of a second loader.
        """
        source = (kind, name, loader)
        if (other := self._sources.setdefault(logged, source)) != source:
            both = " and ".join("the {} '{}' of loader {}".format(*each) for each in (other, source))
            raise ValueError(f"{both} would both be logged as '{logged}': give one of them another name")

    def _log_once(self, name: str, metric: Metric, attribute: str) -> None:
        # Lightning keeps the metric and reads it when the epoch ends; to log it again at every step costs a
        # millisecond and changes nothing.
        if name not in self._logged and not (self._is_attached and self.trainer.barebones):  # which warns of each name
            self._logged.add(name)
            self.log(name, metric, on_step=False, on_epoch=True, add_dataloader_idx=False, metric_attribute=attribute)

    def forget_batch(self) -> None:
        """Remove the last training batch from the means."""
        for mean in self._of_batch:
            mean.remove_last()
        self._of_batch.clear()

    @property
    def history(self) -> pd.DataFrame:
        """Return a row for each epoch: `epoch, loss, accuracy, val_loss, val_accuracy, ...`; a resumed run appends."""
        return pd.DataFrame(self._rows)

    def get_history(self) -> pd.DataFrame:
        """Return the history with the columns of torchkeras 3: `epoch, train_loss, train_acc, val_loss, val_acc`."""
        history = self.history
        names = [str(name) for name in history]
        of_training = [name for name in names if name != "epoch" and not name.startswith((*OTHER_STAGES, TRAIN))]
        return history.rename(columns={name: f"{TRAIN}{name}" for name in of_training})

    @_keeping_history
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the history where callbacks save nothing: in a checkpoint of the weights alone."""
        if "history" not in checkpoint:
            self._save_log(checkpoint)

    @_keeping_history
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load the history where callbacks load nothing: without a fit."""
        self._load_log(checkpoint)

    def _at_fit_start(self) -> None:
        """Prepare for training; the trainer is attached, no step is done."""

    def _at_train_start(self) -> None:
        """Restore the means of the epoch within which a checkpoint was saved, where a run resumes from one."""
        resumed, self._resumed_epoch = self._resumed_epoch, None
        if resumed is not None and self.trainer.ckpt_path:
            self._restore_epoch(resumed)

    def _restore_epoch(self, resumed: Mapping[str, Any]) -> None:
        self._val_row = dict(resumed["val_row"])
        # Before the means are logged: the trainer would read them now, and not again.
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in self._val_row.items()})
        # They are logged here, as no training step follows where validation alone is still to come.
        for name in dict.fromkeys(name for means in resumed["means"] for name in means):
            states = [means[name] for means in resumed["means"] if name in means]
            self._mean(name).restore(states, get_rank(), get_world_size())

    def _at_train_epoch_start(self) -> None:
        self._logged = {name for name in self._logged if name.startswith(OTHER_STAGES)}
        self._close_means("")

    def _at_train_epoch_end(self) -> None:
        """Complete what is logged of an epoch."""

    def _at_validation_epoch_start(self) -> None:
        broadcast_buffers(self)  # one model on all ranks
        self._logged = {name for name in self._logged if not name.startswith("val_")}
        self._close_means("val_")

    def _at_validation_epoch_end(self) -> None:
        """Conclude a validation, or a sanity check."""

    def _at_test_epoch_start(self) -> None:
        self._logged = {name for name in self._logged if not name.startswith("test_")}
        self._close_means("test_")

    def _close_means(self, prefix: str) -> None:
        self._open_means = {key: mean for key, mean in self._open_means.items() if key[0] != prefix}

    def _store_val_metrics(self) -> None:
        self._val_row = {n: v for n, v in _floats(self.trainer.callback_metrics).items() if n.startswith(VAL)}

    def _open_row(self) -> None:
        self._rows.append({"epoch": self.current_epoch})
        self._row_is_open = True
        self._fill_row()

    def _fill_row(self) -> None:
        metrics = _floats(self.trainer.callback_metrics)
        train = {name: value for name, value in metrics.items() if not name.startswith(OTHER_STAGES)}
        self._rows[-1] = {"epoch": self._rows[-1]["epoch"], **train, **self._val_row}

    def _close_row(self) -> None:
        if self._row_is_open:
            self._fill_row()
            self._row_is_open, self._val_row = False, {}

    def _train_means(self) -> dict[str, SampleMean]:
        means = {decode_key(key[len(MEAN) :]): cast(SampleMean, mean) for key, mean in self.means.items()}
        return {name: mean for name, mean in means.items() if not name.startswith(OTHER_STAGES)}

    def _save_log(self, checkpoint: dict[str, Any]) -> None:
        """Put the history, an epoch that is not finished, and the version of LightFit into a checkpoint."""
        if self._row_is_open:
            self._fill_row()
        checkpoint |= {"history": [dict(row) for row in self._rows], "lightfit": WRITTEN_BY}
        epochs: Any = self.trainer.fit_loop.epoch_progress.current if self._is_attached else None
        if epochs is not None and epochs.processed < epochs.ready:
            means = gather_from_ranks({name: mean.dump() for name, mean in self._train_means().items()})
            checkpoint["epoch_so_far"] = {"means": means, "val_row": dict(self._val_row)}

    def _load_log(self, checkpoint: Mapping[str, Any]) -> None:
        self._rows = [dict(row) for row in checkpoint.get("history", [])]
        self._row_is_open, self._val_row = False, {}
        self._resumed_epoch = checkpoint.get("epoch_so_far")


def _floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
