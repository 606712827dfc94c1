"""Weights from elsewhere: rules of keys, the head, torchvision's download, and weights in files."""

import hashlib
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightfit.lightning_modules import (
    FineTuning,
    ImageClassifier,
    load_pretrained,
    load_weights,
    save_best_weights,
    save_weights,
)
from lightfit.lightning_modules.finetuning import find_head, read_pretrained_state
from lightfit.lightning_modules.nets import TorchvisionNet
from lightfit.lightning_modules.weights import read_weights


def net(num_classes: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
    )


def state(num_classes: int = 3, seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return net(num_classes).state_dict()


def test_all_keys_of_the_same_net() -> None:
    target, source = net(), state()
    loaded = load_pretrained(target, source)
    assert all(torch.equal(value, source[key]) for key, value in target.state_dict().items())
    assert str(loaded) == "loaded: 9 tensors\nskipped, of another shape: none\nleft as they were: none"


def test_another_head_is_skipped_and_said() -> None:
    target, source = net(3), state(10)
    before = target.state_dict()["4.weight"].clone()
    loaded = load_pretrained(target, source)
    assert loaded.skipped == ["4.weight (10, 4), the net has (3, 4)", "4.bias (10,), the net has (3,)"]
    assert loaded.left == ["4.weight", "4.bias"]
    assert torch.equal(target.state_dict()["4.weight"], before)
    assert torch.equal(target.state_dict()["0.weight"], source["0.weight"])


def test_a_head_of_large_weights_begins_at_the_bound_of_torch() -> None:
    target, loaded = net(3), net(3)
    torch.nn.init.uniform_(target[4].weight, -20, 20)
    before = target[4].weight.detach().clone()
    load_pretrained(target, state(10))
    torch.testing.assert_close(target[4].weight.detach(), before * (4**-0.5 / before.abs().max()))
    torch.nn.init.uniform_(loaded[4].weight, -20, 20)
    before = loaded[4].weight.detach().clone()
    load_pretrained(loaded, loaded.state_dict())
    assert torch.equal(loaded[4].weight, before)  # a head that comes with the weights stays as it is


@pytest.mark.parametrize("prefix", ["module.", "net.", "module.net.", "model."])
def test_prefixes_of_wrappers_are_dropped(prefix: str) -> None:
    source = {f"{prefix}{key}": nn.Parameter(value, requires_grad=False) for key, value in state().items()}
    assert len(load_pretrained(net(), source).loaded) == 9


def test_rewrites_of_the_cookbook() -> None:
    class Groups(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer4_0 = nn.Sequential(nn.Linear(2, 2))
            self.fc = nn.Linear(2, 2)

    source = {"group1.layer4.0.0.weight": torch.ones(2, 2), "group1.layer4.0.0.bias": torch.ones(2)}
    source |= {"group12.fc.weight": torch.ones(2, 2), "group12.fc.bias": torch.ones(2)}
    rewrites = {r"group\d+\.": "", r"layer4\.0\.": "layer4_0."}
    assert len(load_pretrained(Groups(), source, rewrites=rewrites).loaded) == 4
    with pytest.raises(ValueError, match=r"unexpected key 'group1.layer4.0.0.weight'.*nearest is 'layer4_0.0.weight'"):
        load_pretrained(Groups(), source)
    with pytest.raises(ValueError, match=r"the rewrite 'group\(' is no regular expression"):
        load_pretrained(Groups(), source, rewrites={"group(": ""})
    with pytest.raises(ValueError, match="make two keys of the weights the same, 'x'"):
        load_pretrained(Groups(), source, rewrites={".*weight": "x"})


def renamed(source: dict[str, torch.Tensor], old: str, new: str | None) -> dict[str, torch.Tensor]:
    return {(new if key == old else key): value for key, value in source.items() if new or key != old}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (renamed(state(), "0.bias", None), "lack the key '0.bias', which the net has; the nearest is"),
        (renamed(state(), "0.bias", "0.bais"), "unexpected key '0.bais' in the weights; the nearest is '0.bias'"),
        (state() | {"0.weight": torch.zeros(4, 3, 5, 5)}, r"'0.weight' has the shape \(4, 3, 5, 5\).* another net"),
    ],
)
def test_weights_for_another_net(source: dict[str, torch.Tensor], problem: str) -> None:
    target = net()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(ValueError, match=problem):
        load_pretrained(target, source)
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items()), "nothing is loaded"


