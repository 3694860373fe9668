"""`method: auto` in processes of their own: seconds, and the most memory beside the vectors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks.rows import Row

COUNTS = {False: (2_000, 20_000, 100_000), True: (2_000,)}  # by --quick
DIM, CLUSTERS, LATENT = 1280, 50, 64
MAX_MIB_BESIDE = 300

CLUSTER = r"""
import json, sys, threading, time
from pathlib import Path
import numpy as np, sklearn.cluster, sklearn.neighbors
from imgcluster import cluster_features
from imgcluster.config import ClustersConfig
def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
def watch():
    while True:
        peaks.append(held())
        time.sleep(0.005)
file, k = sys.argv[1:]
vectors = np.load(file, mmap_mode="r")
before = held()
peaks = [before]
threading.Thread(target=watch, daemon=True).start()
start = time.perf_counter()
cluster_features(vectors, ClustersConfig(method="auto", n_clusters=k if k == "auto" else int(k)), show=False)
print(json.dumps([time.perf_counter() - start, max(peaks) - before]))
"""


def auto(quick: bool) -> Iterator[Row]:
    """Vectors like those of a network, around 50 centres; the number of clusters is given, or found for the fewest."""
    with TemporaryDirectory() as own:
        for count in COUNTS[quick]:
            file = _write_vectors(Path(own) / f"{count}.npy", count)
            for k in (str(CLUSTERS), "auto")[: 1 + (count == COUNTS[quick][0])]:
                told = subprocess.run([sys.executable, "-c", CLUSTER, file, k], capture_output=True, check=True).stdout
                seconds, mib = json.loads(told)
                figure = f"auto, {count:,} x {DIM}, n_clusters {k}"
                yield Row("auto", f"{figure}: s", f"{seconds:.1f}")
                yield Row("auto", f"{figure}: memory", f"{mib:.0f} MiB", aim=f"<= {MAX_MIB_BESIDE} MiB")


def _write_vectors(path: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    centres, mixing = random.normal(size=(CLUSTERS, LATENT)), random.normal(size=(LATENT, DIM)) / 8
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (count, DIM))
    for start in range(0, count, 1000):
        latent = centres[random.integers(CLUSTERS, size=1000)] + random.normal(size=(1000, LATENT))
        vectors[start : start + 1000] = np.maximum(latent @ mixing + random.normal(size=(1000, DIM)) / 2 + 0.2, 0)
    return path
