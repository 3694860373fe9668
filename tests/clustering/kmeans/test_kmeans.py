"""K-Means by size: scikit-learn's own up to a size, streamed beyond it, on a GPU; what each takes, tells and leaves."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.cluster import kmeans_plusplus as sklearn_kmeans_plusplus

from imgcluster.clustering.cluster import centroid_distances, cluster_features, nearest_two
from imgcluster.clustering.kmeans import gpu as gpu_kmeans
from imgcluster.clustering.kmeans import in_memory as kmeans
from imgcluster.clustering.kmeans import lloyd
from imgcluster.clustering.kmeans.gpu import DeviceRows, kmeans_on
from imgcluster.clustering.kmeans.in_memory import fit_kmeans
from imgcluster.clustering.kmeans.lloyd import Rows, StreamedRows, kmeans_plusplus
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.features.transforms import Points, apply_transform, fit_steps, fit_transform, moments
from imgcluster.types import Clusters
from imgcluster.utils import parallel as blocks

CPU = torch.device("cpu")
FIELDS = ("labels", "distance", "runner_up", "runner_up_distance", "sizes")


def blobs(n: int = 600, dim: int = 8, groups: int = 5, spread: float = 0.2) -> np.ndarray:
    generator = np.random.default_rng(1)
    centres = generator.normal(0, 4, (groups, dim))
    return (centres[np.arange(n) % groups] + generator.normal(0, spread, (n, dim)) + 3).astype(np.float32)


def noise(n: int = 2000, dim: int = 16) -> np.ndarray:
    return np.random.default_rng(2).normal(2, 1, (n, dim)).astype(np.float32)


def clustered(vectors: np.ndarray, n_clusters: int = 5, **keys: object) -> Clusters:
    return cluster_features(vectors, config(n_clusters, **keys), show=False)


def config(n_clusters: int = 5, **keys: object) -> ClustersConfig:
    return ClustersConfig(method="kmeans", n_clusters=n_clusters, **{"n_init": 3, **keys})


def inertia(vectors: np.ndarray, labels: np.ndarray, centroids: np.ndarray) -> float:
    return float(np.square(vectors - centroids[labels], dtype=np.float64).sum())


def of_clusters(vectors: np.ndarray, found: Clusters) -> float:
    return inertia(vectors, found.labels, found.state["centroids"])


def same_partition(labels: np.ndarray, others: np.ndarray) -> bool:
    pairs = set(zip(labels.tolist(), others.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(others.tolist()))


def assert_same_bits(found: Clusters, wanted: Clusters) -> None:
    for name in FIELDS:
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name
    assert {key: value.tobytes() for key, value in found.state.items()} == {
        key: value.tobytes() for key, value in wanted.state.items()
    }


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """So little work is quickest in one thread of torch, above all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features from a few kilobytes on are streamed, in small blocks."""
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 2**12)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**12)


@pytest.fixture(params=["numpy", "torch"])
def rows_of(request: pytest.FixtureRequest) -> Callable[[np.ndarray], Rows]:
    """Both kinds of rows that Lloyd's iterations run over, on the CPU, in blocks."""

    def make(vectors: np.ndarray) -> Rows:
        points, mean = Points(vectors), vectors.mean(axis=0)
        return StreamedRows(points, mean) if request.param == "numpy" else DeviceRows(points, mean, CPU)

    return make


@pytest.fixture
def memory_map(tmp_path: Path) -> Callable[[np.ndarray], np.memmap]:
    """Write an array to a file and map that for reading only."""

    def write(vectors: np.ndarray) -> np.memmap:
        path = tmp_path / "vectors.npy"
        np.save(path, vectors)
        return np.load(path, mmap_mode="r")

    return write


# Up to the size: scikit-learn's.


@pytest.mark.parametrize("n_init", [1, 2, 5])
def test_all_that_scikit_learn_finds_is_found(n_init: int) -> None:
    wanted = KMeans(7, n_init=n_init, random_state=3).fit(noise())
    found = fit_kmeans(noise(), config(7, n_init=n_init, random_state=3), lambda count: None)
    assert found.labels_.tobytes() == wanted.labels_.tobytes()
    assert found.inertia_ == pytest.approx(wanted.inertia_, rel=1e-6)  # its threads add up in any order
    assert (found.n_iter_, found.tol) == (wanted.n_iter_, wanted.tol)
    np.testing.assert_allclose(found.cluster_centers_, wanted.cluster_centers_, rtol=1e-6)


