"""From features to clusters: the transform, K-Means, and what can be said of each image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imgcluster.blocks import finite_rows, in_order, row_slices
from imgcluster.config import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.tables import Clusters, Features
from imgcluster.transforms import Points, fit_steps

ROUNDING = 1e-9  # of a squared distance reckoned from products, in float64, against the lengths of what is subtracted


def cluster_features(features: Features | np.ndarray, config: ClustersConfig, *, show: bool = True) -> Clusters:
    """Cluster features, or an (n, dim) float32 array, into `config.n_clusters` groups. Same input, same bits.

    The array may be a memory map, is only read, and is never copied whole when it is larger than 2 GiB. Up to there
    K-Means is one call of scikit-learn's, and beyond it, or on a GPU, what `kmeans.find_clusters` says; the notes tell.
    Raises ClusteringError: fewer vectors than clusters, values that are not finite, a transform that cannot be done.
    """
    from imgcluster.kmeans import find_clusters

    vectors = features.vectors if isinstance(features, Features) else features
    check_enough(len(vectors), config.n_clusters)
    _check_finite(vectors)
    points, state = fit_steps(vectors, config.transform, config.random_state)
    found = find_clusters(points, config, show=show)
    order = NUMBERINGS[config.numbering](found.labels, config.n_clusters)
    labels, centroids = np.argsort(order)[found.labels], found.centroids[order]
    sizes = np.bincount(labels, minlength=config.n_clusters)
    distance, runner_up, runner_up_distance = nearest_two(points, centroids, labels)
    return Clusters(
        labels=labels,
        distance=distance,
        runner_up=runner_up,
        runner_up_distance=runner_up_distance,
        sizes=sizes,
        state={**state, "centroids": centroids},
        notes=found.notes + _notes(sizes),
    )


def centroid_distances(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each point to each centroid: (n, n_clusters) float64."""
    squared = np.empty((len(points), len(centroids)))
    for part in row_slices(*points.shape):
        for number in range(len(centroids)):
            difference = points[part].astype(np.float64) - centroids[number]
            squared[part, number] = np.einsum("ij,ij->i", difference, difference)
    return np.sqrt(squared)


def nearest_two(points: Points, centroids: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each point what `centroid_distances` holds of its own centroid, and of the nearest other one.

    distance: (n,) float64; the other one's number: (n,) int64, -1 where there is none; its distance: (n,) float64,
    infinite where there is none. Nothing of the size (n, n_clusters) is held.
    """
    centres = centroids.astype(np.float64)
    lengths = np.einsum("ij,ij->i", centres, centres)

    def of_block(part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        block = points.block(part).astype(np.float64)
        own = _squared(block, centres[labels[part]])
        return own, *_runners_up(block, centres, lengths, labels[part])

    slices = points.slices(beside=2 * len(centroids))
    own, runner_up, squared = (np.concatenate(parts) for parts in zip(*in_order(of_block, slices), strict=True))
    return np.sqrt(own), runner_up, np.sqrt(squared)


def check_enough(images: int, n_clusters: int) -> None:
    """Raise ClusteringError where there are fewer images than clusters."""
    if images < n_clusters:
        raise ClusteringError(
            f"clusters.n_clusters: {n_clusters} clusters need at least as many readable images; there are {images}"
        )


def _check_finite(vectors: np.ndarray) -> None:
    if spoilt := len(vectors) - finite_rows(vectors):
        raise ClusteringError(f"the features of {spoilt:,} images are not finite (NaN or infinity)")


def _runners_up(
    points: np.ndarray, centres: np.ndarray, lengths: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centre but the own one, the first of equally near ones: (m,) int64, and (m,) float64 squared.

    A matrix product tells which can be; the distances to these, most often to one alone, are worked out exactly.
    """
    if len(centres) == 1:
        return np.full(len(points), -1), np.full(len(points), np.inf)
    rows = np.arange(len(points))
    squares = np.einsum("ij,ij->i", points, points)
    squared = squares[:, None] - 2 * (points @ centres.T) + lengths
    squared[rows, own] = np.inf
    bound = squared.min(axis=1) + ROUNDING * (squares + lengths.max())
    near_rows, near = np.nonzero(squared <= bound[:, None])
    if len(near) == len(points):
        return near, _squared(points, centres[near])
    squared.fill(np.inf)
    for start in range(0, len(near), len(points)):  # of equal centres all are near: many times the points
        at, to = near_rows[start : start + len(points)], near[start : start + len(points)]
        squared[at, to] = _squared(points[at], centres[to])
    runner_up = squared.argmin(axis=1)
    return runner_up, squared[rows, runner_up]


def _squared(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the squared distance of each point to its centre, (m,) float64; writes to the centres, (m, dim)."""
    difference = np.subtract(points, centres, out=centres)
    return np.asarray(np.einsum("ij,ij->i", difference, difference))


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
