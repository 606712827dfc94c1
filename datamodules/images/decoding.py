"""Decoding of images: JPEG by libjpeg-turbo, other formats by Pillow, and some by packages of their own."""

import io
from typing import NamedTuple

import numpy as np
import PIL
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, features
from torch import Tensor

from lightfit.errors import DataError

from .pixels import formats
from .pixels.channels import COLOUR, GREY, PRINT, TRANSPARENT, convert_channels
from .pixels.formats import START, sniff
from .pixels.intensity import Range, choose_range, measure_range, scale_values
from .pixels.pixel_format import RGB, PixelFormat
from .pixels.readers import (
    INSTALL,
    Values,
    from_array,
    measure_array,
    measure_dicom,
    measure_tiff,
    read_array,
    read_dicom,
    read_tiff,
)

EXIF = b"Exif\0\0"
# By EXIF orientation: whether to transpose, then the dimensions to reverse. Source: JEITA CP-3451, Exif 2.2, table of
# the tag Orientation.
UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (2,)),
    3: (False, (1, 2)),
    4: (False, (1,)),
    5: (True, ()),
    6: (True, (2,)),
    7: (True, (1, 2)),
    8: (True, (1,)),
}
JPEG = b"\xff\xd8"
# A JPEG may have this many times as many pixels as the limit, as it is decoded at a reduced size. A progressive one
# needs memory for all its coefficients nevertheless, so this is a limit too.
JPEG_FACTOR = 4
# Names of the formats in Pillow, and what its build must have for them.
IN_PILLOW = {
    **{name: name for name in (formats.PNG, formats.GIF, formats.BMP, formats.TIFF, formats.WEBP, formats.AVIF)},
    **{formats.JPEG: "JPEG", formats.JPEG_2000: "JPEG2000", formats.PNM: "PPM", formats.QOI: "QOI"},
    formats.HEIC: "HEIF",
}
IN_BUILD = {formats.AVIF: "avif", formats.JPEG_2000: "jpg_2000", formats.WEBP: "webp"}
NO_PIXELS = ("EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR")  # opened by Pillow, but drawn by other programs, or never
LEAST_OF_16_BITS = 16  # of the upper 8 of 16 bits a colour, which are all that Pillow reads: less is 12 bits or fewer
SAMPLES, BITS, SAMPLE_FORMAT = 277, 258, 339  # tags of TIFF


class Decoded(NamedTuple):
    """A decoded image.

    Args:
        pixels: pixels, (C, H, W) uint8, upright.
        kind: format, bits and channels of the file, such as `PNG, 16 bits, grey`.
        values: least and largest value of an image of more than 8 bits that the rule of intensity applies to, for
            `fit_intensity`; None for others.
        value_type: type of these values, such as `uint16`.
    """

    pixels: Tensor
    kind: str
    values: Range | None = None
    value_type: str | None = None


def decode(data: bytes, *, form: PixelFormat = RGB, at_least: int = 0) -> Tensor:
    """Decode an image, upright by its EXIF orientation, (C, H, W) uint8.

    The format is that of the content. JPEG is decoded by libjpeg-turbo; other formats, and JPEGs that it cannot read,
    by Pillow, as torchvision's decoder ends the process on some damaged files. Of several frames the first is decoded.
    Values of more than 8 bits become pixels by the rule in `intensity.py`; colours of 16 bits lose the lower 8.

    Args:
        data: content of the image file.
        form: how its values become pixels.
        at_least: decode a JPEG at a reduced size whose shorter side is at least this, in pixels: at the fewest eighths
            of its size, at most one half; 0: at full size. Resized further, such pixels differ from those of the full
            image by less than 1 of 255 on average. A JPEG above `form.max_pixels` is reduced until it is below.

    Raises:
        DataError: as `read_image_size`, or the image is cut off or damaged, has values that are not finite, or has
            other channels than the format.
    """
    return decode_fully(data, form=form, at_least=at_least).pixels


def decode_fully(data: bytes, *, form: PixelFormat = RGB, at_least: int = 0) -> Decoded:
    """Decode an image as `decode`, and return what its file holds too."""
    if data.startswith(JPEG) and (decoded := _decode_jpeg(data, form, at_least)) is not None:
        return decoded
    name, (height, width) = _measure(data)
    check_size(height, width, form, is_jpeg=name == formats.JPEG)
    if name == formats.NPY:
        return _finish(read_array(data), form)
    if name == formats.DICOM:
        return _finish(read_dicom(data), form)
    if name == formats.TIFF and _needs_tifffile(data, form):
        return _finish(read_tiff(data, form), form)
    return _finish(_read_by_pillow(data, name, form), form)


