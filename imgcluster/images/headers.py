"""Read an image's size from its header before decoding: a file of 35 bytes may ask for gigabytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

TIFF_MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
BIG_TIFF = b"+"
BIG_TIFF_ROOM = 8  # bytes of a value, or of the place where it lies; of other TIFFs four
WIDTH, HEIGHT, BITS, SAMPLES = 256, 257, 258, 277  # tags of TIFF 6.0
TIFF_PARTS = ((324, 325), (273, 279))  # the offsets and lengths of tiles, and of strips
# The whole numbers among the types of values (TIFF 6.0, page 15), as `struct` has them; of others the bytes are taken.
TIFF_TYPES = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q"}
PNG_CHANNELS = {0: 1, 2: 3}  # by the colour type; the others may become four
OPAQUE_PNGS = (b"\0", b"\2", b"\3")  # colour types without an alpha channel
JPEG_MAGIC = b"\xff\xd8\xff"
PNM_MAGICS = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MARKER = 0xFF
# What reading a damaged header raises.
DAMAGE = (struct.error, OSError, ValueError, TypeError, LookupError, SyntaxError, OverflowError)
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # those are tables
JPEG_LS_FRAME, SCAN = 0xF7, 0xDA
JPEG_ENDS = JPEG_FRAMES | {JPEG_LS_FRAME, SCAN}  # behind these nothing is looked for


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
    read = HEADERS.get(data[:4]) or HEADERS.get(data[:3])
    try:
        return read(data) if read else None
    except DAMAGE:  # decoding will tell
        return None


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return height and width from the header of the first frame (ITU-T T.81, B.2.2); (0, 0) where it has none."""
    for marker, at, _ in jpeg_segments(data):
        if marker in JPEG_FRAMES:
            return struct.unpack_from(">HH", data, at + 1)
    return 0, 0


def jpeg_segments(data: bytes) -> list[tuple[int, int, int]]:
    """Return the marker of each segment up to the frame's, and where its content begins and ends.

    Stops where the data end, or no segment follows.
    """
    found, at, last = [], 2, len(data) - 10
    while at <= last and data[at] == MARKER:
        marker = data[at + 1]
        if marker == MARKER:  # filled up
            at += 1
            continue
        end = at + 2 + (data[at + 2] << 8) + data[at + 3]
        found.append((marker, at + 4, end))
        if marker in JPEG_ENDS:
            break
        at = end
    return found


def tiff_tags(data: bytes, wanted: Container[int]) -> dict[int, Any]:
    """Return the values of tags of the first page of a TIFF: tuples of numbers, or bytes. Raises one of DAMAGE.

    A value that lies behind the end of the file is left out.
    """
    order, room, entries = tiff_entries(data)
    count_format = f"{order}HHQ" if room == BIG_TIFF_ROOM else f"{order}HHI"
    found: dict[int, Any] = {}
    for tag, at in entries:
        if tag not in wanted:
            continue
        _, kind, count = struct.unpack_from(count_format, data, at)
        start = at + struct.calcsize(count_format)
        size = count * struct.calcsize(TIFF_TYPES.get(kind, "x"))
        if size > room:
            (start,) = struct.unpack_from(f"{order}Q" if room == BIG_TIFF_ROOM else f"{order}I", data, start)
        if start + size > len(data):
            continue
        is_text = kind not in TIFF_TYPES
        found[tag] = (
            data[start : start + size]
            if is_text
            else struct.unpack_from(f"{order}{count}{TIFF_TYPES[kind]}", data, start)
        )
    return found


def tiff_parts(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the offsets and the lengths of the tiles or strips of the first page. Raises one of DAMAGE."""
    offsets, lengths = next((pair for pair in TIFF_PARTS if tiff_tags(data, pair)), TIFF_PARTS[0])
    tags = tiff_tags(data, (offsets, lengths))
    return tags[offsets], tags[lengths]


def tiff_entries(data: bytes) -> tuple[str, int, list[tuple[int, int]]]:
    """Return the order of bytes, for `struct`, the bytes of a value's place, and tag and place of each entry.

    Those of the first page. Raises struct.error where it is not there.
    """
    order, is_big = "<" if data.startswith(b"II") else ">", BIG_TIFF in data[:4]
    (start,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}I", data, 8 if is_big else 4)
    (count,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}H", data, start)
    first, step = (start + 8, 20) if is_big else (start + 2, 12)
    if first + count * step > len(data):
        raise struct.error("the directory is not whole")
    places = range(first, first + count * step, step)
    return order, BIG_TIFF_ROOM if is_big else 4, [(struct.unpack_from(f"{order}H", data, at)[0], at) for at in places]


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


def _png(data: bytes) -> Size | None:
    if not data.startswith(PNG_MAGIC):  # changed by a transfer in text mode
        return None
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


def _jp2(data: bytes) -> Size | None:
    if not data.startswith(b"jP  ", 4):
        return None
    at = data.index(b"ihdr") + 4
    height, width, channels, bits = struct.unpack_from(">IIHB", data, at)
    return Size(height, width, channels * (1 if bits < 8 else 2))


def _tiff(data: bytes) -> Size:
    tags = tiff_tags(data, (WIDTH, HEIGHT, BITS, SAMPLES))
    samples = tags.get(SAMPLES, (1,))[0]
    depth = max(1, -(-max(tags.get(BITS, (1,))) // 8)) * samples
    return Size(tags[HEIGHT][0], tags[WIDTH][0], depth)


# By the first three or four bytes.
HEADERS: dict[bytes, Callable[[bytes], Size | None]] = {
    JPEG_MAGIC: _jpeg,
    PNG_MAGIC[:4]: _png,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"\0\0\0\x0c": _jp2,
    **dict.fromkeys(TIFF_MAGICS, _tiff),
}