def test_counters_of_old_files_may_be_missing() -> None:
    assert load_pretrained(net(), renamed(state(), "1.num_batches_tracked", None)).left == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "vgg11", "densenet121", "vit_b_16"]
)
def test_head_of_torchvisions_nets(name: str) -> None:
    with torch.device("meta"):
        own, peer = TorchvisionNet(name, num_classes=7), torchvision.models.get_model(name, weights=None)
    head = find_head(own.model)
    differing = {
        key.rpartition(".")[0]
        for key, value in own.model.state_dict().items()
        if value.shape != peer.state_dict()[key].shape
    }
    assert differing == {head}


@pytest.fixture
def published(server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a ResNet-18 of ImageNet's shape on a server, where torchvision looks for its own."""
    url, folder = server
    torch.manual_seed(3)
    data = io.BytesIO()
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), data)
    name = f"resnet18-{hashlib.sha256(data.getvalue()).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(data.getvalue())
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.value
    its_own = weights.url
    object.__setattr__(weights, "url", f"{url}/{name}")  # a frozen dataclass
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    yield folder / name
    object.__setattr__(weights, "url", its_own)


def test_weights_of_torchvision_by_name(published: Path, tmp_path: Path) -> None:
    target = TorchvisionNet("resnet18", num_classes=3)
    loaded = load_pretrained(target, read_pretrained_state("DEFAULT", target))
    assert loaded.left == ["fc.weight", "fc.bias"]
    assert torch.equal(target.model.state_dict()["conv1.weight"], torch.load(published)["conv1.weight"])
    published.unlink()
    assert read_pretrained_state("IMAGENET1K_V1", target), "kept, not downloaded again"


def test_weights_that_are_damaged_on_the_way(published: Path) -> None:
    published.write_bytes(published.read_bytes()[:-10] + b"0123456789")
    with pytest.raises(ConnectionError, match="invalid hash value"):
        read_pretrained_state("DEFAULT", TorchvisionNet("resnet18", num_classes=3))


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(
        ConnectionError, match=rf"download.pytorch.org/models/resnet18-.*put the file at '{tmp_path}/hub/"
    ):
        read_pretrained_state("DEFAULT", TorchvisionNet("resnet18", num_classes=3))


def test_names_that_are_none() -> None:
    with pytest.raises(ValueError, match="no weights 'IMAGENET2' for resnet18; it has: IMAGENET1K_V1"):
        read_pretrained_state("IMAGENET2", TorchvisionNet("resnet18", num_classes=3))
    with pytest.raises(ValueError, match="torchvision has no weights for Sequential: expected a file"):
        read_pretrained_state("DEFAULT", net())
    with pytest.raises(FileNotFoundError, match="no weights at 'nope.pth'"):
        read_pretrained_state("nope.pth", net())
    with pytest.raises(ValueError, match="no linear or convolutional layer"):
        find_head(nn.ReLU())


# Weights in files.


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_weights_come_back_with_what_is_known_of_them(suffix: str) -> None:
    source, target = net(), net()
    path = save_weights(source, f"deep/a{suffix}", epoch=3, lr=0.01, val_accuracy=0.9)
    assert load_weights(target, path) == {"epoch": 3, "lr": 0.01, "val_accuracy": 0.9}
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())
    assert [file.name for file in Path("deep").iterdir()] == [f"a{suffix}"]
    with pytest.raises(ValueError, match=f"a{suffix}' does not fit Linear"):
        load_weights(nn.Linear(2, 2), path)


