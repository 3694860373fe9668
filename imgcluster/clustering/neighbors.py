"""Images as a graph of neighbours: who is near whom, the graph's slowest motions, and how well clusters divide it."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgcluster.utils import row_slices

NEIGHBOURS = (5, 10, 20)  # an image among the nearest 5 counts three times one among the nearest 20
DENSE = 2000  # up to so many images all eigenvectors are worked out; above, the leading ones alone
TOLERANCE = 1e-8
PRODUCT_BYTES = 32 * 2**20

Graph = Any  # scipy.sparse.csr_matrix, symmetric


def neighbour_graph(points: np.ndarray, neighbours: tuple[int, ...] = NEIGHBOURS) -> Graph:
    """Return the weights, (n, n), between points, (n, dim), and some numbers of their nearest ones, averaged.

    Near is what has the smaller Euclidean distance d, of two the first. The weight is 1 - d²/2 where the centred points
    have the length 1 on average, which is the cosine where each has, and 0 where that is negative; a neighbour on one
    side alone counts half; each is its own neighbour.
    """
    import scipy.sparse as sp

    count = len(points)
    rows = np.asarray(points, np.float64) - np.mean(points, axis=0, dtype=np.float64)
    lengths = np.einsum("ij,ij->i", rows, rows)
    halves = 0.5 / (lengths.mean() or 1.0)
    sizes = sorted({min(size, count) - 1 for size in neighbours} - {0}) or [0]
    most = sizes[-1]
    shares = np.mean([np.arange(most) < size for size in sizes], axis=0)
    found = [_nearest(rows, lengths, part, most) for part in row_slices(count, count, PRODUCT_BYTES)]
    near, squared = (np.concatenate(parts) for parts in zip(*found, strict=True))
    weights = (np.maximum(1 - halves * squared, 0) * shares).ravel()
    one_way = sp.csr_matrix((weights, (np.repeat(np.arange(count), most), near.ravel())), (count, count))
    return ((one_way + one_way.T) / 2 + sp.identity(count, format="csr")).tocsr()


def _nearest(rows: np.ndarray, lengths: np.ndarray, part: slice, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest rows of some, and how far they are: (m, most) int64, and (m, most) float64 squared."""
    squared = np.maximum(lengths[part, None] + lengths - 2 * (rows[part] @ rows.T), 0)
    here = np.arange(len(squared))
    squared[here, part.start + here] = np.inf
    near = np.argsort(squared, axis=1, kind="stable")[:, :most].copy()  # a view would keep the order of all images
    return near, np.take_along_axis(squared, near, axis=1)


def leading(graph: Graph, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues, (count,), and eigenvectors, (n, count), of the graph scaled by its degrees.

    Of D^-1/2 W D^-1/2: Ng, Jordan and Weiss, On Spectral Clustering, 2001.
    """
    import scipy.sparse as sp
    from scipy.linalg import eigh
    from scipy.sparse.linalg import ArpackError, eigsh

    size = graph.shape[0]
    scale = sp.diags(1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel()))
    scaled = scale @ graph @ scale
    count = min(count, size)
    if size <= DENSE or count >= size - 1:
        values, vectors = eigh(scaled.toarray(), subset_by_index=[size - count, size - 1])
    else:
        # A fixed start: the same bits each time. Not a constant one, which many equal images make an eigenvector.
        start = np.random.default_rng(0).uniform(0.5, 1.5, size)
        most = min(size, max(3 * count + 1, 60))
        try:
            values, vectors = eigsh(scaled, k=count, which="LA", v0=start, ncv=most, tol=TOLERANCE)
        except ArpackError:  # of groups of equal images some have no way to each other: all are worked out
            values, vectors = eigh(scaled.toarray(), subset_by_index=[size - count, size - 1])
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


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


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scale each row of (n, dim) to the length 1, as float64; a row of zeros stays one."""
    values = np.asarray(rows, np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.finfo(np.float64).tiny))
