"""Callbacks that show: what is drawn, for which modules, and that nothing changes by it."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightfit.callbacks import (
    BatchPreview,
    ConfusionMatrix,
    FeatureMaps,
    GradCAM,
    feature_maps,
    grad_cam,
    plot_confusion_matrix,
    plot_feature_maps,
)
from lightfit.callbacks.pictures.layers import arrange_maps, choose_layers
from lightfit.datamodules import ImageDataModule, ImageTransforms, TextDataModule
from lightfit.lightning_modules import ImageClassifier, TextClassifier
from lightfit.lightning_modules.nets import FastResNet, ImageCNN, TextCNN, TorchvisionNet
from lightfit.scripts.features import main as features


def all_four(**options: int) -> list[pl.Callback]:
    return [FeatureMaps(**options), BatchPreview(), ConfusionMatrix(**options), GradCAM(**options)]


def train(
    model: pl.LightningModule, *loaders: Any, callbacks: list[pl.Callback], data: Any = None, epochs: int = 3
) -> pl.Trainer:
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=pl.loggers.TensorBoardLogger("runs", name="a", default_hp_metric=False),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    trainer.fit(model, *loaders, datamodule=data)
    return trainer


def image_run(callbacks: list[pl.Callback], *, epochs: int = 3, net: nn.Module | None = None) -> ImageClassifier:
    torch.manual_seed(0)
    data = ImageDataModule("images", transforms=ImageTransforms(size=16), batch_size=8, num_workers=0)
    model = ImageClassifier(net or FastResNet(num_classes=2, widths=(8, 8), views=2), lr=0.001)
    train(model, callbacks=callbacks, data=data, epochs=epochs)
    return model


def test_everything_is_drawn_into_the_run_folder_and_tensorboard(images: Path) -> None:
    image_run(all_four(every_n_epochs=2), epochs=4)
    pictures = {str(path.relative_to("runs/a/version_0")) for path in Path("runs").rglob("*.png")}
    epochs = ("000", "002", "003")
    expected = {f"{name}/epoch_{epoch}.png" for name in ("feature_maps", "confusion_matrix") for epoch in epochs}
    assert expected | {"preview_train/epoch_000.png", "preview_val/epoch_000.png"} <= pictures
    assert {path.partition("/")[0] for path in pictures - expected} <= {
        "preview_train",
        "preview_val",
        "grad_cam",
        "most_confused",
    }
    assert not list(Path("runs").rglob("*.part"))
    events = EventAccumulator("runs/a/version_0").Reload()
    assert [event.step for event in events.Images("feature_maps")] == [0, 2, 3]
    logged = Image.open(io.BytesIO(events.Images("feature_maps")[-1].encoded_image_string))
    with Image.open("runs/a/version_0/feature_maps/epoch_003.png") as written:
        np.testing.assert_array_equal(np.asarray(logged), np.asarray(written))


def test_losses_are_bit_identical_with_and_without(images: Path) -> None:
    def net() -> nn.Module:
        layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout2d(0.5), nn.AdaptiveAvgPool2d(1)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 2))

    histories = []
    for callbacks in ([], all_four()):
        torch.manual_seed(5)
        histories.append(image_run(callbacks, net=net()).history)
    assert histories[0].equals(histories[1])


class Plain(pl.LightningModule):
    """A module of another project: no LightModel, no net, no datamodule."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        return {"preds": self(batch[0]).softmax(1), "target": batch[1]}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def grey_loader() -> DataLoader:
    return DataLoader(TensorDataset(torch.randn(12, 1, 8, 8), torch.arange(12) % 3), batch_size=4)


def test_any_lightning_module() -> None:
    train(Plain(), grey_loader(), grey_loader(), callbacks=all_four(), epochs=1)
    names = {path.parent.name for path in Path("runs").rglob("*.png")}
    assert names == {"feature_maps", "preview_train", "preview_val", "confusion_matrix", "most_confused", "grad_cam"}


def test_modules_that_return_nothing_to_count() -> None:
    class Silent(Plain):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return {"loss": super().training_step(batch, batch_idx)}

    for callback in (ConfusionMatrix(), GradCAM()):
        with pytest.raises(ValueError, match=r"a dict with 'preds'.*received \['loss'\]"):
            train(Silent(), grey_loader(), grey_loader(), callbacks=[callback], epochs=1)


