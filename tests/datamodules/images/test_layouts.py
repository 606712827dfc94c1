"""Layouts of folders and archives of images, as people have them."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightfit.cache import fingerprint
from lightfit.datamodules import DataError
from lightfit.datamodules.images.layouts.listing import Ignored, Listing, describe_ignored, is_worth_a_warning
from lightfit.datamodules.images.layouts.options import ImageOptions
from lightfit.datamodules.images.sources import list_source
from lightfit.datamodules.split_names import find_split
from lightfit.datamodules.splits import SPLITS
from lightfit.datamodules.tables.options import TableOptions
from lightfit.errors import UsageError

SKIP = TableOptions(on_error="skip")


def encode(value: int = 0) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((2, 2, 3), value, np.uint8)).save(data, "PNG")
    return data.getvalue()


PNG = encode()


def put(root: Path, *names: str) -> Path:
    """Write a tiny image under each name; another file where the ending is not that of an image."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(PNG)
    return root


def summarise(listing: Listing) -> dict[str, str]:
    """Return split and label of each image by its name."""
    pairs = zip(listing.splits.tolist(), listing.labels, strict=True)
    return dict(zip(listing.names, (f"{SPLITS[split]} {label}" for split, label in pairs), strict=True))


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            "train",
            "seg_train train_images training_set Train-Set train2017 trainset images_train TrainImages",
        ),
        ("val", "seg_val validation_set val2017 dev_set valid_images valset"),
        ("test", "seg_test test_images testing_data test2017 testset Test.Images"),
    ],
)
def test_names_of_splits_with_what_people_write_around_them(split: str, names: str) -> None:
    assert {name: find_split(name) for name in names.split()} == dict.fromkeys(names.split(), split)
    assert [find_split(name) for name in (f"{split} set", f"{split} split")] == [split, split]


@pytest.mark.parametrize(
    "name", ["trains", "train_test", "test1", "train_cat", "seg_pred", "contest", "images", "2017", "trainee", "devil"]
)
def test_names_that_are_no_splits(name: str) -> None:
    assert find_split(name) is None


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train", "valid"),  # Roboflow, fastai
        ("train", "validation"),  # Keras
        ("Train", "Val"),
        ("training", "dev"),
        ("seg_train/seg_train", "seg_val/seg_val"),  # Intel
        ("train/train", "val/val"),
        ("Dataset/train/images", "Dataset/val/images"),
        ("zip/of/a/training_set/training_set", "zip/of/a/validation set"),
    ],
)
def test_splits_by_folder(tmp_path: Path, train: str, val: str) -> None:
    names = [f"{train}/cat/1.png", f"{train}/dog/2.png", f"{val}/cat/3.png", f"{val}/dog/4.png"]
    listing = list_source(put(tmp_path, *names))
    assert sorted(summarise(listing).values()) == ["train cat", "train dog", "val cat", "val dog"]
    if (train, val) != ("train", "val"):
        said = "\n".join(listing.found)
        assert f"train in '{train.removeprefix('Dataset/').removeprefix('zip/of/a/')}'" in said
        assert ("the images are in the folder 'zip/of/a'" in said) == train.startswith("zip")
    assert not listing.warnings


def test_only_train_and_test(tmp_path: Path) -> None:  # chest X-rays, with capital classes
    put(tmp_path, "chest/train/NORMAL/1.jpeg", "chest/train/PNEUMONIA/2.jpeg", "chest/test/NORMAL/3.jpeg")
    listing = list_source(put(tmp_path, "chest/README.md"))
    assert sorted(summarise(listing).values()) == ["test NORMAL", "train NORMAL", "train PNEUMONIA"]
    assert listing.ignored == [Ignored("chest/README.md", "not an image format")]


@pytest.mark.parametrize("around", ["", "PetImages/", "a/b/c/", "training/"])
def test_classes_in_wrapping_folders(tmp_path: Path, around: str) -> None:
    put(tmp_path, f"{around}Cat/1.png", f"{around}Dog/2.png", "__MACOSX/Cat/._1.png", "readme.txt")
    listing = list_source(tmp_path)
    assert sorted(summarise(listing).values()) == ["train Cat", "train Dog"]
    if around and around != "training/":
        assert listing.found[0] == f"the images are in the folder '{around[:-1]}'"


