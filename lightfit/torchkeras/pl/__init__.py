"""The namespace `pl` that programs for Lightning 1.x use: `from lightfit import pl`.

Its names are those of today's Lightning, whichever package that is, but for `Trainer`, which takes `gpus` and the
spellings of 1.x, and `metrics`, which Lightning 1.1 had. Nothing is changed in Lightning's own modules.
"""

from typing import TYPE_CHECKING, Any

from lightfit.lazy import lazy_names
from lightfit.lightning import import_submodule

if TYPE_CHECKING:
    from pytorch_lightning import *  # noqa: F403

    from lightfit.torchkeras.trainer import Trainer as Trainer

    from . import metrics as metrics

_find, __dir__ = lazy_names(__name__, {"..trainer": "Trainer"})
RENAMED = {"profiler": "profilers"}  # modules, since 1.9


def __getattr__(name: str) -> Any:
    """Return a name of today's Lightning; its submodules need no import of their own."""
    if name == "metrics":
        import lightfit.torchkeras.pl.metrics as found  # not `from . import`, which asks this function first

        return found
    if name == "Trainer":
        return _find(name)
    from lightfit.lightning import pl

    name = RENAMED.get(name, name)
    if not hasattr(pl, name):
        try:
            import_submodule(name)
        except ModuleNotFoundError:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}', nor has {pl.__name__}") from None
    return getattr(pl, name)