def test_the_best_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(epoch: int, accuracy: float) -> Path | None:
        return save_best_weights(net(), "best", epoch=epoch, lr=0.1, val_accuracy=accuracy, keep=2)

    def kept() -> list[str]:
        return sorted(file.name for file in Path("best").iterdir())

    assert save(0, 0.5) == Path("best/000_0.5000.ckpt")
    Path("best/other.ckpt").write_text("left alone")
    save(1, 0.7)
    assert save(2, 0.4) is None
    save(3, 0.6)
    assert kept() == ["001_0.7000.ckpt", "003_0.6000.ckpt", "other.ckpt"]

    def fails(*args: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="no space left"):
        save(4, 0.9)
    assert {"001_0.7000.ckpt", "003_0.6000.ckpt"} <= set(kept()), "nothing is deleted before the new one is complete"
    assert "004_0.9000.ckpt" not in kept()


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    source = state()
    for number, held in enumerate([source, {"state_dict": source, "epoch": 1}, {"model": source}]):
        torch.save(held, f"{number}.pth")
        assert read_weights(f"{number}.pth")[0].keys() == source.keys()
    torch.save({key: nn.Parameter(value) for key, value in source.items() if value.is_floating_point()}, "4.pth")
    assert len(read_weights("4.pth")[0]) == 8
    save_file(dict(source), "5.safetensors", metadata={"format": "pt"})
    assert read_weights("5.safetensors")[1] == {"format": "pt"}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("whole.pth", net(), "holds pickled code, such as a whole model, which is never run"),
        ("list.pth", [1, 2], "holds no state dict: expected tensors by name, received list"),
        ("dict.pth", {"a": 1}, r"received a dict of \['a'\]"),
        ("bytes.pth", b"nothing", "cannot be read as weights"),
        ("bytes.safetensors", b"nothing", "is no safetensors file, or is damaged"),
    ],
)
def test_files_that_are_no_weights(name: str, content: object, problem: str) -> None:
    Path(name).write_bytes(content) if isinstance(content, bytes) else torch.save(content, name)
    with pytest.raises(ValueError, match=problem):
        read_weights(name)


# Training that begins from them.


def train(model: ImageClassifier, max_epochs: int = 3, ckpt_path: str | None = None) -> pl.Trainer:
    torch.manual_seed(0)
    x, y = torch.randn(24, 3, 8, 8), torch.randint(0, 3, (24,))
    trainer = pl.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(TensorDataset(x, y), batch_size=8)
    trainer.fit(model, loader, loader, ckpt_path=ckpt_path)
    return trainer


def test_training_begins_from_weights(caplog: pytest.LogCaptureFixture) -> None:
    source = net(10)
    save_weights(source, "a.safetensors")
    model = ImageClassifier(net(), lr=1e-12, finetune=FineTuning(weights="a.safetensors"))
    with caplog.at_level(logging.INFO, "lightfit"):
        train(model, 1)
    torch.testing.assert_close(model.net.state_dict()["0.weight"], source.state_dict()["0.weight"])
    assert "weights from a.safetensors, in" in caplog.text
    assert "skipped, of another shape: 4.weight (10, 4), the net has (3, 4); 4.bias" in caplog.text


def test_a_resumed_run_keeps_its_own_weights() -> None:
    save_weights(net(10), "a.ckpt")
    trained = ImageClassifier(net(), lr=0.1, finetune=FineTuning(weights="a.ckpt"))
    train(trained, 2).save_checkpoint("run.ckpt")
    Path("a.ckpt").unlink()
    again = ImageClassifier(net(), lr=0.1, finetune=FineTuning(weights="a.ckpt"))
    train(again, 2, "run.ckpt")
    torch.testing.assert_close(dict(again.net.state_dict()), dict(trained.net.state_dict()))


def test_the_backbone_is_frozen_then_learns_more_slowly() -> None:
    model = ImageClassifier(net(), lr=0.1, optimizer="SGD", finetune=FineTuning(freeze_epochs=2, backbone_lr=0.01))
    start = {key: value.clone() for key, value in model.net.state_dict().items()}
    train(model, 2).save_checkpoint("run.ckpt")
    after = model.net.state_dict()
    assert [key for key in start if not torch.equal(start[key], after[key])] == ["4.weight", "4.bias"]
    again = ImageClassifier(net(), lr=0.1, optimizer="SGD", finetune=FineTuning(freeze_epochs=2, backbone_lr=0.01))
    trainer = train(again, 3, "run.ckpt")
    assert [group["lr"] for group in trainer.optimizers[0].param_groups] == [0.1, pytest.approx(0.001)]
    assert not torch.equal(again.net.state_dict()["0.weight"], start["0.weight"])
    assert again.net.state_dict()["1.num_batches_tracked"] == 3, "norms keep their statistics while they are held"


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"freeze_epochs": -1}, "freeze_epochs of at least 0, received -1"), ({"backbone_lr": 0}, "backbone_lr above 0")],
)
def test_arguments_that_are_refused(options: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        FineTuning(**options)  # type: ignore[arg-type]
