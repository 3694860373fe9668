"""Antialiased resizing of uint8 pictures: the bits of torch's `interpolate(antialias=True)`, without torch.

Both sides are resized one after the other, first the width, as matrix products. torch rounds the weights of each side
to integers of 16 bits and sums integers; here the same weights are floats that are wide enough for every sum to be
exact, whatever the order in which it is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from imgcluster.images.opencv import cv2

WEIGHTS_BELOW, MAX_BITS = 2**15, 22  # torch's bounds: of rounded weights, and of the bits of their fraction
MAX_IN_FLOAT32 = 2**24  # up to which it holds every whole number
ROWS_AT_ONCE = 8  # rows that one product makes: with more of them, more of the weights in it are 0
MAX_WORK = 2**18  # multiplications of one product; OpenBLAS starts threads for larger ones
SIDES_KEPT = 16  # of sizes met last; those of one long side may take 16 MB
CUBIC_A = -0.5


def resample(image: np.ndarray, size: tuple[int, int], interpolation: str, window: tuple[slice, slice]) -> np.ndarray:
    """Resize an RGB uint8 picture, (height, width, 3), to a size, (height, width).

    interpolation: bilinear or bicubic. window: the rows and columns of the result to return; only these are computed.
    """
    down, across = (
        _resizing(old, new, interpolation, *part.indices(new)[:2])
        for old, new, part in zip(image.shape[:2], size, window, strict=True)
    )
    turned = _turned(image[down.first : down.last, across.first : across.last])
    return down.of(_turned(across.of(turned)))


def _turned(image: np.ndarray) -> np.ndarray:
    """Swap the height and the width of a picture."""
    return np.asarray(cv2.transpose(image))


class _Product(NamedTuple):
    """Rows of a resized picture, the rows that they are made of, and the weights, (rows made, rows taken)."""

    made: slice
    taken: slice
    weights: np.ndarray


@dataclass(frozen=True)
class _Resizing:
    """Resizing of the height by products, of the rows from `first` up to `last`, to `height` rows.

    overshoots: whether sums may be below 0 or above 255.
    """

    products: list[_Product]
    first: int
    last: int
    height: int
    overshoots: bool

    def of(self, image: np.ndarray) -> np.ndarray:
        """Resize a picture, (rows, columns, 3) uint8, given its rows from `first` up to `last` alone."""
        rows = image.reshape(len(image), -1)
        resized = np.empty((self.height, rows.shape[1]), np.uint8)
        for made, taken, weights in self.products:
            width = max(1, MAX_WORK // weights.size)
            for start in range(0, rows.shape[1], width):
                part = slice(start, start + width)
                sums = weights @ rows[taken, part].astype(weights.dtype)
                sums += 0.5  # since the conversion to integers cuts off
                resized[made, part] = np.clip(sums, 0, 255) if self.overshoots else sums
        return resized.reshape(self.height, *image.shape[1:])


@lru_cache(maxsize=SIDES_KEPT)
def _resizing(old: int, new: int, interpolation: str, start: int, stop: int) -> _Resizing:
    """Prepare the rows from `start` to `stop` of a side that is resized from `old` to `new` pixels."""
    first, count, shares = _shares(old, new, interpolation)
    bits = _bits_behind_the_point(shares)
    whole = np.trunc(shares * 2.0**bits + np.where(shares < 0, -0.5, 0.5))
    largest_sum = 255 * np.abs(whole).sum(axis=1).max() + 2.0 ** (bits - 1)
    weights = (whole / 2.0**bits).astype(np.float32 if largest_sum < MAX_IN_FLOAT32 else np.float64)
    start_of, stop_of, top = first.tolist(), (first + count).tolist(), int(first[start])
    products = []
    for at in range(start, stop, ROWS_AT_ONCE):
        rows = range(at, min(at + ROWS_AT_ONCE, stop))
        left, right = start_of[rows[0]], stop_of[rows[-1]]
        block = np.zeros((len(rows), right - left), weights.dtype)
        for line, row in zip(block, rows, strict=True):
            line[start_of[row] - left : stop_of[row] - left] = weights[row, : count[row]]
        products.append(_Product(slice(at - start, rows.stop - start), slice(left - top, right - top), block))
    return _Resizing(products, top, stop_of[stop - 1], stop - start, bool(shares.min() < 0))


def _shares(old: int, new: int, interpolation: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first pixel that each new one is made of, their number, and the share of each: (new, most) float64."""
    kernel, radius = KERNELS[interpolation]
    scale = old / new
    stretch = max(scale, 1.0)
    centres = scale * (np.arange(new) + 0.5)
    first = np.maximum((centres - radius * stretch + 0.5).astype(np.int64), 0)
    count = np.minimum((centres + radius * stretch + 0.5).astype(np.int64), old) - first
    places = np.arange(count.max())
    shares = kernel(np.abs((first[:, None] + places - centres[:, None] + 0.5) * (1 / stretch)))
    shares[places >= count[:, None]] = 0
    return first, count, shares / np.cumsum(shares, axis=1)[:, -1:]  # summed one after the other, as torch does


def _bits_behind_the_point(shares: np.ndarray) -> int:
    """Return the bits of the fraction with which torch rounds shares: as many as leave the largest 15 bits."""
    largest = shares.max()
    fitting = (bits for bits in range(MAX_BITS) if int(0.5 + largest * 2 ** (bits + 1)) >= WEIGHTS_BELOW)
    return next(fitting, MAX_BITS)


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(1 - distance, 0))


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing", equation 15, with a = -0.5."""
    near = ((CUBIC_A + 2) * distance - (CUBIC_A + 3)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * CUBIC_A
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


# By interpolation: the share of a pixel by its distance, and the distance from which it is 0.
KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}
