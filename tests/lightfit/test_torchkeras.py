"""Programs of torchkeras' users, of its three generations: only the imports are changed."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from lightfit import KerasModel, LightModel, Trainer, pl, summary
from lightfit.errors import CheckpointError

pytestmark = [
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def circles(num_samples: int = 200) -> TensorDataset:
    """Make two rings of points, x (N, 2) and y (N, 1), as torchkeras' documentation does."""
    rng = torch.Generator().manual_seed(0)
    angle = 2 * np.pi * torch.rand(num_samples, 1, generator=rng)
    y = (torch.arange(num_samples) % 2).float()[:, None]
    radius = 8 - 3 * y + torch.randn(num_samples, 1, generator=rng)
    return TensorDataset(torch.cat([radius * angle.cos(), radius * angle.sin()], 1), y)


class Rings(nn.Module):
    """Three layers and a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2, 4)
        self.fc2 = nn.Linear(4, 8)
        self.fc3 = nn.Linear(8, 1)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return nn.Sigmoid()(self.fc3(x))


# 2.x: a class for each task, as the four chapters have it.


class TableModel(LightModel):
    """Binary classification of a table."""

    def shared_step(self, batch: Any) -> dict:
        x, y = batch
        prediction = self(x)
        loss = nn.BCELoss()(prediction, y)
        preds = torch.where(prediction > 0.5, torch.ones_like(prediction), torch.zeros_like(prediction))
        acc = pl.metrics.functional.accuracy(preds, y)
        return {"loss": loss, "accuracy": acc}

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)
        lr_scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.0001)
        return {"optimizer": optimizer, "lr_scheduler": lr_scheduler}


def test_2_table(capsys: pytest.CaptureFixture[str]) -> None:
    pl.seed_everything(1234)
    ds_train, ds_valid = random_split(circles(), [140, 60], generator=torch.Generator().manual_seed(0))
    dl_train, dl_valid = DataLoader(ds_train, batch_size=20), DataLoader(ds_valid, batch_size=20)
    net = Rings()
    summary(net, input_shape=(2,))
    assert "Total params: 61\n" in capsys.readouterr().out
    model = TableModel(net)
    ckpt_cb = pl.callbacks.ModelCheckpoint(monitor="val_loss")
    early = pl.callbacks.EarlyStopping(monitor="val_loss", patience=10, mode="min")
    trainer = pl.Trainer(max_epochs=3, gpus=0, callbacks=[ckpt_cb, early], progress_bar_refresh_rate=0)
    trainer.fit(model, dl_train, dl_valid)

    history = model.history
    df_history = pd.DataFrame(history)
    assert list(df_history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert len(df_history) == 3
    assert trainer.checkpoint_callback.best_model_path == ckpt_cb.best_model_path  # type: ignore[union-attr]

    result = trainer.test(model, test_dataloaders=dl_valid)
    assert result[0]["test_loss"] == pytest.approx(df_history["val_loss"].iloc[-1], rel=1e-5)

    outputs = torch.cat(trainer.predict(model, dl_valid))
    by_hand = torch.cat([model.forward(t[0].to(model.device)) for t in dl_valid]).data
    assert torch.equal(outputs, by_hand)

    for model_clone in (
        TableModel.load_from_checkpoint(trainer.checkpoint_callback.best_model_path),  # type: ignore[union-attr]
        model.load_from_checkpoint(ckpt_cb.best_model_path),
    ):
        assert model_clone is not model
        assert model_clone.net is not model.net
        scores = pl.Trainer(max_epochs=5, gpus=0).test(model_clone, test_dataloaders=dl_valid)
        assert scores[0]["test_loss"] == pytest.approx(df_history["val_loss"].min(), rel=1e-5)


class ImageModel(LightModel):
    """Classification of images, in class ids."""

    def shared_step(self, batch: Any) -> dict:
        x, y = batch
        logits = self(x)
        acc = pl.metrics.functional.accuracy(logits.softmax(1), y)
        return {"loss": nn.CrossEntropyLoss()(logits, y), "accuracy": acc}

    def configure_optimizers(self) -> Any:
        return torch.optim.RMSprop(self.parameters(), lr=0.01)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, name, level in (("train", "0", 30), ("train", "1", 200), ("test", "0", 30), ("test", "1", 200)):
        folder = tmp_path / "cifar2" / split / name
        folder.mkdir(parents=True)
        for index in range(6):
            pixels = level + rng.integers(0, 40, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "cifar2"


def test_2_images(cifar: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    datasets = pytest.importorskip("torchvision.datasets")
    transform = transforms.Compose([transforms.ToTensor()])
    ds_train = datasets.ImageFolder(str(cifar / "train"), transform=transform)
    ds_valid = datasets.ImageFolder(str(cifar / "test"), transform=transform)
    dl_train = DataLoader(ds_train, batch_size=4, shuffle=True, num_workers=0)
    dl_valid = DataLoader(ds_valid, batch_size=4, num_workers=0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = ImageModel(net)
    trainer = pl.Trainer(max_epochs=2, gpus=None, progress_bar_refresh_rate=0, weights_summary=None)
    trainer.fit(model, train_dataloader=dl_train, val_dataloaders=dl_valid)
    assert pd.DataFrame(model.history).shape == (2, 5)
    assert 0 <= model.history["val_accuracy"].iloc[-1] <= 1


class TextNet(nn.Module):
    """The chapter's net, smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings=50, embedding_dim=3, padding_idx=1)
        self.conv = nn.Sequential()
        self.conv.add_module("conv_1", nn.Conv1d(in_channels=3, out_channels=4, kernel_size=3))
        self.conv.add_module("pool_1", nn.MaxPool1d(kernel_size=2))
        self.conv.add_module("relu_1", nn.ReLU())
        self.dense = nn.Sequential()
        self.dense.add_module("flatten", nn.Flatten())
        self.dense.add_module("linear", nn.Linear(16, 1))
        self.dense.add_module("sigmoid", nn.Sigmoid())

    def forward(self, x: Any) -> Any:
        return self.dense(self.conv(self.embedding(x).transpose(1, 2)))


