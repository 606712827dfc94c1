"""Explanations of predictions: the words, regions of an image, or steps of a series that decided."""

import base64
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightfit.datamodules import Codec, LabelCodec, Numbers, SeriesCodec
from lightfit.datamodules.series.zones import format_stamps
from lightfit.errors import UsageError
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.explaining import Contributions, check_explainable, explain

from ..cli.outputs import output_file
from .predictor import Predictor, encode_samples
from .trained import Trained

CELLS = 16  # of a map of an image, at most, along each side
DIGITS = 6
ROUNDING = 1e-9  # of a sum in float64
NEGLIGIBLE = 0.001  # of the strongest weight: parts below it are left out of a line
EXACT, INTEGRATED = "exact", "integrated gradients"


class Explanation(NamedTuple):
    """What decided one prediction.

    What the parts add to the output is counted from the base: `base` + the weights of all parts = `output`, but for
    `missing`.

    Attributes:
        of: the class, label, number or column that is explained.
        unit: of all numbers here: `logit`, or the name of the number or column, whose units they have.
        method: `exact`, or `integrated gradients`.
        output: the output of the net.
        base: the same without any part: a linear net's bias, or the output for an input that says nothing (padding, an
            image of the mean colour, a series that stays at its mean).
        items: the strongest parts, each with its `input` (a word, a region, a column and step) and `weight`, which is
            positive if it speaks for the output. Of texts with `spans`, start and end of each place in the text, and
            `unknown` if the word is not in the vocabulary; of images with a `box` (left, top, right, bottom), in pixels
            of the net's input; of series with `column`, `step` (-1 is the last known one, 1 the first forecast) and
            `time`.
        rest: sum of the weights of all other parts.
        missing: what the weights do not account for; 0 where they are exact.
        warning: a sentence where that is too much; else empty.
        map: of an image `weights` by row and column of at most 16 x 16 cells, and `size`, height and width in pixels;
            of a series `weights` by column and step, with `columns`, `steps` and `times`; None of others.
        picture: of an image the net's input with the map over it, (H, W, 3) uint8: red speaks for the output, blue
            against it. None of others.
    """

    of: str
    unit: str
    method: str
    output: float
    base: float
    items: list[dict[str, Any]]
    rest: float
    missing: float
    warning: str = ""
    map: dict[str, Any] | None = None
    picture: NDArray[np.uint8] | None = None

    def to_dict(self, *, picture: bool = False) -> dict[str, Any]:
        """Return the explanation as plain data for JSON.

        Args:
            picture: whether to add the picture of an image, a PNG as a `data:` address.
        """
        held = {name: value for name, value in self._asdict().items() if name not in ("map", "picture", "warning")}
        held |= {"warning": self.warning} if self.warning else {}
        held |= {"map": self.map} if self.map is not None else {}
        if picture and self.picture is not None:
            held["picture"] = f"data:image/png;base64,{base64.b64encode(encode_png(self.picture)).decode()}"
        return held

    def to_text(self) -> str:
        """Return the strongest parts in a line, such as `not good +1.23; great -0.4`, without negligible ones."""
        least = NEGLIGIBLE * max((abs(item["weight"]) for item in self.items), default=0.0)
        shown = [item for item in self.items if abs(item["weight"]) >= least]
        return "; ".join(f"{item['input']} {format_weight(item['weight'])}" for item in shown)


def explain_samples(
    predictor: Predictor | Trained, samples: Sequence[Any], top: int = 10, *, rank: int = 1
) -> list[Explanation]:
    """Explain the predictions of raw samples, in their order.

    Args:
        predictor: the model, with its codec.
        samples: raw samples, as `predict_records` takes them.
        top: number of parts to list, those of the largest weights, of either sign.
        rank: what is explained: of classes and labels the most probable one, 2 the second, and so on; of numbers and
            the columns of a series the first one, and so on. Of series it is the mean of the forecast over its steps.

    Raises:
        DataError: a sample cannot be encoded.
        UsageError: this net cannot be explained.
        MissingPackageError: captum is needed, and is not installed.
    """
    if not samples:
        return []
    codec = predictor.codec
    x = encode_samples(codec, samples)
    if isinstance(predictor, Trained):
        return _explain(predictor.model, codec, samples, x, top, rank)
    with predictor.lend() as model:
        return _explain(model, codec, samples, x.to(model.device), top, rank)


def explain_encoded(model: LightModel, codec: Codec, x: Tensor, top: int = 10) -> list[Explanation]:
    """Explain the predictions of encoded samples (B, ...) of which the raw ones are not at hand, as `explain_samples`.

    Words are named by the vocabulary, without their places in the text; series, which need their scale, are not taken.
    """
    return _explain(model, codec, [None] * len(x), x, top, 1)


