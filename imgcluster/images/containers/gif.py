"""GIF: a first frame that is smaller than the canvas leaves the rest transparent; OpenCV fills it with a colour."""

from __future__ import annotations

import struct

import numpy as np

from imgcluster.images.damage import palette_bytes
from imgcluster.images.libraries import by_opencv, by_pillow, in_rgb_order
from imgcluster.images.stored import Alpha, Stored, Wanted

EXTENSION = 0x21  # what begins an extension block (GIF89a, 24)
HEADER_BYTES = 13


def read(data: bytes, _: Wanted) -> Stored:
    """Decode the first frame of a GIF. Raises ImageError, and IndexError or struct.error where it is damaged."""
    canvas = struct.unpack_from("<HH", data, 6)
    left, top, width, height = first_frame(data)
    if (left, top, width, height) == (0, 0, *canvas):
        samples = in_rgb_order(by_opencv(data))
        return Stored(samples, Alpha.STRAIGHT if samples.shape[2:] == (4,) else Alpha.NONE)
    pixels = by_pillow(data, "RGBA").copy()
    inside = np.zeros(pixels.shape[:2], bool)
    inside[top : top + height, left : left + width] = True
    pixels[~inside, 3] = 0
    return Stored(pixels, Alpha.STRAIGHT)


def first_frame(data: bytes) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the first frame. Raises IndexError or struct.error."""
    at = HEADER_BYTES + palette_bytes(data[10])
    while data[at] == EXTENSION:
        at += 2
        while length := data[at]:
            at += 1 + length
        at += 1
    left, top, width, height = struct.unpack_from("<4H", data, at + 1)
    return left, top, width, height
