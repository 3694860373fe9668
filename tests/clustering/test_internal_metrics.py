"""Scores by the shape of clusters alone: scikit-learn's own, and nothing to score."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.metrics import silhouette_score

from imgcluster.clustering.internal_metrics import internal_scores, margin, silhouette_of


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
    np.testing.assert_allclose(found.margins, (ordered[:, 1] - ordered[:, 0]) / ordered[:, 1], rtol=1e-6)


def test_noise_is_left_out() -> None:
    points, labels = groups(90)
    spoilt = np.concatenate([points, np.full((10, 5), 1e6, np.float32)])
    found, without = internal_scores(spoilt, np.append(labels, [-1] * 10)), internal_scores(points, labels)
    for name in ("silhouette", "davies_bouldin", "calinski_harabasz", "inertia"):
        assert getattr(found, name) == pytest.approx(getattr(without, name))
    assert np.isnan(found.silhouettes[90:]).all()
    assert np.isnan(found.margins[90:]).all()
    np.testing.assert_array_equal(found.margins[:90], without.margins)


def test_many_points_are_sampled_by_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.internal_metrics.SAMPLED_ABOVE", 100)
    points, labels = groups(300)
    found, again, other = (internal_scores(points, labels, seed=seed) for seed in (1, 1, 2))
    assert found.sampled == 100
    drawn = np.flatnonzero(~np.isnan(found.silhouettes))
    np.testing.assert_allclose(found.silhouettes[drawn], metrics.silhouette_samples(points[drawn], labels[drawn]))
    assert len(drawn) == 100
    assert found.silhouette == again.silhouette != other.silhouette
    assert not np.isnan(found.margins).any()
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
    assert len(found.margins) == 2


def test_margins() -> None:
    found = margin(np.array([0, 1, 2, 3, 0, 1, np.nan]), np.array([4, 4, 2, 2, 0, np.inf, 1]))
    np.testing.assert_array_equal(found, [1, 0.75, 0, 0, 0, np.nan, np.nan])


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 1, 1], [0, -1, 1, 1, 0, 1]])
def test_silhouettes_of_known_distances(labels: list[int]) -> None:
    points = np.random.default_rng(1).normal(0, 1, (6, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=2).astype(np.float32)
    kept = np.array(labels) >= 0
    wanted = silhouette_score(points[kept], np.array(labels)[kept])
    assert silhouette_of(distances, np.array(labels)) == pytest.approx(wanted, abs=1e-5)
    assert np.isnan(silhouette_of(distances, np.zeros(6, np.int64)))