def read_image_size(data: bytes, form: PixelFormat = RGB) -> tuple[int, int]:
    """Read height and width of an encoded image from its header, as stored (ignoring the EXIF orientation).

    Raises:
        DataError: the file is empty, not an image, needs a package that is not installed, or has more pixels than
            `form.max_pixels`, a JPEG more than `JPEG_FACTOR` times as many.
    """
    name, (height, width) = _measure(data)
    check_size(height, width, form, is_jpeg=name == formats.JPEG)
    return height, width


def check_size(height: int, width: int, form: PixelFormat, *, is_jpeg: bool = False) -> None:
    """Check the number of pixels of an image before it is decoded.

    Raises:
        DataError: they are more than the limit, or none.
    """
    if height < 1 or width < 1:
        raise DataError(f"an image without pixels: {width} x {height}")
    limit = form.max_pixels * (JPEG_FACTOR if is_jpeg else 1)
    if height * width > limit:
        raise DataError(
            f"{width:,} x {height:,} pixels, more than the limit of {limit:,} (a small file may decode to an image "
            "that fills the memory): scale it down, or increase `max_pixels`"
        )


def turn_upright(image: Tensor, orientation: int) -> Tensor:
    """Turn an image (C, H, W) upright by its EXIF orientation."""
    turned, reversed_dims = UPRIGHT.get(orientation, (False, ()))
    return (image.transpose(1, 2) if turned else image).flip(reversed_dims) if turned or reversed_dims else image