def test_splits_in_a_folder_that_is_named_as_one(tmp_path: Path) -> None:
    put(tmp_path, "training/train/cat/1.png", "training/train/dog/2.png", "training/test/cat/3.png")
    assert sorted(summarise(list_source(tmp_path)).values()) == ["test cat", "train cat", "train dog"]


def test_a_folder_beside_that_of_the_images(tmp_path: Path) -> None:  # CUB, Stanford dogs, Caltech
    names = ("Images/n02085620-Chihuahua/n02085620_10074.jpg", "Images/n02085782-Japanese_spaniel/n02085782_1039.jpg")
    put(tmp_path, *names, "Annotation/n02085620-Chihuahua/n02085620_10074", "attributes.txt")
    (tmp_path / "Annotation/n02085620-Chihuahua/n02085620_10074").write_text("<annotation>")
    listing = list_source(tmp_path)
    assert list(listing.labels) == ["n02085620-Chihuahua", "n02085782-Japanese_spaniel"]
    assert len(listing.ignored) == 2


def test_unlabelled_images_of_a_split_are_left_out(tmp_path: Path) -> None:
    listing = list_source(put(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/3.png", "seg_pred/4.png"))
    assert sorted(summarise(listing).values()) == ["train cat", "train dog"]
    assert listing.warnings == ["test: left out, as its images (1) are in no class folders"]
    assert Ignored("test/3.png", "test has no class folders") in listing.ignored


def test_a_class_named_train_is_no_split(tmp_path: Path) -> None:
    listing = list_source(put(tmp_path, "bus/1.png", "car/2.png", "train/3.png"))
    assert sorted(listing.labels) == ["bus", "car", "train"]
    assert "the folder 'train' is read as a class" in listing.warnings[0]


def test_a_class_named_test_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path, "quiz/1.png", "exam/2.png", "test/3.png")
    with pytest.raises(DataError, match=r"the folder test is that of a split, .*exam, quiz, .*`class_level` to 1"):
        list_source(tmp_path)
    assert sorted(list_source(tmp_path, ImageOptions(class_level=1)).labels) == ["exam", "quiz", "test"]
    put(tmp_path / "b", "cat/1.png", "dog/2.png", "test/cat/3.png")
    with pytest.raises(DataError, match=r"Move these into a folder train$"):
        list_source(tmp_path / "b")


def test_class_folders_with_splits_in_them(tmp_path: Path) -> None:
    put(tmp_path / "m", *(f"{kind}/{split}/good/1.png" for kind in ("bottle", "cable") for split in ("train", "test")))
    put(tmp_path / "m", "bottle/ground_truth/broken/1.png")
    with pytest.raises(DataError, match=r"2 folders with splits of their own \(bottle, cable\): set `root` to one"):
        list_source(tmp_path / "m")
    put(tmp_path / "b", "bottle/train/good/1.png", "bottle/test/good/2.png", "bottle/test/broken/3.png")  # MVTec
    assert sorted(summarise(list_source(tmp_path / "b")).values()) == ["test broken", "test good", "train good"]


def test_splits_within_class_folders(tmp_path: Path) -> None:
    names = [f"{kind}/{split}/1.png" for kind in ("cat", "dog") for split in ("train", "Test")]
    listing = list_source(put(tmp_path, *names))
    assert sorted(summarise(listing).values()) == ["test cat", "test dog", "train cat", "train dog"]
    assert listing.found == ["splits by the folders within those of the classes, <class>/<split>/*.jpg"]


def test_a_folder_called_images_is_no_class(tmp_path: Path) -> None:
    put(tmp_path / "a", "train/images/1.jpg", "train/labels/1.txt", "valid/images/2.jpg")  # of a detector
    with pytest.raises(DataError, match=r"no images to train on in class folders: 1 image is in none, such as train/i"):
        list_source(tmp_path / "a")
    put(tmp_path / "b", "train/n1/images/1.jpg", "train/n2/images/2.jpg", "val/images/3.jpg")  # Tiny ImageNet
    listing = list_source(tmp_path / "b")
    assert sorted(summarise(listing).values()) == ["train n1", "train n2"]
    assert listing.warnings == ["val: left out, as its images (1) are in no class folders"]


def test_classes_that_would_be_splits(tmp_path: Path) -> None:
    put(tmp_path, "train/val/1.png", "train/train/2.png", "test/val/3.png")
    with pytest.raises(DataError, match=r"would be train, val, which are names of splits.*`class_level`"):
        list_source(tmp_path)


@pytest.mark.parametrize(
    ("level", "labels"), [(1, ["animal", "animal", "tool"]), (2, ["cat", "dog", "saw"]), (-1, ["cat", "dog", "saw"])]
)
@pytest.mark.parametrize("around", ["", "train/"])
def test_the_level_of_the_classes(tmp_path: Path, level: int, labels: list[str], around: str) -> None:
    put(tmp_path, *(f"{around}{name}.png" for name in ("animal/cat/1", "animal/dog/2", "tool/saw/3")))
    listing = list_source(tmp_path, ImageOptions(class_level=level))
    assert sorted(listing.labels) == labels
    assert not listing.warnings
    assert list_source(tmp_path).labels == ["animal", "animal", "tool"]
    assert "set `class_level` to 2" in list_source(tmp_path).found[-1]


def test_levels_that_are_mixed_up(tmp_path: Path) -> None:
    put(tmp_path, "siteA/cat/1.png", "siteA/dog/2.png", "siteB/cat/3.png", "siteB/dog/4.png")
    listing = list_source(tmp_path)
    assert sorted(set(listing.labels)) == ["siteA", "siteB"]
    assert listing.warnings == [
        "the folders 'siteA' and 'siteB', which are read as classes, hold folders of the same names, cat, dog: if "
        "these are the classes, set `class_level` to 2"
    ]
    put(tmp_path, "siteC/5.png")
    with pytest.raises(DataError, match=r"1 image of .* has no label: no folder for `class_level` 2: siteC/5.png"):
        list_source(tmp_path, ImageOptions(class_level=2))
    listing = list_source(tmp_path, ImageOptions(class_level=2, table=SKIP))
    assert (sorted(set(listing.labels)), listing.skipped) == (
        ["cat", "dog"],
        ["siteC/5.png: no folder for `class_level` 2"],
    )
    with pytest.raises(ValueError, match="expected `class_level` 1 or more, or -1 or less, received 0"):
        ImageOptions(class_level=0)


def test_images_without_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "cat.1.png", "dog.2.png")
    with pytest.raises(
        DataError, match=r"no images to train on in class folders: 2 .*cat\.1\.png; expected.*`label_from`.*table"
    ):
        list_source(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        (r"(cat|dog)\.\d+", ["train/cat.0.jpg", "train/dog.0.jpg"], ["train cat", "train dog"]),
        (r"^(.+)_\d+", ["images/Abyssinian_100.jpg", "images/great_pyrenees_1.jpg"], ["Abyssinian", "great_pyrenees"]),
        (r"cat|dog", ["dogs-vs-cats/cat1.jpg", "dogs-vs-cats/dog1.jpg"], ["train cat", "train dog"]),
        (r"([a-z]+)/\d+\.png$", ["a/cat/1.png", "b/dog/2.png"], ["train cat", "train dog"]),
    ],
)
def test_labels_in_names(tmp_path: Path, pattern: str, names: list[str], expected: list[str]) -> None:
    listing = list_source(put(tmp_path, *names), ImageOptions(label_from=pattern))
    assert [label.split()[-1] for label in summarise(listing).values()] == [label.split()[-1] for label in expected]
    assert f"labels by `label_from` '{pattern}'" in listing.found[-1]


