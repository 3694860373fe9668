"""The search for nearest neighbours: all distances of few points, and an index of cells for many."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from imgcluster.features import unit_length
from imgcluster.utils import in_order, row_slices, track

EXACT_UP_TO = 10_000  # points; of more, the index takes less time
SPARE = 8  # candidates beside the neighbours asked for: rounding may put any of them last
MAX_SPARE = 128  # of so many that are equally far but for rounding, the last ones are any
ROUNDING = 16  # of a product, in units in the last place: float32 products of 1280 values were off by 3
SCORES_BYTES = 4 * 2**20
SHOWN = 10**10  # products of values; fewer take less than two seconds
RANKED_BYTES = 8 * 2**20
# The index: docs/neighbors.md has the figures.
SEARCH_DIM = 128  # principal components; longer vectors are searched by them, and candidates ranked by all values
FITTED = 5_000  # points that the components are found from
MIN_CANDIDATES = 40  # of a search by principal components, for up to a third as many neighbours
CELLS = 2  # times the root of the number of points
PROBED = 16  # cells for each point
MAX_SCANNED = 8  # times as many points as these cells have on average: a bound of the time where cells are uneven
TRAINED = 64  # points for each cell
ITERATIONS = 8
POINTS_AT_ONCE = 256

Found = tuple[np.ndarray, np.ndarray]  # indices (m, k) int64, squared distances (m, k) float64


@dataclass(frozen=True)
class Rows:
    """Rows of vectors, (n, dim), all of them or those of `numbers`; unit: scaled to the length 1.

    zeros: whether some of those to be scaled are zeros; these get a direction of their own, in one more column.
    """

    vectors: np.ndarray
    numbers: np.ndarray | None = None
    unit: bool = False
    zeros: bool = False

    def __len__(self) -> int:
        return len(self.vectors) if self.numbers is None else len(self.numbers)

    @property
    def dim(self) -> int:
        """How many values a row has."""
        return int(self.vectors.shape[1]) + self.zeros

    def take(self, which: slice | np.ndarray) -> np.ndarray:
        """Return some rows, (m, dim); not to be written to, they may be the vectors themselves."""
        some = np.asarray(self.vectors[which if self.numbers is None else self.numbers[which]])
        if not self.unit:
            return some
        scaled = unit_length(some, some.dtype.type)
        return np.column_stack([scaled, ~some.any(axis=1)]).astype(some.dtype) if self.zeros else scaled


def has_zeros(vectors: np.ndarray) -> bool:
    """Tell whether a row of vectors, (n, dim), is all zeros."""
    return not all(in_order(lambda part: bool(vectors[part].any(axis=1).all()), row_slices(*vectors.shape)))


def has_index() -> bool:
    """Tell whether the library of the index is installed."""
    return find_spec("faiss") is not None


def search(points: Rows, queries: Rows | None, k: int, *, show: bool) -> Found:
    """Find the k nearest points of each query, or of each point among the others; there are so many at least.

    Nearest first, of equal distances the lower index. The same bytes on any number of cores.
    """
    rows = points if queries is None else queries
    many = len(points) > EXACT_UP_TO
    made = _CellIndex if many and has_index() else _AllDistances
    show = show and (many or len(points) * len(rows) * points.dim > SHOWN)
    indices, squared = np.empty((len(rows), k), np.int64), np.empty((len(rows), k))
    with track("neighbors", len(rows), "images", show=show) as advance:
        index = made(points, k + (queries is None))  # a point finds itself too

        def of_block(part: slice) -> Found:
            some = rows.take(part)
            return index.nearest(some, np.arange(part.start, part.stop) if queries is None else None, k)

        parts = row_slices(len(rows), index.width, index.block_bytes)
        for part, found in zip(parts, in_order(of_block, parts), strict=True):
            indices[part], squared[part] = found
            advance(part.stop - part.start)
    return indices, squared


class _AllDistances:
    """All distances by matrix products in the dtype of the points, and then exact ones of the nearest alone.

    scikit-learn's search by brute force converts float32 to float64, and takes any of equal distances.
    """

    block_bytes = SCORES_BYTES

    def __init__(self, points: Rows, most: int) -> None:
        matrix = points.take(slice(None))
        self._points = Rows(matrix)  # scaled once
        # Short rows have short products, and so small errors: the differences themselves are of the rows as they are.
        self._mean = matrix.mean(axis=0, dtype=np.float64).astype(matrix.dtype)
        self._matrix = matrix - self._mean
        self._halves = np.einsum("ij,ij->i", self._matrix, self._matrix) / 2
        self._asked = min(most + SPARE, len(points))
        self._at_most = min(most + MAX_SPARE, len(points))
        self.width = len(points)

    def nearest(self, some: np.ndarray, own: np.ndarray | None, k: int) -> Found:
        """Return the k nearest points of some rows, (m, dim); own: the rows' own numbers, (m,), which are left out."""
        centred = some - self._mean
        scores = self._halves - centred @ self._matrix.T  # half the squared distances, less half the squared lengths
        halves = np.einsum("ij,ij->i", centred, centred) / 2
        rounding = ROUNDING * np.finfo(scores.dtype).eps * (halves + self._halves.max(initial=0))
        indices, squared = np.empty((len(some), k), np.int64), np.empty((len(some), k))
        left, asked = np.arange(len(some)), self._asked
        fewer = scores
        while True:
            near = np.argpartition(fewer, asked - 1, axis=1)[:, :asked].copy()  # no view of the whole block
            own_left = None if own is None else own[left]
            indices[left], squared[left] = _ranked(self._points, some[left], near, own_left, k)
            if asked == self._at_most:
                return indices, squared
            # All other points are as far as the last candidate at least, but for rounding.
            nearest_other = np.take_along_axis(fewer, near, axis=1).max(axis=1) + halves[left]
            left = left[squared[left, -1] / 2 >= nearest_other - 2 * rounding[left]]
            if not len(left):
                return indices, squared
            fewer = scores[left]
            asked = min(4 * asked, self._at_most)


