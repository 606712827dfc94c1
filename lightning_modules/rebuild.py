"""Building the model that a checkpoint describes, untrained."""

import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn

from lightfit.checkpoint import check_size
from lightfit.errors import CheckpointError
from lightfit.trust import build, check_trusted, only_trusted, own_module

Model = TypeVar("Model", bound=nn.Module)
NO_NETS = ("loss_fn", "means", "stage_metrics")  # modules of a model beside its nets
OLD_NAMES = {"warm_up": "warmup"}  # of arguments, to their present names


@contextmanager
def allow_old_names() -> Iterator[None]:
    """Suppress the warnings about old names of arguments: they are a checkpoint's, and nobody has typed them."""
    with warnings.catch_warnings():
        for name in OLD_NAMES:
            warnings.filterwarnings("ignore", f"`{name}` is called", FutureWarning)
        yield


def rebuild(
    cls: type[Model],
    saved: Mapping[str, Any],
    state: Mapping[str, Tensor],
    *,
    net: nn.Module | None = None,
    trust: Collection[str] = (),
) -> Model:
    """Build the model, untrained, around `net`, or around the net whose class path and arguments LightningCLI saved.

    Args:
        cls: the class that is expected, or a parent of it.
        saved: the checkpoint's hyper-parameters, and the arguments that are no plain data, such as several nets.
        state: the checkpoint's weights: nothing that is far larger than these is built.
        net: the net, where the checkpoint does not describe how to build it.
        trust: packages whose classes may be built, beside the known ones and that of `cls`.

    Raises:
        UntrustedNameError: it names a class or function that is not known and not trusted.
        CheckpointError: no net is given and the checkpoint describes none, or the model is of another class.
    """
    arguments = {name: value for name, value in saved.items() if not name.startswith("_")}
    if net is not None:
        arguments.pop("net", None)  # how to build the one that was trained, where it was trained by a command
        with only_trusted((*trust, *own_module(cls))), allow_old_names():
            return cls(net, **arguments)
    if "_class_path" not in saved:
        if any(isinstance(value, nn.Module) for name, value in arguments.items() if name not in NO_NETS):
            with only_trusted((*trust, *own_module(cls))), allow_old_names():
                return cls(**arguments)
        nets = list(dict.fromkeys(key.partition(".")[0] for key in state if "." in key))
        nets = [name for name in nets if name not in NO_NETS] or ["net"]
        raise CheckpointError(
            f"the checkpoint does not describe how its net was built, since the model was made in Python as "
            f"{cls.__name__}({', '.join(name if name == 'net' else f'{name}=...' for name in nets)}): expected "
            f"{cls.__name__}.load(path, {', '.join(f'{name}=the_{name}' for name in nets)})"
        )
    trust = (*trust, *own_module(cls))
    check_trusted(saved, trust)
    path = str(saved["_class_path"])

    def make() -> Any:
        with only_trusted(trust), allow_old_names():
            return build(path, arguments)

    try:
        try:
            check_size(make, state)
        except CheckpointError:
            raise
        except Exception:
            if not trust:
                raise
            # A user's own net may look at values of tensors, which have none on the meta device.
        model = make()
    except CheckpointError:
        raise
    except Exception as error:  # a class of another project, or of another version, fails in any way
        raise CheckpointError(
            f"the checkpoint is of {path}, which cannot be built here: expected a class of this version of LightFit, "
            f"or one that can be imported. The cause: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(model, cls):
        raise CheckpointError(f"expected a checkpoint of {cls.__name__}, received one of {path}")
    return model
