"""Bounds on the size of a picture, checked before it takes memory."""

from __future__ import annotations

from imgcluster.errors import ImageError
from imgcluster.images.headers import Size, declared_size

MAX_PIXELS = 2**28  # of one picture; OpenCV's own bound, 2**30, would let one file take 3 GB
MAX_BYTES = 2**30  # of a file, and of its decoded pixels: with 16 bits and four channels, fewer pixels fit
TOO_LARGE = f"has more than {MAX_PIXELS:,} pixels"
TOO_DEEP = f"has pixels of more than {MAX_BYTES:,} bytes"


def check_size(size: Size | None) -> None:
    """Raise ImageError for what would take too much memory; None: the size is not known."""
    if size is None:
        return
    if size.pixels > MAX_PIXELS:
        raise ImageError(TOO_LARGE)
    if size.bytes > MAX_BYTES:
        raise ImageError(TOO_DEEP)


def check_declared(data: bytes) -> None:
    """Raise ImageError for a file of which the header declares too large a picture."""
    check_size(declared_size(data))
