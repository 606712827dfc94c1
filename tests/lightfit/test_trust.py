"""Checkpoints that name what is not theirs to run: nothing is imported, nothing is called, and no memory is taken."""

import copy
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lightfit.datamodules import DataModule, TextDataModule, load_codec
from lightfit.errors import CheckpointError, UntrustedNameError
from lightfit.lightning_modules import LightModel
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.export import main as export
from lightfit.scripts.features import main as features
from lightfit.scripts.predict import main as predict
from lightfit.scripts.serve import main as serve
from lightfit.trust import build, check_trusted, import_name, only_trusted

Trained = Callable[[str], str]
RUNS = {"class_path": "os.system", "init_args": {"command": "touch it-ran"}}
EVIL: list[Any] = [
    "evil.build",
    "os.system",
    "subprocess.getoutput",
    "evil",
    {"class_path": "evil.Model", "init_args": {}},
    {"class_path": "evil.Model"},
    RUNS,
    [RUNS],
    {"any": RUNS},
    [{"deep": [{"class_path": "torch.nn.Sequential", "init_args": {"x": RUNS}}]}],
    {"class_path": "torch.utils.collect_env.run", "init_args": {"command": "touch it-ran"}},
    {"class_path": "torch.hub.load", "init_args": {"repo_or_dir": "evil", "model": "build", "source": "local"}},
    {
        "class_path": "torch._inductor.codecache.PyCodeCache.load",
        "init_args": {"source_code": "open('it-ran', 'w')"},
    },
    {"class_path": "torchvision.models.resnet.ResNet", "init_args": {"block": "evil.build", "layers": [1, 1, 1, 1]}},
    {
        "class_path": "torchvision.models.ResNet",
        "init_args": {
            "block": "torchvision.models.resnet.BasicBlock",
            "layers": [1, 1, 1, 1],
            "norm_layer": "evil.build",
        },
    },
    {"class_path": "torchmetrics.CompositionalMetric", "init_args": {"operator": "os.system", "metric_a": "touch x"}},
    {"class_path": "lightfit.TextDataModule", "init_args": {"tokenizer": "os.system"}},
]


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch, workplace: Path) -> Iterator[None]:
    """Fails a test in which a module of the working directory was imported, or a command was run."""
    Path("evil.py").write_text("open('it-ran', 'w').close()\ndef build(*a, **k): open('it-ran', 'w').close()\n")
    monkeypatch.syspath_prepend(str(workplace))
    called: list[Any] = []
    monkeypatch.setattr(os, "system", lambda *args: called.append(args) or 0)
    monkeypatch.setattr(subprocess, "getoutput", lambda *args, **kwargs: called.append(args))
    yield
    assert "evil" not in sys.modules
    assert not Path("it-ran").exists()
    assert called == []


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested hyper-parameters."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places_in(item, (*path, key))


