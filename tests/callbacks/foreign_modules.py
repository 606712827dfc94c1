"""LightningModules of all kinds as other projects write them, none a LightModel, each with its data and its trainer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, Dataset, IterableDataset

IMAGES = frozenset({"BatchPreview", "FeatureMaps"})  # callbacks that draw what any net of images has
CLASSES = frozenset({"BatchPreview", "FeatureMaps", "ConfusionMatrix", "GradCAM"})
NUM_SAMPLES, BATCH = 12, 4


def draw_data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(NUM_SAMPLES, 3, 8, 8, generator=generator), torch.arange(NUM_SAMPLES) % 3


X, Y = draw_data()


class Items(Dataset[Any]):
    """Samples by a function of their index."""

    def __init__(self, item: Callable[[int], Any]) -> None:
        self.item = item

    def __len__(self) -> int:
        return NUM_SAMPLES

    def __getitem__(self, index: int) -> Any:
        return self.item(index)


class Stream(IterableDataset[Any]):
    """Samples without a length."""

    def __iter__(self) -> Iterator[Any]:
        yield from zip(X, Y, strict=True)


def load(item: Callable[[int], Any] = lambda index: (X[index], Y[index]), **options: Any) -> Any:
    return DataLoader(Items(item), BATCH, **options)


def conv_net(outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, outputs),
    )


class Module(pl.LightningModule):
    """Logs `train_loss` and `val_loss`; a kind overrides what is different in it."""

    def __init__(self) -> None:
        super().__init__()
        self.model: Any = self.build()

    def build(self) -> nn.Module:
        return conv_net()

    def forward(self, x: Tensor) -> Any:
        return self.model(x)

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        """Return the loss, and what validation_step returns."""
        logits = self(batch[0])
        return cross_entropy(logits, batch[1]), {"preds": logits, "target": batch[1]}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.compute(batch)[0]
        self.log("train_loss", loss, batch_size=BATCH)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        loss, outputs = self.compute(batch)
        self.log("val_loss", loss, batch_size=BATCH)
        return outputs

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        loss, outputs = self.compute(batch)
        self.log("test_loss", loss, batch_size=BATCH)
        return outputs

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 0.01)


class SlashNames(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.compute(batch)[0]
        self.log("train/loss", loss)
        return {"loss": loss, "other": [1, 2]}

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        self.log_dict({"val/loss": self.compute(batch)[0], "val/acc.top-1": torch.tensor(0.5)})


class DictBatches(Module):
    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        logits = self(batch["image"])
        return cross_entropy(logits, batch["label"]), {"preds": logits.softmax(1), "target": batch["label"]}


class Segmentation(Module):
    def build(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))


class Detection(Module):
    """Lists of images and of dicts with boxes."""

    def build(self) -> nn.Module:
        return conv_net(4)

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        images, targets = batch
        boxes = self(torch.stack(images))
        loss = mse_loss(boxes, torch.stack([target["boxes"][0] for target in targets]))
        return loss, [{"boxes": box[None], "scores": box[:1]} for box in boxes]


class ManualOptimization(Module):
    """Two optimizers, each with its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            loss = self.compute(batch)[0]
            self.manual_backward(loss)
            optimizer.step()
        self.log("train_loss", loss)

    def configure_optimizers(self) -> Any:
        first, last = list(self.model[0].parameters()), list(self.model[-1].parameters())
        return torch.optim.Adam(first, 0.01), torch.optim.SGD(last, 0.1)


class Gan(ManualOptimization):
    """Has no loss of validation: it logs what the discriminator says of noise that was drawn once."""

    def build(self) -> nn.Module:
        return nn.ModuleDict({"generator": nn.Linear(5, 192), "discriminator": conv_net(1)})

    def forward(self, z: Tensor) -> Tensor:
        return self.model["generator"](z).view(-1, 3, 8, 8)

    def on_train_start(self) -> None:
        self.noise = torch.randn(2, 5)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        for_generator, for_discriminator = self.optimizers()
        self.toggle_optimizer(for_generator)
        loss = -self.model["discriminator"](self(torch.randn(4, 5))).mean()
        self.manual_backward(loss)
        for_generator.step()
        for_generator.zero_grad()
        self.untoggle_optimizer(for_generator)
        real, fake = (self.model["discriminator"](x).mean() for x in (batch[0], self(torch.randn(4, 5)).detach()))
        self.manual_backward(fake - real)
        for_discriminator.step()
        for_discriminator.zero_grad()
        self.log_dict({"g_loss": loss, "d_loss": fake - real}, prog_bar=True)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        self.log("val_score", self.model["discriminator"](batch[0]).mean())

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        return None

    def configure_optimizers(self) -> Any:
        nets = self.model["generator"], self.model["discriminator"]
        return [torch.optim.Adam(net.parameters(), 0.01) for net in nets], []


