"""PNG: transparent colours, which OpenCV leaves out of grey pictures; orientation and colour profile."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.containers.exif import orientation_of
from imgcluster.images.damage import why_undecodable
from imgcluster.images.headers import Size, png_chunks
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
KEPT = (b"tRNS", PROFILE, b"eXIf")
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
    chunks: dict[bytes, bytes] = {}
    whole, profile_at = False, None
    for name, at in png_chunks(data):
        if name == b"IEND":
            whole = at + 12 <= len(data)
            break
        if name in KEPT and name not in chunks:
            chunks[name] = data[at + 8 : at + 8 + int.from_bytes(data[at : at + 4], "big")]
            profile_at = at if name == PROFILE else profile_at
    if not whole:  # libpng would complain of it on stderr
        raise ImageError(why_undecodable(data))
    if profile_at is not None:  # libpng would complain of many of them too, and not use it
        data = data[:profile_at] + data[profile_at + 12 + len(chunks[PROFILE]) :]
    if data[BITS_AT] == 8 and data[COLOUR_TYPE_AT] == COLOURS and b"tRNS" not in chunks:
        samples = by_opencv(data, AS_STORED)
    else:
        samples = in_rgb_order(by_opencv(data))
    if data[COLOUR_TYPE_AT] == GREY and b"tRNS" in chunks and samples.ndim == 2:
        samples = _with_opacity(samples, data[BITS_AT], chunks[b"tRNS"])
    return Stored(
        samples,
        Alpha.STRAIGHT if samples.ndim == 3 and samples.shape[2] in WITH_ALPHA else Alpha.NONE,
        icc=_profile(chunks[PROFILE]) if wanted.reading.color == "managed" and PROFILE in chunks else None,
        orientation=orientation_of(chunks[b"eXIf"]) if b"eXIf" in chunks else 1,
    )


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