def test_texts_have_their_words_on_the_axis(reviews: Path) -> None:
    data = TextDataModule("reviews.csv", max_len=12)
    data.setup()
    model = TextClassifier(TextCNN(data.codec.vocab_size, max_len=12))
    train(model, callbacks=[FeatureMaps(num_maps=3)], data=data, epochs=1)
    assert Path("runs/a/version_0/feature_maps/epoch_000.png").is_file()
    x = data.codec.encode(["a good film"])
    assert data.codec.ticks(x[0]) == ["a", "good", "film"] + [""] * 9
    figure = plot_feature_maps(feature_maps(model.net, x), num_maps=3, ticks=data.codec.ticks(x[0]))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "good", "film"]
    assert figure.axes[0].get_ylabel() == "conv.0\n(16, 8)"
    with pytest.raises(ValueError, match=r"BatchPreview shows images.*received \(20, 12\) in train"):
        train(model, callbacks=[BatchPreview()], data=data, epochs=1)


def test_feature_maps_are_the_layers_outputs() -> None:
    net, x = ImageCNN(), torch.randn(2, 3, 32, 32)
    maps = feature_maps(net, x)
    assert list(maps) == ["conv.0", "conv.2"]
    torch.testing.assert_close(maps["conv.0"], net.conv[0](x))
    assert maps["conv.2"].shape == (2, 64, 11, 11)
    assert net.training
    assert all(module.training for module in net.modules())
    assert list(feature_maps(net, x, ["conv.?", "dense.1"])) == [f"conv.{n}" for n in range(6)] + ["dense.1"]
    with pytest.raises(ValueError, match=r"no layer of ImageCNN is named 'conv.22'; the nearest: conv.2"):
        feature_maps(net, x, ["conv.22"])
    assert not any(module._forward_hooks for module in net.modules())


def test_first_maps_show_the_edges_of_the_image() -> None:
    conv = nn.Conv2d(1, 2, 3, bias=False)
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    conv.weight.data = torch.stack([sobel, sobel.T])[:, None]
    image = torch.zeros(1, 1, 12, 12)
    image[..., 6:] = 1  # an upright edge
    upright, level = feature_maps(nn.Sequential(conv), image)["0"][0]
    assert (upright.abs().sum(0) > 0).nonzero()[:, 0].tolist() == [4, 5]
    assert level.abs().max() == 0


