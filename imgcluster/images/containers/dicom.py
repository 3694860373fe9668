"""DICOM: rescale, window, polarity, palette and colours of the first frame (PS3.3, C.7.6.3, C.11.1, C.11.2)."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import numpy as np

from imgcluster.config import Reading
from imgcluster.errors import ImageError
from imgcluster.images.containers import jpeg
from imgcluster.images.extras import FORMATS
from imgcluster.images.headers import Size
from imgcluster.images.limits import MAX_BYTES, TOO_DEEP, check_size
from imgcluster.images.refusals import needs, not_read
from imgcluster.images.stored import Stored, Wanted

BY_WINDOW = ("auto", "declared")  # ranges; others are of the values in the units of the file
MONOCHROME, WHITE_IS_ZERO = ("MONOCHROME1", "MONOCHROME2"), "MONOCHROME1"
PIXEL_DATA = b"\xe0\x7f\x10\x00"  # the tag, in the order of bytes that nearly all files have
PALETTE = "PALETTE COLOR"
JPEG_LS = "jpegls_decode"
# The decoders of imagecodecs by the UID of the transfer syntax (PS3.6, A-1), of frames that pydicom does not decode.
CODECS = {
    "1.2.840.10008.1.2.4.51": "jpeg8_decode",  # of 12 bits
    "1.2.840.10008.1.2.4.57": "ljpeg_decode",
    "1.2.840.10008.1.2.4.70": "ljpeg_decode",
    "1.2.840.10008.1.2.4.80": JPEG_LS,
    "1.2.840.10008.1.2.4.81": JPEG_LS,
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.91": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.201": "htj2k_decode",
    "1.2.840.10008.1.2.4.202": "htj2k_decode",
    "1.2.840.10008.1.2.4.203": "htj2k_decode",
}
OTHER_COLOURS = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420")  # which these leave as they are
JPEG_2000 = b"\xff\x4f\xff\x51"  # the first two markers of its codestream; then length, profile and size
JPEG_2000_BOXES_BYTES = 1024  # before it, where it is in a file of its own
NO_WIDTH = 1e-9  # of a window that has none: what is above is white
DEFLATED = b"1.2.840.10008.1.2.1.99"
META_AT = 144  # where the elements about the file begin, behind their length
INFLATED_BYTES_AT_ONCE = 2**24
# What pydicom, and numpy and Pillow through it, raise of damaged files.
ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, MemoryError, SyntaxError),
    *(EOFError, OverflowError, AssertionError, struct.error, zlib.error),
)


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode the first frame of a DICOM file. Raises ImageError."""
    try:
        from pydicom import dcmread
        from pydicom.errors import BytesLengthException
    except ImportError:
        raise ImageError(needs("DICOM", FORMATS)) from None
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # it tells of each decoder that does not read a file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values against the standard: pixels can be read all the same
            _check_deflated(data)
            file = dcmread(BytesIO(data), force=True)
            if "PixelData" not in file and PIXEL_DATA in data:
                raise ImageError("truncated DICOM")
            return _first_frame(file, wanted.reading)
    except (*ERRORS, BytesLengthException):
        raise ImageError("damaged DICOM") from None


def _check_deflated(data: bytes) -> None:
    """Refuse a data set that inflates to more than any image (PS3.5, A.5), before pydicom inflates it."""
    start = META_AT + int.from_bytes(data[META_AT - 4 : META_AT], "little")
    if DEFLATED not in data[:start]:
        return
    inflate, rest, size = zlib.decompressobj(-zlib.MAX_WBITS), data[start:], 0
    while rest and size <= MAX_BYTES:
        size += len(inflate.decompress(rest, INFLATED_BYTES_AT_ONCE))
        rest = inflate.unconsumed_tail
    if size > MAX_BYTES:
        raise ImageError(TOO_DEEP)


def _first_frame(file: Any, reading: Reading) -> Stored:
    from pydicom.pixels import apply_color_lut
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "PixelData" not in file:
        raise ImageError(f"DICOM without a picture ({file.get('Modality') or 'no modality'})")
    if "TransferSyntaxUID" not in file.file_meta:  # written without a header
        file.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if file.original_encoding[0] else ExplicitVRLittleEndian
        )
    depth = int(file.get("SamplesPerPixel", 1)) * (int(file.BitsAllocated) + 7) // 8
    check_size(Size(int(file.Rows), int(file.Columns), depth))
    frame = _decoded(file)
    if frame.ndim == 3:
        return Stored(frame, white=2 ** int(file.BitsStored) - 1, icc=file.get("ICCProfile"))
    if file.PhotometricInterpretation == PALETTE:
        colours = apply_color_lut(frame, file)
        return Stored(colours, white=2 ** (8 * colours.dtype.itemsize) - 1)
    # Both say the same; radiographs have both (PS3.3, C.8.11.3.1.2).
    is_inverse = file.PhotometricInterpretation == WHITE_IS_ZERO or file.get("PresentationLUTShape") == "INVERSE"
    if reading.range in BY_WINDOW:
        return Stored(_windowed(frame, file), white_is_zero=is_inverse)
    values, padding = _rescaled(frame, file).astype(np.float32), _padding(frame, file)
    nodata = None if padding is None else float(values[padding][0])
    return Stored(values, white_is_zero=is_inverse, nodata=nodata)