def forged(config: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    config = copy.deepcopy(config)
    inner: Any = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return config


@pytest.mark.parametrize(
    "task", ["text", *(pytest.param(task, marks=pytest.mark.slow) for task in ("images", "series"))]
)
@pytest.mark.parametrize("key", ["hyper_parameters", "datamodule_hyper_parameters"])
@pytest.mark.usefixtures("nothing_runs")
def test_no_argument_of_our_classes_imports_or_calls(task: str, key: str, trained: Trained) -> None:
    checkpoint = torch.load(trained(task), weights_only=True)
    more = [("any",), ("net", "init_args", "any"), ("transforms",), ("transforms", "train"), ("metrics",)]
    load: Any = LightModel.from_checkpoint if key == "hyper_parameters" else DataModule.from_checkpoint
    num_refused = 0
    for place in (*places_in(checkpoint[key]), *more):
        for value in EVIL:
            with suppress(KeyError, TypeError):
                held = {**checkpoint, key: forged(checkpoint[key], place, value)}
                try:
                    load(held)
                except CheckpointError as error:
                    num_refused += "nothing was run" in str(error)
    assert num_refused > 50


def evil_checkpoints(checkpoint: dict[str, Any]) -> Iterator[dict[str, Any]]:
    model, data = checkpoint["hyper_parameters"], checkpoint["datamodule_hyper_parameters"]
    codec = checkpoint["TextDataModule"]["codec"]
    for tokenizer in ("os.system", "evil.build", "subprocess.getoutput"):
        yield {**checkpoint, "datamodule_hyper_parameters": {**data, "tokenizer": tokenizer}}
        forged_codec = {**codec, "state": {**codec["state"], "tokenizer": tokenizer}}
        yield {
            **checkpoint,
            "datamodule_hyper_parameters": {**data, "tokenizer": tokenizer},
            "TextDataModule": {"codec": forged_codec},
        }
    yield {**checkpoint, "TextDataModule": {"codec": {**codec, "class_path": "evil.Codec"}}}
    yield {**checkpoint, "TextDataModule": {"codec": {**codec, "class_path": "os.system"}}}
    yield {**checkpoint, "datamodule_hyper_parameters": {**data, "_class_path": "evil.Data"}}
    for net in (*(value for value in EVIL if isinstance(value, dict) and "class_path" in value), "evil.build"):
        yield {**checkpoint, "hyper_parameters": {**model, "net": net}}
    yield {**checkpoint, "hyper_parameters": {**model, "metrics": {"f": RUNS}}}
    yield {**checkpoint, "hyper_parameters": {**model, "_instantiator": "evil.build"}}
    yield {**checkpoint, "hyper_parameters": {"_instantiator": "evil.build"}}
    yield {**checkpoint, "hyper_parameters": {**model, "optimizer": "os.system"}}


@pytest.mark.usefixtures("nothing_runs")
def test_no_command_runs_what_a_checkpoint_names(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = torch.load(trained("text"), weights_only=True)
    for held in evil_checkpoints(checkpoint):
        torch.save(held, "a.ckpt")
        commands = {
            "predict": predict(["a.ckpt", "touch it-ran", "--gpus", "0"]),
            "evaluate": evaluate(["a.ckpt", "--gpus", "0", "--overwrite"]),
            "export": export(["a.ckpt", "--format", "safetensors", "--overwrite"]),
            "serve": serve(["a.ckpt", "--port", "0", "--gpus", "0"]),
            "features": features(["a.ckpt", "touch it-ran"]),
        }
        assert set(commands.values()) == {1}, commands
        for load in (LightModel.load, LightModel.load_from_checkpoint, DataModule.load_from_checkpoint):
            with suppress(CheckpointError):
                load("a.ckpt")
    assert "nothing was run" in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_runs")
def test_a_tokenizer_of_a_checkpoint_is_a_known_one(trained: Trained) -> None:
    checkpoint = torch.load(trained("text"), weights_only=True)
    for name in (
        "os.system",
        "evil.tokenize",
        "lightfit.datamodules.text.sources.locate",
        "lightfit.trust.import_name",
        "print",
    ):
        checkpoint["datamodule_hyper_parameters"]["tokenizer"] = name
        with pytest.raises(CheckpointError, match=r"nothing was run|cannot be built here"):
            TextDataModule.from_checkpoint(checkpoint)
    checkpoint["datamodule_hyper_parameters"]["tokenizer"] = "os.system"
    for key in ("_class_path", "_instantiator"):
        checkpoint["datamodule_hyper_parameters"].pop(key)
    torch.save(checkpoint, "made_in_python.ckpt")
    with pytest.raises(CheckpointError, match="nothing was run"):
        TextDataModule.load_from_checkpoint("made_in_python.ckpt")


@pytest.mark.parametrize(
    "path",
    [
        "torch.nn.Linear",
        "torch.nn.modules.linear.Linear",
        "torch.optim.AdamW",
        "torch.optim.lr_scheduler.StepLR",
        "torchmetrics.F1Score",
        "torchmetrics.classification.BinaryAUROC",
        "torchvision.models.resnet18",
        "torchvision.models.resnet.BasicBlock",
        "torchvision.models.ResNet",
        "torchvision.transforms.v2.RandomCrop",
        "lightfit.TextClassifier",
        "lightfit.nets.TextCNN",
        "lightfit.ImageDataModule",
        "lightfit.datamodules.text.tokenize_words",
        "lightfit.datamodules.text.vocabulary.tokenize",
    ],
)
def test_names_that_every_checkpoint_may_have(path: str) -> None:
    with only_trusted():
        assert callable(import_name(path))


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "builtins.eval",
        "torch.hub.load",
        "torch.load",
        "torch.nn.functional.F.torch.load",
        "torch.nn.init.os.system",
        "torch.optim.optimizer.functools.partial",
        "torch.utils.collect_env.run",
        "torch.nn.Linear.forward",
        "torchvision.models.list_models",
        "torchvision.models.detection.fasterrcnn_resnet50_fpn",
        "torchvision.models._api.importlib",
        "torchmetrics.text.BERTScore",
        "torchmetrics.multimodal.CLIPScore",
        "torchmetrics.CompositionalMetric",
        "pytorch_lightning.cli.instantiate_module",
        "lightfit.save_weights",
        "lightfit.lightning_modules.weights.torch.load",
        "lightfit.download.urllib.request.urlopen",
        "lightfit.datamodules.sampler.os._exit",
        "lightfit.scripts.fit.main",
        "lightfit.callbacks.HistoryFiles",
        "evil.Model",
        "evil",
        "",
    ],
)
@pytest.mark.usefixtures("nothing_runs")
def test_names_that_no_checkpoint_may_have(path: str) -> None:
    with only_trusted(), pytest.raises((UntrustedNameError, ImportError)):
        import_name(path)


