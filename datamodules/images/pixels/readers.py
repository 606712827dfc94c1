"""Readers of images that Pillow does not read: arrays of numpy, TIFF of any channels, DICOM."""

import io
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightfit.errors import DataError, clip
from lightfit.extras import how_to_install

from .channels import COLOUR, GREY, TRANSPARENT
from .intensity import DICOM_VALUES
from .pixel_format import PixelFormat

NUMBERS = "buif"  # kinds of dtypes
DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax
INSTALL = how_to_install("formats")


class Values(NamedTuple):
    """What a file holds: values (H, W, C), the format of the file, and what the channels are.

    `type_name` is that of values of more than 8 bits, None for pixels. A window, (low, high), takes the place of the
    rule of intensity. Where `inverted`, the least value is white.
    """

    values: NDArray
    format_name: str
    colours: str
    bits: int
    type_name: str | None = None
    window: tuple[float, float] | None = None
    inverted: bool = False


def _damaged(error: Exception) -> DataError:
    """Return the error for what a package says of a damaged file, which may quote much of it."""
    return DataError(f"cut off or damaged: {clip(' '.join(str(error).split()) or type(error).__name__, 200)}")


def name_channels(count: int) -> str:
    """Return what channels are by their number."""
    return {1: GREY, 3: COLOUR}.get(count, f"{count} channels")


def from_array(values: NDArray, format_name: str) -> Values:
    """Return values (H, W) or (H, W, C) with their type.

    Raises:
        DataError: they are no real numbers, or of another shape.
    """
    if values.dtype.kind not in NUMBERS:
        raise DataError(f"expected an array of real numbers, received {values.dtype}")
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or not values.size:
        raise DataError(f"expected an array (H, W) or (H, W, C), received {values.shape}")
    if values.dtype.kind == "b":
        values = values.astype(np.uint8) * np.uint8(255)
    bits, kind = 8 * values.dtype.itemsize, values.dtype.newbyteorder("=").name
    return Values(values, format_name, name_channels(values.shape[2]), bits, None if kind == "uint8" else kind)


def measure_array(data: bytes) -> tuple[int, int]:
    """Return height and width of an array in a .npy file, from its header.

    Raises:
        DataError: the header is damaged, or the array is no image.
    """
    try:
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception as error:  # the header is evaluated, and may hold anything
        raise _damaged(error) from error
    if len(shape) not in (2, 3) or dtype.kind not in NUMBERS:
        raise DataError(f"expected an array (H, W) or (H, W, C) of real numbers, received {shape} of {dtype}")
    if math.prod(shape) * dtype.itemsize > len(data):
        raise DataError(f"cut off or damaged: expected {math.prod(shape):,} values, received {len(data):,} bytes")
    return int(shape[0]), int(shape[1])


def read_array(data: bytes) -> Values:
    """Read a .npy file.

    Raises:
        DataError: the file is cut off or damaged, or holds no image.
    """
    try:
        return from_array(np.load(io.BytesIO(data), allow_pickle=False), "NPY")
    except (ValueError, OSError, EOFError) as error:
        raise error if isinstance(error, DataError) else _damaged(error) from error


def measure_tiff(data: bytes) -> tuple[int, int]:
    """Return height and width of a TIFF that Pillow does not read.

    Raises:
        DataError: tifffile is not installed, or the file is damaged.
    """
    file = _open_tiff(data)
    try:
        page = file.pages[0]
        return int(page.imagelength), int(page.imagewidth)
    except Exception as error:  # tifffile may raise anything on a damaged file
        raise _damaged(error) from error


