"""From features to clusters: the transform, scikit-learn's K-Means, and what can be said of each image."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from imgcluster.config import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.progress import Advance, track
from imgcluster.tables import Clusters, Features
from imgcluster.transforms import fit_transform

# With three threads and more, scikit-learn adds up the centroids in the order in which the threads happen to end, and
# float32 sums in another order are other bits. Two threads give the same bytes each time.
KMEANS_THREADS = 2
ROWS_AT_A_TIME = 65536


def cluster_features(features: Features | np.ndarray, config: ClustersConfig, *, show: bool = True) -> Clusters:
    """Cluster features, or an (n, dim) float32 array, into `config.n_clusters` groups. Same input, same bits.

    Raises ClusteringError: fewer vectors than clusters, values that are not finite, a transform that cannot be done.
    """
    vectors = features.vectors if isinstance(features, Features) else features
    check_enough(len(vectors), config.n_clusters)
    _check_finite(vectors)
    points, state = fit_transform(vectors, config.transform, config.random_state)
    with track("clustering", config.n_init, "starts", show=show) as advance:
        labels, centroids = _best_kmeans(points, config, advance)
    order = NUMBERINGS[config.numbering](labels, config.n_clusters)
    labels, centroids = np.argsort(order)[labels], centroids[order]
    distances = centroid_distances(points, centroids)
    runner_up, runner_up_distance = _runners_up(distances, labels)
    sizes = np.bincount(labels, minlength=config.n_clusters)
    return Clusters(
        labels=labels,
        distance=distances[np.arange(len(labels)), labels],
        runner_up=runner_up,
        runner_up_distance=runner_up_distance,
        sizes=sizes,
        state={**state, "centroids": centroids},
        notes=_notes(sizes),
    )


def centroid_distances(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each point to each centroid: (n, n_clusters) float64."""
    squared = np.empty((len(points), len(centroids)))
    for start in range(0, len(points), ROWS_AT_A_TIME):
        some = points[start : start + ROWS_AT_A_TIME]
        for number, centroid in enumerate(centroids):
            difference = some.astype(np.float64) - centroid
            squared[start : start + len(some), number] = np.einsum("ij,ij->i", difference, difference)
    return np.sqrt(squared)


def check_enough(images: int, n_clusters: int) -> None:
    """Raise ClusteringError where there are fewer images than clusters."""
    if images < n_clusters:
        raise ClusteringError(
            f"clusters.n_clusters: {n_clusters} clusters need at least as many readable images; there are {images}"
        )


def _check_finite(vectors: np.ndarray) -> None:
    if not np.isfinite(vectors).all():
        rows = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise ClusteringError(f"the features of {rows:,} images are not finite (NaN or infinity)")


def _best_kmeans(points: np.ndarray, config: ClustersConfig, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
    """Run K-Means from `n_init` starts and keep the tightest: the result of one call of scikit-learn's, with progress.

    scikit-learn draws all its starts from one generator; the same generator handed to single starts draws the same.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    generator = np.random.RandomState(config.random_state)
    best = None
    with threadpool_limits(KMEANS_THREADS, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters: see _notes
        for _ in range(config.n_init):
            model = KMeans(n_clusters=config.n_clusters, n_init=1, random_state=generator).fit(points)
            if best is None or (model.inertia_ < best.inertia_ and not _are_same(model.labels_, best.labels_)):
                best = model
            advance(1)
    assert best is not None  # noqa: S101 (n_init is at least 1)
    return best.labels_.astype(np.int64), best.cluster_centers_


def _are_same(labels: np.ndarray, others: np.ndarray) -> bool:
    """Tell whether two clusterings differ in their numbers only: then the first stays, as in scikit-learn."""
    pairs = len(np.unique(np.stack([labels, others]), axis=1).T)
    return pairs == len(np.unique(labels)) == len(np.unique(others))


def _runners_up(distances: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    others = distances.copy()
    others[np.arange(len(labels)), labels] = np.inf
    runner_up = others.argmin(axis=1)
    distance = others[np.arange(len(labels)), runner_up]
    return np.where(np.isinf(distance), -1, runner_up), distance


def _notes(sizes: np.ndarray) -> list[str]:
    empty = int((sizes == 0).sum())
    if not empty:
        return []
    return [f"{len(sizes) - empty} of {len(sizes)} clusters have images: no more of them have features of their own"]


# Each returns the raw numbers in their new order: order[new] = raw.
NUMBERINGS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "raw": lambda labels, n: np.arange(n),
    "size": lambda labels, n: np.argsort(-np.bincount(labels, minlength=n), kind="stable"),
    "first_appearance": lambda labels, n: np.array(list(dict.fromkeys([*labels.tolist(), *range(n)]))),
}
