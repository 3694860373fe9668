"""K-Means out of a store by two Dask workers, against scikit-learn's of all in memory: inertia, seconds, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.cluster import KMeans

from imgcluster.clustering.streamed.cluster import cluster_stored
from imgcluster.config.loader import ClustersConfig
from imgcluster.features.store.reader import Chunk, StoredVectors
from tests.benchmarks.clock import seconds
from tests.benchmarks.rows import Row

SHAPE = {False: (200_000, 1280), True: (20_000, 256)}  # by --quick
CLUSTERS = {False: 50, True: 10}
SHARDS = 16
ROUNDS = {False: 1, True: 3}
GROUPS_A_CLUSTER = 3  # as many as make K-Means take its time, as on real features
WORKERS = 2

Result = dict[str, float]


def dask_kmeans(quick: bool) -> Iterator[Row]:
    """One start of each, in a process of its own, in turns; that of Dask is the driver, beside its workers."""
    (rows, dim), k = SHAPE[quick], CLUSTERS[quick]
    with TemporaryDirectory() as folder:
        _write_shards(Path(folder), rows, dim, k)
        results: dict[str, list[Result]] = {way: [] for way in WAYS}
        for number in range(ROUNDS[quick]):
            for way in list(WAYS)[:: 1 if number % 2 else -1]:
                results[way].append(_in_process(way, folder, k))
    shape = f"{rows:,} x {dim:,}, {k} clusters"
    for name, figure, unit, aim in (
        ("inertia", "inertia", "", "<= 1.02"),
        ("seconds", f"{WORKERS} workers, seconds", "s", ""),
        ("peak", "peak of the driver", "MiB", "< 1"),
    ):
        ours, theirs = ([each[name] for each in results[way]] for way in ("dask-ml", "scikit-learn"))
        ratio = median(our / their for our, their in zip(ours, theirs, strict=True))
        texts = [f"{median(values):.5g} {unit}".strip() for values in (ours, theirs)]
        yield Row("dask-kmeans", f"{figure}, {shape}", *texts, f"{ratio:.3f}", aim)


def _write_shards(folder: Path, rows: int, dim: int, k: int) -> None:
    """Write features like those behind a ReLU, a shard at a time: this process is to hold none of them."""
    groups = 0.3 * np.random.default_rng(0).standard_normal((GROUPS_A_CLUSTER * k, dim), dtype=np.float32)
    for number, part in enumerate(np.array_split(np.arange(rows), SHARDS)):
        generator = np.random.default_rng([1, number])
        vectors = generator.standard_normal((len(part), dim), dtype=np.float32)
        vectors += groups[generator.integers(0, len(groups), len(part))]
        np.save(folder / f"vectors-{number:05d}.npy", np.maximum(vectors, 0, out=vectors))


def _in_process(way: str, folder: str, k: int) -> Result:
    command = [sys.executable, "-m", "tests.benchmarks.dask_kmeans", way, folder, str(k)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _files(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("vectors-*.npy"))


def _by_dask(folder: str, k: int) -> tuple[float, np.ndarray]:
    from distributed import Client, LocalCluster

    chunks, count = [], 0
    for path in _files(folder):
        rows = np.arange(len(np.load(path, mmap_mode="r")))
        chunks.append(Chunk(path, rows, count + rows))
        count += len(rows)
    stored = StoredVectors(chunks, np.load(_files(folder)[0], mmap_mode="r").shape[1], count)
    config = ClustersConfig(method="kmeans", n_clusters=k, n_init=10)
    labels: list[np.ndarray] = []
    with LocalCluster(WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        client.run(
            lambda: __import__("imgcluster.clustering.streamed.settled")
        )  # the workers are there before a run clusters
        spent = seconds(lambda: labels.append(cluster_stored(stored, None, config, client, show=False).labels))
    return spent, labels[0]


def _by_scikit_learn(folder: str, k: int) -> tuple[float, np.ndarray]:
    models: list[KMeans] = []

    def fit() -> None:
        vectors = np.concatenate([np.load(path) for path in _files(folder)])
        models.append(KMeans(k, n_init=1, random_state=42, copy_x=False).fit(vectors))

    return seconds(fit), models[0].labels_


WAYS: dict[str, Callable[[str, int], tuple[float, np.ndarray]]] = {
    "dask-ml": _by_dask,
    "scikit-learn": _by_scikit_learn,
}


def _inertia(folder: str, labels: np.ndarray, k: int) -> float:
    """Return the squared distances to the means, summed, of files read one at a time."""
    files = [np.load(path, mmap_mode="r") for path in _files(folder)]
    parts = np.split(labels, np.cumsum([len(file) for file in files])[:-1])
    sums, squares = np.zeros((k, files[0].shape[1])), 0.0
    for file, part in zip(files, parts, strict=True):
        vectors = np.asarray(file, np.float64)
        np.add.at(sums, part, vectors)
        squares += float(np.einsum("ij,ij->", vectors, vectors))
    return squares - float((np.square(sums).sum(axis=1) / np.maximum(1, np.bincount(labels, minlength=k))).sum())


def _peak() -> float:
    """Return the most memory that this process has held, in MiB; `getrusage` would count what forked it as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    asked, place, clusters = sys.argv[1], sys.argv[2], int(sys.argv[3])
    spent, found = WAYS[asked](place, clusters)
    print(json.dumps({"seconds": spent, "peak": _peak(), "inertia": _inertia(place, found, clusters)}))
