"""The rules by which fitted methods assign new points to clusters, as plain arrays: taken from estimators, applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imgcluster.clustering.distances import nearest_two
from imgcluster.config import LEARNED
from imgcluster.features import Points
from imgcluster.learning import prepared, probabilities
from imgcluster.types import NOISE

ARRAY = "array_"  # before the names of the arrays of a model

Rule = dict[str, np.ndarray]


def rule_of(method: str, estimator: Any) -> Rule:
    """Return the arrays by which `place` assigns new points; none for a method that is of its own points alone."""
    return RULES[method](estimator) if method in RULES else {}


def place(points: np.ndarray, rule: Rule) -> np.ndarray:
    """Return the labels, (m,) int64, that a fitted method gives to new points, (m, dim)."""
    kind = next(kind for kind, names in PLACED_BY.items() if names <= rule.keys())
    return PLACERS[kind](np.asarray(points, dtype=np.float64), rule)


def _centres(estimator: Any) -> Rule:
    centres = np.asarray(estimator.cluster_centers_)
    return {"centres": centres, "labels": np.arange(len(centres))}


def _subclusters(estimator: Any) -> Rule:
    return {"centres": estimator.subcluster_centers_, "labels": np.asarray(estimator.subcluster_labels_, np.int64)}


def _gaussians(estimator: Any) -> Rule:
    precisions = estimator.precisions_cholesky_
    kind = estimator.covariance_type
    shared = {"weights": estimator.weights_, "means": estimator.means_, "labels": np.arange(len(estimator.means_))}
    if kind in ("diag", "spherical"):
        width = estimator.means_.shape[1]
        deviations = precisions if kind == "diag" else np.repeat(precisions[:, None], width, axis=1)
        return {**shared, "deviations": deviations}
    if kind == "tied":
        precisions = np.broadcast_to(precisions, (len(estimator.means_), *precisions.shape))
    return {**shared, "precisions": np.array(precisions)}


def _tree(estimator: Any) -> Rule:
    """The tree of a BisectingKMeans: each node's centre, its two children, and the label where it has none."""
    centres: list[np.ndarray] = []
    children: list[tuple[int, int]] = []
    labels: list[int] = []

    def add(node: Any) -> int:
        number = len(centres)
        centres.append(np.asarray(node.center))
        children.append((-1, -1))
        labels.append(int(node.label) if node.left is None else NOISE)
        if node.left is not None:
            children[number] = (add(node.left), add(node.right))
        return number

    # Private, but no public attribute has the tree. Without it, as in a scikit-learn to come, there is no rule.
    tree = getattr(estimator, "_bisecting_tree", None)
    if tree is None:
        return {}
    add(tree)
    mean = getattr(estimator, "_X_mean", 0.0)
    return {"nodes": np.array(centres) + mean, "children": np.array(children), "labels": np.array(labels)}


def _points(estimator: Any) -> Rule:
    """Each point of the run stands for itself: new ones go with the nearest."""
    return {"centres": np.asarray(estimator.points_, np.float32), "labels": estimator.labels_}


def _model(estimator: Any) -> Rule:
    learned = estimator.learned
    arrays = {f"{ARRAY}{name}": value for name, value in learned.arrays.items()}
    return {**arrays, "classifier": np.array(learned.classifier), "labels": np.arange(len(learned.classes))}


RULES: dict[str, Callable[[Any], Rule]] = {
    "auto": _points,
    "diffusion": _points,
    "kmeans": _centres,
    "minibatch_kmeans": _centres,
    "bisecting_kmeans": _tree,
    "gaussian_mixture": _gaussians,
    "birch": _subclusters,
    "affinity_propagation": _centres,
    "mean_shift": _centres,
    LEARNED: _model,
}
PLACED_BY = {
    "model": {"classifier", "labels"},
    "tree": {"nodes", "children", "labels"},
    "gaussians": {"weights", "means"},
    "centres": {"centres", "labels"},
}


def _by_centres(points: np.ndarray, rule: Rule) -> np.ndarray:
    noise = np.full(len(points), NOISE)  # has the nearest centre for its runner-up
    nearest = nearest_two(Points(points), np.asarray(rule["centres"]), noise)[1]
    return np.asarray(rule["labels"][nearest], dtype=np.int64)


def _by_tree(points: np.ndarray, rule: Rule) -> np.ndarray:
    at = np.zeros(len(points), np.int64)
    while (inner := rule["children"][at, 0] >= 0).any():
        rows = np.flatnonzero(inner)
        sides = rule["children"][at[rows]]
        squared = [((points[rows] - rule["nodes"][side]) ** 2).sum(axis=1) for side in sides.T]
        at[rows] = np.where(squared[0] <= squared[1], sides[:, 0], sides[:, 1])
    return np.asarray(rule["labels"][at], dtype=np.int64)


def _by_gaussians(points: np.ndarray, rule: Rule) -> np.ndarray:
    scores = [_log_density(points, rule, number) for number in range(len(rule["means"]))]
    return np.asarray(rule["labels"][np.argmax(scores, axis=0)], dtype=np.int64)


def _log_density(points: np.ndarray, rule: Rule, number: int) -> np.ndarray:
    away = points - rule["means"][number]
    if "deviations" in rule:
        factors = rule["deviations"][number]
        scaled, determinant = away * factors, np.log(factors).sum()
    else:
        factors = rule["precisions"][number]
        scaled, determinant = away @ factors, np.log(np.diag(factors)).sum()
    return np.asarray(np.log(rule["weights"][number]) + determinant - 0.5 * (scaled**2).sum(axis=1))


def _by_model(points: np.ndarray, rule: Rule) -> np.ndarray:
    arrays = {name.removeprefix(ARRAY): value for name, value in rule.items() if name.startswith(ARRAY)}
    shares = probabilities(str(rule["classifier"]), prepared(points), arrays)
    return np.asarray(rule["labels"][shares.argmax(axis=1)], dtype=np.int64)


PLACERS: dict[str, Callable[[np.ndarray, Rule], np.ndarray]] = {
    "model": _by_model,
    "tree": _by_tree,
    "gaussians": _by_gaussians,
    "centres": _by_centres,
}