class _CellIndex:
    """FAISS's inverted file: the points of the cells nearest to a query are compared with it, by principal components.

    Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, IEEE TPAMI 33, 2011, without the
    quantization. The candidates are ranked by all values of the points.
    """

    def __init__(self, points: Rows, most: int) -> None:
        import faiss
        from threadpoolctl import threadpool_limits

        self._points, self._faiss = points, faiss
        count, dim = len(points), points.dim
        self._asked = min(count, most + SPARE if dim <= SEARCH_DIM else max(MIN_CANDIDATES, 3 * most))
        self.width, self.block_bytes = dim, 4 * dim * POINTS_AT_ONCE
        with threadpool_limits(1, user_api="blas"):
            self._components = _components(points)
            self._index = self._trained(int(CELLS * count**0.5))
        for block in in_order(lambda part: self._projected(points.take(part)), row_slices(count, dim)):
            self._index.add(block)
        scanned = MAX_SCANNED * PROBED * count // self._index.nlist
        parameters: Any = faiss.SearchParametersIVF  # whose annotations lack its arguments
        self._quick = parameters(nprobe=PROBED, max_codes=scanned)
        self._whole = parameters(nprobe=self._index.nlist)

    def nearest(self, some: np.ndarray, own: np.ndarray | None, k: int) -> Found:
        """Return nearly always the k nearest points of some rows, (m, dim); own: as of `_AllDistances`."""
        self._faiss.omp_set_num_threads(1)  # of this thread
        projected = self._projected(some)
        near = self._index.search(projected, self._asked, params=self._quick)[1]
        few = np.flatnonzero((near < 0).any(axis=1))  # the cells looked at have not so many
        if len(few):
            near[few] = self._index.search(projected[few], self._asked, params=self._whole)[1]
        return _ranked(self._points, some, near, own, k)

    def _projected(self, some: np.ndarray) -> np.ndarray:
        if self._components is None:
            return np.ascontiguousarray(some, np.float32)
        mean, components = self._components
        return np.ascontiguousarray((some - mean) @ components, np.float32)

    def _trained(self, cells: int) -> Any:
        """Return an empty index whose cells are those of a K-Means of some points."""
        faiss, dim = self._faiss, min(SEARCH_DIM, self.width)
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # the same cells on any number of cores
        try:
            index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, cells)
            index.cp.niter, index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = ITERATIONS, 1, TRAINED
            drawn = _drawn(len(self._points), TRAINED * cells)
            slices = row_slices(len(drawn), self.width)
            index.train(np.concatenate([self._projected(self._points.take(drawn[part])) for part in slices]))
        finally:
            faiss.omp_set_num_threads(threads)
        return index


def _components(points: Rows) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the mean, (dim,), and the principal components, (dim, SEARCH_DIM), of some points; None of short ones."""
    if points.dim <= SEARCH_DIM:
        return None
    from sklearn.decomposition import PCA

    pca = PCA(SEARCH_DIM, svd_solver="covariance_eigh").fit(points.take(_drawn(len(points), FITTED)))
    return pca.mean_.astype(np.float32), pca.components_.T.astype(np.float32)


def _drawn(count: int, most: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def _ranked(points: Rows, some: np.ndarray, near: np.ndarray, own: np.ndarray | None, k: int) -> Found:
    """Rank candidates, (m, c), -1 for none, by their distances to some rows, (m, dim): the k nearest, sorted.

    Of differences, which make equal points equal, and near ones near to the last digit, as no product does.
    """
    indices, squared = np.empty((len(some), k), np.int64), np.empty((len(some), k))
    for part in row_slices(len(some), near.shape[1] * some.shape[1], RANKED_BYTES):
        candidates = near[part]
        differences = points.take(candidates.ravel()).reshape(*candidates.shape, -1)
        differences -= some[part, None]
        far = np.einsum("ijk,ijk->ij", differences, differences).astype(np.float64)
        excluded = candidates < 0 if own is None else (candidates < 0) | (candidates == own[part, None])
        far[excluded] = np.inf
        order = np.lexsort((candidates, far))[:, :k]
        indices[part] = np.take_along_axis(candidates, order, axis=1)
        squared[part] = np.take_along_axis(far, order, axis=1)
    return indices, squared
