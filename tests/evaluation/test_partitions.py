"""The scores of partitions are scikit-learn's, in the cases at the edge too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from imgcluster.evaluation.partitions import information_scores, pair_scores

SCORES = {
    "ari": metrics.adjusted_rand_score,
    "fowlkes_mallows": metrics.fowlkes_mallows_score,
    "nmi": metrics.normalized_mutual_info_score,
    "ami": metrics.adjusted_mutual_info_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
    "v_measure": metrics.v_measure_score,
}


def check(true: np.ndarray, labels: np.ndarray) -> None:
    counts = metrics.cluster.contingency_matrix(true, labels)
    found = {**pair_scores(counts), **information_scores(counts)}
    wanted = {name: score(true, labels) for name, score in SCORES.items()}
    assert found == pytest.approx(wanted, rel=1e-7, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=2, max_size=60))
@settings(max_examples=100, deadline=None)
def test_small_partitions(pairs: list[tuple[int, int]]) -> None:
    check(*np.array(pairs).T)


@pytest.mark.parametrize(("classes", "clusters"), [(1, 1), (1, 9), (9, 1), (30, 40), (500, 2), (2000, 2000)])
def test_many_images(classes: int, clusters: int) -> None:
    generator = np.random.default_rng(0)
    check(generator.integers(0, classes, 5000), generator.integers(0, clusters, 5000))


@pytest.mark.parametrize("true", [np.arange(50), np.zeros(50, int), np.repeat([0, 1, 2], [7, 3, 40])])
def test_the_same_partition_scores_exactly_1(true: np.ndarray) -> None:
    counts = metrics.cluster.contingency_matrix(true, 100 - true)
    found = {**pair_scores(counts), **information_scores(counts)}
    if len(set(true.tolist())) == len(true):  # no two images are together in any
        assert found.pop("fowlkes_mallows") == 0
    assert set(found.values()) == {1.0}
