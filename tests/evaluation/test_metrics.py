"""Scores with known labels and without: against scikit-learn's own, tables made by hand, and nothing to score."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from imgcluster.clustering.metrics import agreement, internal_scores, match, sureness

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


def test_matching_looks_at_all_clusters_together() -> None:
    # The largest count first would take 9, and leave 0 for the other: 9 in all, where 8 + 8 are to be had.
    assert match(np.array([[9, 8], [8, 0]])).tolist() == [1, 0]
    assert match(np.array([[3, 0, 2]])).tolist() == [0, -1, -1]
    assert match(np.array([[5, 0], [0, 0]])).tolist() == [0, -1]


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


def groups(count: int, dim: int = 5) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % 3
    points = np.random.default_rng(0).normal(size=(count, dim)) + 4 * labels[:, None]
    return points.astype(np.float32), labels


def test_internal_scores_are_scikit_learns() -> None:
    points, labels = groups(200)
    found = internal_scores(points, labels)
    assert found.sampled is None
    assert found.silhouette == pytest.approx(metrics.silhouette_score(points, labels))
    np.testing.assert_allclose(found.silhouettes, metrics.silhouette_samples(points, labels))
    assert found.davies_bouldin == pytest.approx(metrics.davies_bouldin_score(points, labels))
    assert found.calinski_harabasz == pytest.approx(metrics.calinski_harabasz_score(points, labels))
    means = np.array([points[labels == label].mean(axis=0, dtype=np.float64) for label in range(3)])
    distances = np.linalg.norm(points[:, None] - means, axis=2)
    assert found.inertia == pytest.approx((distances[np.arange(200), labels] ** 2).sum())
    ordered = np.sort(distances, axis=1)
    np.testing.assert_allclose(found.sureness, (ordered[:, 1] - ordered[:, 0]) / ordered[:, 1], rtol=1e-6)


def test_noise_is_left_out() -> None:
    points, labels = groups(90)
    spoilt = np.concatenate([points, np.full((10, 5), 1e6, np.float32)])
    found, without = internal_scores(spoilt, np.append(labels, [-1] * 10)), internal_scores(points, labels)
    for name in ("silhouette", "davies_bouldin", "calinski_harabasz", "inertia"):
        assert getattr(found, name) == pytest.approx(getattr(without, name))
    assert np.isnan(found.silhouettes[90:]).all()
    assert np.isnan(found.sureness[90:]).all()
    np.testing.assert_array_equal(found.sureness[:90], without.sureness)


def test_many_points_are_sampled_by_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.metrics.SAMPLED_ABOVE", 100)
    points, labels = groups(300)
    found, again, other = (internal_scores(points, labels, seed=seed) for seed in (1, 1, 2))
    assert found.sampled == 100
    drawn = np.flatnonzero(~np.isnan(found.silhouettes))
    np.testing.assert_allclose(found.silhouettes[drawn], metrics.silhouette_samples(points[drawn], labels[drawn]))
    assert len(drawn) == 100
    assert found.silhouette == again.silhouette != other.silhouette
    assert not np.isnan(found.sureness).any()
    assert found.davies_bouldin == pytest.approx(metrics.davies_bouldin_score(points, labels))
    assert internal_scores(points[:100], labels[:100]).sampled is None


@pytest.mark.parametrize(
    ("labels", "inertia"),
    [([0, 0, 0], 8 / 3), ([-1, -1, -1], None), ([0, 1, 2], 0), ([0, 0, -1], 0), ([5, 5, -1], 0), ([0, -1, -1], 0)],
)
def test_too_little_for_a_score_is_no_number_and_no_exception(labels: list[int], inertia: float | None) -> None:
    points = np.array([[0, 0], [0, 0], [0, 2]], np.float32)
    found = internal_scores(points, np.array(labels))
    assert np.isnan([found.silhouette, found.davies_bouldin, found.calinski_harabasz]).all()
    assert np.isnan(found.silhouettes).all()
    assert np.isnan(found.inertia) if inertia is None else found.inertia == pytest.approx(inertia)


@pytest.mark.parametrize("labels", [[0, 0], [0, 1], [0, -1], [-1, -1]])
@pytest.mark.parametrize("points", [[[0.0], [1.0]], [[1.0], [1.0]]])
def test_two_points(labels: list[int], points: list[list[float]]) -> None:
    found = internal_scores(np.array(points, np.float32), np.array(labels))
    assert np.isnan(found.silhouette)
    assert len(found.sureness) == 2


def test_how_sure() -> None:
    found = sureness(np.array([0, 1, 2, 3, 0, 1, np.nan]), np.array([4, 4, 2, 2, 0, np.inf, 1]))
    np.testing.assert_array_equal(found, [1, 0.75, 0, 0, 0, np.nan, np.nan])
