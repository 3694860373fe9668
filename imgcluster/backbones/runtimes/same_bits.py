"""Tests, once for each network, whether the features of a picture depend to the bit on the rest of its batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imgcluster.backbones.runtimes.base import Blocks, Runtime
from imgcluster.config import Recipe

PICTURES = 8
MAX_BATCH = 64  # pictures, on torch: a test of larger batches would need their memory twice


def at_any_place(runtime: Runtime, recipe: Recipe, together: int) -> bool:
    """Tell whether noise gives the same bits when it moves by one place in a batch of `together`."""
    pixels = _noise(together, recipe)
    first, moved = runtime(pixels), runtime(np.roll(pixels, 1, axis=0))
    return all(
        np.array_equal(np.roll(one, 1, axis=0), other, equal_nan=True) for one, other in zip(first, moved, strict=True)
    )


def alone_and_together(build: Callable[[int], Runtime], recipe: Recipe, together: int) -> bool:
    """Tell whether noise gives the same bits one by one and `together` at a time, at each place in a batch.

    build: makes a runtime for so many images at a time; each is deleted before the next is made.
    """
    pixels = _noise(-(-PICTURES // together) * together, recipe)
    alone, others = (_computed(build(images), pixels, images) for images in (1, together))
    return all(np.array_equal(one, other, equal_nan=True) for one, other in zip(alone, others, strict=True))


def _noise(images: int, recipe: Recipe) -> np.ndarray:
    shape = (images, recipe.n_views, recipe.side, recipe.side, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _computed(runtime: Runtime, pixels: np.ndarray, images: int) -> Blocks:
    parts = [runtime(pixels[start : start + images]) for start in range(0, len(pixels), images)]
    return [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]
