"""Sample `digits`: the 1,797 handwritten digits of scikit-learn, as enlarged PNG files."""

from __future__ import annotations

import cv2
import numpy as np

from imgcluster.datasets.files import Sample
from imgcluster.images import png

SIDE = 64


def sample() -> Sample:
    """Ten classes, the digits themselves, in scikit-learn's order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Sample([int(label) for label in digits.target], (_png(image) for image in digits.images), ".png")


def _png(image: np.ndarray) -> bytes:
    """8x8 pixels of 0..16 become 64x64 of 0..255; cubic interpolation overshoots, so it is clipped."""
    large = cv2.resize(image.astype(np.float32) * (255 / 16), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return png(np.clip(large, 0, 255).round().astype(np.uint8))
