"""Images of a table: sets of labels, numbers, groups that stay together, and what is refused."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_images
from labelled_data import make_pictures

from lightfit.datamodules import ImageDataModule, ImageTransforms
from lightfit.errors import DataError, UsageError


def read(root: str, **options: Any) -> ImageDataModule:
    module = ImageDataModule(root, transforms=ImageTransforms(size=16), num_workers=0, **options)
    module.setup()
    return module


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Make a table with `image_id` without ending, 0 and 1 by colour, `price`, `patient` and `split`."""
    rows = read_rows(make_pictures(tmp_path / "pictures"))
    path = tmp_path / "pictures" / "columns.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image_id", "red", "green", "blue", "price", "patient"))
        for index, row in enumerate(rows):
            flags = [int(name in row["labels"].split("|")) for name in ("red", "green", "blue")]
            writer.writerow((row["path"][:-4], *flags, row["price"], f"p{index // 8}"))
    return path


def test_columns_of_zeros_and_ones_are_sets_of_labels(pictures: Path) -> None:
    module = read(str(pictures), label_column="red,green,blue")
    assert module.codec.target.kind == "multi_label"
    assert module.codec.class_names == ["red", "green", "blue"]
    x, y = next(iter(module.val_dataloader()))
    assert y.shape == (len(x), 3)
    red = x[:, 0].mean((1, 2)) > x[:, 0].mean()
    assert torch.equal(red, y[:, 0] == 1), "the labels are those of the images"
    assert "multi-label" in module.loaded.findings.facts["read as"]
    assert "3 labels in train" in module.describe()
    weighted = read(str(pictures), label_column="red,green,blue", class_weights={"red": 2})
    assert weighted.loss_weights == [2, 1, 1]


def test_numbers_are_scaled_by_the_training_split(pictures: Path) -> None:
    with pytest.raises(DataError, match="look like a number to predict.*Set `labels` to numbers"):
        read(str(pictures), label_column="price")
    module = read(str(pictures), label_column="price", labels="numbers", val_fraction=0.25)
    y = torch.cat([y for _, y in module.train_dataloader()])
    assert y.shape == (60, 1)
    assert abs(float(y.mean())) < 1e-4
    assert "to predict: value" in module.describe()
    again = read(str(pictures), label_column="price", labels="numbers", val_fraction=0.25)
    again.load_state_dict(module.state_dict())


def test_a_group_is_never_divided(pictures: Path) -> None:
    module = read(str(pictures), label_column="red", group_column="patient", val_fraction=0.3)
    patient = {row["image_id"]: row["patient"] for row in read_rows(pictures)}
    owners = {split: {patient[Path(place).stem] for place in module.find_places(split)} for split in ("train", "val")}
    assert len(owners["train"]) + len(owners["val"]) == 10
    assert len(owners["val"]) >= 2


def test_a_group_in_two_splits_is_told(pictures: Path) -> None:
    rows = list(csv.reader(pictures.read_text(encoding="utf-8").splitlines()))
    with pictures.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [*rows[0], "split"] if not index else [*row, "val" if index > 60 else "train"]
            for index, row in enumerate(rows)
        )
    module = read(str(pictures), label_column="red", group_column="patient")
    assert [len(module.find_places(split)) for split in ("train", "val")] == [60, 20]
    warnings = "\n".join(module.loaded.findings.warnings)
    assert "1 groups are in train and in val, such as 'p7', so scores on val may be too high" in warnings


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"classes": ["red"]}, "`classes` keeps some of several classes, and the labels are none"),
        ({"balanced_sampling": True}, "`balanced_sampling` needs one class for each sample, and the labels are sets"),
        ({"channels": 0}, "expected `channels` of at least 1, received 0"),
        ({"max_pixels": 0}, "expected `max_pixels` of at least 1, received 0"),
    ],
)
def test_options_that_make_no_sense(pictures: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises((UsageError, ValueError), match=problem):
        read(str(pictures), label_column="red,green,blue", **options)


def test_names_of_folders_are_not_interpreted(tmp_path: Path) -> None:
    """Folders called 1.50 and none are classes of these names, where a table would have a number and no label."""
    make_images(tmp_path / "all", names=("1.50", "none"), per_class=4)
    assert read("all").codec.class_names == ["1.50", "none"]
    with pytest.raises(DataError, match="`labels` to classes"):
        read("all", labels="numbers")


def test_deep_images_are_scaled_alike_in_every_split(tmp_path: Path) -> None:
    """12 bits in a PNG of 16: the range is that of the training images, and stays in the codec."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, level in (("dark", 500), ("light", 2500)):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for index in range(10):
            values = rng.integers(level, level + 1500, (16, 16)).astype(np.uint16)
            values[0, 0], values[0, 1] = 0, 4095
            Image.fromarray(values).save(tmp_path / "deep" / name / f"{index}.png")
    module = read("deep", channels=1)
    assert module.codec.form.intensity == {"uint16": (0.0, 4095.0)}
    x, y = next(iter(module.val_dataloader()))
    assert x.shape[1] == 1
    paths = [Path("deep") / place for place in module.find_places("val")]
    torch.testing.assert_close(module.codec.encode(paths), x)
    levels = module.codec.denormalise(x).mean((1, 2, 3))
    assert bool((levels[y == 1] > 0.6).all())
    assert bool((levels[y == 0] < 0.4).all())
