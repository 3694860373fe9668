"""The labels of an image's nearest neighbours, as probabilities; near copies, which are no witnesses of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgcluster.clustering import knn
from imgcluster.curation.space import unit_points

VOTERS = 10
SEARCHED = 20  # neighbours, so that enough are left without near copies
PRIOR = 0.01  # of all classes together, in votes
COPY = 0.98  # the cosine from which two images count as copies, such as one picture saved twice


@dataclass(frozen=True)
class Neighborhood:
    """Images as points, (n, dim) float, and their nearest ones, (n, m) int64, nearest first, with cosines.

    groups: (n,) int64, equal for near copies.
    """

    points: np.ndarray
    near: np.ndarray
    cosines: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> Neighborhood:
        """Find the neighbours of images by their features, (n, dim) float32."""
        points = unit_points(vectors)
        near, distances = knn(points, SEARCHED, "cosine")
        return cls(points, near, 1 - distances, _copy_groups(near, 1 - distances))

    def votes(self, classes: np.ndarray) -> np.ndarray:
        """Return the share of each class among the nearest neighbours, weighted by cosine: (n, n_classes) float64.

        Near copies with the image's own label have no vote: both may have come to it together. Those with another one
        do. classes: (n,) int64, from 0.
        """
        near, count = self.near, int(classes.max()) + 1
        counts = (self.groups[near] != self.groups[:, None]) | (classes[near] != classes[:, None])
        counts &= np.cumsum(counts, axis=1) <= VOTERS
        weights = np.where(counts, np.maximum(self.cosines, 0), 0)
        votes = np.full((len(near), count), PRIOR / count)
        for column in range(near.shape[1]):
            votes[np.arange(len(near)), classes[near[:, column]]] += weights[:, column]
        return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def _copy_groups(near: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.nonzero(cosines >= COPY)
    links = sp.coo_matrix((np.ones(len(rows)), (rows, near[rows, columns])), shape=(len(near), len(near)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
