"""Scores of clusters: against labels that are known, and by the shape of the clusters alone. Arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imgcluster.types import NOISE
from imgcluster.utils import row_slices

SAMPLED_ABOVE = 10_000  # points; the silhouette needs the distance of each to each
NAN = float("nan")


@dataclass(frozen=True)
class Agreement:
    """How well clusters agree with classes; all scores are at best 1.

    counts: (classes, clusters) int64, images of each class in each cluster; classes, clusters: what the rows and
    columns stand for, in order. matched: the class of each cluster, a row of `counts`; -1 of a cluster without one.
    """

    scores: dict[str, float]
    counts: np.ndarray
    classes: np.ndarray
    clusters: np.ndarray
    matched: np.ndarray


@dataclass(frozen=True)
class InternalScores:
    """How compact and separate clusters are. NaN stands for what is not defined.

    silhouettes, sureness: (n,) float64, of each image, as `internal_scores` and `sureness` say; NaN of noise.
    sampled: how many images the silhouette was worked out on, where these are not all; else None.
    """

    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    inertia: float
    silhouettes: np.ndarray
    sureness: np.ndarray
    sampled: int | None = None


def agreement(labels: Sequence[str] | np.ndarray, truth: Sequence[str] | np.ndarray) -> Agreement:
    """Compare clusters, (n,), with the true classes, (n,): numbers or texts, n at least 1.

    ari: Hubert and Arabie, Comparing Partitions, 1985. nmi (by the arithmetic mean) and ami: Vinh, Epps and Bailey,
    Information Theoretic Measures for Clusterings Comparison, 2010. homogeneity, completeness, v_measure: Rosenberg
    and Hirschberg, V-Measure, 2007. fowlkes_mallows: Fowlkes and Mallows, A Method for Comparing Two Hierarchical
    Clusterings, 1983. purity: the share of images whose class is the commonest of their cluster (Zhao and Karypis,
    2001). accuracy, weighted_f1 and macro_f1 hold after each cluster was given a class of its own, all together for the
    most images (Kuhn, The Hungarian Method for the Assignment Problem, 1955); clusters beyond the classes are wrong.

    Images in noise, labelled -1, are one cluster like any other to the scores before accuracy, as in scikit-learn; none
    of them is right in those from accuracy on. Raises ValueError where the lengths differ or there is no image.
    """
    given, true = np.asarray(labels), np.asarray(truth)
    if given.shape != true.shape or given.ndim != 1 or not len(given):
        raise ValueError(f"{given.shape} labels and {true.shape} true ones cannot be compared")
    clusters, columns = np.unique(given, return_inverse=True)
    classes, rows = np.unique(true, return_inverse=True)
    counts = np.zeros((len(classes), len(clusters)), np.int64)
    np.add.at(counts, (rows, columns), 1)
    matched = match(np.where(clusters.astype(str) == str(NOISE), 0, counts))
    scores = {**_pairwise(rows, columns), "purity": counts.max(axis=0).sum() / len(given), **_matched(counts, matched)}
    return Agreement({name: float(score) for name, score in scores.items()}, counts, classes, clusters, matched)


def match(counts: np.ndarray) -> np.ndarray:
    """Return the class, (clusters,) int64, that each cluster is taken for, of images counted as (classes, clusters).

    No class is given twice, and as many images as can be are right. -1: no class, or none that shares an image.
    """
    from scipy.optimize import linear_sum_assignment

    matched = np.full(counts.shape[1], -1)
    for row, column in zip(*linear_sum_assignment(counts, maximize=True), strict=True):
        if counts[row, column]:
            matched[column] = row
    return matched


def _pairwise(rows: np.ndarray, columns: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(rows, columns)
    return {
        "ari": metrics.adjusted_rand_score(rows, columns),
        "nmi": metrics.normalized_mutual_info_score(rows, columns),
        "ami": metrics.adjusted_mutual_info_score(rows, columns),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": v_measure,
        "fowlkes_mallows": metrics.fowlkes_mallows_score(rows, columns),
    }


def _matched(counts: np.ndarray, matched: np.ndarray) -> dict[str, float]:
    """Reckon accuracy and F1, 2 x right / (taken for the class + of the class): 0 for a class without a cluster."""
    taken, right = np.zeros(len(counts)), np.zeros(len(counts))
    for column in np.flatnonzero(matched >= 0):
        row = matched[column]
        taken[row], right[row] = counts[:, column].sum(), counts[row, column]
    support = counts.sum(axis=1)
    f1 = 2 * right / (taken + support)
    return {
        "accuracy": right.sum() / support.sum(),
        "weighted_f1": np.average(f1, weights=support),
        "macro_f1": f1.mean(),
    }


def internal_scores(points: np.ndarray, labels: np.ndarray, *, seed: int = 42) -> InternalScores:
    """Score clusters without known labels: points (n, dim) float, labels (n,) int, those of noise -1 and left out.

    silhouette: from -1 to 1, best 1 (Rousseeuw, Silhouettes, 1987); above SAMPLED_ABOVE points worked out on so many,
    drawn by `seed`, and NaN for the others. davies_bouldin: from 0, best 0 (Davies and Bouldin, A Cluster Separation
    Measure, 1979). calinski_harabasz: from 0, more is better (Calinski and Harabasz, A Dendrite Method for Cluster
    Analysis, 1974). inertia: squared distances to the cluster's mean, summed.

    What needs two clusters, and more points than clusters, is NaN without them; with noise alone all is.
    """
    from sklearn import metrics

    inside = np.flatnonzero(labels != NOISE)
    numbers = np.unique(labels[inside], return_inverse=True)[1]
    drawn = _drawn(len(inside), seed)
    silhouettes = np.full(len(labels), NAN)
    if _comparable(numbers[drawn]):
        silhouettes[inside[drawn]] = metrics.silhouette_samples(points[inside[drawn]], numbers[drawn])
    inertia, sure = _distances(points, inside, numbers)
    every = points if len(inside) == len(points) else points[inside]
    return InternalScores(
        silhouette=float(silhouettes[inside[drawn]].mean()) if len(drawn) else NAN,
        davies_bouldin=_score(metrics.davies_bouldin_score, every, numbers),
        calinski_harabasz=_score(metrics.calinski_harabasz_score, every, numbers),
        inertia=inertia,
        silhouettes=silhouettes,
        sureness=sure,
        sampled=len(drawn) if len(drawn) < len(inside) else None,
    )


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


def ranks_of(scores: np.ndarray) -> np.ndarray:
    """Return the place of each score, (n,) float64, the highest first; equal ones share theirs, NaN comes last."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.nan_to_num(scores, nan=-np.inf), method="average"))