def check_explanations(trained: Trained) -> None:
    """Check that the predictions of a checkpoint can be explained, before inputs are read.

    Raises:
        UsageError, MissingPackageError: as `explain_samples`.
    """
    check_explainable(trained.model, takes_ids=not trained.codec.dummy_batch().is_floating_point())


def count_explained(codec: Codec, top: int) -> int:
    """Return the number of things in a prediction to explain: its `top` classes, or all of its numbers or columns."""
    if isinstance(codec, SeriesCodec):
        return codec.num_targets
    if isinstance(codec, LabelCodec) and isinstance(codec.target, Numbers):
        return codec.target.num_values
    return top


def format_weight(weight: float) -> str:
    """Return a weight with its sign and three significant digits, such as `+1.23`."""
    return f"{weight:+.3g}"


def _explain(
    model: LightModel, codec: Codec, samples: Sequence[Any], x: Tensor, top: int, rank: int
) -> list[Explanation]:
    middle = len(model.quantiles) // 2 if model.quantiles else None
    num_steps = len(samples[0].times) if isinstance(codec, SeriesCodec) else 0

    def read(output: Tensor) -> Tensor:
        if isinstance(codec, SeriesCodec):  # (B, P, C), or (B, P, C, Q)
            return (output if middle is None else output[..., middle])[:, :num_steps].mean(1)
        columns = output.flatten(1)
        return torch.cat([-columns, columns], 1) if _shares_logit(codec, columns) else columns

    with torch.inference_mode():
        columns = read(model(x))
    if not 1 <= rank <= columns.shape[1]:
        raise UsageError(f"expected a rank from 1 to {columns.shape[1]}, the number of outputs, received {rank}")
    ranked = isinstance(codec, LabelCodec) and not isinstance(codec.target, Numbers)
    index = (
        columns.argsort(dim=1, descending=True, stable=True)[:, rank - 1] if ranked else torch.full((len(x),), rank - 1)
    )
    found = explain(model, x, index, neutral=codec.neutral(x), read=read)
    if codec.domain == "images" and x.ndim == 4:
        return [_explain_image(codec, found, x, row, int(index[row]), top) for row in range(len(x))]
    if isinstance(codec, SeriesCodec):
        return [_explain_series(codec, found, sample, row, rank - 1, top) for row, sample in enumerate(samples)]
    return [_explain_parts(codec, found, sample, x, row, int(index[row]), top) for row, sample in enumerate(samples)]


def _shares_logit(codec: Codec, columns: Tensor) -> bool:
    """Return whether two classes share a logit, which speaks for the second one."""
    return columns.shape[1] == 1 and isinstance(codec, LabelCodec) and codec.num_outputs is None


def _summarise(
    found: Contributions,
    row: int,
    items: list[dict[str, Any]],
    top: int,
    *,
    of: str,
    unit: str,
    scale: float,
    mean: float,
) -> Explanation:
    """Return an explanation with the strongest of all items.

    Args:
        found: the contributions of the batch.
        row: which sample.
        items: all parts, with unscaled weights.
        top: number of parts to list.
        of: as in `Explanation`.
        unit: as in `Explanation`.
        scale: standard deviation that undoes the scaling of the output.
        mean: mean that undoes it.
    """
    order = sorted(items, key=lambda item: -abs(item["weight"]))
    listed = [{**item, "weight": _round(item["weight"] * scale)} for item in order[:top] if item["weight"]]
    missing = float(found.delta[row]) * scale
    warning = ""
    if not bool(found.is_complete[row]):
        warning = (
            f"the weights miss {_round(missing)} of the output: this net jumps between inputs, so that they are rough"
        )
    output, base = (_round(float(value[row]) * scale + mean) for value in (found.output, found.base))
    total = float(found.values[row].sum())
    unnamed = total - sum(item["weight"] for item in items)
    unnamed = unnamed if abs(unnamed) > ROUNDING * max(abs(total), 1) else 0.0
    rest = _round((sum(item["weight"] for item in order[top:]) + unnamed) * scale)
    method = EXACT if found.is_exact else INTEGRATED
    return Explanation(
        of, unit, method, output, base, listed, rest, 0.0 if found.is_exact else _round(missing), warning
    )


def _describe_output(codec: Codec, index: int) -> dict[str, Any]:
    """Return the arguments `of`, `unit`, `scale` and `mean` of `_summarise` for a column of the net's output."""
    if not isinstance(codec, LabelCodec):
        return {"of": f"output {index}", "unit": f"output {index}", "scale": 1.0, "mean": 0.0}
    name = codec.target.names[index]
    if isinstance(codec.target, Numbers):
        return {"of": name, "unit": name, "scale": codec.target.std[index], "mean": codec.target.mean[index]}
    return {"of": name, "unit": "logit", "scale": 1.0, "mean": 0.0}


