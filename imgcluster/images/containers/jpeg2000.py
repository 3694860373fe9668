"""JPEG 2000: depth, colour space, and which channel is the opacity; Pillow for what OpenCV refuses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.libraries import by_opencv, by_pillow, in_rgb_order
from imgcluster.images.refusals import not_read
from imgcluster.images.stored import Alpha, Stored, Wanted

CODESTREAM = b"\xff\x4f\xff\x51"  # its beginning: SOC and SIZ (ITU-T T.800, A.4.2 and A.5.1)
SIGNED = 0x80  # of a component's depth
MAX_BITS = 16
SRGB, GREY, SYCC, INKS = 16, 17, 18, 12  # enumerated colour spaces (T.800, I.5.3.3; T.801, M.11.7.3)
OPENCV_CHANNELS = (1, 3, 4)
MEANINGS = {1: Alpha.STRAIGHT, 2: Alpha.MULTIPLIED}  # of a channel (T.800, I.5.3.6)


@dataclass
class Header:
    """bits: of each component, with SIGNED; steps: pixels between its samples, across and down."""

    bits: list[int] = field(default_factory=list)
    steps: set[tuple[int, int]] = field(default_factory=set)
    space: int = SRGB
    icc: bytes | None = None
    alpha: Alpha = Alpha.NONE
    has_palette: bool = False


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode a JPEG 2000. Raises ImageError, and IndexError or struct.error where it is damaged."""
    header = read_header(data)
    bits = {each & ~SIGNED for each in header.bits}
    if not bits:
        raise ValueError("no codestream")
    if len(bits) != 1 or max(bits) > MAX_BITS or any(each & SIGNED for each in header.bits):
        raise ImageError(not_read(f"JPEG 2000, samples of {_depths(header)}"))
    icc = header.icc if wanted.reading.color == "managed" else None
    if len(header.bits) not in OPENCV_CHANNELS or header.space in (SYCC, INKS) or header.steps != {(1, 1)}:
        return _by_pillow(data, header, icc)
    samples = in_rgb_order(by_opencv(data))
    if header.has_palette:
        return Stored(samples, icc=icc)
    alpha = header.alpha if samples.ndim == 3 and samples.shape[2] == len(header.bits) else Alpha.NONE
    return Stored(samples, alpha, white=2 ** bits.pop() - 1, icc=icc)


def read_header(data: bytes) -> Header:
    """Return what the boxes before the pixels say, and the codestream's own header. Raises as `struct` does."""
    header = Header()
    if data.startswith(CODESTREAM):
        _read_codestream(data, 0, header)
        return header
    for name, at, end in boxes(data, 0, len(data)):
        if name == b"jp2h":
            for inner, start, stop in boxes(data, at, end):
                _read_box(inner, data[start:stop], header)
        elif name == b"jp2c":
            _read_codestream(data, at, header)
            break
    return header


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each box, and where its content begins and ends (T.800, I.4; ISO/IEC 14496-12, 4.2)."""
    while at + 8 <= end:
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        stop = at + size if size else end
        yield data[at + 4 : at + 8], start, min(stop, end)
        at = max(stop, start)


def _read_box(name: bytes, content: bytes, header: Header) -> None:
    if name == b"colr" and content[0] == 1:
        (header.space,) = struct.unpack_from(">I", content, 3)
    elif name == b"colr" and content[0] == 2:
        header.icc = content[3:]
    elif name == b"pclr":
        header.has_palette = True
    elif name == b"cdef":
        (count,) = struct.unpack_from(">H", content)
        types = [struct.unpack_from(">H", content, 4 + 6 * place)[0] for place in range(count)]
        header.alpha = next((MEANINGS[each] for each in types if each in MEANINGS), Alpha.NONE)


def _read_codestream(data: bytes, at: int, header: Header) -> None:
    (count,) = struct.unpack_from(">H", data, at + 40)
    components = [data[at + 42 + 3 * place : at + 45 + 3 * place] for place in range(count)]
    header.bits = [(depth & SIGNED) | (depth & 0x7F) + 1 for depth, _, _ in components]
    header.steps = {(across, down) for _, across, down in components}


def _by_pillow(data: bytes, header: Header, icc: bytes | None) -> Stored:
    samples = by_pillow(data)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if header.space == INKS:
        return Stored(samples, icc=icc, inks=True)
    alpha = header.alpha if channels in (2, 4) else Alpha.NONE
    white = 2 ** header.bits[0] - 1 if samples.dtype == np.uint16 else None
    return Stored(samples, alpha, white=white, icc=icc)


def _depths(header: Header) -> str:
    names = [f"{each & ~SIGNED}{' signed' if each & SIGNED else ''}" for each in header.bits]
    return f"{', '.join(dict.fromkeys(names))} bits"
