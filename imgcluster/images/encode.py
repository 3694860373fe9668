"""Pictures as the bytes of a file: RGB uint8 -> JPEG or PNG."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Encode RGB, (height, width, 3), or grey, (height, width), uint8, as JPEG; quality from 0 to 100."""
    return _encoded(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))


def png(pixels: np.ndarray) -> bytes:
    """Encode RGB, (height, width, 3), or grey, (height, width), uint8, as PNG."""
    return _encoded(".png", pixels, ())


def _encoded(suffix: str, pixels: np.ndarray, parameters: Sequence[int]) -> bytes:
    bgr = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])
    return cv2.imencode(suffix, bgr, parameters)[1].tobytes()
