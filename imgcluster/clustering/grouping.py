"""Points into groups, by whatever a config says: a method, segments of an order, or smoothed labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from imgcluster.clustering.assign_rules import RULES, Rule
from imgcluster.clustering.diffusion import DiffusionClustering
from imgcluster.clustering.estimators import Fitted, fit
from imgcluster.clustering.internal_metrics import cluster_means
from imgcluster.clustering.kmeans.in_memory import find_clusters
from imgcluster.clustering.sequence import segments, smoothed
from imgcluster.config import LEARNED, METHODS, ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.features import Copies, Points, distinct_images

SEQUENCE, SMOOTH = "sequence", "smooth"


@dataclass(frozen=True)
class Groups:
    """labels: (n,) int64, noise -1; centroids: (k, dim) float32; rule: what places new points, where they can be.

    asked: the number of clusters asked for, lowered to that of distinct points; None: none was asked for.
    """

    labels: np.ndarray
    centroids: np.ndarray
    rule: Rule = field(default_factory=dict)
    probabilities: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    asked: int | None = None


def group(points: Points, config: ClustersConfig, *, show: bool, shared: DiffusionClustering | None = None) -> Groups:
    """Group points as a config says; `config.n_clusters` is a number, or null where the method finds its own.

    Equal points are one point with a weight: they share a cluster, and there are no more clusters than distinct points.
    In a sequence these are the neighbours that are equal. shared: of `shared_estimator`, for several numbers.
    Raises ClusteringError as the methods do.
    """
    config, notes = _lowered(points, config)
    found = _grouped(points, config, show, shared)
    asked = config.n_clusters if isinstance(config.n_clusters, int) else None
    found = replace(found, notes=[*notes, *found.notes], asked=asked)
    if not isinstance(config.order, dict) or not len(found.centroids):
        return found
    labels = smoothed(points.array(), found.centroids, config.order["smooth"], points.starts)
    return replace(found, labels=labels, rule={}, probabilities=None)


def _lowered(points: Points, config: ClustersConfig) -> tuple[ClustersConfig, list[str]]:
    """Lower a number of clusters to that of the distinct points, and say so."""
    k, images = config.n_clusters, len(points)
    if not isinstance(k, int) or (config.order != SEQUENCE and METHODS[config.method].k is None):
        return config, []
    if config.order == SEQUENCE:
        distinct = len(_stretches(points))
        if k < len(points.starts):
            raise ClusteringError(
                f"clusters.order: {k} segments of {len(points.starts)} videos; each needs at least one"
            )
        told = f"the images in order change {distinct - 1:,} times"
    else:
        distinct = points.distinct(k)
        told = distinct_images(distinct, images)
    if k <= distinct or k > images:
        return config, []
    lowered = config.model_copy(update={"n_clusters": distinct})
    return lowered, [f"{told}; n_clusters lowered from {k:,} to {distinct:,}"]


def _stretches(points: Points) -> np.ndarray:
    """Return the first row of each stretch of equal points of one video, (m,) int64."""
    place = points.copies.place
    return np.unique(np.concatenate([[0], points.starts, np.flatnonzero(place[1:] != place[:-1]) + 1]))


def _grouped(points: Points, config: ClustersConfig, show: bool, shared: DiffusionClustering | None) -> Groups:
    if config.order == SEQUENCE:
        starts = _stretches(points)
        counts = np.diff(np.append(starts, len(points)))
        videos = np.searchsorted(starts, points.starts)
        labels = np.repeat(segments(points.take(starts), config.k, counts, videos), counts)
        return Groups(labels, _means_of(points, labels))
    if config.method == "kmeans" and not config.parameters:
        kmeans = find_clusters(points, config, show=show)
        rule = {"centres": kmeans.centroids, "labels": np.arange(len(kmeans.centroids))}
        return Groups(kmeans.labels, kmeans.centroids, rule, None, kmeans.notes)
    fitted = _fitted(points, config, show, shared)
    return Groups(fitted.labels, _means_of(points, fitted.labels), fitted.rule, fitted.probabilities, fitted.notes)


def _fitted(points: Points, config: ClustersConfig, show: bool, shared: DiffusionClustering | None) -> Fitted:
    k = config.k if METHODS[config.method].k else None
    copies = points.copies if config.method != LEARNED else None
    if not copies:
        return fit(points.array(), config, k, shared=shared, show=show)
    if k == len(copies.first):
        return _one_each(points, copies, config.method in RULES)
    return fit(points.array(), config, k, copies, shared=shared, show=show)


def _one_each(points: Points, copies: Copies, placing: bool) -> Fitted:
    """Make a cluster of each distinct point; methods that were to find as many would often find fewer."""
    rule = {"centres": points.take(copies.first), "labels": np.arange(len(copies.first))}
    return Fitted(copies.place, rule if placing else {})


def _means_of(points: Points, labels: np.ndarray) -> np.ndarray:
    blocks = (points.block(part) for part in points.slices())
    return cluster_means(blocks, labels, points.dim).astype(np.float32)


def method_of(config: ClustersConfig) -> str:
    """Say by what a config groups: `kmeans`, `sequence`, `kmeans, smooth`."""
    if config.order == SEQUENCE:
        return SEQUENCE
    return config.method if config.order is None else f"{config.method}, {SMOOTH}"
