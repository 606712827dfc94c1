"""What a model logs: means of an epoch over the samples, and the history of all epochs."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lightfit.checkpoint import WRITTEN_BY
from lightfit.lightning import OneLightning, pl

from .distributed import equalise_buffers, num_processes, of_all_processes, own_rank


class QuickHooks(OneLightning, pl.LightningModule):
    """Takes note of the running hook as any object does.

    Lightning notes it about fifty times a step, and an nn.Module looks each time whether it was given a parameter: a
    tenth of what the Trainer costs a step.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


PENDING = 64  # scalars that are kept as they are before they are summed: a step then costs no arithmetic


class SampleMean(Metric):
    """The mean of a scalar over samples: a batch counts for the samples it holds, on every process.

    float64 where the device has it, so that a long epoch loses no digits.
    """

    full_state_update = False
    total: Tensor
    num_samples: Tensor

    def __init__(self) -> None:
        super().__init__(compute_with_cache=False)  # more may be pending than when it was read last
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state("total", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self._pending: list[Tensor] = []
        self._pending_samples = 0  # of each of them

    def add(self, value: Tensor, num_samples: int) -> None:
        """Adds a batch's mean `value` (scalar) over `num_samples` samples, at the latest when the mean is read."""
        if num_samples != self._pending_samples or len(self._pending) == PENDING:
            self._sum_up()
            self._pending_samples = num_samples
        self._pending.append(value.detach())

    def take_back(self) -> None:
        """Takes back what was added last; right after it was."""
        self._pending = self._pending[:-1]

    def update(self, values: Tensor, num_samples: int) -> None:
        """Adds means (K,) of batches of `num_samples` samples each."""
        self.total += values.to(self.total).sum() * num_samples
        self.num_samples += len(values) * num_samples

    def compute(self) -> Tensor:
        """The mean so far, float64 (float32 on Apple's GPUs); nan before the first batch."""
        return self.total / self.num_samples

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """As of any metric, with all that was added; torchmetrics calls it before every `compute`."""
        self._sum_up()
        super().sync(*args, **kwargs)

    def reset(self) -> None:
        """Forgets what was added."""
        self._pending = []
        super().reset()

    @property
    def update_called(self) -> bool:
        """Whether anything was added."""
        return bool(self._pending) or super().update_called

    def so_far(self) -> dict[str, Tensor]:
        """All that was added, on the CPU; pending scalars as they are, since to sum them now would round otherwise."""
        pending = torch.stack(self._pending).cpu() if self._pending else torch.empty(0)
        counts = {"total": self.total.cpu(), "num_samples": self.num_samples.cpu()}
        return {**counts, "pending": pending, "pending_samples": torch.tensor(self._pending_samples)}

    def take_up(self, states: Sequence[Mapping[str, Tensor]], rank: int, world_size: int) -> None:
        """Goes on from what `so_far` told in each process of a run; all of it in the first one, if they were others.

        Args:
            states: what each process had.
            rank: this process.
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


def count_samples(batch: Any) -> int:
    """The number of samples in a batch: the first dimension of the first tensor found in it.

    Raises:
        ValueError: the batch holds no tensor with a first dimension.
    """
    waiting = [batch]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, Tensor) and item.ndim:
            return len(item)
        if isinstance(item, dict):
            waiting = [*item.values(), *waiting]
        elif isinstance(item, (list, tuple)):
            waiting = [*item, *waiting]
    raise ValueError(
        f"expected a batch of tensors whose first dimension counts the samples, received {type(batch).__name__} "
        "without one: return (x, y) from the dataset"
    )


MEAN = "mean_"  # before the names in `means`: an nn.ModuleDict takes none that is an attribute, such as `items`


def module_key(name: str) -> str:
    """What stands for a logged name in an nn.ModuleDict, whose keys have no dots."""
    return name.replace("%", "%25").replace(".", "%2E")


def logged_name(key: str) -> str:
    """The name that `module_key` made the key of."""
    return key.replace("%2E", ".").replace("%25", "%")


class EpochLog(QuickHooks):
    """A module that logs every scalar as its mean over the samples of an epoch, and keeps a row for each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.means = nn.ModuleDict()
        self._logged: set[str] = set()
        self._rows: list[dict[str, float]] = []
        self._val_row: dict[str, float] = {}
        self._so_far: dict[str, Any] | None = None
        self._of_batch: list[SampleMean] = []  # to which the last training batch was added

    def _mean(self, name: str) -> SampleMean:
        key = MEAN + module_key(name)
        if key not in self.means:
            self.means[key] = SampleMean().to(self.device)
        mean = cast(SampleMean, self.means[key])
        self._log_once(name, mean, f"means.{key}")
        return mean

    def _log_once(self, name: str, metric: Metric, attribute: str) -> None:
        # Lightning keeps the metric and reads it when the epoch ends; to log it again at every step costs a
        # millisecond and changes nothing.
        if name not in self._logged:
            self._logged.add(name)
            self.log(name, metric, on_step=False, on_epoch=True, add_dataloader_idx=False, metric_attribute=attribute)

    def forget_batch(self) -> None:
        """Takes the last training batch out of the means."""
        for mean in self._of_batch:
            mean.take_back()
        self._of_batch.clear()

    def _train_means(self) -> dict[str, SampleMean]:
        means = {logged_name(key[len(MEAN) :]): cast(SampleMean, mean) for key, mean in self.means.items()}
        return {name: mean for name, mean in means.items() if not name.startswith(("val_", "test_"))}

    def on_train_epoch_start(self) -> None:
        """Opens the epoch's means."""
        self._logged = {name for name in self._logged if name.startswith(("val_", "test_"))}

    def on_validation_epoch_start(self) -> None:
        """Opens the validation's means, of one model in all processes."""
        equalise_buffers(self)
        self._logged = {name for name in self._logged if not name.startswith("val_")}

    def on_test_epoch_start(self) -> None:
        """Opens the test's means."""
        self._logged = {name for name in self._logged if not name.startswith("test_")}

    def on_validation_epoch_end(self) -> None:
        """Keeps the validation's metrics for the epoch's row of the history."""
        if not self.trainer.sanity_checking:
            self._val_row = {n: v for n, v in _floats(self.trainer.callback_metrics).items() if n.startswith("val_")}

    def on_train_epoch_end(self) -> None:
        """Adds the epoch's row to the history."""
        metrics = _floats(self.trainer.callback_metrics)
        train = {name: value for name, value in metrics.items() if not name.startswith(("val_", "test_"))}
        self._rows.append({"epoch": self.current_epoch, **train, **self._val_row})
        self._val_row = {}

    @property
    def history(self) -> pd.DataFrame:
        """A row an epoch: `epoch, loss, accuracy, val_loss, val_accuracy, ...`; goes on where a checkpoint ended."""
        return pd.DataFrame(self._rows)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the history, an epoch that is not finished, and the version of LightFit into the checkpoint."""
        checkpoint |= {"history": [dict(row) for row in self._rows], "lightfit": WRITTEN_BY}
        epochs: Any = self.trainer.fit_loop.epoch_progress.current if self._trainer is not None else None
        if epochs is not None and epochs.processed < epochs.ready:
            means = of_all_processes({name: mean.so_far() for name, mean in self._train_means().items()})
            checkpoint["epoch_so_far"] = {"means": means, "val_row": dict(self._val_row)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the history up again."""
        self._rows = [dict(row) for row in checkpoint.get("history", [])]
        self._so_far = checkpoint.get("epoch_so_far")

    def on_train_start(self) -> None:
        """Takes up the epoch within which a checkpoint was saved, where a run goes on from one."""
        so_far, self._so_far = self._so_far, None
        if so_far is None or not self.trainer.ckpt_path:
            return
        self._val_row = dict(so_far["val_row"])
        # Before the means are logged: the trainer would read them now, and not again.
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in self._val_row.items()})
        # As the training step would: without one there is no mean to read, where validation alone was still to come.
        self._current_fx_name = "training_step"
        for name in dict.fromkeys(name for means in so_far["means"] for name in means):
            states = [means[name] for means in so_far["means"] if name in means]
            self._mean(name).take_up(states, own_rank(), num_processes())
        self._current_fx_name = None


def _floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
