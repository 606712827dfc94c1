"""Image files: layouts, formats, and errors."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as F

from lightfit.cache import Arrays, cached
from lightfit.datamodules import Classes, DataError, ImageCodec
from lightfit.datamodules.images.decoding import decode, read_image_size
from lightfit.datamodules.images.layouts.files import ZipFiles, open_files
from lightfit.datamodules.images.layouts.folders import list_images
from lightfit.datamodules.images.store import read_images
from lightfit.datamodules.splits import SPLITS

RED = (250, 20, 20)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, format=format, **options)
    return data.getvalue()


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).mkdir() if name.endswith("/") else (root / name).write_bytes(b"x")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "LA", "1", "I;16"])
def test_every_format_becomes_rgb(format: str, mode: str) -> None:
    image = Image.new("RGB", (6, 4), RED)
    image = Image.fromarray(np.full((4, 6), 40_000, np.uint16)) if mode == "I;16" else image.convert(mode)
    try:
        data = encoded(image, format, **({"quality": 100} if format == "JPEG" else {}))
    except (OSError, ValueError):
        pytest.skip(f"{format} knows no {mode}")
    pixels = decode(data)
    assert (pixels.dtype, tuple(pixels.shape)) == (torch.uint8, (3, 4, 6))
    expected = torch.tensor((156, 156, 156) if mode == "I;16" else image.convert("RGB").getpixel((2, 2)))
    if (mode, format) != ("I;16", "WEBP"):  # written by Pillow with 16 bits cut off
        assert (pixels[:, 2, 2].long() - expected).abs().max() <= 8
    assert read_image_size(data) == (4, 6)


def test_pixels_are_those_of_pillow() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8))
    np.testing.assert_array_equal(decode(encoded(image, "PNG")).permute(1, 2, 0).numpy(), np.asarray(image))


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_exif_turns_the_image_upright(format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image = Image.new("RGB", (6, 4), RED)
    assert tuple(decode(encoded(image, format, exif=exif)).shape) == (3, 6, 4)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_file_that_is_cut_off(format: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(image, format)
    with pytest.raises(DataError, match="cut off or damaged|not an image"):
        decode(data[: len(data) // 2])


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the file is empty \(0 bytes\)"):
        decode(b"")
    with pytest.raises(DataError, match="not an image, or cut off: .* that begins with b'this is '"):
        decode(b"this is a text")
    (tmp_path / "a.jpg").write_bytes(b"text")
    colours: Any = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    codec = ImageCodec(target=Classes(["a", "b"]), image_size=(8, 8), border=1.0, **colours)
    with pytest.raises(DataError, match="a.jpg: not an image"):
        codec.encode([tmp_path / "a.jpg"])
    with pytest.raises(FileNotFoundError, match="no file at 'nope.jpg'"):
        codec.encode(["nope.jpg"])
    with pytest.raises(DataError, match=r"expected an image as a path, or as a tensor .* uint8, received Image"):
        codec.encode([Image.new("L", (8, 8))])


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_small_file_with_a_huge_image_is_refused(side: int) -> None:
    data = encoded(Image.new("1", (side, side)), "PNG")
    assert len(data) < 100_000
    with pytest.raises(DataError, match=f"({side**2:,} pixels|{side:,} x {side:,} pixels), more than the"):
        decode(data)


def test_layout_with_splits(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/a/deep/er/2.PNG", "train/b/3.WebP", "val/a/4.bmp", "val/b/5.jpeg")
    touch(tmp_path, "train/a/notes.txt", "train/.hidden/1.jpg", "train/a/._1.jpg", "other/a/6.jpg", "train/7.jpg")
    listing = list_images(open_files(tmp_path), "here")
    assert listing.names == ["train/a/1.jpg", "train/a/deep/er/2.PNG", "train/b/3.WebP", "val/a/4.bmp", "val/b/5.jpeg"]
    assert [SPLITS[split] for split in listing.splits] == ["train", "train", "train", "val", "val"]
    assert listing.labels == ["a", "a", "b", "a", "b"]
    assert [tuple(item) for item in listing.ignored] == [
        ("other/a/6.jpg", "outside of the splits and classes"),
        ("train/.hidden/1.jpg", "hidden"),
        ("train/7.jpg", "outside of the splits and classes"),
        ("train/a/._1.jpg", "hidden"),
        ("train/a/notes.txt", "not an image format"),
    ]


def test_layout_of_classes_alone(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/2.jpg")
    listing = list_images(open_files(tmp_path), "here")
    assert (listing.splits.tolist(), listing.labels) == ([0, 0], ["cat", "dog"])


@pytest.mark.parametrize("around", ["", "archive/"])
def test_zip(tmp_path: Path, around: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("train/", "train/a/", "train/a/1.jpg", "train/b/2.jpg", "test/a/3.jpg"):
            archive.writestr(f"{around}{name}", b"" if name.endswith("/") else name.encode())
        archive.writestr("__MACOSX/train/a/1.jpg", b"")
    files = open_files(tmp_path / "a.zip")
    listing = list_images(files, "a.zip")
    assert listing.labels == ["a", "a", "b"]
    assert [SPLITS[split] for split in listing.splits] == ["test", "train", "train"]
    again: ZipFiles = pickle.loads(pickle.dumps(files))  # as a worker gets it
    assert again.read(listing.names[1]) == b"train/a/1.jpg"


def test_damaged_zips(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="'.*a.zip' is not a zip archive"):
        open_files(tmp_path / "a.zip").names()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("train/a/1.jpg", b"0123456789")
    data = bytearray((tmp_path / "b.zip").read_bytes())
    data[data.index(b"0123456789")] = 0
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(DataError, match="damaged within the archive"):
        open_files(tmp_path / "b.zip").read("train/a/1.jpg")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "no images to train on.*it holds: nothing"),
        (["train/1.jpg"], "no images to train on"),
        (["val/a/1.jpg", "val/b/1.jpg", "train/"], "no images to train on.*it holds: train, val"),
        (["train/a/1.jpg", "train/b/"], "the class 'b' has no image in train of 'here'"),
        (["train/a/1.jpg", "train/b/readme.txt"], "the class 'b' has no image in train"),
        (["train/a/1.jpg", "dev/a/1.jpg", "val/a/1.jpg"], "the folders dev, val of 'here' are all val; expected one"),
        (["train/a/1.jpg", "train/b/1.jpg", "val/a/"], "the class 'a' has no image in val"),
    ],
)
def test_layouts_that_are_wrong(tmp_path: Path, names: list[str], problem: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=problem):
        list_images(open_files(tmp_path), "here")


def test_splits_by_any_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "Training/a/1.jpg", "Training/dev/1.jpg", "valid/a/1.jpg", "Testing/a/1.jpg")
    listing = list_images(open_files(tmp_path), "here")
    assert [SPLITS[split] for split in listing.splits] == ["test", "train", "train", "val"]
    assert listing.labels == ["a", "a", "dev", "a"]


def test_pixels_are_kept_where_they_fit(tmp_path: Path) -> None:
    for index, size in enumerate([(8, 6), (70, 50)]):
        Image.new("RGB", size, RED).save(tmp_path / f"{index}.png")
    (tmp_path / "2.png").write_bytes(b"")
    names = ["0.png", "1.png", "2.png"]
    num_bytes = 3 * (8 * 6 + 70 * 50)

    def read(names: list[str], limit: int) -> Arrays:
        files = open_files(tmp_path)
        return cached(
            tmp_path / "cache",
            "x",
            [names, limit],
            lambda grow: read_images(files, names, cache_bytes=limit, grow=grow),
        )

    for limit, kept in ((num_bytes, num_bytes), (num_bytes - 1, 0)):
        found = read(names, limit)
        assert found["sizes"].tolist() == [[6, 8], [50, 70], [0, 0]]
        assert len(found["pixels"]) == kept
        assert b"the file is empty" in found["problems"].tobytes()
    small = read(names[:1], 0)
    assert len(small["pixels"]) == 3 * 8 * 6, "small images are always kept"


def test_large_images_are_read_in_order_and_by_threads(tmp_path: Path) -> None:
    names = [f"{index:02}.jpg" for index in range(40)]
    for index, name in enumerate(names):
        Image.new("RGB", (200, 160 + index), RED).save(tmp_path / name)
    files = open_files(tmp_path)
    found = cached(tmp_path / "c", "x", [], lambda grow: read_images(files, names, cache_bytes=2**30, grow=grow))
    assert found["sizes"].tolist() == [[160 + index, 200] for index in range(40)]
    assert len(found["pixels"]) == 3 * 200 * sum(160 + index for index in range(40))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_as_pillow_turns_it(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    x = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(x), "JPEG", exif=exif, quality=95)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)
    np.testing.assert_allclose(decode(data).numpy().astype(int), expected.astype(int), atol=2)


def test_a_reduced_jpeg_is_nearly_what_the_whole_one_gives() -> None:
    rows, columns = np.mgrid[0:600, 0:800]
    x = np.stack([128 + 100 * np.sin(rows / 9) * np.cos(columns / 7), columns / 4, rows / 3], 2).astype(np.uint8)
    data = encoded(Image.fromarray(x), "JPEG", quality=90)
    whole, reduced = decode(data), decode(data, at_least=150)
    assert whole.shape == (3, 600, 800)
    assert reduced.shape == (3, 150, 200)
    assert decode(data, at_least=151).shape == (3, 225, 300)
    assert decode(data, at_least=400).shape == whole.shape
    small = [F.resize(image, [75, 100], antialias=True).float() for image in (whole, decode(data, at_least=150))]
    assert (small[0] - small[1]).abs().mean() < 1.0, "of 255: what README and docstrings state"
