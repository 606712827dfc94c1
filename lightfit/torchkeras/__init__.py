"""What torchkeras' users typed, on today's Lightning: `LightModel`, `KerasModel`, `summary`, and the namespace `pl`.

`lightfit.torchkeras` stands where `torchkeras` stood in an import. It lies above the three rooms, which it uses.
"""

from typing import TYPE_CHECKING

from lightfit.lazy import lazy_names

from . import pl

if TYPE_CHECKING:
    from lightfit.lightning_modules import LightModel

    from .keras_model import KerasModel
    from .net_summary import summary
    from .trainer import Trainer

__all__ = ["KerasModel", "LightModel", "Trainer", "pl", "summary"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "lightfit.lightning_modules": "LightModel",
        ".keras_model": "KerasModel",
        ".net_summary": "summary",
        ".trainer": "Trainer",
    },
)
