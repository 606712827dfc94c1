"""Callbacks that show: what is drawn, for which modules, and that nothing changes by it."""

import io
import itertools
import re
import time
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
    Backtest,
    BatchPreview,
    ConfusionMatrix,
    FeatureMaps,
    ForecastPlot,
    GradCAM,
    HistoryFiles,
    feature_maps,
    grad_cam,
    plot_confusion_matrix,
    plot_feature_maps,
)
from lightfit.callbacks.pictures.layers import arrange_maps, choose_layers
from lightfit.callbacks.pictures.plots import image_grid
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_any_lightning_module() -> None:
    train(Plain(), grey_loader(), grey_loader(), callbacks=all_four(), epochs=1)
    names = {path.parent.name for path in Path("runs").rglob("*.png")}
    assert names == {"feature_maps", "preview_train", "preview_val", "confusion_matrix", "most_confused", "grad_cam"}


def said_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said of pictures that are left out, and forget it."""
    said = [record.getMessage() for record in caplog.records if record.name == "lightfit.callbacks.pictures.guard"]
    caplog.clear()
    return said


def test_modules_that_return_nothing_to_count(caplog: pytest.LogCaptureFixture) -> None:
    class Silent(Plain):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return {"loss": super().training_step(batch, batch_idx)}

    for callback in (ConfusionMatrix(), GradCAM()):
        train(Silent(), grey_loader(), grey_loader(), callbacks=[callback], epochs=2)
        (said,) = said_of(caplog)
        assert re.search(r"is left out of this run: .*a dict with 'preds'.*received \['loss'\]", said)


def test_texts_have_their_words_on_the_axis(reviews: Path, caplog: pytest.LogCaptureFixture) -> None:
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
    train(model, callbacks=[BatchPreview()], data=data, epochs=2)
    (said,) = said_of(caplog)
    assert "BatchPreview is left out of this run: it shows images, (B, C, H, W), and received (16, 12) in val" in said


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


class Linear(Plain):
    """A module without convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


