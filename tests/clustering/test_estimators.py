"""Every clustering method: known answers, its own parameters, noise, copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import cluster, mixture
from sklearn.metrics import adjusted_rand_score

from imgcluster.clustering import estimators
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.fitted import Clusterer
from imgcluster.config.loader import ClustersConfig
from imgcluster.config.method_table import LEARNED, METHODS
from imgcluster.errors import ClusteringError, ConfigError
from imgcluster.types import Clusters
from tests.support.clustered import PLACING, blobs, clustered, sizes


def line() -> tuple[np.ndarray, np.ndarray]:
    """Two groups of single values."""
    labels = np.arange(80) % 2
    return (labels * 50 + np.random.default_rng(2).normal(0, 1, 80)).astype(np.float32)[:, None], labels


FINDING = [name for name in METHODS if name != LEARNED]  # that one finds nothing: test_learned_clusters.py


SETS = {"blobs": (blobs, 4), "sizes": (sizes, 3), "line": (line, 2)}


def outcome(vectors: np.ndarray, method: str, k: int) -> Clusters | str:
    try:
        return clustered(vectors, method, k)
    except ClusteringError as error:
        return str(error)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method", FINDING)
def test_known_groups_are_found(method: str, name: str) -> None:
    make, k = SETS[name]
    vectors, truth = make()
    found = clustered(vectors, method, k)
    clear = found.labels >= 0  # what a method calls noise are the outermost of a group
    assert clear.mean() > 0.85
    assert adjusted_rand_score(truth[clear], found.labels[clear]) == 1
    assert found.sizes.sum() == clear.sum()
    again = clustered(vectors, method, k)
    np.testing.assert_array_equal(found.labels, again.labels)


@pytest.mark.parametrize(
    ("method", "estimator"),
    [
        ("minibatch_kmeans", cluster.MiniBatchKMeans(4, n_init=10, random_state=42)),
        ("bisecting_kmeans", cluster.BisectingKMeans(4, n_init=10, random_state=42)),
        ("agglomerative", cluster.AgglomerativeClustering(4)),
        ("spectral", cluster.SpectralClustering(4, n_init=10, random_state=42, affinity="nearest_neighbors")),
        ("gaussian_mixture", mixture.GaussianMixture(4, covariance_type="diag", n_init=10, random_state=42)),
        ("birch", cluster.Birch(n_clusters=4)),
        ("hdbscan", cluster.HDBSCAN(copy=True)),
        ("affinity_propagation", cluster.AffinityPropagation(damping=0.9, max_iter=1000, random_state=42)),
    ],
)
def test_labels_are_those_of_scikit_learn(method: str, estimator: Any) -> None:
    vectors = np.random.default_rng(3).normal(0, 1, (150, 5)).astype(np.float32)  # without any groups
    found = clustered(vectors, method, 4)
    wanted = estimator.fit_predict(vectors)
    assert adjusted_rand_score(found.labels, wanted) == 1
    assert (found.labels < 0).tolist() == (wanted < 0).tolist()


def test_noise_has_no_cluster_and_a_nearest_one() -> None:
    vectors, _ = blobs()
    lonely = np.concatenate([vectors, vectors[:1] + 500])
    found = clustered(lonely, "dbscan", 0)
    assert found.labels[-1] == -1
    assert np.isnan(found.distance[-1])
    assert found.runner_up[-1] >= 0
    assert found.runner_up_distance[-1] > 500
    assert any("are noise: cluster -1" in note for note in found.notes)


@pytest.mark.parametrize("count", [3, 4])
def test_all_noise_is_no_error(count: int) -> None:
    found = clustered(np.eye(count, 6, dtype=np.float32) * 100, "hdbscan", 0, parameters={"min_cluster_size": 3})
    assert found.labels.tolist() == [-1] * count
    assert (found.sizes.tolist(), found.runner_up.tolist()) == ([], [-1] * count)


def test_without_any_cluster_nothing_fails() -> None:
    noise = np.eye(4, 6, dtype=np.float32) * 100
    keys = {"method": "hdbscan", "parameters": {"min_cluster_size": 3}, "order": {"smooth": 1.0}}
    found = cluster_features(noise, ClustersConfig(**keys), soft=True, show=False)
    assert found.probabilities is not None
    assert found.probabilities.shape == (4, 0)
    unsettled = clustered(blobs(60)[0], "affinity_propagation", 0, parameters={"max_iter": 2})
    assert set(unsettled.labels.tolist()) == {-1}
    assert any("converge" in note for note in unsettled.notes)


def test_noise_moves_no_centroid() -> None:
    vectors, _ = blobs()
    lonely = np.concatenate([vectors, vectors[:1] + 500])
    found = clustered(lonely, "dbscan", 0)
    for number, centroid in enumerate(found.state["centroids"]):
        np.testing.assert_allclose(centroid, lonely[found.labels == number].mean(axis=0), rtol=1e-5, atol=1e-5)


def test_parameters_go_to_the_estimator() -> None:
    vectors = np.random.default_rng(3).normal(0, 1, (150, 5)).astype(np.float32)
    found = clustered(vectors, "agglomerative", 4, parameters={"linkage": "average", "metric": "cosine"})
    wanted = cluster.AgglomerativeClustering(4, linkage="average", metric="cosine").fit_predict(vectors)
    assert adjusted_rand_score(found.labels, wanted) == 1
    kmeans = clustered(vectors, "kmeans", 4, parameters={"init": "random", "max_iter": 3})
    wanted = cluster.KMeans(4, init="random", max_iter=3, n_init=10, random_state=42).fit_predict(vectors)
    assert adjusted_rand_score(kmeans.labels, wanted) == 1


@pytest.mark.parametrize(
    ("method", "parameters", "words"),
    [
        ("agglomerative", {"linkag": "ward"}, "agglomerative has no 'linkag'; did you mean 'linkage'? (allowed: "),
        ("agglomerative", {"n_clusters": 3}, "'n_clusters' is said by clusters.n_clusters"),
        ("gaussian_mixture", {"n_components": 3}, "'n_components' is said by clusters.n_clusters"),
        ("kmeans", {"random_state": 3}, "'random_state' is said by clusters.random_state"),
        ("agglomerative", {"linkage": "wart"}, "The 'linkage' parameter of AgglomerativeClustering must be a str"),
    ],
)
def test_wrong_parameters_are_told(method: str, parameters: dict[str, Any], words: str) -> None:
    config = ClustersConfig(method=method, n_clusters=3, parameters=parameters)
    with pytest.raises(ConfigError) as caught:
        estimators.check_parameters(config)
    assert str(caught.value).startswith(f"clusters.parameters: {words}")


@pytest.mark.parametrize("method", FINDING)
def test_our_own_parameters_are_the_estimators(method: str) -> None:
    estimators.check_parameters(ClustersConfig(method=method, n_clusters=3 if METHODS[method].k else None))


def test_parameters_that_do_not_go_together_end_in_one_line() -> None:
    words = r"^clusters.method: agglomerative: cosine was provided as metric. Ward can only work with"
    with pytest.raises(ClusteringError, match=words):
        clustered(blobs()[0], "agglomerative", 3, parameters={"metric": "cosine"})


@pytest.mark.parametrize("method", FINDING)
def test_copies_always_share_a_label(method: str) -> None:
    """Any few points, each any number of times, in any number of clusters."""
    for seed in range(12):
        random = np.random.default_rng(seed)
        distinct = int(random.integers(1, 9))
        points = random.normal(0, 10.0 ** random.integers(-3, 4), (distinct, int(random.integers(1, 40))))
        place = random.permutation(np.repeat(np.arange(distinct), random.integers(1, 25, distinct)))
        vectors = points.astype(np.float32)[place]
        k = int(random.integers(1, min(len(vectors), 14) + 1))
        transform = [(), ("l2",), ("standardize",)][seed % 3]
        found = clustered(vectors, method, k, transform=transform)
        for point in range(distinct):
            assert len(set(found.labels[place == point])) == 1
        assert found.labels.min() >= -1
        assert found.sizes.tolist() == np.bincount(found.labels[found.labels >= 0], minlength=len(found.sizes)).tolist()
        if METHODS[method].k:
            assert len(found.sizes) <= min(k, distinct)
            if k > distinct and transform != ("l2",):  # which makes one point of two that lie in one direction
                assert f"n_clusters lowered from {k} to {distinct}" in found.notes[0]


@pytest.mark.parametrize("method", [name for name in FINDING if METHODS[name].k])
def test_eight_pictures_thirty_times_are_eight_clusters(method: str) -> None:
    vectors = np.repeat(np.random.default_rng(0).normal(0, 1, (8, 40)), 30, axis=0).astype(np.float32)
    found = clustered(vectors, method, 12, numbering="first_appearance")
    np.testing.assert_array_equal(found.labels, np.repeat(np.arange(8), 30))
    assert found.notes == ["8 distinct images among 240; n_clusters lowered from 12 to 8"]
    if method in PLACING:
        np.testing.assert_array_equal(Clusterer(found.state).place(vectors[::-1]).labels, found.labels[::-1])


@pytest.mark.parametrize(
    ("method", "estimator"),
    [
        ("kmeans", cluster.KMeans(4, n_init=10, random_state=42, init="random")),
        ("minibatch_kmeans", cluster.MiniBatchKMeans(4, n_init=10, random_state=42)),
        ("bisecting_kmeans", cluster.BisectingKMeans(4, n_init=10, random_state=42)),
        ("dbscan", cluster.DBSCAN(eps=2.0)),
    ],
)
def test_a_copy_weighs_as_scikit_learn_weighs_samples(method: str, estimator: Any) -> None:
    points = np.random.default_rng(3).normal(0, 1, (80, 5)).astype(np.float32)
    weights = np.arange(80) % 6 + 1
    parameters = {"kmeans": {"init": "random"}, "dbscan": {"eps": 2.0}}.get(method, {})
    found = clustered(np.repeat(points, weights, axis=0), method, 4, parameters=parameters)
    wanted = np.repeat(estimator.fit_predict(points, sample_weight=weights), weights)
    assert adjusted_rand_score(found.labels, wanted) == 1
    assert (found.labels < 0).tolist() == (wanted < 0).tolist()


def test_copies_are_neighbours_of_each_other_to_hdbscan() -> None:
    vectors = np.concatenate([np.repeat(np.eye(3, 4), 20, axis=0), np.random.default_rng(0).normal(5, 1, (9, 4))])
    found = clustered(vectors.astype(np.float32), "hdbscan", 0)
    assert sorted(found.sizes.tolist())[-3:] == [20, 20, 20]


@pytest.mark.parametrize("method", FINDING)
@pytest.mark.parametrize("vectors", [np.ones((8, 3), np.float32), np.arange(6, dtype=np.float32)[:, None]])
def test_degenerate_features(method: str, vectors: np.ndarray) -> None:
    """Duplicates alone, and one dimension: clusters, or one line that says why not."""
    found = outcome(vectors, method, 2)
    if isinstance(found, Clusters):
        assert len(found.labels) == len(vectors)
        assert found.labels.max() < len(found.sizes)
    else:
        assert found.startswith(f"clusters.method: {method}: ")


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.k])
def test_one_cluster_and_more_than_there_are_images(method: str) -> None:
    vectors, _ = blobs(12)
    found = outcome(vectors, method, 1)
    if isinstance(found, Clusters):
        assert found.labels.tolist() == [0] * 12
    else:
        assert found.startswith(f"clusters.method: {method}: ")
    with pytest.raises(ClusteringError, match=r"13 clusters need at least as many readable images; there are 12"):
        clustered(vectors, method, 13)


def test_probabilities_agree_with_the_labels() -> None:
    vectors, _ = blobs()
    for method in ("kmeans", "gaussian_mixture", "agglomerative"):
        config = ClustersConfig(method=method, n_clusters=4, numbering="size")
        found = cluster_features(vectors, config, soft=True, show=False)
        assert found.probabilities is not None
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
        np.testing.assert_array_equal(found.probabilities.argmax(axis=1), found.labels)
    assert cluster_features(vectors, config, show=False).probabilities is None
