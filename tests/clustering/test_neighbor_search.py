"""Neighbours of many points: the index against all distances, copies, hardly different points, what is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgcluster.clustering import neighbor_search, neighbors
from imgcluster.clustering.neighbors import knn
from imgcluster.clustering.similarity import find_similar
from imgcluster.utils import cache_folder
from tests import ROOT

RANDOM = np.random.default_rng(11)
K = 8


def features(count: int, dim: int = 300) -> np.ndarray:
    """Clustered points of few dimensions behind a random layer and a ReLU, some of them nearly equal."""
    latent = 2 * RANDOM.normal(size=(20, 12))[RANDOM.integers(20, size=count)] + RANDOM.normal(size=(count, 12))
    points = np.maximum(latent @ RANDOM.normal(size=(12, dim)), 0).astype(np.float32)
    points[1::10] = points[::10][: len(points[1::10])] * (1 + 0.01 * RANDOM.normal(size=(len(points[1::10]), dim)))
    return points


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few points are many already."""
    pytest.importorskip("faiss")
    for module in (neighbors, neighbor_search):
        monkeypatch.setattr(module, "EXACT_UP_TO", 100)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAISS is not installed."""
    monkeypatch.setattr(neighbor_search, "has_index", lambda: False)


@pytest.mark.parametrize(("metric", "dim"), [("cosine", 300), ("euclidean", 300), ("sqeuclidean", 40)])
def test_the_index_finds_nearly_all_neighbours(
    metric: str, dim: int, index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = features(2000, dim)
    near, far = knn(points, K, metric)
    with monkeypatch.context() as without:
        without.setattr(neighbors, "EXACT_UP_TO", 10_000)
        without.setattr(neighbor_search, "EXACT_UP_TO", 10_000)
        every, distances = knn(points, K, metric)
    assert (far <= distances[:, -1:]).mean() >= 0.99
    same = near == every
    assert same.mean() >= 0.98
    np.testing.assert_array_equal(far[same], distances[same])
    assert (np.diff(far, axis=1) >= 0).all()
    assert not (near == np.arange(2000)[:, None]).any()


def test_the_index_finds_neighbours_of_others(index: None) -> None:
    points, queries = features(1500), features(30)
    near, far = knn(points, K, queries=queries)
    distances = np.linalg.norm(points.astype(float)[None] - queries[:, None], axis=2)
    assert (far <= np.sort(distances, axis=1)[:, K - 1 : K] + 1e-4).mean() >= 0.98
    np.testing.assert_allclose(np.take_along_axis(distances, near, axis=1), far, rtol=1e-4)


def test_more_neighbours_than_the_cells_looked_at_have_are_found_too(
    index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbor_search, "PROBED", 1)
    near, far = knn(features(300), 250)
    assert np.isfinite(far).all()
    assert near.min() >= 0
    assert all(len(set(row)) == 250 for row in near.tolist())


THREADS = """
import os, sys
from hashlib import sha256
count = int(sys.argv[1])
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:count])
import numpy as np
from imgcluster.clustering import neighbor_search, neighbors
from imgcluster.utils import parallel
parallel.cores = lambda: count
neighbor_search.EXACT_UP_TO = int(sys.argv[3])
points = np.load(sys.argv[2])
for metric in ("cosine", "euclidean"):
    for found in neighbors.knn(points, 8, metric):
        print(sha256(found.tobytes()).hexdigest())
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="the system binds no process to cores")
@pytest.mark.parametrize("exact_up_to", [100, 10_000])
def test_any_number_of_threads_finds_the_same_bytes(exact_up_to: int, tmp_path: Path) -> None:
    if exact_up_to == 100:
        pytest.importorskip("faiss")
    np.save(tmp_path / "points.npy", features(1200))

    def found(threads: int) -> str:
        command = [sys.executable, "-c", THREADS, str(threads), str(tmp_path / "points.npy"), str(exact_up_to)]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert found(1) == found(3)


