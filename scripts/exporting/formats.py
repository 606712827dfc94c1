"""Export of a trained model to ONNX, torch.export and safetensors, with the metadata of its codec."""

import json
import re
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
Runtime = Callable[[Tensor], Tensor]  # predictions of the exported file for a batch


class Predictions(nn.Module):
    """The predictions of a model as a module: probabilities, or scaled numbers or forecasts."""

    def __init__(self, model: LightModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Call the model's `predict_step`."""
        return self.model.predict_step(x, 0)


def trace(model: LightModel, x: Tensor) -> ExportedProgram:
    """Trace a model as a graph for any batch size, and any text length if the net allows it.

    Raises:
        ValueError: the net cannot be exported; the message names the operation.
    """
    explain = getattr(model.net, "explain_no_graph", None)
    if explain is not None and (reason := explain()):
        raise ValueError(f"{type(model.net).__name__} cannot be exported: {name_flags(reason)}")
    shapes: dict[int, Any] = {0: Dim.DYNAMIC} | ({1: Dim.AUTO} if x.ndim == 2 else {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about its own internals
            return torch.export.export(Predictions(model).eval(), (x,), dynamic_shapes=(shapes,))
    except Exception as error:  # the code of the net may raise anything
        raise ValueError(f"{type(model.net).__name__} cannot be exported: {_find_culprit(error)}") from error


def write_onnx(trained: Trained, path: Path) -> Runtime:
    """Write an ONNX file, and return its predictions by onnxruntime.

    Raises:
        MissingPackageError: the packages for ONNX are not installed.
        ValueError: the net cannot be exported; the message names the operation.
    """
    with importing_extra("--format onnx"):
        import onnxruntime
        import onnxscript  # noqa: F401  # required by torch's exporter
    written = to_onnx(trained.model, trained.codec.dummy_batch())
    written.model.metadata_props[KEY] = json.dumps(collect_metadata(trained))
    written.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def to_onnx(model: LightModel, x: Tensor) -> Any:
    """Convert a model to torch's `ONNXProgram`, with the input `x` and the output `y`.

    Raises:
        ValueError: the net cannot be exported; the message names the operation.
    """
    program = trace(model, x)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about its own internals
            return torch.onnx.export(program, dynamo=True, verbose=False, input_names=["x"], output_names=["y"])
    except Exception as error:  # the exporter may raise anything on an unsupported operation
        raise ValueError(f"{type(model.net).__name__} cannot be exported to ONNX: {_find_culprit(error)}") from error


def write_pt2(trained: Trained, path: Path) -> Runtime:
    """Write a torch.export archive, and return its predictions after loading it.

    Raises:
        ValueError: the net cannot be exported; the message names the operation.
    """
    program = trace(trained.model, trained.codec.dummy_batch())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about weights on other devices, and about read-only buffers
        torch.export.save(program, path, extra_files={f"{KEY}.json": json.dumps(collect_metadata(trained))})
        return torch.export.load(path).module()


def write_safetensors(trained: Trained, path: Path) -> Runtime:
    """Write weights and configuration to safetensors, and return the predictions of a model built from them."""
    weights = {name: value.contiguous().clone() for name, value in trained.checkpoint["state_dict"].items()}
    hparams = trained.checkpoint["hyper_parameters"]
    save_file(weights, path, metadata={KEY: json.dumps(collect_metadata(trained) | {"hyper_parameters": hparams})})
    with safe_open(path, framework="pt") as file:
        held = json.loads(file.metadata()[KEY])
    rebuilt = LightModel.from_checkpoint(
        {"state_dict": load_file(path), "hyper_parameters": held["hyper_parameters"]}, trust=trained.trust
    )
    return Predictions(rebuilt).eval()


def collect_metadata(trained: Trained) -> dict[str, Any]:
    """Return what a runtime needs, as plain data: metadata of the codec, levels of quantiles, configuration."""
    return trained.codec.metadata() | {
        "quantiles": list(trained.model.quantiles),
        "lightfit": trained.version,
        "configuration": trained.configuration,
    }


def measure_difference(runtime: Runtime, model: LightModel, x: Tensor) -> float:
    """Return the largest difference between the predictions of a file and of the model, for several batch sizes.

    The difference is absolute for values up to 1, and relative above.

    Args:
        runtime: predictions of the exported file.
        model: the exported model.
        x: encoded samples, (B, ...).
    """
    worst = 0.0
    with torch.inference_mode():
        for size in {1, 3, len(x)}:
            expected = model.predict_step(x[:size], 0)
            difference = (runtime(x[:size]) - expected).abs() / expected.abs().clamp(min=1)
            worst = max(worst, float(difference.max()))
    return worst


def _find_culprit(error: BaseException) -> str:
    """Return the operation that caused an exporter's error, and its line in the net, as far as the error has them."""
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
