"""Images of many kinds, on which the example program is compared with the codec."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lightfit.datamodules import ImageCodec

Pixels = np.ndarray[Any, np.dtype[Any]]


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
