"""The pictures by which a converted network is compared with the one it was made of.

Noise will not do: where BatchNorm has the statistics of pictures, a deep network makes values of noise that are a
thousand times too large, and the rounding of float32 with them.
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
TRIED = 20  # images that are read until there are so many
SIDE = 256  # of a smooth picture

Pictures = Callable[[], Iterable[np.ndarray]]  # (height, width, 3) RGB uint8, read when they are asked for


def no_pictures() -> Iterable[np.ndarray]:
    """Return none: there are only smooth ones to look at."""
    return ()


def some_of(images: Sequence[ImageFile], recipe: Recipe) -> Pictures:
    """Return what reads a few of the images of a run, from its beginning to its end."""
    step = max(1, len(images) // TRIED)
    paths = [image.path for image in images[::step][:TRIED]]
    return lambda: usable(partial(read_image, path, recipe.least) for path in paths)


def usable(readers: Iterable[Callable[[], np.ndarray]]) -> Iterator[np.ndarray]:
    """Read pictures; those that cannot be read are left out, and so is what has one colour, in which little differs."""
    for read in readers:
        try:
            picture = read()
        except (ImageError, MemoryError):  # whoever computes its features tells why
            continue
        if picture.min() < picture.max():
            yield picture


def check_pixels(pictures: Pictures, recipe: Recipe) -> np.ndarray:
    """Return (COUNT, side, side, 3) uint8, as a network takes them: these pictures, and smooth ones for the rest."""
    pixels = np.zeros((COUNT, recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
    given = iter(islice(pictures(), COUNT))
    for number, out in enumerate(pixels):
        picture = next(given, None)
        prepare(_smooth(number) if picture is None else picture, recipe, out)
    return pixels[:, 0]


def _smooth(number: int) -> np.ndarray:
    """Return waves of colour, a few over the whole picture, as (SIDE, SIDE, 3) uint8."""
    random = np.random.default_rng(number)
    down, across = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = random.uniform(-3, 3, (4, 3, 2))
    phases, heights = random.uniform(0, 2 * np.pi, (4, 3)), random.uniform(5, 25, (4, 3))
    angles = 2 * np.pi * (waves[..., 0] * down[..., None, None] + waves[..., 1] * across[..., None, None]) + phases
    return np.asarray((140 + (heights * np.sin(angles)).sum(axis=2)).clip(0, 255), np.uint8)
