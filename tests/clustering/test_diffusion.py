"""The graph of neighbours, and the clusters of a walk over it: against plain sums, and on rings that K-Means cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.polynomial.chebyshev import Chebyshev
from sklearn.cluster import KMeans
from sklearn.datasets import make_circles
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_info, threadpool_limits

from imgcluster.clustering import diffusion, eigenvectors
from imgcluster.clustering import graph as graphs
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.diffusion import AutoClustering, DiffusionClustering, Walk
from imgcluster.clustering.eigenvectors import leading
from imgcluster.clustering.graph import modularity, neighbour_graph
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.features import Points
from imgcluster.utils import parallel, row_slices


def points(n: int = 40, dim: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (n, dim)).astype(np.float32)


def by_hand(rows: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    squared = ((rows[:, None].astype(np.float64) - rows) ** 2).sum(axis=2)
    length = ((rows - rows.mean(axis=0)) ** 2).sum(axis=1).mean()
    weights = np.zeros_like(squared)
    for i in range(len(rows)):
        near = sorted((j for j in range(len(rows)) if j != i), key=lambda j: (squared[i, j], j))
        for size in sizes:
            for j in near[: size - 1]:
                weights[i, j] += max(1 - squared[i, j] / (2 * length), 0) / len(sizes)
    return (weights + weights.T) / 2 + np.eye(len(rows))


def test_the_graph_is_that_of_plain_loops() -> None:
    graph = neighbour_graph(points(), (3, 6, 11))
    np.testing.assert_allclose(graph.toarray(), by_hand(points(), (3, 6, 11)), atol=1e-6)


def test_the_graph_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighbour_graph(points()).toarray()
    monkeypatch.setattr(graphs, "row_slices", lambda rows, width: row_slices(rows, width, 4 * width * 7))
    np.testing.assert_allclose(neighbour_graph(points()).toarray(), whole, atol=1e-12)


def test_eigenvectors_are_those_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = neighbour_graph(points(120))
    weights = graph.toarray()
    scale = 1 / np.sqrt(weights.sum(axis=1))
    wanted = np.linalg.eigvalsh(weights * scale[:, None] * scale)[::-1][:6]
    for dense, error in ((1000, 1e-6), (10, 1e-3)):  # by both ways
        monkeypatch.setattr(eigenvectors, "MAX_DENSE_SIZE", dense)
        values, vectors = leading(graph, 6)
        np.testing.assert_allclose(values, wanted, atol=error**2 + 1e-6)
        residual = (weights * scale[:, None] * scale) @ vectors - vectors * values
        assert np.linalg.norm(residual, axis=0).max() < error
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-5)


def test_modularity_is_its_definition() -> None:
    graph = neighbour_graph(points(30), (4, 8))
    weights, labels = graph.toarray(), np.arange(30) % 3
    total, degrees = weights.sum(), weights.sum(axis=1)
    same = labels[:, None] == labels
    wanted = ((weights - np.outer(degrees, degrees) / total) * same).sum() / total
    assert modularity(graph, labels) == pytest.approx(wanted)
    noisy = np.where(np.arange(30) < 2, -1, labels)
    assert modularity(graph, noisy) == pytest.approx(modularity(graph, np.where(noisy < 0, np.arange(30) + 10, noisy)))


def test_of_equally_near_neighbours_the_first_is_taken() -> None:
    rows = np.array([[-2], [0], [2], [0], [-2], [2]], np.float32)
    np.testing.assert_allclose(neighbour_graph(rows, (2, 3)).toarray(), by_hand(rows, (2, 3)), atol=1e-12)


@pytest.mark.parametrize("time", [1, 8])
def test_a_walk_is_kmeans_of_its_weighted_eigenvectors(time: int) -> None:
    weights = by_hand(points(150), (5, 10, 20))
    scale = 1 / np.sqrt(weights.sum(axis=1))
    values, vectors = np.linalg.eigh(weights * scale[:, None] * scale)
    rows = vectors[:, ::-1][:, :8] * values[::-1][:8] ** time
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    wanted = KMeans(4, n_init=10, random_state=1).fit_predict(rows)
    assert adjusted_rand_score(wanted, Walk(points(150), time=time).clusters(4, 10, 1)) == 1


def test_its_own_parameters_are_the_largest_neighbourhood_and_the_time() -> None:
    wanted = Walk(points(150), (3, 6, 12), 2).clusters(4, 10, 42)
    config = ClustersConfig(method="diffusion", n_clusters=4, parameters={"n_neighbors": 12, "diffusion_time": 2})
    found = cluster_features(points(150), config, show=False)
    assert adjusted_rand_score(wanted, found.labels) == 1
    refused: list[dict[str, Any]] = [{"n_neighbors": 0}, {"diffusion_time": 0}, {"n_neighbors": 2.5}]
    for wrong in refused:
        config = ClustersConfig(method="diffusion", n_clusters=4, parameters=wrong)
        with pytest.raises(ClusteringError, match="n_neighbors and diffusion_time are whole numbers >= 1"):
            cluster_features(points(), config, show=False)


def test_rings_are_told_apart_where_kmeans_cuts_them() -> None:
    rings, truth = make_circles(400, noise=0.03, factor=0.4, random_state=0)
    found = DiffusionClustering(2, random_state=0).fit_predict(rings)
    assert adjusted_rand_score(truth, found) > 0.95
    assert adjusted_rand_score(truth, cluster_features(rings.astype(np.float32), kmeans(2), show=False).labels) < 0.1


def kmeans(k: int) -> ClustersConfig:
    return ClustersConfig(method="kmeans", n_clusters=k)


def test_auto_is_diffusion_in_canonical_order_after_its_own_transform() -> None:
    vectors = np.abs(points(200, 300))
    auto = cluster_features(vectors, ClustersConfig(n_clusters=4), show=False)
    steps = ["sqrt", "l2", {"pca": 128}, "equalize", "l2"]
    order = Points(vectors).canonical.order
    config = ClustersConfig(method="diffusion", n_clusters=4, transform=steps)
    same = cluster_features(vectors[order], config, show=False)
    np.testing.assert_array_equal(auto.labels[order], same.labels)
    assert auto.state["steps"].tolist() == ["sqrt", "l2", "pca", "equalize", "l2"]
    own = cluster_features(vectors, ClustersConfig(n_clusters=4, transform=["l2"]), show=False)
    assert own.state["steps"].tolist() == ["l2"]
    again = cluster_features(vectors, ClustersConfig(n_clusters=4), show=False)
    assert again.labels.tobytes() == auto.labels.tobytes()


def test_of_many_images_all_are_in_the_graph_and_kmeans_starts_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = np.arange(600) % 3
    vectors = (np.eye(3, 8)[truth] * 20 + points(600, 8)).astype(np.float32)
    monkeypatch.setattr(diffusion, "MAX_STARTED_ROWS", 60)
    monkeypatch.setattr(diffusion, "MIN_ROWS_OF_FEWER_STARTS", 300)
    seen: list[int] = []
    fit = KMeans.fit

    def watched(self: KMeans, rows: np.ndarray, *arguments: Any, **keys: Any) -> KMeans:
        seen.append(len(rows))
        return fit(self, rows, *arguments, **keys)

    monkeypatch.setattr(KMeans, "fit", watched)
    assert adjusted_rand_score(truth, DiffusionClustering(3).fit_predict(vectors)) == 1
    assert seen == [300] * 3 + [600]  # three starts that end alike are enough


@pytest.mark.parametrize(("estimator", "threads"), [(DiffusionClustering, 2), (AutoClustering, 1)])
def test_the_kmeans_of_all_rows_has_so_many_threads(
    estimator: type[DiffusionClustering], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion, "MAX_STARTED_ROWS", 60)
    seen: list[int] = []
    fit_predict = KMeans.fit_predict

    def watched(self: KMeans, *arguments: Any, **keys: Any) -> np.ndarray:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
        return np.asarray(fit_predict(self, *arguments, **keys))

    monkeypatch.setattr(KMeans, "fit_predict", watched)
    estimator(3).fit_predict(points(400, 8))
    assert set(seen) == {threads}


@pytest.mark.parametrize("n_init", [1, 6])
def test_starts_that_end_differently_are_all_made_and_the_best_is_taken(
    n_init: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, told = points(500, 12).astype(np.float64), []
    generator = np.random.RandomState(3)
    fits = [KMeans(30, n_init=1, random_state=generator).fit(rows) for _ in range(n_init)]
    best = min(fits, key=lambda each: each.inertia_)
    found = diffusion._KMeans(30, n_init, np.random.RandomState(3), told.append).labels(rows, None)
    np.testing.assert_array_equal(found, best.labels_)
    assert sum(told) == n_init


def test_a_graph_in_more_parts_than_there_are_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigenvectors, "MAX_DENSE_SIZE", 10)
    parts = np.repeat(np.arange(80), 30)
    far = (1000 * np.eye(80)[parts] + points(2400, 80) / 100).astype(np.float32)
    values, _ = leading(neighbour_graph(far, (3, 5)), 40)
    np.testing.assert_allclose(values, 1, atol=1e-4)
    labels = Walk(far, (3, 5)).clusters(20, 2, 0)
    assert len(np.unique(labels)) == 20


@pytest.mark.parametrize("threads", [1, 3])
def test_eigenvectors_have_the_same_bits_for_any_number_of_threads(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eigenvectors, "MAX_DENSE_SIZE", 10)
    graph = neighbour_graph(points(300))
    wanted = leading(graph, 40)
    monkeypatch.setattr(parallel, "cores", lambda: threads)
    with threadpool_limits(threads, user_api="blas"):
        found = leading(neighbour_graph(points(300)), 40)
    assert [array.tobytes() for array in found] == [array.tobytes() for array in wanted]


@pytest.mark.slow
@pytest.mark.parametrize("dense", [1000, 10])
def test_a_number_of_clusters_does_not_depend_on_which_others_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, dense: int
) -> None:
    monkeypatch.setattr(eigenvectors, "MAX_DENSE_SIZE", dense)
    apart = np.eye(16, 20)[np.arange(480) % 16] * 9 + points(480, 20)  # 16 equal eigenvalues, whose order is anything
    many = Walk(apart)
    for k in (45, 20, 15, 12, 9, 6, 3, 21):
        np.testing.assert_array_equal(many.clusters(k, 2, 0), Walk(apart).clusters(k, 2, 0))


def test_eigenvectors_are_worked_out_once_for_all_numbers_of_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def counted(graph: Any, count: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        counts.append(count)
        return leading(graph, count, **options)

    monkeypatch.setattr(diffusion, "leading", counted)
    walk = Walk(points(150))
    for k in range(2, 42):
        walk.clusters(k, 1, 0)
    assert counts == [40, 60, 80, 100]


def test_groups_of_equal_images() -> None:
    vectors = np.repeat(points(25, 40), 100, axis=0)
    for k in (20, 25, 30):
        found = cluster_features(vectors, ClustersConfig(n_clusters=k), show=False)
        together = found.labels.reshape(25, 100)
        assert (together == together[:, :1]).all()
        assert len(found.sizes) == min(k, 25)


def test_as_many_copies_of_each_image_change_nothing() -> None:
    alone = cluster_features(points(120), ClustersConfig(n_clusters=6), show=False).labels
    copied = cluster_features(np.repeat(points(120), 3, axis=0), ClustersConfig(n_clusters=6), show=False).labels
    assert adjusted_rand_score(np.repeat(alone, 3), copied) == 1


@pytest.mark.parametrize("dim", [5, 300])
def test_auto_finds_the_same_groups_in_any_order_and_in_twice_the_copies(dim: int) -> None:
    centres = np.random.default_rng(1).uniform(0, 4, (5, dim))
    vectors = np.abs(np.repeat(centres, 30, axis=0) + np.random.default_rng(2).normal(0, 0.4, (150, dim)))
    config, order = ClustersConfig(n_clusters=5), np.random.default_rng(3).permutation(150)
    alone, shuffled, twice = (
        cluster_features(rows.astype(np.float32), config, show=False).labels
        for rows in (vectors, vectors[order], np.concatenate([vectors, vectors]))
    )
    assert adjusted_rand_score(alone[order], shuffled) == 1
    assert adjusted_rand_score(np.tile(alone, 2), twice) == 1


def test_a_point_weighs_in_the_kmeans_as_many_images_as_it_stands_for() -> None:
    weights = np.arange(150) % 7 + 1
    graph = by_hand(points(150), (5, 10, 20))
    scale = 1 / np.sqrt(graph.sum(axis=1))
    values, vectors = np.linalg.eigh(graph * scale[:, None] * scale)
    rows = vectors[:, ::-1][:, :8] * values[::-1][:8] ** 8
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    wanted = KMeans(4, n_init=10, random_state=42).fit_predict(rows, sample_weight=weights)
    vectors = np.repeat(points(150), weights, axis=0)
    found = cluster_features(vectors, ClustersConfig(method="diffusion", n_clusters=4), show=False)
    assert adjusted_rand_score(np.repeat(wanted, weights), found.labels) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_few_points(n: int) -> None:
    for k in range(1, n + 1):
        found = cluster_features(points(n), ClustersConfig(n_clusters=k), show=False)
        assert len(found.labels) == n
        assert found.labels.max() < k


@pytest.mark.parametrize("dependent", [False, True])
def test_columns_that_depend_on_one_another_are_made_orthonormal_too(dependent: bool) -> None:
    """The Cholesky factor of their products says nothing of these; Householder QR completes them."""
    iteration = eigenvectors._SubspaceIteration(sp.identity(30, np.float32, "csr"), np.arange(30), 5, -0.4)
    iteration._vectors /= np.linalg.norm(iteration._vectors, axis=0)
    if dependent:
        iteration._vectors[:, 3] = iteration._vectors[:, 1]
    start = iteration._vectors.copy()
    iteration._orthonormalize()
    found = iteration._vectors
    np.testing.assert_allclose(found.T @ found, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(found @ (found.T @ start), start, atol=1e-5)


def test_the_filter_is_the_chebyshev_polynomial_of_the_damped_interval() -> None:
    values = np.linspace(-0.4, 1, 30)
    turn = np.linalg.qr(points(30, 30))[0]
    matrix = sp.csr_matrix((turn * values) @ turn.T, dtype=np.float32)
    iteration = eigenvectors._SubspaceIteration(matrix, np.arange(30), 5, -0.4)
    start = iteration._vectors.copy()
    iteration._filter(slice(0, 5))
    low, high = -0.4, eigenvectors.START_OF_DAMPED
    factors = Chebyshev.basis(eigenvectors.DEGREE)((2 * values - low - high) / (high - low))
    wanted = turn @ (factors[:, None] * (turn.T @ start))
    np.testing.assert_allclose(iteration._vectors, wanted / np.linalg.norm(wanted, axis=0), atol=1e-3)