def read_tiff(data: bytes, form: PixelFormat) -> Values:
    """Read the first image of a TIFF; or, of images of one channel, as many as the format has channels.

    Raises:
        DataError: tifffile is not installed, or the file is damaged.
    """
    file = _open_tiff(data)
    try:
        page = file.pages[0]
        if page.samplesperpixel not in {1, 3, 4, form.channels} or page.imagedepth > 1:
            raise DataError(
                f"the image has {page.samplesperpixel} channels, expected {form.channels}: convert it, or set "
                "`channels` to the number of all images"
            )
        if page.samplesperpixel == 1 and form.channels > 1 and len(file.pages) == form.channels:
            values = np.stack([each.asarray() for each in file.pages], axis=-1)
        else:
            values = page.asarray()
            if page.samplesperpixel > 1 and page.axes.startswith("S"):  # a plane for each channel
                values = np.moveaxis(values, 0, -1)
    except DataError:
        raise
    except Exception as error:  # tifffile and the packages that decompress may raise anything
        raise _damaged(error) from error
    found = from_array(values, "TIFF")
    transparent = page.samplesperpixel == 4 and tuple(page.extrasamples) in ((1,), (2,))
    return found._replace(colours=TRANSPARENT) if transparent else found


def _open_tiff(data: bytes) -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise DataError(f"a TIFF of these channels or values needs the package tifffile: {INSTALL}") from error
    try:
        return tifffile.TiffFile(io.BytesIO(data))
    except Exception as error:  # tifffile may raise anything on a damaged file
        raise _damaged(error) from error


def measure_dicom(data: bytes) -> tuple[int, int]:
    """Return height and width of a DICOM image, from its header.

    Raises:
        DataError: pydicom is not installed, or the file is damaged or holds no image.
    """
    header = _open_dicom(data, stop_before_pixels=True)
    try:
        return int(header.Rows), int(header.Columns)
    except AttributeError as error:
        raise DataError(f"the DICOM file holds no image: {error}") from error
    except Exception as error:  # pydicom may raise anything on a damaged file
        raise _damaged(error) from error


def read_dicom(data: bytes) -> Values:
    """Read the first frame of a DICOM image: in the unit that the file defines (rescale), with its first window.

    A grey image without a window follows the rule of intensity, as the type `DICOM`.

    Raises:
        DataError: pydicom is not installed, or the file is damaged, or compressed in a way that needs a package.
    """
    dataset = _open_dicom(data)
    try:
        from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

        frame = pixel_array(dataset, index=0)
        kind = str(dataset.PhotometricInterpretation)
        if kind == "PALETTE COLOR":
            frame = apply_color_lut(frame, dataset)
            frame = (frame >> 8).astype(np.uint8) if frame.dtype == np.uint16 else frame
        if frame.ndim == 3:
            return from_array(frame, "DICOM")
        values = np.asarray(apply_modality_lut(frame, dataset))
        own: dict[str, Any] = {"bits": int(dataset.BitsStored), "type_name": DICOM_VALUES}
        own |= {"window": _read_window(dataset), "inverted": kind == "MONOCHROME1"}
        return from_array(values.astype(np.int16) if values.dtype == np.uint8 else values, "DICOM")._replace(**own)
    except DataError:
        raise
    except Exception as error:  # pydicom and its decoders may raise anything
        raise _damaged(error) from error


def _open_dicom(data: bytes, **options: Any) -> Any:
    if DEFLATED in data[:2048]:
        raise DataError("a DICOM file that is deflated as a whole, whose size is not known before: decompress it")
    try:
        import pydicom
    except ImportError as error:
        raise DataError(f"DICOM needs the package pydicom: {INSTALL}") from error
    try:
        return pydicom.dcmread(io.BytesIO(data), **options)
    except Exception as error:  # pydicom may raise anything on a damaged file
        raise _damaged(error) from error


def _read_window(dataset: Any) -> tuple[float, float] | None:
    """Return the values that become 0 and 255 by the first window; None without one.

    Source: DICOM PS3.3, C.11.2.1.2 (LINEAR) and C.11.2.1.3.2 (LINEAR_EXACT); a sigmoid is taken for linear.
    """
    centre, width = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if centre in (None, "") or width in (None, ""):
        return None
    centre, width = (float(item[0] if hasattr(item, "__len__") else item) for item in (centre, width))
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        return None
    if str(dataset.get("VOILUTFunction") or "LINEAR").upper() == "LINEAR":
        centre, width = centre - 0.5, max(width - 1, 1e-6)
    return centre - width / 2, centre + width / 2
