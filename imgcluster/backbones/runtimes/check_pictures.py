"""Pictures on which a converted network is compared with the original.

Noise is unsuitable: BatchNorm has the statistics of photographs, so that a deep network maps noise to values a thousand
times too large, and rounding errors of float32 grow with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import numpy as np

from imgcluster.config import Recipe
from imgcluster.errors import ImageError
from imgcluster.images import prepare, read_image
from imgcluster.types import ImageFile

COUNT = 4  # pictures that are compared
MAX_IMAGES_READ = 20  # until COUNT of them are usable
SMOOTH_SIDE = 256  # pixels

Pictures = Callable[[], Iterable[np.ndarray]]  # yields (height, width, 3) RGB uint8, read on demand


def no_pictures() -> Iterable[np.ndarray]:
    """Return no pictures: a check then uses smooth ones."""
    return ()


def some_of(images: Sequence[ImageFile], recipe: Recipe, most: int = MAX_IMAGES_READ) -> Pictures:
    """Return a function that reads a few images of a run, at most `most`, evenly spaced."""
    step = max(1, len(images) // most)
    paths = [image.path for image in images[::step][:most]]
    return lambda: usable(partial(read_image, path, recipe.least, recipe.reading) for path in paths)


def usable(readers: Iterable[Callable[[], np.ndarray]]) -> Iterator[np.ndarray]:
    """Yield the pictures that can be read, without those of one colour, on which networks hardly differ."""
    for read in readers:
        try:
            picture = read()
        except (ImageError, MemoryError):  # extraction reports the reason
            continue
        if picture.min() < picture.max():
            yield picture


def check_pixels(pictures: Pictures, recipe: Recipe) -> np.ndarray:
    """Return network input of COUNT pictures, (COUNT, side, side, 3) uint8: these, and smooth ones for the rest."""
    pixels = np.zeros((COUNT, recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
    given = iter(islice(pictures(), COUNT))
    for number, out in enumerate(pixels):
        picture = next(given, None)
        prepare(_smooth(number) if picture is None else picture, recipe, out)
    return pixels[:, 0]


def _smooth(number: int) -> np.ndarray:
    """Return a picture of a few waves of colour, (SMOOTH_SIDE, SMOOTH_SIDE, 3) uint8."""
    random = np.random.default_rng(number)
    down, across = np.mgrid[:SMOOTH_SIDE, :SMOOTH_SIDE] / SMOOTH_SIDE
    waves = random.uniform(-3, 3, (4, 3, 2))
    phases, heights = random.uniform(0, 2 * np.pi, (4, 3)), random.uniform(5, 25, (4, 3))
    angles = 2 * np.pi * (waves[..., 0] * down[..., None, None] + waves[..., 1] * across[..., None, None]) + phases
    return np.asarray((140 + (heights * np.sin(angles)).sum(axis=2)).clip(0, 255), np.uint8)
