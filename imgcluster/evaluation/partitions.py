"""Scores of two partitions of the same images by their contingency table: pairs of images, and mutual information.

As in scikit-learn, whose import takes longer than most commands that ask for them.
"""

from __future__ import annotations

import math

import numpy as np

EPSILON = float(np.finfo(np.float64).eps)


def pair_scores(counts: np.ndarray) -> dict[str, float]:
    """Return ari and fowlkes_mallows of a contingency table, (classes, clusters) int64: scores of pairs of images.

    Hubert and Arabie, Comparing Partitions, 1985; Fowlkes and Mallows, A Method for Comparing Two Hierarchical
    Clusterings, 1983.
    """
    together, same_class, same_cluster = (
        _ordered_pairs(each) for each in (counts, counts.sum(axis=1), counts.sum(axis=0))
    )
    only_class, only_cluster = same_class - together, same_cluster - together
    apart = _ordered_pairs(counts.sum()) - together - only_class - only_cluster
    chance = same_class * (only_class + apart) + same_cluster * (only_cluster + apart)
    return {
        "ari": 2 * (together * apart - only_class * only_cluster) / chance if only_class or only_cluster else 1.0,
        "fowlkes_mallows": math.sqrt(together / same_class) * math.sqrt(together / same_cluster) if together else 0.0,
    }


def information_scores(counts: np.ndarray) -> dict[str, float]:
    """Return scores by mutual information of a contingency table, (classes, clusters) int64.

    nmi (by the arithmetic mean, which makes it the V-measure) and ami: Vinh, Epps and Bailey, Information Theoretic
    Measures for Clusterings Comparison, 2010. homogeneity, completeness, v_measure: Rosenberg and Hirschberg,
    V-Measure, 2007.
    """
    of_classes, of_clusters = _entropy(counts.sum(axis=1)), _entropy(counts.sum(axis=0))
    shared = max(0.0, of_classes + of_clusters - _entropy(counts))
    homogeneity, completeness = (shared / entropy if entropy else 1.0 for entropy in (of_classes, of_clusters))
    total = homogeneity + completeness
    v_measure = 2 * homogeneity * completeness / total if total else 0.0
    return {
        "nmi": v_measure,
        "ami": _adjusted(counts, shared, (of_classes + of_clusters) / 2),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": v_measure,
    }


def _ordered_pairs(sizes: np.ndarray) -> int:
    """Return the number of ordered pairs within groups of these sizes, as a number that cannot overflow."""
    return sum(size * (size - 1) for size in np.atleast_1d(sizes).ravel().tolist())


def _entropy(sizes: np.ndarray) -> float:
    """Return the entropy of groups of these sizes; equal sizes in another order give the same bits."""
    shares = np.sort(sizes[sizes > 0]) / sizes.sum()
    return float(-(shares * np.log(shares)).sum()) if len(shares) > 1 else 0.0


def _adjusted(counts: np.ndarray, shared: float, mean: float) -> float:
    """Return the adjusted mutual information. shared: the mutual information; mean: of both entropies."""
    if min(counts.shape) == 1:
        return float(max(counts.shape) == 1)
    expected = _expected_information(counts.sum(axis=1), counts.sum(axis=0))
    return _away_from_zero(shared - expected) / _away_from_zero(mean - expected)


def _away_from_zero(value: float) -> float:
    return math.copysign(max(abs(value), EPSILON), value)


def _expected_information(classes: np.ndarray, clusters: np.ndarray) -> float:
    """Return the mutual information that chance gives groups of these sizes (Vinh et al. 2010, equation 24)."""
    n = int(classes.sum())
    logs = np.array([math.lgamma(number + 1) for number in range(n + 1)])  # of the factorials
    expected = 0.0
    for a, class_count in zip(*np.unique(classes, return_counts=True), strict=True):
        for b, cluster_count in zip(*np.unique(clusters, return_counts=True), strict=True):
            both = np.arange(max(1, a + b - n), min(a, b) + 1)
            log_chance = logs[a] + logs[b] + logs[n - a] + logs[n - b] - logs[n]
            log_chance = log_chance - logs[both] - logs[a - both] - logs[b - both] - logs[n - a - b + both]
            information = both / n * (np.log(n * both) - math.log(a * b))
            expected += float(class_count * cluster_count * (information * np.exp(log_chance)).sum())
    return expected