def _explain_parts(
    codec: Any, found: Contributions, sample: Any, x: Tensor, row: int, index: int, top: int
) -> Explanation:
    """Explain a text, or a sample of a custom format, whose positions have names where the codec knows them."""
    values = found.values[row]
    if hasattr(codec, "locate") and sample is not None:
        named = [(part.name, part.spans, part.is_known) for part in codec.locate(sample, x[row].cpu())]
    elif hasattr(codec, "ticks") and x.ndim == 2:
        named = [(name, (), True) for name in codec.ticks(x[row].cpu())]
    else:
        places = np.ndindex(*values.shape)
        named = [(", ".join(map(str, place)), (), True) for place in places]
        values = values.flatten()
    items: dict[tuple[Any, ...], dict[str, Any]] = {}
    bounds = [(place, place + 1) for place in range(len(values))] if found.parts is None else found.parts[row].tolist()
    for weight, (start, end) in zip(values.tolist(), bounds, strict=True):
        own = named[start:end]
        if not own or not all(name for name, _, _ in own) or not weight:
            continue
        item: dict[str, Any] = {"input": " ".join(name for name, _, _ in own), "weight": weight}
        if isinstance(sample, str):
            spans = own[0][1] if len(own) == 1 else _join_spans([spans for _, spans, _ in own])
            item["spans"] = [list(span) for span in spans]
            if not all(known for _, _, known in own):
                item |= {"input": f"{item['input']} (unknown)", "unknown": True}
        items[start, end, len(items)] = item
    return _summarise(found, row, list(items.values()), top, **_describe_output(codec, index))


def _join_spans(spans: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[int, int]]:
    return [(spans[0][0][0], spans[-1][-1][1])] if all(spans) else []


