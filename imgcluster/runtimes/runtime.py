"""What every runtime offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

Blocks = list[np.ndarray]  # (n, dim) float32, one for each layer


class Runtime(Protocol):
    """Executes a network.

    depth: so many batches may be in flight at a time; device: what it computes on, for a person.
    """

    depth: int
    device: str

    def buffer(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of uint8 for batches, in memory from which the device reads quickly."""

    def start(self, pixels: np.ndarray) -> Callable[[], Blocks]:
        """Begin with a batch, (n, n_views, side, side, 3) uint8, which must stay as it is until the result is there.

        What is returned waits for the result and returns it: the features, of an image's views their mean.
        """

    def __call__(self, pixels: np.ndarray) -> Blocks:
        """Compute a batch and wait for it."""
