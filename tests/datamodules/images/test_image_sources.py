"""Published image sets in their real layout, from a local server."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from lightfit.datamodules import ImageDataModule, ImageTransforms

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
AS_THEY_ARE = ImageTransforms(size=None, crop_scale=None)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def cifar(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Serve CIFAR-10 in its published format, with 20 images in each of six batches; return pixels (120, 32, 32, 3)."""
    url, folder = server
    pixels = np.random.default_rng(0).integers(0, 256, (120, 3, 32, 32), dtype=np.uint8)
    held, sums = io.BytesIO(), {}
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for index, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]):
            rows = pixels[20 * index : 20 * index + 20].reshape(20, -1) if index < 6 else None
            content = {"data": rows, "labels": [n % 10 for n in range(20)]} if index < 6 else {"label_names": NAMES}
            data = pickle.dumps(content)
            sums[name] = md5(data)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (folder / "cifar-10-python.tar.gz").write_bytes(held.getvalue())
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{url}/cifar-10-python.tar.gz")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(held.getvalue()))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, sums[name]] for name in list(sums)[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return pixels


def test_cifar10(cifar: np.ndarray, server: tuple[str, Path]) -> None:
    data = ImageDataModule("cifar10", transforms=AS_THEY_ARE, batch_size=50)
    data.setup()
    assert [len(split) for split in (data.train_data, data.val_data, data.test_data)] == [80, 20, 20]  # type: ignore[arg-type]
    assert data.codec.class_names == NAMES
    x, y = next(iter(data.test_dataloader()))
    np.testing.assert_allclose(data.codec.denormalise(x) * 255, cifar[100:], atol=1e-3)
    assert y.tolist() == [index % 10 for index in range(20)]
    (server[1] / "cifar-10-python.tar.gz").unlink()
    two = ImageDataModule("cifar10", transforms=AS_THEY_ARE, classes=["automobile", "airplane"])
    two.setup()
    assert (two.codec.class_names, len(two.train_data), len(two.test_data)) == (["airplane", "automobile"], 16, 4)  # type: ignore[arg-type]


def test_fashion_mnist(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    pixels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    labels = np.arange(60, dtype=np.uint8) % 10
    resources = []
    for split, rows in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        for kind, array, magic in (("images-idx3", pixels[rows], 2051), ("labels-idx1", labels[rows], 2049)):
            name = f"{split}-{kind}-ubyte.gz"
            header = struct.pack(f">{1 + array.ndim}i", magic, *array.shape)
            data = gzip.compress(header + array.tobytes())
            (folder / name).write_bytes(data)
            resources.append((name, md5(data)))
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"{url}/"])
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    data = ImageDataModule("fashion_mnist", transforms=AS_THEY_ARE, batch_size=50)
    data.setup()
    assert data.codec.class_names[:2] == ["Ankle boot", "Bag"]
    assert data.codec.image_size == (28, 28)
    x, _ = next(iter(data.test_dataloader()))
    grey = data.codec.denormalise(x) * 255
    for channel in range(3):
        np.testing.assert_allclose(grey[:, channel], pixels[40:], atol=1e-3)


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_without_a_network(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConnectionError, match=f"could not download {name} .*put '{tmp_path}/data/.*gz' there by hand.*`root`"
    ):
        ImageDataModule(name, transforms=AS_THEY_ARE).setup()
