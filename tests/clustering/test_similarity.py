"""Which images are alike: against plain comparisons of all with all."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from imgcluster.clustering import neighbor_search, neighbors
from imgcluster.clustering.similarity import find_similar

RANDOM = np.random.default_rng(3)


def with_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    for module in (neighbors, neighbor_search):
        monkeypatch.setattr(module, "EXACT_UP_TO", 100)


def vectors(count: int, dim: int = 40) -> np.ndarray:
    return RANDOM.normal(size=(count, dim)).astype(np.float32)


@pytest.mark.parametrize("count", [30, 300])
def test_the_nearest_are_those_with_the_largest_cosines(count: int) -> None:
    points = vectors(count)
    found = find_similar(points)
    cosines = cosine_similarity(points.astype(np.float64))
    np.fill_diagonal(cosines, -2)
    np.testing.assert_array_equal(found.near, np.argsort(-cosines, axis=1, kind="stable")[:, :12])
    np.testing.assert_allclose(found.similarity, np.sort(cosines, axis=1)[:, ::-1][:, :12], atol=1e-6)


def test_the_index_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    centres = vectors(60, 300)
    points = (centres[RANDOM.integers(60, size=900)] + 0.4 * vectors(900, 300)).astype(np.float32)
    whole = find_similar(points)
    with_the_index(monkeypatch)
    quick = find_similar(points)
    same = np.mean([len(set(a) & set(b)) / 12 for a, b in zip(whole.near.tolist(), quick.near.tolist(), strict=True)])
    assert same > 0.97
    for row, near in enumerate(quick.near[:50]):
        exact = cosine_similarity(points[[row]].astype(np.float64), points[near].astype(np.float64))[0]
        np.testing.assert_allclose(quick.similarity[row], exact, atol=1e-6)


def test_near_duplicates_are_groups_around_one_image() -> None:
    points = vectors(100)
    points[[10, 20, 30]] = points[5] * [[1], [2], [0.5]]  # the same, however long
    points[41] = points[40] + 0.05 * points[40].std() * vectors(1)[0]
    groups = find_similar(points).duplicates
    assert [group.rows for group in groups] == [[5, 10, 20, 30], [40, 41]]
    assert groups[0].similarity == pytest.approx(1, abs=1e-6)
    assert 0.99 < groups[1].similarity < 1


def test_more_copies_than_neighbours_are_one_group() -> None:
    points = vectors(200)
    points[50:90] = points[50]
    (group,) = find_similar(points).duplicates
    assert sorted(group.rows) == list(range(50, 90))


def test_a_chain_is_cut() -> None:
    angles = np.linspace(0, np.pi / 2, 60)  # each is near the next; the ends have nothing in common
    points = np.zeros((160, 40), np.float32)
    points[:60, 0], points[:60, 1] = np.cos(angles), np.sin(angles)
    points[60:] = vectors(100)
    groups = find_similar(points).duplicates
    assert len(groups) > 2
    for group in groups:
        cosines = cosine_similarity(points[group.rows].astype(np.float64))[0]
        assert cosines.min() == pytest.approx(group.similarity, abs=1e-6)
        assert cosines.min() >= 0.899


def test_what_counts_as_nearly_the_same_depends_on_how_alike_all_are() -> None:
    offset = vectors(1) * 20  # as of a network whose features all have most in common
    points = vectors(100) + offset
    assert cosine_similarity(points).min() > 0.98
    assert find_similar(points).duplicates == []
    points[1] = points[0]
    assert [group.rows for group in find_similar(points).duplicates] == [[0, 1]]


def test_the_first_outlier_is_the_one_that_is_like_no_other() -> None:
    points = np.abs(vectors(80)) + 3
    points[33] *= -1
    found = find_similar(points)
    assert found.outliers(3)[0] == 33
    assert found.outlier_score[33] == pytest.approx(np.sqrt(2 - 2 * found.similarity[33, :5]).mean(), abs=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_hardly_any_images(count: int) -> None:
    found = find_similar(vectors(count))
    assert found.near.shape == (count, max(0, count - 1))
    assert found.duplicates == []
    assert len(found.outliers(50)) == count


def test_a_vector_of_zeros_is_like_no_other() -> None:
    points = vectors(20)
    points[4] = 0
    found = find_similar(points)
    assert found.outliers(1) == [4]
    assert np.isfinite(found.similarity).all()


def test_copies_are_found_where_there_is_hardly_anything_else() -> None:
    points = vectors(36)
    points[:30] = points[0]
    (group,) = find_similar(points).duplicates
    assert sorted(group.rows) == list(range(30))
    points[:30] += 1e-4 * vectors(30)  # as after saving them anew
    (group,) = find_similar(points).duplicates
    assert sorted(group.rows) == list(range(30))
    (pair,) = find_similar(points[:2]).duplicates
    assert pair.rows == [0, 1]
    assert find_similar(vectors(2)).duplicates == []


def test_the_index_finds_copies_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_the_index(monkeypatch)
    points = vectors(300, 200)
    points[100:160] = points[100]
    (group,) = find_similar(points).duplicates
    assert sorted(group.rows) == list(range(100, 160))
