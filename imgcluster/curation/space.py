"""The space in which images are compared whatever their run did."""

from __future__ import annotations

import numpy as np

from imgcluster.clustering import auto_steps
from imgcluster.features import fit_transform


def unit_points(vectors: np.ndarray) -> np.ndarray:
    """Return features, (n, dim) float32, as points of the length 1 in the space of `method: auto`, (n, m) float32.

    Short vectors, for which that method has no space, become their directions from the mean.
    """
    steps = auto_steps(*vectors.shape) or ({"pca": min(vectors.shape)}, "l2")
    return np.asarray(fit_transform(vectors, steps, 0)[0], np.float32)
