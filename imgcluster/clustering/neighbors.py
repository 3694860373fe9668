"""Nearest neighbours, exact or by an index, kept where finding them takes long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np

from imgcluster.clustering.neighbor_copies import with_copies
from imgcluster.clustering.neighbor_search import EXACT_UP_TO, Found, Rows, has_zeros, search
from imgcluster.features import Points
from imgcluster.utils import digest_arrays, finite_rows, installed, kept_file, kept_path

DISTANCES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {  # by the squared ones; of unit vectors for cosine
    "euclidean": np.sqrt,
    "sqeuclidean": lambda squared: squared,
    "cosine": lambda squared: squared / 2,
}
FORMAT = 1  # of what is kept: raise it when neighbours are found in another way
PACKAGES = ("imgcluster", "numpy", "scikit-learn", "faiss-cpu")


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
