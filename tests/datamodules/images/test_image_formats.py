"""Formats of images: recognised by content, read pixel by pixel, or refused with what is missing."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightfit.datamodules import DataError
from lightfit.datamodules.images.codec import ImageCodec
from lightfit.datamodules.images.decoding import decode, decode_fully, read_image_size
from lightfit.datamodules.images.pixels import formats
from lightfit.datamodules.images.pixels.formats import START, has_image_suffix, is_image_content, is_image_file, sniff
from lightfit.datamodules.images.pixels.pixel_format import BEFORE_FORMATS, PixelFormat
from lightfit.datamodules.targets import Classes
from lightfit.errors import CheckpointError
from lightfit.scripts.inference.inputs.images import ImageInputs

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8)
SMOOTH = np.stack([np.add.outer(np.arange(32), 4 * np.arange(48))] * 3, -1).astype(np.uint8)


def encode(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    data = io.BytesIO()
    (Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels).save(data, format, **options)
    return data.getvalue()


def as_npy(values: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, values)
    return data.getvalue()


def as_array(pixels: torch.Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("name", "format", "options"),
    [
        (formats.PNG, "PNG", {}),
        (formats.BMP, "BMP", {}),
        (formats.TIFF, "TIFF", {}),
        (formats.WEBP, "WEBP", {"lossless": True}),
        (formats.AVIF, "AVIF", {"quality": 100, "subsampling": "4:4:4"}),
        (formats.JPEG_2000, "JPEG2000", {}),
        (formats.JPEG_2000, "JPEG2000", {"no_jp2": True}),
        (formats.PNM, "PPM", {}),
        (formats.QOI, "QOI", {}),
        (formats.JPEG, "JPEG", {"quality": 100, "subsampling": 0}),
        (formats.JPEG, "MPO", {"quality": 100, "subsampling": 0}),
        (None, "TGA", {}),
    ],
)
def test_formats_are_read_by_content(name: str | None, format: str, options: dict[str, Any]) -> None:
    data = encode(SMOOTH, format, **options)
    assert sniff(data[:64]) == name
    assert is_image_content(data) == (name is not None)
    decoded = decode_fully(data)
    assert np.abs(as_array(decoded.pixels).astype(int) - SMOOTH).max() <= (
        3 if format in ("JPEG", "MPO", "AVIF") else 0
    )
    assert decoded.kind == f"{name or 'TGA'}, 8 bits, RGB"
    assert (decoded.values, decoded.value_type) == (None, None)
    assert read_image_size(data) == (32, 48)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_is_read(format: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    np.testing.assert_array_equal(as_array(decode(data))[0, 0], (255, 0, 0))


def test_names_and_content_decide_which_files_of_a_folder_are_images() -> None:
    png = encode(COLOURS, "PNG")

    def never() -> bytes:
        raise AssertionError("the content of a file with an ending is not read")

    assert all(has_image_suffix(f"a/b{suffix.upper()}") for suffix in formats.IMAGE_SUFFIXES)
    assert is_image_file("a/b.JFIF", never)
    assert not is_image_file("a/b.txt", never)
    assert not is_image_file("a/.b.png", never)
    assert is_image_file("a.b/scan0001", lambda: png[:START])
    assert not is_image_file("a/README", lambda: b"BM is how a bitmap begins, and P5 too")


@pytest.mark.parametrize(
    "data", [b"", b"BM is a company", b"P5 is a pyramid", b"RIFF....WAVE", b"....ftypisom" + bytes(9)]
)
def test_what_is_no_image_is_not_recognised(data: bytes) -> None:
    assert sniff(data) is None


def test_postscript_is_refused() -> None:
    data = encode(COLOURS, "EPS")
    with pytest.raises(DataError, match="not an image, or cut off"):
        decode(data)


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    data = encode(SMOOTH, "HEIF", quality=100)
    assert sniff(data) == formats.HEIC
    decoded = decode_fully(data)
    assert decoded.kind == "HEIC, 8 bits, RGB"
    assert np.abs(as_array(decoded.pixels).astype(int) - SMOOTH).max() <= 12


def as_dicom(values: np.ndarray, **tags: Any) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.Rows, data.Columns = values.shape[:2]
    bits = 8 * values.itemsize
    data.SamplesPerPixel = 1 if values.ndim == 2 else values.shape[2]
    data.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    if values.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = values.tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def test_dicom_by_its_window() -> None:
    values = np.array([[0, 1000], [1128, 4000]], np.int16)
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": [1000.5, 5], "WindowWidth": [257, 6]}
    data = as_dicom(values, **tags)
    assert sniff(data[:START]) == formats.DICOM
    decoded = decode_fully(data)
    # Values in the file's unit are -1000, 1000, 1256 and 7000; the first window is 872 to 1128.
    np.testing.assert_array_equal(as_array(decoded.pixels)[..., 0], [[0, 128], [255, 255]])
    assert (decoded.kind, decoded.values) == ("DICOM, 16 bits, grey", None)
    inverted = as_dicom(values, **tags, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(as_array(decode(inverted))[..., 0], [[255, 127], [0, 0]])
    assert read_image_size(data) == (2, 2)


def test_dicom_without_a_window_follows_the_rule_of_intensity() -> None:
    values = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    decoded = decode_fully(as_dicom(values, BitsStored=12, HighBit=11, RescaleSlope=1, RescaleIntercept=-24))
    np.testing.assert_array_equal(as_array(decoded.pixels)[..., 0], values // 4)
    assert (decoded.values, decoded.value_type) == ((-24.0, 999.0), "DICOM")
    form = PixelFormat(intensity={"DICOM": (-24, 2023)})
    np.testing.assert_array_equal(
        as_array(decode(as_dicom(values, RescaleSlope=1, RescaleIntercept=-24), form=form))[..., 1], values // 8
    )


def test_dicom_in_colour() -> None:
    np.testing.assert_array_equal(as_array(decode(as_dicom(COLOURS))), COLOURS)


@pytest.mark.parametrize(
    ("package", "data", "problem"),
    [
        ("pillow_heif", b"\0\0\0\x18ftypheic" + bytes(50), "HEIC needs the package pillow-heif"),
        ("pydicom", bytes(128) + b"DICM", "DICOM needs the package pydicom"),
        ("tifffile", b"II*\0" + bytes(50), "a TIFF of these channels or values needs the package tifffile"),
    ],
)
def test_a_missing_package_is_named(package: str, data: bytes, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"{problem}: pip install 'lightfit\[formats\]'"):
        decode(data)


def test_a_build_of_pillow_without_a_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(COLOURS, "AVIF")
    monkeypatch.setattr("PIL.features.check", lambda name: name != "avif")
    with pytest.raises(DataError, match="AVIF is not in this build of Pillow .*: pip install -U 'pillow>=11.3'"):
        decode(data)


@pytest.mark.parametrize("start", [b"", b"II*\0", b"\x93NUMPY\x01\0", b"\0\0\0\x18ftypheic", bytes(128) + b"DICM"])
def test_damaged_files_of_every_reader(start: bytes) -> None:
    with pytest.raises(DataError):
        decode(start + b"\x01garbage" * 40)


def test_channels_of_colours_and_grey() -> None:
    grey = COLOURS[..., 0]
    for data in (encode(COLOURS, "PNG"), encode(Image.fromarray(COLOURS).convert("RGB"), "TIFF"), as_npy(COLOURS)):
        luma = as_array(decode(data, form=PixelFormat(channels=1)))
        np.testing.assert_array_equal(luma[..., 0], np.asarray(Image.fromarray(COLOURS).convert("L")))
        opaque = as_array(decode(data, form=PixelFormat(channels=4)))
        np.testing.assert_array_equal(opaque[..., :3], COLOURS)
        assert (opaque[..., 3] == 255).all()
    for data in (encode(grey, "PNG"), as_npy(grey)):
        np.testing.assert_array_equal(as_array(decode(data, form=PixelFormat(channels=1)))[..., 0], grey)
        np.testing.assert_array_equal(as_array(decode(data)), np.stack([grey] * 3, -1))
    jpeg = encode(SMOOTH, "JPEG")
    luma = decode(jpeg, form=PixelFormat(channels=1))
    expected = np.asarray(Image.fromarray(as_array(decode(jpeg)).copy()).convert("L"))
    np.testing.assert_array_equal(as_array(luma)[..., 0], expected)
    assert decode(encode(SMOOTH[..., 0], "JPEG"), form=PixelFormat(channels=1)).shape == (1, 32, 48)


def test_four_channels_are_kept() -> None:
    four = RNG.integers(0, 256, (9, 7, 4), dtype=np.uint8)
    form = PixelFormat(channels=4)
    for data in (
        encode(Image.fromarray(four, "RGBA"), "PNG"),
        encode(Image.frombytes("CMYK", (7, 9), four.tobytes()), "TIFF"),
        as_npy(four),
    ):
        np.testing.assert_array_equal(as_array(decode(data, form=form)), four)


@pytest.mark.parametrize("count", [2, 4, 5, 13])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("planar", ["contig", "separate", "pages"])
def test_any_number_of_channels(count: int, dtype: str, planar: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    top = 255 if dtype == "uint8" else 65535 if dtype == "uint16" else 1
    values = (RNG.integers(0, 256, (9, 7, count)) / 255 * top).astype(dtype)
    values[0, 0], values[0, 1] = 0, top
    expected = (values.astype(float) / top * 255.999).astype(np.uint8) if dtype != "uint16" else values >> 8
    file = io.BytesIO()
    if planar == "pages":
        tifffile.imwrite(file, np.moveaxis(values, -1, 0), photometric="minisblack", metadata=None)
    else:
        plane = values if planar == "contig" else np.moveaxis(values, -1, 0)
        tifffile.imwrite(file, plane, photometric="minisblack", planarconfig=planar)
    form = PixelFormat(channels=count)
    for data in (file.getvalue(), as_npy(values)):
        np.testing.assert_array_equal(as_array(decode(data, form=form)), expected)
    with pytest.raises(
        DataError, match=rf"the image has {count} channels .*, expected 7: convert it, or set `channels`"
    ):
        decode(as_npy(values), form=PixelFormat(channels=7))


def test_arrays_that_are_no_images() -> None:
    for values, problem in (
        (np.zeros(5), r"expected an array \(H, W\) or \(H, W, C\) of real numbers, received \(5,\) of float64"),
        (np.zeros((2, 2), complex), "of real numbers, received .* of complex128"),
        (np.array([["a"]]), "of real numbers"),
        (np.array([[{}]], object), "of real numbers"),
    ):
        with pytest.raises(DataError, match=problem):
            decode(as_npy(values))
    with pytest.raises(DataError, match="cut off or damaged: expected 90,000 values, received 1,000 bytes"):
        decode(as_npy(np.zeros((300, 300), np.uint8))[:1000])


def test_a_jpeg_above_the_limit_is_decoded_reduced() -> None:
    data = encode(np.repeat(np.repeat(SMOOTH, 8, 0), 8, 1), "JPEG", quality=95)  # 256 x 384
    whole = as_array(decode(data)).astype(int)
    for limit, at_least, shape in ((60_000, 0, (192, 288)), (60_000, 64, (64, 96)), (24_576, 0, (128, 192))):
        reduced = as_array(decode(data, form=PixelFormat(max_pixels=limit), at_least=at_least))
        assert reduced.shape[:2] == shape
        small = np.asarray(Image.fromarray(whole.astype(np.uint8)).resize(shape[::-1], Image.Resampling.BOX))
        assert np.abs(reduced - small.astype(int)).mean() < 1
    with pytest.raises(DataError, match="384 x 256 pixels, more than the limit of 80,000 .*increase `max_pixels`"):
        decode(data, form=PixelFormat(max_pixels=20_000))
    with pytest.raises(DataError, match="48 x 32 pixels, more than the limit of 1,000"):
        decode(encode(SMOOTH, "PNG"), form=PixelFormat(max_pixels=1000))
    cmyk = encode(Image.fromarray(np.repeat(np.repeat(SMOOTH, 8, 0), 8, 1)).convert("CMYK"), "JPEG")
    assert decode(cmyk, form=PixelFormat(max_pixels=60_000)).shape == (3, 128, 192)


def test_a_limit_above_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # refuses 200 pixels
    np.testing.assert_array_equal(as_array(decode(encode(COLOURS, "PNG"))), COLOURS)


def make_codec(**options: Any) -> ImageCodec:
    channels = options.get("form", PixelFormat()).channels
    own = {"mean": (0.5,) * channels, "std": (0.25,) * channels, "image_size": (8, 10), "border": 1.0}
    return ImageCodec(target=Classes(["a", "b"]), **{**own, **options})


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_a_codec_of_any_channels(channels: int, tmp_path: Path) -> None:
    codec = make_codec(form=PixelFormat(channels=channels))
    assert codec.image_channels == channels
    assert codec.dummy_batch().shape == (2, channels, 8, 10)
    values = RNG.integers(0, 256, (8, 10, channels), dtype=np.uint8)
    (tmp_path / "a").write_bytes(as_npy(values))
    path, pixels = tmp_path / "a", torch.from_numpy(values).permute(2, 0, 1)
    x = codec.encode([path, str(path), pixels, codec.prepare(as_npy(values))])
    np.testing.assert_allclose(x.permute(0, 2, 3, 1).numpy(), np.stack([values / 255 * 4 - 2] * 4), atol=1e-5)
    np.testing.assert_allclose(codec.denormalise(x)[0].permute(1, 2, 0), values / 255, atol=1e-5)
    with pytest.raises(DataError, match=rf"expected images of {channels} channels \(C, H, W\), received \(2, 8, 10\)"):
        codec.encode([torch.zeros(2, 8, 10, dtype=torch.uint8)])


def test_a_codec_keeps_how_images_are_read(tmp_path: Path) -> None:
    form = PixelFormat(intensity={"uint16": (0, 4095)}, background=(1, 2, 3))
    codec = make_codec(form=form, resize="pad", interpolation="bicubic", kept_side=20)
    state = json.loads(json.dumps(codec.to_dict()))
    assert ImageCodec.from_dict(state) == codec
    known = codec.metadata()
    assert {name: known[name] for name in ("form", "resize", "interpolation", "kept_side")} == {
        "form": form.to_dict(),
        "resize": "pad",
        "interpolation": "bicubic",
        "kept_side": 20,
    }
    older = ImageCodec.from_dict({name: state[name] for name in ("class_names", "image_size", "border", "mean", "std")})
    assert (older.form, older.resize, older.interpolation, older.kept_side) == (BEFORE_FORMATS, "crop", "bilinear", 0)
    (tmp_path / "narrow.png").write_bytes(encode(Image.new("1", (300_000, 1)), "PNG"))
    with pytest.raises(DataError, match="narrow.png: an image of 300000 x 1 pixels would be scaled to"):
        make_codec(image_size=(96, 96)).encode([tmp_path / "narrow.png"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", [0, 5]),
        ("image_size", [10_000, 10_000]),
        ("border", 1e9),
        ("border", float("nan")),
        ("mean", [0.5] * 5),
        ("std", [0.0, 1, 1]),
        ("std", [float("inf"), 1, 1]),
        ("resize", "x"),
        ("interpolation", "nearest"),
        ("kept_side", -1),
        ("form", {"channels": 10**6}),
    ],
)
def test_a_forged_codec_is_refused(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match="damaged or forged"):
        ImageCodec.from_dict({**make_codec().to_dict(), name: value})


def test_files_of_a_folder_and_files_by_name(tmp_path: Path) -> None:
    png = encode(COLOURS, "PNG")
    for name in ("a.JFIF", "scan", "b/c.avif", "notes.txt", "readme", ".hidden.png", ".cache/d.png", "e.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"text" if name in ("notes.txt", "readme") else png)
    found = ImageInputs().stream([str(tmp_path)])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.JFIF", "b/c.avif", "scan"]
    named = list(ImageInputs().stream([str(tmp_path / "e.dat")]))
    assert make_codec().encode(named).shape == (1, 3, 8, 10)


def test_colours_of_12_of_16_bits_are_refused() -> None:
    tifffile = pytest.importorskip("tifffile")
    for top, refused in ((4095, True), (65535, False), (0, False)):
        file = io.BytesIO()
        tifffile.imwrite(file, (COLOURS / 255 * top).astype(np.uint16), photometric="rgb")
        if refused:
            with pytest.raises(DataError, match="16 bits a colour, .* would be almost black: convert it to 8 bits"):
                decode(file.getvalue())
        else:
            decoded = decode_fully(file.getvalue())
            assert decoded.kind == "TIFF, 16 bits, RGB"
            np.testing.assert_array_equal(as_array(decoded.pixels), (COLOURS / 255 * top).astype(np.uint16) >> 8)


def test_what_may_fill_the_memory_is_refused() -> None:
    for data, problem in (
        (as_npy(np.zeros((0, 5), np.uint8)), "an image without pixels: 5 x 0"),
        (as_dicom(COLOURS).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"), "deflated as a whole"),
    ):
        with pytest.raises(DataError, match=problem):
            decode(data)
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((2, 2, 5000), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(DataError, match="the image has 5000 channels, expected 5"):
        decode(file.getvalue(), form=PixelFormat(channels=5))
