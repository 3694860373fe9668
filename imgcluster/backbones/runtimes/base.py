"""What every runtime offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from imgcluster.config import Recipe
from imgcluster.images import Pixels

Blocks = list[np.ndarray]  # (n, dim) float32, one for each layer


class Runtime(Protocol):
    """Executes a network.

    depth: so many batches may be in flight at a time; device: what it computes on, for a person.
    """

    depth: int
    device: str

    def buffer(self, shape: tuple[int, ...]) -> Pixels:
        """Return black pixels for batches, in memory that the device reads."""

    def prepare(self, image: np.ndarray, recipe: Recipe, out: Pixels) -> None:
        """Crop and resize an RGB uint8 picture into `out`, (n_views, side, side, 3), a part of a buffer.

        Called by several threads at a time. When it returns, a batch that is started will see the pixels.
        """

    def start(self, pixels: Pixels) -> Callable[[], Blocks]:
        """Begin with a batch, (n, n_views, side, side, 3) uint8, which must stay as it is until the result is there.

        What is returned waits for the result and returns it: the features, of an image's views their mean.
        """

    def __call__(self, pixels: Pixels) -> Blocks:
        """Compute a batch and wait for it."""
