"""Tests, once for each network, whether the features of a picture depend to the bit on the rest of its batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from imgcluster.backbones.runtimes.base import Blocks, Runtime
from imgcluster.config import Recipe
from imgcluster.utils import cache_folder, fingerprint_of, write_whole

PICTURES = 8
MAX_BATCH = 64  # pictures, on torch: a test of larger batches would need their memory twice
SAME, DIFFERENT = b"same", b"different"


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


def remembered(about: Any, find: Callable[[], bool]) -> bool:
    """Return the cached result of `find`, or call it and cache the result.

    about: plain data on which the result depends, the key. Without a usable cache, `find` is called each time.
    """
    with suppress(OSError, RuntimeError):  # RuntimeError where the home directory is unknown
        path = cache_folder() / "same_bits" / fingerprint_of(about)
        if path.is_file() and (verdict := path.read_bytes()) in (SAME, DIFFERENT):
            return verdict == SAME
    found = find()
    with suppress(OSError, RuntimeError):
        path = cache_folder() / "same_bits" / fingerprint_of(about)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, SAME if found else DIFFERENT)
    return found


def _noise(images: int, recipe: Recipe) -> np.ndarray:
    shape = (images, recipe.n_views, recipe.side, recipe.side, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _computed(runtime: Runtime, pixels: np.ndarray, images: int) -> Blocks:
    parts = [runtime(pixels[start : start + images]) for start in range(0, len(pixels), images)]
    return [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]
