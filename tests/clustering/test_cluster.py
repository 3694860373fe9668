"""K-Means as one call of scikit-learn gives it, transforms that can be done again, numbering, degenerate inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler, normalize
from threadpoolctl import threadpool_info, threadpool_limits

from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.distances import centroid_distances
from imgcluster.clustering.kmeans import in_memory
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.features import transforms
from imgcluster.features.copies import Copies, count_distinct, find_copies
from imgcluster.features.transforms import apply_transform, check_steps, fit_transform


def blobs(n: int = 90, dim: int = 6, spread: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(7)
    centres = generator.normal(0, 4, (3, dim))
    return (centres[np.arange(n) % 3] + generator.normal(0, spread, (n, dim))).astype(np.float32)


def clustered(vectors: np.ndarray, n_clusters: int = 3, **keys: object):
    return cluster_features(
        vectors, ClustersConfig(**{"method": "kmeans", "n_clusters": n_clusters, **keys}), show=False
    )


@pytest.mark.parametrize("n_clusters", [1, 3, 7])
@pytest.mark.parametrize("seed", [0, 42])
def test_labels_are_those_of_one_call_of_scikit_learn(n_clusters: int, seed: int) -> None:
    vectors = blobs(spread=3.0)  # overlapping, so that the ten starts end differently
    wanted = KMeans(n_clusters=n_clusters, n_init=10, random_state=seed).fit(vectors)
    found = clustered(vectors, n_clusters, random_state=seed)
    np.testing.assert_array_equal(found.labels, wanted.labels_)
    np.testing.assert_allclose(found.state["centroids"], wanted.cluster_centers_, rtol=1e-5)


def test_the_same_input_gives_the_same_bits() -> None:
    first, second = clustered(blobs(2000, 64, 3.0), 8), clustered(blobs(2000, 64, 3.0), 8)
    for name in ("labels", "distance", "runner_up", "runner_up_distance"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize(("least", "threads"), [(0, 2), (in_memory.MIN_PRODUCTS_OF_TWO_THREADS, 1)])
def test_two_threads_at_most_add_up_the_centroids(least: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, fit = [], KMeans.fit
    monkeypatch.setattr(in_memory, "MIN_PRODUCTS_OF_TWO_THREADS", least)

    def watched(self: KMeans, points: np.ndarray) -> KMeans:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
        return fit(self, points)

    monkeypatch.setattr(KMeans, "fit", watched)
    with threadpool_limits(8, user_api="openmp"):
        clustered(blobs())
    assert seen
    assert max(seen) == threads


def test_distances_and_runners_up_are_those_to_the_centroids() -> None:
    vectors = blobs()
    found = clustered(vectors)
    distances = np.linalg.norm(vectors[:, None] - found.state["centroids"][None], axis=2)
    np.testing.assert_array_equal(found.labels, distances.argmin(1))
    np.testing.assert_allclose(found.distance, np.sort(distances, 1)[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found.runner_up_distance, np.sort(distances, 1)[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(found.runner_up, np.argsort(distances, 1)[:, 1])
    assert found.sizes.tolist() == np.bincount(found.labels).tolist()


def test_one_cluster_has_no_runner_up() -> None:
    found = clustered(blobs(), 1)
    assert set(found.runner_up) == {-1}
    assert np.isinf(found.runner_up_distance).all()


def test_numbering() -> None:
    vectors = np.concatenate([np.full((2, 2), 9), np.full((5, 2), 0), np.full((3, 2), -9)]).astype(np.float32)
    by_size = clustered(vectors, numbering="size")
    assert by_size.labels.tolist() == [2] * 2 + [0] * 5 + [1] * 3
    assert by_size.sizes.tolist() == [5, 3, 2]
    assert clustered(vectors, numbering="first_appearance").labels.tolist() == [0] * 2 + [1] * 5 + [2] * 3
    raw = clustered(vectors)
    np.testing.assert_array_equal(raw.labels, KMeans(3, n_init=10, random_state=42).fit(vectors).labels_)
    for found in (by_size, raw):
        assert centroid_distances(vectors, found.state["centroids"]).argmin(1).tolist() == found.labels.tolist()


def test_transforms_are_scikit_learns() -> None:
    vectors = blobs()
    np.testing.assert_allclose(fit_transform(vectors, ["l2"], 0)[0], normalize(vectors), rtol=1e-5)
    np.testing.assert_allclose(
        fit_transform(vectors, ["standardize"], 0)[0], StandardScaler().fit_transform(vectors), rtol=1e-4, atol=1e-5
    )
    found = fit_transform(vectors, [{"pca": 2}], 0)[0]
    np.testing.assert_allclose(found, PCA(2, svd_solver="full").fit_transform(vectors), rtol=1e-3, atol=1e-4)
    assert fit_transform(vectors, [{"pca": 0.5}], 0)[0].shape[1] < 6


def test_a_fitted_transform_can_be_done_again_from_its_arrays() -> None:
    vectors = blobs()
    steps = ["standardize", {"pca": 4}, "l2"]
    wanted, state = fit_transform(vectors, steps, 0)
    np.testing.assert_array_equal(apply_transform(vectors, state), wanted)
    assert wanted.dtype == np.float32


def test_a_zero_vector_survives_l2_and_a_constant_column_standardize() -> None:
    vectors = np.zeros((4, 3), np.float32)
    assert np.isfinite(fit_transform(vectors, ["l2", "standardize"], 0)[0]).all()


@pytest.mark.parametrize(
    ("vectors", "keys", "message"),
    [
        (blobs(2), {}, "3 clusters need at least as many readable images; there are 2"),
        (np.full((9, 2), np.nan, np.float32), {}, "the features of 9 images are not finite"),
        (blobs(9), {"transform": [{"pca": 7}]}, "pca: 7 is more than 9 images of 6 values allow; at most 6"),
    ],
)
def test_what_cannot_be_clustered_is_told(vectors: np.ndarray, keys: dict[str, object], message: str) -> None:
    with pytest.raises(ClusteringError, match=message):
        clustered(vectors, **keys)


def test_a_transform_that_cannot_be_done_is_told_before_there_are_features(monkeypatch: pytest.MonkeyPatch) -> None:
    check_steps(["l2", {"pca": 9}, {"pca": 0.9}], 9)
    with pytest.raises(ClusteringError, match="whiten: 10 is more than 9 images allow"):
        check_steps(["l2", {"whiten": 10}], 9)
    monkeypatch.setattr(transforms, "find_spec", lambda name: None)
    with pytest.raises(ClusteringError, match="umap needs the package umap-learn"):
        check_steps([{"umap": 2}], 9)


def test_identical_images_end_in_one_cluster_and_it_is_said() -> None:
    found = clustered(np.ones((6, 4), np.float32))
    assert found.sizes.tolist() == [6]
    assert found.notes == ["1 distinct image among 6; n_clusters lowered from 3 to 1"]


def test_copies_are_found_in_any_blocks_and_the_sign_of_zero_is_none() -> None:
    rows = np.array([[1, 0], [2, 3], [1, -0.0], [2, 3], [4, 5], [1, 0]], np.float32)
    for size in (1, 2, 6):
        slices = [slice(start, start + size) for start in range(0, 6, size)]
        found = find_copies(lambda part: rows[part], slices)
        assert (found.first.tolist(), found.place.tolist()) == ([0, 1, 4], [0, 1, 0, 1, 2, 0])
        assert found.counts.tolist() == [3, 2, 1]
        assert [count_distinct(lambda part: rows[part], slices, most) for most in (1, 2, 3, 9)] == [1, 2, 3, 3]
    assert not find_copies(lambda part: rows[part], [slice(3, 6)])


def test_no_more_rows_are_read_than_the_count_takes() -> None:
    read: list[slice] = []

    def block(part: slice) -> np.ndarray:
        read.append(part)
        return np.arange(part.start, part.stop, dtype=np.float32)[:, None]

    assert count_distinct(block, [slice(start, start + 10) for start in range(0, 10_000, 10)], 7) == 7
    assert len(read) < 100


def test_copies_share_the_label_that_most_of_them_have() -> None:
    copies = Copies(np.array([0, 1, 3]), np.array([0, 1, 0, 2, 0, 1, 2]))
    assert copies.most_common(np.array([5, 2, -1, 4, -1, 1, 4])).tolist() == [-1, 1, -1, 4, -1, 1, 4]


def test_equal_vectors_are_equal_points_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a matrix product rounded each row in another way."""
    product = transforms.STEPS["pca"].apply

    def shaken(rows: np.ndarray, state: transforms.State) -> np.ndarray:
        return product(rows, state) + np.arange(len(rows), dtype=np.float32)[:, None] * np.float32(1e-6)

    monkeypatch.setitem(transforms.STEPS, "pca", replace(transforms.STEPS["pca"], apply=shaken))
    place = np.arange(60) % 12
    points, _ = fit_transform(blobs(12)[place], [{"pca": 3}, "l2"], 0)
    np.testing.assert_array_equal(points, points[:12][place])
    assert len(np.unique(points, axis=0)) == 12


@pytest.mark.slow
def test_umap_puts_equal_vectors_into_one_place() -> None:
    pytest.importorskip("umap")
    place = np.arange(120) % 30
    points, _ = fit_transform(blobs(30)[place], [{"umap": 2}], 0)
    np.testing.assert_array_equal(points, points[:30][place])
