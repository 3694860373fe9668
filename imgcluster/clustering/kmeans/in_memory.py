"""K-Means by the way that suits the size: scikit-learn's, one that streams large features, or one on a GPU."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.kmeans.lloyd import TOLERANCE, StreamedRows, kmeans_plusplus, lloyd
from imgcluster.config import ClustersConfig
from imgcluster.features import Points, moments
from imgcluster.utils import (
    IN_MEMORY_BYTES,
    OPENMP_THREADS,
    Advance,
    in_order,
    is_large,
    row_slices,
    squared_lengths,
    track,
    without_pandas,
)

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

logger = logging.getLogger(__name__)

SAMPLE_SHARE = 16  # the sample is a sixteenth of large features,
SAMPLE_BYTES = IN_MEMORY_BYTES // 2  # at most this size,
SAMPLE_PER_CLUSTER = 512  # at least so many rows for each cluster,
SAMPLE_MOST = 4  # and at most a quarter of the features
GPU_PRODUCTS = 2**32  # points x columns x clusters; with fewer, starting the GPU costs more than it saves
# Points x columns x clusters; with fewer, threads wait for one another for longer than they work. Two took 28 times the
# CPU time of one for 1,800 x 64 into 10 on a busy machine, 1.4 times for 500 x 1280 (6.4e6), as much at 2.3e7.
MIN_PRODUCTS_OF_TWO_THREADS = 2**23
SEED_BLOCK_BYTES = 2**19  # of float32; converted to float64, a block fits into the second-level cache of a core


@dataclass(frozen=True)
class Found:
    """labels: (n,) int64; centroids: (k, dim) float32; notes: lines for the summary on how they were found."""

    labels: np.ndarray
    centroids: np.ndarray
    notes: list[str] = field(default_factory=list)


def find_clusters(points: Points, config: ClustersConfig, *, show: bool) -> Found:
    """Run K-Means on finite points; the same points give the same bits on the same machine.

    It runs on the first GPU if the points fit there and the work exceeds `GPU_PRODUCTS`. Otherwise up to
    `blocks.IN_MEMORY_BYTES` (2 GiB) of points go to one call of scikit-learn's KMeans, which takes twice their size
    beside them; more are read in blocks by Lloyd's iterations that begin at scikit-learn's centroids of a sample.
    """
    if len(points) * points.dim * config.k > GPU_PRODUCTS and (found := _on_gpu(points, config, show)):
        return found
    return (_streamed if is_large(points.nbytes) else _by_scikit_learn)(points, config, show)


def _by_scikit_learn(points: Points, config: ClustersConfig, show: bool) -> Found:
    with track("clustering", config.n_init, "starts", show=show) as advance:
        model = fit_kmeans(points.copy(), config, advance)
    return Found(model.labels_.astype(np.int64), model.cluster_centers_)


def _streamed(points: Points, config: ClustersConfig, show: bool) -> Found:
    """Run Lloyd's iterations over all points, from the best centroids of a sample.

    Starts are cheap on a sample, and end so near the final centroids that few passes over all points follow: Bradley
    and Fayyad, Refining Initial Points for K-Means Clustering, ICML 1998. Unlike mini-batches, this converges as Lloyd.
    """
    rows = _sample(points, config)
    with track("clustering: a sample", config.n_init, "starts", show=show) as advance:
        seeds = fit_kmeans(points.take(rows), config, advance).cluster_centers_
    mean, variance = moments(points)
    centre = mean.astype(np.float32)
    with track("clustering", None, "iterations", show=show) as advance:
        tolerance = TOLERANCE * float(variance.mean())
        found = lloyd(StreamedRows(points, mean), seeds - centre, tolerance, advance)
    note = f"large features: K-Means began on a sample of {len(rows):,}, and went on over all {len(points):,}"
    return Found(found.labels.astype(np.int64), found.centres + centre, [note])


def _on_gpu(points: Points, config: ClustersConfig, show: bool) -> Found | None:
    import torch

    from imgcluster.clustering.kmeans.gpu import find_gpu, kmeans_on

    if (device := find_gpu(points)) is None:
        return None
    try:
        with track("clustering", config.n_init, "starts", show=show) as advance:
            labels, centroids = kmeans_on(device, points, config, advance)
    except torch.OutOfMemoryError:
        logger.warning("GPU memory ran out: clustering on the CPU")
        return None
    return Found(labels.astype(np.int64), centroids, [f"K-Means on {torch.cuda.get_device_name(device)}, in float32"])


def _sample(points: Points, config: ClustersConfig) -> np.ndarray:
    share = min(len(points) // SAMPLE_SHARE, SAMPLE_BYTES // (4 * points.dim))
    wanted = min(max(share, SAMPLE_PER_CLUSTER * config.k), len(points) // SAMPLE_MOST)
    size = max(wanted, config.k)
    return np.sort(np.random.default_rng(config.random_state).choice(len(points), size, replace=False))


def fit_kmeans(points: np.ndarray, config: ClustersConfig, advance: Advance) -> KMeans:
    """Fit scikit-learn's KMeans(n_clusters, n_init, random_state) to points, (n, dim), which it overwrites.

    `advance` counts the starts that have ended.
    """
    with without_pandas():
        from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    model = KMeans(
        config.k, init=_Seeding(advance), n_init=config.n_init, random_state=config.random_state, copy_x=False
    )
    threads = 1 if points.size * config.k < MIN_PRODUCTS_OF_TWO_THREADS else OPENMP_THREADS
    with threadpool_limits(threads, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters: the sizes show it
        model.fit(points)
    advance(1)
    return model


class _Seeding:
    """The `init` of a KMeans, which calls it at the beginning of each start: the seeds of init="k-means++".

    scikit-learn itself takes more than twice as long for them on two cores: it converts all points to float64 in one
    thread, and computes their norms anew for each seed.
    """

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._rows: _ArrayRows | None = None

    def __call__(self, points: np.ndarray, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
        if self._rows is None:
            self._rows = _ArrayRows(points)
        else:
            self._advance(1)
        with threadpool_limits(1, user_api="blas"):  # in more threads, sums have other last bits
            return np.asarray(points[kmeans_plusplus(self._rows, n_clusters, random_state)])


class _ArrayRows:
    """Rows of an array, (n, dim): `lloyd.SeedRows` that rounds as scikit-learn does, to draw the same seeds."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows, self._lengths, self._ones = rows, squared_lengths(rows), np.ones(len(rows), rows.dtype)

    def __len__(self) -> int:
        return len(self._rows)

    def squared_distances_to(self, rows: np.ndarray) -> np.ndarray:
        some, lengths = self._rows[rows].astype(np.float64), self._lengths[rows][:, None]
        distances = np.empty((len(rows), len(self)), self._rows.dtype)

        def fill(part: slice) -> None:
            products = some @ self._rows[part].astype(np.float64).T
            distances[:, part] = np.maximum(lengths - 2 * products + self._lengths[part], 0)

        for _ in in_order(fill, row_slices(len(self), self._rows.shape[1], SEED_BLOCK_BYTES)):
            pass
        return distances

    def sums(self, distances: np.ndarray) -> np.ndarray:
        return np.asarray(distances @ self._ones)

    def cumulative(self, distances: np.ndarray) -> np.ndarray:
        return np.cumsum(distances)