def test_identical_images_take_no_time(index: None) -> None:
    points = np.tile(features(1), (20_000, 1))
    near, far = knn(points, 3)
    assert near[:5].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]
    assert (far == 0).all()
    (group,) = find_similar(points[:5000]).duplicates
    assert group.rows == list(range(5000))


@pytest.mark.parametrize("up_to", [100, 10_000])
def test_copies_stand_where_their_first_does(up_to: int, index: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbor_search, "EXACT_UP_TO", up_to)
    points = features(400)[RANDOM.integers(60, size=400)]
    near, far = knn(points, 20)
    distances = np.sqrt(((points[:, None].astype(float) - points[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(near, np.argsort(distances, axis=1, kind="stable")[:, :20])
    np.testing.assert_allclose(far, np.sort(distances, axis=1)[:, :20], rtol=1e-5)


@pytest.mark.parametrize("up_to", [100, 10_000])
def test_hardly_different_images_take_bounded_time(up_to: int, index: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbor_search, "EXACT_UP_TO", up_to)
    points = (features(1) * (1 + 1e-6 * RANDOM.normal(size=(1500, 1)))).astype(np.float32)
    points[:, 0] += 1e-6 * RANDOM.normal(size=1500).astype(np.float32)
    near, far = knn(points, K)
    assert near.min() >= 0
    assert np.isfinite(far).all()
    (group,) = find_similar(points).duplicates
    assert len(group.rows) == 1500


def test_rounding_loses_no_neighbour() -> None:
    points = (1000 + RANDOM.normal(size=(300, 40))).astype(np.float32)  # whose products have no digits for differences
    distances = np.sqrt(((points[:, None].astype(float) - points[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(knn(points, K)[0], np.argsort(distances, axis=1)[:, :K])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    points = features(50)
    points[7, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        knn(points, 3)
    with pytest.raises(ValueError, match="not finite"):
        knn(features(50), 3, queries=points)


def test_vectors_of_zeros_are_like_no_other(index: None) -> None:
    points = features(300)
    points[[4, 9]] = 0
    near, far = knn(points, 3, "cosine")
    assert near[4, 0] == 9
    assert far[4].tolist() == pytest.approx([0, 1, 1])
    assert not np.isin(np.delete(near, [4, 9], axis=0), [4, 9]).any()


def test_neighbours_of_many_are_kept_and_those_of_others_are_not_taken(
    index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = features(500)
    first = knn(points, K, "cosine")
    (file,) = (cache_folder() / "neighbors").glob("*.npz")
    with monkeypatch.context() as kept:
        kept.setattr(neighbors, "search", lambda *_, **__: pytest.fail("searched again"))
        again = knn(points.copy(), K, "cosine")
    for one, other in zip(first, again, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(knn(points, K, "cosine")[0], first[0])
    points[0, 0] += 1
    assert (knn(points, K, "cosine")[1] != first[1]).any()
    knn(points, K + 1, "cosine")
    assert len(list((cache_folder() / "neighbors").glob("*.npz"))) == 3


def test_without_faiss_all_distances_are_compared(exact: None, monkeypatch: pytest.MonkeyPatch) -> None:
    points = features(400)
    wanted = knn(points, K)
    monkeypatch.setattr(neighbors, "EXACT_UP_TO", 100)
    monkeypatch.setattr(neighbor_search, "EXACT_UP_TO", 100)
    np.testing.assert_array_equal(knn(points, K)[0], wanted[0])


def test_no_copy_of_the_vectors_is_made(index: None) -> None:
    import tracemalloc

    points = features(15_000, 256)
    points[1] = points[0]  # distinct ones would be a copy
    knn(points[:500], K, "cosine")  # imports
    tracemalloc.start()
    knn(points, K, "cosine")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2 * neighbor_search.RANKED_BYTES * 2 + points.nbytes / 2 + 12 * 8 * 2 * 15_000