@pytest.mark.parametrize("seed_block_bytes", [4 * 16 * 7, 2**30])  # odd rests, all in one
def test_one_start_after_the_other_draws_the_seeds_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, seed_block_bytes: int
) -> None:
    monkeypatch.setattr(kmeans, "SEED_BLOCK_BYTES", seed_block_bytes)
    wanted, drawn = np.random.RandomState(9), np.random.RandomState(9)
    seeding = kmeans._Seeding(lambda count: None)
    for _ in range(4):
        seeds = sklearn_kmeans_plusplus(noise(), 6, random_state=wanted)[0]
        np.testing.assert_array_equal(seeding(noise(), 6, random_state=drawn), seeds)


@pytest.mark.parametrize("transform", [[], ["l2"], ["standardize", {"pca": 3}]])
def test_a_read_only_memory_map_gives_the_bits_of_an_array(
    memory_map: Callable[[np.ndarray], np.memmap], transform: list[object]
) -> None:
    vectors = noise()
    before = vectors.copy()
    vectors.flags.writeable = False
    assert_same_bits(clustered(memory_map(vectors), transform=transform), clustered(vectors, transform=transform))
    np.testing.assert_array_equal(vectors, before)


def test_ordinary_features_take_two_copies_at_the_most(memory_map: Callable[[np.ndarray], np.memmap]) -> None:
    vectors = memory_map(blobs(32768, 512))  # one to centre, and one while scikit-learn computes the variance
    assert peak(lambda: clustered(vectors, transform=["l2", "standardize"], n_init=2)) < 2.1 * vectors.nbytes


# Beyond it: streamed.


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("transform", [[], ["standardize", "l2"]])
def test_streaming_finds_the_clusters_of_scikit_learn(transform: list[str]) -> None:
    vectors = fit_transform(blobs(), transform, 0)[0]
    found = clustered(blobs(), transform=transform)
    assert same_partition(found.labels, KMeans(5, n_init=3, random_state=42).fit(vectors).labels_)
    assert found.notes == ["large features: K-Means began on a sample of 150, and went on over all 600"]
    np.testing.assert_array_equal(centroid_distances(vectors, found.state["centroids"]).argmin(axis=1), found.labels)


@pytest.mark.usefixtures("everything_is_large")
def test_streaming_is_as_tight_where_there_are_no_clusters() -> None:
    wanted = KMeans(8, n_init=3, random_state=42).fit(noise(4000))
    assert of_clusters(noise(4000), clustered(noise(4000), 8)) <= 1.005 * wanted.inertia_


@pytest.mark.usefixtures("everything_is_large")
def test_streaming_gives_the_same_bits_from_a_file_from_memory_and_on_any_number_of_cores(
    memory_map: Callable[[np.ndarray], np.memmap], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = clustered(noise(), transform=["l2"])
    for cores in (1, 3):
        monkeypatch.setattr(blocks, "cores", lambda cores=cores: cores)
        assert_same_bits(clustered(memory_map(noise()), transform=["l2"]), wanted)


@pytest.mark.parametrize("block_bytes", [1, 4 * 8 * 7, 4 * 8 * 100, 2**20])  # rows of one, odd rests, none, all in one
def test_blocks_of_any_size_give_the_same_clusters(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    wanted = clustered(blobs(100), n_init=1)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    assert_same_bits(clustered(blobs(100), n_init=1), wanted)
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 1)
    streamed = clustered(blobs(100), n_init=1)
    assert same_partition(streamed.labels, wanted.labels)
    np.testing.assert_allclose(np.sort(streamed.distance), np.sort(wanted.distance), rtol=1e-4)


def test_large_features_take_a_part_of_their_size(
    memory_map: Callable[[np.ndarray], np.memmap], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 2**20)
    vectors = memory_map(blobs(65536, 512))
    assert vectors.nbytes == 128 * 2**20
    assert peak(lambda: clustered(vectors, transform=["standardize", "l2"], n_init=2)) < 0.4 * vectors.nbytes


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("n_clusters", [1, 4])
def test_streaming_bears_identical_points(n_clusters: int) -> None:
    assert clustered(np.ones((600, 4), np.float32), n_clusters).sizes.tolist() == [600]
    two = np.repeat(np.array([[0, 0], [5, 5]], np.float32), 1000, axis=0)
    assert clustered(two, n_clusters).sizes.tolist() == ([2000] if n_clusters == 1 else [1000, 1000])


@pytest.mark.parametrize("way", ["scikit-learn", "streamed", "device"])
@pytest.mark.parametrize("seed", range(3))
def test_seeds_that_copies_make_coincide_come_apart(monkeypatch: pytest.MonkeyPatch, way: str, seed: int) -> None:
    """Of nine points two are so rare that a sample misses them."""
    counts = [400] * 7 + [1, 2]
    vectors = np.random.default_rng(seed).normal(0, 1, (9, 6)).astype(np.float32)
    place = np.random.default_rng(seed).permutation(np.repeat(np.arange(9), counts))
    if way == "streamed":
        monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 2**12)
        monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**12)
        monkeypatch.setattr(kmeans, "SAMPLE_BYTES", 2**12)
        monkeypatch.setattr(kmeans, "SAMPLE_PER_CLUSTER", 2)
    points, keys = Points(vectors[place]), config(9, random_state=seed)
    if way == "device":
        labels = kmeans_on(CPU, points, keys, lambda count: None)[0]
    else:
        labels = kmeans.find_clusters(points, keys, show=False).labels
    assert [len(set(labels[place == point].tolist())) for point in range(9)] == [1] * 9
    assert sorted(np.bincount(labels).tolist()) == sorted(counts)