def test_what_a_trusted_package_imports_is_not_trusted(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine_x.py").write_text("from os import getcwd, system\nimport os\nclass Net: pass\n")
    monkeypatch.syspath_prepend(str(workplace))
    importlib.invalidate_caches()
    with only_trusted(["mine_x"]):
        assert import_name("mine_x.Net").__name__ == "Net"
        for name in ("mine_x.system", "mine_x.os.system", "mine_x.getcwd"):
            with pytest.raises((UntrustedNameError, ImportError), match=r"nothing was run|No module named"):
                import_name(name)


def test_arguments_become_what_their_annotations_ask_for() -> None:
    with only_trusted():
        net = build(
            "torchvision.models.resnet.ResNet",
            {
                "block": "torchvision.models.resnet.BasicBlock",
                "layers": [1, 1, 1, 1],
                "norm_layer": {"class_path": "torch.nn.BatchNorm2d", "init_args": {"eps": 0.5}},
            },
        )
        data = build("lightfit.ImageDataModule", {"root": "digits", "transforms": {"size": 8, "flip": 0}})
    assert net.bn1.eps == 0.5
    assert data.transforms.flip == 0


def test_hyper_parameters_without_end_are_refused() -> None:
    held: Any = ["a"]
    for _ in range(40):
        held = [held] * 10  # forty short lines in the file, and more values than there are atoms
    with pytest.raises(CheckpointError, match="more than 100,000 values"):
        check_trusted({"_class_path": "lightfit.TextClassifier", "net": held})


TINY_VIT = {"image_size": 32, "patch_size": 4, "num_heads": 1, "hidden_dim": 1, "mlp_dim": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "arguments"),
    [
        ("lightfit.nets.NaiveBayesBag", {"vocab_size": 100, "num_buckets": 10**9}),
        ("lightfit.nets.NaiveBayesBag", {"vocab_size": 10**12}),
        ("lightfit.nets.FastResNet", {"num_classes": 2, "widths": [4] * 50_000}),
        ("lightfit.nets.FastResNet", {"num_classes": 10**10}),
        ("torchvision.models.VisionTransformer", {**TINY_VIT, "num_layers": 10**6}),
        ("torch.nn.Linear", {"in_features": 10**6, "out_features": 10**6}),
        ("torch.nn.TransformerDecoderLayer", {"d_model": 10**5, "nhead": 1}),
    ],
)
def test_shapes_without_weights_take_no_memory(net: str, arguments: dict[str, Any]) -> None:
    hparams = {
        "_class_path": "lightfit.Classifier",
        "net": {"class_path": net, "init_args": arguments},
    }
    started = time.monotonic()
    with pytest.raises(CheckpointError, match="far larger than the weights in it|do not fit"):
        LightModel.from_checkpoint({"hyper_parameters": hparams, "state_dict": {"net.weight": torch.zeros(2, 2)}})
    assert time.monotonic() - started < 60