def test_names_without_a_label(tmp_path: Path) -> None:
    put(tmp_path, "train/cat.0.jpg", "train/dog.0.jpg", "train/what.jpg", "test/1.jpg", "val/cat.9.jpg")
    options: dict[str, Any] = {"label_from": r"(cat|dog)\."}
    with pytest.raises(DataError, match=r"1 image of .*`label_from`.*: train/what\.jpg\. Correct.*`on_error` to skip"):
        list_source(tmp_path, ImageOptions(**options))
    listing = list_source(tmp_path, ImageOptions(**options, table=SKIP))
    assert sorted(summarise(listing).values()) == ["train cat", "train dog", "val cat"]
    assert listing.skipped == ["train/what.jpg: does not match `label_from` '(cat|dog)\\.'"]
    assert "test: left out, as none of its images (1) matches `label_from`" in listing.warnings
    with pytest.raises(DataError, match="none of the 3 images of .* matches `label_from` 'cow'"):
        list_source(tmp_path, ImageOptions(label_from="cow"))
    with pytest.raises(ValueError, match=r"expected `label_from` as a regular expression, received '\(cat'"):
        ImageOptions(label_from="(cat")
    with pytest.raises(UsageError, match="`label_from` and `class_level` both say"):
        list_source(tmp_path, ImageOptions(label_from="cat", class_level=1))


