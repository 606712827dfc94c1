"""The example program for an exported net, and its comparison with the checkpoint on odd inputs."""

import runpy
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightfit.errors import BadInput, DataError

from ..inference.trained import Trained
from .agreement import measure_distance
from .formats import Runtime, collect_metadata

FOLDER = Path(__file__).resolve().parents[1] / "examples"
IMAGES, TEXT, ENCODER, SERIES = (
    FOLDER / f"onnx_{domain}.py" for domain in ("images", "text", "text_encoder", "series")
)
NUM_WORDS = 38  # known ones, in odd texts
Prepare = Callable[..., Any]


class Case(NamedTuple):
    """An odd input.

    Args:
        name: what it is.
        ours: encoded by the codec, (B, ...).
        theirs: prepared by the program, (B, ...).
        difference: how far they are apart.
    """

    name: str
    ours: Tensor
    theirs: Tensor
    difference: float


class Comparison(NamedTuple):
    """How a program is compared.

    Args:
        what: the inputs.
        prepare_cases: a function that yields the cases, from the checkpoint, the program's `prepare`, its metadata and
            an empty folder.
        phrase: how to say a difference.
        most: the largest difference that is allowed.
    """

    what: str
    prepare_cases: Callable[[Trained, Prepare, dict[str, Any], Path], Iterator[Case]]
    phrase: str
    most: float


def find_program(trained: Trained) -> Path | None:
    """Return the example program for a checkpoint, which prepares samples as its codec encodes them; None without one.

    A codec of another class may encode anything, and so may a tokenizer that is no list of steps; holidays come from a
    package.
    """
    from lightfit.datamodules import EncoderCodec, ImageCodec, SeriesCodec, TextCodec

    codec = trained.codec
    if isinstance(codec, ImageCodec) and type(codec).encode is ImageCodec.encode:
        return IMAGES
    if isinstance(codec, TextCodec) and type(codec).encode is TextCodec.encode:
        from lightfit.datamodules.text.tokenizers import STEPS

        return TEXT if codec.tokenizer in STEPS else None
    if isinstance(codec, EncoderCodec) and type(codec).encode is EncoderCodec.encode:
        return ENCODER
    if type(codec) is SeriesCodec and codec.state.covariates.holidays is None:
        return SERIES
    return None


def compare_example(trained: Trained, runtime: Runtime) -> list[str]:
    """Compare the example program with the checkpoint on inputs that are made for it, and return a line about it.

    Args:
        trained: the checkpoint.
        runtime: predictions of the exported file.

    Raises:
        ValueError: it prepares an input in another way.
    """
    program = find_program(trained)
    own = COMPARISONS.get(trained.codec.domain)
    if program is None or own is None:
        return []
    prepare, known = runpy.run_path(str(program))["prepare"], collect_metadata(trained)
    with tempfile.TemporaryDirectory() as folder:
        cases = list(own.prepare_cases(trained, prepare, known, Path(folder)))
    if not cases:
        return []
    worst, predictions = max(cases, key=lambda case: case.difference), 0.0
    with torch.inference_mode():
        for case in cases:
            if case.ours.shape == case.theirs.shape:
                expected = trained.model.predict_step(case.ours, 0)
                predictions = max(predictions, measure_distance(runtime(case.theirs), expected))
    if not worst.difference <= own.most:
        raise ValueError(
            f"the program {program.name} prepares {own.what} in another way than the checkpoint: on '{worst.name}', "
            f"which was made for the comparison, {own.phrase.format(worst.difference)}, expected at most {own.most:g}; "
            f"predictions differ by up to {predictions:.2g}. The file was deleted"
        )
    names = ", ".join(case.name for case in cases)
    return [
        f"{program.name} on {len(cases)} odd {own.what} ({names}): {own.phrase.format(worst.difference)}, predictions "
        f"by up to {predictions:.2g}"
    ]


def prepare_images(trained: Trained, prepare: Prepare, known: dict[str, Any], folder: Path) -> Iterator[Case]:
    """Yield images: upright by EXIF, of 16 bits, of floats, grey, with alpha, in CMYK, long, large, and the like."""
    from .odd_images import make_odd_images

    codec: Any = trained.codec
    scale = 255 * torch.tensor(codec.std).view(-1, 1, 1)
    for path in make_odd_images(folder, codec):
        try:
            ours = codec.encode([path])
        except DataError:
            continue  # the format has other channels
        theirs = torch.from_numpy(prepare(str(path), known))[None]
        yield Case(path.name, ours, theirs, float(((theirs - ours) * scale).abs().max()))


def prepare_texts(trained: Trained, prepare: Prepare, known: dict[str, Any], folder: Path) -> Iterator[Case]:
    """Yield texts: empty, of other scripts, long, and the like."""
    from lightfit.datamodules import EncoderCodec

    from .odd_texts import make_odd_texts

    codec: Any = trained.codec
    of_encoder = isinstance(codec, EncoderCodec)
    words = [word for word in codec.tokens.words if word.isalpha()] if of_encoder else codec.vocabulary.itos[2:]
    for name, text in make_odd_texts(words[:NUM_WORDS]).items():
        if of_encoder and any("\ud800" <= char <= "\udfff" for char in text):
            continue  # tokenizers takes Unicode alone
        ours, theirs = codec.encode([text]), torch.from_numpy(prepare([text], known))
        same_size = ours.shape == theirs.shape and ours.dtype == theirs.dtype
        yield Case(name, ours, theirs, float((ours != theirs).sum()) if same_size else float("inf"))


def prepare_series(trained: Trained, prepare: Prepare, known: dict[str, Any], folder: Path) -> Iterator[Case]:
    """Yield the windows of tables: of one series and several, short, with missing values and covariates."""
    from lightfit.datamodules.series.frame import read_frame

    from .odd_series import make_odd_tables

    codec: Any = trained.codec
    for path in make_odd_tables(folder, codec):
        try:
            found = list(codec.last_windows(read_frame(path).table, path.stem))
        except (DataError, LookupError):
            continue  # this model takes no such table
        if any(isinstance(window, BadInput) for window in found):
            continue
        ours = codec.encode(found)
        theirs = torch.stack([torch.from_numpy(window["x"]) for window in prepare(str(path), known)])
        yield Case(path.stem, ours, theirs, measure_distance(theirs, ours))


# Torch and Pillow resize to the nearest of 255 steps, each by arithmetic of its own; windows are rounded to float32.
COMPARISONS = {
    "images": Comparison("images", prepare_images, "pixels differ by up to {:.0f} of 255", 3.0),
    "text": Comparison("texts", prepare_texts, "{:.0f} ids differ", 0.0),
    "series": Comparison("tables", prepare_series, "windows differ by up to {:.2g}", 1e-4),
}