class Batches:
    """Wraps another iterator, as the chapter of texts does."""

    def __init__(self, data_iter: Any) -> None:
        self.data_iter = data_iter
        self.length = len(data_iter)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Any:
        for text, label in self.data_iter:
            yield (torch.transpose(text, 0, 1), torch.unsqueeze(label.float(), dim=1))


class TextModel(TableModel):
    """The step of the table's class with another optimizer."""

    def configure_optimizers(self) -> Any:
        return torch.optim.Adagrad(self.parameters(), lr=0.02)


def test_2_texts() -> None:
    rng = torch.Generator().manual_seed(0)
    held = [(torch.randint(0, 50, (10, 6), generator=rng), torch.tensor([0, 1, 0, 1, 0, 1])) for _ in range(3)]
    dl_train, dl_valid = Batches(held), Batches(held[:1])
    pl.seed_everything(1234)
    model = TextModel(TextNet())
    ckpt_cb = pl.callbacks.ModelCheckpoint(monitor="val_loss")
    trainer = pl.Trainer(max_epochs=2, gpus=0, callbacks=[ckpt_cb])
    trainer.fit(model, dl_train, dl_valid)
    assert model.history["epoch"].tolist() == [0, 1]
    assert Path(ckpt_cb.best_model_path).is_file()
    assert len(trainer.predict(model, dl_valid)) == 1


class Windows(Dataset):
    """Eight days, and the next one."""

    def __init__(self, dfdiff: pd.DataFrame) -> None:
        self.dfdiff = dfdiff

    def __len__(self) -> int:
        return len(self.dfdiff) - 8

    def __getitem__(self, i: int) -> Any:
        x = self.dfdiff.loc[i : i + 7, :]
        y = self.dfdiff.loc[i + 8, :]
        return torch.tensor(x.values), torch.tensor(y.values)


class SeriesNet(nn.Module):
    """A recurrent net whose output is the last day, grown or shrunk."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(input_size=3, hidden_size=3, num_layers=2, batch_first=True)
        self.linear = nn.Linear(3, 3)

    def forward(self, x_input: Any) -> Any:
        x = self.lstm(x_input)[0][:, -1, :]
        return torch.max((1 + self.linear(x)) * x_input[:, -1, :], torch.tensor(0.0))


class SeriesModel(LightModel):
    """The chapter's error, relative to the truth."""

    def shared_step(self, batch: Any) -> dict:
        x, y = batch
        prediction = self(x)
        err_percent = (prediction - y) ** 2 / (torch.max(y**2, torch.tensor(1e-7)))
        return {"loss": torch.mean(err_percent), "mae": pl.metrics.functional.mean_absolute_error(prediction, y)}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def test_2_series() -> None:
    days = pd.DataFrame(np.random.default_rng(0).uniform(1, 5, (30, 3)).astype("float32"))
    ds_train = Windows(days)
    dl_train = DataLoader(ds_train, batch_size=38)
    model = SeriesModel(SeriesNet())
    ckpt_cb = pl.callbacks.ModelCheckpoint(monitor="loss")
    trainer = pl.Trainer(max_epochs=2, gpus=0, callbacks=[ckpt_cb], progress_bar_refresh_rate=20)
    trainer.fit(model, dl_train, dl_train)
    assert list(model.history) == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    next_day = model.forward(torch.tensor(days.values)[-8:][None])
    assert next_day.shape == (1, 3)


# 3.x: LightModel with all that it needs, and KerasModel.


