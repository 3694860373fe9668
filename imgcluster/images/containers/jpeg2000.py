"""JPEG 2000: depth, and which channel is the opacity; Pillow for what OpenCV refuses."""

from __future__ import annotations

from imgcluster.images.libraries import by_opencv, in_rgb_order
from imgcluster.images.stored import Alpha, Stored, Wanted


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode a JPEG 2000. Raises ImageError."""
    samples = in_rgb_order(by_opencv(data))
    return Stored(samples, Alpha.STRAIGHT if samples.shape[2:] == (4,) else Alpha.NONE)
