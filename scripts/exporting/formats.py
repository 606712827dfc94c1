"""Export of a trained model to ONNX, torch.export and safetensors, with the metadata of its codec."""

import json
import re
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lightfit.extras import importing_extra
from lightfit.lightning_modules import LightModel

from ..cli.arguments import name_flags
from ..inference.trained import Trained

KEY = "lightfit"  # key of the metadata in each format
BATCH, LENGTH = "batch", "length"  # sizes of an input that may be any
SHORTEST = 8  # words of the texts that a net is traced with, at least
Runtime = Callable[[Tensor], Tensor]  # predictions of the exported file for a batch


class Exported(NamedTuple):
    """A file that was written.

    Args:
        runtime: its predictions.
        sizes: sizes of its input, numbers where they are fixed, else `BATCH` or `LENGTH`; none of weights alone.
    """

    runtime: Runtime
    sizes: tuple[int | str, ...] = ()


class Predictions(nn.Module):
    """The predictions of a model as a module: probabilities, or scaled numbers or forecasts."""

    def __init__(self, model: LightModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Call the model's `predict_step`."""
        return self.model.predict_step(x, 0)


def trace(model: LightModel, x: Tensor, *, any_length: bool = False) -> ExportedProgram:
    """Trace a model as a graph for any batch size.

    Args:
        model: the model.
        x: an encoded batch, (B, ...).
        any_length: whether the second size of `x` may be another one too, if the net allows it, as the length of texts.

    Raises:
        ValueError: the net cannot be exported; the message names the operation.
    """
    explain = getattr(model.net, "explain_no_graph", None)
    if explain is not None and (reason := explain()):
        raise ValueError(f"{type(model.net).__name__} cannot be exported: {name_flags(reason)}")
    shapes: dict[int, Any] = {0: Dim.DYNAMIC} | ({1: Dim.AUTO} if any_length else {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about its own internals
            return torch.export.export(Predictions(model).eval(), (x,), dynamic_shapes=(shapes,))
    except Exception as error:  # the code of the net may raise anything
        raise ValueError(f"{type(model.net).__name__} cannot be exported: {_find_culprit(error)}") from error


def trace_trained(trained: Trained) -> ExportedProgram:
    """Trace the model of a checkpoint, for texts of any length if the codec makes such and the net takes them.

    Raises:
        ValueError: the net cannot be exported, or takes one length where texts have several.
    """
    x = trained.codec.dummy_batch()
    if trained.codec.domain != "text" or x.ndim != 2:
        return trace(trained.model, x)
    if has_one_length(trained):
        return trace(trained.model, x, any_length=True)
    if x.shape[1] < SHORTEST:  # a tracer takes a size of 1 for a constant
        x = x.repeat(1, SHORTEST)
    program = trace(trained.model, x, any_length=True)
    if LENGTH not in find_sizes(program):
        raise ValueError(
            f"{type(trained.model.net).__name__} cannot be exported for texts of several lengths, as its graph is one "
            f"for {x.shape[1]} words: train it on texts of one length, by --data.max_len with --data.bucket false"
        )
    return program


def has_one_length(trained: Trained) -> bool:
    """Return whether all samples of a checkpoint have one size: of texts, whether all are padded to one length."""
    return trained.codec.domain != "text" or getattr(trained.codec, "width", None) is not None


def find_symbols(program: ExportedProgram) -> list[str]:
    """Return the symbols of the sizes of a graph's input, digits where one is fixed.

    A size that turned out to be fixed while the net was traced is a symbol too, with a number for its name.
    """
    (name,) = program.graph_signature.user_inputs
    found: Tensor = next(node.meta["val"] for node in program.graph.nodes if node.name == name)
    return [str(size) for size in found.shape]


def find_sizes(program: ExportedProgram) -> tuple[int | str, ...]:
    """Return the sizes of a graph's input: numbers where they are fixed, else `BATCH` or `LENGTH`."""
    symbols = enumerate(find_symbols(program))
    return tuple(int(symbol) if symbol.isdigit() else (BATCH, LENGTH)[place] for place, symbol in symbols)


def write_onnx(trained: Trained, path: Path) -> Exported:
    """Write an ONNX file, for onnxruntime.

    Raises:
        MissingPackageError: the packages for ONNX are not installed.
        ValueError: the net cannot be exported; the message names the operation.
    """
    with importing_extra("--format onnx"):
        import onnxruntime  # noqa: F401  # runs it
        import onnxscript  # noqa: F401  # required by torch's exporter
    program = trace_trained(trained)
    written = convert(trained.model, program)
    written.model.metadata_props[KEY] = json.dumps(collect_metadata(trained))
    written.save(str(path))
    return Exported(run_onnx(path), find_sizes(program))


def run_onnx(model: Path | bytes) -> Runtime:
    """Return the predictions of an ONNX file, or of its content, by onnxruntime."""
    import onnxruntime

    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def to_onnx(model: LightModel, x: Tensor) -> Any:
    """Convert a model to torch's `ONNXProgram`, with the input `x` and the output `y`, for any batch size.

    Raises:
        ValueError: the net cannot be exported; the message names the operation.
    """
    return convert(model, trace(model, x))


def convert(model: LightModel, program: ExportedProgram) -> Any:
    """Convert a graph to torch's `ONNXProgram`; sizes that are fixed in the graph are numbers in the file too.

    Torch writes a fixed size as a symbol with digits for its name, which onnxruntime does not check: texts of another
    length would be cut into other pieces than the net's, and answered.

    Raises:
        ValueError: an operation does not exist in ONNX; the message names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about its own internals
            written: Any = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["x"], output_names=["y"])
    except Exception as error:  # the exporter may raise anything on an unsupported operation
        raise ValueError(f"{type(model.net).__name__} cannot be exported to ONNX: {_find_culprit(error)}") from error
    names = dict(zip(find_symbols(program), find_sizes(program), strict=True))
    for place, size in enumerate(find_sizes(program)):
        written.model.graph.inputs[0].shape[place] = size
    for output in written.model.graph.outputs:
        for place, symbol in enumerate(output.shape or ()):
            if not isinstance(symbol, int):
                output.shape[place] = names.get(str(symbol.value), symbol)
    return written


def write_pt2(trained: Trained, path: Path) -> Exported:
    """Write a torch.export archive, and load it again.

    Raises:
        ValueError: the net cannot be exported; the message names the operation.
    """
    program = trace_trained(trained)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about weights on other devices, and about read-only buffers
        torch.export.save(program, path, extra_files={f"{KEY}.json": json.dumps(collect_metadata(trained))})
        return Exported(torch.export.load(path).module(), find_sizes(program))


def write_safetensors(trained: Trained, path: Path) -> Exported:
    """Write weights and configuration to safetensors, and build a model from them again."""
    weights = {name: value.contiguous().clone() for name, value in trained.checkpoint["state_dict"].items()}
    hparams = trained.checkpoint["hyper_parameters"]
    save_file(weights, path, metadata={KEY: json.dumps(collect_metadata(trained) | {"hyper_parameters": hparams})})
    with safe_open(path, framework="pt") as file:
        held = json.loads(file.metadata()[KEY])
    rebuilt = LightModel.from_checkpoint(
        {"state_dict": load_file(path), "hyper_parameters": held["hyper_parameters"]}, trust=trained.trust
    )
    return Exported(Predictions(rebuilt).eval())


def collect_metadata(trained: Trained) -> dict[str, Any]:
    """Return what a runtime needs, as plain data: metadata of the codec, levels of quantiles, configuration."""
    return trained.codec.metadata() | {
        "quantiles": list(trained.model.quantiles),
        "lightfit": trained.version,
        "configuration": trained.configuration,
    }


def _find_culprit(error: BaseException) -> str:
    """Return the operation that caused an exporter's error, and its line in the net, as far as the error has them."""
    if "specialized it to be a constant" in str(error):
        return "its code takes the batch size for a constant, as by len(x) or int(x.shape[0]): use x.shape[0] as it is"
    texts, place = [], ""
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        for frame in traceback.extract_tb(cause.__traceback__):
            if "site-packages" not in frame.filename and frame.name == "forward" and frame.filename != __file__:
                place = f", at {Path(frame.filename).name} line {frame.lineno}: {frame.line}"
        cause = cause.__cause__ or cause.__context__
    operation = re.search(r"(?:aten|torchvision|prims)[.:]+\w+", "\n".join(texts))
    return f"{f'the operation {operation[0]}' if operation else texts[0].strip().splitlines()[0]}{place}"
