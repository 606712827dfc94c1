"""The nets of the models of this process: a checkpoint of a model made in Python does not describe its net."""

import copy
from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

from torch import Size, Tensor, nn

from lightfit.errors import CheckpointError

_models: WeakSet[Any] = WeakSet()


def remember(model: Any) -> None:
    """Remember a model for as long as something else does."""
    _models.add(model)


def copy_net(cls: type, state: Mapping[str, Tensor]) -> nn.Module:
    """Copy the net of a model of this class that the weights of a checkpoint fit.

    Args:
        cls: the model's class.
        state: the checkpoint's weights; those of the net begin with `net.`.

    Raises:
        CheckpointError: there is none, or there are several that differ.
    """
    shapes = {key[4:]: value.shape for key, value in state.items() if key.startswith("net.")}
    nets = [getattr(model, "net", None) for model in _models if type(model) is cls]
    fitting = [net for net in nets if net is not None and _list_shapes(net) == shapes]
    if not fitting or len({repr(net) for net in fitting}) > 1:
        found = "the nets of several models that it would fit differ" if fitting else "no model here has such a net"
        raise CheckpointError(
            f"the checkpoint does not describe how its net was built, since the model was made in Python as "
            f"{cls.__name__}(net), and {found}: expected {cls.__name__}.load_from_checkpoint(path, net=the_net)"
        )
    return copy.deepcopy(fitting[0])


def _list_shapes(net: nn.Module) -> dict[str, Size]:
    return {key: value.shape for key, value in net.state_dict().items()}
