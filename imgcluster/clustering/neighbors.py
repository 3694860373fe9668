"""Nearest neighbours; the graph of them, its leading eigenvectors, and the modularity of clusters in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np

from imgcluster.clustering.neighbor_copies import with_copies
from imgcluster.clustering.neighbor_search import EXACT_UP_TO, Found, Rows, has_zeros, search
from imgcluster.features import Points
from imgcluster.utils import digest_arrays, finite_rows, installed, kept_file, kept_path, row_slices

NEIGHBOURS = (5, 10, 20)  # an image among the nearest 5 counts three times one among the nearest 20
DENSE = 2000  # up to so many images all eigenvectors are worked out; above, the leading ones alone
TOLERANCE = 1e-8
SEARCH_BYTES = 32 * 2**20
DISTANCES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {  # by the squared ones; of unit vectors for cosine
    "euclidean": np.sqrt,
    "sqeuclidean": lambda squared: squared,
    "cosine": lambda squared: squared / 2,
}
FORMAT = 1  # of what is kept: raise it when neighbours are found in another way
PACKAGES = ("imgcluster", "numpy", "scikit-learn", "faiss-cpu")

Graph = Any  # scipy.sparse.csr_matrix, symmetric


def knn(
    points: np.ndarray,
    k: int,
    metric: str = "euclidean",
    queries: np.ndarray | None = None,
    *,
    show: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest of the points, (n, dim), for each query, (m, dim), or for each point among the others.

    All nearest ones up to `EXACT_UP_TO` distinct points; of more, an index finds nearly all, if FAISS is installed, and
    the result is kept under the cache folder for whoever asks for it again. Equal points are searched once. Distances
    are worked out from differences in the dtype of the points. The same bytes on any number of cores.

    Args:
        metric: euclidean, sqeuclidean or cosine.
        queries: of the dtype of the points; None: the points themselves, none a neighbour of its own.
        show: whether to show progress.

    Returns:
        Indices, (m, k) int64, and distances, (m, k) float64, nearest first, of equal distances the lower index first.
        There are fewer columns where there are fewer points.

    Raises:
        ValueError: Values are not finite.
    """
    own = queries is None
    rows = points if queries is None else queries
    k = max(0, min(k, len(points) - own))
    if finite_rows(points) < len(points) or finite_rows(rows) < len(rows):
        raise ValueError("the points are not finite (NaN or infinity)")
    if not k:
        return np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0))

    def make() -> Found:
        return _searched(points, k, metric == "cosine", queries, show)

    path = None
    if own and len(points) > EXACT_UP_TO:
        versions = {package: installed(package) for package in PACKAGES}
        digest = digest_arrays([FORMAT, k, metric == "cosine", versions], {"points": points})
        path = kept_path("neighbors", f"{digest}.npz")
    indices, squared = kept_file(path, make, lambda data: _unpacked(data, (len(points), k)), _packed)
    return indices, DISTANCES[metric](squared)


def _searched(points: np.ndarray, k: int, unit: bool, queries: np.ndarray | None, show: bool) -> Found:
    """Search the distinct points, and put the copies of each in its place: indices, and squared distances."""
    copies = Points(points).copies
    zeros = unit and (has_zeros(points) or (queries is not None and has_zeros(queries)))
    rows = Rows(points, copies.first if copies else None, unit, zeros)
    asked = min(k, len(rows) - (queries is None))
    others = None if queries is None else Rows(queries, unit=unit, zeros=zeros)
    indices, squared = search(rows, others, asked, show=show)
    return with_copies(indices, squared, copies, k, own=queries is None) if copies else (indices, squared)


def _packed(found: Found) -> bytes:
    indices, squared = found
    single = squared.astype(np.float32)  # which they are, where the points are
    file = BytesIO()
    np.savez(file, indices=indices.astype(np.int32), squared=single if np.array_equal(single, squared) else squared)
    return file.getvalue()


def _unpacked(data: bytes, shape: tuple[int, int]) -> Found:
    """Return what `_packed` made bytes of. Raises whatever damaged bytes make it raise."""
    with np.load(BytesIO(data), allow_pickle=False) as file:
        indices, squared = file["indices"], file["squared"]
    if not indices.shape == squared.shape == shape:
        raise ValueError("not of these points")
    return indices.astype(np.int64), squared.astype(np.float64)


def neighbour_graph(points: np.ndarray, neighbours: tuple[int, ...] = NEIGHBOURS) -> Graph:
    """Return the weights, (n, n), between points, (n, dim), and their nearest, averaged over some numbers of them.

    The weight of a neighbour at the distance d is 1 - d²/2 where the centred points have the length 1 on average, which
    is the cosine where each has, and 0 where that is negative; a neighbour on one side alone counts half; each point is
    its own neighbour, and counts among theirs.
    """
    import scipy.sparse as sp

    count = len(points)
    rows = np.asarray(points, np.float64) - np.mean(points, axis=0, dtype=np.float64)
    lengths = np.einsum("ij,ij->i", rows, rows)
    halves = 0.5 / (lengths.mean() or 1.0)
    sizes = sorted({min(size, count) - 1 for size in neighbours} - {0}) or [0]
    most = sizes[-1]
    shares = np.mean([np.arange(most) < size for size in sizes], axis=0)
    near = knn(rows, most, "sqeuclidean")[0]
    # Not the distances of the search: where the graph falls into more parts than clusters are asked for, its leading
    # eigenvalues are equal, and the clusters depend on the last bits of the weights. These are the bits of old runs.
    products = [
        np.take_along_axis(rows[part] @ rows.T, near[part], axis=1) for part in row_slices(count, count, SEARCH_BYTES)
    ]
    squared = np.maximum(lengths[:, None] + lengths[near] - 2 * np.concatenate(products), 0)
    weights = (np.maximum(1 - halves * squared, 0) * shares).ravel()
    one_way = sp.csr_matrix((weights, (np.repeat(np.arange(count), most), near.ravel())), (count, count))
    return ((one_way + one_way.T) / 2 + sp.identity(count, format="csr")).tocsr()


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
