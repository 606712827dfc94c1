"""Optimizers by name."""

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

WARMUP, START, END = 0.23, 0.2, 0.07  # of one_cycle: fraction of the steps that rise, and the rates at both ends


def find_optimizer_class(name: str) -> type[Optimizer]:
    """Find an optimizer's class in torch.optim by its name.

    Raises:
        ValueError: torch.optim has no optimizer of that name.
    """
    known = {n: c for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, Optimizer)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        raise ValueError(f"torch.optim has no optimizer '{name}'; the nearest names: {', '.join(near)}")
    return known[name]


def make_optimizer(
    chosen: type[Optimizer], parameters: Iterable[Any], *, lr: float, weight_decay: float = 0.0, momentum: float = 0.0
) -> Optimizer:
    """Build the optimizer over parameters, or groups of them; its other arguments keep torch's defaults.

    Args:
        chosen: class of the optimizer.
        parameters: parameters, or dicts of `params` and what else holds for them.
        lr: learning rate.
        weight_decay: L2 penalty.
        momentum: Nesterov's momentum.

    Raises:
        ValueError: the class has no such argument, and a value was given.
    """
    arguments: dict[str, Any] = {"lr": lr}
    taken = inspect.signature(chosen).parameters
    for name, value in (("weight_decay", weight_decay), ("momentum", momentum)):
        if value and name not in taken:
            raise ValueError(f"torch.optim.{chosen.__name__} takes no {name}, received {value}: leave it at 0")
        if value:
            arguments[name] = value
    if momentum and "nesterov" in taken:
        arguments["nesterov"] = True
    build: Any = chosen
    return build(parameters, **arguments)


def choose_warmup(warmup: float, warm_up: float | None) -> float:
    """Choose between an argument and its old name, with a warning where the old name is used.

    Raises:
        ValueError: both are given, with different values.
    """
    if warm_up is None:
        return warmup
    if warmup not in (0, warm_up):
        raise ValueError(f"expected `warmup` alone, received `warmup` {warmup} and `warm_up` {warm_up}, its old name")
    warnings.warn(f"`warm_up` is called `warmup` now, and will be removed: give `warmup` {warm_up}", FutureWarning, 3)
    return warm_up


def add_schedule(optimizer: Optimizer, name: str, trainer: Any, *, warmup: float = 0.0) -> Any:
    """Add a schedule by its name to an optimizer; return what `configure_optimizers` returns.

    Args:
        optimizer: the optimizer.
        name: constant; halving, to a half after each epoch (Zhou et al. 2021, "Informer", arXiv 2012.07436, section
            5.1, and those who followed it); or one of `make_schedule`.
        trainer: Lightning's trainer, which knows the number of steps.
        warmup: fraction of all steps in which the rate rises from 0 before a constant or cosine schedule.

    Raises:
        ValueError: warmup is not within [0, 1), or the schedule rises by itself, or has no steps to rise in.
    """
    if not 0 <= warmup < 1 or (warmup and name not in ("constant", "cosine")):
        raise ValueError(
            f"expected warmup in [0, 1), before the schedule constant or cosine, received {warmup} before {name}"
        )
    if name == "constant" and not warmup:
        return optimizer
    if name == "halving":
        return [optimizer], [{"scheduler": StepLR(optimizer, step_size=1, gamma=0.5), "interval": "epoch"}]
    num_steps = int(trainer.estimated_stepping_batches)
    if warmup:
        scheduler: LRScheduler = LambdaLR(optimizer, make_warmup_scale(name, num_steps, warmup))
    else:
        scheduler = make_schedule(name, optimizer, num_steps)
    return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def make_warmup_scale(name: str, num_steps: int, warmup: float) -> Callable[[int], float]:
    """Make the factor of the learning rate at a step: straight up from near 0, then constant or half a cosine to 0.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; the rise as in Goyal et al. 2017,
    "Accurate, Large Minibatch SGD", section 2.2.

    Args:
        name: constant or cosine.
        num_steps: number of steps in the whole of the training.
        warmup: fraction of them in which the rate rises.
    """
    rising = max(round(warmup * num_steps), 1)

    def scale(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        if name == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min((step - rising) / max(num_steps - rising, 1), 1)))

    return scale


def make_schedule(name: str, optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """Build a schedule of the learning rate by the step.

    Args:
        name: `cosine`, half a period down to 0 (Loshchilov and Hutter 2017, "SGDR", equation 5), or `one_cycle`, a
            straight line up from a fifth and one down to near 0 (the triangle of Jordan 2024, arXiv 2404.00498).
        optimizer: the optimizer whose rates it scales.
        num_steps: number of steps in the whole of the training.
    """
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=max(num_steps, 1))
    top = max(round(WARMUP * num_steps), 1)

    def scale(step: int) -> float:
        if step < top:
            return START + (1 - START) * step / top
        return END + (1 - END) * max(num_steps - step, 0) / max(num_steps - top, 1)

    return LambdaLR(optimizer, scale)


def combine(optimizer: Optimizer | Callable[..., Optimizer], scheduler: Any, module: Any) -> Any:
    """Combine an optimizer with its schedule; return what `configure_optimizers` returns.

    Args:
        optimizer: an optimizer of the module's parameters, or a function that builds one of them.
        scheduler: a schedule, a function of the optimizer that builds one, Lightning's dict of one, or None.
        module: the LightningModule, whose trainer knows whether there is a validation.

    Raises:
        ValueError: the optimizer has none of the module's parameters.
    """
    built = optimizer if isinstance(optimizer, Optimizer) else optimizer(module.parameters())
    own = {id(parameter) for parameter in module.parameters()}
    if not any(id(parameter) in own for group in built.param_groups for parameter in group["params"]):
        raise ValueError(
            f"{type(built).__name__} has none of the parameters of {type(module).__name__}, so nothing would be "
            "learned: expected one of the parameters of the net that the model wraps, "
            f"such as torch.optim.{type(built).__name__}(net.parameters())"
        )
    if scheduler is None:
        return built
    if callable(scheduler):
        scheduler = scheduler(built)
    config = dict(scheduler) if isinstance(scheduler, dict) else {"scheduler": scheduler}
    if isinstance(config["scheduler"], ReduceLROnPlateau):
        config.setdefault("monitor", "val_loss" if module.trainer.enable_validation else "loss")
    return {"optimizer": built, "lr_scheduler": config}
