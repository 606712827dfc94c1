"""Predict images with an exported net, with onnxruntime, numpy and Pillow only:
`python onnx_images.py model.onnx a.png b.jpg`.

Copy `prepare` into your own program: its pixels are those of the training, for files that Pillow reads, and for .npy.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def find_range(values):
    """Return the values that become 0 and 255, for a type that was not among the training images."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("values are NaN or infinite")
    if values.dtype.kind == "u" and high > np.iinfo(values.dtype).max / 2:
        return 0, np.iinfo(values.dtype).max
    if values.dtype.kind == "f" and low >= 0 and 0.5 < high <= 1:
        return 0, 1
    return (low, high) if low < high else (min(low, 0), max(high, 0)) if low else (0, 1)


def to_8_bits(values, intensity):
    """Divide values into 256 bins of equal width."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint8:
        return values
    low, high = intensity.get(values.dtype.newbyteorder("=").name) or find_range(values)
    return np.clip(np.floor((values.astype(float) - low) * 256 / (high - low)), 0, 255).astype(np.uint8)


def read(path, form):
    """Return the pixels of a file, upright, (height, width, channels) uint8."""
    channels, background = form["channels"], form["background"]  # the background is None if alpha was dropped
    if path.endswith(".npy"):
        pixels = to_8_bits(np.load(path), form["intensity"])
        if pixels.ndim == 3 and pixels.shape[2] == channels:
            return pixels
        image = Image.fromarray(pixels)
    else:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
        if image.mode[0] in "IF":  # more than 8 bits
            values = np.asarray(image)
            if image.mode.startswith("I;16") or (image.mode == "I" and file.format in ("PNG", "PPM")):
                values = values.astype(np.uint16)
            image = Image.fromarray(to_8_bits(values, form["intensity"]))
    if channels == 4:
        return np.asarray(image if image.mode == "CMYK" else image.convert("RGBA"))
    if image.has_transparency_data and background is not None:
        rgba = np.asarray(image.convert("RGBA")).astype(float)
        alpha = rgba[..., 3:] / 255
        image = Image.fromarray(np.rint(rgba[..., :3] * alpha + np.array(background) * (1 - alpha)).astype(np.uint8))
    pixels = np.asarray(image.convert("RGB").convert("L" if channels == 1 else "RGB"))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] != channels:
        raise ValueError(f"{path} has {pixels.shape[2]} channels, expected {channels}")
    return pixels


def resize(pixels, size, interpolation):
    """Resize each channel to (height, width)."""
    method = Image.Resampling[interpolation.upper()]
    planes = [Image.fromarray(plane).resize(tuple(size)[::-1], method) for plane in np.moveaxis(pixels, 2, 0)]
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def fit(pixels, known):
    """Bring pixels to the size of the net's input, by cropping the centre, padding or squishing."""
    full, size, side = pixels.shape[:2], (known["height"], known["width"]), known["kept_side"]
    if side and min(full) > side and max(full) > 64:  # photographs are reduced first
        pixels = resize(pixels, [max(side, round(length * side / min(full))) for length in full], "bicubic")
    ratios = [length / own for length, own in zip(size, full, strict=True)]
    if known["resize"] == "squish":
        return resize(pixels, size, known["interpolation"])
    if known["resize"] == "pad":
        inside = [min(max(round(own * min(ratios)), 1), length) for own, length in zip(full, size, strict=True)]
        background = known["form"]["background"] or (255, 255, 255)
        grey = round(np.dot(background, (0.299, 0.587, 0.114)))
        padded = np.empty((*size, pixels.shape[2]), np.uint8)
        padded[...] = background if pixels.shape[2] == 3 else grey
        top, left = (size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2
        padded[top : top + inside[0], left : left + inside[1]] = resize(pixels, inside, known["interpolation"])
        return padded
    # Scale the image until it covers the size plus a border, then crop the centre.
    scale = max(ratios) * known["border"]
    scaled = [max(int(own * scale + 1e-6), length) for own, length in zip(full, size, strict=True)]
    top, left = (round((own - length) / 2) for own, length in zip(scaled, size, strict=True))
    return resize(pixels, scaled, known["interpolation"])[top : top + size[0], left : left + size[1]]


def prepare(path, known):
    """Return a file as the net's input, (channels, height, width) float32."""
    pixels = fit(read(path, known["form"]), known) / 255
    return ((pixels - known["mean"]) / known["std"]).transpose(2, 0, 1).astype(np.float32)


def main(model, *paths):
    """Print the prediction for each file."""
    session = onnxruntime.InferenceSession(model)
    known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
    x = np.stack([prepare(path, known) for path in paths])
    target = known["target"]
    for path, y in zip(paths, session.run(None, {"x": x})[0], strict=True):
        if target["kind"] == "classes":  # a probability for each class
            print(target["names"][y.argmax()], f"{y.max():.6f}", path)
        elif target["kind"] == "multi_label":  # for each label a probability, and the threshold that it must reach
            pairs = zip(target["names"], y, strict=True)
            print("|".join(name for name, (probability, threshold) in pairs if probability >= threshold), path)
        else:  # for each number its value and the ends of its interval, scaled
            values = y * np.array(target["std"])[:, None] + np.array(target["mean"])[:, None]
            for name, (value, low, high) in zip(target["names"], values, strict=True):
                print(name, f"{value:.6g} ({low:.6g} to {high:.6g})" if low <= high else f"{value:.6g}", path)


if __name__ == "__main__":
    main(*sys.argv[1:])
