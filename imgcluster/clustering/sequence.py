"""Clusters of frames in order, where neighbours belong together: segments, or labels that seldom change."""

from __future__ import annotations

import numpy as np

from imgcluster.errors import ClusteringError
from imgcluster.utils import row_slices

Costs = np.ndarray
Starts = np.ndarray | tuple[int, ...]


def segments(points: np.ndarray, n_clusters: int, weights: np.ndarray | None = None, starts: Starts = ()) -> np.ndarray:
    """Cut points in order, (n, dim), into `n_clusters` runs with the least squared distances to their means.

    weights: (n,) int64, how many frames each point stands for; None: one. starts: points that begin a video; no run
    reaches over one.
    Returns the run of each point, (n,) int64, from 0 on. Exact, by dynamic programming: Fisher, On Grouping for Maximum
    Homogeneity, Journal of the American Statistical Association 53, 1958. Takes n² dim operations, and
    memory for n (dim + K) numbers.
    Raises ClusteringError where there are fewer points than runs.
    """
    count = len(points)
    if count < n_clusters:
        raise ClusteringError(f"clusters.order: {n_clusters} segments of {count} images")
    earliest = _video_of_each(count, starts)
    sums, squares, sizes = _prefixes(points, np.ones(count, np.int64) if weights is None else weights)
    best = np.full((n_clusters, count + 1), np.inf)
    starts = np.zeros((n_clusters, count + 1), np.int64)
    for ends in row_slices(count, 2 * count):
        for end, costs in zip(range(ends.start + 1, ends.stop + 1), _costs(sums, squares, sizes, ends), strict=True):
            costs[: earliest[end - 1]] = np.inf
            best[0, end] = costs[0]
            for run in range(1, min(n_clusters, end)):
                totals = best[run - 1, run:end] + costs[run:end]
                starts[run, end] = run + int(totals.argmin())
                best[run, end] = totals[starts[run, end] - run]
    return _walked_back(starts, n_clusters, count)


def _video_of_each(count: int, starts: Starts) -> np.ndarray:
    """Return the point that begins the video of each point, (count,) int64."""
    first = np.zeros(count, np.int64)
    first[np.asarray(starts, np.int64)] = starts
    return np.maximum.accumulate(first)


def _prefixes(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cumulative weighted sums of the points, of their squared lengths, and of the weights.

    Shapes: (n + 1, dim) float64, (n + 1,) float64, (n + 1,) int64; the first row is zero.
    """
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    sums = np.concatenate([np.zeros((1, centred.shape[1])), np.cumsum(weights[:, None] * centred, axis=0)])
    squares = np.concatenate([[0.0], np.cumsum(weights * np.einsum("ij,ij->i", centred, centred))])
    return sums, squares, np.concatenate([[0], np.cumsum(weights)])


def _costs(sums: np.ndarray, squares: np.ndarray, sizes: np.ndarray, ends: slice) -> Costs:
    """Squared distances to their mean of the points from each start up to each of some ends: (ends, n).

    Of n points with sum s and squared lengths q that is q - |s|² / n; a start that is not before the end: infinity.
    """
    after = np.arange(ends.start + 1, ends.stop + 1)
    lengths = np.einsum("ij,ij->i", sums, sums)
    between = lengths[after][:, None] + lengths[None, :-1] - 2 * (sums[after] @ sums[:-1].T)
    counts = sizes[after][:, None] - sizes[None, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = squares[after][:, None] - squares[None, :-1] - between / counts
    costs[counts <= 0] = np.inf
    return np.asarray(np.maximum(costs, 0))


def _walked_back(starts: np.ndarray, n_clusters: int, count: int) -> np.ndarray:
    labels = np.empty(count, np.int64)
    end = count
    for run in range(n_clusters - 1, -1, -1):
        start = int(starts[run, end]) if run else 0
        labels[start:end] = run
        end = start
    return labels


def smoothed(points: np.ndarray, centroids: np.ndarray, weight: float, starts: Starts = ()) -> np.ndarray:
    """Return labels, (n,) int64, that are near to the centroids, (k, dim), and change from point to point seldom.

    The least of the sum of squared distances, in units of their mean at the nearest centroids, plus `weight` for each
    change, found exactly: Viterbi, Error Bounds for Convolutional Codes, IEEE Transactions on Information Theory, 1967.
    A change at one of `starts`, where a video begins, costs nothing.
    """
    weights = np.full(len(points), weight)
    weights[np.asarray(starts, np.int64)] = 0
    squared = np.stack([((points - centroid) ** 2).sum(axis=1, dtype=np.float64) for centroid in centroids], axis=1)
    unit = squared.min(axis=1).mean()
    costs = squared / unit if unit > 0 else squared
    total = costs[0].copy()
    came_from = np.empty(costs.shape, np.int64)
    for row in range(1, len(costs)):
        cheapest = int(total.argmin())
        change = total[cheapest] + weights[row]
        came_from[row] = np.where(total <= change, np.arange(len(total)), cheapest)
        total = np.minimum(total, change) + costs[row]
    labels = np.empty(len(costs), np.int64)
    labels[-1] = int(total.argmin())
    for row in range(len(costs) - 1, 0, -1):
        labels[row - 1] = came_from[row, labels[row]]
    return labels