def test_3_light_model() -> None:
    ds_train, ds_valid = random_split(circles(), [140, 60], generator=torch.Generator().manual_seed(0))
    dl_train, dl_valid = DataLoader(ds_train, batch_size=20), DataLoader(ds_valid, batch_size=20)
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    model = LightModel(
        net,
        loss_fn=nn.BCEWithLogitsLoss(),
        metrics_dict={"acc": BinaryAccuracy()},
        optimizer=torch.optim.Adam(net.parameters(), lr=0.05),
    )
    model_ckpt = pl.callbacks.ModelCheckpoint(monitor="val_acc", save_top_k=1, mode="max")
    early_stopping = pl.callbacks.EarlyStopping(monitor="val_acc", patience=3, mode="max")
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", callbacks=[model_ckpt, early_stopping])
    trainer.fit(model, dl_train, dl_valid)

    history = model.get_history()
    assert list(history) == ["epoch", "train_loss", "train_acc", "val_loss", "val_acc"]
    assert trainer.test(model, dl_valid, verbose=False)[0]["test_acc"] == pytest.approx(history["val_acc"].iloc[-1])
    best = LightModel.load_from_checkpoint(model_ckpt.best_model_path)
    logits = torch.cat(trainer.predict(best, dl_valid))
    labels = torch.cat([y for _, y in dl_valid])
    assert float(((logits > 0) == labels).float().mean()) == pytest.approx(history["val_acc"].max())


def test_3_keras_model() -> None:
    from lightfit.torchkeras.metrics import Accuracy

    dl_train, dl_val = (DataLoader(circles(60), batch_size=20, shuffle=shuffle) for shuffle in (True, False))
    net = nn.Linear(2, 1)
    model = KerasModel(
        net,
        loss_fn=nn.BCEWithLogitsLoss(),
        optimizer=torch.optim.Adam(net.parameters(), lr=0.03),
        metrics_dict={"acc": Accuracy()},
    )
    dfhistory = model.fit(
        epochs=2,
        train_data=dl_train,
        val_data=dl_val,
        patience=3,
        monitor="val_acc",
        mode="max",
        ckpt_path="checkpoint.pt",
    )
    assert {"train_loss", "train_acc", "val_loss", "val_acc", "epoch"} <= set(dfhistory)
    assert model.predict(dl_val).shape == (60, 1)
    net.load_state_dict(torch.load("checkpoint.pt"))


def test_a_net_that_no_model_of_the_process_has(tmp_path: Path) -> None:
    trainer = pl.Trainer(max_epochs=1, gpus=0, logger=False, checkpoint_callback=False, progress_bar_refresh_rate=0)
    loader = DataLoader(circles(40), batch_size=20)

    class Own(TableModel):
        pass

    first, second = (Own(nn.Sequential(nn.Linear(2, 1), layer)) for layer in (nn.Sigmoid(), nn.Hardsigmoid()))
    trainer.fit(first, loader, loader)
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    with pytest.raises(CheckpointError, match="the nets of several models that it would fit differ: expected Own"):
        first.load_from_checkpoint(tmp_path / "own.ckpt")
    given = second.load_from_checkpoint(tmp_path / "own.ckpt", net=nn.Sequential(nn.Linear(2, 1)))
    assert torch.equal(given.net[0].weight, first.net[0].weight)  # type: ignore[index]
    del first, second, given
    trainer = pl.Trainer(gpus=0, logger=False, enable_checkpointing=False)
    gc.collect()
    with pytest.raises(CheckpointError, match="no model here has such a net: expected Own.load_from_checkpoint"):
        Own.load_from_checkpoint(tmp_path / "own.ckpt")


# 4.x: KerasModel, through the module's name.


def test_4_keras_model() -> None:
    from lightfit import torchkeras

    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=20)
    net = nn.Linear(2, 2)
    torchkeras.summary(net, input_data=x)
    model = torchkeras.KerasModel(
        net,
        loss_fn=nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam(net.parameters(), lr=0.01),
        metrics_dict={"acc": MulticlassAccuracy(2)},
    )
    dfhistory = model.fit(
        train_data=loader, val_data=loader, epochs=2, patience=3, ckpt_path="checkpoint", monitor="val_acc", mode="max"
    )
    assert list(dfhistory) == ["epoch", "train_loss", "train_acc", "lr", "val_loss", "val_acc"]
    assert set(model.evaluate(loader)) == {"val_loss", "val_acc"}
    model.load_ckpt("checkpoint")
    assert torch.equal(model.predict(loader), model(x))


def test_names_of_the_modules() -> None:
    import lightfit.torchkeras as torchkeras
    from lightfit.torchkeras import KerasModel as OfModule

    assert torchkeras.LightModel is LightModel
    assert torchkeras.pl.Trainer is Trainer
    assert OfModule is KerasModel
    assert set(torchkeras.__all__) <= set(dir(torchkeras))
