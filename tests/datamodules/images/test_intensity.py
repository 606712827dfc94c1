"""Values of more than 8 bits and transparency, pixel by pixel."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightfit.datamodules import DataError
from lightfit.datamodules.images.decoding import decode, decode_fully
from lightfit.datamodules.images.pixels.intensity import fit_intensity, scale_values
from lightfit.datamodules.images.pixels.pixel_format import BEFORE_FORMATS, PixelFormat
from lightfit.errors import CheckpointError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encode(pixels: np.ndarray | Image.Image, format: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    (Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels).save(data, format, **options)
    return data.getvalue()


def as_pgm(values: np.ndarray, top: int) -> bytes:
    return f"P5 {values.shape[1]} {values.shape[0]} {top}\n".encode() + values.astype(">u2").tobytes()


DEEP: dict[str, tuple[bytes, str, tuple[float, float], str]] = {
    "png": (encode(RAMP.astype(np.uint16) * 257), "uint16", (0, 65535), "PNG, 16 bits, grey"),
    "tiff": (encode(RAMP.astype(np.uint16) * 257, "TIFF"), "uint16", (0, 65535), "TIFF, 16 bits, grey"),
    "pgm": (as_pgm(RAMP.astype(np.uint16) * 257, 65535), "uint16", (0, 65535), "PNM, 16 bits, grey"),
    "pgm_12": (as_pgm(RAMP.astype(np.uint16) * 16 + RAMP // 16, 4095), "uint16", (0, 65535), "PNM, 16 bits, grey"),
    "jp2": (encode(RAMP.astype(np.uint16) * 257, "JPEG2000"), "uint16", (0, 65535), "JPEG 2000, 16 bits, grey"),
    "12_in_16": (encode(RAMP.astype(np.uint16) * 16 + RAMP // 16), "uint16", (0, 4095), "PNG, 16 bits, grey"),
    "int32": (encode(RAMP.astype(np.int32) * 257, "TIFF"), "int32", (0, 65535), "TIFF, 32 bits, grey"),
    "signed": (encode(RAMP.astype(np.int32) * 16 - 1024, "TIFF"), "int32", (-1024, 3056), "TIFF, 32 bits, grey"),
    "float": (encode(RAMP.astype(np.float32) / 255, "TIFF"), "float32", (0, 1), "TIFF, 32 bits, grey"),
    "float_255": (encode(RAMP.astype(np.float32), "TIFF"), "float32", (0, 255), "TIFF, 32 bits, grey"),
}


@pytest.mark.parametrize("name", DEEP)
def test_a_single_deep_image_becomes_the_ramp(name: str) -> None:
    data, value_type, values, kind = DEEP[name]
    decoded = decode_fully(data)
    for channel in decoded.pixels.numpy():
        np.testing.assert_array_equal(channel, RAMP)
    assert (decoded.value_type, decoded.values, decoded.kind) == (value_type, values, kind)


def test_the_rule_over_training_images() -> None:
    found = fit_intensity(
        [
            ("uint16", 10, 3000),
            ("float32", 0.1, 0.4),
            ("uint16", 50, 4095),
            ("float32", 0.0, 0.9),
            ("int32", -1000, 70_000),
            ("float64", -1.0, 1.0),
            ("uint32", 0, 3e9),
        ]
    )
    assert found == {
        "uint16": (10, 4095),  # the type's range is not used
        "float32": (0, 1),
        "float64": (-1, 1),
        "int32": (-1000, 70_000),
        "uint32": (0, 2**32 - 1),
    }
    assert fit_intensity([("uint16", 0, 32768)]) == {"uint16": (0, 65535)}
    assert fit_intensity([("uint16", 0, 32767)]) == {"uint16": (0, 32767)}
    assert fit_intensity([("int32", 7, 7), ("float32", 0, 0), ("float64", -2, -2)]) == {
        "float32": (0, 1),
        "float64": (-2, 0),
        "int32": (0, 7),
    }
    assert fit_intensity([]) == {}


def test_a_fitted_intensity_is_that_of_every_image() -> None:
    form = PixelFormat(intensity={"uint16": (0, 4095)})
    dark = (RAMP // 4).astype(np.uint16) * 16  # on its own it would be scaled to all of 0 to 255
    np.testing.assert_array_equal(decode(encode(dark), form=form)[0].numpy(), RAMP // 4)
    assert decode_fully(encode(dark), form=form).values == (0, 1008)
    bright = np.full((2, 2), 60_000, np.uint16)
    assert (decode(encode(bright), form=form) == 255).all()
    assert (decode(encode(RAMP), form=form)[0].numpy() == RAMP).all(), "8 bits stay as they are"


@pytest.mark.parametrize(("dtype", "low", "high"), [("uint16", 0, 65535), ("int16", -300, 20_000), ("int32", 0, 7)])
def test_bins_of_equal_width(dtype: str, low: int, high: int) -> None:
    values = np.arange(max(low, np.iinfo(dtype).min), high + 1).astype(dtype)[None]
    pixels = scale_values(values, low, high)[0]
    exact = [min((int(value) - low) * 256 // (high - low), 255) for value in values[0]]
    np.testing.assert_array_equal(pixels, exact)
    assert (pixels[0], pixels[-1]) == (0, 255)
    if dtype == "uint16":
        np.testing.assert_array_equal(pixels, values[0] >> 8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted(bad: float) -> None:
    values = RAMP.astype(np.float32)
    values[3, 4:6] = bad
    with pytest.raises(DataError, match="2 of 256 values are NaN or infinite: expected finite values"):
        decode(encode(values, "TIFF"))


def blend(colour: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.rint(colour * share + np.array(background) * (1 - share)).astype(np.uint8)


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (10, 200, 77)])
def test_alpha_is_laid_over_the_background(background: tuple[int, int, int]) -> None:
    rng, form = np.random.default_rng(0), PixelFormat(background=background)
    colour = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for format, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        data = encode(np.dstack([colour, RAMP]), format, **options)
        np.testing.assert_array_equal(decode(data, form=form).permute(1, 2, 0).numpy(), blend(colour, RAMP, background))
    grey = Image.merge("LA", [Image.fromarray(colour[..., 0]), Image.fromarray(RAMP)])
    expected = blend(np.stack([colour[..., 0]] * 3, -1), RAMP, background)
    np.testing.assert_array_equal(decode(encode(grey), form=form).permute(1, 2, 0).numpy(), expected)
    sign = np.zeros((4, 4, 4), np.uint8)
    sign[1:3, 1:3, 3] = 255  # black on transparent ground
    assert decode(encode(sign), form=form)[:, 0, 0].tolist() == list(background)
    assert decode(encode(sign), form=form)[:, 1, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette(format: str) -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 2, 2))
    pixels = decode(encode(image, format, transparency=1), form=PixelFormat(background=(1, 2, 3)))
    assert pixels[:, 0, 0].tolist() == [1, 2, 3]
    assert pixels[:, 0, 3].tolist() == [255, 0, 0]


def test_a_checkpoint_without_a_format_reads_as_before() -> None:
    dark = RAMP.astype(np.uint16) * 16
    np.testing.assert_array_equal(decode(encode(dark), form=BEFORE_FORMATS)[0].numpy(), dark >> 8)
    sign = np.dstack([np.full((4, 4, 3), 9, np.uint8), np.zeros((4, 4), np.uint8)])
    assert (decode(encode(sign), form=BEFORE_FORMATS) == 9).all()


def test_formats_are_kept_and_checked() -> None:
    form = PixelFormat(channels=4, background=(1, 2, 3), intensity={"uint16": (0, 4095)}, max_pixels=10**9)
    assert PixelFormat.from_dict(form.to_dict()) == form
    assert PixelFormat.from_dict(BEFORE_FORMATS.to_dict()) == BEFORE_FORMATS
    assert PixelFormat.from_dict({}) == PixelFormat()
    for forged, problem in (
        ({"channels": 0}, "`channels` from 1 to 1024, received 0"),
        ({"channels": 10**9}, "`channels`"),
        ({"background": [1, 2, 300]}, "`background` as red, green and blue from 0 to 255"),
        ({"background": [1, 2]}, "`background`"),
        ({"max_pixels": 0}, "`max_pixels` from 1"),
        ({"intensity": {"uint16": [5, 5]}}, "`intensity` as finite numbers low < high"),
        ({"intensity": {"uint16": [0, float("inf")]}}, "`intensity`"),
        ({"intensity": {"uint16": [float("nan"), 1]}}, "`intensity`"),
        ({"intensity": {"x" * 20: [0, 1]}}, "`intensity`"),
    ):
        with pytest.raises(CheckpointError, match=f"damaged or forged: expected {problem}"):
            PixelFormat.from_dict(forged)