@pytest.mark.usefixtures("everything_is_large")
def test_large_features_must_be_finite_too() -> None:
    vectors = noise()
    vectors[[3, 1999], [0, 15]] = np.nan, np.inf
    with pytest.raises(ClusteringError, match="the features of 2 images are not finite"):
        clustered(vectors)


# Lloyd's iterations, for both.


@pytest.mark.parametrize("vectors", [noise(), blobs()], ids=["noise", "blobs"])
def test_lloyd_goes_where_scikit_learn_goes(rows_of: Callable[[np.ndarray], Rows], vectors: np.ndarray) -> None:
    seeds = vectors[:6]
    wanted = KMeans(6, init=seeds, n_init=1, random_state=0).fit(vectors)
    iterations: list[int] = []
    mean, tolerance = vectors.mean(axis=0), 1e-4 * vectors.var(axis=0).mean()
    found = lloyd.lloyd(rows_of(vectors), seeds - mean, tolerance, iterations.append)
    assert sum(iterations) == wanted.n_iter_
    assert (found.labels == wanted.labels_).mean() > 0.995
    assert inertia(vectors, found.labels, found.centres + mean) == pytest.approx(wanted.inertia_, rel=1e-4)
    np.testing.assert_array_equal(rows_of(vectors).assign(found.centres).labels, found.labels)


def test_a_centre_without_rows_takes_the_farthest_row(rows_of: Callable[[np.ndarray], Rows]) -> None:
    vectors = blobs()
    seeds = np.concatenate([vectors[:3], np.full((2, 8), 900, np.float32)])  # nothing is near the last two
    wanted = KMeans(5, init=seeds, n_init=1, tol=0).fit(vectors)
    mean = vectors.mean(axis=0)
    found = lloyd.lloyd(rows_of(vectors), seeds - mean, 0.0)
    np.testing.assert_array_equal(found.labels, wanted.labels_)
    np.testing.assert_allclose(found.centres + mean, wanted.cluster_centers_, rtol=1e-4, atol=1e-4)


def test_of_equally_near_centres_the_first_is_taken(rows_of: Callable[[np.ndarray], Rows]) -> None:
    vectors = np.array([[-1, 0], [1, 0], [0, 3], [0, -3]], np.float32)
    centres = np.array([[0, 2], [0, 2], [0, -2], [0, -2]], np.float32)
    assert rows_of(vectors).assign(centres).labels.tolist() == [0, 0, 0, 2]


def test_scores_and_distances_to_the_own_centre(rows_of: Callable[[np.ndarray], Rows]) -> None:
    vectors = noise()
    centred, centres = vectors - vectors.mean(axis=0), vectors[:6] - vectors.mean(axis=0)
    rows = rows_of(vectors)
    found = rows.assign(centres)
    own = rows.squared_distances(centres, found.labels)
    np.testing.assert_allclose(own, np.square(centred - centres[found.labels]).sum(axis=1), rtol=1e-4, atol=1e-6)
    assert found.score + np.square(centred).sum() == pytest.approx(own.sum(), rel=1e-5)
    assert own[:6].tolist() == [0] * 6
    np.testing.assert_allclose(found.sums, [centred[found.labels == number].sum(axis=0) for number in range(6)], 1e-4)


# On a GPU: here on the CPU, by the same code.


