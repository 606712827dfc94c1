"""LightFit: images, text and time series with PyTorch Lightning, in the torchkeras manner.

This package is the ground floor, which the folders beside it share: `lightfit.lightning_modules`,
`lightfit.datamodules` and `lightfit.callbacks`. Installed, these lie within it; in a clone they lie beside it, where
this file finds them.
"""

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lightfit.lazy import lazy_names
from lightfit.version import VERSION

if TYPE_CHECKING:
    from lightfit.datamodules import (
        BadInput,
        Classes,
        Codec,
        DataError,
        DataModule,
        EncoderCodec,
        ImageCodec,
        ImageDataModule,
        ImageTransforms,
        LabelCodec,
        LabelSets,
        Numbers,
        Samples,
        SeriesCodec,
        SeriesColumns,
        SeriesDataModule,
        Target,
        TextCodec,
        TextDataModule,
        Vocabulary,
    )
    from lightfit.lightning import use_lightning
    from lightfit.lightning_modules import (
        Classifier,
        FineTuning,
        ImageClassifier,
        LightModel,
        MultiLabelClassifier,
        Regressor,
        SeriesForecaster,
        SupervisedModel,
        TextClassifier,
        load_pretrained,
        load_weights,
        save_best_weights,
        save_weights,
    )
    from lightfit.torchkeras import KerasModel, Trainer, pl, summary

__all__ = [
    "BadInput",
    "Classes",
    "Classifier",
    "Codec",
    "DataError",
    "DataModule",
    "EncoderCodec",
    "FineTuning",
    "ImageClassifier",
    "ImageCodec",
    "ImageDataModule",
    "ImageTransforms",
    "KerasModel",
    "LabelCodec",
    "LabelSets",
    "LightModel",
    "MultiLabelClassifier",
    "Numbers",
    "Regressor",
    "Samples",
    "SeriesCodec",
    "SeriesColumns",
    "SeriesDataModule",
    "SeriesForecaster",
    "SupervisedModel",
    "Target",
    "TextClassifier",
    "TextCodec",
    "TextDataModule",
    "Trainer",
    "Vocabulary",
    "__version__",
    "load_pretrained",
    "load_weights",
    "pl",
    "save_best_weights",
    "save_weights",
    "summary",
    "use_lightning",
]

__version__ = VERSION
ROOMS = ("lightning_modules", "datamodules", "callbacks")
_HERE = Path(__file__).resolve().parent
_CLONE = None if (_HERE / ROOMS[0]).is_dir() else _HERE.parent  # installed, the rooms lie within this folder


_find, __dir__ = lazy_names(
    __name__,
    {
        "lightfit.lightning": "use_lightning",
        "lightfit.datamodules": (
            "BadInput Classes Codec DataError DataModule EncoderCodec ImageCodec ImageDataModule ImageTransforms "
            "LabelCodec LabelSets Numbers Samples SeriesCodec SeriesColumns SeriesDataModule Target TextCodec "
            "TextDataModule Vocabulary"
        ),
        "lightfit.lightning_modules": (
            "Classifier FineTuning ImageClassifier LightModel MultiLabelClassifier Regressor SeriesForecaster "
            "SupervisedModel TextClassifier load_pretrained load_weights save_best_weights save_weights"
        ),
        "lightfit.torchkeras": "KerasModel Trainer pl summary",
    },
)


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used: `import lightfit` alone brings neither torch nor Lightning."""
    if name in (*ROOMS, "nets", "scripts", "torchkeras", "torchtext"):
        return importlib.import_module(f"lightfit.{name}")
    return _find(name)


class _SameModule(Loader):
    """Loads `datamodules.x` as the same module that `lightfit.datamodules.x` is."""

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(f"lightfit.{module.__name__}")


class _RoomsOfAClone(MetaPathFinder):
    """Finds the rooms by their own names where this clone has them; other folders of those names take precedence."""

    def __init__(self, clone: Path) -> None:
        self.clone = clone

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        room = fullname.partition(".")[0]
        if room not in ROOMS:
            return None
        if fullname == room:
            # What lies before the clone is the project's own, though it may have no __init__.py.
            before = takewhile(lambda entry: Path(entry or ".").resolve() != self.clone, sys.path)
            others = [entry for entry in before if not Path(entry or ".").resolve().is_relative_to(self.clone)]
            if (own := PathFinder.find_spec(room, others)) is not None:
                return own
            spec = PathFinder.find_spec(room)
            origin = spec.origin if spec is not None else None
        else:
            origin = getattr(sys.modules.get(room), "__file__", None)
        if origin is None or Path(origin).resolve() != self.clone / room / "__init__.py":
            return None
        return ModuleSpec(fullname, _SameModule(), is_package=True)


if _CLONE is not None:
    __path__.append(str(_CLONE))
    sys.meta_path.insert(0, _RoomsOfAClone(_CLONE))
