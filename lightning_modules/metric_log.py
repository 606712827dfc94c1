"""What torchmetrics measure in each stage: updated by the batch, logged by the loader, restored in a resumed run."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn
from torchmetrics import Metric

from .distributed import gather_from_ranks, get_rank, get_world_size
from .epoch_log import EpochLog, encode_key
from .lightning_internals import set_update_count
from .metric_entries import dump_entries, list_entries, restore_entries
from .step_outputs import UNLOGGED, name_classes

STAGES = {"": "train", "val_": "val", "test_": "test"}  # by the prefix of what a stage logs


class MetricLog(EpochLog):
    """A module whose steps update torchmetrics with the `"preds"` and `"target"` that they return.

    Args:
        metrics: torchmetrics by name.
        train_metrics: whether training has them too, not only validation and test.

    Raises:
        TypeError: one of them is no torchmetric.
    """

    def __init__(self, metrics: Mapping[str, Metric], *, train_metrics: bool = False) -> None:
        super().__init__()
        for name, metric in metrics.items():
            if not isinstance(metric, Metric):
                raise TypeError(
                    f"expected torchmetrics by name, received {type(metric).__name__} as '{name}': a function of the "
                    "batch is called in shared_step, and what it returns is logged"
                )
        self._train_metric_names = list(metrics) if train_metrics else []
        stages = [*(["train"] if train_metrics else []), "val", "test"]
        self.stage_metrics = nn.ModuleDict(
            {encode_key(f"{stage}_{name}"): metric.clone() for stage in stages for name, metric in metrics.items()}
        )
        self._metric_names = list(metrics)
        # By logged name. No modules of the model, as its checkpoint must not depend on the number of loaders.
        self._later_metrics: dict[str, Metric] = {}
        self._entries: dict[tuple[str, str, int], list[tuple[str, Metric]]] = {}  # by prefix, name and loader
        self._waiting_outputs: tuple[Any, Any] | None = None  # of the last training batch, which may be forgotten

    @property
    def measures(self) -> bool:
        """Return whether a step is measured by more than its loss: in evaluation, and in training with its metrics."""
        return not self.training or bool(self._train_metric_names)

    def _update_metrics(self, outputs: Mapping[str, Any], prefix: str, loader: int) -> None:
        """Update the metrics of a stage, if it has any, with what a step returned."""
        names = self._metric_names if prefix else self._train_metric_names
        if not names:
            return
        if missing := set(UNLOGGED) - set(outputs):
            raise KeyError(
                f"{type(self).__name__} has torchmetrics, so shared_step must also return 'preds' and 'target'; "
                f"missing: {sorted(missing)}"
            )
        preds, target = (_detach(outputs[name]) for name in UNLOGGED)
        for name in names:
            metric = cast(Metric, self.stage_metrics[_make_key(prefix, name)])
            if loader:
                metric = self._metric_of_loader(f"{prefix}{name}_{loader}", metric)
            self._log_metric(metric, prefix, name, loader, preds, target)
            if prefix:
                metric.update(preds, target)
        if not prefix:
            self._update_train_metrics()
            self._waiting_outputs = (preds, target)

    def _log_metric(self, metric: Metric, prefix: str, name: str, loader: int, preds: Any, target: Any) -> None:
        """Have Lightning read a metric at the end of the epoch, by its entries where it computes several values."""
        source = (prefix, name, loader)
        if source not in self._entries:
            self._entries[source] = list_entries(metric, preds, target, self._name_classes)
        attribute = f"stage_metrics.{_make_key(prefix, name)}"
        for entry, value in self._entries[source]:
            logged = f"{prefix}{name}{entry}_{loader}" if loader else f"{prefix}{name}{entry}"
            self._claim(logged, name, loader, "metric")
            self._log_once(logged, value, attribute)

    def _name_classes(self, length: int) -> list[str]:
        """Name the entries of a vector by the classes of the data, where these are as many."""
        data = getattr(self.trainer, "datamodule", None) if self._is_attached else None
        codec = getattr(data, "codec", None)
        return name_classes(length, getattr(codec, "class_names", ()))

    def _update_train_metrics(self) -> None:
        """Update the metrics of training with the batch before, which is not forgotten any more."""
        waiting, self._waiting_outputs = self._waiting_outputs, None
        if waiting is not None:
            for metric in self._train_metrics().values():
                metric.update(*waiting)

    def _train_metrics(self) -> dict[str, Metric]:
        return {name: cast(Metric, self.stage_metrics[_make_key("", name)]) for name in self._train_metric_names}

    def _metric_of_loader(self, name: str, first: Metric) -> Metric:
        """Return the metric of a loader after the first one, whose metric is `first`; created at its first batch."""
        if name not in self._later_metrics:
            self._later_metrics[name] = first.clone()
            self._later_metrics[name].reset()  # of the first loader's samples
        metric = self._later_metrics[name]
        return metric if metric.device == first.device else metric.to(first.device)

    def forget_batch(self) -> None:
        """Remove the last training batch from the means and metrics."""
        super().forget_batch()
        self._waiting_outputs = None

    def _at_train_epoch_start(self) -> None:
        super()._at_train_epoch_start()
        self._waiting_outputs = None  # of a run that an error ended

    def _at_train_epoch_end(self) -> None:
        super()._at_train_epoch_end()
        self._update_train_metrics()

    def _save_log(self, checkpoint: dict[str, Any]) -> None:
        """Save the metrics of an epoch that is not finished too."""
        super()._save_log(checkpoint)
        if "epoch_so_far" in checkpoint and self._train_metric_names:
            self._update_train_metrics()
            dumped = {
                name: {**_dump(metric), "entries": dump_entries(self._entries.get(("", name, 0), []))}
                for name, metric in self._train_metrics().items()
            }
            checkpoint["epoch_so_far"]["metrics"] = gather_from_ranks(dumped)

    def _restore_epoch(self, resumed: Mapping[str, Any]) -> None:
        super()._restore_epoch(resumed)
        for name, metric in self._train_metrics().items():
            states = [of_rank[name] for of_rank in resumed.get("metrics", []) if name in of_rank]
            _restore(metric, states)
            if states:
                self._entries["", name, 0] = restore_entries(metric, states[0]["entries"])
            for entry, value in self._entries.get(("", name, 0), [("", metric)]):
                self._log_once(f"{name}{entry}", value, f"stage_metrics.{_make_key('', name)}")


def _make_key(prefix: str, name: str) -> str:
    """Return the key of a metric in `stage_metrics`, by the prefix of what its stage logs."""
    return encode_key(f"{STAGES[prefix]}_{name}")


def _detach(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {name: _detach(item) for name, item in value.items()}
    return [_detach(item) for item in value] if isinstance(value, (list, tuple)) else value


def _move(state: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """Return the state of a metric, tensors and lists of them, on another device."""
    return {
        name: [item.to(device) for item in value] if isinstance(value, list) else value.to(device)
        for name, value in state.items()
    }


def _dump(metric: Metric) -> dict[str, Any]:
    """Return the state of a metric on the CPU, and how often it was updated."""
    return {"state": _move(metric.metric_state, "cpu"), "num_updates": metric.update_count}


def _restore(metric: Metric, dumped: Sequence[Mapping[str, Any]]) -> None:
    """Restore what `_dump` returned on each rank; with another world size rank 0 takes all that can be merged."""
    if len(dumped) == get_world_size():
        dumped = dumped[get_rank() : get_rank() + 1]
    elif get_rank():
        return
    metric.reset()
    for index, of_rank in enumerate(dumped):
        state = _move(of_rank["state"], metric.device)
        if index == 0:
            for name, value in state.items():
                setattr(metric, name, value)
        else:
            metric.merge_state(state)
    set_update_count(metric, sum(of_rank["num_updates"] for of_rank in dumped))
