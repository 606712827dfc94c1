"""One LightningDataModule for each raw format."""

from typing import TYPE_CHECKING

import lightfit  # noqa: F401 - first: in a clone it makes this and `lightfit.datamodules` one package
from lightfit.errors import BadInput, DataError
from lightfit.lazy import lazy_names

if TYPE_CHECKING:
    from .base import DataModule, load_codec
    from .codec import Codec, LabelCodec
    from .images.codec import ImageCodec
    from .images.datamodule import ImageDataModule
    from .images.transforms import ImageTransforms
    from .samples import Samples
    from .series.codec import SeriesCodec
    from .series.datamodule import SeriesDataModule
    from .series.roles import SeriesColumns
    from .targets import Classes, LabelSets, Numbers, Target
    from .text.codec import TextCodec
    from .text.datamodule import TextDataModule
    from .text.encoder_codec import EncoderCodec
    from .text.vocabulary import Vocabulary

__all__ = [
    "BadInput",
    "Classes",
    "Codec",
    "DataError",
    "DataModule",
    "EncoderCodec",
    "ImageCodec",
    "ImageDataModule",
    "ImageTransforms",
    "LabelCodec",
    "LabelSets",
    "Numbers",
    "Samples",
    "SeriesCodec",
    "SeriesColumns",
    "SeriesDataModule",
    "Target",
    "TextCodec",
    "TextDataModule",
    "Vocabulary",
    "load_codec",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".base": "DataModule load_codec",
        ".codec": "Codec LabelCodec",
        ".images.codec": "ImageCodec",
        ".images.datamodule": "ImageDataModule",
        ".images.transforms": "ImageTransforms",
        ".samples": "Samples",
        ".series.codec": "SeriesCodec",
        ".series.datamodule": "SeriesDataModule",
        ".series.roles": "SeriesColumns",
        ".targets": "Classes LabelSets Numbers Target",
        ".text.codec": "TextCodec",
        ".text.datamodule": "TextDataModule",
        ".text.encoder_codec": "EncoderCodec",
        ".text.vocabulary": "Vocabulary",
    },
)
