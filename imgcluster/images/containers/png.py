"""PNG: transparent colours, which OpenCV leaves out of grey pictures; orientation, and what the colours are."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np

from imgcluster.config import Reading
from imgcluster.errors import ImageError
from imgcluster.images.containers.cicp import (
    Chromaticities,
    Coding,
    Colours,
    Curve,
    converted,
    power,
    srgb_light,
    to_linear_srgb,
    to_srgb,
)
from imgcluster.images.containers.exif import orientation_of
from imgcluster.images.damage import why_undecodable
from imgcluster.images.headers import Size, is_whole_png, png_chunks
from imgcluster.images.libraries import by_opencv, in_rgb_order
from imgcluster.images.limits import check_size
from imgcluster.images.opencv import cv2
from imgcluster.images.stored import Alpha, Stored, Wanted

BITS_AT, COLOUR_TYPE_AT = 24, 25  # of a file, in its first chunk (PNG 1.2, 4.1.1)
HEADER_BYTES = 33  # the mark of the format and its first chunk
GREY, COLOURS = 0, 2  # colour types without opacity
RGB_OF_8_BITS = bytes((8, COLOURS))
SIDES = struct.Struct(">II")
AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
MAX_PROFILE_BYTES = 2**24
PROFILE = b"iCCP"
KEPT = (b"tRNS", PROFILE, b"eXIf", b"cICP", b"gAMA", b"cHRM", b"sRGB")
CODE_POINTS_BYTES, RANGE_AT, FULL_RANGE = 4, 3, 1  # of cICP
GAMMA, POINTS, IN_FILE = struct.Struct(">I"), struct.Struct(">8I"), 100_000  # gAMA, cHRM, and what a file has for 1
SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.02  # what stands for the curve of sRGB, and nearly that
MIN_GAMMA, MAX_GAMMA = 0.1, 10  # beyond, it is nonsense
MATRIX_TOLERANCE = 0.01  # of a file's primaries from those of sRGB
WITH_ALPHA = (2, 4)  # channels


def read_plain(data: bytes) -> np.ndarray | None:
    """Return the pixels of a PNG as most are, (height, width, 3) RGB uint8; None of any other.

    One pass over the names of chunks and no objects, as in `jpeg.read_plain`. Raises ImageError.
    """
    if not data.startswith(RGB_OF_8_BITS, BITS_AT):
        return None
    at, last = HEADER_BYTES, len(data) - 12
    while at <= last:
        name = data[at + 4 : at + 8]
        if name == b"IEND":
            width, height = SIDES.unpack_from(data, 16)
            check_size(Size(height, width, 3))
            return by_opencv(data, AS_STORED)
        if name in KEPT:
            return None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode a PNG. Raises ImageError."""
    places = special_chunks(data)
    if not is_whole_png(data):  # libpng would complain of it on stderr
        raise ImageError(why_undecodable(data))
    chunks = {name: data[place] for name, place in places.items()}
    if PROFILE in places:  # libpng would complain of many of them too, and not use it
        data = data[: places[PROFILE].start - 8] + data[places[PROFILE].stop + 4 :]
    if data[BITS_AT] == 8 and data[COLOUR_TYPE_AT] == COLOURS and b"tRNS" not in chunks:
        samples = by_opencv(data, AS_STORED)
    else:
        samples = in_rgb_order(by_opencv(data))
    if data[COLOUR_TYPE_AT] == GREY and b"tRNS" in chunks and samples.ndim == 2:
        samples = _with_opacity(samples, data[BITS_AT], chunks[b"tRNS"])
    stored = Stored(
        samples,
        Alpha.STRAIGHT if samples.ndim == 3 and samples.shape[2] in WITH_ALPHA else Alpha.NONE,
        orientation=orientation_of(chunks[b"eXIf"]) if b"eXIf" in chunks else 1,
    )
    return _in_srgb(stored, colours_of(chunks), wanted.reading)


def special_chunks(data: bytes) -> dict[bytes, slice]:
    """Return where the contents of those of KEPT lie that are there, the first of each."""
    places: dict[bytes, slice] = {}
    for name, at in png_chunks(data):
        if name == b"IEND":  # behind it may lie anything, and much of it
            break
        if name in KEPT and name not in places:
            places[name] = slice(at + 8, at + 8 + int.from_bytes(data[at : at + 4], "big"))
    return places


def colours_of(chunks: Mapping[bytes, bytes]) -> Coding | Colours | bytes | None:
    """Return what the colours are: code points, a profile, or primaries and gamma; None: sRGB.

    The first that is there and sound counts, in the order of PNG's third edition, 4.4 and 12.1.
    """
    points = chunks.get(b"cICP", b"")
    if len(points) == CODE_POINTS_BYTES and points[RANGE_AT] == FULL_RANGE:
        return Coding(points[0], points[1])
    if PROFILE in chunks and (icc := _profile(chunks[PROFILE])):
        return icc
    return None if b"sRGB" in chunks else _by_numbers(chunks)


def _by_numbers(chunks: Mapping[bytes, bytes]) -> Colours | None:
    """Return the colours by gamma and primaries; None where they are those of sRGB, or make no sense."""
    gamma, points = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    curve: Curve = srgb_light
    matrix = None
    if len(gamma) == GAMMA.size:
        encoding = GAMMA.unpack(gamma)[0] / IN_FILE
        if MIN_GAMMA <= encoding <= MAX_GAMMA and abs(encoding / SRGB_GAMMA - 1) > GAMMA_TOLERANCE:
            curve = power(1 / encoding)
    if len(points) == POINTS.size:
        values = [value / IN_FILE for value in POINTS.unpack(points)]
        with suppress(ValueError, np.linalg.LinAlgError):
            found = to_linear_srgb(Chromaticities(*zip(values[::2], values[1::2], strict=True)))
            matrix = found if np.abs(found - np.eye(3)).max() > MATRIX_TOLERANCE else None
    return None if curve is srgb_light and matrix is None else Colours(curve, matrix)


def _in_srgb(stored: Stored, colours: Coding | Colours | bytes | None, reading: Reading) -> Stored:
    if isinstance(colours, Coding):
        return to_srgb(stored, colours, reading)
    if isinstance(colours, Colours):
        return converted(stored, colours, reading)
    return replace(stored, icc=colours) if reading.color == "managed" else stored


def _with_opacity(grey: np.ndarray, bits: int, key: bytes) -> np.ndarray:
    """Add the opacity, which is zero where the grey is that of the key, a sample as the file stores it."""
    largest = int(np.iinfo(grey.dtype).max)
    transparent = int.from_bytes(key[:2], "big") * largest // (2**bits - 1)
    return np.stack([grey, np.where(grey == transparent, 0, largest).astype(grey.dtype)], axis=-1)


def _profile(chunk: bytes) -> bytes | None:
    """Return the profile that follows a name and the method of its compression (PNG 1.2, 4.2.2.4); None: damaged."""
    _, _, rest = chunk.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