def on_cpu(vectors: np.ndarray, n_clusters: int, **keys: object) -> tuple[np.ndarray, np.ndarray]:
    return kmeans_on(CPU, Points(vectors), config(n_clusters, **keys), lambda count: None)


@pytest.mark.parametrize(("vectors", "n_clusters"), [(noise(), 6), (blobs(spread=2.0), 5)], ids=["noise", "blobs"])
def test_a_device_is_as_tight_as_scikit_learn(vectors: np.ndarray, n_clusters: int) -> None:
    wanted = KMeans(n_clusters, n_init=3, random_state=42).fit(vectors)
    assert inertia(vectors, *on_cpu(vectors, n_clusters)) == pytest.approx(wanted.inertia_, rel=1e-3)


def test_a_device_finds_the_labels_of_scikit_learn() -> None:
    labels, centroids = on_cpu(blobs(), 5)
    wanted = KMeans(5, n_init=3, random_state=42).fit(blobs())
    np.testing.assert_array_equal(labels, wanted.labels_)
    np.testing.assert_allclose(centroids, wanted.cluster_centers_, rtol=1e-4)


@pytest.mark.parametrize("n_clusters", [1, 2, 12])
def test_a_device_draws_the_seeds_of_scikit_learn(monkeypatch: pytest.MonkeyPatch, n_clusters: int) -> None:
    monkeypatch.setattr(gpu_kmeans, "BLOCK_BYTES", 2**12)
    points = noise() - noise().mean(axis=0)
    rows = DeviceRows(Points(noise()), noise().mean(axis=0), CPU)
    found = kmeans_plusplus(rows, n_clusters, np.random.RandomState(4))
    assert found.tolist() == sklearn_kmeans_plusplus(points, n_clusters, random_state=4)[1].tolist()


def test_a_device_bears_fewer_points_of_their_own_than_clusters() -> None:
    labels, centroids = on_cpu(np.repeat(np.array([[0, 0], [5, 5]], np.float32), 10, axis=0), 4)
    assert sorted(np.bincount(labels, minlength=4)) == [0, 0, 10, 10]
    assert np.isfinite(centroids).all()


def test_a_device_computes_in_full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    assign = DeviceRows.assign

    def watched(self: DeviceRows, centres: np.ndarray) -> lloyd.Assigned:
        seen.append(torch.backends.cuda.matmul.allow_tf32)
        return assign(self, centres)

    monkeypatch.setattr(DeviceRows, "assign", watched)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        on_cpu(blobs(), 3)
        assert set(seen) == {False}
        assert torch.backends.cuda.matmul.allow_tf32 is True
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def test_a_gpu_is_taken_for_much_work_alone_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = clustered(blobs())
    monkeypatch.setattr(gpu_kmeans, "find_gpu", lambda points: CPU)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    assert_same_bits(clustered(blobs()), wanted)
    monkeypatch.setattr(kmeans, "GPU_PRODUCTS", 0)
    found = clustered(blobs())
    assert found.notes == ["K-Means on a GPU, in float32"]
    np.testing.assert_array_equal(found.labels, wanted.labels)


def test_without_room_on_the_gpu_the_cpu_does_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = clustered(blobs())
    monkeypatch.setattr(kmeans, "GPU_PRODUCTS", 0)
    monkeypatch.setattr(gpu_kmeans, "find_gpu", lambda points: CPU)
    monkeypatch.setattr(gpu_kmeans, "DeviceRows", lambda *_: raise_out_of_memory())
    assert_same_bits(clustered(blobs()), wanted)
    assert "GPU memory ran out" in caplog.text


def raise_out_of_memory() -> None:
    raise torch.OutOfMemoryError


