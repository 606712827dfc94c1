"""Sources of images: published sets by name, folders and archives."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import datasets

from lightfit.cache import cached, fingerprint, from_json
from lightfit.errors import DataError, NotFoundError

from ..splits import SPLITS, stratified_split
from .files import list_images, open_files
from .store import DecodedImages, EncodedImages, Images, read_images

DIGITS, CIFAR10, FASHION_MNIST = "digits", "cifar10", "fashion_mnist"
FILES = {
    CIFAR10: "cifar-10-python.tar.gz",
    FASHION_MNIST: "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz",
}
RAW = {CIFAR10: "cifar-10-python.tar.gz", FASHION_MNIST: "FashionMNIST/raw"}
PUBLISHED = {CIFAR10: datasets.CIFAR10, FASHION_MNIST: datasets.FashionMNIST}


class ImageSet(NamedTuple):
    """Images with their sizes, places, labels and splits, one item for each."""

    images: Images
    sizes: NDArray[np.int64]  # height and width, (N, 2)
    places: list[str]  # name within the source
    labels: list[str]
    splits: NDArray[np.int64]  # 0 train, 1 val, 2 test, (N,)
    groups: NDArray[np.uint64]  # equal for identical images, (N,)
    ignored: list[str]  # files without the suffix of an image
    skipped: list[str]  # images that cannot be read, with the reason


def locate(root: str, data_dir: Path) -> None:
    """Download a published set if it is not there yet; check that any other path exists.

    Raises:
        LookupError: `root` is empty.
        FileNotFoundError: the path does not exist.
        ConnectionError: the server cannot be reached; the message names the path for a manual download.
    """
    if root in PUBLISHED:
        _load_published(root, data_dir, train=True, download=True)
    elif not root:
        raise NotFoundError("which images? set `root` to a folder or a zip of <split>/<class>/*.jpg or <class>/*.jpg")
    elif root != DIGITS and not Path(root).exists():
        raise FileNotFoundError(
            f"no folder or zip at '{root}' (looked from '{Path.cwd()}'); set `root` to a folder or a zip of "
            f"<split>/<class>/*.jpg, or to one of the names {', '.join([DIGITS, *PUBLISHED])}"
        )


def source_path(root: str, data_dir: Path) -> Path:
    """Return the file or folder from which the images of a source are read."""
    if root == DIGITS:
        return Path(str(files("sklearn.datasets") / "data" / "digits.csv.gz"))
    return data_dir / RAW[root] if root in RAW else Path(root)


def read_set(root: str, data_dir: Path, *, cache_bytes: int, on_error: str) -> ImageSet:
    """Read the images of a source, after `locate`.

    Args:
        root: name of a published set, or a path.
        data_dir: folder of downloads and of the cache.
        cache_bytes: as in `read_images`.
        on_error: `raise`, or `skip` images that cannot be read.

    Raises:
        DataError: a file is damaged or not an image, or there are no images in the expected layout.
    """
    if root == DIGITS:
        return _load_digits()
    if root in PUBLISHED:
        sets = [_load_published(root, data_dir, train=train, download=False) for train in (True, False)]
        images = torch.cat([_to_rgb(dataset.data) for dataset in sets])
        labels = [dataset.classes[label] for dataset in sets for label in torch.as_tensor(dataset.targets).tolist()]
        return whole_set(images, labels, np.repeat([0, 2], [len(dataset) for dataset in sets]))
    return _read_files(Path(root), data_dir, cache_bytes=cache_bytes, on_error=on_error)


def _read_files(path: Path, data_dir: Path, *, cache_bytes: int, on_error: str) -> ImageSet:
    files = open_files(path)
    names, splits, labels, ignored = list_images(files, str(path))
    format_version = 2
    key = [format_version, str(path.absolute()), fingerprint(path), cache_bytes]
    found = cached(
        data_dir / "cache", "images", key, lambda grow: read_images(files, names, cache_bytes=cache_bytes, grow=grow)
    )
    problems = from_json(found["problems"])
    bad = [f"{name}: {problem}" for name, problem in zip(names, problems, strict=True) if problem]
    if bad and on_error == "raise":
        raise DataError(
            f"{len(bad)} of {len(names)} images in '{path}' cannot be read. The first: {bad[0]}. Correct or delete "
            "them, or set `on_error` to skip"
        )
    good = [index for index, problem in enumerate(problems) if not problem]
    sizes, names = found["sizes"][good], [names[index] for index in good]
    kept = len(found["pixels"]) > 0
    return ImageSet(
        images=DecodedImages(torch.from_numpy(found["pixels"]), sizes) if kept else EncodedImages(files, names),
        sizes=sizes,
        places=names,
        labels=[labels[index] for index in good],
        splits=np.array([SPLITS.index(splits[index]) for index in good], np.int64),
        groups=found["digests"][good],
        ignored=ignored,
        skipped=bad,
    )


def _load_digits() -> ImageSet:
    """Load the 1,797 test digits of Alpaydin and Kaynak 1998 (UCI 80, CC BY 4.0), as bundled with scikit-learn.

    They come without a split: the test split is a stratified fifth, always the same.
    """
    from sklearn.datasets import load_digits  # imported here, as it takes a second

    bunch = load_digits()
    pixels = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))
    _, test = stratified_split(bunch.target, np.arange(len(pixels)), val_fraction=0.2, seed=0)
    splits = np.zeros(len(pixels), np.int64)
    splits[test] = SPLITS.index("test")
    return whole_set(_to_rgb(pixels), [str(label) for label in bunch.target], splits)


def whole_set(images: Tensor, labels: list[str], splits: NDArray[np.int64]) -> ImageSet:
    """Build an `ImageSet` of distinct images from one tensor.

    Args:
        images: pixels, (N, 3, H, W) uint8.
        labels: class name of each image.
        splits: 0 train, 1 val, 2 test, (N,).
    """
    sizes = np.tile(np.array(images.shape[2:], np.int64), (len(images), 1))
    return ImageSet(
        images=DecodedImages(images.flatten(), sizes),
        sizes=sizes,
        places=[f"image {index}" for index in range(len(images))],
        labels=labels,
        splits=splits,
        groups=np.arange(len(images), dtype=np.uint64),
        ignored=[],
        skipped=[],
    )


def _to_rgb(pixels: Tensor | NDArray[np.uint8]) -> Tensor:
    """Convert grey (N, H, W) or colour (N, H, W, 3) images to (N, 3, H, W) uint8."""
    pixels = torch.as_tensor(pixels)
    return (pixels[:, None].expand(-1, 3, -1, -1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)).contiguous()


def _load_published(
    name: str, data_dir: Path, *, train: bool, download: bool
) -> datasets.CIFAR10 | datasets.FashionMNIST:
    build: Callable[..., datasets.CIFAR10 | datasets.FashionMNIST] = PUBLISHED[name]
    try:
        return build(data_dir, train=train, download=download)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"could not download {name} ({' '.join(str(error).split())}). Without a network, put "
            f"'{data_dir.absolute() / FILES[name]}' there by hand and try again, or set `root` to a folder or zip of "
            "images"
        ) from error
