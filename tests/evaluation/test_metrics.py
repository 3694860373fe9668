"""Scores against true labels: scikit-learn's own, tables made by hand, and nothing to score."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from imgcluster.evaluation.metrics import agreement

# Classes a, b, c in clusters 0 to 3: 0 is a's, 1 is b's, 2 has b and c alike, 3 is one more of a.
TRUTH = list("aaaaaabbbbbccc")
LABELS = [0, 0, 0, 0, 3, 3, 1, 1, 1, 2, 2, 2, 2, 1]


def test_a_table_by_hand() -> None:
    found = agreement(LABELS, TRUTH)
    assert found.classes.tolist() == ["a", "b", "c"]
    assert found.clusters.tolist() == [0, 1, 2, 3]
    assert found.counts.tolist() == [[4, 0, 0, 2], [0, 3, 2, 0], [0, 1, 2, 0]]
    assert found.matched.tolist() == [0, 1, 2, -1]
    assert found.scores["purity"] == pytest.approx((4 + 3 + 2 + 2) / 14)
    assert found.scores["accuracy"] == pytest.approx((4 + 3 + 2) / 14)
    f1 = [2 * 4 / (4 + 6), 2 * 3 / (4 + 5), 2 * 2 / (4 + 3)]
    assert found.scores["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert found.scores["weighted_f1"] == pytest.approx((6 * f1[0] + 5 * f1[1] + 3 * f1[2]) / 14)


@pytest.mark.parametrize("clusters", [2, 4, 7])
@pytest.mark.parametrize("as_text", [False, True])
def test_every_score_is_scikit_learns(clusters: int, as_text: bool) -> None:
    generator = np.random.default_rng(clusters)
    true = generator.integers(0, 4, 300)
    labels = np.where(generator.random(300) < 0.6, true % clusters, generator.integers(0, clusters, 300))
    given = labels.astype(str) if as_text else labels
    found = agreement(given, true)
    taken = np.array([found.matched[list(found.clusters).index(label)] for label in given])
    ours = list(range(4))
    assert found.scores == pytest.approx(
        {
            "ari": metrics.adjusted_rand_score(true, labels),
            "nmi": metrics.normalized_mutual_info_score(true, labels),
            "ami": metrics.adjusted_mutual_info_score(true, labels),
            "homogeneity": metrics.homogeneity_score(true, labels),
            "completeness": metrics.completeness_score(true, labels),
            "v_measure": metrics.v_measure_score(true, labels),
            "fowlkes_mallows": metrics.fowlkes_mallows_score(true, labels),
            "purity": metrics.cluster.contingency_matrix(true, labels).max(axis=0).sum() / 300,
            "accuracy": metrics.accuracy_score(true, taken),
            "weighted_f1": metrics.f1_score(true, taken, labels=ours, average="weighted", zero_division=0),
            "macro_f1": metrics.f1_score(true, taken, labels=ours, average="macro", zero_division=0),
        }
    )


def test_other_numbers_are_the_same_clusters() -> None:
    found = agreement([7, 7, 2, 2], [0, 0, 1, 1])
    assert set(found.scores.values()) == {1.0}


@pytest.mark.parametrize("labels", [[-1, -1, 0, 0], ["-1", "-1", "0", "0"]])
def test_noise_is_a_cluster_that_is_never_right(labels: list[int] | list[str]) -> None:
    found = agreement(labels, ["a", "a", "b", "b"])
    assert found.scores["ari"] == found.scores["purity"] == 1
    assert found.scores["accuracy"] == 0.5
    assert found.matched.tolist() == [-1, 1]


def test_what_cannot_be_compared() -> None:
    for labels, truth in (([0], [0, 1]), ([], []), ([[0]], [[0]])):
        with pytest.raises(ValueError, match="cannot be compared"):
            agreement(np.array(labels), np.array(truth))
