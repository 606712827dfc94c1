"""How fast do images become batches? LightFit, and loops and loaders of torchvision.

Small ones: 10,000 JPEGs of 32 x 32 pixels in ImageFolder's layout, from CIFAR-10 where LIGHTFIT_DATA names a folder
with cifar10.zip, else generated. Large ones: 12 generated JPEGs of 3000 x 2000 pixels, waves and noise; and 24 of
4000 x 3000 in ImageFolder's layout, as photographs of a telephone.
"""

import io
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.io import decode_jpeg, read_file

from benchmarks.figures import Figure, figure
from benchmarks.timing import Times, alternate, ratio, seconds
from lightfit.cache import cached
from lightfit.datamodules import ImageDataModule, ImageTransforms
from lightfit.datamodules.base import DATA_DIR
from lightfit.datamodules.images.decoding import decode
from lightfit.datamodules.images.layouts.files import open_files
from lightfit.datamodules.images.reducing import load_photo
from lightfit.datamodules.images.store import read_images

FOLDER, NUM_IMAGES, BATCH, NUM_LARGE = Path("images"), 10_000, 512, 12
PHOTOS, NUM_PHOTOS, NUM_EPOCHS, PHOTO_BATCH = Path("photographs"), 24, 30, 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def write_small() -> str:
    """Prepare the small images; return which ones they are."""
    archive = Path(os.environ.get("LIGHTFIT_DATA", "nowhere")) / "cifar10.zip"
    if archive.exists():
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if "/train/" in f"/{name}" and name.endswith(".jpg")]
            for name in names[:: len(names) // NUM_IMAGES][:NUM_IMAGES]:
                target = FOLDER / Path(name).parent.name / Path(name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.read(name))
        return "CIFAR-10"
    rng = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        target = FOLDER / str(number % 10) / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(target)
    return "made-up images of CIFAR-10's size"


def large_images() -> list[bytes]:
    """Generate the large images, encoded."""
    return [encode_waves(2000, 3000, number) for number in range(NUM_LARGE)]


def encode_waves(height: int, width: int, number: int) -> bytes:
    """Generate a JPEG of waves and noise."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = np.stack([np.sin(rows / (40 + number)), np.cos(columns / 60), np.sin((rows + columns) / 90)], 2)
    noise = np.random.default_rng(number).standard_normal(waves.shape, np.float32)
    data = io.BytesIO()
    Image.fromarray((128 + 90 * waves + 3 * noise).clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=90)
    return data.getvalue()


def write_photos() -> None:
    """Write photographs of two classes, half of them train, half val."""
    for number in range(NUM_PHOTOS):
        path = PHOTOS / ("train", "val")[number // 2 % 2] / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_waves(3000, 4000, number))


def decode_first() -> None:
    """Time LightFit's first reading: every image decoded, checked, and kept on disk."""
    files = open_files(FOLDER)
    names = [name for name in files.names() if not name.endswith("/")]
    shutil.rmtree("cache", ignore_errors=True)
    cached(Path("cache"), "x", [], lambda grow: read_images(files, names, cache_bytes=2**30, grow=grow))


def decode_by_torchvision() -> list[torch.Tensor]:
    """Time a loop over the same files."""
    return [decode_jpeg(read_file(str(path))) for path in FOLDER.rglob("*.jpg")]


def batches_of_lightfit(data: ImageDataModule) -> float:
    """Return the seconds per image of a training epoch's batches, each image with a crop and a flip of its own."""
    took = seconds(lambda: [None for _ in data.train_dataloader()])
    return took / len(data.train_data)


def batches_of_torchvision() -> float:
    """Time the same by ImageFolder, Pillow and two workers; their start is not counted."""
    steps = [transforms.RandomResizedCrop(32), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    images = ImageFolder(str(FOLDER), transforms.Compose([*steps, transforms.Normalize(MEAN, STD)]))
    batches = iter(DataLoader(images, batch_size=BATCH, shuffle=True, num_workers=2))
    for _ in range(3):  # what the workers have made ahead would seem to take no time
        next(batches)
    return seconds(lambda: [None for _ in batches]) / (NUM_IMAGES - 3 * BATCH)


def measure() -> Iterator[Figure]:
    """Yield the figures of images."""
    warnings.simplefilter("ignore")
    kind = write_small()
    torch.set_num_threads(1)
    times = alternate({"ours": lambda: seconds(decode_first), "peer": lambda: seconds(decode_by_torchvision)}, rounds=7)
    note = f"{NUM_IMAGES:,} files of {kind}; checked, hashed and kept on disk besides"
    peer, ours = "a loop of `torchvision.io.decode_jpeg`", "decoding images the first time"
    yield figure("images", ours, peer, ratio(times, "peer", "ours"), "times faster", rounds=7, target=">= 1", note=note)
    yield from batches(kind)
    yield from large()
    yield from photographs()


def batches(kind: str) -> Iterator[Figure]:
    """Yield the figures of training batches."""
    data = ImageDataModule(str(FOLDER), transforms=ImageTransforms(size=None), batch_size=BATCH, val_fraction=0.01)
    data.setup()
    torch.set_num_threads(2)
    times = alternate({"ours": lambda: batches_of_lightfit(data), "peer": batches_of_torchvision}, rounds=7)
    note = f"{kind}, batches of {BATCH}; two threads, two workers; {_per_second(times['ours'])} images/s"
    peer = "ImageFolder, Pillow, transforms of each image"
    faster = ratio(times, "peer", "ours")
    yield figure(
        "images", "RandomResizedCrop and flip", peer, faster, "times faster", rounds=7, target=">= 12", note=note
    )


def large() -> Iterator[Figure]:
    """Yield the figures of decoding photographs."""
    torch.set_num_threads(1)
    encoded, chosen = large_images(), ImageTransforms(size=96)
    change = chosen.in_training((96, 96))
    contenders = {
        "decode": lambda data: decode(data),
        "sample": lambda data: change(decode(data)),
        "reduced sample": lambda data: change(load_photo(data, side=chosen.kept_side).pixels),
        "turbojpeg": lambda data: simplejpeg.decode_jpeg(data),
        "torchvision": lambda data: decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8)),
        "pillow": lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
    }
    timed = {
        name: (lambda work=work: seconds(lambda: [work(data) for data in encoded])) for name, work in contenders.items()
    }
    times = alternate(timed, rounds=5)
    peers = {"turbojpeg": "turbojpeg alone", "torchvision": "`torchvision.io.decode_jpeg`", "pillow": "Pillow"}
    for name, peer in peers.items():
        target = ">= 0.9" if name == "turbojpeg" else ""
        faster = ratio(times, name, "decode")
        yield figure("images", "decoding photographs", peer, faster, "times as fast", rounds=5, target=target)
    note = "JPEG's own scaling; less than 1 of 255 off on average"
    faster, ours = ratio(times, "sample", "reduced sample"), "photograph to a crop of 96 x 96, decoded reduced"
    yield figure("images", ours, "decoded whole", faster, "times faster", rounds=5, note=note)


