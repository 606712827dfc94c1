"""A trained model as a file for other runtimes, which holds what they must know of the data."""

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

from lightfit.errors import MissingPackageError
from lightfit.lightning_modules import LightModel

from ..inference.trained import Trained

KEY = "lightfit"  # under which the metadata stands in each format
Runtime = Callable[[Tensor], Tensor]  # what the file predicts for a batch


class Predictions(nn.Module):
    """What a model predicts, as a module: probabilities, or scaled forecasts."""

    def __init__(self, model: LightModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """As the model's `predict_step`."""
        return self.model.predict_step(x, 0)


def trace(model: LightModel, x: Tensor) -> ExportedProgram:
    """The model as a graph, for any batch size, and any length where x is of texts and the net allows it.

    Raises:
        ValueError: an operation of the net cannot be exported; it is named.
    """
    shapes: dict[int, Any] = {0: Dim.DYNAMIC} | ({1: Dim.AUTO} if x.ndim == 2 else {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, about its own workings
            return torch.export.export(Predictions(model).eval(), (x,), dynamic_shapes=(shapes,))
    except Exception as error:  # whatever code the net runs
        raise ValueError(f"{type(model.net).__name__} cannot be exported: {_find_culprit(error)}") from error


def write_onnx(trained: Trained, path: Path) -> Runtime:
    """Writes ONNX, and returns what onnxruntime makes of it.

    Raises:
        ImportError: the packages for it are not installed.
        ValueError: an operation of the net cannot be exported; it is named.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # what torch's exporter needs
    except ImportError as error:
        raise MissingPackageError(f"--format onnx needs {error.name}: pip install 'lightfit[export]'") from error
    written = to_onnx(trained.model, trained.codec.dummy_batch())
    written.model.metadata_props[KEY] = json.dumps(collect_metadata(trained))
    written.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def to_onnx(model: LightModel, x: Tensor) -> Any:
    """The model as torch's `ONNXProgram`, with the input `x` and the output `y`.

    Raises:
        ValueError: an operation of the net cannot be exported; it is named.
    """
    program = trace(model, x)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about its own workings
            return torch.onnx.export(program, dynamo=True, verbose=False, input_names=["x"], output_names=["y"])
    except Exception as error:  # whatever operation it has no translation for
        raise ValueError(f"{type(model.net).__name__} cannot be exported to ONNX: {_find_culprit(error)}") from error


def write_pt2(trained: Trained, path: Path) -> Runtime:
    """Writes a torch.export archive, and returns what it predicts when it is loaded.

    Raises:
        ValueError: an operation of the net cannot be exported; it is named.
    """
    program = trace(trained.model, trained.codec.dummy_batch())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights on other devices, and of buffers that nobody writes to
        torch.export.save(program, path, extra_files={f"{KEY}.json": json.dumps(collect_metadata(trained))})
        return torch.export.load(path).module()


def write_safetensors(trained: Trained, path: Path) -> Runtime:
    """Writes weights with the configuration that builds their net, and returns what a net built from it predicts."""
    weights = {name: value.contiguous().clone() for name, value in trained.checkpoint["state_dict"].items()}
    hparams = trained.checkpoint["hyper_parameters"]
    save_file(weights, path, metadata={KEY: json.dumps(collect_metadata(trained) | {"hyper_parameters": hparams})})
    with safe_open(path, framework="pt") as file:
        held = json.loads(file.metadata()[KEY])
    again = LightModel.from_checkpoint(
        {"state_dict": load_file(path), "hyper_parameters": held["hyper_parameters"]}, trust=trained.trust
    )
    return Predictions(again).eval()


def collect_metadata(trained: Trained) -> dict[str, Any]:
    """What a runtime must know, as plain data: `domain`, what the data says, and `quantiles`, levels of a forecast."""
    return trained.codec.metadata() | {
        "quantiles": list(trained.model.quantiles),
        "lightfit": trained.version,
        "configuration": trained.configuration,
    }


def measure_difference(runtime: Runtime, model: LightModel, x: Tensor) -> float:
    """The largest difference of two predictions, absolute up to 1 and relative above, for several batch sizes.

    Args:
        runtime: what the file predicts.
        model: the model it was made of.
        x: samples as the net gets them, (B, ...).
    """
    worst = 0.0
    with torch.inference_mode():
        for size in {1, 3, len(x)}:
            expected = model.predict_step(x[:size], 0)
            difference = (runtime(x[:size]) - expected).abs() / expected.abs().clamp(min=1)
            worst = max(worst, float(difference.max()))
    return worst


def _find_culprit(error: BaseException) -> str:
    """The operation that an exporter's error is about, and the line of the net where it stands, as far as it tells."""
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
