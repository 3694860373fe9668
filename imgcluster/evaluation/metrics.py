"""Scores of clusters against true classes, and ranks of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgcluster.clustering import match_labels
from imgcluster.evaluation.partitions import information_scores, pair_scores
from imgcluster.types import NOISE


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


def agreement(labels: Sequence[str] | np.ndarray, truth: Sequence[str] | np.ndarray) -> Agreement:
    """Compare clusters, (n,), with the true classes, (n,): numbers or texts, n at least 1.

    The scores are those of `pair_scores` and `information_scores`, and purity: the share of images whose class is the
    commonest of their cluster (Zhao and Karypis, 2001). accuracy, weighted_f1 and macro_f1 hold after each cluster was
    given a class of its own, all together for the most images (Kuhn, The Hungarian Method for the Assignment Problem,
    1955); clusters beyond the classes are wrong.

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
    matched = _class_of_each(np.where(clusters.astype(str) == str(NOISE), 0, counts))
    purity = counts.max(axis=0).sum() / len(given)
    scores = {**pair_scores(counts), **information_scores(counts), "purity": purity, **_matched(counts, matched)}
    return Agreement({name: float(score) for name, score in scores.items()}, counts, classes, clusters, matched)


def _class_of_each(counts: np.ndarray) -> np.ndarray:
    """Match clusters with classes by counts, (classes, clusters): each cluster's class, (clusters,) int64; -1: none."""
    matched = np.full(counts.shape[1], -1)
    of_class = match_labels(counts)
    classes = np.flatnonzero(of_class >= 0)
    matched[of_class[classes]] = classes
    return matched


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


def ranks_of(scores: np.ndarray) -> np.ndarray:
    """Return the place of each score, (n,) float64, the highest first; equal ones share theirs, NaN comes last."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.nan_to_num(scores, nan=-np.inf), method="average"))
