"""What is measured of a picture as it is decoded: size, light, sharpness, information, ..., and a signature.

Measured on reduced copies of the decoded picture, so that a large one costs little more than a small one. Nothing here
says good or bad: measures are compared within a set of images (`curation.quality_of_run`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imgcluster.images.file_kinds import kind_of
from imgcluster.images.headers import jpeg_size

RULES_OF_MEASURES = 1  # part of the fingerprint under which measures are stored: raise it where one is defined anew
SAMPLED_SIDE = 64  # pixels: about the shorter side of the grid of pixels that light and colour are taken from
FRAME = "frame"  # the format of a frame of a video
LIGHT = ("brightness_low", "brightness", "brightness_high")
MEASURES = (*("transparency", *LIGHT, "sharpness", "information", "colorfulness", "border", "blocks", "screenshot"),)
SIGNATURE_SIDE = 32  # pixels: a grey picture squashed to a square
# Of one picture, as it is stored. format: as `kind_of` has it. bytes: 0 of a frame.
MEASURED = np.dtype(
    [
        ("width", "<u4"),
        ("height", "<u4"),
        ("bytes", "<u8"),
        ("format", "S24"),
        *((name, "<f4") for name in MEASURES),
        ("signature", "u1", (SIGNATURE_SIDE**2,)),
    ]
)


def measure(pixels: np.ndarray, data: bytes, transparency: float = 0.0, *, is_frame: bool = False) -> np.ndarray:
    """Measure a picture; returns one record, () of the dtype MEASURED, NaN for what cannot be measured.

    Args:
        pixels: (height, width, 3) RGB uint8, as decoded; of a JPEG perhaps at a fraction of its size.
        data: The bytes of its file.
        transparency: The share of it that shows what it is laid over, from 0 to 1.
        is_frame: Whether it is a frame of a video, and `data` no file that anybody has.
    """
    from imgcluster.images import statistics  # with OpenCV

    kind = FRAME if is_frame else kind_of(data) or ""
    width, height = _size(pixels, data, kind)
    grey = statistics.grey(pixels)
    copy = statistics.reduced(grey)
    step = max(1, min(grey.shape) // SAMPLED_SIDE)
    sampled = pixels[::step, ::step].reshape(-1, 1, 3).astype(np.float32)
    light = np.bincount(grey[::step, ::step].ravel(), minlength=256)
    low, middle, high = statistics.brightness(light)
    values: dict[str, Any] = {
        **dict(zip(LIGHT, (low, middle, high), strict=True)),
        **statistics.exact_pixels(grey, sampled, height / len(grey)),
        "width": width,
        "height": height,
        "bytes": 0 if is_frame else len(data),
        "format": kind.encode(),
        "transparency": transparency,
        "sharpness": statistics.sharpness(copy),
        "information": statistics.information(copy, light, high - low),
        "colorfulness": statistics.colorfulness(sampled),
        "border": statistics.uniform_border(copy),
        "signature": statistics.squashed(copy),
    }
    return np.array(tuple(values[name] for name in MEASURED.names or ()), MEASURED)


def signature(pixels: np.ndarray) -> np.ndarray:
    """Return a picture in grey, squashed to 32 x 32 by the mean of areas: (1024,) float32 from 0 to 255.

    pixels: (height, width, 3) RGB uint8. Copies of a picture have signatures that are nearly the same.
    """
    from imgcluster.images import statistics  # with OpenCV

    return statistics.squashed(statistics.reduced(statistics.grey(pixels))).astype(np.float32)


def _size(pixels: np.ndarray, data: bytes, kind: str) -> tuple[int, int]:
    """Return width and height before a JPEG was reduced in decoding, upright as its pixels are."""
    height, width = pixels.shape[:2]
    whole = jpeg_size(data) if kind == "JPEG" else (0, 0)
    if max(whole) <= max(height, width):
        return width, height
    return (max(whole), min(whole)) if width > height else (min(whole), max(whole))
