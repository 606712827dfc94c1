"""A model from the hyper-parameters of its checkpoint."""

import importlib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from torch import nn

from lightning_modules.namespace import pl
from lightning_modules.trust import check_trusted

Model = TypeVar("Model")


def rebuild(
    cls: type[Model], base: type, saved: Mapping[str, Any], net: nn.Module | None, trust: Collection[str]
) -> Model:
    """The model, untrained, around `net`, or around the net whose class path and arguments LightningCLI saved.

    Args:
        cls: the class that is expected, or a parent of it.
        base: the parent of all models that a class path may name.
        saved: the checkpoint's hyper-parameters.
        net: the net, where the checkpoint does not say how to build it.
        trust: packages whose classes may be built, beside the known ones and that of `cls`.

    Raises:
        ValueError: neither is a net given nor does the checkpoint say, the model is of another class, or a class is of
            a package that is not trusted.
    """
    arguments = {name: value for name, value in saved.items() if not name.startswith("_")}
    if net is not None:
        arguments.pop("net", None)  # how to build the one that was trained, where it was trained by a command
        return cls(net, **arguments)  # type: ignore[call-arg]
    if "_class_path" not in saved:
        raise ValueError(
            f"the checkpoint does not say how its net was built, since the model was made in Python as "
            f"{cls.__name__}(net): expected {cls.__name__}.load(path, net=the_net)"
        )
    check_trusted(saved, (*trust, cls.__module__))
    cli = importlib.import_module(f"{pl.__name__}.cli")  # with jsonargparse, which nothing else here needs
    try:
        model = cli.instantiate_module(base, {**arguments, "_class_path": saved["_class_path"]})
    except Exception as error:  # a class of another project, or of another version, fails in any way
        raise ValueError(
            f"the checkpoint is of {saved['_class_path']}, which cannot be built here: expected a class of this "
            f"version of LightFit, or one that can be imported. The cause: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(model, cls):
        raise ValueError(f"expected a checkpoint of {cls.__name__}, received one of {saved['_class_path']}")
    return model
