"""Arrays as pictures: a heat map over a photograph, many small arrays as a grid."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from PIL import Image

from imgcluster.errors import ImageError
from imgcluster.images import to_rgb

HEAT_OPACITY = 0.4  # 0 to 1
PER_ROW = 16


def overlay(image: Any, heat: np.ndarray, strength: float = HEAT_OPACITY) -> Image.Image:
    """Lay heat, (height, width) from 0 to 1, over a picture of that size, in JET: blue is 0, red is 1.

    image: whatever `extract` takes for one picture, but no path. Raises ImageError where the sizes differ.
    """
    picture = to_rgb(image)
    if picture.shape[:2] != np.shape(heat):
        raise ImageError(f"heat of {np.shape(heat)} is not of this picture, which is {picture.shape[:2]}")
    levels = (np.clip(np.nan_to_num(heat), 0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    return Image.fromarray(cv2.addWeighted(colours, strength, picture, 1 - strength, 0))


def tiled(images: np.ndarray, per_row: int = PER_ROW) -> np.ndarray:
    """Put n pictures, (n, height, width[, 3]), into rows, the last one filled up with 0."""
    n, height, width, *channels = images.shape
    columns = min(per_row, n)
    rows = -(-n // columns)
    filled = np.zeros((rows * columns, height, width, *channels), images.dtype)
    filled[:n] = images
    grid = filled.reshape(rows, columns, height, width, *channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, *channels)


def standardized(values: np.ndarray) -> np.ndarray:
    """Return each of n arrays as a picture, uint8: mean 128, standard deviation 64, clipped; a constant one is grey."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    mean, deviation = flat.mean(axis=1, keepdims=True), flat.std(axis=1, keepdims=True)
    level = (flat - mean) / np.where(deviation > 0, deviation, 1) * 64 + 128
    return np.asarray(level.clip(0, 255).astype(np.uint8).reshape(values.shape))
