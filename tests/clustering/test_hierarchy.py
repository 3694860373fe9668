"""The hierarchy around clusters: nested, around the clusters of the run, whatever the order and the copies."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.distinct_graph import DistinctGraph
from imgcluster.clustering.graph import modularity, neighbour_graph
from imgcluster.clustering.hierarchy import MAX_CLUSTERS, build_hierarchy, find_hierarchy
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ConfigError
from imgcluster.features import Points
from imgcluster.types import Hierarchy
from tests.support.clustered import blobs

LEVELS = [1, 2, 3, 6, 9]


def nested_blobs(images: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, and their clusters at two levels: three, and two parts of each, which have neighbours in each other."""
    draw = np.random.default_rng(3)
    fine = np.arange(images) % 6
    centres = 40 * np.eye(3, 20)[np.arange(6) // 2] + draw.normal(0, 2, (6, 20))
    return (centres[fine] + draw.normal(0, 1, (images, 20))).astype(np.float32), fine // 2, fine


def of(vectors: np.ndarray, **keys: object) -> Hierarchy:
    found = cluster_features(vectors, ClustersConfig.model_validate({"n_clusters": 3, **keys}), show=False).hierarchy
    assert found is not None
    return found


@pytest.mark.parametrize("k", LEVELS)
def test_every_level_is_nested_in_the_one_before_and_that_of_the_run_is_its_clusters(k: int) -> None:
    vectors, _, _ = nested_blobs()
    clusters = cluster_features(vectors, ClustersConfig(n_clusters=k, numbering="size"), show=False)
    hierarchy = clusters.hierarchy
    assert hierarchy is not None
    assert hierarchy.n_clusters == k < hierarchy.levels <= max(32, 4 * k)
    np.testing.assert_array_equal(hierarchy.cut(k), clusters.labels)
    before = hierarchy.cut(1)
    for level in range(2, hierarchy.levels + 1):
        now = hierarchy.cut(level)
        assert len(np.unique(now)) == level
        assert len(np.unique(np.stack([before, now]), axis=1).T) == level  # each is in one of the level before
        kept, new = hierarchy.splits[level - 2]
        np.testing.assert_array_equal(np.where(now == new, kept, now), before)  # and all others are the same
        before = now


@pytest.mark.parametrize("k", [1, 3, 6])
def test_both_levels_of_nested_clusters_are_found_from_either(k: int) -> None:
    vectors, coarse, fine = nested_blobs()
    hierarchy = of(vectors, n_clusters=k)
    assert adjusted_rand_score(coarse, hierarchy.cut(3)) == 1
    assert adjusted_rand_score(fine, hierarchy.cut(6)) == 1


def test_the_quality_of_each_level_is_its_modularity() -> None:
    vectors, _, fine = nested_blobs()
    graph = neighbour_graph(vectors)
    hierarchy = build_hierarchy(graph, vectors, fine)
    found = [modularity(graph, hierarchy.cut(level)) for level in range(1, hierarchy.levels + 1)]
    np.testing.assert_allclose(hierarchy.modularity, found, atol=1e-12)


def test_which_two_merge_first_and_how_one_is_split_next() -> None:
    vectors, coarse, fine = nested_blobs()
    hierarchy = of(vectors, n_clusters=6)
    merged = hierarchy.next_merge()
    assert merged is not None
    one, other = (np.unique(coarse[hierarchy.cut(6) == number]) for number in merged)
    assert (one.tolist(), len(one)) == (other.tolist(), 1)  # both parts of the same three
    coarser = of(vectors, n_clusters=3)
    for number in range(3):
        parts = coarser.next_split(number)
        assert parts is not None
        assert [len(np.unique(fine[rows])) for rows in parts] == [1, 1]
        assert set(np.concatenate(parts)) == set(np.flatnonzero(coarser.cut(3) == number))
        assert coarser.next_split(number, coarser.levels) is None
    assert coarser.next_merge(2) is not None
    assert coarser.next_merge(1) is None


def grouped_blobs(images: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """Points of eight clusters without links between them, and these: two, of two groups, of two of groups of these."""
    draw, cluster = np.random.default_rng(5), np.arange(images) % 8
    pairs, fours, halves = np.eye(14)[cluster], np.eye(14)[8 + cluster // 2], np.eye(14)[12 + cluster // 4]
    centres = np.concatenate([10 * pairs, 15 * fours, 20 * halves], axis=1)
    centres += draw.normal(0, 0.5, (8, 42))[cluster]
    return (centres + draw.normal(0, 1, centres.shape)).astype(np.float32), cluster


def test_clusters_without_links_meet_in_a_tree_and_not_one_after_the_other() -> None:
    vectors, cluster = grouped_blobs()
    graph = neighbour_graph(vectors)
    links = np.array([[graph[cluster == one][:, cluster == other].nnz for one in range(8)] for other in range(8)])
    assert not links[~np.eye(8, dtype=bool)].any()
    hierarchy = build_hierarchy(graph, vectors, cluster)
    for level, of in ((8, cluster), (4, cluster // 2), (2, cluster // 4)):
        assert adjusted_rand_score(of, hierarchy.cut(level)) == 1
    assert (np.diff(hierarchy.modularity[:8]) > 0).all()  # from one cluster to those that there are, and then down
    assert (np.diff(hierarchy.modularity[7:]) < 0).all()


def test_a_few_chance_links_make_no_chain() -> None:
    vectors, cluster = grouped_blobs()
    graph = neighbour_graph(vectors).tolil()
    for one in range(8):  # of each cluster to one of another half
        rows = np.flatnonzero(cluster == one)[:2], np.flatnonzero(cluster == (one + 4) % 8)[:2]
        graph[np.ix_(*rows)] = graph[np.ix_(*rows[::-1])] = 0.5
    hierarchy = build_hierarchy(graph.tocsr(), vectors, cluster)
    for level, of in ((4, cluster // 2), (2, cluster // 4)):
        assert adjusted_rand_score(of, hierarchy.cut(level)) == 1


def test_many_links_count_for_more_than_the_distance() -> None:
    vectors, cluster = grouped_blobs()
    graph = neighbour_graph(vectors).tolil()
    graph[np.ix_(cluster == 0, cluster == 7)] = graph[np.ix_(cluster == 7, cluster == 0)] = 0.5
    assert set(build_hierarchy(graph.tocsr(), vectors, cluster).next_merge() or ()) == {0, 7}


def test_it_does_not_matter_where_the_points_lie_and_how_large_they_are() -> None:
    vectors, cluster = grouped_blobs()
    graph = neighbour_graph(vectors)
    found, moved = (build_hierarchy(graph, points, cluster) for points in (vectors, 0.25 * vectors + 64))
    np.testing.assert_array_equal(found.splits[:7], moved.splits[:7])


def test_alike_digits_meet_first() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels = digits.target.astype(np.int64)
    hierarchy = build_hierarchy(neighbour_graph(digits.data), digits.data, labels)
    met = {level: [labels[hierarchy.cut(level) == number] for number in range(10)] for level in (8, 6, 2)}
    groups = {level: {tuple(np.unique(some).tolist()) for some in found if len(some)} for level, found in met.items()}
    assert groups[8] >= {(1, 8), (3, 9)}
    assert groups[6] >= {(1, 8), (3, 5, 9), (0, 6)}
    assert groups[2] == {(0, 4, 6), (1, 2, 3, 5, 7, 8, 9)}


@pytest.mark.parametrize("level", [0, 33])
def test_a_level_that_is_not_there(level: int) -> None:
    with pytest.raises(ValueError, match=rf"^the hierarchy has 1 to 32 clusters, not {level}$"):
        of(nested_blobs(600)[0]).cut(level)


def test_the_order_of_the_images_makes_no_difference() -> None:
    vectors = np.random.default_rng(0).normal(0, 1, (400, 24)).astype(np.float32)  # without any clusters
    labels = np.arange(400) % 4
    order = np.random.default_rng(1).permutation(400)
    found, other = (
        find_hierarchy(DistinctGraph.of(Points(vectors[rows])), labels[rows], 4) for rows in (np.arange(400), order)
    )
    assert found is not None
    assert other is not None
    np.testing.assert_array_equal(found.splits, other.splits)
    np.testing.assert_array_equal(found.finest[order], other.finest)
    np.testing.assert_allclose(found.modularity, other.modularity, atol=1e-9)


def test_any_number_of_threads_gives_the_same() -> None:
    vectors, _ = blobs(600)
    found = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            found.append(of(vectors, n_clusters=5))
    np.testing.assert_array_equal(found[0].finest, found[1].finest)
    np.testing.assert_array_equal(found[0].modularity, found[1].modularity)


def test_twice_the_copies_are_the_same_hierarchy() -> None:
    vectors, _, _ = nested_blobs(60)
    once, twice = of(vectors), of(np.concatenate([vectors, vectors]))
    np.testing.assert_array_equal(twice.finest, np.concatenate([once.finest, once.finest]))
    np.testing.assert_array_equal(twice.splits, once.splits)


@pytest.mark.parametrize("images", [1, 2, 3])
def test_few_images_and_equal_ones(images: int) -> None:
    several = np.eye(images, 40, dtype=np.float32)
    for vectors, k in ((several, 1), (several, images), (np.ones((images, 40), np.float32), 1)):
        hierarchy = of(vectors, n_clusters=k)
        assert (hierarchy.levels, hierarchy.n_clusters) == (k, k)
        assert len(np.unique(hierarchy.cut(k))) == k
        assert hierarchy.next_split(0) is None


def test_more_clusters_asked_for_than_there_are_distinct_images() -> None:
    hierarchy = of(np.repeat(np.eye(2, 40, dtype=np.float32), 4, axis=0), n_clusters=4)
    assert (hierarchy.levels, hierarchy.n_clusters) == (2, 2)


def test_noise_is_in_no_level() -> None:
    vectors, coarse, _ = nested_blobs()
    vectors[::30] += 200 * np.random.default_rng(0).normal(0, 1, vectors[::30].shape).astype(np.float32)
    clusters = cluster_features(vectors, ClustersConfig(method="dbscan", hierarchy=True), show=False)
    assert clusters.hierarchy is not None
    noise = clusters.labels == -1
    assert noise.any()
    for level in range(1, clusters.hierarchy.levels + 1):
        np.testing.assert_array_equal(clusters.hierarchy.cut(level) == -1, noise)
    np.testing.assert_array_equal(clusters.hierarchy.cut(clusters.hierarchy.n_clusters), clusters.labels)
    assert find_hierarchy(DistinctGraph.of(Points(vectors)), np.full(len(coarse), -1), 0) is None


def test_numbers_are_those_of_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, coarse, _ = nested_blobs()
    found = find_hierarchy(DistinctGraph.of(Points(vectors)), 7 * coarse, 20)  # numbers between that no point has
    assert found is not None
    np.testing.assert_array_equal(found.cut(3), 7 * coarse)
    assert set(found.cut(4)) == {0, 7, 14, 20}
    assert find_hierarchy(DistinctGraph.of(Points(vectors)), np.arange(90), MAX_CLUSTERS) is not None
    monkeypatch.setattr("imgcluster.clustering.hierarchy.MAX_CLUSTERS", 2)
    assert find_hierarchy(DistinctGraph.of(Points(vectors)), coarse, 3) is None


@pytest.mark.parametrize(
    ("keys", "there"),
    [
        ({}, True),
        ({"hierarchy": False}, False),
        ({"method": "kmeans"}, False),
        ({"method": "kmeans", "hierarchy": True}, True),
        ({"order": "sequence"}, False),
        ({"order": {"smooth": 1.0}}, False),
    ],
    ids=str,
)
def test_who_gets_one(keys: dict[str, object], there: bool) -> None:
    config = ClustersConfig.model_validate({"n_clusters": 3, **keys})
    assert (cluster_features(nested_blobs(60)[0], config, show=False).hierarchy is not None) == there


@pytest.mark.parametrize("keys", [{"order": "sequence"}, {"method": "kmeans", "backend": "dask"}], ids=str)
def test_who_can_have_none(keys: dict[str, object]) -> None:
    from imgcluster import config_from_dict

    clusters = {"n_clusters": 3, "hierarchy": True, **keys}
    with pytest.raises(ConfigError, match=r"hierarchy: there is none with (order: sequence|backend: dask); set"):
        config_from_dict({"images": {"folder": "x"}, "clusters": clusters, "outputs": {"folder": "y"}})
