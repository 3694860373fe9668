"""OpenCV with limits on image size and without its messages, and pictures as the bytes of a file.

Import it from here only: OpenCV reads its environment once, as it is loaded. Variables that the user has set stay.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence

import numpy as np

from imgcluster.images.limits import MAX_PIXELS

__all__ = ["cv2", "jpeg", "png"]

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
# Both would write a line per damaged file over the progress bar; reading reports the reason itself.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
warnings.filterwarnings("ignore", module=r"PIL\.")

import cv2  # noqa: E402 (after its environment is set)


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Encode RGB, (height, width, 3), or grey, (height, width), uint8, as JPEG; quality from 0 to 100."""
    return _encoded(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))


def png(pixels: np.ndarray) -> bytes:
    """Encode RGB, (height, width, 3), or grey, (height, width), uint8, as PNG."""
    return _encoded(".png", pixels, ())


def _encoded(suffix: str, pixels: np.ndarray, parameters: Sequence[int]) -> bytes:
    bgr = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])
    return cv2.imencode(suffix, bgr, parameters)[1].tobytes()
