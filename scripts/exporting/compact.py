"""Smaller ONNX files: weights of 16 bits, or of 8, with what that costs in score and saves in size and time."""

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightfit.datamodules import LabelCodec, LabelSets, Numbers
from lightfit.extras import importing_extra

from ..inference.trained import Trained
from .formats import Runtime

Kind = Literal["float16", "int8"]
RUNS = 9  # of each file for its time, in turn
TIMED = 64  # samples in a batch whose time is measured
BATCH_SIZE = 256  # samples that are predicted at once
LEAST_ERROR = 1e-3  # errors below are alike: of a forecast that is exact, any other is infinitely worse
RECURRENT = {"LSTM", "GRU", "RNN", "Loop", "Scan"}


class Scored(NamedTuple):
    """A score of two files.

    Args:
        name: its name.
        before, after: of the file with weights of 32 bits, and of the smaller one.
        drop: how much worse it is: of accuracy and F1 the difference, of errors the share that they grew by.
    """

    name: str
    before: float
    after: float
    drop: float


def shrink(path: Path, kind: Kind) -> bytes:
    """Return an ONNX file with smaller weights, with the same inputs and outputs in float32.

    Args:
        path: the file.
        kind: float16: weights and operations in halves; int8: weights as bytes, with a scale for each, and products of
            bytes, for which activations are scaled as they come (dynamic quantization).

    Raises:
        MissingPackageError: onnxruntime is not installed.
        ValueError: the file cannot be converted; the message says what stands against it.
    """
    with importing_extra(f"--{'dtype' if kind == 'float16' else 'quantize'} {kind}"):
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.transformers.float16 import convert_float_to_float16
    model = onnx.load(path)
    operations = {node.op_type for node in model.graph.node}
    if kind == "float16" and (found := sorted(operations & RECURRENT)):
        raise ValueError(
            f"a net with {found[0]} has no file in float16, as rounding adds up over its steps: choose --quantize int8"
        )
    metadata = [(entry.key, entry.value) for entry in model.metadata_props]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _quiet_log():
        warnings.simplefilter("ignore")  # about numbers that are too small for 16 bits, which the score answers for
        try:
            if kind == "float16":
                model = convert_float_to_float16(model, keep_io_types=True)
            else:
                target = Path(folder) / "model.onnx"
                quantize_dynamic(model, target, weight_type=QuantType.QInt8)
                model = onnx.load(target)
        except Exception as error:  # of any kind, on an operation that it does not know
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ValueError(f"onnxruntime cannot convert this net to {kind} ({reason[0]}): leave it out") from error
    del model.metadata_props[:]
    for key, value in metadata:
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString()
    return content


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Keep off the log what onnxruntime advises for every net: to run its preparation, which changes nothing here."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def predict_all(runtime: Runtime, x: Tensor) -> Tensor:
    """Return the predictions for many samples, a batch at a time."""
    return torch.cat([runtime(batch) for batch in x.split(BATCH_SIZE)])


def score(trained: Trained, before: Tensor, after: Tensor, y: Tensor | None) -> Scored:
    """Score the predictions of two files.

    Args:
        trained: the checkpoint.
        before: predictions of the first file, (N, ...).
        after: predictions of the second one.
        y: targets, (N, ...); None: the predictions of the first file stand for them.
    """
    found = _score(trained, before, after, y)
    lost = (after.isnan() & ~before.isnan()).any()  # as of numbers that are too large for 16 bits
    return found._replace(drop=float("inf")) if lost else found


def _score(trained: Trained, before: Tensor, after: Tensor, y: Tensor | None) -> Scored:
    target = trained.codec.target if isinstance(trained.codec, LabelCodec) else None
    if target is not None and target.kind == "classes":
        truth = before.argmax(1) if y is None else y.flatten().long()
        rates = [float((found.argmax(1) == truth).double().mean()) for found in (before, after)]
        return Scored("accuracy" if y is not None else "same class", rates[0], rates[1], rates[0] - rates[1])
    if isinstance(target, LabelSets):
        sets = [found[..., 0] >= found[..., 1] for found in (before, after)]
        truth = sets[0] if y is None else y > 0.5
        rates = [_measure_f1(found, truth) for found in sets]
        return Scored(
            "f1_micro" if y is not None else "f1 to the labels before", rates[0], rates[1], rates[0] - rates[1]
        )
    values = [_take_values(found, isinstance(target, Numbers)) for found in (before, after)]
    if y is not None and y.numel() != values[0].numel():  # the targets of a codec of another class may be anything
        y = None
    truth = values[0] if y is None else y.reshape(values[0].shape)
    known = ~truth.isnan()
    first, second = (float((found.double() - truth.double()).abs()[known].mean()) for found in values)
    size = first if y is not None else float(truth[known].double().abs().mean())
    name = "mae, scaled" if y is not None else "mean change, scaled"
    return Scored(name, first, second, (second - first) / max(size, LEAST_ERROR))


def _take_values(predictions: Tensor, has_interval: bool) -> Tensor:
    """Return the numbers of predictions without their intervals: the first value, or the middle quantile."""
    if has_interval:
        return predictions[..., 0]
    return predictions[..., predictions.shape[-1] // 2] if predictions.ndim == 4 else predictions


def _measure_f1(found: Tensor, truth: Tensor) -> float:
    both, total = float((found & truth).sum()), float(found.sum() + truth.sum())
    return 2 * both / total if total else 1.0


def time_in_turn(first: Runtime, second: Runtime, x: Tensor) -> tuple[float, float]:
    """Return the median time of each file for a batch, in milliseconds, measured in turn so that both have the same
    share of whatever else the machine does."""
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(RUNS + 2):
        for runtime, own in zip((first, second), times, strict=True):
            start = time.perf_counter()
            runtime(x)
            if run >= 2:  # the first ones prepare memory
                own.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])


def describe(
    kind: Kind, scored: Scored, sizes: tuple[int, int], times: tuple[float, float], *, where: str, batch: int
) -> Iterator[str]:
    """Yield the lines of a table: size, score and time of both files.

    Args:
        kind: of the smaller file.
        scored: the score of both.
        sizes: their sizes, in bytes.
        times: their times for a batch, in milliseconds.
        where: which samples were scored.
        batch: number of samples in the batch.
    """
    rows = [
        ("", "float32", str(kind), ""),
        ("size, MiB", f"{sizes[0] / 2**20:.2f}", f"{sizes[1] / 2**20:.2f}", f"{sizes[1] / sizes[0]:.2f} of it"),
        (scored.name, f"{scored.before:.4g}", f"{scored.after:.4g}", f"on {where}"),
        (f"ms for {batch}", f"{times[0]:.2f}", f"{times[1]:.2f}", f"median of {RUNS}, in turn, on this processor"),
    ]
    width = max(len(row[0]) for row in rows)
    for name, before, after, remark in rows:
        yield f"{name:<{width}}  {before:>8}  {after:>8}  {remark}".rstrip()
