"""Optimizers and schedules, by name, by class path, or built in Python."""

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, TypeAlias, cast

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CyclicLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from lightfit.trust import import_name

# As arguments of models. The rate is no argument of the optimizer's class: it is the model's own, `lr`.
OptimizerChoice: TypeAlias = str | Callable[[Iterable[Any], float], Optimizer]
BuiltSchedule: TypeAlias = Callable[[Optimizer], LRScheduler]
ScheduleChoice: TypeAlias = Literal["constant", "cosine", "linear", "one_cycle"] | BuiltSchedule
NAMED = ("constant", "cosine", "linear", "one_cycle", "halving")
RISING = ("constant", "cosine", "linear")  # those that a warmup may stand before
WARMUP, START, END = 0.23, 0.2, 0.07  # of one_cycle: fraction of the steps that rise, and the rates at both ends


def find_optimizer(choice: Any) -> Callable[..., Optimizer]:
    """Find what builds an optimizer from parameters and a rate.

    Args:
        choice: name of a class of torch.optim; path of any class; a dict of `class_path` and `init_args`; or the class,
            or a function of parameters and rate, itself.

    Raises:
        ValueError: torch.optim has no optimizer of that name, or the path names none.
        UntrustedNameError: a checkpoint names it, and may not.
    """
    if isinstance(choice, dict):
        arguments = dict(choice.get("init_args", {}))
        if set(choice) - {"class_path", "init_args"} or "class_path" not in choice or "lr" in arguments:
            raise ValueError(
                f"expected `optimizer` with `class_path` and `init_args`, and the rate as `lr`, received {choice}"
            )
        return partial(find_optimizer(choice["class_path"]), **arguments)
    if not isinstance(choice, str):
        return cast(Callable[..., Optimizer], choice)
    if "." in choice:
        found = import_name(choice)
        if not (isinstance(found, type) and issubclass(found, Optimizer)):
            raise ValueError(f"expected `optimizer` as a class such as torch.optim.AdamW, received '{choice}'")
        return found
    known = {n: c for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, Optimizer)}
    if choice not in known:
        near = difflib.get_close_matches(choice, known, n=3, cutoff=0.4) or sorted(known)
        raise ValueError(f"torch.optim has no optimizer '{choice}'; the nearest names: {', '.join(near)}")
    return known[choice]


def make_optimizer(
    chosen: Callable[..., Optimizer],
    parameters: Iterable[Any],
    *,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
) -> Optimizer:
    """Build the optimizer over parameters, or groups of them; its other arguments keep torch's defaults.

    Args:
        chosen: class of the optimizer, with arguments or without, or a function of parameters and rate.
        parameters: parameters, or dicts of `params` and what else holds for them.
        lr: learning rate.
        weight_decay: L2 penalty.
        momentum: Nesterov's momentum.

    Raises:
        ValueError: the class has no such argument, or has another value of it already.
    """
    # `chosen` may be a partial, of the class itself or of jsonargparse's function that builds it.
    held = (chosen.func, *chosen.args) if isinstance(chosen, partial) else (chosen,)
    cls = next((item for item in held if isinstance(item, type)), None)
    taken = inspect.signature(cls).parameters if cls is not None else {}
    given = chosen.keywords if isinstance(chosen, partial) else {}
    arguments: dict[str, Any] = {}
    for name, value in (("weight_decay", weight_decay), ("momentum", momentum)):
        if not value:
            continue
        if name not in taken:
            title = f"torch.optim.{cls.__name__}" if cls is not None else "the function that builds the optimizer"
            raise ValueError(f"{title} takes no {name}, received {value}: leave it at 0")
        if given.get(name, value) not in (value, taken[name].default):
            raise ValueError(
                f"expected one `{name}`, received {value}, and {given[name]} as `optimizer.{name}`: leave out one"
            )
        arguments[name] = value
    if momentum and "nesterov" in taken:
        arguments["nesterov"] = True
    return chosen(parameters, lr, **arguments)


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