def _explain_image(codec: Any, found: Contributions, x: Tensor, row: int, index: int, top: int) -> Explanation:
    pixels = found.values[row].sum(0)  # (H, W)
    height, width = pixels.shape
    down, across = (torch.arange(size) * min(CELLS, size) // size for size in (height, width))
    rows = torch.zeros(int(down[-1]) + 1, width, dtype=pixels.dtype).index_add_(0, down, pixels)
    cells = torch.zeros(len(rows), int(across[-1]) + 1, dtype=pixels.dtype).index_add_(1, across, rows)
    edges = [
        [*(math.ceil(cell * size / count) for cell in range(count)), size]
        for count, size in zip(cells.shape, (height, width), strict=True)
    ]
    items = []
    for place, line in enumerate(cells.tolist()):
        for column, weight in enumerate(line):
            box = [edges[1][column], edges[0][place], edges[1][column + 1], edges[0][place + 1]]
            x_range, y_range = (_name_range(box[side], box[side + 2] - 1) for side in (0, 1))
            items.append({"input": f"x {x_range} y {y_range}", "weight": weight, "box": box})
    described = _describe_output(codec, index)
    explanation = _summarise(found, row, items, top, **described)
    weights = [[_round(weight * described["scale"]) for weight in line] for line in cells.tolist()]
    picture = overlay_map(_show_image(codec, x[row : row + 1]), cells.numpy())
    return explanation._replace(map={"weights": weights, "size": [height, width]}, picture=picture)


def _name_range(first: int, last: int) -> str:
    return f"{first}-{last}" if last > first else str(first)


def _show_image(codec: Any, x: Tensor) -> NDArray[np.float64]:
    """Return an encoded image (1, C, H, W) in colours, (H, W, 3) in [0, 1]."""
    from lightfit.callbacks.pictures.protocols import as_colours  # here, as texts and series need no extra for it

    return as_colours(codec, x)[0].clamp(0, 1).double().numpy()


def overlay_map(image: NDArray[np.float64], cells: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Lay a map over an image: red where it is positive, blue where negative, the image grey below it.

    Args:
        image: colours in [0, 1], (H, W, 3).
        cells: the map, (h, w), with h and w at most H and W.

    Returns:
        (H, W, 3) uint8.
    """
    down, across = (np.arange(size) * count // size for size, count in zip(image.shape[:2], cells.shape, strict=True))
    strength = (cells / max(float(np.abs(cells).max()), 1e-12))[down][:, across, None]
    grey = image.mean(2, keepdims=True)
    colour = np.where(strength > 0, np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.3, 0.95]))
    share = 0.7 * np.abs(strength)
    return np.asarray(((1 - share) * grey + share * colour) * 255 + 0.5).astype(np.uint8)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture (H, W, 3) as a PNG."""
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="png")
    return written.getvalue()


def _explain_series(
    codec: SeriesCodec, found: Contributions, sample: Any, row: int, index: int, top: int
) -> Explanation:
    lookback, horizon = codec.lookback, codec.horizon
    inputs = codec.list_inputs()
    columns = list(dict.fromkeys(name for name, _ in inputs if name))
    weights = np.zeros((len(columns), lookback + horizon))  # a column known ahead may be in a window twice
    values = found.values[row].numpy()  # (L, F)
    for number, (name, later) in enumerate(inputs):
        if name:
            weights[columns.index(name), later : later + lookback] += values[:, number]
    steps = [*range(-lookback, 0), *range(1, horizon + 1)]
    padding = [None] * max(lookback - len(sample.past), 0)
    stamps, zone = np.concatenate([sample.past[-lookback:], sample.times[:horizon]]), codec.state.zone
    times = [*padding, *(map(str, pd.DatetimeIndex(stamps)) if zone is None else format_stamps(stamps, zone))]
    times += [None] * (len(steps) - len(times))
    static = {name for name in columns if name in codec.state.covariates.static_names}
    items = []
    for name, line in zip(columns, weights.tolist(), strict=True):
        if name in static:
            items.append({"input": name, "weight": sum(line), "column": name, "step": None, "time": None})
            continue
        for step, time, weight in zip(steps, times, line, strict=True):
            shown = f"{name} {time}" if time else f"{name} {step:+d}"
            items.append({"input": shown, "weight": weight, "column": name, "step": step, "time": time})
    target = codec.target_names[index]
    scale, mean = float(sample.std[index]), float(sample.mean[index])
    unit = target if not codec.diff else f"{target}, differenced {codec.diff} times"
    explanation = _summarise(found, row, items, top, of=target, unit=unit, scale=scale, mean=mean)
    used = slice(None) if any(later for _, later in inputs) else slice(lookback)
    shown_weights = [[_round(weight * scale) for weight in line] for line in weights[:, used].tolist()]
    return explanation._replace(
        map={"columns": columns, "steps": steps[used], "times": times[used], "weights": shown_weights}
    )


def _round(value: float) -> float:
    """Round to six significant digits, about the precision of float32."""
    return float(f"{value:.{DIGITS}g}")


class ExplanationColumns:
    """Columns of a table of predictions that explain each of them, for `predict_rows`.

    Args:
        predictor: the model.
        top: number of parts to list.
        ranks: number of classes that are listed and explained.
        as_text: whether the cells are lines; else lists of dicts.
        folder: where the pictures of images go; None: nowhere.
    """

    def __init__(
        self, predictor: Predictor, *, top: int, ranks: int, as_text: bool, folder: Path | None = None
    ) -> None:
        self.predictor = predictor
        self.top = top
        self.num_explained = count_explained(predictor.codec, ranks)
        self.as_text = as_text
        self.folder = folder
        self.warnings: list[str] = []

    def __call__(self, samples: Sequence[Any]) -> dict[str, list[Any]]:
        """Return the columns, with a cell for each sample."""
        columns: dict[str, list[Any]] = {}
        for rank in range(1, self.num_explained + 1):
            found = explain_samples(self.predictor, samples, self.top, rank=rank)
            self.warnings += [item.warning for item in found if item.warning]  # of several threads
            columns[self._name(rank)] = [item.to_text() if self.as_text else item.items for item in found]
            if self.folder is not None:
                columns["picture" if rank == 1 else f"picture_{rank}"] = [
                    self._write(sample, item, rank) for sample, item in zip(samples, found, strict=True)
                ]
        return columns

    def report(self) -> None:
        """Say where the pictures are, and of how many explanations the weights are rough."""
        if self.folder is not None and self.folder.is_dir():
            print(f"pictures of what decided: {self.folder}")
        if self.warnings:
            print(f"warning: of {len(self.warnings)} explanations {self.warnings[0]}", file=sys.stderr)

    def _name(self, rank: int) -> str:
        codec = self.predictor.codec
        if self.num_explained == 1:
            return "explanation"
        if isinstance(codec, SeriesCodec):
            return f"explanation_{codec.target_names[rank - 1]}"
        if isinstance(codec, LabelCodec) and isinstance(codec.target, Numbers):
            return f"explanation_{codec.target.names[rank - 1]}"
        return "explanation" if rank == 1 else f"explanation_{rank}"

    def _write(self, sample: Any, explanation: Explanation, rank: int) -> str:
        assert self.folder is not None
        if explanation.picture is None:
            return ""
        name = name_picture(Path(str(sample)), rank)
        self.folder.mkdir(parents=True, exist_ok=True)
        with output_file(self.folder / name) as path:
            path.write_bytes(encode_png(explanation.picture))
        return str(self.folder / name)


def name_picture(path: Path, rank: int = 1) -> str:
    """Return the name of the picture that explains an image: its own with its folders, so that all differ."""
    name = "_".join(part for part in path.parts if part not in (path.anchor, "..", "."))
    name = name if name.lower().endswith(".png") else f"{name}.png"
    return name if rank == 1 else f"{name[: -len('.png')]}.{rank}.png"
