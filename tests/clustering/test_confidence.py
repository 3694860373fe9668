"""How sure the cluster of an image is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from imgcluster.clustering.cache import KeptClusters
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.confidence import (
    CLIPPED,
    OFFSET,
    SLOPE,
    calibrated_shares,
    own_probability,
    placed_probability,
)
from imgcluster.clustering.graph import neighbour_graph
from imgcluster.config.loader import ClustersConfig
from imgcluster.types import Clusters


def between(distance: float = 3.0, images: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Two groups that overlap, and where each point lies between them: 0 in the middle."""
    draw = np.random.default_rng(0)
    points = draw.normal(0, 1, (images, 20))
    points[:, 0] += distance * np.where(np.arange(images) % 2, 1, -1) / 2
    return points.astype(np.float32), np.abs(points[:, 0])


def clustered(vectors: np.ndarray, k: int = 2, **keys: object) -> Clusters:
    config = ClustersConfig.model_validate({"n_clusters": k, **keys})
    return cluster_features(vectors, config, soft=True, show=False)


def test_it_is_a_map_of_the_share_of_links_that_stay_in_the_cluster() -> None:
    weights = sp.csr_matrix([[1, 3, 1, 0], [3, 1, 0, 0], [1, 0, 1, 1], [0, 0, 1, 1.0]])  # each point is its own
    found = own_probability(weights, np.array([0, 0, 1, 0]))
    shares = np.clip([0.75, 1, 0, 0], CLIPPED, 1 - CLIPPED)
    wanted = 1 / (1 + np.exp(-(SLOPE * np.log(shares / (1 - shares)) + OFFSET)))
    np.testing.assert_allclose(found, wanted)
    assert np.isnan(own_probability(weights, np.array([-1, 0, 0, 0]))).tolist() == [True, False, False, False]


def test_images_between_two_clusters_are_less_sure() -> None:
    vectors, away = between()
    probability = clustered(vectors).probability
    assert probability is not None
    assert probability[away < 0.5].mean() < probability[away > 1.5].mean() - 0.1
    assert 0 < probability.min() < probability.max() < 1


def test_the_order_of_the_images_and_copies_make_no_difference() -> None:
    vectors, _ = between()
    order = np.random.default_rng(1).permutation(len(vectors))
    found = clustered(vectors)
    assert found.probability is not None
    twice = clustered(np.concatenate([vectors, vectors]))
    np.testing.assert_allclose(twice.probability, np.tile(found.probability, 2), rtol=1e-9)
    labels = found.labels
    turned = clustered(vectors[order])
    same = (turned.labels == labels[order]) | (turned.labels == 1 - labels[order])
    assert same.all()
    np.testing.assert_allclose(turned.probability, found.probability[order], rtol=1e-5)


@pytest.mark.parametrize("images", [1, 2])
def test_few_images_and_equal_ones(images: int) -> None:
    for vectors, k in ((np.eye(images, 40), 1), (np.eye(images, 40), images), (np.ones((images, 40)), 1)):
        found = clustered(vectors.astype(np.float32), k).probability
        assert found is not None
        assert ((found > 0) & (found < 1)).all()


def test_new_points_are_as_sure_as_those_beside_them() -> None:
    vectors, away = between(images=400)
    graph_of = neighbour_graph(vectors)
    labels = (vectors[:, 0] > 0).astype(np.int64)
    own = own_probability(graph_of, labels)
    same = placed_probability(vectors, labels, vectors, labels)  # none of them is a neighbour of itself
    assert np.abs(same - own).mean() < 0.05
    some, others = np.flatnonzero(np.arange(400) % 4 < 2), np.flatnonzero(np.arange(400) % 4 >= 2)
    half = (vectors[some], labels[some])
    found = placed_probability(*half, vectors[others], labels[others])
    assert found[away[others] < 0.5].mean() < found[away[others] > 1.5].mean() - 0.1
    assert abs(found.mean() - own[others].mean()) < 0.05
    twice = placed_probability(np.repeat(vectors[some], 2, axis=0), np.repeat(labels[some], 2), vectors, labels)
    np.testing.assert_allclose(twice[others], found)
    assert np.isfinite(found).all()
    wrong = placed_probability(vectors, labels, vectors, 1 - labels)
    assert wrong.mean() < 0.25  # as low as the calibration goes for points on the border


def test_new_points_that_are_like_none_have_no_probability() -> None:
    vectors, _ = between()
    labels = np.zeros(len(vectors), np.int64)
    assert np.isnan(placed_probability(vectors, labels, -100 * np.ones((1, 20), np.float32), labels[:1])).all()
    assert np.isnan(placed_probability(vectors[:1], labels[:1], vectors[1:3], labels[1:3])).all()


@pytest.mark.parametrize("keys", [{"method": "kmeans"}, {"method": "diffusion"}, {"order": {"smooth": 1.0}}], ids=str)
def test_it_is_calibrated_for_auto_alone(keys: dict[str, object]) -> None:
    assert clustered(between()[0], **keys).probability is None


def test_it_is_kept_with_the_clusters() -> None:
    vectors, _ = between()
    kept, config = KeptClusters(vectors), ClustersConfig(n_clusters=2)
    first, again = (cluster_features(vectors, config, show=False, kept=kept) for _ in range(2))
    np.testing.assert_array_equal(first.probability, again.probability)
    assert first.hierarchy is not None
    assert again.hierarchy is not None
    np.testing.assert_array_equal(first.hierarchy.finest, again.hierarchy.finest)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_calibrated_shares_add_up_to_one(k: int) -> None:
    clusters = clustered(between()[0], k)
    shares = calibrated_shares(clusters)
    assert shares is not None
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    if k > 1:
        np.testing.assert_allclose(shares[np.arange(200), clusters.labels], clusters.probability)


def test_clusters_that_are_far_away_share_what_is_left() -> None:
    clusters = replace(
        clustered(between()[0], 2),
        labels=np.array([0]),
        sizes=np.array([1, 0, 1]),  # no cluster has the number 1
        probability=np.array([0.9]),
        probabilities=np.array([[1.0, 0, 0]]),
    )
    np.testing.assert_allclose(calibrated_shares(clusters), [[0.9, 0, 0.1]])
    assert calibrated_shares(replace(clusters, probabilities=None)) is None