def test_metrics_take_no_memory_either(trained: Trained) -> None:
    checkpoint = torch.load(trained("text"), weights_only=True)
    checkpoint["hyper_parameters"]["metrics"] = {
        "c": {"class_path": "torchmetrics.ConfusionMatrix", "init_args": {"task": "multiclass", "num_classes": 10**6}}
    }
    with pytest.raises(CheckpointError, match="far larger than the weights in it"):
        LightModel.from_checkpoint(checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("images", {"image_size": [10**6, 10**6]}),
        ("series", {"lookback": 10**10}),
        ("series", {"horizon": 10**10}),
        ("text", {"max_len": 10**9}),
    ],
)
def test_sizes_of_data_take_no_memory(task: str, change: dict[str, Any], trained: Trained) -> None:
    checkpoint = torch.load(trained(task), weights_only=True)
    name = {"images": "ImageDataModule", "series": "SeriesDataModule", "text": "TextDataModule"}[task]
    checkpoint[name]["codec"]["state"] |= change
    for load in (load_codec, DataModule.from_checkpoint):
        with pytest.raises(CheckpointError):
            load(checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "vit_b_16", "swin_t", "convnext_tiny", "googlenet", "maxvit_t", "mobilenet_v3_small"]
)
def test_nets_of_torchvision_can_be_loaded(name: str) -> None:
    net = {"class_path": "lightfit.nets.TorchvisionNet", "init_args": {"name": name, "num_classes": 2}}
    with only_trusted():
        model: nn.Module = build("lightfit.ImageClassifier", {"net": net})
    state = model.state_dict()
    hparams = {"_class_path": "lightfit.ImageClassifier", "net": net}
    again = LightModel.from_checkpoint({"hyper_parameters": hparams, "state_dict": state})
    assert all(map(torch.equal, again.state_dict().values(), state.values()))


@pytest.mark.parametrize("key", ["state_dict", "hyper_parameters", "datamodule_hyper_parameters", "lightfit"])
@pytest.mark.parametrize("value", [None, 5, "text", [1, 2]])
def test_other_things_in_the_place_of_a_dict(key: str, value: Any) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": {}, key: value}, "a.ckpt")
    with pytest.raises(CheckpointError, match="damaged or forged|is no Lightning checkpoint"):
        LightModel.load("a.ckpt")


def test_names_of_the_first_release_are_those_of_today(trained: Trained) -> None:
    checkpoint = torch.load(trained("words"), weights_only=True)
    checkpoint["lightfit"]["version"] = "0.1.0"
    model, data = checkpoint["hyper_parameters"], checkpoint["datamodule_hyper_parameters"]
    model["_class_path"] = "lightning_modules.TextClassifier"
    model["net"]["class_path"] = "lightning_modules.nets.NaiveBayesBag"
    data |= {"_class_path": "datamodules.TextDataModule", "tokenizer": "datamodules.vocabulary.tokenize_words"}
    torch.save(checkpoint, "old.ckpt")
    assert predict(["old.ckpt", "a good film", "--gpus", "0"]) == 0