def load_photographs() -> ImageDataModule:
    """Prepare the photographs: checked, decoded and kept on disk where they are not yet."""
    data = ImageDataModule(str(PHOTOS), batch_size=PHOTO_BATCH, num_workers=0)
    data.setup()
    return data


def read_photographs_anew() -> ImageDataModule:
    """Prepare the photographs without what is kept of them."""
    shutil.rmtree(DATA_DIR / "cache", ignore_errors=True)
    return load_photographs()


def photographs_of_torchvision(split: str) -> DataLoader:
    """Return a loader of torchvision's ImageFolder, with two workers that are started already."""
    change = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    if split == "val":
        change = [transforms.Resize(256), transforms.CenterCrop(224)]
    steps = transforms.Compose([*change, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    loader = DataLoader(
        ImageFolder(str(PHOTOS / split), steps), batch_size=PHOTO_BATCH, num_workers=2, persistent_workers=True
    )
    list(loader)
    return loader


def photographs() -> Iterator[Figure]:
    """Yield the figures of epochs of photographs of 12 megapixels."""
    write_photos()
    torch.set_num_threads(1)
    data = load_photographs()
    loaders = {"train": data.train_dataloader, "val": data.val_dataloader}
    note = f"{NUM_PHOTOS // 2} generated JPEGs of 4000 x 3000 to 224 pixels; theirs with two workers, ours with none"
    for split, ours in loaders.items():
        times = compare_epochs(ours(), photographs_of_torchvision(split))
        took = 1000 * sorted(times["ours"])[2] / (NUM_PHOTOS // 2)
        peer, named = "ImageFolder and Pillow, decoded every epoch", f"an epoch of photographs, {split}, but the first"
        faster = ratio(times, "peer", "ours")
        own = f"{note}; ours {took:.1f} ms a photograph"
        yield figure("images", named, peer, faster, "times faster", rounds=5, target=">= 3", note=own)
    yield from many_epochs()


def compare_epochs(ours: DataLoader, theirs: DataLoader) -> Times:
    """Return how long all batches of two loaders take."""
    return alternate(
        {"ours": lambda: seconds(lambda: list(ours)), "peer": lambda: seconds(lambda: list(theirs))}, rounds=5
    )


def many_epochs() -> Iterator[Figure]:
    """Yield the figures of many epochs of photographs, with what is kept of them made anew."""
    encoded = [path.read_bytes() for path in PHOTOS.rglob("*.jpg")]

    def train() -> None:
        own = read_photographs_anew()
        for _ in range(NUM_EPOCHS):
            list(own.train_dataloader())
            list(own.val_dataloader())

    def decode_all() -> None:
        for data in encoded:
            decode(data)

    contenders: dict[str, Callable[[], object]] = {"ours": train, "check": read_photographs_anew, "decode": decode_all}
    times = alternate({name: partial(seconds, work) for name, work in contenders.items()}, rounds=3)
    kept = sum(path.stat().st_size for path in (DATA_DIR / "cache").glob("images-*/pixels.npy")) / NUM_PHOTOS
    note = f"train and val, all batches of all epochs; {kept / 2**20:.1f} MiB kept on disk for each"
    named, peer = f"{NUM_EPOCHS} epochs of photographs and their first reading", "a loop that decodes each once, whole"
    yield figure("images", named, peer, ratio(times, "ours", "decode"), "times the time", rounds=3, note=note)
    named = "checking and keeping photographs, the first time"
    yield figure("images", named, peer, ratio(times, "check", "decode"), "times the time", rounds=3, target="<= 1")


def _per_second(times: list[float]) -> str:
    return f"{1 / sorted(times)[len(times) // 2]:,.0f}"
