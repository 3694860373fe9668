"""K-Means where images are near that a random walk over their neighbours brings together: `method: auto`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.eigenvectors import MAX_DENSE_SIZE, leading
from imgcluster.clustering.graph import NEIGHBOURS, neighbour_graph
from imgcluster.features import unit_length
from imgcluster.utils import OPENMP_THREADS, Advance, return_freed_memory, row_slices, track, without_pandas

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

TIME = 8
EIGENVECTORS_PER_CLUSTER = 2
SERVED = 20  # clusters, by the eigenvectors that are computed at once; or 30, 40, ...
SERVED_STEP = 10
MAX_STARTED_ROWS = 10_000  # K-Means starts on a sample of more rows, or of more than 100 for each cluster
MIN_STARTED_ROWS_PER_CLUSTER = 100
SAME_INERTIA = 1e-6  # relative difference; of starts as good as one another the first is taken
ENOUGH_ALIKE = 3  # starts that end as well as the best, itself among them: more would hardly end better,
MIN_ROWS_OF_FEWER_STARTS = 1000  # but on fewer rows, more take no time
MAX_COMPONENTS = 128
DEEP = 32  # values; shorter vectors are no features of a network, and their lengths say something


def auto_steps(images: int, dim: int, *, equalize: bool = False) -> tuple[Any, ...]:
    """Return the steps, as of `clusters.transform`, after which similar images are near; none for short vectors.

    equalize: with a step that lets smaller components count more, for clusters.
    """
    if dim < DEEP:
        return ()
    return ("sqrt", "l2", {"pca": min(MAX_COMPONENTS, images, dim)}, *(("equalize",) if equalize else ()), "l2")


class Walk:
    """The leading eigenvectors of a graph, from which any number of clusters can be made.

    The clusters of a number do not depend on which other numbers are asked for: the eigenvectors for 20 clusters serve
    all numbers up to 20, those for 30 the next ten, and so on. Fewer eigenvectors computed at a time have other last
    bits, or other directions where eigenvalues are equal, and K-Means may end elsewhere.
    """

    def __init__(
        self,
        points: np.ndarray,
        neighbours: tuple[int, ...] = NEIGHBOURS,
        time: int = TIME,
        *,
        show: bool = False,
    ) -> None:
        with threadpool_limits(OPENMP_THREADS, user_api="openmp"):
            self.graph = neighbour_graph(points, neighbours, show=show)
        return_freed_memory()
        self._leading: tuple[np.ndarray, np.ndarray] = np.empty(0), np.empty((len(points), 0))
        self._time = time

    def clusters(
        self,
        k: int,
        n_init: int,
        random_state: int,
        weights: np.ndarray | None = None,
        *,
        threads: int = OPENMP_THREADS,
        show: bool = False,
    ) -> np.ndarray:
        """Return labels, (n,) int64; weights, (n,): how many images each point stands for.

        threads: of the K-Means of many rows; the number changes the last bits of the centres.
        K-Means of the 2 k leading eigenvectors times their eigenvalues to the power of `time`, in rows of the length 1:
        diffusion maps, Lafon and Lee, IEEE TPAMI 28, 2006, with the rows of Ng, Jordan and Weiss, NIPS 2001.
        """
        if k == 1:
            return np.zeros(self.graph.shape[0], np.int64)
        count = EIGENVECTORS_PER_CLUSTER * k
        values, vectors = self._leading_for(k, show)
        dampings = (np.maximum(values[:count], 0) ** self._time).astype(vectors.dtype)
        rows = np.empty_like(vectors[:, :count], order="C")
        for part in row_slices(*rows.shape):
            rows[part] = unit_length(vectors[part, :count] * dampings, vectors.dtype.type)
        with track("clustering", n_init, "starts", show=show) as advance:
            return _KMeans(k, n_init, np.random.RandomState(random_state), advance, threads).labels(rows, weights)

    def _leading_for(self, k: int, show: bool) -> tuple[np.ndarray, np.ndarray]:
        served = max(SERVED, -(-k // SERVED_STEP) * SERVED_STEP)
        count = min(EIGENVECTORS_PER_CLUSTER * served, self.graph.shape[0])
        if len(self._leading[0]) != count:
            many = self.graph.shape[0] > MAX_DENSE_SIZE  # of fewer, there are no rounds to show
            with track("eigenvectors", None, "rounds", show=show and many) as advance:
                self._leading = leading(self.graph, count, advance=advance)
            return_freed_memory()
        return self._leading


@dataclass(frozen=True)
class _KMeans:
    """K-Means of the rows of eigenvectors; `advance` counts the starts."""

    k: int
    n_init: int
    draw: np.random.RandomState
    advance: Advance
    threads: int = OPENMP_THREADS

    def labels(self, rows: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """Return labels, (n,) int64, of rows, (n, dim), which it overwrites; of many rows it starts on a sample."""
        with without_pandas():
            from sklearn.cluster import KMeans

        started = max(MAX_STARTED_ROWS, MIN_STARTED_ROWS_PER_CLUSTER * self.k)
        if len(rows) <= started:
            return np.asarray(self._best_start(rows, weights).labels_, np.int64)
        return_freed_memory()
        some = np.sort(self.draw.permutation(len(rows))[:started])
        sample = self._best_start(rows[some], None if weights is None else weights[some])
        return_freed_memory()
        # No tolerance: it is relative to the variance, for which numpy makes a copy of the rows.
        model = KMeans(self.k, init=sample.cluster_centers_.astype(rows.dtype), n_init=1, copy_x=False, tol=0)
        with threadpool_limits(self.threads, user_api="openmp"):
            return np.asarray(model.fit_predict(rows, sample_weight=weights), np.int64)

    def _best_start(self, rows: np.ndarray, weights: np.ndarray | None) -> KMeans:
        """Fit from `n_init` starts, or on many rows until `ENOUGH_ALIKE` of them have ended alike.

        In one thread: so few rows are done before a second one has begun.
        """
        from sklearn.cluster import KMeans

        rows = rows.astype(np.float64)  # scikit-learn takes longer for seeds of float32
        best, alike = None, 0
        with threadpool_limits(1):
            for left in reversed(range(self.n_init)):
                model = KMeans(self.k, n_init=1, random_state=self.draw).fit(rows, sample_weight=weights)
                self.advance(1)
                if best is None or model.inertia_ < best.inertia_ * (1 - SAME_INERTIA):
                    best, alike = model, 0
                alike += model.inertia_ <= best.inertia_ * (1 + SAME_INERTIA)
                if alike == ENOUGH_ALIKE and len(rows) >= MIN_ROWS_OF_FEWER_STARTS:
                    self.advance(left)
                    break
        return best


class DiffusionClustering:
    """An estimator as scikit-learn's are: see `Walk`.

    n_neighbors: the size of the largest of three neighbourhoods; a half and a quarter of it are the others.
    diffusion_time: how long the walk is; longer ones see larger clusters alone.
    """

    _threads = OPENMP_THREADS

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
        self._walk: Walk | None = None

    def fit_predict(self, points: np.ndarray, sample_weight: np.ndarray | None = None) -> np.ndarray:
        """Return the labels of points, (n, dim) -> (n,) int64. Raises ValueError for parameters below 1.

        sample_weight: (n,), how much each point counts for the centres in the K-Means. In the graph each counts once.
        """
        self._walk = None
        return self.labels(points, self.n_clusters, sample_weight)

    def labels(
        self, points: np.ndarray, n_clusters: int, sample_weight: np.ndarray | None = None, *, show: bool = False
    ) -> np.ndarray:
        """Return the labels, (n,) int64, of the same points in any number of clusters, as of `fit_predict`."""
        walk = self.walk(points, show=show)
        self.points_ = points
        self.labels_ = walk.clusters(
            n_clusters, self.n_init, self.random_state, sample_weight, threads=self._threads, show=show
        )
        return self.labels_

    def walk(self, points: np.ndarray, *, show: bool = False) -> Walk:
        """Return the walk over the same points, whatever the number of clusters."""
        if self._walk is None:
            if (
                not (isinstance(self.n_neighbors, int) and isinstance(self.diffusion_time, int))
                or min(self.n_neighbors, self.diffusion_time) < 1
            ):
                raise ValueError("n_neighbors and diffusion_time are whole numbers >= 1")
            sizes = tuple(max(2, self.n_neighbors // part) for part in (4, 2, 1))
            self._walk = Walk(points, sizes, self.diffusion_time, show=show)
        return self._walk


class AutoClustering(DiffusionClustering):
    """Diffusion whose labels do not depend on the number of threads, and stay if all points get as many copies."""

    _threads = 1

    def labels(
        self, points: np.ndarray, n_clusters: int, sample_weight: np.ndarray | None = None, *, show: bool = False
    ) -> np.ndarray:
        """Return the labels, as of `DiffusionClustering`."""
        if sample_weight is not None:
            sample_weight = sample_weight // np.gcd.reduce(sample_weight)
        return super().labels(points, n_clusters, sample_weight, show=show)
