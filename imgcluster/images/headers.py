"""Read an image's size from its header before decoding: a file of 35 bytes may ask for gigabytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import NamedTuple

from PIL.TiffImagePlugin import ImageFileDirectory_v2

TIFF_MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
BIG_TIFF = b"+"
WIDTH, HEIGHT, BITS, SAMPLES = 256, 257, 258, 277  # tags of TIFF 6.0
PNG_CHANNELS = {0: 1, 2: 3}  # by the colour type; the others may become four
OPAQUE_PNGS = (b"\0", b"\2", b"\3")  # colour types without an alpha channel
JPEG_MAGIC = b"\xff\xd8\xff"
PNM_MAGICS = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MARKER = 0xFF
SCAN = 0xDA
DAMAGE = (struct.error, OSError, ValueError, TypeError, KeyError, SyntaxError, OverflowError)
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # those are tables


class Size(NamedTuple):
    """In pixels; depth: bytes that each takes once it is decoded."""

    height: int
    width: int
    depth: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.height * self.width

    @property
    def bytes(self) -> int:
        """What all of them take, as they are decoded or then as RGB."""
        return self.pixels * max(3, self.depth)


def declared_size(data: bytes) -> Size | None:
    """Return the size that an image's header declares; None where it has no header that is known here.

    Of the formats that are missing here a file is about as large as what it becomes.
    """
    read = next((read for magic, read in HEADERS.items() if data.startswith(magic)), None)
    try:
        return read(data) if read else None
    except DAMAGE:  # decoding will tell
        return None


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return height and width from the header of the first frame (ITU-T T.81, B.2.2); (0, 0) where it has none."""
    for marker, at, _ in jpeg_segments(data):
        if marker in JPEG_FRAMES:
            return int.from_bytes(data[at + 1 : at + 3], "big"), int.from_bytes(data[at + 3 : at + 5], "big")
    return 0, 0


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker of each segment, and where its content begins and ends; those that stand before any pixels."""
    at = 2
    while at + 9 <= len(data) and data[at] == MARKER:
        marker = data[at + 1]
        if marker == MARKER:  # filled up
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker == SCAN:
            return
        at = end


def tiff_tags(data: bytes) -> ImageFileDirectory_v2:
    """Return the tags of the first page of a TIFF. Raises one of DAMAGE."""
    file = BytesIO(data)
    directory = ImageFileDirectory_v2(file.read(16 if BIG_TIFF in data[:4] else 8))
    file.seek(directory.next)
    directory.load(file)
    return directory


def is_whole_png(data: bytes) -> bool:
    """Tell whether all chunks are there, up to the last (PNG 1.2, 3.2); OpenCV takes the memory that each asks for."""
    return any(name == b"IEND" and at + 12 <= len(data) for name, at in png_chunks(data))


def is_opaque(beginning: bytes) -> bool:
    """Tell whether the beginning of a file says that no pixel of it is transparent: of JPEG, PNM and some PNGs."""
    if beginning.startswith((JPEG_MAGIC, *PNM_MAGICS)):
        return True
    if not beginning.startswith(PNG_MAGIC) or beginning[25:26] not in OPAQUE_PNGS:
        return False
    # A transparent colour is named before the pixels (PNG 1.2, 4.3).
    return next((name == b"IDAT" for name, _ in png_chunks(beginning) if name in (b"tRNS", b"IDAT")), False)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the name and the start of each chunk whose name is there (PNG 1.2, 3.2)."""
    at = len(PNG_MAGIC)
    while at + 8 <= len(data):
        yield data[at + 4 : at + 8], at
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _jpeg(data: bytes) -> Size:
    return Size(*jpeg_size(data), 3)


def _png(data: bytes) -> Size:
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    return Size(height, width, PNG_CHANNELS.get(colour, 4) * (2 if bits == 16 else 1))


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return Size(height, width, 4)


def _webp(data: bytes) -> Size:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return Size(height, width, 4)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Size(1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF), 4)
    width, height = struct.unpack_from("<HH", data, 26)
    return Size(height & 0x3FFF, width & 0x3FFF, 3)


def _jp2(data: bytes) -> Size:
    at = data.index(b"ihdr") + 4
    height, width, channels, bits = struct.unpack_from(">IIHB", data, at)
    return Size(height, width, channels * (1 if bits < 8 else 2))


def _tiff(data: bytes) -> Size:
    directory = tiff_tags(data)
    bits = directory.get(BITS, (1,))
    depth = max(1, -(-max(bits) // 8)) * directory.get(SAMPLES, 1)
    return Size(int(directory[HEIGHT]), int(directory[WIDTH]), int(depth))  # damaged, they are of any type


HEADERS: dict[bytes, Callable[[bytes], Size]] = {
    JPEG_MAGIC: _jpeg,
    PNG_MAGIC: _png,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"\0\0\0\x0cjP  ": _jp2,
    **dict.fromkeys(TIFF_MAGICS, _tiff),
}
