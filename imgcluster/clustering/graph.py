"""The graph of nearest neighbours, and the modularity of clusters in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgcluster.clustering.neighbors import knn
from imgcluster.utils import in_order, row_slices

NEIGHBOURS = (5, 10, 20)  # an image among the nearest 5 counts three times one among the nearest 20

SAME = 1e-8  # of the mean squared length: nearer points differ by rounding

Graph = Any  # scipy.sparse.csr_matrix, symmetric


def neighbour_graph(points: np.ndarray, neighbours: tuple[int, ...] = NEIGHBOURS, *, show: bool = False) -> Graph:
    """Return the weights, (n, n), between points, (n, dim), and their nearest, averaged over some numbers of them.

    The weight of a neighbour at the distance d is 1 - d²/2 where the centred points have the length 1 on average, which
    is the cosine where each has, and 0 where that is negative; a neighbour on one side alone counts half; each point is
    its own neighbour, and counts among theirs. show: as of `knn`.
    """
    import scipy.sparse as sp

    count, shares = len(points), _shares_by_rank(len(points), neighbours)
    most = len(shares)
    near = knn(points, most, "sqeuclidean", show=show)[0]
    halves = 0.5 / _mean_squared_length(points)

    def weights_of(part: slice) -> np.ndarray:
        differences = points[near[part]] - points[part][:, None]
        squared = np.einsum("ijk,ijk->ij", differences, differences)
        return np.asarray(np.maximum(1 - halves * squared, 0) * shares)

    slices = row_slices(count, 2 * max(1, most) * points.shape[1])
    weights = np.concatenate(list(in_order(weights_of, slices))).ravel()
    starts = np.arange(0, len(weights) + 1, most) if most else np.zeros(count + 1, np.int64)
    one_way = sp.csr_matrix((weights, near.ravel(), starts), (count, count))
    one_way.sort_indices()  # else the first use of the graph sorts it, and later sums have other last bits
    return ((one_way + one_way.T) / 2 + sp.identity(count, format="csr")).tocsr()


def links_to(points: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the links of new points, (m, dim), to their nearest of some distinct points, (n, dim), of the same dtype.

    As each would have them in the `neighbour_graph` of the points. A point that a new one equals is no neighbour of it.

    Returns:
        The indices of the neighbours, (m, k) int64, and the weights of the links, (m, k) float64.
    """
    shares, scale = _shares_by_rank(len(points), NEIGHBOURS), _mean_squared_length(points)
    near, squared = knn(points, len(shares) + 1, "sqeuclidean", queries)
    others = np.arange(len(shares)) + (squared[:, :1] <= SAME * scale)
    near, squared = (np.take_along_axis(each, others, axis=1) for each in (near, squared))
    return near, np.maximum(1 - 0.5 / scale * squared, 0) * shares


def _shares_by_rank(count: int, neighbours: tuple[int, ...]) -> np.ndarray:
    """Return the share of some numbers of neighbours that have the nearest, the second nearest, ..., (k,) float64."""
    sizes = sorted({min(size, count) - 1 for size in neighbours} - {0}) or [0]
    return np.asarray(np.mean([np.arange(sizes[-1]) < size for size in sizes], axis=0))


def _mean_squared_length(points: np.ndarray) -> float:
    """Return the mean squared length of the centred points; 1 where all are equal."""
    centre = np.asarray(points.mean(axis=0, dtype=np.float64))

    def summed(part: slice) -> float:
        rows = points[part] - centre
        return float(np.einsum("ij,ij->", rows, rows))

    return sum(in_order(summed, row_slices(*points.shape))) / len(points) or 1.0


def modularity(graph: Graph, labels: np.ndarray) -> float:
    """Return the share of the weights that lie inside of clusters, less what chance would put there.

    Newman and Girvan, Finding and evaluating community structure in networks, 2004. Labels, (n,) int64; noise, -1, is
    a cluster for each image.
    """
    numbers = labels.copy()
    lonely = numbers < 0
    numbers[lonely] = numbers.max(initial=-1) + 1 + np.arange(lonely.sum())
    heads, total = np.asarray(graph.sum(axis=1)).ravel(), float(graph.sum())
    links = graph.tocoo()
    inside = float(links.data[numbers[links.row] == numbers[links.col]].sum()) / total
    return inside - float(((np.bincount(numbers, heads) / total) ** 2).sum())