def sureness(distance: np.ndarray, runner_up_distance: np.ndarray) -> np.ndarray:
    """Return how sure each image's cluster is, (n,) float64: (d2 - d1) / d2 of its two distances, (n,) each.

    0: as near to another cluster, or nearer; 1: at the centre of its own. NaN without another cluster, and of noise.
    """
    own, other = np.asarray(distance, np.float64), np.asarray(runner_up_distance, np.float64)
    defined = np.isfinite(own) & np.isfinite(other)
    sure = np.full(len(own), NAN)
    sure[defined] = 0.0
    apart = defined & (other > 0)
    sure[apart] = np.clip((other[apart] - own[apart]) / other[apart], 0, 1)
    return sure


def _drawn(count: int, seed: int) -> np.ndarray:
    if count <= SAMPLED_ABOVE:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, SAMPLED_ABOVE, replace=False))


def _comparable(numbers: np.ndarray) -> bool:
    return 2 <= len(np.unique(numbers)) < len(numbers)


def _score(score: Callable[[np.ndarray, np.ndarray], float], points: np.ndarray, numbers: np.ndarray) -> float:
    return float(score(points, numbers)) if _comparable(numbers) else NAN


def _distances(points: np.ndarray, inside: np.ndarray, numbers: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the inertia, and the sureness of each point, by the distances to the means of the clusters."""
    sure = np.full(len(points), NAN)
    if not len(inside):
        return NAN, sure
    means = _means(points, inside, numbers)
    inertia = 0.0
    for part in row_slices(len(inside), points.shape[1]):
        rows, own = inside[part], numbers[part]
        squared = np.stack([((points[rows] - mean) ** 2).sum(axis=1) for mean in means], axis=1)
        at = np.arange(len(rows))
        nearest = squared[at, own]
        inertia += float(nearest.sum())
        squared[at, own] = np.inf
        sure[rows] = sureness(np.sqrt(nearest), np.sqrt(squared.min(axis=1)))
    return inertia, sure


def _means(points: np.ndarray, inside: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    sums = np.zeros((int(numbers.max()) + 1, points.shape[1]))
    for part in row_slices(len(inside), points.shape[1]):
        np.add.at(sums, numbers[part], points[inside[part]].astype(np.float64))
    return np.asarray(sums / np.bincount(numbers)[:, None])
