"""Arguments of the Trainers of Lightning 1.1 to 1.9, as those of today's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lightfit.callbacks import FiniteLoss
from lightfit.errors import UsageError
from lightfit.lightning import pl

from .placement import DEVICES, check_unset, place
from .spelling import say_once


class Today(NamedTuple):
    """What replaces an old argument.

    Args:
        arguments: of today's Trainer; `callbacks` are added to those that are there.
        spelling: how it is written today, for the reader; empty where the value was the default.
    """

    arguments: Mapping[str, Any] = {}
    spelling: str = ""


class Refused(NamedTuple):
    """An old argument without a counterpart.

    Args:
        defaults: values that changed nothing, which are accepted.
        way_out: what to do instead.
    """

    defaults: tuple[Any, ...]
    way_out: str


NO_APEX = "Apex is no longer supported: use `precision='16-mixed'`"
REFUSED = {
    "amp_level": Refused((None, "O2"), NO_APEX),
    "automatic_optimization": Refused((None, True), "set `self.automatic_optimization = False` in the model"),
    "enable_pl_optimizer": Refused((None, True), "`self.optimizers()` returns optimizers that Lightning has wrapped"),
    "flush_logs_every_n_steps": Refused(
        (None, 100), "pass it to the logger, as in `CSVLogger(flush_logs_every_n_steps=1)`"
    ),
    "ipus": Refused((None, 0), "today's Lightning does not support IPUs: use `gpus`"),
    "move_metrics_to_cpu": Refused((None, False), "return values that are on the CPU from the model's steps"),
    "multiple_trainloader_mode": Refused(
        (None, "max_size_cycle"), "wrap the loaders: `pl.utilities.CombinedLoader(loaders, mode=...)`"
    ),
    "prepare_data_per_node": Refused((None, True), "set it on the DataModule: `self.prepare_data_per_node = False`"),
    "stochastic_weight_avg": Refused(
        (None, False), "add the callback: `callbacks=[pl.callbacks.StochasticWeightAveraging(swa_lrs=...)]`"
    ),
    "track_grad_norm": Refused(
        (None, -1), "log `pl.utilities.grad_norm(self, 2)` in the model's `on_before_optimizer_step`"
    ),
    "truncated_bptt_steps": Refused((None,), "split the sequence in `training_step`, with manual optimization"),
    "weights_save_path": Refused((None,), "name the folder: `callbacks=[pl.callbacks.ModelCheckpoint(dirpath=...)]`"),
}


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of today's Trainer for those of any Trainer since Lightning 1.1.

    What has no counterpart is refused where it asks for anything. `gpus` is not old here.

    Raises:
        UsageError: an argument has no counterpart, is given in both spellings, or asks for a device that is not there.
    """
    arguments = {name: value for name, value in given.items() if name not in DEVICES}
    for name in [name for name in arguments if name in REFUSED]:
        refused, value = REFUSED[name], arguments.pop(name)
        if not any(value is default or value == default for default in refused.defaults):
            raise UsageError(f"`{name}` has left Lightning's Trainer, received {value!r}: {refused.way_out}")
    for name in [name for name in arguments if name in TRANSLATED]:
        value = arguments.pop(name)
        today = TRANSLATED[name](value)
        _add(arguments, today.arguments, name)
        if today.spelling:
            say_once(f"{name}={_shorten(value)}", today.spelling)
    return place(arguments, given)


def _add(arguments: dict[str, Any], new: Mapping[str, Any], old_name: str) -> None:
    for name, value in new.items():
        if name == "callbacks":
            add_callbacks(arguments, value)
        else:
            check_unset(arguments, name, old_name)
            arguments[name] = value


def add_callbacks(arguments: dict[str, Any], callbacks: Sequence[pl.Callback]) -> None:
    """Add callbacks to a Trainer's arguments, whose `callbacks` may be a list, one, or None."""
    held = arguments.get("callbacks") or []
    arguments["callbacks"] = [*(held if isinstance(held, list) else [held]), *callbacks]


def _shorten(value: Any) -> str:
    return repr(value) if isinstance(value, (bool, int, float, str, type(None))) else "..."


