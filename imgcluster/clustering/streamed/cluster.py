"""The out-of-core twin of `clusters`: K-Means of dask-ml over vectors that stay in a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.clustering.cache import Fitted, KeptClusters, NothingKept
from imgcluster.clustering.cluster import check_enough, numbered_clusters, scatter_by_number
from imgcluster.clustering.distances import centroid_distances, shares_by_distance
from imgcluster.clustering.grouping import Groups
from imgcluster.clustering.internal_metrics import SAMPLED_ABOVE
from imgcluster.clustering.kmeans.dask import StreamedKMeans, drawn
from imgcluster.clustering.n_clusters import AUTO, choose_k
from imgcluster.clustering.numbering import number_clusters
from imgcluster.clustering.streamed.points import StreamedPoints, computing
from imgcluster.clustering.streamed.settled import fit_without_empty_clusters
from imgcluster.clustering.streamed.transforms import fit_streamed, streamed_moments
from imgcluster.config import ClustersConfig, parse_range
from imgcluster.errors import ClusteringError
from imgcluster.features import Points, StoredVectors, apply_transform
from imgcluster.types import ChosenNumber, Clusters
from imgcluster.utils import free_memory

if TYPE_CHECKING:
    from distributed import Client

GATHERED = 3  # times the features: they themselves, and the two copies of scikit-learn's K-Means


def should_use_dask(config: ClustersConfig, features_bytes: int, engine_is_dask: bool) -> bool:
    """Tell whether to cluster features of this size by `cluster_stored` rather than gather them.

    `clusters.backend` decides; auto means Dask if the engine is Dask, the method is plain K-Means, and this machine
    has too little free memory to gather the features and run scikit-learn.
    """
    if config.backend != "auto":
        return config.backend == "dask"
    if not engine_is_dask or config.method != "kmeans" or config.parameters or config.order is not None:
        return False
    free = free_memory()
    return free is not None and GATHERED * features_bytes > free


def cluster_stored(
    stored: StoredVectors,
    ids: list[str] | None,
    config: ClustersConfig,
    client: Client | None,
    *,
    soft: bool = False,
    first_label: int = 0,
    show: bool = True,
    kept: KeptClusters | None = None,
) -> Clusters:
    """Cluster the vectors of a store by K-Means of dask-ml; `ids` names the rows.

    The result is that of `clusters.cluster_features`, and places new images the same way. The workers of `client`, or
    threads of this machine if it is None, read blocks of `points.BLOCK_BYTES`; only (n,) arrays come back, and with
    `soft` (n, k). The same vectors give the same bits whatever the workers and shards. Results in `kept` are reused.
    A range or auto for the number of clusters is decided on a sample of `metrics.SAMPLED_ABOVE` vectors, with a note.

    Raises:
        ClusteringError: a method other than K-Means, umap, fewer vectors than clusters, or values that are not finite.
        StoreError: a shard is gone or damaged.
        ConfigError: Dask is not installed, or the numbering names a missing file or id.
    """
    if config.method != "kmeans" or config.parameters or config.order is not None:
        raise ClusteringError("clusters.backend: dask has K-Means alone, without parameters or an order")
    check_enough(stored.count, config.n_clusters)
    kept = NothingKept() if kept is None else kept
    with computing(client):
        space, asked = _Space(stored, config), config
        config, chosen = _with_k(space, config, kept, show)
        # The block size, and with it the last bits, depends on the config as asked, not on the number chosen.
        fitted = kept.fitted(asked, lambda: _fitted(space, config, client, show))
        found, nearest = fitted.groups, fitted.nearest
        numbered = number_clusters(found.labels, len(found.centroids), config.numbering, ids, first_label)
        clusters = numbered_clusters(found, numbered, nearest, config, state=fitted.state)
        shares = _shares(space.points, found.centroids, nearest[0]) if soft else None
    if shares is not None:
        shares = scatter_by_number(shares.T, numbered.numbers, 0).T
    without = ["no hierarchy: the features stay in the store"] if config.has_hierarchy else []
    notes = [*([] if chosen is None else [chosen.reason]), *clusters.notes, *without]
    return replace(clusters, notes=notes, probabilities=shares, chosen=chosen)


class _Space:
    """The vectors of a store, and the points behind the steps of a config, which are fitted on first use."""

    def __init__(self, stored: StoredVectors, config: ClustersConfig) -> None:
        self._stored, self._config = stored, config

    @cached_property
    def points(self) -> StreamedPoints:
        """The points to cluster."""
        return fit_streamed(StreamedPoints.of(self._stored, 8 * drawn(_most(self._config))), self._config.transform)


def _fitted(space: _Space, config: ClustersConfig, client: Client | None, show: bool) -> Fitted:
    kmeans = StreamedKMeans.of(space.points, streamed_moments(space.points), config, client)
    centroids, labels, nearest = fit_without_empty_clusters(kmeans, show)
    rule = {"centres": centroids, "labels": np.arange(len(centroids))}
    return Fitted(Groups(labels, centroids, rule, notes=[kmeans.note]), space.points.state, nearest)


def _most(config: ClustersConfig) -> int:
    """Return the largest number of clusters that the config allows."""
    return max(_numbers(config.n_clusters)) if isinstance(config.n_clusters, str) else config.k


def _numbers(asked: str) -> Sequence[int]:
    return AUTO if asked == "auto" else parse_range(asked)


def _with_k(
    space: _Space, config: ClustersConfig, kept: KeptClusters, show: bool
) -> tuple[ClustersConfig, ChosenNumber | None]:
    """Replace a range by the number of clusters chosen on a sample; None where there is no range."""
    if not isinstance(config.n_clusters, str):
        return config, None
    ks = _numbers(config.n_clusters)

    def choose() -> ChosenNumber:
        points = space.points
        vectors, places = points.stored.sample(SAMPLED_ABOVE, config.random_state)
        sample = Points(apply_transform(vectors, points.state))
        chosen = choose_k(sample, config, ks, show=show)
        if len(places) == len(points):
            return chosen
        return replace(chosen, reason=f"{chosen.reason}; on {len(places):,} of {len(points):,} images")

    chosen = kept.choice(config, ks, choose)
    return config.model_copy(update={"n_clusters": chosen.n_clusters}), chosen


def _shares(points: StreamedPoints, centroids: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the probability of each centroid, (n, k) float64, as `cluster_features` does."""
    import dask

    unit = float(np.square(distance).mean())
    return np.concatenate(dask.compute(*points.map(_share, centroids, unit)))


def _share(blocks: Iterator[np.ndarray], centroids: np.ndarray, unit: float) -> np.ndarray:
    return shares_by_distance(np.square(centroid_distances(next(blocks), centroids)), unit)
