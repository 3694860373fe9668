"""Every clustering method: known answers, its own parameters, noise, new points placed as the fitted ones were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import cluster, mixture
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from imgcluster.clustering import estimators
from imgcluster.clustering.assign_rules import RULES
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.fitted import Clusterer
from imgcluster.clustering.memory import check_memory
from imgcluster.config.loader import ClustersConfig
from imgcluster.config.method_table import LEARNED, METHODS
from imgcluster.errors import ClusteringError, ConfigError
from imgcluster.types import Clusters

OTHERS = ("agglomerative", "spectral", "hdbscan", "dbscan")
PLACING = (
    "auto",
    "diffusion",
    "kmeans",
    "minibatch_kmeans",
    "bisecting_kmeans",
    "gaussian_mixture",
    "birch",
    "affinity_propagation",
)


def blobs(n: int = 240, dim: int = 20, k: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    vectors, labels = make_blobs(n, dim, centers=k, random_state=seed)
    return vectors.astype(np.float32), labels


def sizes() -> tuple[np.ndarray, np.ndarray]:
    """Three groups of 120, 60 and 30 around the corners of a triangle, in two dimensions."""
    labels = np.repeat([0, 1, 2], [120, 60, 30])
    corners = np.array([[0, 0], [30, 0], [0, 30]])
    noise = np.random.default_rng(1).normal(0, 1, (len(labels), 2))
    return (corners[labels] + noise).astype(np.float32), labels


def line() -> tuple[np.ndarray, np.ndarray]:
    """Two groups of single values."""
    labels = np.arange(80) % 2
    return (labels * 50 + np.random.default_rng(2).normal(0, 1, 80)).astype(np.float32)[:, None], labels


FINDING = [name for name in METHODS if name != LEARNED]  # that one finds nothing: test_learned_clusters.py
SETS = {"blobs": (blobs, 4), "sizes": (sizes, 3), "line": (line, 2)}


def clustered(vectors: np.ndarray, method: str, k: int, **keys: Any) -> Clusters:
    n_clusters = k if METHODS[method].k else None
    return cluster_features(vectors, ClustersConfig(method=method, n_clusters=n_clusters, **keys), show=False)


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


@pytest.mark.parametrize("transform", [(), ("l2",), ("sqrt", "standardize", {"pca": 3}), ({"whiten": 4}, "l2")])
@pytest.mark.parametrize("method", [*PLACING, "mean_shift"])
def test_the_runs_own_images_are_placed_where_they_are(method: str, transform: Any) -> None:
    vectors = np.concatenate([blobs()[0], np.random.default_rng(4).normal(0, 6, (60, 20)).astype(np.float32)])
    found = clustered(vectors, method, 5, transform=transform)
    placed = Clusterer(found.state).place(vectors)
    np.testing.assert_array_equal(placed.labels, found.labels)
    np.testing.assert_allclose(placed.distance, found.distance, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(placed.runner_up, found.runner_up)
    assert placed.new.mean() < 0.05  # by the last bits
    assert Clusterer(found.state).place(vectors + 1000).new.all() or "l2" in transform


@pytest.mark.parametrize("numbering", ["size", "first_appearance"])
@pytest.mark.parametrize("method", PLACING)
def test_images_are_placed_by_the_numbers_of_their_clusters(method: str, numbering: str) -> None:
    spread = np.array([1.0, 2.0, 0.5])[sizes()[1], None]  # so that no two clusters reach equally far
    vectors = (sizes()[0] * spread)[:: -1 if numbering == "size" else 1]
    found = clustered(vectors, method, 3, numbering=numbering)
    placed = Clusterer(found.state).place(vectors)
    np.testing.assert_array_equal(placed.labels, found.labels)
    np.testing.assert_array_equal(placed.runner_up, found.runner_up)
    farthest = [found.distance[found.labels == number].max() for number in range(len(found.sizes))]
    np.testing.assert_allclose(found.state["reach"], farthest)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_mixtures_place_by_their_own_density(kind: str) -> None:
    vectors, _ = blobs(200, 4, 3, seed=5)
    found = clustered(vectors, "gaussian_mixture", 3, parameters={"covariance_type": kind})
    model = mixture.GaussianMixture(3, covariance_type=kind, n_init=10, random_state=42).fit(vectors)
    others = np.random.default_rng(6).normal(0, 8, (300, 4)).astype(np.float32)
    assert adjusted_rand_score(model.predict(others), Clusterer(found.state).place(others).labels) == 1


@pytest.mark.parametrize("method", OTHERS)
def test_methods_without_a_rule_say_so(method: str) -> None:
    vectors, _ = blobs()
    found = clustered(vectors, method, 4)
    assert method not in RULES
    words = rf"^clusters by {method} are those of the run's own images: it has no rule for others; kmeans, "
    with pytest.raises(ClusteringError, match=words):
        Clusterer(found.state).place(vectors)


def test_each_method_has_its_say() -> None:
    assert {*OTHERS} < set(METHODS)
    assert {*PLACING} <= {*RULES}


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


def test_a_cluster_of_the_rule_that_no_image_is_in_is_nobodys() -> None:
    found = clustered(blobs(k=3)[0], "kmeans", 3)
    state = dict(found.state)
    state["rule_centres"] = np.concatenate([state["rule_centres"], np.full((1, 20), 900, np.float32)])
    state["rule_labels"] = np.append(state["rule_labels"], 3)
    placed = Clusterer(state).place(np.full((2, 20), 900, np.float32))
    assert (set(placed.labels.tolist()) <= {0, 1, 2}, placed.new.tolist()) == (True, [True, True])


def test_what_a_rule_puts_into_nobodys_cluster_goes_to_the_nearest() -> None:
    vectors = np.repeat([0, 10, 20], 5).astype(np.float32)[:, None]
    found = clustered(vectors, "kmeans", 3, numbering="first_appearance")
    state = dict(found.state)
    state["rule_centres"] = np.concatenate([state["rule_centres"], [[-90], [90]]])
    state["rule_labels"] = np.append(state["rule_labels"], [3, 4])
    placed = Clusterer(state).place(np.array([[-80], [80], [11]], np.float32))
    assert (placed.labels.tolist(), placed.new.tolist()) == ([0, 2, 1], [True, True, True])
    assert placed.distance.tolist() == [80, 60, 1]


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


def many(n: int = 200_000) -> np.ndarray:
    """Distinct points, (n, 2), in 0.8 MB."""
    return np.lib.stride_tricks.sliding_window_view(np.arange(n + 1, dtype=np.float32), 2)


@pytest.mark.parametrize(
    ("method", "parameters", "pair_bytes"),
    [
        ("agglomerative", {}, 8),
        ("agglomerative", {"linkage": "single", "metric": "cosine"}, 5),
        ("hdbscan", {"metric": "cosine"}, 19),
        ("hdbscan", {"metric": "correlation"}, 16),
        ("hdbscan", {"algorithm": "brute"}, 16),
        ("dbscan", {"eps": 1e7}, 17),
        ("spectral", {}, 10),
        ("spectral", {"affinity": "rbf"}, 34),
        ("affinity_propagation", {}, 28),
    ],
)
def test_too_many_images_are_refused_before_the_memory_goes(
    monkeypatch: pytest.MonkeyPatch, method: str, parameters: dict[str, Any], pair_bytes: int
) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 50 * 2**30)
    needed = f"{pair_bytes * 200_000**2 / 2**30:,.0f}"
    others = "kmeans, minibatch_kmeans, bisecting_kmeans, gaussian_mixture"
    own = {"hdbscan": "hdbscan without its parameters, "}.get(method, "")
    finding = "" if method == "hdbscan" else ", hdbscan"
    words = (
        f"clusters.method: {method} needs {needed} GB for 200,000 images, and 50 GB are free; "
        f"take {own}auto, {others}{finding}"
    )
    with pytest.raises(ClusteringError) as caught:
        clustered(many(), method, 3, parameters=parameters)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        *(
            (method, {})
            for method in ("auto", "kmeans", "minibatch_kmeans", "bisecting_kmeans", "hdbscan", "mean_shift")
        ),
        ("agglomerative", {"linkage": "single"}),
        ("hdbscan", {"algorithm": "ball_tree", "metric": "manhattan"}),
        ("dbscan", {"eps": 5.0}),  # a few neighbours each
        ("birch", {"threshold": 40_000.0}),  # a few subclusters
        ("learned", {"model": "model"}),
    ],
)
def test_what_holds_no_pairs_is_not_refused(
    monkeypatch: pytest.MonkeyPatch, method: str, parameters: dict[str, Any]
) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 2**30)
    n_clusters = 3 if METHODS[method].k else None
    config = ClustersConfig(method=method, n_clusters=n_clusters, parameters=parameters)
    check_memory(config, 200_000, many())


def test_birch_needs_memory_for_pairs_of_its_subclusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 2**30)
    vectors = np.random.default_rng(0).normal(0, 1, (20_000, 8)).astype(np.float32)
    with pytest.raises(ClusteringError, match="birch needs 3 GB for 20,000 images, and 1 GB are free"):
        clustered(vectors, "birch", 3)
    clustered(vectors, "birch", 3, parameters={"threshold": 9.0})


def test_what_depends_on_the_features_is_not_refused_before_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 2**30)
    for method in ("birch", "dbscan"):
        check_memory(ClustersConfig(method=method, n_clusters=3 if METHODS[method].k else None), 200_000)
    with pytest.raises(ClusteringError, match="affinity_propagation needs "):
        check_memory(ClustersConfig(method="affinity_propagation"), 200_000)


def test_only_what_fits_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 60_000**2 * 9)
    with pytest.raises(
        ClusteringError, match=r"take auto, kmeans, minibatch_kmeans, bisecting_kmeans, agglomerative, "
    ):
        check_memory(ClustersConfig(method="affinity_propagation"), 60_000)


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