class NoValidation(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = conv_net()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = cross_entropy(self.model(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class PlainTensors(Module):
    def build(self) -> nn.Module:
        return nn.Linear(192, 2)

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        loss = self(batch.flatten(1)).square().mean()
        return loss, loss


class BuiltLate(Module):
    """Has no parameters before `configure_model`."""

    def build(self) -> Any:
        return None

    def configure_model(self) -> None:
        if self.model is None:
            self.model = conv_net()


class Text(Module):
    def build(self) -> nn.Module:
        return nn.Sequential(nn.EmbeddingBag(20, 4), nn.Linear(4, 2))

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        logits = self(batch["input_ids"])
        return cross_entropy(logits, batch["labels"]), logits.argmax(1)


class SkipsSteps(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return None if batch_idx == 1 else super().training_step(batch, batch_idx)


class LogsSteps(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.compute(batch)[0]
        self.log("train_loss", loss, on_step=True, on_epoch=False, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return self.compute(batch)[1]


class Autoencoder(Module):
    """The target is the input."""

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1))

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        again = self(batch[0])
        return mse_loss(again, batch[1]), {"loss": mse_loss(again, batch[0]), "reconstruction": again}


class ForwardTakesBatch(Module):
    """As the models of transformers."""

    def forward(self, pixel_values: Tensor, labels: Tensor) -> Any:  # type: ignore[override]
        logits = self.model(pixel_values)
        return {"loss": cross_entropy(logits, labels), "logits": logits}

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        outputs = self(**batch)
        return outputs["loss"], outputs


@dataclass
class Graph:
    """A batch of graphs, as torch_geometric's."""

    x: Tensor
    edge_index: Tensor
    y: Tensor

    def to(self, device: Any, *args: Any, **options: Any) -> "Graph":
        return Graph(self.x.to(device), self.edge_index.to(device), self.y.to(device))


class Graphs(Module):
    def build(self) -> nn.Module:
        return nn.Linear(5, 2)

    def compute(self, batch: Graph) -> tuple[Tensor, Any]:
        near = torch.zeros_like(batch.x).index_add(0, batch.edge_index[1], batch.x[batch.edge_index[0]])
        logits = self(batch.x + near)
        return cross_entropy(logits, batch.y), (logits, batch.y)


class Heads(Module):
    def build(self) -> nn.Module:
        return nn.ModuleDict({"trunk": conv_net(4), "one": nn.Linear(4, 3), "two": nn.Linear(4, 1)})

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        x, (label, number) = batch
        hidden = self.model["trunk"](x)
        one, two = self.model["one"](hidden), self.model["two"](hidden)
        return cross_entropy(one, label) + mse_loss(two[:, 0], number), {
            "preds": {"one": one},
            "target": {"one": label},
        }


class Forecaster(Module):
    """Returns forecasts as the pictures of series expect them."""

    def build(self) -> nn.Module:
        return nn.Linear(6, 2)

    def compute(self, batch: Any) -> tuple[Tensor, Any]:
        x, y = batch
        forecast = self(x[..., :1].mT).mT
        return mse_loss(forecast, y), {"forecast": forecast}


class KeepsLogs(pl.loggers.logger.Logger):
    """Another logger, without a folder."""

    @property
    def name(self) -> str:
        return "kept"

    @property
    def version(self) -> str:
        return "abc"

    def log_metrics(self, metrics: Any, step: Any = None) -> None:
        pass

    def log_hyperparams(self, params: Any, *args: Any, **options: Any) -> None:
        pass


@dataclass
class Kind:
    """A module, its data, its trainer.

    Args:
        module: its class.
        train: returns the training loaders.
        val: returns the validation loaders; the training ones by default.
        options: of the trainer; a function of the folder.
        monitor: a metric that is logged.
        draws: names of the callbacks that have something to draw.
        tests: whether the module can be tested.
    """

    module: type[pl.LightningModule]
    train: Callable[[], Any] = load
    val: Callable[[], Any] | None = None
    options: Callable[[str], dict[str, Any]] = field(default=lambda folder: {})
    monitor: str = "val_loss"
    draws: frozenset[str] = CLASSES
    tests: bool = True


def boxes(batch: list[Any]) -> Any:
    return [image for image, _ in batch], [target for _, target in batch]


def graphs(batch: list[Any]) -> Graph:
    x, y = (torch.stack(items) for items in zip(*batch, strict=True))
    return Graph(x, torch.tensor([[0, 1, 2], [1, 2, 3]]), y)


KINDS = {
    "slash names": Kind(SlashNames, monitor="val/loss", draws=IMAGES),
    "dict batches": Kind(
        DictBatches,
        lambda: load(lambda i: {"image": X[i], "label": Y[i]}),
        draws=frozenset({"FeatureMaps", "ConfusionMatrix"}),
    ),
    "tuples of three": Kind(Module, lambda: load(lambda i: (X[i], Y[i], {"index": i}))),
    "segmentation": Kind(Segmentation, lambda: load(lambda i: (X[i], (X[i, 0] > 0).long())), draws=IMAGES),
    "detection": Kind(
        Detection,
        lambda: load(lambda i: (X[i], {"boxes": torch.rand(1, 4), "labels": Y[i]}), collate_fn=boxes),
        draws=frozenset({"FeatureMaps"}),
    ),
    "two optimizers": Kind(ManualOptimization),
    "GAN": Kind(Gan, monitor="val_score", draws=IMAGES),
    "no validation": Kind(
        NoValidation, val=lambda: None, monitor="loss", draws=frozenset({"BatchPreview"}), tests=False
    ),
    "several validation loaders": Kind(
        Module, val=lambda: [load(), load()], monitor="val_loss/dataloader_idx_1", tests=False
    ),
    "no length": Kind(Module, lambda: DataLoader(Stream(), BATCH)),
    "no logger, no folder": Kind(Module, options=lambda folder: {"default_root_dir": None}),
    "CSVLogger": Kind(Module, options=lambda folder: {"logger": pl.loggers.CSVLogger(folder)}),
    "two loggers": Kind(
        Module,
        options=lambda folder: {"logger": [pl.loggers.TensorBoardLogger(folder), pl.loggers.CSVLogger(folder)]},
    ),
    "another logger": Kind(Module, options=lambda folder: {"logger": KeepsLogs()}),
    "plain tensors": Kind(PlainTensors, lambda: load(lambda i: X[i]), draws=frozenset({"BatchPreview"})),
    "configure_model": Kind(BuiltLate),
    "text": Kind(
        Text, lambda: load(lambda i: {"input_ids": torch.arange(i, i + 5), "labels": Y[i] % 2}), draws=frozenset()
    ),
    "steps without a loss": Kind(SkipsSteps),
    "logs on_step alone": Kind(LogsSteps, monitor="train_loss"),
    "max_steps": Kind(Module, options=lambda folder: {"max_epochs": -1, "max_steps": 6}),
    "autoencoder": Kind(Autoencoder, lambda: load(lambda i: (X[i], X[i])), draws=IMAGES),
    "forward(**batch)": Kind(
        ForwardTakesBatch,
        lambda: load(lambda i: {"pixel_values": X[i], "labels": Y[i]}),
        draws=frozenset({"FeatureMaps"}),
    ),
    "graphs": Kind(Graphs, lambda: load(lambda i: (X[i, 0, 0, :5], Y[i] % 2), collate_fn=graphs), draws=frozenset()),
    "several heads": Kind(Heads, lambda: load(lambda i: (X[i], (Y[i], X[i, 0, 0, 0]))), draws=IMAGES),
    "forecasts": Kind(
        Forecaster,
        lambda: load(lambda i: (X[i, 0, :6, :2], X[i, 0, 6:, :1])),
        draws=frozenset({"ForecastPlot", "Backtest"}),
    ),
}
