"""Diagnose bytes that cannot be decoded: another file type, or a damaged image."""

from __future__ import annotations

import re
from collections.abc import Callable

from imgcluster.images.file_kinds import kind_of, why_no_image
from imgcluster.images.headers import BIG_TIFF, DAMAGE, is_whole_png, tiff_parts

UNKNOWN = "cannot be decoded: damaged, or not an image"
RESTARTS = range(0xD0, 0xD8)
SCAN, END = 0xDA, 0xD9
CODESTREAM_OF_JPEG_XL = b"\xff\x0a"
END_OF_QOI = bytes(7) + b"\1"
COMMENT = rb"(?:\s|#[^\n]*\n)+"
PAM_HEADER = re.compile(rb"P7\n(.{0,4096}?)\nENDHDR\n", re.DOTALL)
PNM_HEADER = re.compile(rb"P([56])" + COMMENT + rb"(\d+)" + COMMENT + rb"(\d+)" + COMMENT + rb"(\d+)\s")


def why_undecodable(data: bytes) -> str:
    """Return in one line what is wrong with bytes that the decoder has refused: all of a file, one byte or more."""
    if reason := why_no_image(data):
        return reason
    kind = kind_of(data)
    if kind is None:
        return UNKNOWN
    return f"{'truncated' if _breaks_off(kind, data) else 'damaged'} {kind}"


def _breaks_off(kind: str, data: bytes) -> bool:
    try:
        return kind in ENDS and ENDS[kind](data) > len(data)
    except IndexError:  # it ends where it says what comes next
        return True
    except DAMAGE:
        return False


# Where a file of a format ends, by what it says of itself; one byte behind what there is where it does not say.


def _jpeg(data: bytes) -> int:
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            return len(data) + 1
        marker = data[at + 1]
        if marker == END:
            return at + 2
        if marker in (0, 1, 0xFF) or marker in RESTARTS:
            at += 1 if marker == 0xFF else 2
        else:  # of a scan the header; what comes then is looked through for the next marker
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _png(data: bytes) -> int:
    return 0 if is_whole_png(data) else len(data) + 1


def _gif(data: bytes) -> int:
    at = 13 + palette_bytes(data[10])
    while data[at] != 0x3B:
        if data[at] == 0x2C:
            at += 10 + palette_bytes(data[at + 9]) + 1
        else:
            at += 2
        while length := data[at]:
            at += 1 + length
        at += 1
    return at + 1


def palette_bytes(flags: int) -> int:
    """Return the length of the table of colours that flags of a GIF announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _riff(data: bytes) -> int:
    return 8 + int.from_bytes(data[4:8], "little")


def _bmp(data: bytes) -> int:
    return int.from_bytes(data[2:6], "little")


def _pnm(data: bytes) -> int:
    header = PNM_HEADER.match(data)
    if header is None:
        return len(data) + 1 if PAM_HEADER.match(data) else 0
    kind, width, height, most = map(int, header.groups())
    return header.end() + width * height * (3 if kind == 6 else 1) * (2 if most > 255 else 1)


def _tiff(data: bytes) -> int:
    place = data[8:16] if BIG_TIFF in data[:4] else data[4:8]
    if int.from_bytes(place, "little" if data[:2] == b"II" else "big") >= len(data):
        return len(data) + 1
    parts = tiff_parts(data)
    return max(offset + length for offset, length in zip(*parts, strict=True))


def _jp2(data: bytes) -> int:
    return 0 if data.endswith(b"\xff\xd9") else len(data) + 1


def _boxes(data: bytes) -> int:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if not size or data.startswith(CODESTREAM_OF_JPEG_XL):  # up to the end, or no boxes
            return 0
        at += max(size, 8)
    return at


def _qoi(data: bytes) -> int:
    return 0 if data.endswith(END_OF_QOI) else len(data) + 1


ENDS: dict[str, Callable[[bytes], int]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WebP": _riff,
    "BMP": _bmp,
    "PNM": _pnm,
    "TIFF": _tiff,
    "JPEG 2000": _jp2,
    "HEIC": _boxes,
    "JPEG XL": _boxes,
    "QOI": _qoi,
    "AVIF": _boxes,
}
