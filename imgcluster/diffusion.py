"""K-Means where images are near that a random walk over their neighbours brings together: `method: auto`."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.neighbours import NEIGHBOURS, leading, neighbour_graph, unit_rows

THREADS = 2  # more add up centroids in whatever order they end
TIME = 8
EIGENVECTORS = 2  # for each cluster
LANDMARKS = 20_000  # of more images, so many are clustered, and the others go with those they are nearest to
VOTERS = 10
BLOCK = 1024


class Walk:
    """The eigenvectors of a graph, from which any number of clusters up to `most` can be made."""

    def __init__(
        self, points: np.ndarray, most: int, neighbours: tuple[int, ...] = NEIGHBOURS, time: int = TIME
    ) -> None:
        self.graph = neighbour_graph(points, neighbours)
        self._values, self._vectors = leading(self.graph, EIGENVECTORS * most)
        self._time = time

    def clusters(self, k: int, n_init: int, random_state: int) -> np.ndarray:
        """Return labels, (n,) int64.

        K-Means of the 2 k leading eigenvectors times their eigenvalues to the power of `time`, in rows of the length 1:
        diffusion maps, Lafon and Lee, IEEE TPAMI 28, 2006, with the rows of Ng, Jordan and Weiss, NIPS 2001.
        """
        from sklearn.cluster import KMeans

        if k == 1:
            return np.zeros(self._vectors.shape[0], np.int64)
        count = EIGENVECTORS * k
        weights = np.maximum(self._values[:count], 0) ** self._time
        rows = unit_rows(self._vectors[:, :count] * weights)
        with threadpool_limits(THREADS, user_api="openmp"):
            return np.asarray(KMeans(k, n_init=n_init, random_state=random_state).fit_predict(rows), np.int64)


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

    def fit_predict(self, points: np.ndarray) -> np.ndarray:
        """Return the labels of points, (n, dim) -> (n,) int64. Raises ValueError for parameters below 1."""
        if (
            not (isinstance(self.n_neighbors, int) and isinstance(self.diffusion_time, int))
            or min(self.n_neighbors, self.diffusion_time) < 1
        ):
            raise ValueError("n_neighbors and diffusion_time are whole numbers >= 1")
        rows = np.arange(len(points))
        if len(points) > LANDMARKS:
            rows = np.sort(np.random.default_rng(self.random_state).permutation(len(points))[:LANDMARKS])
        sizes = tuple(max(2, self.n_neighbors // part) for part in (4, 2, 1))
        walk = Walk(points[rows], self.n_clusters, sizes, self.diffusion_time)
        labels = walk.clusters(self.n_clusters, self.n_init, self.random_state)
        if len(rows) < len(points):
            labels = _with_the_nearest(points, points[rows], labels, self.n_clusters)
        self.points_, self.labels_ = points, labels
        return labels


def _with_the_nearest(points: np.ndarray, landmarks: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Give each point the label that most of its ten nearest landmarks have, of equally many the smaller."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(VOTERS, len(landmarks)), algorithm="brute").fit(landmarks)
    found = np.empty(len(points), np.int64)
    for start in range(0, len(points), BLOCK):
        near = labels[index.kneighbors(points[start : start + BLOCK], return_distance=False)]
        found[start : start + BLOCK] = np.stack([(near == label).sum(axis=1) for label in range(k)]).argmax(axis=0)
    return found