def test_a_gpu_must_hold_the_points(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        total_memory = 4 * blobs().size * 2

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    assert gpu_kmeans.find_gpu(Points(blobs())) == torch.device("cuda", 0)
    Card.total_memory //= 2
    assert gpu_kmeans.find_gpu(Points(blobs())) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_kmeans.find_gpu(Points(blobs())) is None


@pytest.mark.gpu
def test_a_real_gpu_finds_the_labels_of_scikit_learn_and_the_same_bits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    wanted = clustered(blobs(20000, 64))
    monkeypatch.setattr(kmeans, "GPU_PRODUCTS", 0)
    found = clustered(blobs(20000, 64))
    assert found.notes
    assert found.notes[0].startswith("K-Means on ")
    np.testing.assert_array_equal(found.labels, wanted.labels)
    assert_same_bits(clustered(blobs(20000, 64)), found)


# Progress.


@pytest.mark.parametrize("n_init", [1, 3])
def test_progress_counts_the_starts(n_init: int) -> None:
    counts: list[int] = []
    fit_kmeans(noise(), config(6, n_init=n_init), counts.append)
    assert counts == [1] * n_init


def test_a_start_counts_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    draw = kmeans.kmeans_plusplus
    monkeypatch.setattr(kmeans, "kmeans_plusplus", lambda *args: (events.append("seeds"), draw(*args))[1])
    fit_kmeans(noise(), config(6, n_init=3), lambda count: events.append("ended"))
    assert events == ["seeds", "ended"] * 3


@pytest.mark.usefixtures("everything_is_large")
def test_progress_of_streaming_counts_starts_on_the_sample_and_then_iterations(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcluster.utils.progress.SECONDS_BETWEEN_LINES", 0.0)
    cluster_features(noise(), config(6), show=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "clustering: a sample: 0/3 starts"
    assert any(line.startswith("clustering: a sample: 3/3 starts") for line in lines)
    assert "clustering: 0 iterations" in lines
    assert any(line.startswith("clustering: 5 iterations, ") for line in lines)


def test_progress_of_a_device_counts_the_starts() -> None:
    counts: list[int] = []
    kmeans_on(CPU, Points(blobs()), config(5, n_init=2), counts.append)
    assert counts == [1, 1]


# Distances.


def test_the_nearest_two_are_the_smallest_of_all_distances_to_the_last_bit() -> None:
    vectors = noise()
    centroids = np.concatenate([vectors[:4], vectors[:2], vectors[5:7] + np.float32(1e-6)])  # some equal, some almost
    distances = centroid_distances(vectors, centroids)
    labels = distances.argmin(axis=1)
    own, runner_up, runner_up_distance = nearest_two(Points(vectors), centroids, labels)
    rows = np.arange(len(vectors))
    assert own.tobytes() == distances[rows, labels].tobytes()
    distances[rows, labels] = np.inf
    np.testing.assert_array_equal(runner_up, distances.argmin(axis=1))
    assert runner_up_distance.tobytes() == distances.min(axis=1).tobytes()


def test_distances_bear_a_thousand_equal_centroids() -> None:
    vectors = np.ones((3000, 4), np.float32)
    own, runner_up, distance = nearest_two(Points(vectors), np.ones((1000, 4), np.float32), np.zeros(3000, int))
    assert (set(own), set(runner_up), set(distance)) == ({0.0}, {1}, {0.0})


# Transforms of large features.


@pytest.mark.parametrize("steps", [["l2"], ["standardize"], ["standardize", "l2"], [{"pca": 5}], [{"pca": 0.5}, "l2"]])
def test_steps_fitted_in_blocks_are_those_fitted_at_once(monkeypatch: pytest.MonkeyPatch, steps: list[object]) -> None:
    vectors = noise() * np.linspace(1, 4, 16, dtype=np.float32)
    vectors[:, 3] = 7  # standardize leaves a constant alone
    wanted, _ = fit_transform(vectors, steps, 0)
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 2**12)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**12)
    points, state = fit_steps(vectors, steps, 0)
    assert points.copy().shape == wanted.shape == (2000, points.dim)
    np.testing.assert_allclose(points.copy(), wanted, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(apply_transform(vectors, state), points.copy(), rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("everything_is_large")
def test_what_pca_makes_small_is_kept_and_the_rest_is_read_anew() -> None:
    assert fit_steps(noise(), [{"pca": 2}], 0)[0].pending == ()
    assert len(fit_steps(noise(), ["l2", {"pca": 3}], 0)[0].pending) == 2


@pytest.mark.usefixtures("everything_is_large")
def test_pca_of_too_many_values_and_too_many_images_is_told() -> None:
    with pytest.raises(ClusteringError, match="pca: 24 values are too many for so many images"):
        fit_steps(noise(dim=24), [{"pca": 5}], 0)


def test_moments_are_those_of_all_points_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**10)
    vectors = noise() + np.float32(1000)
    mean, variance = moments(Points(vectors))
    np.testing.assert_allclose(mean, vectors.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(variance, vectors.var(axis=0, dtype=np.float64), rtol=1e-9)


def peak(work: Callable[[], object]) -> int:
    """The most that numpy held at a time while this was done, beside what it held before."""
    clustered(blobs(), n_init=1)  # imports are no part of it
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
