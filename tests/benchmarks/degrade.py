"""Photographs degraded on purpose, by kind and strength, to measure how well quality measures rank them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

STRENGTHS = 5


def _dark(pixels: np.ndarray, strength: int) -> np.ndarray:
    return _scaled(pixels, (0.7, 0.5, 0.35, 0.22, 0.12)[strength])


def _bright(pixels: np.ndarray, strength: int) -> np.ndarray:
    return 255 - _scaled(255 - pixels, (0.7, 0.5, 0.35, 0.22, 0.12)[strength])


def _blurred(pixels: np.ndarray, strength: int) -> np.ndarray:
    """Blur by a share of the shorter side, as defocus does."""
    return cv2.GaussianBlur(pixels, (0, 0), (0.003, 0.006, 0.012, 0.024, 0.048)[strength] * min(pixels.shape[:2]))


def _low_information(pixels: np.ndarray, strength: int) -> np.ndarray:
    """Fade towards the mean colour, as in fog, down to nearly one colour."""
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return _as_pixels(mean + (pixels - mean) * (0.6, 0.35, 0.2, 0.1, 0.05)[strength])


def _odd_size(pixels: np.ndarray, strength: int) -> np.ndarray:
    factor = (0.6, 1.8, 0.35, 3.5, 0.15)[strength]
    return cv2.resize(
        pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )


def _odd_shape(pixels: np.ndarray, strength: int) -> np.ndarray:
    """Cut a strip out of the middle, lying or standing by turns."""
    height, width = pixels.shape[:2]
    share = (0.5, 0.4, 0.3, 0.2, 0.1)[strength]
    if width >= height:
        strip = max(8, round(width * share * height / width))
        return pixels[(height - strip) // 2 :][:strip]
    strip = max(8, round(height * share * width / height))
    return pixels[:, (width - strip) // 2 :][:, :strip]


def _grey(pixels: np.ndarray, strength: int) -> np.ndarray:
    """Take the colour away: half of it, and finally all."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float64)
    return _as_pixels(grey + (pixels - grey) * (0.5, 0.3, 0.15, 0.05, 0.0)[strength])


def _scaled(pixels: np.ndarray, factor: float) -> np.ndarray:
    return _as_pixels(pixels * factor)


def _as_pixels(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.round().clip(0, 255), np.uint8)


# By the names that `imgcluster.curation` has for the kinds; each from (height, width, 3) RGB uint8 and 0 to 4.
KINDS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "dark": _dark,
    "bright": _bright,
    "blurred": _blurred,
    "low_information": _low_information,
    "odd_size": _odd_size,
    "odd_shape": _odd_shape,
    "grey": _grey,
}
