"""Decode by OpenCV or Pillow, with their errors as reasons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import Image

from imgcluster.errors import ImageError
from imgcluster.images.damage import why_undecodable
from imgcluster.images.headers import DAMAGE
from imgcluster.images.limits import MAX_PIXELS, TOO_LARGE
from imgcluster.images.opencv import cv2

# What Pillow raises of damaged files.
PILLOW_ERRORS = (*DAMAGE, EOFError, RuntimeError)
PILLOWS_OWN_BOUND = 89_478_485  # pixels; beyond twice as many it raises, which for some formats is before our own bound
if Image.MAX_IMAGE_PIXELS == PILLOWS_OWN_BOUND:  # a bound that somebody has set stays
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
TO_RGB_ORDER = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
CONVERTIBLE = (np.uint8, np.uint16, np.float32)  # formats whose channels OpenCV puts into another order


def by_opencv(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Return the samples as OpenCV decodes them, colours as blue, green, red. Raises ImageError."""
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(TOO_LARGE if "MAX_IMAGE" in str(error) else why_undecodable(data)) from None
    if decoded is None or not decoded.size:
        raise ImageError(why_undecodable(data))
    if decoded.shape[0] * decoded.shape[1] > MAX_PIXELS:  # where OpenCV was loaded before this module, by a notebook
        raise ImageError(TOO_LARGE)
    return np.asarray(decoded)


def in_rgb_order(samples: np.ndarray) -> np.ndarray:
    """Return blue, green, red[, opacity] as red, green, blue[, opacity]; anything else as it is."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if channels not in TO_RGB_ORDER:
        return samples
    if samples.dtype in CONVERTIBLE:
        return np.asarray(cv2.cvtColor(samples, TO_RGB_ORDER[channels]))
    return samples[..., [2, 1, 0, 3][:channels]]


@contextmanager
def opened(data: bytes, *formats: str) -> Iterator[Image.Image]:
    """Open a file with Pillow, as one of its formats or any.

    Raises ImageError for what Pillow raises here and within the `with` block.
    """
    try:
        with Image.open(BytesIO(data), formats=formats or None) as image:
            yield image
    except Image.DecompressionBombError:
        raise ImageError(TOO_LARGE) from None
    except PILLOW_ERRORS:
        raise ImageError(why_undecodable(data)) from None


def by_pillow(data: bytes, mode: str | None = None) -> np.ndarray:
    """Return the first picture of a file as Pillow decodes it, converted to a mode. Raises ImageError."""
    with opened(data) as image:
        return np.asarray(image if mode is None or image.mode == mode else image.convert(mode))
