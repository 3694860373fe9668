"""BMP: whether the fourth byte of 32 bits is opacity, which only a mask says."""

from __future__ import annotations

import struct

from imgcluster.images.libraries import by_opencv, in_rgb_order
from imgcluster.images.stored import Alpha, Stored, Wanted

BITS_AT, WITH_FOURTH_BYTE = 28, 32  # of a pixel
INFO_BYTES = 40  # of a header without masks; those of BITFIELDS then follow it
ALPHA_MASK_AT = 66  # in the file, of the headers that have one (BITMAPV3INFOHEADER and later), or behind the three
BITFIELDS, ALPHA_BITFIELDS = 3, 6  # compressions with masks


def read(data: bytes, _: Wanted) -> Stored:
    """Decode a BMP. Raises ImageError."""
    samples = in_rgb_order(by_opencv(data))
    if samples.shape[2:] != (4,):
        return Stored(samples)
    return Stored(samples, Alpha.STRAIGHT) if _has_opacity(data) else Stored(samples[..., :3])


def _has_opacity(data: bytes) -> bool:
    header, compression = struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<I", data, 30)[0]
    has_mask = compression == ALPHA_BITFIELDS or (compression == BITFIELDS and header > INFO_BYTES + 12)
    return has_mask and bool(struct.unpack_from("<I", data, ALPHA_MASK_AT)[0])
