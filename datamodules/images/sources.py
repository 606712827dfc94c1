"""Sources of images: published sets by name, folders and archives."""

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import datasets

from lightfit.errors import NotFoundError

from ..splits import SPLITS, stratified_split
from .files import open_files
from .image_set import ImageSet, whole_set
from .layout import list_images, without_columns
from .listing import Listing, describe_ignored, is_worth_a_warning
from .options import AUTOMATIC, ImageOptions

DIGITS, CIFAR10, FASHION_MNIST = "digits", "cifar10", "fashion_mnist"
FILES = {
    CIFAR10: "cifar-10-python.tar.gz",
    FASHION_MNIST: "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz",
}
RAW = {CIFAR10: "cifar-10-python.tar.gz", FASHION_MNIST: "FashionMNIST/raw"}
SETS = {CIFAR10: datasets.CIFAR10, FASHION_MNIST: datasets.FashionMNIST}
PUBLISHED = (DIGITS, *SETS)


def locate(root: str, data_dir: Path) -> None:
    """Download a published set if it is not there yet; check that any other path exists.

    Raises:
        LookupError: `root` is empty.
        FileNotFoundError: the path does not exist.
        ConnectionError: the server cannot be reached; the message names the path for a manual download.
    """
    if root in SETS:
        _load_published(root, data_dir, train=True, download=True)
    elif not root:
        raise NotFoundError("which images? set `root` to a folder or a zip of <split>/<class>/*.jpg or <class>/*.jpg")
    elif root not in PUBLISHED and not Path(root).exists():
        raise FileNotFoundError(
            f"no folder or zip at '{root}' (looked from '{Path.cwd()}'); set `root` to a folder or a zip of "
            f"<split>/<class>/*.jpg, or to one of the names {', '.join(PUBLISHED)}"
        )


def source_path(root: str, data_dir: Path) -> Path:
    """Return the file or folder from which the images of a source are read."""
    if root == DIGITS:
        return Path(str(files("sklearn.datasets") / "data" / "digits.csv.gz"))
    return data_dir / RAW[root] if root in RAW else Path(root)


def load_published(root: str, data_dir: Path) -> ImageSet:
    """Load a published set, after `locate`."""
    if root == DIGITS:
        return _load_digits()
    sets = [_load_published(root, data_dir, train=train, download=False) for train in (True, False)]
    images = torch.cat([_to_rgb(dataset.data) for dataset in sets])
    labels = [dataset.classes[label] for dataset in sets for label in torch.as_tensor(dataset.targets).tolist()]
    return whole_set(images, labels, np.repeat([0, 2], [len(dataset) for dataset in sets]))


def list_source(path: Path, options: ImageOptions = AUTOMATIC, *, data_dir: Path = Path("data")) -> Listing:
    """List the images of a folder, archive or table, without decoding them.

    Args:
        path: the folder, archive or table.
        options: where images and labels are in it.
        data_dir: folder of the cache, where compressed tars are uncompressed.

    Raises:
        DataError: there are no images in an expected layout, or a table cannot be read.
    """
    listing = _list_any(path, options, data_dir / "cache")
    if not (line := describe_ignored(listing.ignored)):
        return listing
    if is_worth_a_warning(listing.ignored):
        return replace(listing, warnings=[*listing.warnings, line])
    return replace(listing, found=[*listing.found, line])


def _list_any(path: Path, options: ImageOptions, cache_dir: Path) -> Listing:
    return list_images(open_files(path, cache_dir), str(path), without_columns(options, str(path)))


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


def _to_rgb(pixels: Tensor | NDArray[np.uint8]) -> Tensor:
    """Convert grey (N, H, W) or colour (N, H, W, 3) images to (N, 3, H, W) uint8."""
    pixels = torch.as_tensor(pixels)
    return (pixels[:, None].expand(-1, 3, -1, -1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)).contiguous()


def _load_published(
    name: str, data_dir: Path, *, train: bool, download: bool
) -> datasets.CIFAR10 | datasets.FashionMNIST:
    build: Callable[..., datasets.CIFAR10 | datasets.FashionMNIST] = SETS[name]
    try:
        return build(data_dir, train=train, download=download)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"could not download {name} ({' '.join(str(error).split())}). Without a network, put "
            f"'{data_dir.absolute() / FILES[name]}' there by hand and try again, or set `root` to a folder or zip of "
            "images"
        ) from error