def add_schedule(optimizer: Optimizer, schedule: Any, trainer: Any, *, warmup: float = 0.0) -> Any:
    """Add a schedule to an optimizer; return what `configure_optimizers` returns.

    Args:
        optimizer: the optimizer.
        schedule: constant; halving, to a half after each epoch (Zhou et al. 2021, "Informer", arXiv 2012.07436,
            section 5.1, and those who followed it); one of `make_schedule`; or as of `find_schedule`.
        trainer: Lightning's trainer, which knows the number of steps.
        warmup: fraction of all steps in which the rate rises from 0 before a constant, cosine or linear schedule.

    Raises:
        ValueError: warmup is not within [0, 1), or the schedule rises by itself, or has no steps to rise in.
    """
    if not 0 <= warmup < 1 or (warmup and schedule not in RISING):
        raise ValueError(
            f"expected warmup in [0, 1), before the schedule {', '.join(RISING[:-1])} or {RISING[-1]}, received "
            f"{warmup} before {schedule}"
        )
    if schedule not in NAMED:
        return [optimizer], [configure_schedule(find_schedule(schedule), optimizer, trainer)]
    name = str(schedule)
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
    """Make the factor of the learning rate at a step: straight up from near 0, then constant or down to 0.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; the rise as in Goyal et al. 2017,
    "Accurate, Large Minibatch SGD", section 2.2.

    Args:
        name: constant, cosine (half a period down to 0), or linear (straight down to 0, as in Devlin et al. 2019,
            "BERT", appendix A.2).
        num_steps: number of steps in the whole of the training.
        warmup: fraction of them in which the rate rises.
    """
    rising = max(round(warmup * num_steps), 1)

    def scale(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        if name == "constant":
            return 1.0
        done = min((step - rising) / max(num_steps - rising, 1), 1)
        return 1 - done if name == "linear" else 0.5 * (1 + math.cos(math.pi * done))

    return scale


def make_schedule(name: str, optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """Build a schedule of the learning rate by the step.

    Args:
        name: `cosine`, half a period down to 0 (Loshchilov and Hutter 2017, "SGDR", equation 5), `linear`, straight
            down to 0, or `one_cycle`, a straight line up from a fifth and one down to near 0 (the triangle of Jordan
            2024, arXiv 2404.00498).
        optimizer: the optimizer whose rates it scales.
        num_steps: number of steps in the whole of the training.
    """
    if name == "linear":
        return LambdaLR(optimizer, lambda step: max(num_steps - step, 0) / num_steps)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=max(num_steps, 1))
    top = max(round(WARMUP * num_steps), 1)

    def scale(step: int) -> float:
        if step < top:
            return START + (1 - START) * step / top
        return END + (1 - END) * max(num_steps - step, 0) / max(num_steps - top, 1)

    return LambdaLR(optimizer, scale)


def find_schedule(choice: Any) -> Callable[[Optimizer], Any]:
    """Find what builds a schedule from an optimizer.

    Args:
        choice: path of a class of torch.optim.lr_scheduler, or another; a dict of `class_path` and `init_args`; or the
            class, or a function of the optimizer, itself.

    Raises:
        ValueError: the path names no schedule.
        UntrustedNameError: a checkpoint names it, and may not.
    """
    if isinstance(choice, dict):
        return partial(find_schedule(choice["class_path"]), **choice.get("init_args", {}))
    if not isinstance(choice, str):
        return cast(Callable[[Optimizer], Any], choice)
    found = import_name(choice) if "." in choice else None
    if not (isinstance(found, type) and issubclass(found, LRScheduler)):
        raise ValueError(
            f"expected `schedule` as {', '.join(NAMED)} or a class such as torch.optim.lr_scheduler.StepLR, received "
            f"'{choice}'"
        )
    return found


def configure_schedule(schedule: Any, optimizer: Optimizer, trainer: Any) -> dict[str, Any]:
    """Return Lightning's configuration of a schedule.

    OneCycleLR and CyclicLR make a step for each step of the optimizer, as torch's documentation asks for, others for
    each epoch. ReduceLROnPlateau watches `val_loss`, or `loss` where nothing is validated; Lightning's, in its `cli`,
    what its argument `monitor` names.

    Args:
        schedule: a schedule, a function of the optimizer that builds one, or Lightning's dict of one.
        optimizer: the optimizer.
        trainer: Lightning's trainer, which knows whether there is a validation.
    """
    built = schedule(optimizer) if callable(schedule) else schedule
    config = dict(built) if isinstance(built, dict) else {"scheduler": built}
    scheduler = config["scheduler"]
    if isinstance(scheduler, (OneCycleLR, CyclicLR)):
        config.setdefault("interval", "step")
    if isinstance(scheduler, ReduceLROnPlateau):
        default = "val_loss" if trainer.enable_validation else "loss"
        config.setdefault("monitor", getattr(scheduler, "monitor", default))
    return config


def combine(optimizer: Optimizer | Callable[..., Optimizer], schedule: Any, module: Any) -> Any:
    """Combine an optimizer with its schedule; return what `configure_optimizers` returns.

    Args:
        optimizer: an optimizer of the module's parameters, or a function that builds one of them.
        schedule: as of `configure_schedule`, or None.
        module: the LightningModule.

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
    if schedule is None:
        return built
    return {"optimizer": built, "lr_scheduler": configure_schedule(schedule, built, module.trainer)}
