"""ImageDataModule: splits, classes, weights, order, and malformed data."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import make_images
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from lightfit.datamodules import DataError, ImageDataModule, ImageTransforms
from lightfit.datamodules.images.batches import SingleBatches, StackedBatches
from lightfit.scripts.inference.inputs.images import ImageInputs

SMALL = ImageTransforms(size=16)


def data(root: str | Path = "images", **options: object) -> ImageDataModule:
    module = ImageDataModule(str(root), **{"transforms": SMALL, "batch_size": 7, "num_workers": 0, **options})  # type: ignore[arg-type]
    module.setup()
    return module


def labels(loader: DataLoader) -> list[int]:
    return [label for _, y in loader for label in y.tolist()]


def test_a_folder_of_classes(images: Path) -> None:
    module = data()
    assert module.codec.class_names == ["bright", "dark"]
    assert (module.codec.num_classes, module.codec.image_size) == (2, (16, 16))
    assert sorted(labels(module.train_dataloader())) == [0] * 16 + [1] * 16
    assert sorted(labels(module.val_dataloader())) == [0] * 4 + [1] * 4
    x, y = next(iter(module.train_dataloader()))
    assert (x.dtype, tuple(x.shape), y.dtype) == (torch.float32, (7, 3, 16, 16), torch.int64)
    brightness = module.codec.denormalise(x).mean((1, 2, 3))
    assert brightness[y == 0].min() > brightness[y == 1].max(), "each image has its own class"
    with pytest.raises(ValueError, match="no test split"):
        module.test_dataloader()
    described = module.describe()
    assert "32 train, 8 val images; 2 classes in train: bright 16, dark 16; 20 x 20 to 39 x 30 pixels" in described
    assert "the net gets 16 x 16" in described


def test_given_splits_and_a_zip(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        make_images(tmp_path / "all" / split, per_class=count, first={"train": 0, "val": 50, "test": 90}[split])
    module = data("all")
    assert [len(split) for split in (module.train_data, module.val_data, module.test_data)] == [12, 4, 6]  # type: ignore[arg-type]
    shutil.make_archive("packed", "zip", "all")
    again = data("packed.zip")
    for mine, other in zip(module.test_dataloader(), again.test_dataloader(), strict=True):
        torch.testing.assert_close(mine, other)


def test_identical_files_stay_together(images: Path) -> None:
    for index in range(8):
        shutil.copy("images/bright/00.png", f"images/bright/copy{index}.png")
    module = data(val_fraction=0.3)
    same = [
        torch.equal(module.train_data.images[row], module.train_data.images[0])  # type: ignore[attr-defined]
        for row in module.val_data.rows.tolist()  # type: ignore[attr-defined]
    ]
    assert sum(same) in (0, 9)


def test_kept_decoded_or_not_gives_the_same(images: Path) -> None:
    whole, none = data(), data(cache_bytes=0, num_workers=2)
    big = [Image.new("RGB", (200, 100), (9, 9, 9)).save(f"images/{name}/big.png") for name in ("bright", "dark")]
    assert len(big) == 2
    whole, none = data(), data(cache_bytes=0, num_workers=2)
    assert "decoded once; 0 workers" in whole.describe()
    assert "decoded when needed; 2 workers" in none.describe()
    for one, other in zip(whole.train_dataloader(), none.train_dataloader(), strict=True):
        torch.testing.assert_close(one, other)
    assert list(Path("data/cache").glob("images-*/pixels.npy"))
    assert not list(Path("data/cache").glob("*.part"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*use of fork")
@pytest.mark.parametrize(
    "transforms", [SMALL, ImageTransforms(size=16, train=[v2.RandomCrop(16), v2.ColorJitter(0.5)])]
)
def test_the_number_of_workers_changes_nothing(images: Path, transforms: ImageTransforms) -> None:
    epochs = [list(data(num_workers=count, transforms=transforms).train_dataloader()) for count in (0, 1, 2)]
    for epoch in epochs[1:]:
        for one, other in zip(epochs[0], epoch, strict=True):
            torch.testing.assert_close(one, other)


def test_images_of_one_size_are_one_tensor(tmp_path: Path) -> None:
    make_images(tmp_path / "same", size=lambda index: (20, 24))
    module = data("same", transforms=ImageTransforms(size=None))
    assert isinstance(module.train_data, StackedBatches)
    assert module.codec.image_size == (24, 20)
    assert next(iter(module.train_dataloader()))[0].shape == (7, 3, 24, 20)
    own = data("same", transforms=ImageTransforms(size=None, train=[v2.RandomInvert()]))
    assert isinstance(own.train_data, SingleBatches), "custom transforms process one image at a time"
    make_images(tmp_path / "other")
    with pytest.raises(DataError, match="expected images of one size, since no size is set"):
        data("other", transforms=ImageTransforms(size=None))


def test_only_some_classes(images: Path) -> None:
    make_images(Path("images"), names=("grey",))
    assert data().codec.class_names == ["bright", "dark", "grey"]
    assert data(classes=["grey", "dark"]).codec.class_names == ["dark", "grey"]
    with pytest.raises(LookupError, match=r"`classes` names the class 'drak', .*; expected one of: dark"):
        data(classes=["drak", "grey"])


def uneven() -> None:
    make_images(Path("images"), per_class=30, first=100, names=("dark",))


def test_weights_of_classes(images: Path) -> None:
    uneven()
    assert data().loss_weights is None
    balanced = data(class_weights="balanced")
    counts = torch.bincount(torch.tensor(labels(balanced.train_dataloader())))
    assert counts.tolist() == [16, 40]
    assert balanced.loss_weights == pytest.approx([56 / 32, 56 / 80])
    own = data(class_weights={"bright": 3})
    assert own.loss_weights == pytest.approx([3 * 56 / 88, 56 / 88]), "1 on the average"
    with pytest.raises(LookupError, match="`class_weights` names the class 'brihgt'.*bright"):
        data(class_weights={"brihgt": 3})
    with pytest.raises(ValueError, match="`class_weights` above 0, received -1 for 'dark'"):
        data(class_weights={"dark": -1})


def test_balanced_sampling(images: Path) -> None:
    uneven()
    module = data(balanced_sampling=True)
    first, again = labels(module.train_dataloader()), labels(module.train_dataloader())
    assert first == again
    assert len(first) == 56
    assert 18 <= sum(first) <= 38, "as often as any other, on average"
    assert sorted(labels(module.val_dataloader())) == [0] * 4 + [1] * 10, "evaluation sees each once"


def test_the_digits() -> None:
    module = data("digits", transforms=ImageTransforms(size=None))
    assert [len(split) for split in (module.train_data, module.val_data, module.test_data)] == [1151, 287, 359]  # type: ignore[arg-type]
    assert module.codec.class_names == [str(index) for index in range(10)]
    other = data("digits", transforms=ImageTransforms(size=None), seed=5)
    assert torch.equal(module.test_data.rows, other.test_data.rows), "the test split is always the same"  # type: ignore[union-attr]
    assert not torch.equal(module.val_data.rows, other.val_data.rows)  # type: ignore[attr-defined]


def test_encode_as_in_validation(images: Path) -> None:
    module = data(batch_size=8)
    x, _ = next(iter(module.val_dataloader()))
    files = sorted(Path("images").rglob("*.png"))
    paths = [files[row] for row in module.val_data.rows.tolist()]  # type: ignore[attr-defined]
    torch.testing.assert_close(module.codec.encode(paths), x)


def test_inputs(images: Path) -> None:
    read = ImageInputs().read
    assert read(["images/dark/03.png", "images/bright"])[:2] == [
        Path("images/dark/03.png"),
        Path("images/bright/00.png"),
    ]
    with pytest.raises(FileNotFoundError, match="no image or folder at 'nope'"):
        read(["nope"])
    Path("empty").mkdir()
    with pytest.raises(DataError, match="'empty' holds no images"):
        read(["empty"])
    with pytest.raises(LookupError, match="images have no columns, received --column a"):
        read(["images"], "a")


def write(name: str, content: bytes = b"") -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content)


def cut(name: str) -> None:
    Path(name).write_bytes(Path(name).read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda: write("images/dark/a.jpg"), r"1 of 41 images .* The first: dark/a.jpg: the file is empty \(0 bytes\)"),
        (
            lambda: write("images/dark/a.jpg", b"hello"),
            "dark/a.jpg: not an image, or .* that begins with b'hello'",
        ),
        (lambda: cut("images/dark/07.png"), "dark/07.png: cut off or damaged"),
        (lambda: shutil.rmtree("images/dark"), "expected at least two classes .*received one: 'bright'"),
        (lambda: Path("images/none").mkdir(), "the class 'none' has no image in train"),
    ],
)
def test_folders_that_are_wrong(images: Path, damage: Callable[[], None], problem: str) -> None:
    damage()
    with pytest.raises(DataError, match=problem):
        data()


def test_a_class_of_one_image(images: Path) -> None:
    """It is learned, also when classes are drawn equally often, and cannot be evaluated, which is said."""
    write("images/one/a.png", Path("images/dark/00.png").read_bytes())
    module = data(balanced_sampling=True)
    warnings = module.loaded.findings.warnings
    assert any(
        "1 of 3 classes have no images in val, such as 'one', so they are not evaluated" in own for own in warnings
    )
    assert any("1 images occur with different labels, such as dark/00.png = one/a.png" in own for own in warnings)
    assert 2 in labels(module.train_dataloader())


def test_duplicates_are_named_and_dropped(tmp_path: Path) -> None:
    """Identical images within train, of two classes, and in two splits; those of test stay."""
    make_images(tmp_path / "all" / "train", per_class=8)
    make_images(tmp_path / "all" / "test", per_class=8, size=lambda index: (30, 31 + index))
    shutil.copy("all/train/dark/00.png", "all/train/dark/again.png")
    shutil.copy("all/train/dark/01.png", "all/train/bright/wrong.png")
    shutil.copy("all/train/dark/02.png", "all/test/dark/leak.png")
    kept = data("all").loaded
    assert "1 of 17 images of test are in train too, such as test/dark/leak.png" in "\n".join(kept.findings.warnings)
    assert "3 of 35 images repeat another one" in kept.findings.facts["duplicates"]
    module = data("all", on_duplicate="drop")
    places = [*module.find_places("train"), *module.find_places("val")]
    assert len(places) == 18 - 1 - 2 - 1
    assert not {"train/dark/again.png", "train/dark/01.png", "train/bright/wrong.png", "train/dark/02.png"} & set(
        places
    )
    assert len(module.find_places("test")) == 17


@pytest.mark.parametrize(
    ("moved", "problem"),
    [
        ("train/dark", "the label 'dark' was never seen in training|at least two classes"),
        ("train", "no images to train on.*it holds: val"),
    ],
)
def test_splits_that_are_wrong(tmp_path: Path, moved: str, problem: str) -> None:
    for split in ("train", "val"):
        make_images(tmp_path / "all" / split, per_class=3, names=("bright", "dark", "grey"))
    (tmp_path / "all" / moved).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=problem):
        data("all")


def test_what_cannot_be_read_is_skipped_and_listed(images: Path) -> None:
    write("images/dark/a.jpg")
    cut("images/dark/07.png")
    module = data(on_error="skip")
    assert len(module.train_data) + len(module.val_data) == 39
    assert "2 images that cannot be read skipped" in module.describe()
    assert module.remarks({})[0] == "2 images skipped:"
    assert "dark/07.png: cut off" in module.remarks({})[1]
    assert "dark/a.jpg: the file is empty" in module.remarks({})[2]


def test_sources_that_are_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder or zip at 'nope'.*names digits, cifar10, fashion_mnist"):
        data("nope")
    with pytest.raises(LookupError, match="which images"):
        data("")


def test_a_changed_folder_is_read_again(images: Path) -> None:
    assert len(data().train_data) == 32
    make_images(Path("images"), per_class=5, first=70)
    assert len(data().train_data) == 40
