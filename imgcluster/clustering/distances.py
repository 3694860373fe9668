"""Distances of points to the centroids of clusters: all of them, the nearest two, and probabilities by them."""

from __future__ import annotations

import numpy as np

from imgcluster.features import Points
from imgcluster.types import NOISE
from imgcluster.utils import in_order, row_slices

ROUNDING = 1e-9  # of a squared distance by a float64 product, as a share of the squared lengths it is a difference of

Nearest = tuple[np.ndarray, np.ndarray, np.ndarray]


def centroid_distances(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each point, (n, dim), to each centroid, (k, dim): (n, k) float64."""
    squared = np.empty((len(points), len(centroids)))
    for part in row_slices(*points.shape):
        for number in range(len(centroids)):
            difference = points[part].astype(np.float64) - centroids[number]
            squared[part, number] = np.einsum("ij,ij->i", difference, difference)
    return np.sqrt(squared)


def nearest_two(points: Points, centroids: np.ndarray, labels: np.ndarray) -> Nearest:
    """Return each point's distance to its own centroid, the nearest other centroid, and the distance to that one.

    The distances are those of `centroid_distances`; nothing of the size (n, k) is held.

    Args:
        labels: (n,) int64, the number of each point's centroid; -1: noise.

    Returns:
        The distance, (n,) float64, NaN for noise, which has the nearest centroid as its runner-up; the runner-up,
        (n,) int64, -1 where there is none; its distance, (n,) float64, infinite where there is none.
    """
    centres = centroids.astype(np.float64)
    lengths = np.einsum("ij,ij->i", centres, centres)

    def of_block(part: slice) -> Nearest:
        block = points.block(part).astype(np.float64)
        own = np.where(labels[part] >= 0, _squared(block, centres[labels[part]]), np.nan)
        return own, *_runners_up(block, centres, lengths, labels[part])

    if not len(centroids):
        return np.full(len(points), np.nan), np.full(len(points), NOISE), np.full(len(points), np.inf)
    slices = points.slices(beside=2 * len(centroids))
    own, runner_up, squared = (np.concatenate(parts) for parts in zip(*in_order(of_block, slices), strict=True))
    return np.sqrt(own), runner_up, np.sqrt(squared)


def used_numbers(centroids: np.ndarray) -> np.ndarray:
    """Return the numbers of the clusters that have images: the centroids, (k, dim), of the others are NaN."""
    return np.flatnonzero(np.isfinite(centroids).all(axis=1))


def nearest_clusters(centroids: np.ndarray) -> dict[int, int]:
    """Return the nearest other cluster of each cluster that has images; nothing where there is only one."""
    numbers = used_numbers(centroids)
    if len(numbers) < 2:
        return {}
    nearest = nearest_two(Points(centroids[numbers]), centroids[numbers], np.arange(len(numbers)))[1]
    return dict(zip(numbers.tolist(), numbers[nearest].tolist(), strict=True))


def shares_by_distance(squared: np.ndarray, unit: float) -> np.ndarray:
    """Return the probability of each centroid, (n, k) float64: the softmax of the negative squared distances / unit."""
    shares = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / (unit or 1.0))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _runners_up(
    points: np.ndarray, centres: np.ndarray, lengths: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centre but the own one, the first of equally near ones: (m,) int64, and (m,) float64 squared.

    A matrix product narrows the choice down, most often to one; the distances to these are worked out exactly.
    """
    rows = np.arange(len(points))
    inside = rows[own >= 0]
    if len(centres) == 1 and len(inside):
        runner_up = np.where(own >= 0, NOISE, 0)
        return runner_up, np.where(own >= 0, np.inf, _squared(points, centres[np.zeros(len(points), np.int64)]))
    squares = np.einsum("ij,ij->i", points, points)
    squared = squares[:, None] - 2 * (points @ centres.T) + lengths
    squared[inside, own[inside]] = np.inf
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
