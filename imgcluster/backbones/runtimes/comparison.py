"""Comparison of a network in bfloat16 with itself in fp32, by OpenVINO, on images of a run."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

import numpy as np

from imgcluster.backbones.runtimes.base import Blocks, Runtime
from imgcluster.backbones.runtimes.check_pictures import Pictures, some_of
from imgcluster.backbones.runtimes.openvino_conversion import keep_exact
from imgcluster.backbones.runtimes.openvino_runtime import OpenVinoRuntime, auto_batch_size
from imgcluster.backbones.runtimes.plan import converted_network, memory_errors
from imgcluster.backbones.runtimes.precision import (
    IMAGES_COMPARED,
    IMAGES_READ,
    MIN_IMAGES_COMPARED,
    PrecisionCheck,
    check_precision,
)
from imgcluster.backbones.select import Choice
from imgcluster.config import Recipe
from imgcluster.images import prepare
from imgcluster.types import ImageFile
from imgcluster.utils import Advance, digest_bytes, track


def compare_precisions(choice: Choice, images: Sequence[ImageFile], show: bool = False) -> PrecisionCheck | None:
    """Compare the network of a choice in bfloat16 with fp32 by OpenVINO, on images of a run, evenly spaced.

    None where too few of them can be read and differ from each other. Raises as `build_runtime`.
    """
    spaced = images[:: max(1, len(images) // IMAGES_READ)][:IMAGES_READ]
    # Every second one first: these alone are evenly spaced over the whole run too, and mostly enough.
    pictures = some_of([*spaced[::2], *spaced[1::2]], choice.recipe, IMAGES_READ)
    size = auto_batch_size(choice.recipe)
    pixels = different_pixels(pictures, choice.recipe)
    pixels = pixels[: len(pixels) // size * size]
    if len(pixels) < MIN_IMAGES_COMPARED:
        return None
    with memory_errors(choice), track("comparing bfloat16 with fp32", None, "images", show=show) as advance:

        def compute(precision: str, exact: int) -> Blocks:
            model = keep_exact(converted_network(choice, pictures), exact)
            return features_of(OpenVinoRuntime(model, choice.recipe, precision, size), pixels, size, advance)

        return check_precision(compute, len(pixels))


def different_pixels(pictures: Pictures, recipe: Recipe) -> np.ndarray:
    """Return network input of up to IMAGES_COMPARED pictures, (n, n_views, side, side, 3) uint8, no two of them equal.

    Of equal ones, bfloat16 cannot change the neighbours.
    """
    found: dict[str, np.ndarray] = {}
    for picture in pictures():
        pixels = np.zeros((recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
        prepare(picture, recipe, pixels)
        found.setdefault(digest_bytes(pixels.tobytes()), pixels)
        if len(found) == IMAGES_COMPARED:
            break
    return np.array(list(found.values()), np.uint8)


def features_of(runtime: Runtime, pixels: np.ndarray, size: int, advance: Advance) -> Blocks:
    """Return the features of pixels, a multiple of `size`, with as many batches in flight as the runtime takes."""
    starts = iter(range(0, len(pixels), size))
    in_flight = deque(runtime.start(pixels[start : start + size]) for start in islice(starts, runtime.depth))
    parts = []
    while in_flight:
        parts.append(in_flight.popleft()())
        advance(size)
        in_flight.extend(runtime.start(pixels[start : start + size]) for start in islice(starts, 1))
    return [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]
