"""Published image sets by name, and folders and archives of one's own."""

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
    """Images with what is known of them; all lists and arrays are as long."""

    images: Images
    sizes: NDArray[np.int64]  # height and width, (N, 2)
    places: list[str]  # name within the source
    labels: list[str]
    parts: NDArray[np.int64]  # 0 train, 1 val, 2 test, (N,)
    groups: NDArray[np.uint64]  # the same for identical images, (N,)
    ignored: list[str]  # files that are no images by their name
    skipped: list[str]  # images that cannot be read, with the reason


def locate(root: str, data_dir: Path) -> None:
    """Downloads a published set that is not here yet; looks whether a path of one's own is there.

    Raises:
        LookupError: no root is given.
        FileNotFoundError: there is nothing at the path.
        ConnectionError: the server cannot be reached; says where to put the file by hand.
    """
    if root in PUBLISHED:
        _published(root, data_dir, train=True, download=True)
    elif not root:
        raise NotFoundError("which images? `root` takes a folder or a zip of <split>/<class>/*.jpg or <class>/*.jpg")
    elif root != DIGITS and not Path(root).exists():
        raise FileNotFoundError(
            f"no folder or zip at '{root}' (looked from '{Path.cwd()}'); `root` takes a folder or a zip of "
            f"<split>/<class>/*.jpg, or one of the names {', '.join([DIGITS, *PUBLISHED])}"
        )


def source_path(root: str, data_dir: Path) -> Path:
    """The file or folder that the images of a source are read from."""
    if root == DIGITS:
        return Path(str(files("sklearn.datasets") / "data" / "digits.csv.gz"))
    return data_dir / RAW[root] if root in RAW else Path(root)


def read_set(root: str, data_dir: Path, *, cache_bytes: int, on_error: str) -> ImageSet:
    """The images of a source that `locate` found.

    Args:
        root: name or path.
        data_dir: where downloads and the cache are.
        cache_bytes: as in `read_images`.
        on_error: raise, or skip what cannot be read.

    Raises:
        DataError: a file is no image or damaged, or there are no images in the layout that is expected.
    """
    if root == DIGITS:
        return _digits()
    if root in PUBLISHED:
        parts = [_published(root, data_dir, train=train, download=False) for train in (True, False)]
        images = torch.cat([_rgb(part.data) for part in parts])
        labels = [part.classes[number] for part in parts for number in torch.as_tensor(part.targets).tolist()]
        return whole_set(images, labels, np.repeat([0, 2], [len(part) for part in parts]))
    return _own(Path(root), data_dir, cache_bytes=cache_bytes, on_error=on_error)


def _own(path: Path, data_dir: Path, *, cache_bytes: int, on_error: str) -> ImageSet:
    files = open_files(path)
    names, parts, labels, ignored = list_images(files, str(path))
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
            "them, or leave them out with `on_error` skip"
        )
    good = [number for number, problem in enumerate(problems) if not problem]
    sizes, names = found["sizes"][good], [names[number] for number in good]
    kept = len(found["pixels"]) > 0
    return ImageSet(
        images=DecodedImages(torch.from_numpy(found["pixels"]), sizes) if kept else EncodedImages(files, names),
        sizes=sizes,
        places=names,
        labels=[labels[number] for number in good],
        parts=np.array([SPLITS.index(parts[number]) for number in good], np.int64),
        groups=found["digests"][good],
        ignored=ignored,
        skipped=bad,
    )


def _digits() -> ImageSet:
    """The 1,797 test digits of Alpaydin and Kaynak 1998 (UCI 80, CC BY 4.0), as scikit-learn bundles them.

    They come without a split: a stratified fifth, always the same, is the test part.
    """
    from sklearn.datasets import load_digits  # here, as it takes a second and nothing else needs it

    bunch = load_digits()
    pixels = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))
    _, test = stratified_split(bunch.target, np.arange(len(pixels)), val_fraction=0.2, seed=0)
    parts = np.zeros(len(pixels), np.int64)
    parts[test] = SPLITS.index("test")
    return whole_set(_rgb(pixels), [str(label) for label in bunch.target], parts)


def whole_set(images: Tensor, labels: list[str], parts: NDArray[np.int64]) -> ImageSet:
    """Images that come as one tensor, (N, 3, H, W) uint8, each another one.

    Args:
        images: the pixels.
        labels: name of each image's class.
        parts: 0 train, 1 val, 2 test, (N,).
    """
    sizes = np.tile(np.array(images.shape[2:], np.int64), (len(images), 1))
    return ImageSet(
        images=DecodedImages(images.flatten(), sizes),
        sizes=sizes,
        places=[f"image {number}" for number in range(len(images))],
        labels=labels,
        parts=parts,
        groups=np.arange(len(images), dtype=np.uint64),
        ignored=[],
        skipped=[],
    )


def _rgb(pixels: Tensor | NDArray[np.uint8]) -> Tensor:
    """Grey (N, H, W) or colour (N, H, W, 3) images to (N, 3, H, W) uint8."""
    pixels = torch.as_tensor(pixels)
    return (pixels[:, None].expand(-1, 3, -1, -1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)).contiguous()


def _published(name: str, data_dir: Path, *, train: bool, download: bool) -> datasets.CIFAR10 | datasets.FashionMNIST:
    build: Callable[..., datasets.CIFAR10 | datasets.FashionMNIST] = PUBLISHED[name]
    try:
        return build(data_dir, train=train, download=download)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"could not download {name} ({' '.join(str(error).split())}). Without a network, put "
            f"'{data_dir.absolute() / FILES[name]}' there by hand and run the command again, or name a folder or zip "
            "of images by `root`"
        ) from error
