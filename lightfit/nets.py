"""The nets, plain torch modules, under a short name."""

from lightfit.lightning_modules import nets as _nets
from lightfit.lightning_modules.nets import *  # noqa: F403

__all__ = list(_nets.__all__)
