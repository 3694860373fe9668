"""`method: auto` where it could take long or differ: equal and nearly equal images, threads, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.eigenvectors import MAX_ROUNDS
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError
from tests import ROOT
from tests.support.feature_runs import noise
from tests.support.piped import piped


def test_100_000_identical_images_are_one_cluster() -> None:
    found = cluster_features(np.tile(noise(1, 64), (100_000, 1)), ClustersConfig(n_clusters=5), show=False)
    assert (found.labels == 0).all()
    assert any("1 distinct image among 100,000; n_clusters lowered from 5 to 1" in note for note in found.notes)


@pytest.mark.slow
def test_100_000_nearly_identical_images_are_clustered() -> None:
    vectors = np.abs(noise(1, 64)) * (1 + 1e-6 * noise(100_000, 64))
    found = cluster_features(vectors.astype(np.float32), ClustersConfig(n_clusters=5), show=False)
    assert len(found.labels) == 100_000
    assert 0 <= found.labels.min() <= found.labels.max() < 5


def test_near_duplicates_stay_together_and_outliers_do_no_harm() -> None:
    first = 4 * np.repeat(noise(6, 64), 50, axis=0)
    truth = np.repeat(np.arange(6), 50)
    vectors = np.concatenate([first + noise(300, 64), 100 * noise(3, 64)])
    vectors[:300:2] = vectors[1:300:2] * (1 + 1e-5)
    found = cluster_features(vectors, ClustersConfig(n_clusters=6, transform=["l2"]), show=False)
    np.testing.assert_array_equal(found.labels[:300:2], found.labels[1:300:2])
    assert len(set(zip(truth.tolist(), found.labels[:300].tolist(), strict=True))) == 6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    vectors = noise(50, 40)
    vectors[7, 3] = bad
    with pytest.raises(ClusteringError, match="the features of 1 image are not finite"):
        cluster_features(vectors, ClustersConfig(n_clusters=3), show=False)


THREADS = """
import os, sys
from hashlib import sha256
count = int(sys.argv[1])
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:count])
import numpy as np
from threadpoolctl import threadpool_limits
from imgcluster.clustering.cluster import cluster_features
from imgcluster.config.loader import ClustersConfig
from imgcluster.utils import parallel
parallel.cores = lambda: count
vectors = np.load(sys.argv[2])
with threadpool_limits(count, user_api="blas"):
    found = cluster_features(vectors, ClustersConfig(n_clusters=12), show=False)
for array in (found.state["2_components"], found.labels, found.distance):
    print(sha256(array.tobytes()).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process to cores")
def test_one_and_two_threads_make_the_same_components_and_clusters(tmp_path: Path) -> None:
    centres = np.repeat(noise(40, 300), 40, axis=0)
    np.save(tmp_path / "vectors.npy", np.maximum(centres + noise(1600, 300), 0))

    def found(threads: int) -> str:
        command = [sys.executable, "-c", THREADS, str(threads), str(tmp_path / "vectors.npy")]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert found(1) == found(2)


STOPPED = """
import signal, sys
import numpy as np
import scipy.sparse as sp
from imgcluster.cli import interrupts
from imgcluster.clustering import neighbor_search
from imgcluster.clustering.eigenvectors import leading
from imgcluster.clustering.neighbors import knn
from imgcluster.utils import progress, track

progress.SECONDS_BETWEEN_LINES = 0  # a line for each step

def neighbors(exact_up_to):
    neighbor_search.EXACT_UP_TO = exact_up_to
    knn(np.random.default_rng(0).standard_normal(({count}, 256), np.float32), 20, show=True)

def eigenvectors():
    near = np.random.default_rng(0).integers({count}, size={count} * 20)
    one_way = sp.csr_matrix((np.ones(len(near)), near, np.arange(0, len(near) + 1, 20)), ({count}, {count}))
    graph = (one_way + one_way.T + sp.identity({count})).tocsr()
    with track("eigenvectors", None, "rounds", show=True) as advance:
        leading(graph, 200, advance=advance, tolerance=0)

signal.signal(signal.SIGINT, signal.default_int_handler)
words = interrupts.LastWords("last words")
interrupts.watch_interrupts(words)
try:
    {call}
    print("done", flush=True)
except KeyboardInterrupt:
    words.say()
    sys.exit(interrupts.INTERRUPTED)
"""


@pytest.mark.parametrize(
    ("call", "count", "shown", "most"),
    [
        ("neighbors(10**9)", 60_000, "neighbors: ", 60_000),
        ("neighbors(100)", 200_000, "neighbors: ", 200_000),
        ("eigenvectors()", 60_000, "eigenvectors: ", MAX_ROUNDS),
    ],
)
def test_ctrl_c_ends_long_steps(call: str, count: int, shown: str, most: int) -> None:
    """Before half of the work is done; `shown` begins each line of the progress."""
    if call == "neighbors(100)":
        pytest.importorskip("faiss")
    with piped("-c", STOPPED.format(call=call, count=count)) as (process, _, told):
        assert told.readline().startswith(shown)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    *lines, last = error.splitlines()
    assert last == "last words"
    assert all(line.startswith(shown) for line in lines)
    done = max((int(line.removeprefix(shown).split("/")[0].split()[0].replace(",", "")) for line in lines), default=0)
    assert done <= most / 2
