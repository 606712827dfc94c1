"""The nets, plain torch modules, under a short name."""

from typing import TYPE_CHECKING

from lightfit.lazy import lazy_names
from lightfit.lightning_modules import nets as _nets

if TYPE_CHECKING:
    from lightfit.lightning_modules.nets import *  # noqa: F403

__all__ = list(_nets.__all__)

__getattr__, __dir__ = lazy_names(__name__, {_nets.__name__: " ".join(__all__)})
