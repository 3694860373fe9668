"""New images in the clusters of each method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import mixture
from sklearn.metrics import adjusted_rand_score

from imgcluster.clustering.assign_rules import RULES
from imgcluster.clustering.fitted import Clusterer
from imgcluster.config.method_table import METHODS
from imgcluster.errors import ClusteringError
from tests.support.clustered import PLACING, blobs, clustered, sizes

OTHERS = ("agglomerative", "spectral", "hdbscan", "dbscan")


@pytest.mark.parametrize("transform", [(), ("l2",), ("sqrt", "standardize", {"pca": 3}), ({"whiten": 4}, "l2")])
@pytest.mark.parametrize("method", [*PLACING, "mean_shift"])
def test_the_runs_own_images_are_placed_where_they_are(method: str, transform: Any) -> None:
    vectors = np.concatenate([blobs()[0], np.random.default_rng(4).normal(0, 6, (60, 20)).astype(np.float32)])
    found = clustered(vectors, method, 5, transform=transform)
    placed = Clusterer(found.state).place(vectors)
    np.testing.assert_array_equal(placed.labels, found.labels)
    np.testing.assert_allclose(placed.distance, found.distance, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(placed.runner_up, found.runner_up)
    assert not placed.new.any()
    farthest = [
        np.flatnonzero(found.labels == each)[found.distance[found.labels == each].argmax()] for each in range(5)
    ]
    assert not any(Clusterer(found.state).place(vectors[[row]]).new[0] for row in farthest)  # rounded otherwise alone
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
