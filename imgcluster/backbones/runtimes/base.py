"""Protocol of the runtimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from imgcluster.config import Recipe
from imgcluster.images import Pixels

Blocks = list[np.ndarray]  # (n, dim) float32, one for each layer


class Runtime(Protocol):
    """Executes a network.

    depth: how many batches may be in flight at a time. device: description of the device, for messages.
    """

    depth: int
    device: str

    def buffer(self, shape: tuple[int, ...]) -> Pixels:
        """Return zeros for batches, in memory that the device reads."""

    def prepare(self, image: np.ndarray, recipe: Recipe, out: Pixels) -> None:
        """Crop and resize an RGB uint8 picture into `out`, (n_views, side, side, 3), a part of a buffer.

        Thread-safe. A batch that is started after it returns sees the pixels.
        """

    def start(self, pixels: Pixels) -> Callable[[], Blocks]:
        """Start a batch, (n, n_views, side, side, 3) uint8, which must not change until its result is there.

        Returns a function that waits for the features, averaged over the views of each image, and returns them.
        """

    def __call__(self, pixels: Pixels) -> Blocks:
        """Compute a batch and wait for it."""