@pytest.mark.parametrize("argument", ["path_column", "label_column", "group_column", "image_dir"])
def test_what_only_a_table_has(tmp_path: Path, argument: str) -> None:
    put(tmp_path, "cat/1.png", "dog/2.png")
    with pytest.raises(UsageError, match=f"`{argument}` is for tables"):
        list_source(tmp_path, ImageOptions(**{argument: "x"}))  # type: ignore[arg-type]


def test_links_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "cat/self").symlink_to(".")
    (tmp_path / "cat/up").symlink_to("..")
    (tmp_path / "again").symlink_to("dog")
    (tmp_path / "cat/loop.png").symlink_to("loop.png")
    (tmp_path / "cat/linked.png").symlink_to(tmp_path / "dog/2.png")
    listing = list_source(tmp_path, ImageOptions(table=SKIP))
    assert list(listing.names) == ["cat/1.png", "cat/linked.png", "cat/loop.png", "dog/2.png"]
    assert [item for item in listing.ignored if "link" in item.reason] == [
        Ignored("again", "a link to dog, which is listed already"),
        Ignored("cat/self", "a link to cat, which is listed already"),
        Ignored("cat/up", "a link to the folder around it, which is listed already"),
    ]
    assert len(fingerprint(tmp_path)) == 3, "without the link to itself"


def test_a_linked_folder_elsewhere_is_entered(tmp_path: Path) -> None:
    put(tmp_path, "far/cat/1.png", "far/dog/2.png", "here/readme.txt")
    (tmp_path / "here/train").symlink_to(tmp_path / "far")
    assert sorted(summarise(list_source(tmp_path / "here")).values()) == ["train cat", "train dog"]


def test_images_without_an_ending_or_with_a_new_one(tmp_path: Path) -> None:
    put(tmp_path, "cat/one", "cat/2.jfif", "cat/3.avif", "dog/4.jp2", "dog/5.GIF", "dog/6.heic", "dog/notes.csv")
    (tmp_path / "dog/LICENSE").write_text("free")
    listing = list_source(tmp_path)
    assert len(listing.names) == 6
    assert [item.name for item in listing.ignored] == ["dog/LICENSE", "dog/notes.csv"]


