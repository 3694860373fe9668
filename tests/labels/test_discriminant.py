"""The discriminant analysis that refines what labels spread to."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from imgcluster.labels.discriminant import SHRINKAGE, TEMPERATURE_PER_DIMENSION, fit_gaussians, refined_shares

NONE = np.empty(0, np.int64)


def blobs(count: int = 40, dim: int = 3, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Points of three classes, as many of each, (n, dim), and the classes."""
    draw = np.random.default_rng(0)
    classes = np.arange(3 * count) % 3
    scales = np.linspace(0.5, 2, dim)
    return apart * draw.normal(size=(3, dim))[classes] + scales * draw.normal(size=(3 * count, dim)), classes


@pytest.mark.parametrize("dim", [3, 50])
def test_known_classes_give_what_scikit_learn_gives(dim: int) -> None:
    points, classes = blobs(dim=dim)
    shares = np.eye(3, dtype=np.float32)[classes]
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(points, classes)
    scores = model.decision_function(points) / max(1, TEMPERATURE_PER_DIMENSION * dim)
    expected = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected = (shares + expected / expected.sum(axis=1, keepdims=True)) / 2
    found = refined_shares(points + 1000, shares, np.arange(len(points)), classes)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_doubtful_shares_are_settled_by_where_the_points_lie() -> None:
    points, classes = blobs(dim=6, apart=3)
    draw = np.random.default_rng(1)
    shares = 0.4 * np.eye(3)[classes] + 0.6 * draw.dirichlet((1, 1, 1), len(points))
    assert 0.6 < (shares.argmax(axis=1) == classes).mean() < 0.9
    found = refined_shares(points, shares.astype(np.float32), NONE, NONE)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == classes).mean() > 0.97


def test_a_point_that_is_half_in_a_class_counts_a_quarter() -> None:
    points, classes = blobs(count=10)
    shares = np.eye(3)[classes]
    shares[0] = [0.5, 0.5, 0]
    repeated = np.concatenate([*[points[1:]] * 4, points[[0, 0]]])
    hard = np.eye(3)[[*[*classes[1:]] * 4, 0, 1]]
    found, expected = (fit_gaussians(*data).probabilities(points) for data in ((points, shares), (repeated, hard)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_known_class_outweighs_the_first_fit() -> None:
    points = np.array([[0.0], [0.1], [0.2], [2.0], [2.1], [2.2], [1.2]])
    shares = np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]] * 3 + [[0.5, 0.5]], np.float32)
    towards = [refined_shares(points, shares, np.array([6]), np.array([number]))[6, 0] for number in (0, 1)]
    assert towards[0] > towards[1]


@pytest.mark.parametrize("points", [np.ones((2, 4)), np.eye(2)])
def test_points_without_variance_leave_no_doubt_and_no_error(points: np.ndarray) -> None:
    rows = np.arange(2)
    found = refined_shares(points, np.eye(2, dtype=np.float32), rows, rows)
    assert found.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_a_class_that_no_point_has_any_more_is_no_error() -> None:
    points, classes = blobs()
    found = refined_shares(points, np.eye(4, dtype=np.float32)[classes], NONE, NONE)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == classes).all()
