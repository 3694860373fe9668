"""From vectors in a store to clusters, without ever holding all of them: as `clusters`, by K-Means of dask-ml."""

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
from imgcluster.clustering.n_clusters import AUTO, choose_k
from imgcluster.clustering.numbering import number_clusters
from imgcluster.clustering.streamed.points import StreamedPoints, computing
from imgcluster.clustering.streamed.transforms import fit_streamed, streamed_moments
from imgcluster.config import ClustersConfig, parse_range
from imgcluster.errors import ClusteringError
from imgcluster.features import Points, StoredVectors, apply_transform
from imgcluster.types import Clusters
from imgcluster.utils import free_memory

if TYPE_CHECKING:
    from distributed import Client

GATHERED = 2.5  # times the features: they themselves, and what scikit-learn's K-Means takes for them


def should_use_dask(config: ClustersConfig, features_bytes: int, engine_is_dask: bool) -> bool:
    """Say whether features of this size are to be clustered by `cluster_stored`, and not gathered.

    As `clusters.backend` says; with auto where the engine is Dask, the method is plain K-Means, and the memory that
    is free on this machine does not suffice for gathering them and for scikit-learn.
    """
    if config.backend != "auto":
        return config.backend == "dask"
    if not engine_is_dask or config.method != "kmeans" or config.parameters or config.order is not None:
        return False
    free = free_memory()
    return free is not None and GATHERED * features_bytes > free


def cluster_stored(  # noqa: PLR0913 (one call says all)
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
    """Cluster the vectors of a store as a config says, by K-Means of dask-ml; `ids` names the rows.

    All that `clusters.cluster_features` returns, and new images are placed the same way. Vectors are read by the
    workers of `client`, or by threads of this machine where it is None, a block of `points.BLOCK_BYTES` at a time; only
    (n,) arrays come back, and with `soft` (n, k). The same vectors give the same bits whatever the workers and shards.
    What `kept` has is not worked out again.
    A number of clusters that is left open is chosen on a sample of `SAMPLED_ABOVE` vectors, as the notes say.
    Raises ClusteringError: a method other than K-Means, umap, fewer vectors than clusters, values that are not
    finite; StoreError: a shard is gone or damaged; ConfigError: Dask is not installed, a numbering names what is not
    there.
    """
    if config.method != "kmeans" or config.parameters or config.order is not None:
        raise ClusteringError("clusters.backend: dask has K-Means alone, without parameters or an order")
    check_enough(stored.count, config.n_clusters)
    kept = NothingKept() if kept is None else kept
    with computing(client):
        space, asked = _Space(stored, config), config
        config, chosen = _with_k(space, config, kept, show)
        # The blocks, and with them the last bits, depend on what was asked for, and not on the number that was chosen.
        fitted = kept.fitted(asked, lambda: _fitted(space, config, client, show))
        found, nearest = fitted.groups, fitted.nearest
        numbered = number_clusters(found.labels, len(found.centroids), config.numbering, ids, first_label)
        clusters = numbered_clusters(found, numbered, nearest, config, state=fitted.state)
        shares = _shares(space.points, found.centroids, nearest[0]) if soft else None
    if shares is not None:
        shares = scatter_by_number(shares.T, numbered.numbers, 0).T
    return replace(clusters, notes=[*chosen, *clusters.notes], probabilities=shares)


class _Space:
    """The vectors of a store after the steps of a config, which are fitted when they are first asked for."""

    def __init__(self, stored: StoredVectors, config: ClustersConfig) -> None:
        self._stored, self._config = stored, config

    @cached_property
    def points(self) -> StreamedPoints:
        """The points that are clustered."""
        from imgcluster.clustering.kmeans.dask import drawn

        return fit_streamed(StreamedPoints.of(self._stored, 8 * drawn(_most(self._config))), self._config.transform)


def _fitted(space: _Space, config: ClustersConfig, client: Client | None, show: bool) -> Fitted:
    from imgcluster.clustering.kmeans.dask import StreamedKMeans
    from imgcluster.clustering.streamed.settled import settled

    kmeans = StreamedKMeans.of(space.points, streamed_moments(space.points), config, client)
    centroids, labels, nearest = settled(kmeans, show)
    rule = {"centres": centroids, "labels": np.arange(len(centroids))}
    return Fitted(Groups(labels, centroids, rule, notes=[kmeans.note]), space.points.state, nearest)


def _most(config: ClustersConfig) -> int:
    """Return the largest number of clusters that there may be."""
    return max(_numbers(config.n_clusters)) if isinstance(config.n_clusters, str) else config.k


def _numbers(asked: str) -> Sequence[int]:
    return AUTO if asked == "auto" else parse_range(asked)


def _with_k(space: _Space, config: ClustersConfig, kept: KeptClusters, show: bool) -> tuple[ClustersConfig, list[str]]:
    """Put a number in the place of a range, found on a sample, and say why this one."""
    if not isinstance(config.n_clusters, str):
        return config, []
    ks = _numbers(config.n_clusters)

    def choose() -> tuple[int, str]:
        points = space.points
        vectors, places = points.stored.sample(SAMPLED_ABOVE, config.random_state)
        sample = Points(apply_transform(vectors, points.state))
        chosen, reason = choose_k(sample, config, ks, show=show)
        told = reason if len(places) == len(points) else f"{reason}; on {len(places):,} of {len(points):,} images"
        return chosen, told

    chosen, told = kept.choice(config, ks, choose)
    return config.model_copy(update={"n_clusters": chosen}), [told]


def _shares(points: StreamedPoints, centroids: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return how likely each centroid is, (n, k) float64, as `cluster_features` does."""
    import dask

    unit = float(np.square(distance).mean())
    return np.concatenate(dask.compute(*points.map(_share, centroids, unit)))


def _share(blocks: Iterator[np.ndarray], centroids: np.ndarray, unit: float) -> np.ndarray:
    return shares_by_distance(np.square(centroid_distances(next(blocks), centroids)), unit)
