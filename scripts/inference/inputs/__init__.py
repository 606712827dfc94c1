"""Readers of raw samples from arguments, standard input and HTTP requests, one module for each domain."""

from typing import TYPE_CHECKING

from ..pixel_limits import DEFAULT_LIMITS, PixelLimits
from ..trained import Trained

if TYPE_CHECKING:
    from .protocol import Inputs


def choose_inputs(trained: Trained, pixels: PixelLimits = DEFAULT_LIMITS) -> "Inputs":
    """Return the reader of inputs for the domain of a checkpoint's codec; import that domain alone.

    Args:
        trained: the checkpoint.
        pixels: limits of uploaded images.
    """
    if trained.codec.domain == "text":
        from .texts import TextInputs

        found = getattr(trained.codec, "input_column", None)
        return TextInputs(trained.data_arguments.get("text_column", "text") if found is None else found)
    if trained.codec.domain == "images":
        from lightfit.datamodules import ImageCodec

        from .images import ImageInputs

        # A subclass may encode what this one does not prepare.
        known = isinstance(trained.codec, ImageCodec) and type(trained.codec).encode is ImageCodec.encode
        return ImageInputs(trained.codec if known else None, pixels)  # type: ignore[arg-type]
    if trained.codec.domain == "series":
        from .series import SeriesInputs

        return SeriesInputs(trained.codec)  # type: ignore[arg-type]
    from .files import FileInputs

    return FileInputs()