def _decode_jpeg(data: bytes, form: PixelFormat, at_least: int) -> Decoded | None:
    """Decode a JPEG; None if another decoder must handle it: if it is damaged, too large or in CMYK."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("RGB", "YCbCr", "Gray") or height * width > JPEG_FACTOR * form.max_pixels:
            return None
        # A scale above one half takes more time than it saves.
        smallest = {"min_factor": 2, "min_height": at_least, "min_width": at_least} if at_least else {}
        if height * width > form.max_pixels:
            smallest = _fit_scale(data, height, width, form.max_pixels, smallest)
        pixels = simplejpeg.decode_jpeg(data, **smallest)
    except ValueError:
        return None
    kind = GREY if colours == "Gray" else COLOUR
    if form.channels != 3:
        pixels = convert_channels(pixels[..., :1] if kind == GREY else pixels, kind, form)
    image = torch.from_numpy(pixels).permute(2, 0, 1)  # a view, since resizing is fastest in the decoder's memory order
    upright = turn_upright(image, _read_orientation(data)) if EXIF in data else image
    return Decoded(upright, f"JPEG, 8 bits, {kind}")


def _fit_scale(data: bytes, height: int, width: int, limit: int, smallest: dict[str, int]) -> dict[str, int]:
    """Return the arguments of the decoder for the largest size in eighths that is within a limit.

    Args:
        data: content of the file.
        height: full height.
        width: full width.
        limit: largest number of pixels.
        smallest: arguments to keep if their size is within the limit.
    """
    if smallest and np.prod(simplejpeg.decode_jpeg_header(data, **smallest)[:2]) <= limit:
        return smallest
    for eighths in range(7, 0, -1):
        sides = [-(-side * eighths // 8) for side in (height, width)]
        if sides[0] * sides[1] <= limit:
            break
    return {"min_height": sides[0], "min_width": sides[1]}


def _read_orientation(data: bytes) -> int:
    try:
        with _open(data, formats.JPEG) as image:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, SyntaxError, ValueError, TypeError):
        return 1


def _measure(data: bytes) -> tuple[str | None, tuple[int, int]]:
    """Return the format of an image, None if only Pillow knows it, and its height and width from its header.

    Raises:
        DataError: as `read_image_size`, but for the limit.
    """
    if not data:
        raise DataError("the file is empty (0 bytes)")
    name = formats.JPEG if data.startswith(JPEG) else sniff(data[:START])
    if name == formats.NPY:
        return name, measure_array(data)
    if name == formats.DICOM:
        return name, measure_dicom(data)
    _check_support(name)
    try:
        with _open(data, name) as image:
            if image.format in NO_PIXELS:
                raise ValueError
            return name, (image.height, image.width)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{' '.join(str(error).split())}: scale it down") from error
    except Exception as error:  # Pillow may raise anything on bytes that are not an image
        if name == formats.TIFF:
            return name, measure_tiff(data)
        raise DataError(
            f"not an image, or cut off: expected .jpg, .png or the like, received a file that begins with {data[:8]!r}"
        ) from error


def _open(data: bytes, name: str | None) -> Image.Image:
    """Open an image by Pillow, without the limit of its size where the format is known, as the caller has one."""
    Image.init()
    opener = Image.OPEN.get(IN_PILLOW.get(name or "", ""))
    return opener[0](io.BytesIO(data), "") if opener else Image.open(io.BytesIO(data))


def _check_support(name: str | None) -> None:
    """Check that what decodes a format is installed.

    Raises:
        DataError: it is not.
    """
    if name == formats.HEIC:
        try:
            import pillow_heif
        except ImportError as error:
            raise DataError(f"HEIC needs the package pillow-heif: {INSTALL}") from error
        pillow_heif.register_heif_opener(thumbnails=False)
    elif name in IN_BUILD and not features.check(IN_BUILD[name]):
        raise DataError(f"{name} is not in this build of Pillow {PIL.__version__}: pip install -U 'pillow>=11.3'")


def _needs_tifffile(data: bytes, form: PixelFormat) -> bool:
    """Return whether Pillow does not read a TIFF, or not all its channels that the format keeps."""
    try:
        with _open(data, formats.TIFF) as image:
            samples = int(image.tag_v2.get(SAMPLES, 1))  # type: ignore[attr-defined]
            several = samples == 1 and getattr(image, "n_frames", 1) == form.channels  # a frame for each channel
            return form.channels not in (1, 3) and (several or samples != len(image.getbands()))
    except Exception:  # Pillow may raise anything
        return True


def _read_by_pillow(data: bytes, name: str | None, form: PixelFormat) -> Values:
    try:
        with _open(data, name) as image:
            if image.width * image.height > form.max_pixels:  # a JPEG in CMYK
                _reduce_draft(image, form)
            bits = _count_bits(image, data)
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            upright = ImageOps.exif_transpose(image) if turned else image
            values, colours = _take_values(upright, image, form)
            if bits == 16 and values.dtype == np.uint8 and 0 < values[..., :3].max() < LEAST_OF_16_BITS:
                raise DataError(
                    "16 bits a colour, of which the upper 4 are not used and the lower 8 are not read, would be almost "
                    "black: convert it to 8 bits"
                )
    except DataError:
        raise
    except Exception as error:  # Pillow may raise anything on a damaged file
        raise DataError(f"cut off or damaged: {error or type(error).__name__}") from error
    found = from_array(values, name or image.format or "image")
    return found._replace(colours=colours, bits=bits)


def _reduce_draft(image: Image.Image, form: PixelFormat) -> None:
    """Have a JPEG decoded at the largest half, quarter or eighth of its size that is within the limit.

    Raises:
        DataError: none is.
    """
    width, height = image.size
    for factor in (2, 4, 8):
        if -(-width // factor) * -(-height // factor) <= form.max_pixels:
            image.draft(None, (width // factor, height // factor))
            break
    check_size(image.height, image.width, form)


def _take_values(upright: Image.Image, image: Image.Image, form: PixelFormat) -> tuple[NDArray, str]:
    """Return the values of an opened image, (H, W) or (H, W, C), and what its channels are.

    Args:
        upright: the image, turned upright.
        image: the image as it was opened, with what its file says.
        form: the format.
    """
    mode = upright.mode
    if mode.startswith("I;16"):
        return np.array(upright).astype(np.uint16), GREY
    if mode == "I":
        values = np.array(upright)
        if image.format in ("PPM", "PNG"):  # Pillow has scaled the former by the largest value that its header states
            return values.astype(np.uint16), GREY
        tags = getattr(image, "tag_v2", {})
        if tags.get(SAMPLE_FORMAT, (1,))[0] == 1 and tags.get(BITS) == (32,) and values.min() < 0:
            raise DataError("values above 2,147,483,647: convert them to floats, or to 16 bits")
        return values, GREY
    if mode == "F":
        return np.array(upright), GREY
    if upright.has_transparency_data and (form.background is not None or form.channels == 4):
        return np.array(upright.convert("RGBA")), TRANSPARENT
    if mode in ("1", "L"):
        return np.array(upright.convert("RGB" if form.channels == 3 else "L")), GREY
    if mode == "CMYK" and form.channels == 4:
        return np.array(upright), PRINT
    return np.array(upright if mode == "RGB" else upright.convert("RGB")), COLOUR


def _count_bits(image: Image.Image, data: bytes) -> int:
    """Return the number of bits of a value, as far as the file says it."""
    if image.format == "PNG":
        return data[24]
    if bits := getattr(image, "tag_v2", {}).get(BITS):
        return int(max(bits))
    return {"1": 1, "I": 16 if image.format == "PPM" else 32, "F": 32}.get(
        image.mode, 16 if image.mode.startswith("I;16") else 8
    )


def _finish(found: Values, form: PixelFormat) -> Decoded:
    """Convert the values of a file to pixels."""
    pixels, values, value_type = found.values, None, None
    if found.type_name is not None:
        measured = measure_range(pixels)
        limits = found.window or form.intensity.get(found.type_name) or choose_range(found.type_name, *measured)
        pixels = scale_values(pixels, *limits)
        if found.inverted:
            pixels = 255 - pixels
        if found.window is None:
            values, value_type = measured, found.type_name
    pixels = convert_channels(pixels, found.colours, form)
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    return Decoded(image, f"{found.format_name}, {found.bits} bits, {found.colours}", values, value_type)
