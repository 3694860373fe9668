"""JPEG XL: size and colour space from the header (ISO/IEC 18181-1:2024); the decoder itself turns it upright."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.containers.cicp import Coding, to_srgb
from imgcluster.images.damage import why_undecodable
from imgcluster.images.extras import FORMATS
from imgcluster.images.headers import Size
from imgcluster.images.limits import check_size
from imgcluster.images.refusals import needs, not_read
from imgcluster.images.stored import Alpha, Stored, Wanted

CODESTREAM = b"\xff\x0a"
HEADER_BYTES = 4096
JXL_P3_AS_H273 = {11: 12}  # the one enumeration has P3 once, with its white point apart
BOXES = (b"jxlc", b"jxlp")  # with the codestream, or a part of it
PART_NUMBER_BYTES = 4
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # of width to height
SIDE_BITS = ((9, 1), (13, 1), (18, 1), (30, 1))  # bits and what is added, by two bits before
SRGB = Coding(1, 13)
GREY = 1  # colour space
CUSTOM = 2  # white point, primaries
ALPHA = 0  # type of an extra channel
SPOT_COLOUR, FILTER_ARRAY = 2, 5
ONE_OF_FOUR = ((0, 0), (0, 1), (4, 2), (6, 18))  # U32 of an enumeration: bits and what is added, by two bits before


class Header(NamedTuple):
    """Of a codestream. bits: of a sample. coding: None for an ICC profile, or primaries of its own."""

    height: int
    width: int
    bits: int
    has_alpha: bool
    is_multiplied: bool
    coding: Coding | None


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode the first picture of a JPEG XL. Raises ImageError."""
    try:
        from imagecodecs import JpegxlError, jpegxl_decode
    except ImportError:
        raise ImageError(needs("JPEG XL", FORMATS)) from None
    try:
        header = read_header(data)
    except (IndexError, ValueError):
        raise ImageError(why_undecodable(data)) from None
    check_size(Size(header.height, header.width, 8))
    is_managed = wanted.reading.color == "managed"
    if header.coding is None and is_managed:
        raise ImageError(not_read("JPEG XL with an ICC profile") + ", or set images.color: raw")
    try:
        samples = np.asarray(jpegxl_decode(data, index=0, numthreads=1))
    except (JpegxlError, ValueError, RuntimeError, MemoryError):
        raise ImageError(why_undecodable(data)) from None
    if samples.dtype.kind == "f":  # from 0 to 1
        samples, bits = (samples.clip(0, 1) * 65_535).round().astype(np.uint16), 16
    else:
        bits = header.bits
    alpha = (Alpha.MULTIPLIED if header.is_multiplied else Alpha.STRAIGHT) if header.has_alpha else Alpha.NONE
    stored = Stored(samples, alpha, None if bits == 8 else 2**bits - 1)
    return stored if header.coding is None else to_srgb(stored, header.coding, wanted.reading)


def read_header(data: bytes) -> Header:
    """Read the beginning of the codestream. Raises IndexError, ValueError: cut off, or damaged."""
    bits = _Bits(_codestream(data))
    height, width = _size(bits)
    if bits.take(1):  # all as usual: 8 bits, no further channels, sRGB
        return Header(height, width, 8, False, False, SRGB)
    if bits.take(1):
        _skip_extra_fields(bits)
    depth = _depth(bits)
    bits.take(1)  # whether 16-bit integers suffice for its arithmetic
    alpha = [_extra_channel(bits) for _ in range(bits.u32((0, 0), (0, 1), (4, 2), (12, 1)))]
    opacities = [is_multiplied for is_alpha, is_multiplied in alpha if is_alpha]
    bits.take(1)  # XYB: the decoder converts it to the colours of the coding
    return Header(height, width, depth, bool(opacities), opacities[:1] == [True], _coding(bits))


class _Bits:
    """Numbers of some bits each, the lowest bit of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        """Return the next number of so many bits. Raises IndexError behind the end."""
        value = 0
        for place in range(count):
            value |= (self._data[self._at >> 3] >> (self._at & 7) & 1) << place
            self._at += 1
        return value

    def u32(self, *forms: tuple[int, int]) -> int:
        """Return a number in one of four forms: so many bits, and what is added to them."""
        count, base = forms[self.take(2)]
        return base + self.take(count)

    def enum(self) -> int:
        """Return a number of an enumeration."""
        return self.u32(*ONE_OF_FOUR)


def _codestream(data: bytes) -> bytes:
    if data.startswith(CODESTREAM):
        return data[len(CODESTREAM) :]
    at = 0
    while at + 8 <= len(data):
        size, name, header = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if name in BOXES:
            start = at + header + (PART_NUMBER_BYTES if name == b"jxlp" else 0) + len(CODESTREAM)
            return data[start : start + HEADER_BYTES]
        if size < header:
            break
        at += size
    raise ValueError("no codestream")


def _size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.take(1)

    def side() -> int:
        return (bits.take(5) + 1) * 8 if is_small else bits.u32(*SIDE_BITS)

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return height, side()
    across, down = RATIOS[ratio - 1]
    return height, height * across // down


def _skip_extra_fields(bits: _Bits) -> None:
    """Pass over orientation, size on a screen, preview and animation."""
    bits.take(3)
    if bits.take(1):
        _size(bits)
    if bits.take(1):
        raise ValueError("a preview, whose header is not read")
    if bits.take(1):
        bits.u32((0, 100), (0, 1000), (10, 1), (30, 1))
        bits.u32((0, 1), (0, 1001), (8, 1), (10, 1))
        bits.u32((0, 0), (3, 0), (16, 0), (32, 0))
        bits.take(1)


def _depth(bits: _Bits) -> int:
    if bits.take(1):  # float
        depth = bits.u32((0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
        return depth
    return bits.u32((0, 8), (0, 10), (0, 12), (6, 1))


def _extra_channel(bits: _Bits) -> tuple[bool, bool]:
    """Return whether a channel is the opacity, and whether the colours are multiplied by it."""
    if bits.take(1):
        return True, False
    kind = bits.enum()
    _depth(bits)
    bits.u32((0, 0), (0, 3), (0, 4), (3, 1))  # by what it is smaller
    bits.take(8 * bits.u32((0, 0), (4, 0), (5, 16), (10, 48)))  # its name
    if kind == SPOT_COLOUR:
        bits.take(4 * 16)
    elif kind == FILTER_ARRAY:
        bits.u32((0, 1), (2, 0), (4, 3), (8, 19))
    return kind == ALPHA, kind == ALPHA and bool(bits.take(1))


def _coding(bits: _Bits) -> Coding | None:
    if bits.take(1):
        return SRGB
    if bits.take(1):  # ICC
        return None
    space = bits.enum()
    primaries = SRGB.primaries
    if bits.enum() == CUSTOM:
        return None
    if space != GREY and (primaries := bits.enum()) == CUSTOM:
        return None
    if bits.take(1):  # a power instead of a curve
        return None
    return Coding(JXL_P3_AS_H273.get(primaries, primaries), bits.enum())
