"""The leading eigenvectors of a graph, by subspace iteration."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.graph import Graph
from imgcluster.utils import Advance, in_order, return_freed_memory, row_slices

MAX_DENSE_SIZE = 1000  # points; up to so many, LAPACK finds the eigenvectors of the dense matrix
TOLERANCE = 1e-3  # the norm of A x - λ x, of vectors of the length 1
MIN_INDEPENDENCE = 1e-6  # of a column of the block, of the length 1, from those before; float32 rounds by a tenth of it
MAX_ROUNDS = 30
DEGREE = 10
GUARD_SHARE, MIN_GUARDS = 5, 8  # vectors iterated beside the wanted ones: a fifth as many, at least eight
COLUMNS_AT_ONCE = 16
START_OF_DAMPED = 0.3  # the upper end of the damped interval before the first eigenvalues are known

Work = Callable[[slice], object]


def leading(
    graph: Graph, count: int, *, advance: Advance = lambda _: None, tolerance: float = TOLERANCE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues, (count,), and eigenvectors, (n, count), of the graph scaled by its degrees.

    Of D^-1/2 W D^-1/2: Ng, Jordan and Weiss, On Spectral Clustering, 2001. The same graph gives the same bits for any
    number of threads. `advance` counts the rounds of large graphs.
    """
    size = graph.shape[0]
    count = min(count, size)
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    block = count + max(MIN_GUARDS, count // GUARD_SHARE)
    with threadpool_limits(1, user_api="blas"):
        if size <= MAX_DENSE_SIZE or block >= size:
            return _dense(_scaled(graph, degrees, np.float64), count)
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        # Neighbours get rows near one another: a product takes a fifth of the time where the cache holds these.
        order = reverse_cuthill_mckee(graph, symmetric_mode=True)
        smallest = 2 / degrees.max() - 1  # no eigenvalue is smaller, since each point has a link to itself
        iteration = _SubspaceIteration(_scaled(graph, degrees, np.float32), order, block, smallest)
        return_freed_memory()  # of the copies in between
        values, vectors = iteration.run(count, tolerance, advance)
    places = np.argsort(order)
    for column in vectors.T:
        column[:] = column[places]
    return values, vectors


def _scaled(graph: Graph, degrees: np.ndarray, dtype: type[np.floating[Any]]) -> Graph:
    """Divide each weight by the roots of the degrees of both points."""
    scale = (1 / np.sqrt(degrees)).astype(dtype)
    weights = np.repeat(scale, np.diff(graph.indptr))
    weights *= graph.data
    weights *= scale[graph.indices]
    return type(graph)((weights, graph.indices, graph.indptr), graph.shape)


def _dense(scaled: Graph, count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import eigh

    size = scaled.shape[0]
    values, vectors = eigh(scaled.toarray(), subset_by_index=[size - count, size - 1])
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


class _SubspaceIteration:
    """Subspace iteration with a Chebyshev filter: Zhou, Saad, Tiago and Chelikowsky, J. Comput. Phys. 219, 2006.

    A block of vectors finds equal eigenvalues, as of a graph in several parts, which Lanczos' single vector misses. The
    filter is applied to a few columns at a time, so that little is held beside the block. `order`: that of the rows.
    """

    def __init__(self, matrix: Graph, order: np.ndarray, block: int, smallest: float) -> None:
        self._smallest = smallest
        slices = row_slices(matrix.shape[0], COLUMNS_AT_ONCE)
        self._strips = [(part, matrix[order[part]][:, order]) for part in slices]  # rows of the matrix
        # A fixed start, for the same bits each time.
        self._vectors = np.random.default_rng(0).standard_normal((block, matrix.shape[0]), dtype=np.float32).T
        starts = range(0, block, COLUMNS_AT_ONCE)
        self._column_slices = [slice(start, min(start + COLUMNS_AT_ONCE, block)) for start in starts]
        self._row_slices = row_slices(matrix.shape[0], block)
        self._damped_to = START_OF_DAMPED

    def run(self, count: int, tolerance: float, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
        """Iterate until the first `count` vectors are accurate, `MAX_ROUNDS` times at most."""
        for _ in range(MAX_ROUNDS):
            self._each(self._filter)
            self._orthonormalize()
            values = self._rotate()
            self._damped_to = float(values[-1])
            advance(1)
            if self._residuals(values)[:count].max() < tolerance:
                break
        return values[:count], self._vectors[:, :count]

    def _each(self, work: Work, slices: Sequence[slice] | None = None) -> None:
        deque(in_order(work, slices or self._column_slices), maxlen=0)

    def _product(self, part: slice) -> np.ndarray:
        some = np.ascontiguousarray(self._vectors[:, part])
        product = np.empty_like(some)
        for rows, strip in self._strips:
            product[rows] = strip @ some
        return product

    def _filter(self, part: slice) -> None:
        """Multiply columns by the Chebyshev polynomial that is at most 1 on [smallest, damped_to] and grows above."""
        centre, half = (
            np.float32(it / 2) for it in (self._damped_to + self._smallest, self._damped_to - self._smallest)
        )
        before = np.ascontiguousarray(self._vectors[:, part])
        now = (self._product(part) - centre * before) / half
        for _ in range(DEGREE - 1):
            for rows, strip in self._strips:
                later = strip @ now
                later -= centre * now[rows]
                later *= 2 / half
                before[rows] = later - before[rows]
            before, now = now, before
        self._vectors[:, part] = now / np.linalg.norm(now, axis=0)

    def _orthonormalize(self) -> None:
        """Make the columns, of the length 1, orthonormal: by the Cholesky factor of their products, or Householder QR.

        The factor takes little time and no second block, but says nothing where columns depend on one another.
        """
        from scipy.linalg import cholesky, qr, solve_triangular

        try:
            factor = cholesky(self._products())
        except np.linalg.LinAlgError:
            factor = np.zeros((1, 1))
        if factor.diagonal().min() > MIN_INDEPENDENCE:
            self._multiply(solve_triangular(factor, np.eye(len(factor))))
        else:
            self._vectors = qr(self._vectors, mode="economic", overwrite_a=True, check_finite=False)[0]

    def _products(self) -> np.ndarray:
        """Return the products of the columns with one another, (block, block) float64."""

        def of_rows(part: slice) -> np.ndarray:
            rows = self._vectors[part].astype(np.float64)
            return np.asarray(rows.T @ rows)

        return np.asarray(sum(in_order(of_rows, self._row_slices)))

    def _multiply(self, turn: np.ndarray) -> None:
        """Multiply the block by a matrix, (block, block) float64, in its place."""

        def of_rows(part: slice) -> None:
            self._vectors[part] = self._vectors[part] @ turn

        self._each(of_rows, self._row_slices)

    def _rotate(self) -> np.ndarray:
        """Turn the orthonormal block to the best approximations of eigenvectors in its span (Rayleigh and Ritz)."""
        from scipy.linalg import eigh

        columns = self._vectors.shape[1]
        projected = np.empty((columns, columns))

        def fill(part: slice) -> None:
            projected[:, part] = self._vectors.T @ self._product(part)

        self._each(fill)
        values, turn = eigh((projected + projected.T) / 2)
        self._multiply(turn[:, ::-1])
        return np.asarray(values[::-1])

    def _residuals(self, values: np.ndarray) -> np.ndarray:
        """Return the norm of A x - λ x for each vector, (block,)."""

        def of_columns(part: slice) -> np.ndarray:
            difference = self._product(part) - self._vectors[:, part] * values[part].astype(np.float32)
            return np.asarray(np.linalg.norm(difference, axis=0))

        return np.concatenate(list(in_order(of_columns, self._column_slices)))
