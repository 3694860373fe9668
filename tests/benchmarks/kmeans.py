"""What K-Means takes, time and memory, against plain scikit-learn on the same threads: at once, streamed, on a GPU."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from imgcluster import cluster_features
from imgcluster.clustering.kmeans import in_memory as kmeans
from imgcluster.config.loader import ClustersConfig
from imgcluster.utils import parallel as blocks
from tests.benchmarks.clock import median_ratio, take_turns
from tests.benchmarks.rows import Row

SHAPE = {False: (100_000, 1280), True: (20_000, 256)}  # by --quick
CLUSTERS = {False: 50, True: 10}
STARTS = 3
ROUNDS = {False: 1, True: 3}
GROUPS_A_CLUSTER = 3  # as many as make K-Means take its time, as on real features

Labels = Callable[[], np.ndarray]


def kmeans_rows(quick: bool) -> Iterator[Row]:
    """Points a second, sums of squares and peaks of memory, of features like those behind a ReLU."""
    config = ClustersConfig(method="kmeans", n_clusters=CLUSTERS[quick], n_init=STARTS)
    with TemporaryDirectory() as folder:
        np.save(Path(folder) / "vectors.npy", _features(*SHAPE[quick], config.n_clusters))
        mapped = np.load(Path(folder) / "vectors.npy", mmap_mode="r")
        vectors = np.array(mapped)
        ways: dict[str, Labels] = {
            "scikit-learn": partial(_plain, vectors, config),
            "at once": partial(_ours, vectors, config, large=False, gpu=False),
            "streamed from a file": partial(_ours, mapped, config, large=True, gpu=False),
        }
        if torch.cuda.is_available():
            ways["on the GPU"] = partial(_ours, vectors, config, large=False, gpu=True)
        yield from _compared(ways, vectors, ROUNDS[quick])
        yield from _against_faiss(vectors, config, ROUNDS[quick])
    if not torch.cuda.is_available():
        yield Row("kmeans", "on the GPU: skipped, no CUDA device")


def _compared(ways: dict[str, Labels], vectors: np.ndarray, rounds: int) -> Iterator[Row]:
    plain, *others = ways
    rates = take_turns({name: lambda _, way=way: way() for name, way in ways.items()}, rounds)  # type: ignore[misc]
    labels, peaks = {}, {}
    for name, way in ways.items():
        labels[name], peaks[name] = _with_peak(way)
    inertias = {name: _inertia(vectors, found) for name, found in labels.items()}
    for name in others:
        ratio, aim = median_ratio(rates[name], rates[plain]), ">= 5" if name == "on the GPU" else ">= 1"
        ours, theirs = (f"{median(rates[each]):.0f} points/s" for each in (name, plain))
        yield Row("kmeans", f"{name}, {_shape(vectors)}", ours, theirs, f"{ratio:.2f}", aim)
        sums = [f"{inertias[each]:.5g}" for each in (name, plain)]
        yield Row("kmeans", f"{name}, inertia", *sums, f"{inertias[name] / inertias[plain]:.4f}", "<= 1.001")
        memory = [f"{peaks[each] >> 20} MiB" for each in (name, plain)]
        ratio, aim = peaks[name] / peaks[plain], "<= 1.05" if name == "at once" else "< 1"
        yield Row("kmeans", f"{name}, peak beside {vectors.nbytes >> 20} MiB", *memory, f"{ratio:.2f}", aim)


def _against_faiss(vectors: np.ndarray, config: ClustersConfig, rounds: int) -> Iterator[Row]:
    """One start of ours against faiss-cpu on all points, from the same seeds, as many iterations on two threads."""
    if find_spec("faiss") is None:
        yield Row("kmeans", "against faiss: skipped, faiss-cpu is not installed")
        return
    import faiss

    one = config.model_copy(update={"n_init": 1})
    mean = vectors.mean(axis=0)
    seeds = mean + kmeans._Seeding(lambda count: None)(vectors - mean, one.k, np.random.RandomState(one.random_state))
    iterations = kmeans.fit_kmeans(vectors.copy(), one, lambda count: None).n_iter_
    faiss.omp_set_num_threads(blocks.OPENMP_THREADS)

    def theirs() -> np.ndarray:
        # Else it draws 256 points for each cluster.
        whole = {"max_points_per_centroid": len(vectors), "min_points_per_centroid": 1}
        model = faiss.Kmeans(vectors.shape[1], one.k, niter=iterations, **whole)
        model.train(vectors, init_centroids=seeds.astype(np.float32))
        return np.asarray(model.index.search(vectors, 1)[1].ravel())

    ways: dict[str, Labels] = {"ours": partial(_ours, vectors, one, large=False, gpu=False), "faiss": theirs}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    inertias: dict[str, float] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = process_time()
            labels = way()
            spent[name].append(process_time() - start)
            inertias[name] = _inertia(vectors, labels)
    each = [f"{median(spent[name]):.1f} s" for name in ways]
    ratio = median(ours / faiss for ours, faiss in zip(spent["ours"], spent["faiss"], strict=True))
    yield Row("kmeans", f"one start, {iterations} iterations, faiss: CPU", *each, f"{ratio:.2f}", "<= 1")
    sums = [f"{inertias[name]:.5g}" for name in ways]
    yield Row("kmeans", "its inertia, faiss", *sums, f"{inertias['ours'] / inertias['faiss']:.4f}", "<= 1.001")


def _features(rows: int, dim: int, n_clusters: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    groups = 0.3 * generator.standard_normal((GROUPS_A_CLUSTER * n_clusters, dim), dtype=np.float32)
    vectors = generator.standard_normal((rows, dim), dtype=np.float32)
    vectors += groups[generator.integers(0, len(groups), rows)]
    return np.maximum(vectors, 0, out=vectors)


def _plain(vectors: np.ndarray, config: ClustersConfig) -> np.ndarray:
    with threadpool_limits(blocks.OPENMP_THREADS, user_api="openmp"):
        model = KMeans(config.n_clusters, n_init=config.n_init, random_state=config.random_state).fit(vectors)
    return np.asarray(model.labels_)


def _ours(vectors: np.ndarray, config: ClustersConfig, *, large: bool, gpu: bool) -> np.ndarray:
    with _set(blocks, "IN_MEMORY_BYTES", 0 if large else 2**60), _set(kmeans, "GPU_PRODUCTS", 0 if gpu else 2**60):
        return cluster_features(vectors, config, show=False).labels


@contextmanager
def _set(module: object, name: str, value: int) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _inertia(vectors: np.ndarray, labels: np.ndarray) -> float:
    groups = (vectors[labels == number] for number in np.unique(labels))
    return float(sum(len(group) * group.var(axis=0, dtype=np.float64).sum() for group in groups))


def _with_peak(way: Labels) -> tuple[np.ndarray, int]:
    """What comes out, and the most bytes that numpy held at a time, beside what it held before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        labels = way()
        return labels, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _shape(vectors: np.ndarray) -> str:
    return f"{len(vectors):,} x {vectors.shape[1]:,}"
