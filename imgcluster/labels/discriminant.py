"""Linear discriminant analysis of classes that are known of a few points, and likely of all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.learning import softmax
from imgcluster.utils import row_slices

# Chosen on photographs, drawings, icons and digits with 1 to 10 labels a class: see outputs/README.md.
SHRINKAGE = 0.3  # of the covariance, towards a sphere
TEMPERATURE_PER_DIMENSION = 0.08  # dimensions that depend on one another would make the scores too sure
MIN_VARIANCE = 1e-12  # within classes, of the variance of all points


@dataclass(frozen=True)
class Gaussians:
    """Classes with one covariance; scores are (points - centre) @ directions + offsets, (n, classes)."""

    centre: np.ndarray
    directions: np.ndarray
    offsets: np.ndarray

    def probabilities(self, points: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Return the probability of each class, (n, classes) float32, all classes being equally frequent."""
        found = np.empty((len(points), len(self.offsets)), np.float32)
        for part in _slices(points):
            scores = (points[part] - self.centre) @ self.directions + self.offsets
            found[part] = softmax(scores / temperature)
        return found


def refined_shares(points: np.ndarray, shares: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the mean of shares and of the probabilities of a discriminant analysis, (n, classes) float32.

    The classes are Gaussians with one covariance, shrunk: Friedman, Regularized Discriminant Analysis, 1989. They are
    fitted to the points, each weighted by the square of its share, so that doubtful ones count little; and once more,
    with the probabilities as shares, a step of expectation-maximization: Nigam, McCallum, Thrun and Mitchell, Text
    Classification from Labeled and Unlabeled Documents using EM, 2000.

    Args:
        points: (n, dim) float.
        shares: (n, classes) float32; rows add up to 1.
        rows: (m,) int64, points of a known class.
        numbers: (m,) int64, their classes.
    """
    temperature = max(1.0, TEMPERATURE_PER_DIMENSION * points.shape[1])
    with threadpool_limits(1, user_api="blas"):  # the same bits on any number of cores
        likely = fit_gaussians(points, shares).probabilities(points)
        likely[rows] = 0
        likely[rows, numbers] = 1
        likely = fit_gaussians(points, likely).probabilities(points, temperature)
    return np.asarray((shares + likely) / 2)


def fit_gaussians(points: np.ndarray, shares: np.ndarray) -> Gaussians:
    """Fit classes to points, (n, dim), each weighted by the square of its share, (n, classes)."""
    dim, classes = points.shape[1], shares.shape[1]
    centre = points.mean(axis=0, dtype=np.float64)
    counts, sums, scatter, total = np.zeros(classes), np.zeros((classes, dim)), np.zeros((dim, dim)), 0.0
    for part in _slices(points):
        centred, weights = points[part] - centre, np.square(shares[part], dtype=np.float64)
        counts += weights.sum(axis=0)
        sums += weights.T @ centred
        scatter += (centred * weights.sum(axis=1, keepdims=True)).T @ centred
        total += float(np.square(centred).sum())
    means = sums / np.maximum(counts, np.finfo(np.float64).tiny)[:, None]
    covariance = (scatter - sums.T @ means) / counts.sum()
    least = MIN_VARIANCE * total / len(points) or 1.0  # where all points are equal, no class is likelier than others
    variance = max(float(covariance.trace()), least) / dim
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * variance * np.eye(dim)
    directions = np.linalg.solve(shrunk, means.T)
    return Gaussians(centre, directions, -np.einsum("kd,dk->k", means, directions) / 2)


def _slices(points: np.ndarray) -> list[slice]:
    return row_slices(*points.shape)
