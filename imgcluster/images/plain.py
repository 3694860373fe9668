"""An RGB picture as an uncompressed file, binary PPM, whose pixels are taken from its bytes without a copy."""

from __future__ import annotations

import re

import numpy as np

HEADER = re.compile(rb"P6 ([1-9][0-9]{0,5}) ([1-9][0-9]{0,5}) 255\n")


def plain_file(pixels: np.ndarray) -> bytes:
    """Return (height, width, 3) RGB uint8 as the bytes of a file."""
    height, width = pixels.shape[:2]
    return b"".join((b"P6 %d %d 255\n" % (width, height), np.ascontiguousarray(pixels).data))


def plain_pixels(data: bytes) -> np.ndarray | None:
    """Return the pixels of a file that `plain_file` has made, (height, width, 3) RGB uint8; None of any other."""
    found = HEADER.match(data)
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    if len(data) != found.end() + 3 * width * height:
        return None
    return np.frombuffer(data, np.uint8, offset=found.end()).reshape(height, width, 3)
