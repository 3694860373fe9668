"""A study of the number of clusters: a range of numbers on the same points, each measured in several ways."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering import KnnModularity, at_the_edge, best_k, group_each, silhouette_of
from imgcluster.config import ClustersConfig
from imgcluster.features import Points, fit_transform

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 3000  # rows for what looks at pairs of images
COMPONENTS = 64  # of the points, for what is fitted many times
REFERENCES = 5
RESAMPLES = 8
SHARE = 0.8


@dataclass(frozen=True)
class Measures:
    """What one number of clusters scores. Higher is better, but for davies_bouldin and inertia.

    modularity: of the clusters in the graph of nearest neighbours: Newman and Girvan 2004.
    silhouette: Rousseeuw 1987, of a sample above 3,000 images. davies_bouldin: Davies and Bouldin 1979.
    calinski_harabasz: Calinski and Harabasz 1974. inertia: squared distances to the clusters' means.
    gap, gap_error: Tibshirani, Walther and Hastie 2001, of K-Means on 64 principal components.
    What has to divide by the scatter inside the clusters is not a number where each distinct point has one to itself.
    stability: the mean adjusted Rand index of the clusters to those that K-Means finds in four fifths of the images.
    """

    k: int
    modularity: float
    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    inertia: float
    gap: float
    gap_error: float
    stability: float


@dataclass(frozen=True)
class Sweep:
    """rows: in the order of K; chosen: the number proposed, for a reason in words; elbow: where the inertia bends."""

    rows: list[Measures]
    chosen: int
    elbow: int
    reason: str

    def table(self) -> pd.DataFrame:
        """Return the rows as a table, a column for each measure."""
        import pandas as pd

        return pd.DataFrame([{field.name: getattr(row, field.name) for field in fields(row)} for row in self.rows])


class _Measured:
    """Points of which one clustering after the other is measured; what they share is worked out once."""

    def __init__(self, points: Points, random_state: int, *, show: bool) -> None:
        self._points = points.array()
        self._distinct = len(points.copies.first)
        self._random = np.random.default_rng(random_state)
        self._rows = np.sort(self._random.permutation(len(points))[:SAMPLE])
        self._modularity_of = KnnModularity(points, random_state, show=show).of

    @cached_property
    def _distances(self) -> np.ndarray:
        from sklearn.metrics import pairwise_distances

        return np.asarray(pairwise_distances(self._points[self._rows]), np.float32)

    @cached_property
    def _compact(self) -> np.ndarray:
        """The first principal components, in which the many fits are quick."""
        return fit_transform(self._points, [{"pca": min(COMPONENTS, *self._points.shape)}], 0)[0]

    @cached_property
    def _references(self) -> list[np.ndarray]:
        """Points without clusters, spread evenly over the box of the components."""
        low, high = self._compact.min(axis=0), self._compact.max(axis=0)
        return [self._random.uniform(low, high, self._compact.shape).astype(np.float32) for _ in range(REFERENCES)]

    @cached_property
    def _subsets(self) -> list[np.ndarray]:
        size = round(SHARE * len(self._points))
        return [np.sort(self._random.permutation(len(self._points))[:size]) for _ in range(RESAMPLES)]

    def measures(self, k: int, labels: np.ndarray) -> Measures:
        """Measure labels, (n,) int64, of `k` clusters."""
        from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

        several = 2 <= len(np.unique(labels)) < self._distinct
        gap, error = self._gap(k) if k < self._distinct else (np.nan, np.nan)
        return Measures(
            k=k,
            modularity=self._modularity_of(labels),
            silhouette=silhouette_of(self._distances, labels[self._rows]),
            davies_bouldin=float(davies_bouldin_score(self._points, labels)) if several else np.nan,
            calinski_harabasz=float(calinski_harabasz_score(self._points, labels)) if several else np.nan,
            inertia=_inertia(self._points, labels),
            gap=gap,
            gap_error=error,
            stability=self._stability(k, labels),
        )

    def _gap(self, k: int) -> tuple[float, float]:
        own, *others = (np.log(max(_kmeans(points, k)[1], TINY)) for points in (self._compact, *self._references))
        return float(np.mean(others) - own), float(np.std(others) * np.sqrt(1 + 1 / REFERENCES))

    def _stability(self, k: int, labels: np.ndarray) -> float:
        from sklearn.metrics import adjusted_rand_score

        if min(map(len, self._subsets)) < k:
            return np.nan
        scores = [adjusted_rand_score(labels[rows], _kmeans(self._compact[rows], k)[0]) for rows in self._subsets]
        return float(np.mean(scores))


TINY = float(np.finfo(np.float64).tiny)


def sweep_k(points: Points, config: ClustersConfig, ks: Sequence[int], *, show: bool) -> Sweep:
    """Group points by a config's method into each number of clusters, measure all, and choose one.

    Raises ClusteringError where no number of the range is possible with so many images.
    """
    measured = _Measured(points, config.random_state, show=show)
    rows = [measured.measures(k, labels) for k, labels in group_each(points, config, ks, show=show)]
    chosen, reason = best_k({row.k: row.modularity for row in rows})
    return Sweep(rows, chosen, elbow_of(rows), reason + at_the_edge(chosen, ks))


def elbow_of(rows: Sequence[Measures]) -> int:
    """Return the number at which the inertia bends most: farthest below the line from its first to its last value.

    Satopaa, Albrecht, Irwin and Raghavan, Finding a "Kneedle" in a Haystack, 2011.
    """
    inertia = np.array([row.inertia for row in rows])
    ks = np.array([row.k for row in rows], np.float64)
    if len(rows) < 3 or np.ptp(inertia) == 0:
        return rows[0].k
    below = (ks - ks[0]) / np.ptp(ks) + (inertia - inertia[-1]) / np.ptp(inertia)
    return rows[int(below.argmin())].k


def _inertia(points: np.ndarray, labels: np.ndarray) -> float:
    groups = (points[labels == label].astype(np.float64) for label in np.unique(labels[labels >= 0]))
    return float(sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups))


def _kmeans(points: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a subset may have fewer distinct points than clusters
        model = KMeans(k, n_init=1, random_state=0).fit(points)
    return np.asarray(model.labels_), float(model.inertia_)
