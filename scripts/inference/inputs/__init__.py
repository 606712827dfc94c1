"""Readers of raw samples from arguments, standard input and HTTP requests, one module for each domain."""

from typing import TYPE_CHECKING

from ..trained import Trained

if TYPE_CHECKING:
    from .protocol import Inputs


def choose_inputs(trained: Trained) -> "Inputs":
    """Return the reader of inputs for the domain of a checkpoint's codec; import that domain alone."""
    if trained.codec.domain == "text":
        from .texts import TextInputs

        found = getattr(trained.codec, "input_column", None)
        return TextInputs(trained.data_arguments.get("text_column", "text") if found is None else found)
    if trained.codec.domain == "images":
        from .images import ImageInputs

        return ImageInputs()
    if trained.codec.domain == "series":
        from .series import SeriesInputs

        return SeriesInputs(trained.codec)  # type: ignore[arg-type]
    from .files import FileInputs

    return FileInputs()