def test_what_cannot_be_shown_is_said_once_and_the_run_continues(caplog: pytest.LogCaptureFixture) -> None:
    class Linear(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    unknown = "no layer of Plain is named 'bdy.0'; the nearest: body.0"
    for module, callback, problem in (
        (Plain, FeatureMaps(["bdy.0"]), f"FeatureMaps draws nothing: {unknown}.* \\(argument `layers`\\)"),
        (Plain, GradCAM("bdy.0"), f"GradCAM draws nothing: {unknown}.* \\(argument `layer`\\)"),
        (Linear, FeatureMaps(), "FeatureMaps draws nothing: Linear has no convolution: name `layers`"),
        (Linear, GradCAM(), "GradCAM draws nothing: Linear has no Conv2d for Grad-CAM"),
    ):
        caplog.clear()
        trainer = train(module(), grey_loader(), grey_loader(), callbacks=[callback], epochs=2)
        assert trainer.current_epoch == 2
        (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("lightfit")]
        assert re.match(problem, said)
    assert not list(Path("runs").rglob("*.png"))


class Tokens(nn.Module):
    """A small vision transformer: patches of 4 pixels, a class token, two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(4))
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens[:, 0])


def test_tokens_of_a_transformer_are_shown_as_images() -> None:
    net, x = Tokens().eval(), torch.randn(2, 3, 16, 32)
    maps = feature_maps(net, x)
    assert {name: tuple(value.shape) for name, value in maps.items()} == dict.fromkeys(
        ("blocks.0", "blocks.2", "blocks.3"), (2, 8, 4, 8)
    )
    (named,) = feature_maps(net, x, ["blocks.0.norm2"]).values()
    torch.testing.assert_close(maps["blocks.0"], named)
    tokens = net.embed(x).flatten(2).transpose(1, 2)
    first = net.blocks[0](torch.cat([tokens.mean(1, keepdim=True), tokens], 1))
    torch.testing.assert_close(maps["blocks.0"][1, :, 2, 3], first[1, 1 + 2 * 8 + 3])
    heat = grad_cam(net, x, torch.tensor([0, 1]))
    assert heat.shape == (2, 16, 32)
    assert heat.std() > 0, "the last block passes on its class token alone; what it receives is looked at"
    assert grad_cam(net, x, torch.tensor([0, 1]), layer="blocks.1").std() > 0


def test_channels_may_come_last() -> None:
    windows = torch.randn(2, 4, 8, 5)
    maps, extra = arrange_maps(windows, (16, 32))
    assert (maps.shape, extra) == ((2, 5, 4, 8), 0)
    assert arrange_maps(maps, (16, 32))[0] is maps
    assert arrange_maps(torch.randn(2, 7, 5), (16, 16))[1] == 3, "three tokens before those of 2 x 2 patches"
    assert arrange_maps(torch.randn(2, 5), (16, 16)) is None


def test_layers_are_chosen_over_the_whole_net() -> None:
    with torch.device("meta"):
        nets = {name: TorchvisionNet(name, num_classes=2) for name in ("resnet18", "mobilenet_v3_small", "swin_t")}
    chosen = {name: [layer.removeprefix("model.") for layer in choose_layers(net, None)] for name, net in nets.items()}
    assert chosen["resnet18"] == ["conv1", "layer2.1.conv2", "layer4.1.conv2"]
    assert chosen["mobilenet_v3_small"] == ["features.0.0", "features.6.block.1.0", "features.11.block.1.0"]
    assert chosen["swin_t"] == ["features.1.0", "features.5.2", "features.7.1"]


def test_hooks_are_gone_after_an_error() -> None:
    class Fails(Plain):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            self(batch[0])
            if not self.trainer.sanity_checking:
                raise RuntimeError("on purpose")

    model = Fails()
    with pytest.raises(RuntimeError, match="on purpose"):
        train(model, grey_loader(), grey_loader(), callbacks=[FeatureMaps()])
    assert not any(module._forward_hooks for module in model.modules())


def test_grad_cam_finds_what_the_class_depends_on() -> None:
    """A net that asks how bright the upper half is; its map is hot there, wherever else the image is bright."""

    class Upper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1, bias=False)
            self.conv.weight.data.fill_(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = self.conv(x) * torch.cat([torch.ones(4, 1), torch.zeros(4, 1)])
            return torch.stack([-maps.mean((1, 2, 3)), maps.mean((1, 2, 3))], 1)

    x = torch.zeros(1, 1, 8, 8)
    x[..., 1, 2] = 1
    maps = grad_cam(Upper(), x, torch.tensor([1]))
    assert maps.shape == (1, 8, 8)
    assert maps[0, 1, 2] == maps.max() == 1
    assert grad_cam(Upper(), x, torch.tensor([0])).max() == 0, "nothing speaks for the other class"
    several = FastResNet(num_classes=3, widths=(8,), views=6)
    assert grad_cam(several, torch.randn(2, 3, 32, 32), torch.tensor([0, 2])).shape == (2, 32, 32)
    one_logit = grad_cam(ImageCNN(), torch.randn(2, 3, 32, 32), torch.tensor([0, 1]))
    assert one_logit.isfinite().all()


def test_confusion_matrix_counts() -> None:
    counts = torch.tensor([[8, 2], [1, 9]])
    axes = plot_confusion_matrix(counts, ["cat", "dog"]).axes[0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "8"),
        ((1, 0), "2"),
        ((0, 1), "1"),
        ((1, 1), "9"),
    }
    assert axes.get_title() == "accuracy 0.8500 of 20"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: FeatureMaps(num_maps=0), "num_maps of at least 1, received 0"),
        (lambda: FeatureMaps(every_n_epochs=0), "every_n_epochs of at least 1, received 0"),
        (lambda: BatchPreview(0), "num_images of at least 1"),
        (lambda: ConfusionMatrix(-1), "num_images of at least 0"),
        (lambda: GradCAM(num_images=0), "num_images of at least 1"),
    ],
)
def test_arguments_that_are_refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


def test_features_from_a_checkpoint(images: Path, fit: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--task", "images", "--data.root", "images", "--trainer.max_epochs", 1, "--data.num_workers", 0)[0] == 0
    last = "runs/images/version_0/checkpoints/last.ckpt"
    assert features([last, "images/dark/03.png", "-o", "a.png", "--layers", "whitening"]) == 0
    assert "whitening: (24, 23, 23)" in capsys.readouterr().out
    with Image.open("a.png") as picture:
        assert picture.size[0] > 300
    for args, code, problem in (
        (["images/dark/03.png", "--layers", "withening"], 1, "no layer of FastResNet is named 'withening'"),
        (["nope.png"], 2, "no image or folder at 'nope.png'"),
        (["images/dark/03.png", "-o", "a.jpg"], 2, "expected --output to end in .png, received 'a.jpg'"),
        (["images/dark/03.png", "-o", "no/a.png"], 2, "no folder"),
        (["images/dark/03.png", "--num_maps", "0"], 2, "--num_maps of at least 1"),
    ):
        assert features([last, *args]) == code
        assert problem in capsys.readouterr().err
