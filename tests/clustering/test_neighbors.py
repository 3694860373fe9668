"""The exact nearest neighbours, against sorting all distances."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from imgcluster.clustering import neighbor_search
from imgcluster.clustering.neighbors import knn

RANDOM = np.random.default_rng(5)


def by_sorting(points: np.ndarray, k: int, metric: str, queries: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    distances = pairwise_distances(points if queries is None else queries, points, metric=metric)
    if queries is None:
        np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("given", [True, False])
def test_neighbours_are_those_of_sorted_distances(dtype: type, metric: str, given: bool) -> None:
    points = RANDOM.normal(size=(60, 7)).astype(dtype)
    queries = RANDOM.normal(size=(9, 7)).astype(dtype) if given else None
    indices, distances = knn(points, 5, metric, queries)
    wanted, far = by_sorting(points, 5, metric, queries)
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_allclose(distances, far, rtol=1e-4, atol=1e-6)
    assert (indices.dtype, distances.dtype) == (np.int64, np.float64)


@pytest.mark.parametrize("block_bytes", [neighbor_search.RANKED_BYTES, 1000])
def test_of_equal_distances_the_lower_index_comes_first(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbor_search, "RANKED_BYTES", block_bytes)
    monkeypatch.setattr(neighbor_search._AllDistances, "block_bytes", block_bytes)
    grid = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)  # four at 1, four at 2, ...
    points = RANDOM.permutation(np.concatenate([grid, np.tile(grid[:1], (50, 1))]))  # more copies than neighbours
    for k in (1, 3, 6, 60):
        np.testing.assert_array_equal(knn(points, k)[0], by_sorting(points, k, "euclidean", None)[0])
        near = knn(points, k, queries=grid)[0]
        np.testing.assert_array_equal(near, by_sorting(points, k, "euclidean", grid)[0])


@pytest.mark.parametrize(("count", "columns"), [(0, 0), (1, 0), (2, 1), (3, 2), (9, 4)])
def test_few_points_have_few_neighbours(count: int, columns: int) -> None:
    points = RANDOM.normal(size=(count, 3))
    indices, distances = knn(points, 4)
    assert indices.shape == distances.shape == (count, columns)
