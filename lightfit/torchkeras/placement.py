"""Where a Trainer trains: accelerator, devices and strategy, from the arguments of Lightning 1.x."""

from collections.abc import Mapping
from typing import Any

import torch

from lightfit.devices import parse_gpus
from lightfit.errors import UsageError
from lightfit.lightning import import_submodule, pl

from .spelling import say_once

# What today's Trainer does not take.
DEVICES = ("gpus", "tpu_cores", "num_processes", "auto_select_gpus", "distributed_backend")
PROCESS_A_GPU = "`strategy='ddp'`, which trains in one process a GPU"
OLD_STRATEGIES = ("ddp", "ddp_spawn", "ddp_cpu", "deepspeed")  # names that `accelerator` took before 1.5
LOST_STRATEGIES = {
    "dp": PROCESS_A_GPU,
    "ddp2": PROCESS_A_GPU,
    "horovod": PROCESS_A_GPU,
    "bagua": PROCESS_A_GPU,
    "hivemind": PROCESS_A_GPU,
    "collaborative": PROCESS_A_GPU,
    "ddp_sharded": "`strategy='fsdp'`",
    "ddp_sharded_spawn": "`strategy='fsdp'`",
    "ddp_fully_sharded": "`strategy='fsdp'`",
    "fsdp_native": "`strategy='fsdp'`",
    "tpu_spawn": "`tpu_cores`, without a strategy",
}


def check_unset(arguments: Mapping[str, Any], name: str, old_name: str) -> None:
    """Check that an argument is not given in its new spelling, beside the old one.

    Raises:
        UsageError: it is.
    """
    if arguments.get(name) is not None:
        raise UsageError(f"`{old_name}` and `{name}` are the old and the new spelling of one argument: give one")


def place(arguments: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Trainer's arguments with accelerator, devices and strategy.

    Args:
        arguments: those of today's Trainer.
        given: what Lightning 1.x has beside them, `DEVICES`.

    Raises:
        UsageError: two of them contradict each other, a strategy is no longer there, or a device is not.
    """
    arguments = dict(arguments)
    for name in ("distributed_backend", "accelerator", "strategy"):
        _check_strategy(name, given.get(name))
    old_name = "accelerator" if given.get("distributed_backend") is None else "distributed_backend"
    if old_name == "distributed_backend":
        check_unset(arguments, "accelerator", old_name)
        arguments["accelerator"] = given[old_name]
    accelerator = arguments.get("accelerator")
    if isinstance(accelerator, str) and accelerator in OLD_STRATEGIES:
        strategy = "ddp_spawn" if accelerator == "ddp_cpu" else accelerator
        say_once(f"{old_name}='{accelerator}'", f"`strategy='{strategy}'`")
        del arguments["accelerator"]
        check_unset(arguments, "strategy", old_name)
        arguments["strategy"] = strategy
        if accelerator == "ddp_cpu":
            arguments["accelerator"] = "cpu"
    asked = {name: given[name] for name in ("gpus", "tpu_cores") if given.get(name) is not None}
    if asked.get("gpus") == 0 and "tpu_cores" in asked:
        del asked["gpus"]  # the CPU, on the host of the TPU
    places = [*asked, *(["devices"] if arguments.get("devices") is not None else [])]
    if len(places) > 1:
        raise UsageError(f"`{places[0]}` and `{places[1]}` both say where to train: give one of them")
    if "tpu_cores" in asked:
        _choose(arguments, "tpu", _parse_tpu_cores(asked["tpu_cores"]), "tpu_cores")
    elif "gpus" in asked:
        where, devices = parse_gpus(asked["gpus"], torch.cuda.device_count())
        if given.get("auto_select_gpus") and where == "gpu" and isinstance(devices, int):
            devices = import_submodule("accelerators").find_usable_cuda_devices(devices)
        _choose(arguments, where, devices, "gpus")
    num_processes = given.get("num_processes")
    if num_processes not in (None, 1, arguments.get("devices")):
        if arguments.get("accelerator") not in (None, "cpu"):
            raise UsageError("`num_processes` is of the CPU, and other devices are asked for: leave it out")
        say_once(f"num_processes={num_processes}", f"`accelerator='cpu', devices={num_processes}`")
        arguments |= {"accelerator": "cpu", "devices": num_processes}
    return arguments


def _choose(arguments: dict[str, Any], accelerator: str, devices: Any, name: str) -> None:
    before = arguments.get("accelerator")
    same = {"gpu": ("gpu", "cuda", "mps"), "cpu": ("cpu",), "tpu": ("tpu",)}.get(accelerator, (before,))
    if before not in (None, "auto", *same):
        raise UsageError(f"`{name}` and `accelerator` contradict each other: received {before!r} for the second")
    arguments |= {"accelerator": accelerator if before in (None, "auto") else before, "devices": devices}


def _parse_tpu_cores(value: Any) -> Any:
    if not pl.accelerators.XLAAccelerator.is_available():
        raise UsageError(
            f"`tpu_cores` {value} asks for a TPU, and there is none, or torch_xla is not installed: use `gpus`, or "
            "leave `tpu_cores` out to use what is available"
        )
    if isinstance(value, str) and value != "auto":
        ids = [int(item) for item in value.split(",") if item.strip()]
        return ids if "," in value else ids[0]
    return value


def _check_strategy(name: str, value: Any) -> None:
    if isinstance(value, str) and value in LOST_STRATEGIES:
        raise UsageError(f"`{name}` '{value}' has left Lightning: use {LOST_STRATEGIES[value]}")
