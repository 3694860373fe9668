"""K-Means by the way that suits the size: scikit-learn's, one that streams large features, or one on a GPU."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from imgcluster.clustering.kmeans.lloyd import MAX_ITERATIONS, TOLERANCE, Steps, StreamedRows, lloyd
from imgcluster.config import ClustersConfig
from imgcluster.features import Points, column_strips, moments
from imgcluster.utils import IN_MEMORY_BYTES, Advance, is_large, squared_lengths, track

try:  # given squared lengths in float64, it does not work them out for each seed anew; the public one rounds them
    from sklearn.cluster._kmeans import _kmeans_plusplus
except ImportError:  # in another version of scikit-learn
    _kmeans_plusplus = None

logger = logging.getLogger(__name__)

# With three threads and more, scikit-learn adds up the centroids in the order in which the threads happen to end, and
# float32 sums in another order are other bits. Two threads give the same bytes each time.
KMEANS_THREADS = 2
SAMPLE_SHARE = 16  # a sixteenth of large features,
SAMPLE_BYTES = IN_MEMORY_BYTES // 2  # and no more than this,
SAMPLE_PER_CLUSTER = 512  # but so many for each cluster,
SAMPLE_MOST = 4  # and a quarter of them at the most
GPU_PRODUCTS = 2**32  # points x values x clusters from which on a GPU is worth its start


@dataclass(frozen=True)
class Found:
    """labels: (n,) int64; centroids: (k, dim) float32; notes: what a person should know of the way."""

    labels: np.ndarray
    centroids: np.ndarray
    notes: list[str] = field(default_factory=list)


def find_clusters(points: Points, config: ClustersConfig, *, show: bool) -> Found:
    """Run K-Means on finite points; the same points give the same bits on the same machine.

    On the first GPU, where there is one that they fit on and the work is more than `GPU_PRODUCTS`. Else as one call of
    scikit-learn's KMeans up to `blocks.IN_MEMORY_BYTES` (2 GiB) of points, for which it takes half as much again; and
    above that by Lloyd's iterations over all points, read in blocks, from where scikit-learn's came to on a sample.
    """
    if len(points) * points.dim * config.k > GPU_PRODUCTS and (found := _on_gpu(points, config, show)):
        return found
    return (_streamed if is_large(points.nbytes) else _by_scikit_learn)(points, config, show)


def _by_scikit_learn(points: Points, config: ClustersConfig, show: bool) -> Found:
    with track("clustering", _most_steps(config), "steps", show=show) as advance:
        model = fit_kmeans(points.copy(), config, advance)
    return Found(model.labels_.astype(np.int64), model.cluster_centers_)


def _streamed(points: Points, config: ClustersConfig, show: bool) -> Found:
    """Start from the best centroids of a sample, and let all points move them.

    The starts are cheap on a sample, and so near to where the whole ends that few readings of it follow: Bradley and
    Fayyad, Refining Initial Points for K-Means Clustering, ICML 1998. Unlike mini-batches this ends where Lloyd does.
    """
    rows = _sample(points, config)
    with track("clustering: a sample", _most_steps(config), "steps", show=show) as advance:
        seeds = fit_kmeans(points.take(rows), config, advance).cluster_centers_
    mean, variance = moments(points)
    centre = mean.astype(np.float32)
    with track("clustering", MAX_ITERATIONS, "steps", show=show) as advance:
        steps = Steps(advance)
        steps.begin(MAX_ITERATIONS)
        found = lloyd(StreamedRows(points, mean), seeds - centre, TOLERANCE * float(variance.mean()), steps.step)
        steps.end()
    note = f"large features: K-Means began on a sample of {len(rows):,}, and went on over all {len(points):,}"
    return Found(found.labels.astype(np.int64), found.centres + centre, [note])


def _on_gpu(points: Points, config: ClustersConfig, show: bool) -> Found | None:
    import torch

    from imgcluster.clustering.kmeans.gpu import find_gpu, kmeans_on

    if (device := find_gpu(points)) is None:
        return None
    try:
        with track("clustering", _most_steps(config), "steps", show=show) as advance:
            labels, centroids = kmeans_on(device, points, config, Steps(advance))
    except torch.OutOfMemoryError:
        logger.warning("GPU memory ran out: clustering on the CPU")
        return None
    return Found(labels.astype(np.int64), centroids, [f"K-Means on {torch.cuda.get_device_name(device)}, in float32"])


def _most_steps(config: ClustersConfig) -> int:
    """A step is a seed or an iteration: one costs about as much as the other."""
    return config.n_init * (config.k + MAX_ITERATIONS)


def _sample(points: Points, config: ClustersConfig) -> np.ndarray:
    share = min(len(points) // SAMPLE_SHARE, SAMPLE_BYTES // (4 * points.dim))
    wanted = min(max(share, SAMPLE_PER_CLUSTER * config.k), len(points) // SAMPLE_MOST)
    size = max(wanted, config.k)
    return np.sort(np.random.default_rng(config.random_state).choice(len(points), size, replace=False))


def fit_kmeans(points: np.ndarray, config: ClustersConfig, advance: Advance) -> KMeans:
    """Fit scikit-learn's KMeans(n_clusters, n_init, random_state) to points, (n, dim), which it centres in place.

    `advance` is told of n_clusters + 300 steps for each start, whatever it took.
    """
    starts = _Starts(config, advance)
    model = _LeanKMeans(
        config.k,
        init=starts.seeds,
        n_init=config.n_init,
        random_state=config.random_state,
        copy_x=False,
        verbose=_Silence(starts.steps.step),
    )
    with threadpool_limits(KMEANS_THREADS, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters: the sizes tell
        model.fit(points)
    starts.steps.end()
    return model


class _Starts:
    """What scikit-learn asks for its seeds when it begins a start: they are drawn for all of them at the first."""

    def __init__(self, config: ClustersConfig, advance: Advance) -> None:
        self._n_init, self._advance = config.n_init, advance
        self._drawn: Iterator[np.ndarray] | None = None
        self.steps = Steps(advance)

    def seeds(self, points: np.ndarray, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
        if self._drawn is None:
            self._drawn = iter(draw_seeds(points, n_clusters, self._n_init, random_state, self._advance))
        self.steps.begin(MAX_ITERATIONS)
        return next(self._drawn)


def draw_seeds(
    points: np.ndarray, n_clusters: int, n_init: int, generator: np.random.RandomState, advance: Advance
) -> list[np.ndarray]:
    """Return what `n_init` calls of kmeans_plusplus with this generator return: (n_clusters, dim) each.

    They are made side by side, each with the generator as the calls before are expected to leave it. Where they leave
    it otherwise, as another version of scikit-learn may, they are made again one after the other.
    """
    generators = _foretold(generator, n_clusters, n_init)
    expected = [_state(each) for each in generators[1:]]
    lengths = squared_lengths(points)
    seeds = []
    # Several threads in each of its small matrix products wait for one another longer than they work.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(KMEANS_THREADS) as pool:
        for drawn in pool.map(lambda each: _seeds(points, n_clusters, lengths, each), generators):
            seeds.append(drawn)
            advance(n_clusters)
    if expected != [_state(each) for each in generators[:-1]]:
        return [_seeds(points, n_clusters, lengths, generator) for _ in range(n_init)]
    return seeds


def _seeds(points: np.ndarray, n_clusters: int, lengths: np.ndarray, generator: np.random.RandomState) -> np.ndarray:
    if _kmeans_plusplus is None:
        return np.asarray(kmeans_plusplus(points, n_clusters, random_state=generator)[0])
    weights = np.ones(len(points), points.dtype)
    return np.asarray(_kmeans_plusplus(points, n_clusters, lengths, weights, generator)[0])


def _foretold(generator: np.random.RandomState, n_clusters: int, n_init: int) -> list[np.random.RandomState]:
    """Copies of a generator as it stands before each start: a first seed takes one number, each other some trials."""
    numbers = 1 + (n_clusters - 1) * (2 + int(np.log(n_clusters)))
    generators = [deepcopy(generator)]
    for _ in range(n_init - 1):
        following = deepcopy(generators[-1])
        following.random_sample(numbers)
        generators.append(following)
    return generators


def _state(generator: np.random.RandomState) -> tuple[bytes, int]:
    _, keys, position, *_ = generator.get_state()
    return np.asarray(keys).tobytes(), int(position)


class _LeanKMeans(KMeans):  # type: ignore[misc]
    """KMeans that works out its tolerance a strip of columns at a time: numpy's variance copies what it is given."""

    tol: float

    def _check_params_vs_input(self, points: np.ndarray, *arguments: Any, **keywords: Any) -> None:
        tolerance, self.tol = self.tol, 0
        super()._check_params_vs_input(points, *arguments, **keywords)
        self.tol = tolerance
        self._tol = np.mean(np.concatenate([np.var(points[:, it], axis=0) for it in column_strips(points.shape[1])]))
        self._tol *= tolerance


class _Silence(int):
    """A verbosity of 0 that calls `asked` each time scikit-learn asks for it: once an iteration.

    It asks after the seeding and at the end too. No other way to count iterations leaves the arithmetic to it.
    """

    def __new__(cls, asked: Callable[[], None]) -> _Silence:
        silence = super().__new__(cls, 0)
        silence.asked = asked
        return silence

    asked: Callable[[], None]

    def __bool__(self) -> bool:
        self.asked()
        return False
