"""Photographs are decoded once, and kept at the size that the transforms need."""

import errno
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_images
from PIL import Image

from lightfit.cache import map_array
from lightfit.datamodules import DataError, ImageDataModule, ImageTransforms
from lightfit.datamodules.images import image_set, reducing
from lightfit.datamodules.images.batches import SingleBatches, StackedBatches
from lightfit.datamodules.images.image_set import limit_bytes, read_listed, with_form
from lightfit.datamodules.images.pixels.pixel_format import PixelFormat
from lightfit.datamodules.images.reducing import load_photo, needed_side
from lightfit.datamodules.images.sources import list_source
from lightfit.datamodules.images.store import DecodedImages, EncodedImages
from lightfit.datamodules.images.transforms import fit_to_size

SIZE = ImageTransforms(size=32)  # evaluation resizes to 37 pixels, so that 93 are kept


def make_photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """Return noise whose spectrum falls with the frequency as that of photographs does."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(height, width, 3)), axes=(0, 1))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])[..., None]
    x = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / max(height, width)), s=(height, width), axes=(0, 1))
    return Image.fromarray((128 + 55 * x / x.std()).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, orientation: int = 1) -> bytes:
    options: dict[str, Any] = {"quality": 92} if kind == "JPEG" else {}
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


@pytest.fixture
def photos() -> Path:
    """Write photographs of several sizes, of two classes."""
    for index, (height, width) in enumerate([(300, 400), (401, 203), (150, 150), (90, 333), (256, 192), (64, 40)]):
        for label in ("a", "b"):
            for kind in ("JPEG", "PNG"):
                path = Path("photos") / label / f"{index}.{kind.lower()}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(make_photo(height, width, seed=index + 10 * (label == "b")), kind))
    return Path("photos")


def data(root: Path, **options: Any) -> ImageDataModule:
    options = {"transforms": SIZE, "batch_size": 5, "num_workers": 0, "val_fraction": 0.5, **options}
    module = ImageDataModule(str(root), **options)
    module.setup()
    return module


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["crop", "pad", "squish"])
@pytest.mark.parametrize(
    ("height", "width", "kind", "orientation"),
    [
        (300, 400, "JPEG", 1),
        (803, 603, "JPEG", 6),
        (331, 701, "JPEG", 3),
        (900, 200, "PNG", 1),
        (161, 161, "JPEG", 1),
        (222, 333, "PNG", 1),
        (1000, 1500, "JPEG", 8),
    ],
)
def test_a_reduced_photograph_is_evaluated_as_the_full_one(
    height: int, width: int, kind: str, orientation: int, resize: Any
) -> None:
    encoded = encode(make_photo(height, width), kind, orientation)
    border = 37 / 32 if resize == "crop" else 1.0
    full, reduced = (load_photo(encoded, side=side) for side in (0, needed_side((32, 32), border=border)))
    assert full.full_size == reduced.full_size == full.pixels.shape[1:]
    assert min(reduced.pixels.shape[1:]) == (93 if resize == "crop" else 80)
    ours, expected = (
        fit_to_size(photo.pixels, (32, 32), border=border, resize=resize, full_size=photo.full_size).float()
        for photo in (reduced, full)
    )
    assert (ours - expected).abs().mean() < 1.0, "of 255: what the docstrings state"
    assert (ours - expected).mean().abs() < 0.5, "neither brighter nor darker"


def test_images_that_are_small_are_not_reduced() -> None:
    for height, width, kept in ((64, 64, (64, 64)), (74, 200, (74, 200)), (75, 200, (74, 197)), (65, 40, (41, 25))):
        photo = load_photo(encode(make_photo(height, width), "PNG"), side=25 if height == 65 else 74)
        assert (photo.full_size, tuple(photo.pixels.shape[1:])) == ((height, width), kept)


def test_thirty_epochs_take_one_decode(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def count(content: bytes, **options: Any) -> Any:
        decoded.append(options["at_least"])
        return original(content, **options)

    original = reducing.decode_fully
    monkeypatch.setattr(reducing, "decode_fully", count)
    module = data(photos)
    for _ in range(30):
        assert len([*module.train_dataloader(), *module.val_dataloader()]) == 6
    data(photos)
    assert decoded == [112] * 24, "each photograph once"
    assert module.train_data.images.path is not None, "mapped into memory"  # type: ignore[attr-defined]
    pixels = np.load(next(Path("data/cache").glob("images-*/pixels.npy")), mmap_mode="r")
    assert len(pixels) < 3 * 24 * 93 * 345, "at most the kept size"


def test_what_is_kept_is_what_is_decoded_when_needed(photos: Path) -> None:
    kept, none = data(photos), data(photos, cache_bytes=1000)
    assert isinstance(kept.train_data.images, DecodedImages)  # type: ignore[attr-defined]
    assert isinstance(none.train_data.images, EncodedImages)  # type: ignore[attr-defined]
    for loader in ("train_dataloader", "val_dataloader"):
        for one, other in zip(getattr(kept, loader)(), getattr(none, loader)(), strict=True):
            torch.testing.assert_close(one, other, atol=0.02, rtol=0)


def test_prediction_is_validation(photos: Path) -> None:
    module = data(photos)
    files = sorted(photos.rglob("*.*"))
    x = torch.cat([x for x, _ in module.val_dataloader()])
    predicted = module.codec.encode([files[row] for row in module.val_data.rows.tolist()])  # type: ignore[attr-defined]
    difference = (module.codec.denormalise(x) - module.codec.denormalise(predicted)).abs().mean((1, 2, 3))
    assert difference.max() < 1 / 255


def test_images_of_more_than_8_bits_wait_for_their_range(tmp_path: Path) -> None:
    for index, top in enumerate((1000, 4000, 2000)):
        values = np.linspace(0, top, 200 * 150).reshape(150, 200).astype(np.uint16)
        (tmp_path / "deep" / "a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(tmp_path / "deep" / "a" / f"{index}.png")
    make_photo(90, 90).save(tmp_path / "deep" / "a" / "plain.jpg")
    (tmp_path / "deep" / "b").mkdir()
    make_photo(64, 64).save(tmp_path / "deep" / "b" / "plain.jpg")
    found = read(tmp_path / "deep", side=75)
    assert isinstance(found.images, EncodedImages)
    assert found.value_types == ["uint16", "uint16", "uint16", None, None]
    assert found.kinds[0] == "PNG, 16 bits, grey"
    np.testing.assert_array_equal(found.values[:3], [[0, 1000], [0, 4000], [0, 2000]])  # type: ignore[index]
    assert np.isnan(found.values[3:]).all()  # type: ignore[index]
    assert found.warnings == []
    form = PixelFormat(intensity={"uint16": (0.0, 4000.0)})
    fitted = with_form(found, form)
    assert isinstance(fitted.images, DecodedImages)
    assert [int(fitted.images[index].max()) for index in range(3)] == pytest.approx([63, 255, 127], abs=1)
    assert fitted.images[0].shape == (3, 75, 100)
    for index in range(5):
        assert torch.equal(
            fitted.images[index], EncodedImages(found.cache.files, found.places, form=form, side=75)[index]
        )  # type: ignore[union-attr]
    other = with_form(found, PixelFormat(intensity={"uint16": (0.0, 8000.0)}))
    assert int(other.images[1].max()) == pytest.approx(127, abs=1)
    assert with_form(read(tmp_path / "deep", 2**10, side=75), form).warnings[0].startswith("the decoded images take")
    Path(tmp_path / "deep" / "a" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a/1.png: the file is empty"):
        with_form(found, PixelFormat(intensity={"uint16": (0.0, 9000.0)}))


def test_images_of_8_bits_need_no_range(photos: Path) -> None:
    found = read(photos)
    assert with_form(found, PixelFormat(intensity={"uint16": (0.0, 1.0)})) is found


def read(root: Path, cache_bytes: int = 2**30, **options: Any) -> image_set.ImageSet:
    listing = list_source(root)
    return read_listed(listing, root, Path("data"), cache_bytes=cache_bytes, on_error="skip", **options)


def test_what_is_told_of_each_image(photos: Path) -> None:
    (photos / "a" / "9.jpeg").write_bytes(b"")
    found = read(photos, side=74)
    assert len(found.sizes) == len(found.kinds) == len(found.brightness) == 24  # type: ignore[arg-type]
    assert found.sizes.tolist()[0] == [300, 400], "in the file"
    assert found.images[0].shape == (3, 74, 99)
    expected = decode_mean(photos / found.places[0])
    assert found.brightness[0] == pytest.approx(expected, abs=0.01)  # type: ignore[index]
    assert found.warnings == []
    assert found.skipped == ["a/9.jpeg: the file is empty (0 bytes)"]


def decode_mean(path: Path) -> float:
    return float(np.asarray(Image.open(path)).mean()) / 255


def test_what_does_not_fit_is_said(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(photos, 2**10, side=74)
    assert isinstance(found.images, EncodedImages)
    assert (
        "the decoded images take 0.0 GiB, more than the limit of 0.0 GiB (`cache_bytes`, and 50% of"
        in found.warnings[0]
    )
    assert limit_bytes(2**60, Path("nowhere/yet")) < 2**60, "no more than half of the free disk"
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(image_set.shutil, "disk_usage", lambda path: usage)
    assert limit_bytes(2**30, Path("data")) == 500


def test_another_process_maps_the_pixels_again(photos: Path) -> None:
    images = read(photos, side=74).images
    assert isinstance(images, DecodedImages)
    packed = pickle.dumps(images)
    assert len(packed) < 5000
    assert torch.equal(pickle.loads(packed)[3], images[3])


def test_a_source_whose_names_differ_is_read_again(photos: Path) -> None:
    one, other = list_source(photos), list_source(photos)
    first = read_listed(one, photos, Path("data"), cache_bytes=2**30, on_error="raise")
    rows = slice(None, None, -1)
    reversed_ = other.__class__(
        files=other.files,
        names=list(other.names)[rows],
        places=list(other.places)[rows],
        labels=list(other.labels)[rows],
        splits=other.splits[rows],
    )
    last = read_listed(reversed_, photos, Path("data"), cache_bytes=2**30, on_error="raise")
    assert last.sizes.tolist() == first.sizes.tolist()[rows]
    assert torch.equal(last.images[0], first.images[23])


def test_images_of_one_size_are_stacked_unless_they_are_reduced(tmp_path: Path) -> None:
    make_images(tmp_path / "same", size=lambda index: (120, 100))
    for size, kind in ((40, StackedBatches), (32, SingleBatches)):
        module = data(tmp_path / "same", transforms=ImageTransforms(size=size))
        assert isinstance(module.train_data, kind)
    assert module.train_data.images[0].shape == (3, 93, 112)  # type: ignore[union-attr]


def test_an_array_larger_than_the_memory_is_mapped_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    original = np.load

    def load(path: Path, mmap_mode: Any) -> Any:
        if mmap_mode == "c":
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return original(path, mmap_mode=mmap_mode)

    monkeypatch.setattr(np, "load", load)
    found = map_array(tmp_path / "x.npy")
    assert found.tolist() == [0, 1, 2]
    assert not found.flags.writeable
