"""K-Means where images are near that a random walk over their neighbours brings together: `method: auto`."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.neighbors import NEIGHBOURS, knn, leading, neighbour_graph
from imgcluster.features import unit_length
from imgcluster.utils import OPENMP_THREADS, row_slices

TIME = 8
EIGENVECTORS = 2  # for each cluster
SERVED = 20  # clusters, by the eigenvectors that are worked out at once; or twice, four times, ... as many
LANDMARKS = 20_000  # of more images, so many are clustered, and the others go with those they are nearest to
VOTERS = 10
MAX_COMPONENTS = 128
DEEP = 32  # values; shorter vectors are no features of a network, and their lengths say something


def auto_steps(images: int, dim: int) -> tuple[Any, ...]:
    """Return the steps, as of `clusters.transform`, after which similar images are near; none for short vectors."""
    return () if dim < DEEP else ("sqrt", "l2", {"pca": min(MAX_COMPONENTS, images, dim)}, "l2")


class Walk:
    """The leading eigenvectors of a graph, from which any number of clusters can be made.

    What is made of a number does not depend on which others are asked for: the eigenvectors for 20 clusters serve all
    numbers up to 20, those for 40 all up to 40, and so on. Fewer of them worked out at a time have other last bits, or
    other directions where eigenvalues are equal, and K-Means may end elsewhere.
    """

    def __init__(self, points: np.ndarray, neighbours: tuple[int, ...] = NEIGHBOURS, time: int = TIME) -> None:
        with threadpool_limits(OPENMP_THREADS, user_api="openmp"):
            self.graph = neighbour_graph(points, neighbours)
        self._leading: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._time = time

    def clusters(self, k: int, n_init: int, random_state: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return labels, (n,) int64; weights, (n,): how many images each point stands for.

        K-Means of the 2 k leading eigenvectors times their eigenvalues to the power of `time`, in rows of the length 1:
        diffusion maps, Lafon and Lee, IEEE TPAMI 28, 2006, with the rows of Ng, Jordan and Weiss, NIPS 2001.
        """
        from sklearn.cluster import KMeans

        if k == 1:
            return np.zeros(self.graph.shape[0], np.int64)
        count = EIGENVECTORS * k
        with threadpool_limits(OPENMP_THREADS, user_api="openmp"):
            values, vectors = self._leading_for(k)
            rows = unit_length(vectors[:, :count] * np.maximum(values[:count], 0) ** self._time, np.float64)
            model = KMeans(k, n_init=n_init, random_state=random_state)
            return np.asarray(model.fit_predict(rows, sample_weight=weights), np.int64)

    def _leading_for(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        most = SERVED
        while most < k:
            most *= 2
        if most not in self._leading:
            self._leading[most] = leading(self.graph, EIGENVECTORS * most)
        return self._leading[most]


class DiffusionClustering:
    """An estimator as scikit-learn's are: see `Walk`. Memory and time grow with the square of up to 20,000 points.

    n_neighbors: the size of the largest of three neighbourhoods; a half and a quarter of it are the others.
    diffusion_time: how long the walk is; longer ones see larger clusters alone.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_init: int = 10,
        random_state: int = 0,
        n_neighbors: int = NEIGHBOURS[-1],
        diffusion_time: int = TIME,
    ) -> None:
        self.n_clusters, self.n_init, self.random_state = n_clusters, n_init, random_state
        self.n_neighbors, self.diffusion_time = n_neighbors, diffusion_time

    def fit_predict(self, points: np.ndarray, sample_weight: np.ndarray | None = None) -> np.ndarray:
        """Return the labels of points, (n, dim) -> (n,) int64. Raises ValueError for parameters below 1.

        sample_weight: (n,), how much each point counts for the centres in the K-Means. In the graph each counts once.
        """
        self.prepare(points, sample_weight)
        self.labels_ = self.labels(self.n_clusters)
        return self.labels_

    def prepare(self, points: np.ndarray, sample_weight: np.ndarray | None = None) -> None:
        """Do what all numbers of clusters share; see `fit_predict`."""
        if (
            not (isinstance(self.n_neighbors, int) and isinstance(self.diffusion_time, int))
            or min(self.n_neighbors, self.diffusion_time) < 1
        ):
            raise ValueError("n_neighbors and diffusion_time are whole numbers >= 1")
        rows = np.arange(len(points))
        if len(points) > LANDMARKS:
            rows = np.sort(np.random.default_rng(self.random_state).permutation(len(points))[:LANDMARKS])
        sizes = tuple(max(2, self.n_neighbors // part) for part in (4, 2, 1))
        self._walk = Walk(points[rows], sizes, self.diffusion_time)
        self._landmarks, self._weights = rows, None if sample_weight is None else sample_weight[rows]
        self.points_ = points

    def labels(self, n_clusters: int) -> np.ndarray:
        """Return the labels, (n,) int64, of the points that were prepared, in any number of clusters."""
        labels = self._walk.clusters(n_clusters, self.n_init, self.random_state, self._weights)
        if len(labels) == len(self.points_):
            return labels
        return _with_the_nearest(self.points_, self.points_[self._landmarks], labels, n_clusters)


def _with_the_nearest(points: np.ndarray, landmarks: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Give each point the label that most of its ten nearest landmarks have, of equally many the smaller."""
    near = knn(landmarks, VOTERS, queries=points)[0]
    found = np.empty(len(points), np.int64)
    for part in row_slices(len(points), VOTERS * k):
        found[part] = (labels[near[part]][:, :, None] == np.arange(k)).sum(axis=1).argmax(axis=1)
    return found
