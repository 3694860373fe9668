"""Scores of clusters by their shape alone: silhouette, Davies-Bouldin, Calinski-Harabasz, inertia, margins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from imgcluster.types import NOISE
from imgcluster.utils import row_slices

SAMPLED_ABOVE = 10_000  # points; the silhouette needs the distance of each to each
SILHOUETTE_MIB = 64  # of distances at a time; scikit-learn's default is 1,024
NAN = float("nan")


@dataclass(frozen=True)
class InternalScores:
    """How compact and separate clusters are. NaN stands for what is not defined.

    silhouettes, margins: (n,) float64, of each image, as of `internal_scores` and `margin`; NaN of noise.
    sampled: the number of images that the silhouette is of, where these are not all; else None.
    """

    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    inertia: float
    silhouettes: np.ndarray
    margins: np.ndarray
    sampled: int | None = None


def internal_scores(points: np.ndarray, labels: np.ndarray, *, seed: int = 42) -> InternalScores:
    """Score clusters without known labels: points (n, dim) float, labels (n,) int, those of noise -1 and left out.

    silhouette: from -1 to 1, best 1 (Rousseeuw, Silhouettes, 1987); above SAMPLED_ABOVE points worked out on so many,
    drawn by `seed`, and NaN for the others. davies_bouldin: from 0, best 0 (Davies and Bouldin, A Cluster Separation
    Measure, 1979). calinski_harabasz: from 0, more is better (Calinski and Harabasz, A Dendrite Method for Cluster
    Analysis, 1974). inertia: squared distances to the cluster's mean, summed.

    What needs two clusters, and more points than clusters, is NaN without them; with noise alone all is.
    """
    from sklearn import config_context, metrics

    inside = np.flatnonzero(labels != NOISE)
    numbers = np.unique(labels[inside], return_inverse=True)[1]
    drawn = _drawn(len(inside), seed)
    silhouettes = np.full(len(labels), NAN)
    if _comparable(numbers[drawn]):
        with config_context(working_memory=SILHOUETTE_MIB):
            silhouettes[inside[drawn]] = metrics.silhouette_samples(points[inside[drawn]], numbers[drawn])
    every = points if len(inside) == len(points) else points[inside]
    means = cluster_means((every[part] for part in row_slices(*every.shape)), numbers, every.shape[1])
    inertia, margins = NAN, np.full(len(labels), NAN)
    if len(inside):
        inertia, margins[inside] = _distances(every, numbers, means)
    defined = _comparable(numbers)
    return InternalScores(
        silhouette=float(silhouettes[inside[drawn]].mean()) if len(drawn) else NAN,
        davies_bouldin=float(metrics.davies_bouldin_score(every, numbers)) if defined else NAN,
        calinski_harabasz=_calinski_harabasz(means, np.bincount(numbers), inertia) if defined else NAN,
        inertia=inertia,
        silhouettes=silhouettes,
        margins=margins,
        sampled=len(drawn) if len(drawn) < len(inside) else None,
    )


def cluster_means(blocks: Iterable[np.ndarray], labels: np.ndarray, dim: int) -> np.ndarray:
    """Return the mean of each cluster, (k, dim) float64, 0 of a number without rows; noise, label -1, is left out.

    blocks: the rows of consecutive labels, (m, dim) each; labels: (n,) int. Rows are added up one by one in float64:
    blocks of any size give the same bits.
    """
    sums, start = np.zeros((int(labels.max(initial=-1)) + 1, dim)), 0
    for rows in blocks:
        own = labels[start : start + len(rows)]
        np.add.at(sums, own[own >= 0], rows[own >= 0].astype(np.float64))
        start += len(rows)
    counts = np.bincount(labels[labels >= 0], minlength=len(sums))
    return np.asarray(sums / np.maximum(counts, 1)[:, None])


def silhouette_of(distances: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean silhouette, from -1 to 1, of points of which all distances, (m, m), are known.

    Noise, label -1, is left out; not a number where fewer than two clusters are left. As scikit-learn's
    silhouette_score, but for one set of distances and any number of labels.
    """
    kept = labels >= 0
    numbers, own = np.unique(labels[kept], return_inverse=True)
    if len(numbers) < 2:
        return np.nan
    members = np.eye(len(numbers), dtype=np.float32)[own]
    counts = members.sum(axis=0)
    sums = distances[np.ix_(kept, kept)] @ members
    rows = np.arange(len(own))
    inside = sums[rows, own] / np.maximum(counts[own] - 1, 1)
    means = sums / counts
    means[rows, own] = np.inf
    outside = means.min(axis=1)
    values = (outside - inside) / np.maximum(np.maximum(inside, outside), np.finfo(np.float32).tiny)
    return float(np.where(counts[own] > 1, values, 0).mean())


def margin(distance: np.ndarray, runner_up_distance: np.ndarray) -> np.ndarray:
    """Return each image's margin, (n,) float64: (d2 - d1) / d2 of its distances, (n,) each; a simplified silhouette.

    0: as near to another cluster, or nearer; 1: at the centre of its own. NaN without another cluster, and of noise.
    """
    own, other = np.asarray(distance, np.float64), np.asarray(runner_up_distance, np.float64)
    defined = np.isfinite(own) & np.isfinite(other)
    margins = np.full(len(own), NAN)
    margins[defined] = 0.0
    apart = defined & (other > 0)
    margins[apart] = np.clip((other[apart] - own[apart]) / other[apart], 0, 1)
    return margins


def _drawn(count: int, seed: int) -> np.ndarray:
    if count <= SAMPLED_ABOVE:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, SAMPLED_ABOVE, replace=False))


def _comparable(numbers: np.ndarray) -> bool:
    return 2 <= len(np.unique(numbers)) < len(numbers)


def _calinski_harabasz(means: np.ndarray, counts: np.ndarray, inertia: float) -> float:
    """Return the score by the means, (k, dim), and sizes, (k,), of clusters, without scikit-learn's float64 copy."""
    count, k = int(counts.sum()), len(counts)
    between = float(counts @ ((means - counts @ means / count) ** 2).sum(axis=1))
    return between * (count - k) / (inertia * (k - 1)) if inertia else 1.0


def _distances(points: np.ndarray, numbers: np.ndarray, means: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the inertia, and the margin of each point, (n,), by the distances to the means of the clusters."""
    inertia, margins = 0.0, np.empty(len(points))
    for part in row_slices(*points.shape):
        squared = np.stack([((points[part] - mean) ** 2).sum(axis=1) for mean in means], axis=1)
        at, own = np.arange(len(squared)), numbers[part]
        nearest = squared[at, own]
        inertia += float(nearest.sum())
        squared[at, own] = np.inf
        margins[part] = margin(np.sqrt(nearest), np.sqrt(squared.min(axis=1)))
    return inertia, margins
