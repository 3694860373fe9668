"""K-Means of dask-ml over blocks of a store that workers read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.kmeans.lloyd import MAX_ITERATIONS, TOLERANCE
from imgcluster.clustering.streamed.points import StreamedPoints
from imgcluster.config import ClustersConfig
from imgcluster.errors import ConfigError
from imgcluster.utils import OPENMP_THREADS, install_command

if TYPE_CHECKING:
    import dask.array
    from distributed import Client

SEEDING_ROUNDS = 5  # of k-means||: each draws rows
# Rows drawn in a round, per cluster. The paper's 2 suffice where each row drawn is weighted by the rows near to it;
# dask-ml has no weights, and with 2 its inertia was twice as far above that of the best of 10 starts.
OVERSAMPLING = 4
MOST_DRAWN = 1000  # in a round, unless there are more clusters: each is compared with all points
HELD_SHARE = 0.4  # of the workers' memory: above 0.6, workers spill to disk
NEGLIGIBLE = 1e-5  # of the points' size: float32 has seven digits


@dataclass(frozen=True)
class StreamedKMeans:
    """K-Means over streamed points, from seeds by k-means|| or from given ones.

    Bahmani, Moseley, Vattani, Kumar and Vassilvitskii, Scalable K-Means++, VLDB 2012. dask-ml gets the points less
    their mean and in units of their standard deviation: otherwise the rounds of its seeding and the shift at which it
    ends would depend on the unit of the features.
    """

    points: StreamedPoints
    config: ClustersConfig
    client: Client | None
    mean: np.ndarray
    deviation: float

    @classmethod
    def of(
        cls, points: StreamedPoints, moments: tuple[np.ndarray, np.ndarray], config: ClustersConfig, client: Any
    ) -> StreamedKMeans:
        """Take points and their moments: mean and variance, (dim,) each."""
        mean, variance = moments
        return cls(points, config, client, mean.astype(np.float32), float(np.sqrt(variance.mean())) or 1.0)

    def fit(self, seeds: np.ndarray | None = None) -> np.ndarray:
        """Return centroids, (k, dim) float32, found from seeds, (k, dim), or from those of k-means||."""
        start = None if seeds is None else np.asarray((seeds - self.mean) / self.deviation, np.float32)
        centres = fit_by_dask_ml(self._array, self.config, start)
        return np.asarray(centres * np.float32(self.deviation) + self.mean, np.float32)

    @cached_property
    def _array(self) -> dask.array.Array:
        """The scaled points, held in the memory of the workers if that is large enough."""
        array = self.points.array(self.mean, 1 / self.deviation)
        if self.client is not None and array.nbytes <= HELD_SHARE * _workers_memory(self.client):
            array = self.client.persist(array)
        return array

    @property
    def negligible(self) -> float:
        """The distance up to which two points may be equal but for rounding."""
        return NEGLIGIBLE * (self.deviation + float(np.abs(self.mean).max(initial=0)))

    @property
    def note(self) -> str:
        """A line for the summary on how the clusters were found."""
        return (
            "K-Means of dask-ml, over the store: one start by k-means||, of which clusters.n_init counts the choices "
            f"of {self.config.k} seeds"
        )


def drawn(k: int) -> int:
    """Return about how many rows k-means|| draws as candidates for `k` seeds."""
    return SEEDING_ROUNDS * max(k, min(OVERSAMPLING * k, MOST_DRAWN))


def fit_by_dask_ml(array: dask.array.Array, config: ClustersConfig, seeds: np.ndarray | None) -> np.ndarray:
    """Return the centroids, (k, dim), of one start of dask-ml's KMeans.

    Without seeds, (k, dim), k-means|| draws candidates, and the best of `n_init` K-Means of these makes the seeds.

    Raises:
        ConfigError: dask-ml is not installed.
    """
    try:
        from dask_ml.cluster import KMeans
    except ImportError:
        raise ConfigError(f"clusters.backend: dask-ml is not installed; {install_command('dask')}") from None
    model = KMeans(
        config.k,
        init="k-means||" if seeds is None else seeds,
        oversampling_factor=drawn(config.k) // SEEDING_ROUNDS,
        init_max_iter=SEEDING_ROUNDS,
        n_init=config.n_init,
        random_state=config.random_state,
        max_iter=MAX_ITERATIONS,
        tol=TOLERANCE,
    )
    with threadpool_limits(OPENMP_THREADS, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # candidates may have fewer distinct points than clusters: the sizes show it
        model.fit(array)
    return np.asarray(model.cluster_centers_)


def _workers_memory(client: Client) -> int:
    limits = client.run_on_scheduler(
        lambda dask_scheduler: [worker.memory_limit or 0 for worker in dask_scheduler.workers.values()]
    )
    return sum(limits)
