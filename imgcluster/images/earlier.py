"""Tell which files earlier versions read as this one does, so that the features they made of these stay valid.

Earlier versions took the stored samples for what the file means. Where this module is not sure, features are made anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from imgcluster.errors import ImageError
from imgcluster.images.color import MODES, transform_of
from imgcluster.images.containers import bmp, gif, jpeg, png, raw, tiff_header
from imgcluster.images.damage import PNM_HEADER
from imgcluster.images.file_kinds import kind_of
from imgcluster.images.headers import DAMAGE, JPEG_LS_FRAME, png_chunks

PLAIN_WEBP = (b"VP8 ", b"VP8L")
ICC_OR_MOVES = 0b100010  # flags of an extended WebP
DEEP = 16  # bits of a PNG: which of them are in use, earlier versions did not ask


def reads_as_before(data: bytes) -> bool:
    """Tell whether earlier versions read the same pixels from a file; data: all of it, or its beginning."""
    look = LOOKS.get(kind_of(data) or "")
    try:
        return look is not None and look(data)
    except (ImageError, *DAMAGE):
        return False


def _jpeg(data: bytes) -> bool:
    frame, icc = jpeg.read_header(data)
    if frame is None or frame.bits != 8 or frame.process in (jpeg.LOSSLESS, JPEG_LS_FRAME):
        return False
    mode = MODES.get(frame.components, "CMYK")
    return not icc or (mode != "CMYK" and transform_of(icc, mode) is None)


def _png(data: bytes) -> bool:
    if not any(name == b"IDAT" for name, _ in png_chunks(data)):  # what comes before it decides
        return False
    chunks = {name: data[place] for name, place in png.special_chunks(data).items()}
    is_keyed_grey = data[png.COLOUR_TYPE_AT] == png.GREY and b"tRNS" in chunks
    return data[png.BITS_AT] < DEEP and png.colours_of(chunks) is None and not is_keyed_grey


def _webp(data: bytes) -> bool:
    return data[12:16] in PLAIN_WEBP or (data[12:16] == b"VP8X" and not data[20] & ICC_OR_MOVES)


def _gif(data: bytes) -> bool:
    return gif.first_frame(data) == (0, 0, *struct.unpack_from("<HH", data, 6))


def _bmp(data: bytes) -> bool:
    return bool(struct.unpack_from("<H", data, bmp.BITS_AT)[0] < bmp.WITH_FOURTH_BYTE)


def _pnm(data: bytes) -> bool:
    header = PNM_HEADER.match(data)
    return header is not None and int(header[4]) == 255


def _tiff(data: bytes) -> bool:
    page = tiff_header.read_page(data)
    colours = (tiff_header.RGB, 3), (tiff_header.BLACK_IS_ZERO, 1)
    plain = page.bits == 8 and page.format == tiff_header.UNSIGNED and (page.photometric, page.samples) in colours
    if raw.is_raw(data):  # they took its thumbnail for the picture
        return False
    return plain and page.orientation == 1 and page.icc is None and page.compression in tiff_header.COMMON


LOOKS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
    "PNM": _pnm,
    "TIFF": _tiff,
}