def _checkpoint_callback(value: Any) -> Today:
    if isinstance(value, pl.callbacks.Checkpoint):
        return Today({"callbacks": [value]}, "`callbacks=[ModelCheckpoint(...)]`")
    return _rename("enable_checkpointing")(value)


def _progress_bar_refresh_rate(value: int | None) -> Today:
    if value == 0:
        return Today({"enable_progress_bar": False}, "`enable_progress_bar=False`")
    if value in (None, 1):
        return Today()
    bar = pl.callbacks.TQDMProgressBar(refresh_rate=value)
    return Today({"callbacks": [bar]}, f"`callbacks=[pl.callbacks.TQDMProgressBar(refresh_rate={value})]`")


def _process_position(value: int | None) -> Today:
    if not value:
        return Today()
    bar = pl.callbacks.TQDMProgressBar(process_position=value)
    return Today({"callbacks": [bar]}, f"`callbacks=[pl.callbacks.TQDMProgressBar(process_position={value})]`")


def _weights_summary(value: str | None) -> Today:
    if value is None:
        return Today({"enable_model_summary": False}, "`enable_model_summary=False`")
    if value not in ("top", "full"):
        raise UsageError(f"expected `weights_summary` as 'top', 'full' or None, received {value!r}")
    if value == "top":
        return Today()
    summary = pl.callbacks.ModelSummary(max_depth=-1)
    return Today({"callbacks": [summary]}, "`callbacks=[pl.callbacks.ModelSummary(max_depth=-1)]`")


def _log_gpu_memory(value: str | None) -> Today:
    if value is None:
        return Today()
    monitor = pl.callbacks.DeviceStatsMonitor(cpu_stats=False)
    return Today({"callbacks": [monitor]}, "`callbacks=[pl.callbacks.DeviceStatsMonitor()]`")


def _terminate_on_nan(value: bool | None) -> Today:
    if not value:
        return Today()
    return Today({"callbacks": [FiniteLoss()]}, "`callbacks=[lightfit.callbacks.FiniteLoss()]`")


def _reload_dataloaders_every_epoch(value: bool) -> Today:
    if not value:
        return Today()
    return Today({"reload_dataloaders_every_n_epochs": 1}, "`reload_dataloaders_every_n_epochs=1`")


def _amp_backend(value: str | None) -> Today:
    if value not in (None, "native"):
        raise UsageError(f"`amp_backend` has left Lightning's Trainer, received {value!r}: {NO_APEX}")
    return Today()


def _accumulate_grad_batches(value: Any) -> Today:
    if not isinstance(value, dict):
        return Today({"accumulate_grad_batches": 1 if value is None else value})
    scheduler = pl.callbacks.GradientAccumulationScheduler(scheduling=value)
    return Today({"callbacks": [scheduler]}, "`callbacks=[pl.callbacks.GradientAccumulationScheduler(...)]`")


def _max_steps(value: int | None) -> Today:
    return Today({"max_steps": -1 if value is None else value})


def _profiler(value: Any) -> Today:
    if value is True:
        return Today({"profiler": "simple"}, "`profiler='simple'`")
    return Today({"profiler": None if value is False else value})


def _precision(value: Any) -> Today:
    today = {"16": "16-mixed", "bf16": "bf16-mixed"}.get(str(value), value)
    return Today({"precision": today}, f"`precision='{today}'`" if today != value else "")


def _rename(new: str) -> Callable[[Any], Today]:
    return lambda value: Today({new: value}, f"`{new}={value!r}`") if value is not None else Today()


TRANSLATED: dict[str, Callable[[Any], Today]] = {
    "accumulate_grad_batches": _accumulate_grad_batches,
    "amp_backend": _amp_backend,
    "checkpoint_callback": _checkpoint_callback,
    "log_gpu_memory": _log_gpu_memory,
    "max_steps": _max_steps,
    "precision": _precision,
    "process_position": _process_position,
    "profiler": _profiler,
    "progress_bar_refresh_rate": _progress_bar_refresh_rate,
    "reload_dataloaders_every_epoch": _reload_dataloaders_every_epoch,
    "replace_sampler_ddp": _rename("use_distributed_sampler"),
    "terminate_on_nan": _terminate_on_nan,
    "weights_summary": _weights_summary,
}
