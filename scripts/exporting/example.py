"""Comparison of the example program for exported image models with the codec, on odd images."""

import runpy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightfit.datamodules import ImageCodec
from lightfit.errors import DataError

from ..inference.trained import Trained
from .formats import Runtime, collect_metadata

PROGRAM = Path(__file__).resolve().parents[1] / "examples" / "onnx_images.py"
# Torch and Pillow resize to the nearest of 255 steps, each by arithmetic of its own.
MOST_STEPS = 3.0

Pixels = np.ndarray[Any, np.dtype[Any]]


class Comparison(NamedTuple):
    """The largest differences between the example program and the checkpoint.

    Args:
        steps: difference of pixels, in steps of 255.
        worst: the image with this difference.
        predictions: difference of predictions.
        names: the images.
    """

    steps: float
    worst: str
    predictions: float
    names: list[str]


def has_example(trained: Trained) -> bool:
    """Return whether the example program is for a checkpoint: for images that the codec encodes as it is documented."""
    return isinstance(trained.codec, ImageCodec) and type(trained.codec).encode is ImageCodec.encode


def compare_example(trained: Trained, runtime: Runtime) -> Comparison:
    """Compare the example program with a checkpoint on images that are made for it.

    The images are upright by EXIF, of 16 bits, of floats, grey, with alpha, in CMYK, long, large, and the like.

    Args:
        trained: the checkpoint.
        runtime: predictions of the exported file.
    """
    codec, known = trained.codec, collect_metadata(trained)
    assert isinstance(codec, ImageCodec)
    prepare: Callable[[str, dict[str, Any]], Pixels] = runpy.run_path(str(PROGRAM))["prepare"]
    ours, theirs, names = list[Tensor](), list[Tensor](), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        for path in make_odd_images(Path(folder), codec):
            try:
                ours.append(codec.encode([path]))
            except DataError:
                continue  # the format has other channels
            theirs.append(torch.from_numpy(prepare(str(path), known))[None])
            names.append(path.name)
    expected, x = torch.cat(ours), torch.cat(theirs)
    scale = 255 * torch.tensor(codec.std).view(-1, 1, 1)
    steps = ((x - expected) * scale).abs().amax((1, 2, 3))
    with torch.inference_mode():
        y = trained.model.predict_step(expected, 0)
        difference = (runtime(x) - y).abs() / y.abs().clamp(min=1)
    return Comparison(float(steps.max()), names[int(steps.argmax())], float(difference.nan_to_num().max()), names)


def make_odd_images(folder: Path, codec: ImageCodec) -> list[Path]:
    """Write images of many kinds, and return their paths.

    Args:
        folder: an empty folder.
        codec: the codec, whose sizes and channels they are made for.
    """
    height, width = (max(round(side * factor), 3) for side, factor in zip(codec.image_size, (1.4, 1.9), strict=True))
    colours, alpha = make_picture(height, width), make_picture(width, height)[..., 0].T
    grey = colours[..., 0]
    deep = grey.astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6
    made: dict[str, tuple[Pixels | Image.Image, dict[str, Any]]] = {
        "plain.png": (colours, {}),
        "exif6.png": (colours, {"exif": exif}),
        "exif6.jpg": (colours, {"exif": exif, "quality": 95, "subsampling": 0}),
        "16_bits.png": (deep, {}),
        "12_of_16_bits.png": (deep >> 4, {}),
        "32_bits.tif": (deep.astype(np.int32) * 3 - 1000, {}),
        "floats.tif": (grey.astype(np.float32) / 255, {}),
        "grey.png": (grey, {}),
        "grey_alpha.png": (Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]), {}),
        "alpha.png": (np.dstack([colours, alpha]), {}),
        "palette.gif": (Image.fromarray(colours).quantize(8, dither=Image.Dither.NONE), {"transparency": 3}),
        "cmyk.tif": (Image.fromarray(colours).convert("CMYK"), {}),
        "long.png": (make_picture(height, 3 * width), {}),
        "small.png": (make_picture(max(codec.image_size[0] // 3, 1), max(codec.image_size[1] // 2, 1)), {}),
    }
    if codec.kept_side:
        made["large.png"] = (make_picture(round(1.3 * codec.kept_side), 2 * codec.kept_side), {})
    paths = []
    for name, (content, options) in made.items():
        paths.append(folder / name)
        (Image.fromarray(content) if isinstance(content, np.ndarray) else content).save(paths[-1], **options)
    if codec.image_channels not in (1, 3):
        several = np.dstack([make_picture(height, width, seed)[..., 0] for seed in range(codec.image_channels)])
        for name, array in (("channels.npy", several), ("channels_16_bits.npy", several.astype(np.uint16) * 257)):
            paths.append(folder / name)
            np.save(paths[-1], array)
    return paths


def make_picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Make a smooth picture of colours with all values, (H, W, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
