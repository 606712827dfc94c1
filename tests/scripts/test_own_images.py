"""Layouts and formats of images as people have them, trained and predicted by the commands, with only the path."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import make_images
from PIL import Image

from lightfit.scripts.predict import main as predict

Fit = Callable[..., tuple[int, str, str]]
QUICK = ("--data.num_workers", 0, "--trainer.max_epochs", 1, "--trainer.callbacks", "null", "--quiet")


def splits(folder: str, *names: str) -> Path:
    for index, name in enumerate(names):
        make_images(Path(folder) / name, per_class=6, first=10 * index)
    return Path(folder)


def table(folder: str) -> Path:
    make_images(Path(folder) / "pictures", per_class=8)
    files = sorted(Path(folder).rglob("*.png"))
    rows = [{"image_id": f"{file.parent.name}/{file.stem}", "species": file.parent.name} for file in files]
    pd.DataFrame(rows).to_csv(Path(folder) / "train.csv", index=False)
    return Path(folder) / "train.csv"


def metadata(folder: str) -> Path:
    make_images(Path(folder), per_class=8)
    files = sorted(Path(folder).rglob("*.png"))
    lines = [{"file_name": str(file.relative_to(folder)), "label": file.parent.name} for file in files]
    (Path(folder) / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Path(folder)


def shards(folder: str) -> Path:
    files = sorted(make_images(Path("raw"), per_class=8).rglob("*.png"))
    rows = [{"image": {"bytes": file.read_bytes(), "path": file.name}, "label": file.parent.name} for file in files]
    (Path(folder) / "data").mkdir(parents=True)
    for index in range(2):
        part = pa.Table.from_pylist(rows[index::2])
        pq.write_table(part, Path(folder) / "data" / f"train-0000{index}-of-00002.parquet")
    return Path(folder)


def coco(folder: str) -> Path:
    files = sorted(make_images(Path(folder) / "images", per_class=8).rglob("*.png"))
    names = ["bright", "dark"]
    held = {
        "images": [
            {"id": index, "file_name": str(file.relative_to(f"{folder}/images"))} for index, file in enumerate(files)
        ],
        "annotations": [
            {"id": index, "image_id": index, "category_id": names.index(file.parent.name)}
            for index, file in enumerate(files)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
    }
    (Path(folder) / "annotations.json").write_text(json.dumps(held), encoding="utf-8")
    return Path(folder) / "annotations.json"


def archive(name: str) -> Path:
    make_images(Path("packed/photos"), per_class=8)
    if name.endswith(".zip"):
        return Path(shutil.make_archive("packed", "zip", "packed"))
    with tarfile.open(name, "w:gz") as tar:
        tar.add("packed/photos", "photos")
    return Path(name)


LAYOUTS: dict[str, Callable[[], Path]] = {
    "classes": lambda: make_images(Path("photos"), per_class=8),
    "splits": lambda: splits("photos", "train", "val", "test"),
    "splits in capitals": lambda: splits("photos", "Train", "Validation", "Test"),
    "splits within splits": lambda: splits("photos", "seg_train/seg_train", "seg_test/seg_test"),
    "valid": lambda: splits("photos", "train", "valid"),
    "wrapped": lambda: make_images(Path("photos/PetImages"), per_class=8).parent,
    "zip": lambda: archive("packed.zip"),
    "tar.gz": lambda: archive("packed.tar.gz"),
    "table of ids": lambda: table("photos"),
    "metadata.jsonl": lambda: metadata("photos"),
    "parquet": lambda: shards("photos"),
    "coco": lambda: coco("photos"),
}


def train_and_predict(fit: Fit, root: Path, example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = fit("--task", "images", "--data.root", root, *QUICK)
    assert (code, err) == (0, ""), out
    capsys.readouterr()
    checkpoint = next(Path("runs/images/version_0/checkpoints").glob("last.ckpt"))
    assert predict([str(checkpoint), str(example), "-o", "predicted.csv"]) == 0
    (row,) = pd.read_csv("predicted.csv").to_dict("records")
    assert row["label"] in ("bright", "dark")


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    root = LAYOUTS[layout]()
    make_images(Path("others"), per_class=1)
    train_and_predict(fit, root, Path("others/dark/00.png"), capsys)


FORMATS = {
    "png": ("png", "PNG", "RGB"),
    "jpeg": ("jpg", "JPEG", "RGB"),
    "jfif": ("jfif", "JPEG", "RGB"),
    "gif": ("gif", "GIF", "RGB"),
    "webp": ("webp", "WEBP", "RGB"),
    "bmp": ("bmp", "BMP", "RGB"),
    "tiff": ("tif", "TIFF", "RGB"),
    "avif": ("avif", "AVIF", "RGB"),
    "jpeg 2000": ("jp2", "JPEG2000", "RGB"),
    "pgm": ("pgm", "PPM", "L"),
    "alpha": ("png", "PNG", "RGBA"),
    "cmyk": ("jpg", "JPEG", "CMYK"),
    "16 bits": ("png", "PNG", "I;16"),
    "no ending": ("", "PNG", "RGB"),
}


def convert(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16)
    return image.convert(mode)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str, fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    ending, kind, mode = FORMATS[name]
    root = make_images(Path("photos"), per_class=8)
    for file in sorted(root.rglob("*.png")):
        picture = convert(Image.open(file), mode)
        file.unlink()
        picture.save(file.with_suffix(f".{ending}" if ending else ""), format=kind)
    example = Path(sorted(map(str, (root / "dark").iterdir()))[0])
    train_and_predict(fit, root, example, capsys)