@pytest.mark.parametrize(
    ("module", "callback", "problem"),
    [
        (Plain, lambda: FeatureMaps(["bdy.0"]), "no layer of Plain is named 'bdy.0'; the nearest: body.0"),
        (Plain, lambda: GradCAM("bdy.0"), "no layer of Plain is named 'bdy.0'; the nearest: body.0"),
        (Linear, FeatureMaps, "no convolution to show"),
        (Linear, GradCAM, "no Conv2d for Grad-CAM"),
    ],
)
def test_layers_that_are_not_there(
    module: type[Plain], callback: Callable[[], pl.Callback], problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = train(module(), grey_loader(), grey_loader(), callbacks=[callback()], epochs=2)
    assert trainer.global_step == 6
    (said,) = said_of(caplog)
    assert problem in said


def dicts(samples: list[Any]) -> dict[str, torch.Tensor]:
    return {"image": torch.stack([x for x, _ in samples]), "label": torch.tensor([int(y) for _, y in samples])}


class Dicts(Plain):
    """Batches that are dicts, and steps that return a loss alone."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return super().training_step((batch["image"], batch["label"]), batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return self.training_step(batch, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        return None


def test_whatever_a_module_returns_the_run_ends_well(caplog: pytest.LogCaptureFixture) -> None:
    """Each callback that can draw nothing says so once, and hooks and weights stay as without it."""
    data = TensorDataset(torch.randn(12, 1, 8, 8), torch.arange(12) % 3)
    loader = DataLoader(data, batch_size=4, collate_fn=dicts)
    model, callbacks = Dicts(), [*all_four(), ForecastPlot(), Backtest(), HistoryFiles()]
    trainer = train(model, loader, loader, callbacks=callbacks, epochs=2)
    trainer.test(model, loader, verbose=False)
    said = said_of(caplog)
    silent = {type(one).__name__ for one in callbacks} - {"FeatureMaps"}  # which finds the one tensor of images
    assert sorted(message.partition(" ")[0] for message in said) == sorted(silent)
    expected = "expected batches (x, y) of tensors, received a dict with 'image', 'label'"
    assert any(expected in message for message in said)
    assert not any(module._forward_hooks for module in model.modules())
    assert {path.parent.name for path in Path("runs").rglob("*.png")} == {"feature_maps"}


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_runs_without_validation_and_images_without_labels(caplog: pytest.LogCaptureFixture) -> None:
    class Unlabelled(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self(batch).square().mean()

    loader = DataLoader(torch.rand(8, 1, 8, 8), batch_size=4)
    train(Unlabelled(), loader, callbacks=all_four(), epochs=1)
    said = said_of(caplog)
    assert [message.partition(" ")[0] for message in said] == ["FeatureMaps", "ConfusionMatrix", "GradCAM"]
    assert all("it draws what it sees in validation, and this run has none" in message for message in said)
    assert {path.parent.name for path in Path("runs").rglob("*.png")} == {"preview_train"}


def test_a_picture_that_cannot_be_written_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightfit.callbacks.pictures.plots.write_png", full)
    trainer = train(Plain(), grey_loader(), grey_loader(), callbacks=[ConfusionMatrix()], epochs=3)
    assert trainer.global_step == 9
    assert said_of(caplog) == ["ConfusionMatrix is left out of this run: OSError: [Errno 28] No space left on device"]


def test_another_run_draws_again(caplog: pytest.LogCaptureFixture) -> None:
    callback = FeatureMaps()
    train(Linear(), grey_loader(), grey_loader(), callbacks=[callback], epochs=1)
    assert len(said_of(caplog)) == 1
    train(Plain(), grey_loader(), grey_loader(), callbacks=[callback], epochs=1)
    assert said_of(caplog) == []
    assert Path("runs/a/version_1/feature_maps/epoch_000.png").is_file()


class Images(pl.loggers.CSVLogger):
    """A logger that takes pictures as that of W&B does."""

    def __init__(self) -> None:
        super().__init__("runs", name="b")
        self.taken: list[tuple[str, tuple[int, ...], int]] = []

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        self.taken.append((key, images[0].shape, step or 0))


def test_pictures_go_to_each_logger_that_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Images):
        def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
            raise ConnectionError("no server")

    good, broken = Images(), Broken()
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=[broken, good, pl.loggers.TensorBoardLogger("runs", name="a")],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[FeatureMaps()],
    )
    trainer.fit(Plain(), grey_loader(), grey_loader())
    assert [(name, step) for name, _, step in good.taken] == [("feature_maps", 3), ("feature_maps", 6)]
    with Image.open(next(Path("runs").rglob("epoch_001.png"))) as picture:
        assert good.taken[-1][1] == (picture.height, picture.width, 3)
    assert [event.step for event in EventAccumulator("runs/a/version_0").Reload().Images("feature_maps")] == [0, 1]
    assert said_of(caplog) == ["Broken did not take the picture feature_maps: ConnectionError: no server"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # warnings of these packages about themselves
@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_pictures_reach_other_loggers(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(package)
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger: Any = (
        pl.loggers.WandbLogger(save_dir="runs")
        if package == "wandb"
        else pl.loggers.MLFlowLogger(tracking_uri="sqlite:///mlflow.db", artifact_location="kept")
    )
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[FeatureMaps()],
    )
    trainer.fit(Plain(), grey_loader(), grey_loader())
    where = {
        "wandb": "wandb/offline-run*/files/media/images/feature_maps_*.png",
        "mlflow": "feature_maps/epoch_000.png",
    }
    assert list(Path().rglob(where[package]))
    if package == "wandb":
        logger.experiment.finish()  # or the next WandbLogger of this process would write to the same run


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
    shown = axes.images[0].get_array()
    assert shown.mask.tolist() == [[True, False], [False, True]], "only errors have a colour"
    assert axes.images[0].get_clim() == (0, 0.2)


def test_confused_classes_stand_together() -> None:
    counts = torch.eye(6, dtype=torch.long) * 20
    for one, other in ((0, 4), (1, 3), (2, 5)):
        counts[one, other] = counts[other, one] = 5
    axes = plot_confusion_matrix(counts, list("abcdef")).axes[0]
    order = "".join(label.get_text() for label in axes.get_yticklabels())
    assert {"".join(sorted(order[place : place + 2])) for place in (0, 2, 4)} == {"ae", "bd", "cf"}
    assert order == "".join(label.get_text() for label in axes.get_xticklabels())


@pytest.mark.slow
@pytest.mark.parametrize("num_classes", [100, 200, 1000])
def test_many_classes_name_the_most_confused_pairs_and_take_a_second(num_classes: int) -> None:
    rng = np.random.default_rng(0)
    counts = np.eye(num_classes, dtype=np.int64) * 100 + (rng.random((num_classes, num_classes)) < 2 / num_classes)
    counts[3, 7] = 50
    counts[8, 2] = 40
    names = [f"Tomato___Tomato_Yellow_Leaf_Curl_Virus_{index}" for index in range(num_classes)]
    plot_confusion_matrix(torch.eye(41, dtype=torch.long), names[:41]).pixels()  # imports, and finds the fonts
    started = time.process_time()
    figure = plot_confusion_matrix(torch.from_numpy(counts), names)
    pixels = figure.pixels()
    assert time.process_time() - started < 2  # a second, and as much again where other programs run
    assert pixels.shape[1] < 2000
    pairs = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(pairs) == 20
    assert pairs[0].startswith("Tomato___Tom")
    assert re.search("…[^→]*_3 → .*….*_7$", pairs[0])
    assert re.search("_8 → .*_2$", pairs[1])
    assert [text.get_text().split()[0] for text in figure.axes[0].texts][:2] == ["50", "40"]
    assert f"{num_classes:,} classes" in figure.axes[0].get_title()
    assert figure.axes[1].images[0].get_array().max() == pytest.approx(50 / counts[3].sum())


@pytest.mark.slow
@pytest.mark.parametrize("num_classes", [2, 20, 40])
def test_labels_and_titles_are_whole_and_apart(num_classes: int) -> None:
    """No label of a matrix with long names lies on another, and none is cut off at the edge."""
    names = [f"Cherry_(including_sour)___Powdery_mildew number {index}" for index in range(num_classes)]
    figure = plot_confusion_matrix(torch.eye(num_classes, dtype=torch.long) * 5 + 1, names)
    height, width = figure.pixels().shape[:2]
    axes = figure.axes[0]
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(below.y0 > above.y1 - 1 or below.y1 < above.y0 + 1 for above, below in itertools.pairwise(boxes))
    for text in (*axes.get_yticklabels(), *axes.get_xticklabels(), axes.title, axes.xaxis.label, axes.yaxis.label):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_titles_of_a_grid_do_not_overlap() -> None:
    long = "Tomato___Tomato_Yellow_Leaf_Curl_Virus"
    titles = [f"true: {long}\npredicted: {long} 82%"] * 6
    figure = image_grid(
        torch.rand(6, 8, 8, 3), titles, captions=[f"PlantVillage/{long}/image {n}.JPG" for n in range(6)]
    )
    height, width = figure.pixels().shape[:2]
    texts = [text for axes in figure.axes for text in (axes.title, *axes.texts)]
    boxes = [text.get_window_extent() for text in texts]
    assert len(texts) == 12
    assert (
        texts[0].get_text()
        == "true: Tomato___Tomato_\nYellow_Leaf_Curl_Virus\npredicted: Tomato___Tomato_\nYellow_Leaf_Curl_Virus 82%"
    )
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert min(min(box.x0, box.y0) for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= width
    assert max(box.y1 for box in boxes) <= height


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


@pytest.mark.slow
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
