"""Write one file of a trained model, and compare it with the model."""

from pathlib import Path
from typing import NamedTuple

from ..inference.trained import Trained
from .agreement import compare
from .compact import TIMED, Kind, describe, predict_all, score, shrink, time_in_turn
from .example import compare_example
from .formats import Runtime, run_onnx, write_onnx, write_pt2, write_safetensors
from .samples import Chosen

TOLERANCE = 1e-4
LONGER = 1.2  # times as long, from which on that is told
HARDLY = 0.9  # of its size, above which a smaller file is hardly smaller
WRITERS = {"onnx": write_onnx, "pt2": write_pt2, "safetensors": write_safetensors}


class Wanted(NamedTuple):
    """What is asked for.

    Args:
        format: onnx, pt2 or safetensors.
        kind: of the weights; None: as they were trained.
        max_drop: how much worse a file with smaller weights may score.
    """

    format: str
    kind: Kind | None
    max_drop: float


def write(trained: Trained, path: Path, samples: Chosen, wanted: Wanted) -> list[str]:
    """Write a file, and return what the comparison found, in lines.

    Args:
        trained: the checkpoint.
        path: where to write it: a name that is not the final one, as the file may turn out to be wrong.
        samples: what to compare on.
        wanted: which file.

    Raises:
        ValueError: the net cannot be exported, or predictions differ by too much, or the example program prepares
            inputs in another way than the checkpoint.
    """
    exported = WRITERS[wanted.format](trained, path)
    found = compare(exported, trained.model, samples.x, longest=getattr(trained.codec, "max_len", None))
    if not found.difference <= TOLERANCE:
        raise ValueError(
            f"the predictions of the {wanted.format} file differ from the checkpoint's by up to {found.difference:.2g} "
            f"on {samples.where}; expected at most {TOLERANCE}. The file was deleted"
        )
    if found.answered:
        raise ValueError(
            f"the {wanted.format} file predicts texts of {found.answered} words, which the net refuses: let it take "
            "all lengths, or set --data.max_len to those that it takes. The file was deleted"
        )
    lines = [f"largest difference to the checkpoint's predictions: {found.difference:.2g}, on {samples.where}"]
    if found.refused:
        lines.append(f"warning: the file refuses texts of {found.refused} words, which the net takes: pad them")
    if wanted.format == "onnx":
        lines += compare_example(trained, exported.runtime)
    if wanted.kind is not None:
        lines += _shrink(trained, path, exported.runtime, samples, wanted.kind, wanted.max_drop)
    return lines


def _shrink(trained: Trained, path: Path, before: Runtime, samples: Chosen, kind: Kind, max_drop: float) -> list[str]:
    """Replace an ONNX file by one with smaller weights, and return how they compare, in lines."""
    content = shrink(path, kind)
    after = run_onnx(content)
    x, y, where = samples.take_scored()
    scored = score(trained, predict_all(before, x), predict_all(after, x), y)
    batch = x[:TIMED]
    sizes, times = (path.stat().st_size, len(content)), time_in_turn(before, after, batch)
    lines = list(describe(kind, scored, sizes, times, where=where, batch=len(batch)))
    if times[1] > LONGER * times[0]:
        lines.append(f"warning: {kind} takes {times[1] / times[0]:.1f} times as long on this processor")
    if sizes[1] > HARDLY * sizes[0]:
        lines.append(f"warning: {kind} hardly makes this file smaller: its net has few weights in layers, or none")
    if not scored.drop <= max_drop:
        raise ValueError(
            f"with weights in {kind}, {scored.name} is {scored.after:.4g} instead of {scored.before:.4g} on {where}, "
            f"worse by {scored.drop:.2g}; expected at most --max_drop {max_drop:g}. Nothing was written: leave out "
            f"--{'dtype' if kind == 'float16' else 'quantize'}, or allow a larger --max_drop"
        )
    path.write_bytes(content)
    return lines
