"""The graph of neighbours, and the clusters of a walk over it: against plain sums, and on rings that K-Means cuts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_circles
from sklearn.metrics import adjusted_rand_score

from imgcluster import diffusion, neighbours
from imgcluster.clusters import cluster_features
from imgcluster.config import ClustersConfig
from imgcluster.diffusion import DiffusionClustering, Walk
from imgcluster.neighbours import leading, modularity, neighbour_graph


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
    monkeypatch.setattr(neighbours, "PRODUCT_BYTES", 4 * 40 * 7)
    np.testing.assert_allclose(neighbour_graph(points()).toarray(), whole, atol=1e-12)


def test_eigenvectors_are_those_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = neighbour_graph(points(120))
    weights = graph.toarray()
    scale = 1 / np.sqrt(weights.sum(axis=1))
    wanted = np.linalg.eigvalsh(weights * scale[:, None] * scale)[::-1][:6]
    for dense in (2000, 10):  # by both ways
        monkeypatch.setattr(neighbours, "DENSE", dense)
        values, vectors = leading(graph, 6)
        np.testing.assert_allclose(values, wanted, atol=1e-7)
        residual = (weights * scale[:, None] * scale) @ vectors - vectors * values
        assert np.abs(residual).max() < 1e-6


def test_modularity_is_its_definition() -> None:
    graph = neighbour_graph(points(30), (4, 8))
    weights, labels = graph.toarray(), np.arange(30) % 3
    total, degrees = weights.sum(), weights.sum(axis=1)
    same = labels[:, None] == labels
    wanted = ((weights - np.outer(degrees, degrees) / total) * same).sum() / total
    assert modularity(graph, labels) == pytest.approx(wanted)
    noisy = np.where(np.arange(30) < 2, -1, labels)
    assert modularity(graph, noisy) == pytest.approx(modularity(graph, np.where(noisy < 0, np.arange(30) + 10, noisy)))


def test_rings_are_told_apart_where_kmeans_cuts_them() -> None:
    rings, truth = make_circles(400, noise=0.03, factor=0.4, random_state=0)
    found = DiffusionClustering(2, random_state=0).fit_predict(rings)
    assert adjusted_rand_score(truth, found) > 0.95
    assert adjusted_rand_score(truth, cluster_features(rings.astype(np.float32), kmeans(2), show=False).labels) < 0.1


def kmeans(k: int) -> ClustersConfig:
    return ClustersConfig(method="kmeans", n_clusters=k)


def test_auto_is_diffusion_after_its_own_transform() -> None:
    vectors = np.abs(points(200, 300))
    auto = cluster_features(vectors, ClustersConfig(n_clusters=4), show=False)
    steps = ["sqrt", "l2", {"pca": 128}, "l2"]
    same = cluster_features(vectors, ClustersConfig(method="diffusion", n_clusters=4, transform=steps), show=False)
    np.testing.assert_array_equal(auto.labels, same.labels)
    assert auto.state["steps"].tolist() == ["sqrt", "l2", "pca", "l2"]
    own = cluster_features(vectors, ClustersConfig(n_clusters=4, transform=["l2"]), show=False)
    assert own.state["steps"].tolist() == ["l2"]
    again = cluster_features(vectors, ClustersConfig(n_clusters=4), show=False)
    assert again.labels.tobytes() == auto.labels.tobytes()


def test_of_many_images_some_decide_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = np.arange(300) % 3
    vectors = (np.eye(3, 8)[truth] * 20 + points(300, 8)).astype(np.float32)
    monkeypatch.setattr(diffusion, "LANDMARKS", 60)
    seen: list[int] = []
    made = Walk.__init__

    def watched(self: Walk, some: np.ndarray, *arguments: object) -> None:
        seen.append(len(some))
        made(self, some, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Walk, "__init__", watched)
    assert adjusted_rand_score(truth, DiffusionClustering(3).fit_predict(vectors)) == 1
    assert seen == [60]


def test_groups_of_equal_images() -> None:
    vectors = np.repeat(points(25, 40), 100, axis=0)
    found = cluster_features(vectors, ClustersConfig(n_clusters=20), show=False)
    together = found.labels.reshape(25, 100)
    assert (together == together[:, :1]).mean() > 0.9


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_few_points(n: int) -> None:
    for k in range(1, n + 1):
        found = cluster_features(points(n), ClustersConfig(n_clusters=k), show=False)
        assert len(found.labels) == n
        assert found.labels.max() < k
