"""Every net of LightFit in every format, trained for an epoch: the file is the net, or is refused in one sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from lightfit import nets
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.nets.forecast_combination import CANDIDATES, ForecastCombination
from lightfit.scripts.export import main as export
from lightfit.scripts.exporting.agreement import BATCH_SIZES
from lightfit.scripts.exporting.formats import Predictions, trace
from lightfit.scripts.inference.trained import load_trained

Fit = Callable[..., tuple[int, str, str]]
WORDS = ("--data.ngrams", 1, "--data.tokenizer", "lightfit.datamodules.text.tokenize_words")
ONE_LENGTH = (*WORDS, "--data.max_len", 16, "--data.bucket", "false")
WINDOWS = ("--data.lookback", 48, "--data.horizon", 6)
# By net: the task, its other arguments, and whether the ONNX file takes texts of any length.
NETS: dict[str, tuple[str, tuple[object, ...], bool]] = {
    "NgramBag": ("text", ("--data.max_ngrams", 300), True),
    "NaiveBayesBag": ("text", (*WORDS, "--model.net.num_buckets", 500), True),
    "WordAverage": ("text", (*WORDS, "--model.net.embedding_size", 8), True),
    "TextCNN": ("text", ONE_LENGTH, False),
    "FastResNet": ("images", ("--model.net.widths", "[8]"), False),
    "ImageCNN": ("images", (), False),
    "LayeredCNN": ("images", (), False),
    "sequential_cnn": ("images", (), False),
    "TorchvisionNet": ("images", ("--model.net.name", "squeezenet1_1"), False),
    "TimmNet": ("images", ("--model.net.name", "test_vit"), False),
    "NamedNet": ("images", ("--model.net.name", "test_resnet"), False),
    "NLinear": ("series", WINDOWS, False),
    "DLinear": ("series", WINDOWS, False),
    "SparseTSF": ("series", WINDOWS, False),
    "PatchTransformer": ("series", (*WINDOWS, "--model.net.width", 8, "--model.net.num_layers", 1), False),
    "GrowthLSTM": ("series", ("--data.lookback", 24, "--data.horizon", 1, "--model.loss", "mse"), False),
    "ForecastCombination": ("series", (*WINDOWS, "--model.net.candidates", "[ridge, last season, mean]"), False),
}
ELSEWHERE = {"TransformerNet"}  # in test_encoders.py, with an encoder of its own
LAYERS = {"WordEmbedding"}  # parts of nets, which predict nothing
FILES = {"text": ("--data.source", "reviews.csv", "--data.min_steps", 1), "images": ("--data.root", "images")}
LOOPS = {name for name in CANDIDATES if name.startswith(("smoothing", "theta"))}


class Net(LightModel):
    """Predicts what its net returns."""

    def predict_step(self, batch: torch.Tensor, batch_idx: int = 0) -> torch.Tensor:
        return self(batch)


def test_every_net_is_tested() -> None:
    assert {*NETS, *LAYERS, *ELSEWHERE} == {*nets.__all__}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_the_file_is_the_net(name: str, fit: Fit, request: pytest.FixtureRequest) -> None:
    task, more, any_length = NETS[name]
    request.getfixturevalue({"text": "reviews"}.get(task, task))
    data = FILES.get(task, ("--data.path", "series.csv", "--data.target", "load"))
    small = ("--data.transforms.size", 32, "--data.num_workers", 0) if task == "images" else ()
    own = ("--model.net", f"lightfit.nets.{name}", *data, *small, *more, "--trainer.max_epochs", 1)
    code, _, err = fit("--task", task, *own, "--trainer.callbacks", "[]", "--quiet")
    assert code == 0, err
    checkpoint = f"runs/{task}/version_0/checkpoints/last.ckpt"
    for kind in ("onnx", "pt2", "safetensors"):
        assert export([checkpoint, "--format", kind, "-o", f"model.{kind}"]) == 0, kind
    check_sizes(checkpoint, any_length)


def check_sizes(checkpoint: str, any_length: bool) -> None:
    """Check that the ONNX file takes any number of samples, and sizes that the net takes and no others."""
    trained = load_trained(checkpoint)
    session = onnxruntime.InferenceSession("model.onnx")
    (given,) = session.get_inputs()
    assert given.shape[0] == "batch"
    assert given.shape[1] == "length" if any_length else all(isinstance(size, int) for size in given.shape[1:])
    assert session.get_outputs()[0].shape[0] == "batch"
    x = trained.codec.dummy_batch()
    predict = Predictions(trained.model).eval()
    for size in BATCH_SIZES:
        batch = x[torch.arange(size) % 2]
        with torch.inference_mode():
            np.testing.assert_allclose(session.run(None, {"x": batch.numpy()})[0], predict(batch), atol=1e-4, rtol=1e-4)
    for dim in range(1, x.ndim):
        longer = x.index_select(dim, torch.arange(2 * x.shape[dim]) % x.shape[dim])
        if any_length:
            with torch.inference_mode():
                np.testing.assert_allclose(session.run(None, {"x": longer.numpy()})[0], predict(longer), atol=1e-4)
        else:
            with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="invalid dimensions"):
                session.run(None, {"x": longer.numpy()})


@pytest.mark.slow
@pytest.mark.parametrize("name", CANDIDATES)
def test_every_forecaster_is_exported_or_refused(name: str) -> None:
    sizes: Any = {"lookback": 24, "horizon": 5, "num_targets": 2, "season": 6, "num_quantiles": 3}
    net = ForecastCombination(**sizes, candidates=(name,)).eval()
    net.ridge["levels"].weight.normal_()
    net.positive[:] = 1
    x = torch.rand(2, 24, 2) + 1
    if name in LOOPS:
        with pytest.raises(ValueError, match=f"cannot be exported: it combines {name}, whose recursions"):
            trace(Net(net), x)
        return
    program = trace(Net(net), x).module()
    for size in (1, 3):
        x = torch.rand(size, 24, 2) + 1
        torch.testing.assert_close(program(x), net(x))
