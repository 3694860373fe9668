"""Points into groups, by whatever a config says: a method, segments of an order, or smoothed labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imgcluster.config import ClustersConfig
from imgcluster.estimators import Rule, fit
from imgcluster.methods import METHODS
from imgcluster.sequence import segments, smoothed
from imgcluster.transforms import Points

SEQUENCE, SMOOTH = "sequence", "smooth"


@dataclass(frozen=True)
class Groups:
    """labels: (n,) int64, noise -1; centroids: (k, dim) float32; rule: what places new points, where they can be."""

    labels: np.ndarray
    centroids: np.ndarray
    rule: Rule = field(default_factory=dict)
    probabilities: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def group(points: Points, config: ClustersConfig, *, show: bool) -> Groups:
    """Group points as a config says; `config.n_clusters` is a number, or null where the method finds its own.

    Raises ClusteringError as the methods do.
    """
    found = _grouped(points, config, show)
    if not isinstance(config.order, dict) or not len(found.centroids):
        return found
    labels = smoothed(points.array(), found.centroids, config.order["smooth"])
    return Groups(labels, found.centroids, notes=found.notes)


def _grouped(points: Points, config: ClustersConfig, show: bool) -> Groups:
    if config.order == SEQUENCE:
        labels = segments(points.array(), config.k)
        return Groups(labels, means_of(points, labels))
    if config.method == "kmeans" and not config.parameters:
        from imgcluster.kmeans import find_clusters

        kmeans = find_clusters(points, config, show=show)
        rule = {"centres": kmeans.centroids, "labels": np.arange(len(kmeans.centroids))}
        return Groups(kmeans.labels, kmeans.centroids, rule, None, kmeans.notes)
    fitted = fit(points.array(), config, config.k if METHODS[config.method].k else None)
    return Groups(fitted.labels, means_of(points, fitted.labels), fitted.rule, fitted.probabilities, fitted.notes)


def means_of(points: Points, labels: np.ndarray) -> np.ndarray:
    """Return the mean of each cluster, (k, dim) float32, summed in float64 row by row: the same in any blocks."""
    k = int(labels.max(initial=-1)) + 1
    sums = np.zeros((k, points.dim))
    for part in points.slices():
        inside = labels[part] >= 0
        np.add.at(sums, labels[part][inside], points.block(part)[inside].astype(np.float64))
    counts = np.bincount(labels[labels >= 0], minlength=k)
    return np.asarray(sums / counts[:, None], np.float32)


def method_of(config: ClustersConfig) -> str:
    """Say by what a config groups: `kmeans`, `sequence`, `kmeans, smooth`."""
    if config.order == SEQUENCE:
        return SEQUENCE
    return config.method if config.order is None else f"{config.method}, {SMOOTH}"
