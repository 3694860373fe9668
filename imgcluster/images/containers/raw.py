"""Raw pictures of cameras: the largest preview that the camera made, or the picture developed where it is too small."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.containers import jpeg
from imgcluster.images.containers.exif import ORIENTATION
from imgcluster.images.damage import why_undecodable
from imgcluster.images.extras import FORMATS
from imgcluster.images.headers import Size, jpeg_size
from imgcluster.images.libraries import opened
from imgcluster.images.limits import check_size
from imgcluster.images.quiet import without_lines
from imgcluster.images.refusals import needs
from imgcluster.images.stored import Stored, Wanted

OF_LIBRAW = re.compile(rb".*: (?:Unexpected end of file|data corrupted at -?\d+)\n")  # of damaged files, on stderr
ENOUGH = 512  # pixels of a preview's shorter side, where nobody says how many are
# EXIF's orientation for LibRaw's `flip`.
ORIENTATIONS = {3: 3, 5: 8, 6: 6}
CR2 = b"CR\x02"  # from byte 8
SUBFILE_TYPE, PHOTOMETRIC, SUB_IFDS, DNG_VERSION = 254, 262, 330, 50706
REDUCED = 1  # of a subfile's type
SENSOR = (32803, 34892)  # photometric interpretations: a colour filter array, linear raw
SHORT = 3


def is_raw(tiff: bytes) -> bool:
    """Tell whether a TIFF is a camera's raw picture, of which the first page is a thumbnail or the sensor's values."""
    tags = _first_tags(tiff)
    is_thumbnail = tags.get(SUBFILE_TYPE) == REDUCED and SUB_IFDS in tags
    return tiff.startswith(CR2, 8) or DNG_VERSION in tags or is_thumbnail or tags.get(PHOTOMETRIC) in SENSOR


def read(data: bytes, wanted: Wanted) -> Stored:
    """Return the preview of a raw picture, or develop it. Raises ImageError."""
    try:
        import rawpy
    except ImportError:
        raise ImageError(needs("a raw picture of a camera", FORMATS)) from None
    errors = (rawpy.LibRawError, rawpy.NotSupportedError, OSError, ValueError, LookupError, MemoryError)
    try:
        with rawpy.imread(BytesIO(data)) as raw:
            sizes = raw.sizes
            check_size(Size(sizes.raw_height, sizes.raw_width, 6))
            enough = min(wanted.least or ENOUGH, sizes.height, sizes.width)
            return _preview(raw, wanted, enough) or _developed(raw)
    except errors:
        raise ImageError(why_undecodable(data)) from None


def _preview(raw: Any, wanted: Wanted, enough: int) -> Stored | None:
    """Return the largest preview, if its shorter side has enough pixels."""
    import rawpy

    try:
        preview = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    turned = ORIENTATIONS.get(raw.sizes.flip, 1)
    if preview.format == rawpy.ThumbFormat.BITMAP:
        return Stored(preview.data, orientation=turned) if min(preview.data.shape[:2]) >= enough else None
    height, width = jpeg_size(preview.data)
    check_size(Size(height, width, 3))
    if min(height, width) < enough:
        return None
    stored = jpeg.read(preview.data, wanted)
    with opened(preview.data, "JPEG") as image:
        says_itself = ORIENTATION in image.getexif()  # which the decoder has applied
    return stored if says_itself else replace(stored, orientation=turned)


def _developed(raw: Any) -> Stored:
    """Return the picture as LibRaw develops it at half the size, upright, with the camera's white balance."""
    with without_lines(OF_LIBRAW):
        return Stored(np.asarray(raw.postprocess(use_camera_wb=True, half_size=True)))


def _first_tags(tiff: bytes) -> dict[int, int]:
    """Return the tags of the first directory of a classic TIFF, with the values of those that hold one number."""
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        entries = [struct.unpack_from(f"{order}HHI", tiff, at + 2 + 12 * each) for each in range(count)]
        return {
            tag: struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", tiff, at + 10 + 12 * each)[0]
            for each, (tag, kind, _) in enumerate(entries)
        }
    except struct.error:
        return {}