def _decoded(file: Any) -> np.ndarray:
    """Return the samples of the first frame, (height, width[, 3]), colours as RGB."""
    from pydicom.pixels import get_decoder, pixel_array

    syntax = file.file_meta.TransferSyntaxUID
    if get_decoder(syntax).is_available:
        try:
            return np.asarray(pixel_array(file, index=0))
        except RuntimeError:  # Pillow decodes some of a kind
            if syntax not in CODECS:
                raise
    if syntax not in CODECS or file.PhotometricInterpretation in OTHER_COLOURS:
        raise ImageError(not_read(f"DICOM, {syntax.name}"))
    try:
        import imagecodecs
    except ImportError:
        raise ImageError(needs(f"DICOM, {syntax.name}", FORMATS)) from None
    fragment = _first_fragment(file)
    if _size_of(fragment) != (file.Rows, file.Columns):  # which have been checked
        raise ValueError("a frame of another size")
    if CODECS[syntax] == JPEG_LS and jpeg.is_too_short(fragment, int(file.Rows), int(file.Columns)):
        raise ValueError("a frame that is cut off")
    return _signed(getattr(imagecodecs, CODECS[syntax])(fragment), file)


def _first_fragment(file: Any) -> bytes:
    from pydicom.encaps import get_frame

    frames = int(file.get("NumberOfFrames") or 1)
    return bytes(get_frame(file.PixelData, 0, number_of_frames=frames))


def _size_of(fragment: bytes) -> tuple[int, int] | None:
    """Return the height and width that a JPEG, JPEG-LS or JPEG 2000 declares."""
    if (at := fragment.find(JPEG_2000, 0, JPEG_2000_BOXES_BYTES)) >= 0:
        width, height, left, top = struct.unpack_from(">4I", fragment, at + len(JPEG_2000) + 4)
        return height - top, width - left
    frame, _ = jpeg.read_header(fragment)
    return None if frame is None else (frame.height, frame.width)


def _signed(samples: np.ndarray, file: Any) -> np.ndarray:
    """Return decoded samples as two's complement of the bits stored, where they are signed."""
    if not file.PixelRepresentation:
        return samples
    unused = 8 * samples.dtype.itemsize - int(file.BitsStored)
    return np.asarray((samples << unused).view(f"i{samples.dtype.itemsize}") >> unused)


def _rescaled(frame: np.ndarray, file: Any) -> np.ndarray:
    """Return grey in the units of the file, such as Hounsfield's of CT (PS3.3, C.11.1)."""
    from pydicom.pixels import apply_modality_lut

    return np.asarray(apply_modality_lut(frame, _with(file, "RescaleSlope", "PixelValueTransformationSequence")))


def _windowed(frame: np.ndarray, file: Any) -> np.ndarray:
    """Return grey as uint8: rescaled, and by the first window or table of the file; else from minimum to maximum."""
    from pydicom.pixels import apply_voi

    values = _rescaled(frame, file)
    if file.get("VOILUTSequence"):
        bits = file.VOILUTSequence[0].LUTDescriptor[2]
        return _scaled(apply_voi(values.astype(np.int64), file).astype(np.float64), 0, 2**bits - 1)
    said = _with(file, "WindowWidth", "FrameVOILUTSequence")
    if "WindowWidth" not in said or "WindowCenter" not in said:
        return _scaled(values, *_range(frame, values, file))
    center, width = (float(np.atleast_1d(said[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    function = said.get("VOILUTFunction", "LINEAR")
    if function == "SIGMOID":
        return _scaled(1 / (1 + np.exp(-4 * (values - center) / width)), 0, 1)
    if function == "LINEAR":  # C.11.2.1.2.1
        center, width = center - 0.5, width - 1
    return _scaled(values, center - width / 2, center + width / 2)


def _with(file: Any, name: str, sequence: str) -> Any:
    """Return the part of a file that has an element: the file, or of a multi-frame one the group of its first frame."""
    own, shared = (file.get(f"{whose}FunctionalGroupsSequence") or () for whose in ("PerFrame", "Shared"))
    groups = [*own[:1], *shared]
    parts = [part for group in groups for part in group.get(sequence) or ()]
    return next((part for part in parts if name in part), file)


def _range(frame: np.ndarray, values: np.ndarray, file: Any) -> tuple[float, float]:
    """Return minimum and maximum without the padding around the picture."""
    padding = _padding(frame, file)
    counted = values if padding is None else values[~padding]
    return float(counted.min()), float(counted.max())


def _padding(frame: np.ndarray, file: Any) -> np.ndarray | None:
    """Return where there is padding around the picture, (height, width) bool; None where there is none, or no other."""
    value = file.get("PixelPaddingValue")
    found = None if value is None else frame == value
    return found if found is not None and found.any() and not found.all() else None


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = 255.0 / ((high - low) or NO_WIDTH)
    return np.asarray(((values - low) * share).clip(0, 255).round(), np.uint8)