def test_what_is_ignored_is_counted_by_kind(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/2.png", *(f"cat/{index}.xyz" for index in range(11)), ".git/a.png")
    listing = list_source(tmp_path)
    line = "12 files are ignored: 11 .xyz (not an image format), such as cat/0.xyz; 1 .png (hidden), such as .git/a.png"
    assert describe_ignored(listing.ignored) == line
    assert is_worth_a_warning(listing.ignored)
    assert listing.warnings == [line]
    (tmp_path / "cat/0.xyz").unlink()
    listing = list_source(tmp_path)
    assert (listing.warnings, listing.found[-1][:20]) == ([], "11 files are ignored")


NAMES = ("set/train/cat/1.png", "set/train/dog/2.png", "set/test/cat/3.png")


def add_all(archive: tarfile.TarFile, names: tuple[str, ...] = NAMES, prefix: str = "") -> None:
    for index, name in enumerate(names):
        data = encode(index)
        info = tarfile.TarInfo(f"{prefix}{name}")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip", ".bin"])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_archives(tmp_path: Path, ending: str, prefix: str) -> None:
    path = tmp_path / f"photos{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for index, name in enumerate(NAMES):
                archive.writestr(name, encode(index))
    else:
        kind = {"gz": "gz", "tgz": "gz", "bz2": "bz2", "xz": "xz"}.get(ending.rpartition(".")[2], "")
        with tarfile.open(path, f"w:{kind}") as archive:  # type: ignore[call-overload]
            add_all(archive, prefix=prefix)
    listing = list_source(path, data_dir=tmp_path / "data")
    assert summarise(listing) == dict(zip(sorted(NAMES), ["test cat", "train cat", "train dog"], strict=True))
    files = pickle.loads(pickle.dumps(listing.files))  # as a worker gets it
    assert [files.read(name) for name in NAMES] == [encode(index) for index in range(3)]
    again = list_source(path, data_dir=tmp_path / "data")
    assert again.files.read(NAMES[2]) == encode(2)
    kept = [file.name for file in (tmp_path / "data/cache").glob("*.tar")] if (tmp_path / "data").exists() else []
    assert len(kept) == (ending in (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def a_link(archive: tarfile.TarFile, target: str, kind: bytes) -> None:
    info = tarfile.TarInfo("cat/link.png")
    info.type, info.linkname = kind, target
    archive.addfile(info)


@pytest.mark.parametrize(
    "add",
    [
        lambda archive: add_all(archive, ("../evil.png",)),
        lambda archive: add_all(archive, ("cat/../../evil.png",)),
        lambda archive: add_all(archive, ("/etc/evil.png",)),
        lambda archive: add_all(archive, ("cat\\..\\..\\evil.png",)),
        lambda archive: a_link(archive, "../../secret.png", tarfile.SYMTYPE),
        lambda archive: a_link(archive, "/etc/passwd", tarfile.SYMTYPE),
        lambda archive: a_link(archive, "../secret.png", tarfile.LNKTYPE),
    ],
)
@pytest.mark.parametrize("kind", ["", "gz"])
def test_a_tar_that_leaves_its_folder(tmp_path: Path, add: Callable[[tarfile.TarFile], None], kind: str) -> None:
    path = tmp_path / "evil.tar"
    with tarfile.open(path, f"w:{kind}") as archive:  # type: ignore[call-overload]
        add_all(archive)
        add(archive)
    with pytest.raises(DataError, match=r"evil.tar' is refused: .* leaves its folder. An archive may only hold files"):
        list_source(path, data_dir=tmp_path / "data")
    assert not (tmp_path / "evil.png").exists()


def test_a_zip_that_leaves_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("cat/../../1.png", PNG)
    with pytest.raises(DataError, match=r"is refused: 'cat/../../1.png' leaves its folder"):
        list_source(tmp_path / "evil.zip")


def test_links_within_a_tar_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add_all(archive, ("cat/1.png", "dog/2.png"))
        a_link(archive, "../dog/2.png", tarfile.SYMTYPE)
    listing = list_source(tmp_path / "a.tar")
    assert list(listing.names) == ["cat/1.png", "dog/2.png"]
    assert Ignored("cat/link.png", "a link or device within the archive") in listing.ignored


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_refused(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("cat/1.png")
        info.size = 2**23
        archive.addfile(info, io.BytesIO(bytes(2**23)))
    (tmp_path / "bomb.tar.x").write_bytes(compress(data.getvalue()))
    with pytest.raises(DataError, match="is refused: it would take more than .* 100 times its own size"):
        list_source(tmp_path / "bomb.tar.x", data_dir=tmp_path / "data")
    assert not list((tmp_path / "data/cache").glob("*archive*.tar"))


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_archives_that_are_cut_off(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    with tarfile.open(path, f"w:{ending.removeprefix('.tar').removeprefix('.')}") as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("cat/1.png")
        data = os.urandom(5000)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="is (damaged or )?cut off"):
        list_source(path, data_dir=tmp_path / "data")
    assert not list((tmp_path / "data").rglob("archive*.tar"))


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf'\x1c")
    with pytest.raises(DataError, match="is a 7z archive, which is not read: unpack it"):
        list_source(tmp_path / "a.7z")
    put(tmp_path / "packed", "train.zip", "test.zip")
    with pytest.raises(DataError, match=r"Unpack test.zip, train.zip, or set `root` to one of them"):
        list_source(tmp_path / "packed")
