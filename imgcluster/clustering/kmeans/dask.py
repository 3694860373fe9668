"""K-Means of dask-ml over blocks that workers read; what it leaves open is settled here, from outside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.kmeans.in_memory import KMEANS_THREADS
from imgcluster.clustering.kmeans.lloyd import MAX_ITERATIONS, TOLERANCE
from imgcluster.clustering.streamed.cuml import fit_on_gpus, have_cuml
from imgcluster.clustering.streamed.points import StreamedPoints
from imgcluster.config import ClustersConfig
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    import dask.array
    from distributed import Client

ROUNDS = 5  # of k-means||, each of which draws
CANDIDATES = 4  # times as many rows as there are clusters. The paper's 2 suffice where each row drawn is weighted by
# those near to it; dask-ml has no weights, and with 2 its sums of squares were twice as far from the best of 10 starts.
MOST_DRAWN = 1000  # in a round, unless there are more clusters: each is compared with all points
HELD_SHARE = 0.4  # of the workers' memory: from 0.6 on they write to disk what they hold
SAME = 1e-5  # of the points' size; float32 has seven digits
LOGGER = "dask_ml.cluster.k_means"

Step = Callable[[], object]


@dataclass(frozen=True)
class StreamedKMeans:
    """K-Means over streamed points, as often as is asked for, from seeds of its own or from given ones.

    Bahmani, Moseley, Vattani, Kumar and Vassilvitskii, Scalable K-Means++, VLDB 2012. The points are handed over less
    their mean and in units of their deviation: the number of rounds by which dask-ml seeds, and the shift at which
    it ends, would otherwise depend on the unit of the features.
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
        """Prepare it for points of these moments, (dim,) mean and variance."""
        mean, variance = moments
        return cls(points, config, client, mean.astype(np.float32), float(np.sqrt(variance.mean())) or 1.0)

    @contextmanager
    def ready(self) -> Iterator[Callable[[np.ndarray | None, Step], np.ndarray]]:
        """Yield what returns centroids, (k, dim) float32: of seeds, (k, dim), or of none; it is told of each step.

        The points stay in the memory of the workers in the meantime, where that is large enough for all of them.
        """
        array = self.points.array(self.mean, 1 / self.deviation)
        if self.client is not None and array.nbytes <= HELD_SHARE * _workers_memory(self.client):
            array = self.client.persist(array)

        def fit(seeds: np.ndarray | None, step: Step) -> np.ndarray:
            start = None if seeds is None else np.asarray((seeds - self.mean) / self.deviation, np.float32)
            way = fit_on_gpus if self.on_gpus else fit_by_dask_ml
            centres = way(array, self.config, start, step, self.client)
            return np.asarray(centres * np.float32(self.deviation) + self.mean, np.float32)

        yield fit

    @property
    def negligible(self) -> float:
        """A distance that rounding alone makes of none."""
        return SAME * (self.deviation + float(np.abs(self.mean).max(initial=0)))

    @property
    def note(self) -> str:
        """What a person should know of the way."""
        what = "cuML, on the workers' GPUs" if self.on_gpus else "dask-ml"
        return (
            f"K-Means of {what}, over the store: one start by k-means||, of which clusters.n_init counts the choices "
            f"of {self.config.k} seeds"
        )

    @cached_property
    def on_gpus(self) -> bool:
        """Whether the workers have GPUs and cuML."""
        return self.client is not None and have_cuml(self.client)


def drawn(k: int) -> int:
    """Return how many rows are drawn about, of which `k` seeds are made."""
    return ROUNDS * max(k, min(CANDIDATES * k, MOST_DRAWN))


def fit_by_dask_ml(
    array: dask.array.Array, config: ClustersConfig, seeds: np.ndarray | None, step: Step, client: Any
) -> np.ndarray:
    """Return the centroids, (k, dim), that dask-ml finds. Raises ConfigError where it is not installed.

    Its one start is seeded by k-means||; `n_init` are the starts by which the rows drawn for it become seeds.
    """
    try:
        from dask_ml.cluster import KMeans
    except ImportError:
        raise ConfigError("clusters.backend: dask-ml is not installed; pip install 'imgcluster[dask]'") from None
    model = KMeans(
        config.k,
        init="k-means||" if seeds is None else seeds,
        oversampling_factor=drawn(config.k) // ROUNDS,
        init_max_iter=ROUNDS,
        n_init=config.n_init,
        random_state=config.random_state,
        max_iter=MAX_ITERATIONS,
        tol=TOLERANCE,
    )
    # With more threads, scikit-learn's K-Means of the rows drawn has other last bits each time.
    with _heard(step), threadpool_limits(KMEANS_THREADS, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(array)
    return np.asarray(model.cluster_centers_)


@contextmanager
def _heard(step: Step) -> Iterator[None]:
    """Count the iterations by what dask-ml logs of each: there is no other way; and let none of it through."""
    logger, handler = logging.getLogger(LOGGER), _Listener(step)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


class _Listener(logging.Handler):
    """Takes a step at the end of each round of seeding and of each iteration."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("Finished"):
            self._step()


def _workers_memory(client: Client) -> int:
    limits = client.run_on_scheduler(
        lambda dask_scheduler: [worker.memory_limit or 0 for worker in dask_scheduler.workers.values()]
    )
    return sum(limits)
